package gpu

import (
	"cmp"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"

	"golang.org/x/sys/cpu"

	"clgrad/kernels"
)

// ErrNoDevice reports that there is no OpenCL device to compute on. Errors that
// wrap it say why.
var ErrNoDevice = errors.New("no OpenCL device")

// A Device is an OpenCL device as its platform describes it.
type Device struct {
	Platform        int    `json:"platform"` // index among the platforms
	Index           int    `json:"device"`   // index among the platform's devices
	Name            string `json:"name"`
	Vendor          string `json:"vendor"`
	Type            string `json:"type"` // GPU, CPU, Accelerator or Other
	PlatformName    string `json:"platform_name"`
	PlatformVersion string `json:"platform_version"`
	Driver          string `json:"driver"`
	Version         string `json:"version"`       // OpenCL version
	SharesMemory    bool   `json:"shares_memory"` // with the host, as integrated GPUs do
	ComputeUnits    int    `json:"compute_units"`
	ClockMHz        int    `json:"clock_mhz"`
	VectorWidth     int    `json:"vector_width"` // float32 of a vector, as the driver says
	Memory          int64  `json:"memory_bytes"`
	MaxBuffer       int64  `json:"max_buffer_bytes"`
	LocalMemory     int64  `json:"local_memory_bytes"`
	MaxWorkGroup    int    `json:"max_work_group"`
	Problem         string `json:"problem,omitempty"` // why it cannot be used; empty if it can
	id              handle // the api's own device
}

// ID returns the device's number P.D: platform and device, counted from 0.
func (d Device) ID() string { return fmt.Sprintf("%d.%d", d.Platform, d.Index) }

// Class returns the kind of kernels that suit the device.
func (d Device) Class() kernels.Class {
	if d.Type == "CPU" {
		return kernels.CPU
	}
	return kernels.GPU
}

// lanes returns how many float32 a vector register holds: of a CPU device, which is this
// host's, as many as the host has. PoCL's word for it is that of the machine it was built on.
func (d Device) lanes() int {
	if d.Class() == kernels.CPU && cpu.X86.HasAVX512F {
		return 16
	}
	return d.VectorWidth
}

// limits returns what kernels may ask of the device.
func (d Device) limits() kernels.Limits {
	return kernels.Limits{WorkGroup: d.MaxWorkGroup, LocalMemory: d.LocalMemory}
}

// unlisted stands for the devices of a platform that fails to list them.
func unlisted(platform int, name, version string, err error) Device {
	return Device{
		Platform: platform, Name: "(devices of " + name + ")", Type: "Other", PlatformName: name, PlatformVersion: version,
		Problem: fmt.Sprintf("the driver does not list its devices: %v", err),
	}
}

// Built reports that this program was built without OpenCL, as an error that wraps
// [ErrNoDevice]. It calls no driver.
func Built() error {
	_, err := openCL()
	return err
}

// Devices lists the OpenCL devices of all platforms, those with a Problem
// included. One stands for those of a platform that fails to list them, unless no
// platform has any: where there is none the error wraps [ErrNoDevice].
func Devices() ([]Device, error) {
	a, err := openCL()
	if err != nil {
		return nil, err
	}
	listing.Lock()
	defer listing.Unlock()
	return a.devices()
}

// listing is held while devices are listed. Drivers come to life then: PoCL 3.1 crashes
// where two goroutines bring it about at once.
var listing sync.Mutex

// Select returns the device that spec names: "P.D" by number, another text by a
// part of its name in any case, which no other device's name may hold, and "" the
// best: a GPU before an accelerator before a CPU, then one with memory of its own, then
// the one with most memory, then most compute units × clock (a unit is not the same
// thing from one vendor to the next). why says what decided.
func Select(devices []Device, spec string) (d Device, why string, err error) {
	if spec == "" {
		return best(devices)
	}
	if p, i, ok := number(spec); ok {
		for _, d := range devices {
			if d.Platform == p && d.Index == i {
				return usable(d, "device "+spec)
			}
		}
		return Device{}, "", fmt.Errorf("%w %s: %s", ErrNoDevice, spec, list(devices))
	}
	var named []Device
	for _, d := range devices {
		if strings.Contains(strings.ToLower(d.Name), strings.ToLower(spec)) {
			named = append(named, d)
		}
	}
	switch len(named) {
	case 0:
		return Device{}, "", fmt.Errorf("%w named %q: %s", ErrNoDevice, spec, list(devices))
	case 1:
		return usable(named[0], fmt.Sprintf("its name holds %q", spec))
	}
	return Device{}, "", fmt.Errorf("%q names %d OpenCL devices: one is expected, by its number P.D or by more of its name: %s",
		spec, len(named), list(named))
}

func usable(d Device, why string) (Device, string, error) {
	if d.Problem != "" {
		return Device{}, "", fmt.Errorf("OpenCL device %s (%s) cannot be used: %s", d.ID(), d.Name, d.Problem)
	}
	return d, why, nil
}

func best(devices []Device) (Device, string, error) {
	rank := map[string]int{"GPU": 3, "Accelerator": 2, "CPU": 1}
	found := -1
	for i, d := range devices {
		if d.Problem != "" {
			continue
		}
		if found < 0 {
			found = i
			continue
		}
		b := devices[found]
		better := cmp.Or(
			cmp.Compare(rank[d.Type], rank[b.Type]),
			-compareBool(d.SharesMemory, b.SharesMemory),
			cmp.Compare(d.Memory, b.Memory),
			cmp.Compare(d.ComputeUnits*d.ClockMHz, b.ComputeUnits*b.ClockMHz),
		)
		if better > 0 {
			found = i
		}
	}
	if found < 0 {
		return Device{}, "", fmt.Errorf("%w that can be used: %s", ErrNoDevice, list(devices))
	}
	d := devices[found]
	if len(devices) == 1 {
		return d, "the only OpenCL device", nil
	}
	memory := "memory of its own"
	if d.SharesMemory {
		memory = "memory shared with the host"
	}
	return d, fmt.Sprintf("best of %d OpenCL devices: %s with %.1f GiB of %s", len(devices), d.Type, float64(d.Memory)/(1<<30), memory), nil
}

// compareBool orders false before true.
func compareBool(a, b bool) int {
	switch {
	case a == b:
		return 0
	case b:
		return -1
	}
	return 1
}

// number parses "P.D".
func number(spec string) (p, d int, ok bool) {
	a, b, found := strings.Cut(spec, ".")
	p, errA := strconv.Atoi(a)
	d, errB := strconv.Atoi(b)
	return p, d, found && errA == nil && errB == nil && p >= 0 && d >= 0
}

// list names devices in one line, for errors.
func list(devices []Device) string {
	if len(devices) == 0 {
		return "there is none"
	}
	var names []string
	for _, d := range devices {
		s := d.ID() + " " + d.Name
		if d.Problem != "" {
			s += " (" + d.Problem + ")"
		}
		names = append(names, s)
	}
	return "there are " + strings.Join(names, ", ")
}
