package main

import (
	"errors"
	"fmt"
	"strings"

	"clgrad/cpu"
	"clgrad/gpu"
	"clgrad/network"
)

// A backendName is the value of --backend: auto, cpu, cpu64, opencl,
// opencl:P.D or opencl:NAME.
type backendName string

// UnmarshalText reports a name that is none of them.
func (n *backendName) UnmarshalText(text []byte) error {
	s := string(text)
	kind, which, colon := strings.Cut(s, ":")
	switch kind {
	case "auto", "cpu", "cpu64":
		if !colon {
			*n = backendName(s)
			return nil
		}
	case "opencl":
		if !colon || which != "" {
			*n = backendName(s)
			return nil
		}
	}
	return fmt.Errorf("backend %q is unknown: auto, cpu, cpu64, opencl, opencl:P.D (platform and device) or opencl:NAME is expected", s)
}

// open opens the backend. auto takes the best OpenCL device, or the CPU where
// there is none, and says which and why.
func (n backendName) open(a *app, o gpu.Options) (network.Backend, error) {
	onCPU := cpu.Options{Profiling: o.Profiling}
	switch n {
	case "cpu":
		return cpu.Open[float32](onCPU), nil
	case "cpu64":
		return cpu.Open[float64](onCPU), nil
	case "auto":
		b, d, why, err := openDevice("", o)
		if err != nil {
			a.note("computing on the CPU: %s", oneLine(err))
			return cpu.Open[float32](onCPU), nil
		}
		a.note("computing on opencl:%s, %s (%s)", d.ID(), d.Name, why)
		return b, nil
	}
	_, which, _ := strings.Cut(string(n), ":")
	b, _, _, err := openDevice(which, o)
	if err != nil {
		return nil, err
	}
	return b, nil
}

// openDevice opens the OpenCL device that which names (see gpu.Select).
func openDevice(which string, o gpu.Options) (*gpu.Backend, gpu.Device, string, error) {
	devices, err := gpu.Devices()
	if err != nil {
		return nil, gpu.Device{}, "", err
	}
	d, why, err := gpu.Select(devices, which)
	if err != nil {
		return nil, d, "", err
	}
	b, err := gpu.Open(d, o)
	return b, d, why, err
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
