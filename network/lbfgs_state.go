package network

import (
	"fmt"
	"math"
	"slices"

	"gonum.org/v1/gonum/floats"
)

// An LBFGSStop is why a state has come to its end, "" if it has not.
type LBFGSStop string

// The ends.
const (
	// ZeroGradient is a gradient that is zero.
	ZeroGradient LBFGSStop = "zero gradient"
	// SmallGain is an iteration with the Wolfe conditions that lowered the loss by no
	// more than its rounding error.
	SmallGain LBFGSStop = "gain below rounding"
	// NoProgress is a line search along −g that found no loss lower by more than the
	// rounding error. (Along another direction it only clears the history.)
	NoProgress LBFGSStop = "no lower loss found"
)

// Check reports a stop that there is not.
func (s LBFGSStop) Check() error {
	if !slices.Contains([]LBFGSStop{"", ZeroGradient, SmallGain, NoProgress}, s) {
		return fmt.Errorf("stop %.80q is unknown", string(s))
	}
	return nil
}

// An LBFGSState is a run of L-BFGS between two iterations. From equal states equal
// objectives go on with the same bits. What its slices hold never changes: an iteration
// makes new ones, so that a copy of the struct is a copy of the state.
type LBFGSState struct {
	Iteration   int       `json:"iteration"`   // iterations done
	Evaluations int       `json:"evaluations"` // calls of Evaluate, the first point included
	Loss        float64   `json:"loss"`        // at Theta
	Stop        LBFGSStop `json:"stop,omitempty"`

	Theta    []float64   `json:"-"` // n parameters, as they were evaluated
	Gradient []float64   `json:"-"` // n, at Theta
	S        [][]float64 `json:"-"` // pairs × n: s of each pair, the oldest first
	Y        [][]float64 `json:"-"` // pairs × n: y of each pair
}

// copied returns a copy, nil of nil.
func (s *LBFGSState) copied() *LBFGSState {
	if s == nil {
		return nil
	}
	c := *s
	return &c
}

// Pairs returns the number of pairs in the history.
func (s *LBFGSState) Pairs() int { return len(s.S) }

// Direction returns d = −H·g, where H approximates the inverse of the Hessian from the
// k pairs of the history, the oldest being pair 1: algorithm 7.4 of Nocedal and Wright,
// the two-loop recursion. With no pairs d = −g.
//
//	q = g
//	α_i = s_iᵀq/(y_iᵀs_i),  q = q − α_i·y_i         i = k … 1
//	q = q·(s_kᵀy_k)/(y_kᵀy_k)
//	β_i = y_iᵀq/(y_iᵀs_i),  q = q + (α_i − β_i)·s_i     i = 1 … k
//	d = −q
//
// Memory limits it. So each pass over the vectors does the update of the pass before and
// then forms the next products, chunk by chunk, on all cores.
func (s *LBFGSState) Direction() []float64 {
	q, k := slices.Clone(s.Gradient), s.Pairs()
	alpha, curvature := make([]float64, k), make([]float64, k)
	late := update{scale: 1}
	for i := k - 1; i >= 0; i-- {
		y, x := s.Y[i], s.S[i]
		sums := late.pass(q, func(lo, hi int) (sums [2]float64) {
			return [2]float64{floats.Dot(x[lo:hi], q[lo:hi]), floats.Dot(y[lo:hi], x[lo:hi])}
		})
		alpha[i], curvature[i] = sums[0]/sums[1], sums[1]
		late = update{-alpha[i], y, 1}
	}
	if k > 0 {
		y := s.Y[k-1]
		square := sumInChunks(len(y), func(lo, hi int) [2]float64 { return [2]float64{floats.Dot(y[lo:hi], y[lo:hi])} })
		late.scale = curvature[k-1] / square[0]
	}
	for i := range k {
		y := s.Y[i]
		sums := late.pass(q, func(lo, hi int) [2]float64 { return [2]float64{floats.Dot(y[lo:hi], q[lo:hi])} })
		late = update{alpha[i] - sums[0]/curvature[i], s.S[i], 1}
	}
	late.scale = -1
	late.pass(q, func(int, int) (none [2]float64) { return none })
	return q
}

// An update is q ← scale·(q + factor·v).
type update struct {
	factor float64
	v      []float64 // nil for 0
	scale  float64
}

// pass updates q and then returns sums over it, chunk by chunk.
func (u update) pass(q []float64, sums func(lo, hi int) [2]float64) [2]float64 {
	return sumInChunks(len(q), func(lo, hi int) [2]float64 {
		if u.v != nil {
			floats.AddScaled(q[lo:hi], u.factor, u.v[lo:hi])
		}
		if u.scale != 1 {
			floats.Scale(u.scale, q[lo:hi])
		}
		return sums(lo, hi)
	})
}

// sumInChunks adds what f returns for each chunk of n elements. f runs on all cores, but
// the sums are added in the order of the chunks: their bits do not depend on the cores.
func sumInChunks(n int, f func(lo, hi int) [2]float64) (sum [2]float64) {
	const size = 4096 // two to four vectors of it fit the caches next to a core
	parts := make([][2]float64, (n+size-1)/size)
	Parallel(n, size, func(lo, hi int) { parts[lo/size] = f(lo, hi) })
	for _, p := range parts {
		sum[0] += p[0]
		sum[1] += p[1]
	}
	return sum
}

// curved reports whether a pair has enough positive curvature for the history.
func curved(s, y []float64) bool {
	const rootEpsilon = 1. / (1 << 26)
	return floats.Dot(s, y) > rootEpsilon*floats.Norm(s, 2)*floats.Norm(y, 2)
}

// Check reports a state, from a file say, that is none of a run with n parameters and
// this history size.
func (o LBFGSOptions) Check(s *LBFGSState, n int) error {
	o, err := o.options()
	if err == nil {
		err = s.check(n)
	}
	if err == nil && s.Pairs() > o.HistorySize {
		err = fmt.Errorf("L-BFGS state: %d pairs where the history size is %d", s.Pairs(), o.HistorySize)
	}
	return err
}

// check reports a state that is none of n parameters, whatever the options.
func (s *LBFGSState) check(n int) error {
	pairs := s.Pairs()
	switch {
	case len(s.Y) != pairs:
		return fmt.Errorf("L-BFGS state: histories s and y of %d and %d vectors: as many are expected", pairs, len(s.Y))
	case s.Iteration < pairs:
		return fmt.Errorf("L-BFGS state: %d pairs after %d iterations", pairs, s.Iteration)
	case s.Evaluations <= s.Iteration:
		return fmt.Errorf("L-BFGS state: %d evaluations for %d iterations: at least one more is expected", s.Evaluations, s.Iteration)
	case s.Stop.Check() != nil:
		return fmt.Errorf("L-BFGS state: %w", s.Stop.Check())
	case !finite(s.Loss):
		return fmt.Errorf("L-BFGS state: loss is %g", s.Loss)
	}
	vector := func(name string, v []float64) error {
		if len(v) != n {
			return fmt.Errorf("L-BFGS state: %s has %d elements where the network has %d", name, len(v), n)
		}
		if !finite(v...) {
			return fmt.Errorf("L-BFGS state: %s: an element is not finite", name)
		}
		return nil
	}
	err := vector("theta", s.Theta)
	if err == nil {
		err = vector("the gradient", s.Gradient)
	}
	for i := 0; i < pairs && err == nil; i++ {
		if err = vector(fmt.Sprintf("s of pair %d", i+1), s.S[i]); err == nil {
			err = vector(fmt.Sprintf("y of pair %d", i+1), s.Y[i])
		}
		if err == nil && !curved(s.S[i], s.Y[i]) {
			err = fmt.Errorf("L-BFGS state: pair %d of the history has no positive curvature", i+1)
		}
	}
	return err
}

func (s *LBFGSState) stopAtZeroGradient() {
	if !slices.ContainsFunc(s.Gradient, func(g float64) bool { return g != 0 }) {
		s.Stop = ZeroGradient
	}
}

func finite(v ...float64) bool {
	return !slices.ContainsFunc(v, func(x float64) bool { return math.IsNaN(x) || math.IsInf(x, 0) })
}
