package gpu

import (
	"fmt"
	"testing"

	"clgrad/network/backendtest/gotest"
)

// countingAPI counts the handles of another api that are alive.
type countingAPI struct {
	api
	alive map[handle]string
	made  int
	bad   []string // released twice, or never made
}

func counting(a api) *countingAPI { return &countingAPI{api: a, alive: map[handle]string{}} }

func (c *countingAPI) count(what string, h handle, err error) (handle, error) {
	if err == nil && h != nil {
		c.made++
		c.alive[h] = what
	}
	return h, err
}

func (c *countingAPI) createContext(d Device) (handle, error) {
	h, err := c.api.createContext(d)
	return c.count("context", h, err)
}
func (c *countingAPI) createQueue(context handle, d Device, profiling bool) (handle, error) {
	h, err := c.api.createQueue(context, d, profiling)
	return c.count("queue", h, err)
}
func (c *countingAPI) createBuffer(context handle, bytes int) (handle, error) {
	h, err := c.api.createBuffer(context, bytes)
	return c.count("buffer", h, err)
}
func (c *countingAPI) createProgram(context handle, source string) (handle, error) {
	h, err := c.api.createProgram(context, source)
	return c.count("program", h, err)
}
func (c *countingAPI) createKernel(program handle, name string) (handle, error) {
	h, err := c.api.createKernel(program, name)
	return c.count("kernel", h, err)
}
func (c *countingAPI) enqueueKernel(queue, kernel handle, global, local []int, keep bool) (handle, error) {
	h, err := c.api.enqueueKernel(queue, kernel, global, local, keep)
	return c.count("event", h, err)
}
func (c *countingAPI) release(h handle) {
	if _, ok := c.alive[h]; !ok {
		c.bad = append(c.bad, fmt.Sprintf("%T released twice", h))
	}
	delete(c.alive, h)
	c.api.release(h)
}

// Every handle that is made on a device is released once, on Close at the latest.
func TestReleased(t *testing.T) {
	for _, d := range usableDevices(t) {
		for what, run := range map[string]func(api) error{
			"dense":             func(a api) error { return life(a, d, tiny(), false) },
			"packed, profiling": func(a api) error { return life(a, d, tinyPacked(), true) },
			"a call that fails": func(a api) error {
				if life(&faultyAPI{api: a, fail: 150}, d, tiny(), false) == nil {
					return fmt.Errorf("call 150 did not fail")
				}
				return nil
			},
		} {
			c := counting(must(openCL()))
			if err := run(c); err != nil {
				t.Errorf("%s, %s: %v", d.ID(), what, err)
			}
			if len(c.alive) > 0 || len(c.bad) > 0 || c.made < 10 {
				t.Errorf("%s, %s: of %d handles %v are left, %v", d.ID(), what, c.made, c.alive, c.bad)
			}
			t.Logf("%s, %s: %d handles made and released", d.ID(), what, c.made)
		}
	}
}

// Nothing grows over many iterations.
func TestSoak(t *testing.T) {
	for _, d := range usableDevices(t) {
		t.Run(d.ID(), func(t *testing.T) {
			c := counting(must(openCL()))
			b, err := open(c, d, Options{})
			if err != nil {
				t.Fatal(err)
			}
			defer func() {
				if err := b.Close(); err != nil || len(c.alive) > 0 || len(c.bad) > 0 {
					t.Errorf("after Close %v are left, %v, %v", c.alive, c.bad, err)
				}
			}()
			gotest.Soak(t, b, func() int { return len(c.alive) })
		})
	}
}
