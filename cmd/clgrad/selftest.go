package main

import (
	"context"

	"clgrad/gpu"
	"clgrad/kernels"
	"clgrad/network"
)

// passes is where a test looks up what has been passed, by a digest of all that it
// depends on but the device, and adds what passes.
type passes interface {
	Passed(key string) bool
	Add(keys ...string) error
}

// selfTest reports a device that is listed and cannot compute: whose driver has no
// compiler that works, say. It builds and runs one kernel, which any run needs, each
// time that it is asked; the passes are for tests of what a run needs beyond that.
func selfTest(_ context.Context, d gpu.Device, r testRequest, _ passes) (err error) {
	b, err := gpu.Open(d, gpu.Options{Precision: kernels.Precision(r.Precision)})
	if err != nil {
		return err
	}
	defer closing(&err, b)
	theta, err := b.NewBuffer(network.Align)
	if err != nil {
		return err
	}
	defer closing(&err, theta)
	t, err := b.NewTally(1)
	if err != nil {
		return err
	}
	defer closing(&err, t)
	if err := b.Update(theta, theta, 1, 1, t); err != nil {
		return err
	}
	_, err = b.ReadTally(t, 0, make([]network.Record, 1))
	return err
}
