package network

import (
	"errors"
	"fmt"
	"math"
	"slices"

	"gonum.org/v1/gonum/floats"
)

// An Objective is a function of all parameters that L-BFGS minimizes.
type Objective struct {
	// Evaluate returns the loss at theta and writes its gradient to gradient, which
	// has the length of theta. It changes no parameter and keeps neither slice. Equal
	// parameters have to give equal bits.
	Evaluate func(theta, gradient []float64) (loss float64, err error)

	// Round rounds parameters to the precision in which Evaluate takes them. nil is
	// float64.
	Round func(theta []float64)

	// Roundoff is the relative rounding error of the loss: a change of at most
	// Roundoff·|loss| is none. The backend's unit roundoff u is a good value: the
	// error of a row's loss is a few u, and that of the mean over m rows is smaller,
	// by up to √m, because the rows' errors differ in sign.
	Roundoff float64
}

// LBFGSOptions are those of L-BFGS, the limited-memory BFGS method with a line search for
// the strong Wolfe conditions: algorithm 7.5 of Nocedal and Wright, Numerical
// Optimization, 2nd ed., Springer 2006. Zero is the default of each. All that changes
// is in an [LBFGSState]. [Trainer.Descend] runs it on a network; Start and Step run it on any
// [Objective].
//
// # Iteration
//
// With loss f, parameters x and g = ∇f(x), an iteration is
//
//	d = −H·g                         (LBFGSState.Direction)
//	x' = round(x + t·d)              t from the line search
//	s = x' − x,  y = ∇f(x') − g      the pair for the history
//
// The first trial of the line search is t = LearningRate. With an empty history, where
// d = −g has no scale of its own, it is min(1, 1/‖g‖₁)·LearningRate, as in
// torch.optim.LBFGS. The conditions are f(x + t·d) ≤ f(x) + C1·t·gᵀd and
// |∇f(x + t·d)ᵀd| ≤ C2·|gᵀd|. Where no trial meets both, the lowest with the first is
// taken. A trial at which parameters, loss or gradient are not finite counts as one
// that is too long.
//
// A pair enters the history if sᵀy > √ε·‖s‖·‖y‖, ε = 2⁻⁵². Otherwise its curvature is not
// positive or is lost in rounding. This is the condition of Dennis and Schnabel, Numerical
// Methods for Unconstrained Optimization and Nonlinear Equations, algorithm A9.4.1.
//
// # Rounded parameters
//
// A device takes parameters in float32, say. Here x is always a point that was
// evaluated: it is rounded, though it is held in float64. Then f, g and x belong
// together, s is the step that was really made, and y is the change of the gradient over
// just this step. (An unrounded x would let steps below its rounding add up. But its
// pairs would mix two points.) A trial that rounding leaves where it came from is not
// evaluated.
//
// # End
//
// A state that has come to its end says so in Stop, which is no error: see [LBFGSStop].
type LBFGSOptions struct {
	HistorySize    int     // pairs that are kept, default 10
	LearningRate   float64 // first trial of a line search, default 1
	C1             float64 // sufficient decrease, default 1e-4
	C2             float64 // curvature, default 0.9
	MaxEvaluations int     // of one line search, default 25
}

// An LBFGSStep is what is known of one iteration.
type LBFGSStep struct {
	Evaluations int  // calls of Evaluate
	Accepted    int  // which of them, counted from 1, is the new point; 0 if none is
	Wolfe       bool // the new point meets the strong Wolfe conditions
}

// ErrNonFiniteStart reports a first point with a loss or a gradient that is not finite.
var ErrNonFiniteStart = errors.New("loss or gradient at the first parameters is not finite")

// options returns the options with their defaults, or reports one that is out of range.
func (o LBFGSOptions) options() (LBFGSOptions, error) {
	if o.HistorySize == 0 {
		o.HistorySize = 10
	}
	if o.LearningRate == 0 {
		o.LearningRate = 1
	}
	if o.C1 == 0 {
		o.C1 = 1e-4
	}
	if o.C2 == 0 {
		o.C2 = 0.9
	}
	if o.MaxEvaluations == 0 {
		o.MaxEvaluations = 25
	}
	switch {
	case o.HistorySize < 0:
		return o, fmt.Errorf("L-BFGS: history size %d: a positive number is expected", o.HistorySize)
	case !(o.LearningRate > 0) || math.IsInf(o.LearningRate, 0):
		return o, fmt.Errorf("L-BFGS: learning rate %g: a positive number is expected", o.LearningRate)
	case !(0 < o.C1 && o.C1 < o.C2 && o.C2 < 1):
		return o, fmt.Errorf("L-BFGS: c1 = %g, c2 = %g: 0 < c1 < c2 < 1 is expected", o.C1, o.C2)
	case o.MaxEvaluations < 0:
		return o, fmt.Errorf("L-BFGS: %d evaluations of a line search: a positive number is expected", o.MaxEvaluations)
	}
	return o, nil
}

// Start evaluates f at theta, rounded, and returns the state before the first
// iteration. It returns [ErrNonFiniteStart] or an error of f.
func (o LBFGSOptions) Start(theta []float64, f Objective) (*LBFGSState, error) {
	if _, err := o.options(); err != nil {
		return nil, err
	}
	s := &LBFGSState{Theta: slices.Clone(theta), Gradient: make([]float64, len(theta)), Evaluations: 1}
	if f.Round != nil {
		f.Round(s.Theta)
	}
	loss, err := f.Evaluate(s.Theta, s.Gradient)
	if err != nil {
		return nil, err
	}
	if !finite(loss) || !finite(s.Gradient...) {
		return nil, ErrNonFiniteStart
	}
	s.Loss = loss
	s.stopAtZeroGradient()
	return s, nil
}

// Step does one iteration, which changes s, or finds that there is no better point and
// sets s.Stop. With s.Stop set it does nothing. After an error of f, which it returns, s is as
// before. The last parameters that f sees need not be those of the new point. s is one
// that Start or Step left, or that Check has passed.
func (o LBFGSOptions) Step(s *LBFGSState, f Objective) (LBFGSStep, error) {
	o, err := o.options()
	if err != nil || s.Stop != "" {
		return LBFGSStep{}, err
	}
	next, done := *s, LBFGSStep{}
	for {
		d := next.Direction()
		start := trial{loss: s.Loss, slope: floats.Dot(s.Gradient, d), theta: s.Theta, gradient: s.Gradient}
		best, wolfe := start, false
		if start.slope < 0 && finite(start.slope) {
			t := o.LearningRate
			if next.Pairs() == 0 {
				t *= min(1, 1/floats.Norm(s.Gradient, 1))
			}
			best, wolfe, err = o.along(s.Theta, d, f, &done).search(start, t)
			if err != nil {
				return LBFGSStep{}, err
			}
		}
		gains := s.Loss-best.loss > f.Roundoff*math.Abs(s.Loss)
		if wolfe || gains {
			done.Accepted, done.Wolfe = best.number, wolfe
			o.accept(&next, best)
			if !gains {
				next.Stop = SmallGain
			}
			next.stopAtZeroGradient()
			break
		}
		if next.Pairs() == 0 {
			next.Stop = NoProgress
			break
		}
		next.S, next.Y = nil, nil
	}
	next.Evaluations += done.Evaluations
	*s = next
	return done, nil
}

// along returns the line search along d from x, which counts evaluations in done.
func (o LBFGSOptions) along(x, d []float64, f Objective, done *LBFGSStep) *lineSearch {
	return &lineSearch{
		c1: o.C1, c2: o.C2, trials: o.MaxEvaluations, roundoff: f.Roundoff,
		at: func(t float64) []float64 {
			theta := floats.AddScaledTo(make([]float64, len(x)), x, t, d)
			if f.Round != nil {
				f.Round(theta)
			}
			return theta
		},
		evaluate: func(p *trial) (err error) {
			if !finite(p.theta...) {
				p.loss = math.Inf(1)
				return nil
			}
			p.gradient = make([]float64, len(x))
			if p.loss, err = f.Evaluate(p.theta, p.gradient); err != nil {
				return err
			}
			done.Evaluations++
			p.number = done.Evaluations
			// A gradient that is not finite makes the slope so.
			if p.slope = floats.Dot(p.gradient, d); !finite(p.loss, p.slope) {
				p.loss = math.Inf(1)
			}
			return nil
		},
	}
}

// accept moves s to a point and adds the pair to the history, in place of the oldest
// once it is full. It changes no slice that s had.
func (o LBFGSOptions) accept(s *LBFGSState, p trial) {
	step, change := slices.Clone(p.theta), slices.Clone(p.gradient)
	floats.Sub(step, s.Theta)
	floats.Sub(change, s.Gradient)
	s.Theta, s.Gradient, s.Loss = p.theta, p.gradient, p.loss
	s.Iteration++
	if curved(step, change) {
		from := max(0, s.Pairs()-o.HistorySize+1)
		s.S, s.Y = slices.Concat(s.S[from:], [][]float64{step}), slices.Concat(s.Y[from:], [][]float64{change})
	}
}
