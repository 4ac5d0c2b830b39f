package backendtest

import (
	"fmt"
	"math"

	"clgrad/network"
)

// ruleUpdates checks the rules of network.Rule one update at a time, from parameters and
// state that the backend holds, against their formulas in float64. The bound is that of a
// running error analysis (Higham, Accuracy and Stability of Numerical Algorithms, 3.3):
// every factor is rounded once, every operation once, a division by 2.5 units in the last
// place and a square root by 3, as OpenCL asks for. With integers and factors of 2^k gd,
// momentum and nesterov are exact.
func ruleUpdates(s *session) {
	rule := func(o network.Optimizer, decay float64) network.Rule {
		r := network.NewRule(o)
		r.WeightDecay = decay
		return r
	}
	for _, r := range []network.Rule{
		rule(network.GD, 0.1), rule(network.Momentum, 0), rule(network.Momentum, 0.1), rule(network.Nesterov, 0), rule(network.Nesterov, 0.1),
		rule(network.Adam, 0), rule(network.Adam, 0.1), rule(network.AdamW, 0.1),
	} {
		for _, n := range []int{1, 17, 1000, 4097} {
			if s.smallest && n > 200 || s.quick && n > 1000 {
				continue
			}
			name := fmt.Sprintf("%s, weight decay %g, %d elements", r.Optimizer, r.WeightDecay, n)
			s.try(name, func() { ruleBounded(s, name, r, n) })
		}
		exact := r
		exact.Momentum, exact.WeightDecay = 0.5, r.WeightDecay*2.5
		if r.States() < 2 {
			name := fmt.Sprintf("%s of integers, weight decay %g", r.Optimizer, exact.WeightDecay)
			s.try(name, func() { ruleExact(s, name, exact, 1000) })
		}
		if r.States() > 0 {
			name := fmt.Sprintf("%s, weight decay %g, state not finite", r.Optimizer, r.WeightDecay)
			s.try(name, func() { stateNotFinite(s, name, r, 33) })
		}
	}
}

// A ruled holds the vectors of an update: θ, g, and the state.
type ruled struct {
	s       *session
	n       int
	buffers []network.Buffer
	rec     network.Recorder
}

func newRuled(s *session, r network.Rule, n int) ruled {
	v := ruled{s: s, n: n, rec: s.recorder(1)}
	for range 2 + r.States() {
		v.buffers = append(v.buffers, s.filled(make([]float64, n)))
	}
	return v
}

// update runs one update and returns θ and the state after it.
func (v ruled) update(u network.Update) (after [][]float64) {
	if v.s.err != nil {
		return nil
	}
	var state []network.Vector
	for _, b := range v.buffers[2:] {
		state = append(state, network.Whole(b))
	}
	v.s.do(func() error {
		return v.s.b.Update(u, network.Whole(v.buffers[0]), network.Whole(v.buffers[1]), state, v.rec)
	})
	for i, b := range v.buffers {
		if i != 1 {
			after = append(after, v.s.read(b))
		}
	}
	return after
}

func ruleBounded(s *session, name string, r network.Rule, n int) {
	v, random := newRuled(s, r, n), source(name)
	now := make([][]float64, 1+r.States())
	for i := range now {
		now[i] = make([]float64, n)
	}
	for i := range n {
		now[0][i] = s.round(random.NormFloat64())
	}
	set := func() {
		if s.err != nil {
			return
		}
		s.write(v.buffers[0], now[0])
		for i, values := range now[1:] {
			s.write(v.buffers[2+i], values)
		}
	}
	set()
	// From the second step on the state is that of steps before. Step 1000 looks at the
	// bias correction far on.
	for i, step := range []int{1, 2, 3, 1000} {
		g := make([]float64, n)
		for j := range g {
			g[j] = s.round(random.NormFloat64() * math.Exp2(10*random.Float64()-5))
		}
		if s.err != nil {
			return
		}
		s.write(v.buffers[1], g)
		u := network.Update{Rule: r, LearningRate: 0.03, Step: step, Iteration: i + 1}
		got := v.update(u)
		if i == 1 { // again, from the same numbers
			set()
			for j, again := range v.update(u) {
				s.repeated(name, element, got[j], again)
			}
		}
		if s.err != nil {
			return
		}
		judgeRule(s, fmt.Sprintf("%s, step %d", name, step), element, u, now, g, got)
		s.equal(name, func(i int) string { return fmt.Sprintf("gradient element %d", i) }, s.read(v.buffers[1]), g)
		if _, nonFinite := s.records(v.rec, 0, 1); nonFinite != 0 {
			s.fail(name, gateExact, "iteration %d is reported as not finite, all values are finite", nonFinite)
		}
		now = got
	}
}

// vectorNames are those of θ and the state.
var vectorNames = [...]string{"parameters", "first state", "second state"}

// judgeRule judges θ and the state after an update from now by the gradient g.
func judgeRule(s *session, name string, at func(int) string, u network.Update, now [][]float64, g []float64, got [][]float64) {
	want, bound := make([]values, len(got)), make([][]float64, len(got))
	for k := range got {
		want[k].hi, bound[k] = make([]float64, len(g)), make([]float64, len(g))
	}
	for j := range g {
		e := approximate{s.u}
		x := []approx{{now[0][j], 0}}
		for _, state := range now[1:] {
			x = append(x, approx{state[j], 0})
		}
		for k, a := range e.rule(u, x, approx{g[j], 0}) {
			want[k].hi[j] = a.v
			bound[k][j] = 1.01*a.e + 16*s.tiny()
			if !s.single {
				bound[k][j] *= 2 // the truth is in float64 too
			}
		}
	}
	for k := range got {
		s.bounded(name+", "+vectorNames[k], at, got[k], want[k], bound[k])
	}
}

// ruleExact checks a rule whose factors are powers of two, on integers.
func ruleExact(s *session, name string, r network.Rule, n int) {
	v, random := newRuled(s, r, n), source(name)
	now := make([][]float64, 2+r.States())
	for k := range now {
		now[k] = make([]float64, n)
		for i := range n {
			now[k][i] = float64(8 * (random.IntN(1<<16) - 1<<15))
		}
		if s.err != nil {
			return
		}
		s.write(v.buffers[k], now[k])
	}
	u := network.Update{Rule: r, LearningRate: 2, Step: 1, Iteration: 1}
	want := s.exactRule(u, append([][]float64{now[0]}, now[2:]...), now[1])
	got := v.update(u)
	for k := range got {
		s.equal(name, element, got[k], want[k])
	}
}

// exactRule returns θ and the state after an update of gd, momentum or nesterov, whose factors
// are powers of two, from now by the gradient g. Products are exact then, so every sum rounds
// once, with fused operations or without.
func (s *session) exactRule(u network.Update, now [][]float64, g []float64) (want [][]float64) {
	for range now {
		want = append(want, make([]float64, len(g)))
	}
	for i, x := range now[0] {
		d := s.round(g[i] + u.WeightDecay*x)
		step := d
		if u.States() > 0 {
			step = s.round(u.Momentum*now[1][i] + d)
			want[1][i] = step
			if u.Optimizer == network.Nesterov {
				step = s.round(d + u.Momentum*step)
			}
		}
		want[0][i] = s.round(x - u.LearningRate*step)
	}
	return want
}

// stateNotFinite checks that a state that is not finite is seen, from the step on in which it
// is so.
func stateNotFinite(s *session, name string, r network.Rule, n int) {
	v := newRuled(s, r, n)
	for k := range r.States() {
		if s.err != nil {
			return
		}
		for _, bad := range []float64{math.NaN(), math.Inf(1)} {
			rec := s.recorder(1)
			v.rec = rec
			for step, value := range []float64{0, bad, 0} {
				values := make([]float64, n)
				values[n-1] = value
				s.write(v.buffers[0], make([]float64, n))
				s.write(v.buffers[2+k], values)
				v.update(network.Update{Rule: r, LearningRate: 0.1, Step: step + 1, Iteration: step + 1})
				want := 0
				if step > 0 {
					want = 2
				}
				if _, got := s.records(rec, 0, 1); s.err == nil && got != want {
					s.fail(name, gateExact, "state %d of %v: iteration %d is reported as the first not finite where %d is expected", k+1, bad, got, want)
				}
			}
		}
	}
}

// An approx is a number and a bound of the error of what a backend has for it.
type approx struct{ v, e float64 }

// approximate computes with the unit roundoff u.
type approximate struct{ u float64 }

func (a approximate) rounded(v, e, units float64) approx {
	return approx{v, e + units*a.u*(math.Abs(v)+e)}
}

func (a approximate) factor(v float64) approx { return a.rounded(v, 0, 1) }

func (a approximate) add(x, y approx) approx { return a.rounded(x.v+y.v, x.e+y.e, 1) }

func (a approximate) mul(x, y approx) approx {
	return a.rounded(x.v*y.v, math.Abs(x.v)*y.e+math.Abs(y.v)*x.e+x.e*y.e, 1)
}

func (a approximate) div(x, y approx) approx {
	q := x.v / y.v
	return a.rounded(q, (x.e+math.Abs(q)*y.e)/(math.Abs(y.v)-y.e), 5)
}

func (a approximate) sqrt(x approx) approx {
	return a.rounded(math.Sqrt(x.v), math.Sqrt(x.v+x.e)-math.Sqrt(max(0, x.v-x.e)), 6)
}

// lessPower returns 1 − βᵗ, which cancels in float64 where β is near 1.
func lessPower(beta float64, t int) float64 {
	p := newBig(1)
	for range t {
		p.Mul(p, newBig(beta))
	}
	v, _ := p.Sub(newBig(1), p).Float64()
	return v
}

// rule returns θ and the state after an update, x holding those before it.
func (a approximate) rule(u network.Update, x []approx, d approx) []approx {
	minus := func(x approx) approx { return approx{-x.v, x.e} }
	alpha, decay := u.LearningRate, a.factor(u.WeightDecay)
	if u.Optimizer == network.AdamW {
		x[0] = a.mul(x[0], a.factor(1-alpha*u.WeightDecay))
	} else if u.WeightDecay != 0 {
		d = a.add(d, a.mul(decay, x[0]))
	}
	step := d
	switch u.Optimizer {
	case network.Momentum, network.Nesterov:
		mu := a.factor(u.Momentum)
		x[1] = a.add(a.mul(mu, x[1]), d)
		if step = x[1]; u.Optimizer == network.Nesterov {
			step = a.add(d, a.mul(mu, x[1]))
		}
	case network.Adam, network.AdamW:
		x[1] = a.add(a.mul(a.factor(u.Beta1), x[1]), a.mul(a.factor(1-u.Beta1), d))
		x[2] = a.add(a.mul(a.factor(u.Beta2), x[2]), a.mul(a.mul(a.factor(1-u.Beta2), d), d))
		alpha /= lessPower(u.Beta1, u.Step)
		root := a.factor(1 / math.Sqrt(lessPower(u.Beta2, u.Step)))
		step = a.div(x[1], a.add(a.mul(a.sqrt(x[2]), root), a.factor(u.Epsilon)))
	}
	x[0] = a.add(x[0], minus(a.mul(a.factor(alpha), step)))
	return x
}
