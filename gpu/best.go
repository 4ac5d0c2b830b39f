package gpu

import (
	"cmp"
	"fmt"

	"clgrad/network"
)

// OpenBest opens the best OpenCL device ([Select]). One that cannot be opened gives way to the
// next best. Where none is left the error says why; it wraps [ErrNoDevice] where there is none at all.
func OpenBest(o Options) (*Backend, error) {
	devices, err := Devices()
	if err != nil {
		return nil, err
	}
	return openBest(devices, func(d Device) (*Backend, error) { return Open(d, o) })
}

// openBest opens the best of devices that can be opened. Otherwise the error is that of the best.
func openBest(devices []Device, open func(Device) (*Backend, error)) (*Backend, error) {
	var failed error
	for {
		d, _, err := Select(devices, "")
		if err != nil {
			return nil, cmp.Or(failed, err)
		}
		b, err := open(d)
		if err == nil {
			return b, nil
		}
		failed = cmp.Or(failed, err)
		for i := range devices {
			if devices[i].ID() == d.ID() {
				devices[i].Problem = err.Error()
			}
		}
	}
}

// BestOr returns the best OpenCL device ([OpenBest], with default options), or the other backend and
// why no device can be opened. There is a backend to compute with in both cases:
//
//	backend, why := gpu.BestOr(cpu.New[float32]())
//	if why != nil {
//		log.Println("computing on the CPU:", why)
//	}
//	defer backend.Close()
func BestOr(other network.Backend) (b network.Backend, why error) {
	best, err := OpenBest(Options{})
	if err != nil {
		return other, err
	}
	return best, nil
}

// String describes the device in a line, as in "opencl:0.0, NVIDIA H100 (GPU, 80 GB, driver 550.54,
// OpenCL 3.0)".
func (d Device) String() string {
	text := fmt.Sprintf("opencl:%s, %s (%s", d.ID(), d.Name, d.Type)
	if d.Memory > 0 {
		text += fmt.Sprintf(", %.0f GB", float64(d.Memory)/1e9)
	}
	if d.Driver != "" {
		text += ", driver " + d.Driver
	}
	var version string
	if n, _ := fmt.Sscanf(d.Version, "OpenCL %s", &version); n == 1 {
		text += ", OpenCL " + version
	}
	text += ")"
	if d.Problem != "" {
		text += ": " + d.Problem
	}
	return text
}
