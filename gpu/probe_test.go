package gpu

import (
	"fmt"
	"slices"
	"testing"
	"unsafe"

	"clgrad/kernels"
	"clgrad/network"
)

var (
	_ network.Prober      = (*Backend)(nil)
	_ network.MemoryMeter = (*Backend)(nil)
	_ network.Profiler    = (*Backend)(nil)
)

// What a probe says it did is what it did: every work-item's chains ran to the
// end that kernels/peak.cl names, and every element was copied.
func TestProbe(t *testing.T) {
	var both []Device // every device with the probes of either class
	for _, d := range usableDevices(t) {
		for _, kind := range []string{"CPU", "GPU"} {
			d.Type = kind
			both = append(both, d)
		}
	}
	for _, d := range both {
		t.Run(d.ID()+"/"+d.Type, func(t *testing.T) {
			d.Memory = 64 << 20 // small buffers
			b, err := Open(d, Options{})
			if err != nil {
				t.Fatal(err)
			}
			defer b.Close()
			if err := b.StartProfile(); err != nil {
				t.Fatal(err)
			}
			read := func(o *object) []float32 {
				v := make([]float32, o.bytes/4)
				if err := b.s.read(o, 0, unsafe.Pointer(&v[0]), o.bytes); err != nil {
					t.Fatal(err)
				}
				return v
			}
			if w, _, err := b.Probe(network.Arithmetic, 2); err != nil || w <= 0 {
				t.Fatalf("arithmetic: %g, %v", w, err)
			}
			probe := kernels.PeakProbe(d.Class())
			for i, v := range read(b.probe.losses) {
				if v != float32(2*probe.Chains) {
					t.Fatalf("work-item %d ends at %g: %d is expected", i/probe.Width, v, 2*probe.Chains)
				}
			}

			if _, _, err := b.Probe(network.Bandwidth, 1); err != nil {
				t.Fatal(err)
			}
			want := read(b.probe.partial)
			for i := range want {
				want[i] = float32(i % 1000003)
			}
			if err := b.s.write(b.probe.partial, 0, unsafe.Pointer(&want[0]), 4*len(want)); err != nil {
				t.Fatal(err)
			}
			w, took, err := b.Probe(network.Bandwidth, 3)
			if err != nil || took <= 0 || w != float64(3*2*4*len(want)) {
				t.Errorf("bandwidth: %g bytes, %v: 3 copies of %d are expected", w, err, 4*len(want))
			}
			if got := read(b.probe.affine); !slices.Equal(got, want) {
				t.Error("the copy differs")
			}
			if held := b.MemoryHeld(); held != int64(b.probe.losses.bytes+8*len(want)) {
				t.Errorf("%d bytes held with probes of %d and 2 × %d", held, b.probe.losses.bytes, 4*len(want))
			}
			if _, _, err := b.Probe(2, 1); err == nil {
				t.Error("a third peak is no error")
			}
			times, err := b.Profile()
			if got := fmt.Sprint(times); err != nil || len(times) != 2 || times[0].Launches != 2 || times[1].Launches != 4 {
				t.Errorf("profile %s, %v", got, err)
			}
		})
	}
}
