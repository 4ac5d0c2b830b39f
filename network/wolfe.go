package network

import (
	"math"
	"slices"
)

// A trial is a point x + t·d of a line search, φ(t) = f(x + t·d).
type trial struct {
	t     float64
	loss  float64 // φ(t), +Inf where it or anything else at the point is not finite
	slope float64 // φ'(t) = ∇f(x + t·d)ᵀ·d

	theta, gradient []float64
	number          int // of the evaluation, 0 for the start
}

// A lineSearch looks along a direction for a step t with the strong Wolfe conditions
//
//	φ(t) ≤ φ(0) + c1·t·φ'(0)
//	|φ'(t)| ≤ c2·|φ'(0)|
//
// by algorithms 3.5 and 3.6 of Nocedal and Wright, Numerical Optimization, 2nd ed.
type lineSearch struct {
	c1, c2   float64
	trials   int     // at most
	roundoff float64 // relative, of the loss
	// at returns the parameters of a step as they are evaluated.
	at func(t float64) []float64
	// evaluate completes a trial of which t and theta are set.
	evaluate func(*trial) error
}

// search starts with step t > 0 and returns a point with the strong Wolfe conditions
// and true. Otherwise it returns the lowest point with the first condition and false:
// after all trials, or once a step makes no difference to the rounded parameters or to
// the rounded loss. That point is the start itself where there was no other.
func (l *lineSearch) search(start trial, t float64) (trial, bool, error) {
	const (
		minGrowth = 1.1 // of the last increase of t, as in Moré and Thuente's search
		maxGrowth = 10  // of t, as in torch.optim.LBFGS
	)
	last := start
	for left := l.trials - 1; left >= 0; left-- {
		current := trial{t: t, theta: l.at(t)}
		if slices.Equal(current.theta, last.theta) {
			t *= maxGrowth // too short for the precision of the parameters
			continue
		}
		if err := l.evaluate(&current); err != nil {
			return trial{}, false, err
		}
		switch {
		case !l.decreases(start, current) || last.t > 0 && current.loss >= last.loss:
			return l.zoom(start, last, current, left)
		case l.flat(start, current):
			return current, true, nil
		case current.slope >= 0:
			return l.zoom(start, current, last, left)
		}
		lowest, highest := t+minGrowth*(t-last.t), maxGrowth*t
		next := cubicMinimizer(last, current)
		if math.IsNaN(next) || next <= t {
			next = highest // the cubic has no minimum ahead
		}
		t, last = min(max(next, lowest), highest), current
	}
	return last, false, nil
}

// zoom searches between two steps. Between them there are steps with the strong Wolfe
// conditions: low has the lowest loss of the trials with the first condition, and φ
// decreases from low towards high.
func (l *lineSearch) zoom(start, low, high trial, left int) (trial, bool, error) {
	const (
		margin = 0.01    // of the interval, that a trial keeps from both ends
		shrink = 2. / 3. // of the interval in two trials, else it is halved: Moré and Thuente, ACM TOMS 20(3), 1994
	)
	before := [2]float64{math.Inf(1), math.Inf(1)} // widths of the last intervals
	for ; left > 0; left-- {
		width := high.t - low.t
		if math.Abs(low.slope*width) <= l.roundoff*math.Abs(start.loss) {
			break // to first order, no more is to be gained
		}
		t := cubicMinimizer(low, high)
		switch {
		case math.IsInf(high.loss, 1):
			t = low.t + margin*width
		case math.IsNaN(t):
			t = low.t + width/2
		}
		if math.Abs(width) > shrink*before[0] {
			t = low.t + width/2
		}
		before[0], before[1] = before[1], math.Abs(width)
		a, b := low.t+margin*width, high.t-margin*width
		t = min(max(t, min(a, b)), max(a, b))

		current := trial{t: t, theta: l.at(t)}
		if slices.Equal(current.theta, low.theta) {
			break
		}
		if err := l.evaluate(&current); err != nil {
			return trial{}, false, err
		}
		if !l.decreases(start, current) || current.loss >= low.loss {
			high = current
			continue
		}
		if l.flat(start, current) {
			return current, true, nil
		}
		if current.slope*width >= 0 {
			high = low
		}
		low = current
	}
	return low, false, nil
}

// decreases is the first Wolfe condition, sufficient decrease.
func (l *lineSearch) decreases(start, p trial) bool {
	return p.loss <= start.loss+l.c1*p.t*start.slope
}

// flat is the second of the strong Wolfe conditions, curvature.
func (l *lineSearch) flat(start, p trial) bool {
	return math.Abs(p.slope) <= -l.c2*start.slope
}

// cubicMinimizer returns the minimizer of the cubic with the values and slopes of φ at
// two points, NaN where there is none: Nocedal and Wright, equation 3.59.
//
//	d1 = φ'(a) + φ'(b) − 3·(φ(a) − φ(b))/(a − b)
//	d2 = sign(b − a)·√(d1² − φ'(a)·φ'(b))
//	t = b − (b − a)·(φ'(b) + d2 − d1)/(φ'(b) − φ'(a) + 2·d2)
func cubicMinimizer(a, b trial) float64 {
	d1 := a.slope + b.slope - 3*(a.loss-b.loss)/(a.t-b.t)
	d2 := math.Copysign(math.Sqrt(d1*d1-a.slope*b.slope), b.t-a.t)
	t := b.t - (b.t-a.t)*(b.slope+d2-d1)/(b.slope-a.slope+2*d2)
	if math.IsInf(t, 0) {
		return math.NaN()
	}
	return t
}
