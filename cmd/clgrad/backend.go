package main

import (
	"errors"
	"strings"

	"clgrad/cmd/clgrad/recipe"
	"clgrad/cpu"
	"clgrad/gpu"
	"clgrad/network"
)

// A backendName is a recipe.Backend that can be opened.
type backendName recipe.Backend

// UnmarshalText reports a name that is none.
func (n *backendName) UnmarshalText(text []byte) error {
	return (*recipe.Backend)(n).UnmarshalText(text)
}

// open opens the backend. auto takes the best OpenCL device, or the CPU where
// there is none that works, and says which and why.
func (n backendName) open(a *app, o gpu.Options) (network.Backend, error) {
	onCPU := cpu.Options{Profiling: o.Profiling}
	reduced := o.Precision.Reduced()
	if reduced && (n == "cpu" || n == "cpu64") {
		return nil, misused("--precision %s: an OpenCL device is expected, the CPU backends have one precision", o.Precision)
	}
	switch n {
	case "cpu":
		return cpu.Open[float32](onCPU), nil
	case "cpu64":
		return cpu.Open[float64](onCPU), nil
	case "auto":
		b, d, why, err := openDevice(a, "", o)
		if err == nil {
			if err = tryOut(b); err != nil {
				err = errors.Join(err, b.Close())
			}
		}
		if err != nil && reduced {
			return nil, err
		}
		if err != nil {
			a.note("computing on the CPU: %s", oneLine(err))
			return cpu.Open[float32](onCPU), nil
		}
		a.note("computing on opencl:%s, %s (%s)", d.ID(), d.Name, why)
		return b, nil
	}
	_, which, _ := strings.Cut(string(n), ":")
	b, _, _, err := openDevice(a, which, o)
	if err != nil {
		return nil, err
	}
	return b, nil
}

// tryOut reports a device that is listed and cannot compute: whose driver has no
// compiler that works, say. It builds and runs one kernel, which any run needs.
func tryOut(b network.Backend) (err error) {
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

// openDevice opens the OpenCL device that which names (see gpu.Select), with what
// clgrad tune found for it.
func openDevice(a *app, which string, o gpu.Options) (*gpu.Backend, gpu.Device, string, error) {
	d, why, err := selectDevice(which)
	if err != nil {
		return nil, d, "", err
	}
	dir, err := gpu.TuningDir()
	if err == nil {
		o.Tuning, err = gpu.LoadTuning(dir, d)
	}
	if err != nil {
		a.note("the tuning of opencl:%s is ignored (clgrad tune makes another): %s", d.ID(), oneLine(err))
	}
	b, err := gpu.Open(d, o)
	return b, d, why, err
}

// selectDevice returns the OpenCL device that which names, and why that one.
func selectDevice(which string) (gpu.Device, string, error) {
	devices, err := gpu.Devices()
	if err != nil {
		return gpu.Device{}, "", err
	}
	return gpu.Select(devices, which)
}

// allBackends returns the names of every backend that can be used here: those on the
// CPU and every OpenCL device.
func allBackends(a *app) []backendName {
	names := []backendName{"cpu", "cpu64"}
	devices, err := gpu.Devices()
	if err != nil {
		a.note("%s", oneLine(err))
	}
	for _, d := range devices {
		if d.Problem != "" {
			a.note("opencl:%s (%s) is left out: %s", d.ID(), d.Name, d.Problem)
			continue
		}
		names = append(names, backendName("opencl:"+d.ID()))
	}
	return names
}

// closing joins the error of a Close to err, in a deferred call.
func closing(err *error, c interface{ Close() error }) {
	*err = errors.Join(*err, c.Close())
}
