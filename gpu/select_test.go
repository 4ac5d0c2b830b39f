package gpu

import (
	"errors"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"clgrad/network"
)

// leak opens a backend and drops it.
func leak() (Device, error) {
	b, err := open(newFake(), fakeDevice, Options{Untested: true})
	if err != nil {
		return Device{}, err
	}
	return b.s.device, nil
}

func collect(t *testing.T, places chan string) {
	t.Helper()
	for range 100 {
		runtime.GC()
		select {
		case place := <-places:
			if !strings.Contains(place, "_test.go:") {
				t.Errorf("leak reported at %q", place)
			}
			return
		case <-time.After(10 * time.Millisecond):
		}
	}
	t.Error("a dropped backend was not reported")
}

func TestSelect(t *testing.T) {
	cpu := Device{Platform: 0, Index: 0, Name: "pthread-cpu", Type: "CPU", ComputeUnits: 64, ClockMHz: 5000}
	small := Device{Platform: 1, Index: 0, Name: "Small GPU", Type: "GPU", SharesMemory: true, Memory: 64 << 30, ComputeUnits: 128, ClockMHz: 1600}
	big := Device{Platform: 1, Index: 1, Name: "Big GPU", Type: "GPU", Memory: 8 << 30, ComputeUnits: 14, ClockMHz: 1500}
	broken := Device{Platform: 2, Index: 0, Name: "Huge GPU", Type: "GPU", ComputeUnits: 500, ClockMHz: 2000, Problem: "the driver has no compiler"}
	all := []Device{cpu, small, big, broken}
	for _, c := range []struct {
		spec, want, problem string
	}{
		{spec: "", want: "Big GPU"},
		{spec: "0.0", want: "pthread-cpu"},
		{spec: "1.0", want: "Small GPU"},
		{spec: "small", want: "Small GPU"},
		{spec: "2.0", problem: "cannot be used: the driver has no compiler"},
		{spec: "huge", problem: "cannot be used: the driver has no compiler"},
		{spec: "3.0", problem: "there are 0.0 pthread-cpu, 1.0 Small GPU"},
		{spec: "nothing", problem: `named "nothing"`},
		{spec: "gpu", problem: `"gpu" names 3 OpenCL devices: one is expected, by its number P.D or by more of its name: there are 1.0 Small GPU, 1.1 Big GPU, 2.0 Huge GPU (the driver has no compiler)`},
	} {
		d, why, err := Select(all, c.spec)
		if c.problem != "" {
			if err == nil || !strings.Contains(err.Error(), c.problem) {
				t.Errorf("%q: error %v, want %q", c.spec, err, c.problem)
			}
			continue
		}
		if err != nil || d.Name != c.want || why == "" {
			t.Errorf("%q: %q (%s), %v; want %q", c.spec, d.Name, why, err, c.want)
		}
	}
	// A platform that fails to list its devices is never chosen, and says why.
	mute := append(all[:3:3], unlisted(3, "Mute", "1", errors.New("out of host memory")))
	if d, _, err := Select(mute, ""); err != nil || d.Name != "Big GPU" {
		t.Errorf("best of a platform that lists nothing and others: %s, %v", d.Name, err)
	}
	if _, _, err := Select(mute, "3.0"); err == nil || !strings.Contains(err.Error(), "does not list its devices: out of host memory") {
		t.Errorf("a platform that lists nothing: %v", err)
	}
	for _, none := range [][]Device{nil, {broken}} {
		if _, _, err := Select(none, ""); !errors.Is(err, ErrNoDevice) {
			t.Errorf("best of %d unusable devices: %v", len(none), err)
		}
	}
}

// A second start of a profile leaves out what ran before it.
func TestProfileAgain(t *testing.T) {
	b, err := open(newFake(), fakeDevice, Options{Untested: true})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	run := func() {
		if _, _, err := b.Probe(network.Bandwidth, 1); err != nil {
			t.Fatal(err)
		}
	}
	launches := func() (n int) {
		times, err := b.Profile()
		if err != nil {
			t.Fatal(err)
		}
		for _, o := range times {
			n += o.Launches
		}
		return n
	}
	for turn := range 2 {
		if err := b.StartProfile(); err != nil {
			t.Fatal(err)
		}
		run()
		if turn == 0 {
			continue // what ran is not asked for
		}
		once := launches()
		run()
		if again := launches(); once == 0 || once != again {
			t.Errorf("%d launches behind a second start, %d later", once, again)
		}
	}
}

// A device that cannot be opened gives way to the next best. Where none is left, the error is that
// of the best, or that there is none.
func TestOpenBest(t *testing.T) {
	devices := func() []Device {
		return []Device{{Index: 0, Type: "CPU"}, {Index: 1, Type: "GPU"}, {Index: 2, Type: "GPU", Memory: 1}, {Index: 3, Type: "GPU", Memory: 9, Problem: "broken"}}
	}
	for broken, want := range map[string]struct{ opened, err string }{
		"":        {"2", ""},
		"2":       {"2 1", ""},
		"1 2":     {"2 1 0", ""},
		"0 1 2":   {"2 1 0", "device 2"},
		"0 1 2 3": {"2 1 0", "device 2"},
	} {
		var opened []string
		b, err := openBest(devices(), func(d Device) (*Backend, error) {
			index := strconv.Itoa(d.Index)
			opened = append(opened, index)
			if strings.Contains(broken, index) {
				return nil, errors.New("device " + index)
			}
			return new(Backend), nil
		})
		if got := strings.Join(opened, " "); got != want.opened || (err != nil) != (want.err != "") || err != nil && err.Error() != want.err || (b == nil) != (err != nil) {
			t.Errorf("broken %q: opened %s, error %v, want %v", broken, got, err, want)
		}
	}
	if _, err := openBest(devices()[3:], nil); !errors.Is(err, ErrNoDevice) {
		t.Errorf("without a device that can be used: %v", err)
	}
}
