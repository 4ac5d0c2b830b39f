package main

import (
	"encoding/json"
	"errors"
	"fmt"

	"clgrad/cmd/clgrad/driver"
	"clgrad/cmd/clgrad/store"
	"clgrad/gpu"
	"clgrad/network"
)

// selfTest reports a device that cannot compute what is asked for: a plan, or where there
// is none one kernel, which any run needs. testing is told what is about to be run.
func selfTest(d gpu.Device, r testRequest, passes gpu.Passes, testing func(gpu.Failure)) (err error) {
	b, err := gpu.Open(d, gpu.Options{Passes: passes})
	if err != nil {
		return err
	}
	defer closing(&err, b)
	if r.Plan == nil {
		return b.SelfTest(nil, network.ShardPlan{}, testing)
	}
	return b.SelfTest(r.Sizes, *r.Plan, testing)
}

// isolate returns how plans of a device are tested in a process of their own, nil where
// this process is to do it.
func (g *guard) isolate(a *app, d gpu.Device) func([]int, network.ShardPlan) ([]string, error) {
	if g.child == nil {
		return nil
	}
	return func(sizes []int, plan network.ShardPlan) ([]string, error) {
		g.mu.Lock()
		defer g.mu.Unlock()
		reply, err := g.ask(a, testRequest{Device: d.ID(), Sizes: sizes, Plan: &plan})
		switch {
		case errors.Is(err, driver.ErrDied) && reply.Testing != nil:
			// Other kernels may do better.
			failed := *reply.Testing
			failed.Reason = fmt.Sprintf("the driver %v (if this goes on, remove its %s)", err, kernelCache(d))
			return reply.Passed, &failed
		case errors.Is(err, driver.ErrDied):
			return nil, died(d, err)
		case err != nil:
			return nil, err
		case reply.Failed != nil:
			return reply.Passed, reply.Failed
		case reply.Error != "":
			return reply.Passed, errors.New(reply.Error)
		}
		return reply.Passed, nil
	}
}

// kernelCache names where a device's driver keeps compiled kernels.
func kernelCache(d gpu.Device) string {
	if dir := driver.KernelCache(d.PlatformName); dir != "" {
		return "kernel cache " + dir
	}
	return "kernel cache"
}

// died returns the error of a driver that ended a process.
func died(d gpu.Device, err error) error {
	return fmt.Errorf("opencl:%s: driver %s (%s) of device %s %w; remove its %s, or use --backend cpu",
		d.ID(), d.Driver, d.PlatformName, d.Name, err, kernelCache(d))
}

// parseReply reads the last line of driver-test.
func parseReply(line []byte) (reply testReply, err error) {
	if err := json.Unmarshal(line, &reply); err != nil {
		return reply, fmt.Errorf("clgrad driver-test: a reply is expected where there is %.100q: %w", line, err)
	}
	return reply, nil
}

// passes are the gpu.Passes of a device that are kept between runs. Where a process that
// used the device died, those of earlier runs count for nothing.
type passes struct {
	g        *guard // nil in driver-test, whose store is in memory
	a        *app
	store    *store.Store
	distrust bool
	here     map[string]bool // of this run
}

func (p *passes) Passed(key string) bool { return p.here[key] || !p.distrust && p.store.Passed(key) }

func (p *passes) Add(keys ...string) {
	for _, key := range keys {
		p.here[key] = true
	}
	err := p.store.Add(keys...)
	if err == nil || p.g == nil {
		return
	}
	p.g.mu.Lock()
	defer p.g.mu.Unlock()
	p.g.once(p.a, "kept", "what passed is not kept, and will be tested again: %s", oneLine(err))
}
