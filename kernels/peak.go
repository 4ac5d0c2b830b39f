package kernels

import "fmt"

// A Probe holds the parameters of peak.cl and how it is launched.
type Probe struct {
	Width  int // elements of a vector
	Chains int // vectors that a work-item computes side by side
	Steps  int // vectors that a work-item copies
	Group  int // work-items of a work-group
	Groups int // work-groups of the arithmetic, for each compute unit
	Rounds int // of the arithmetic, for some milliseconds in which a launch does not show
}

// unrolled is what peak.cl does of a round.
const unrolled = 16

// PeakProbe returns the probe for a class of device.
func PeakProbe(class Class) Probe {
	if class == CPU {
		// Two units with a latency of four need eight chains; vectors that a processor
		// has not become several.
		return Probe{Width: 16, Chains: 12, Steps: 4096, Group: 1, Groups: 4, Rounds: 8192}
	}
	return Probe{Width: 4, Chains: 4, Steps: 4, Group: 256, Groups: 32, Rounds: 512}
}

const probeFile = "peak.cl"

// Program returns the program with the kernels arithmetic and copy.
func (p Probe) Program() Program {
	return Program{File: probeFile, Options: fmt.Sprintf("-DWIDTH=%d -DCHAINS=%d -DSTEPS=%d -DITEM_COLS=%[1]d", p.Width, p.Chains, p.Steps)}
}

// Flops returns the operations of a work-item of the arithmetic.
func (p Probe) Flops() int { return 2 * p.Width * p.Chains * unrolled * p.Rounds }
