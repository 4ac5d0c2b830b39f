package main

import (
	"context"

	"clgrad/gpu"
	"clgrad/kernels"
	"clgrad/network"
)

// selfTest reports a device that is listed and cannot compute: whose driver has no
// compiler that works, say. It builds and runs one kernel, which any run needs.
// passed are keys of what was tested besides, for the device's store.
func selfTest(ctx context.Context, d gpu.Device, r testRequest) (passed []string, err error) {
	b, err := gpu.Open(d, gpu.Options{Precision: kernels.Precision(r.Precision)})
	if err != nil {
		return nil, err
	}
	defer closing(&err, b)
	theta, err := b.NewBuffer(network.Align)
	if err != nil {
		return nil, err
	}
	defer closing(&err, theta)
	t, err := b.NewTally(1)
	if err != nil {
		return nil, err
	}
	defer closing(&err, t)
	if err := b.Update(theta, theta, 1, 1, t); err != nil {
		return nil, err
	}
	_, err = b.ReadTally(t, 0, make([]network.Record, 1))
	return nil, err
}
