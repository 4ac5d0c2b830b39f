package gpu

import (
	"errors"
	"runtime"
	"strings"
	"testing"
	"time"
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
	for _, none := range [][]Device{nil, {broken}} {
		if _, _, err := Select(none, ""); !errors.Is(err, ErrNoDevice) {
			t.Errorf("best of %d unusable devices: %v", len(none), err)
		}
	}
}
