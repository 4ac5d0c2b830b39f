package gpu

import (
	"fmt"

	"clgrad/kernels"
	"clgrad/network"
)

// probeBytes is the size of each of the two buffers of a bandwidth probe, larger
// than caches; a small device gives a sixteenth of its memory.
const probeBytes = 256 << 20

// Probe enqueues rounds rounds of work ([network.Prober]): kernels of nothing but
// multiply-adds in registers for the arithmetic, and copies from one buffer to
// another for the bandwidth. Neither depends on the tiles in use.
func (b *Backend) Probe(p network.Peak, rounds int) (work float64, err error) {
	if err := b.check("probe"); err != nil {
		return 0, err
	}
	probe := kernels.PeakProbe(b.s.device.Class())
	probe.Group = b.group(probe.Group)
	switch p {
	case network.Arithmetic:
		items := probe.Groups * probe.Group * max(1, b.s.device.ComputeUnits)
		to, err := b.scratch(&b.probes[0], "probe", items*probe.Width)
		if err != nil {
			return 0, err
		}
		for range rounds {
			if err := b.s.launch("probe arithmetic", probe.Program(), "arithmetic", []int{items}, []int{probe.Group},
				int32(probe.Rounds), float32(0.5), float32(1), to); err != nil {
				return 0, err
			}
		}
		return float64(rounds) * float64(items) * float64(probe.Flops()), nil
	case network.Bandwidth:
		bytes := int64(probeBytes)
		for _, limit := range []int64{b.s.device.MaxBuffer, b.s.device.Memory / 16} {
			if limit > 0 {
				bytes = min(bytes, limit)
			}
		}
		part := probe.Steps * probe.Group * probe.Width // elements of a work-group
		parts := max(1, int(bytes/4)/part)
		for i := 1; i <= 2; i++ {
			// Zeros, for memory that was never written may have no place of its own.
			if b.probes[i] == nil {
				if b.probes[i], err = b.s.zeroed("probe", 4*parts*part); err != nil {
					return 0, err
				}
			}
		}
		for range rounds {
			if err := b.s.launch("probe bandwidth", probe.Program(), "copy", []int{parts * probe.Group}, []int{probe.Group},
				b.probes[1], b.probes[2]); err != nil {
				return 0, err
			}
		}
		return float64(rounds) * 2 * 4 * float64(parts*part), nil
	}
	return 0, b.s.fail("probe", fmt.Errorf("peak %d is unknown", p))
}

// MemoryHeld returns the bytes of all buffers on the device.
func (b *Backend) MemoryHeld() (bytes int64) {
	for _, o := range b.s.objects {
		bytes += int64(o.bytes)
	}
	return bytes
}
