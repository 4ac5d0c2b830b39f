package network

import (
	"errors"
	"fmt"
	"math"
	"strings"
)

// An Optimizer names a rule by which parameters follow a gradient.
type Optimizer string

// The optimizers. [Rule] has their formulas.
const (
	GD       Optimizer = "gd"
	Momentum Optimizer = "momentum"
	Nesterov Optimizer = "nesterov"
	Adam     Optimizer = "adam"
	AdamW    Optimizer = "adamw"
	LBFGS    Optimizer = "lbfgs"
)

// Optimizers returns all of them.
func Optimizers() []Optimizer { return []Optimizer{GD, Momentum, Nesterov, Adam, AdamW, LBFGS} }

// A Rule is an optimizer with its hyper-parameters. With θ the parameters, g their
// gradient, α the learning rate, λ the weight decay and t the number of the update,
// counted from 1, an update computes element by element:
//
//	gd        θ ← θ − α·(g + λθ)
//	momentum  d = g + λθ,  v ← μv + d,  θ ← θ − αv
//	nesterov  d = g + λθ,  v ← μv + d,  θ ← θ − α(d + μv)
//	adam      d = g + λθ,  m ← β₁m + (1−β₁)d,  v ← β₂v + (1−β₂)d²,
//	          θ ← θ − α/(1−β₁ᵗ) · m / (√v/√(1−β₂ᵗ) + ε)
//	adamw     as adam with d = g, after θ ← θ − αλθ
//
// The vectors v, or m and v, are the rule's state, 0 before the first update. These are
// the formulas and defaults of torch.optim.SGD (without dampening), Adam (Kingma and Ba,
// arXiv 1412.6980) and AdamW (Loshchilov and Hutter, arXiv 1711.05101). Weight decay takes
// in biases, as there.
//
// lbfgs is no such update: an iteration evaluates the loss of the whole training set at
// several points. [LBFGSOptions] has its formulas. Here α is the first step that its line
// search tries, 1 being the usual one, and weight decay adds λ/2·‖θ‖² to the loss that it
// minimizes.
type Rule struct {
	Optimizer   Optimizer
	Momentum    float64 // μ, of momentum and nesterov
	Beta1       float64 // β₁, of adam and adamw
	Beta2       float64 // β₂
	Epsilon     float64 // ε
	WeightDecay float64 // λ
	HistorySize int     // of lbfgs: pairs that are kept
}

// NewRule returns an optimizer with PyTorch's defaults, but with a momentum of 0.9,
// where PyTorch has none, and with a history of 10 pairs, where PyTorch has 100.
func NewRule(o Optimizer) Rule {
	r := Rule{Optimizer: o}
	switch o {
	case Momentum, Nesterov:
		r.Momentum = 0.9
	case Adam, AdamW:
		r.Beta1, r.Beta2, r.Epsilon = 0.9, 0.999, 1e-8
		if o == AdamW {
			r.WeightDecay = 0.01
		}
	case LBFGS:
		r.HistorySize = 10
	}
	return r
}

// DefaultLearningRate returns the α that suits an optimizer where nothing is known of the
// data: 0.5 for plain descent, 0.1 with momentum (the step then adds up to 1/(1−μ) times as
// much), for adam and adamw 0.001, which is PyTorch's default and that of Kingma and Ba, and 1
// for lbfgs, whose line search starts there.
func DefaultLearningRate(o Optimizer) float64 {
	switch o {
	case Momentum, Nesterov:
		return 0.1
	case Adam, AdamW:
		return 0.001
	case LBFGS:
		return 1
	}
	return 0.5
}

// States returns how many vectors of state the rule has on a device. lbfgs has none there.
func (r Rule) States() int {
	switch r.Optimizer {
	case Momentum, Nesterov:
		return 1
	case Adam, AdamW:
		return 2
	}
	return 0
}

// Stateful reports whether the rule remembers anything from one iteration to the next: to go
// on with a run its [State] is needed.
func (r Rule) Stateful() bool { return r.States() > 0 || r.Optimizer == LBFGS }

// Check reports hyper-parameters out of their range. Those that the optimizer does not
// have are of no matter.
func (r Rule) Check() error {
	share := func(name string, v float64) error {
		if !(v >= 0 && v < 1) {
			return fmt.Errorf("%s is %g: a number from 0 up to, but not, 1 is expected", name, v)
		}
		return nil
	}
	if !(r.WeightDecay >= 0) || math.IsInf(r.WeightDecay, 0) {
		return fmt.Errorf("weight decay is %g: a number of at least 0 is expected", r.WeightDecay)
	}
	switch r.Optimizer {
	case GD:
		return nil
	case Momentum, Nesterov:
		return share("momentum", r.Momentum)
	case Adam, AdamW:
		// 1e-30 is well within float32, where ε has to be more than 0.
		if !(r.Epsilon >= 1e-30) || math.IsInf(r.Epsilon, 0) {
			return fmt.Errorf("epsilon is %g: a number of at least 1e-30 is expected", r.Epsilon)
		}
		return errors.Join(share("beta1", r.Beta1), share("beta2", r.Beta2))
	case LBFGS:
		if r.HistorySize < 1 {
			return fmt.Errorf("history size is %d: 1 or more is expected", r.HistorySize)
		}
		return nil
	}
	var names []string
	for _, o := range Optimizers() {
		names = append(names, string(o))
	}
	return fmt.Errorf("optimizer %.80q is unknown: one of %s is expected", r.Optimizer, strings.Join(names, ", "))
}

// An Update is one use of a rule other than lbfgs.
type Update struct {
	Rule
	LearningRate float64 // α
	Step         int     // t, from 1: the number of updates since the state was 0
	Iteration    int     // what a recorder remembers where numbers are not finite, from 1
}

// Factors are what an update multiplies with, computed in float64 and rounded to a
// backend's precision:
//
//	gd, momentum, nesterov  Rate = α, Decay = λ, Keep1 = μ
//	adam, adamw             Rate = α/(1−β₁ᵗ), Decay = λ, for adamw 1−αλ,
//	                        Keep1 = β₁, Take1 = 1−β₁, Keep2 = β₂, Take2 = 1−β₂,
//	                        Root = 1/√(1−β₂ᵗ), Epsilon = ε
type Factors struct {
	Rate, Decay, Keep1, Take1, Keep2, Take2, Root, Epsilon float64
}

// Factors returns those of the update.
func (u Update) Factors() Factors {
	f := Factors{Rate: u.LearningRate, Decay: u.WeightDecay, Keep1: u.Momentum}
	if u.States() < 2 {
		return f
	}
	t := float64(u.Step)
	f.Rate /= -math.Expm1(t * math.Log(u.Beta1))
	f.Keep1, f.Take1, f.Keep2, f.Take2 = u.Beta1, 1-u.Beta1, u.Beta2, 1-u.Beta2
	f.Root = 1 / math.Sqrt(-math.Expm1(t*math.Log(u.Beta2)))
	f.Epsilon = u.Epsilon
	if u.Optimizer == AdamW {
		f.Decay = 1 - u.LearningRate*u.WeightDecay
	}
	return f
}
