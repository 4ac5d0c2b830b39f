package gpu

import (
	"fmt"
	"time"

	"clgrad/kernels"
	"clgrad/network"
)

// probeBytes is the size of each of the two buffers of a bandwidth probe, larger
// than caches; a small device gives a sixteenth of its memory.
const probeBytes = 256 << 20

// Probe runs rounds rounds of work ([network.Prober]): kernels of nothing but
// multiply-adds in registers for the arithmetic, and copies from one buffer to
// another for the bandwidth. Neither depends on a plan.
func (b *Backend) Probe(p network.Peak, rounds int) (work float64, took time.Duration, err error) {
	if err := b.check("probe"); err != nil {
		return 0, 0, err
	}
	if b.probe == nil {
		b.probe = b.executor(b.config, nil, network.ShardPlan{})
	}
	e := b.probe
	probe := kernels.PeakProbe(b.s.device.Class())
	probe.Group = e.group(probe.Group)
	kernel, global := "arithmetic", probe.Groups*probe.Group*max(1, b.s.device.ComputeUnits)
	a := e.arguments()
	switch p {
	case network.Arithmetic:
		to, err := e.scratch(&e.losses, "probe", global*probe.Width)
		if err != nil {
			return 0, 0, err
		}
		a.ints(probe.Rounds).float(0.5).float(1).buffers(to)
		work = float64(global) * float64(probe.Flops())
	case network.Bandwidth:
		bytes := int64(probeBytes)
		for _, limit := range []int64{b.s.device.MaxBuffer, b.s.device.Memory / 16} {
			if limit > 0 {
				bytes = min(bytes, limit)
			}
		}
		part := probe.Steps * probe.Group * probe.Width // elements of a work-group
		parts := max(1, int(bytes/4)/part)
		for _, o := range []**object{&e.partial, &e.affine} {
			// Zeros, for memory that was never written may have no place of its own.
			if *o == nil {
				if *o, err = e.zeroed("probe", 4*parts*part); err != nil {
					return 0, 0, err
				}
			}
		}
		kernel, global = "copy", parts*probe.Group
		a.buffers(e.partial, e.affine)
		work = 2 * 4 * float64(parts*part)
	default:
		return 0, 0, b.s.fail("probe", fmt.Errorf("peak %d is unknown", p))
	}
	l, err := e.launch(launchKey{kernel: kernel, operation: "probe " + kernel}, false,
		func() (kernels.Program, []int) { return probe.Program(), []int{probe.Group} })
	if err != nil {
		return 0, 0, err
	}
	if err := b.s.finish(); err != nil {
		return 0, 0, err
	}
	begin := time.Now()
	for range rounds {
		if err := l.run(a, global); err != nil {
			return 0, 0, err
		}
	}
	err = b.s.finish()
	return float64(rounds) * work, time.Since(begin), err
}

// MemoryHeld returns the bytes of all buffers on the device.
func (b *Backend) MemoryHeld() (bytes int64) {
	for _, o := range b.s.objects {
		bytes += int64(o.bytes)
	}
	return bytes
}
