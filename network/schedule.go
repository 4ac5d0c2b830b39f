package network

import (
	"fmt"
	"math"
)

// A Shape is how a learning rate changes from step to step.
type Shape string

// The shapes. [Schedule] has the formulas.
const (
	Constant Shape = "constant"
	StepDown Shape = "step"
	Cosine   Shape = "cosine"
)

// A Schedule says which share of the learning rate each update takes. With t the number of
// the iteration, counted from 1, W that of warm-up steps and T the horizon it is
//
//	t/W                              up to t = W
//	1                                constant
//	γ^⌊(t−1)/S⌋                      step, S being StepSize
//	(1 + cos(π(t−1−W)/(T−W))) / 2    cosine, up to t = T
//
// Step and cosine are torch.optim.lr_scheduler's StepLR and CosineAnnealingLR with a step an
// update; cosine is of Loshchilov and Hutter, arXiv 1608.03983, the warm-up of Goyal et al.,
// arXiv 1706.02677. The zero Schedule is constant.
type Schedule struct {
	Shape    Shape
	Steps    int     // T of cosine
	StepSize int     // S of step
	Gamma    float64 // γ of step
	Warmup   int     // W
}

// Check reports what is out of its range, and a cosine schedule that ends before the given
// number of iterations.
func (s Schedule) Check(iterations int) error {
	if s.Warmup < 0 {
		return fmt.Errorf("warm-up of %d steps: 0 or more are expected", s.Warmup)
	}
	switch s.Shape {
	case "", Constant:
		return nil
	case StepDown:
		if s.StepSize < 1 {
			return fmt.Errorf("step size of the schedule is %d: 1 or more is expected", s.StepSize)
		}
		if !(s.Gamma > 0 && s.Gamma <= 1) {
			return fmt.Errorf("gamma of the schedule is %g: more than 0, and 1 at most, is expected", s.Gamma)
		}
		return nil
	case Cosine:
		if s.Steps <= s.Warmup {
			return fmt.Errorf("cosine schedule of %d steps: more than the %d of the warm-up are expected", s.Steps, s.Warmup)
		}
		if iterations > s.Steps {
			return fmt.Errorf("%d iterations by a cosine schedule of %d steps: as many at most are possible", iterations, s.Steps)
		}
		return nil
	}
	return fmt.Errorf("schedule %.80q is unknown: %s, %s or %s is expected", s.Shape, Constant, StepDown, Cosine)
}

// Share returns the share of the learning rate that an iteration takes.
func (s Schedule) Share(iteration int) float64 {
	if iteration <= s.Warmup {
		return float64(iteration) / float64(s.Warmup)
	}
	switch s.Shape {
	case StepDown:
		return math.Pow(s.Gamma, float64((iteration-1)/s.StepSize))
	case Cosine:
		return (1 + math.Cos(math.Pi*float64(iteration-1-s.Warmup)/float64(s.Steps-s.Warmup))) / 2
	}
	return 1
}
