package backendtest

import (
	"fmt"
	"math"
	"math/rand/v2"

	"clgrad/network"
)

// Tolerances of 50 steps of a rule, relative to the loss and to the largest element of a
// vector. Adam divides by the root of what it remembers, so where a gradient nearly
// cancels its rounding counts for more than in plain descent. What a sound float32 backend
// shows is below a third of these.
const (
	optimizerSteps     = 50
	optimizerTolerance = 250 // times u
)

// optimizers checks whole runs of a trainer against the suite's own in float64: every
// rule, with and without weight decay, on the full batch and on shuffled batches of which the
// last is short, with every schedule. The operands' roundoff of a backend of reduced
// precision is no measure for them: what a rule makes of a gradient near 0 depends on its
// last bits. Such a backend has its gradients judged by other cases, its rules by the
// family of updates.
func optimizers(s *session) {
	if s.smallest || s.delta > 0 {
		return
	}
	schedules := []network.Schedule{
		{},
		{Shape: network.StepDown, StepSize: 12, Gamma: 0.5},
		{Shape: network.Cosine, Steps: optimizerSteps + 10, Warmup: 5},
		{Shape: network.Constant, Warmup: 20},
	}
	for i, c := range []struct {
		optimizer    network.Optimizer
		decay, alpha float64
	}{
		{network.GD, 0.02, 0.2},
		{network.Momentum, 0, 0.05},
		{network.Nesterov, 0.02, 0.05},
		{network.Momentum, 0.02, 0.05},
		{network.Adam, 0, 0.02},
		{network.Adam, 0.02, 0.02},
		{network.AdamW, 0.1, 0.02},
	} {
		d := network.Descent{Iterations: optimizerSteps, LearningRate: c.alpha, Rule: network.NewRule(c.optimizer)}
		d.Rule.WeightDecay = c.decay
		for j, schedule := range schedules {
			d.Schedule = schedule
			name := fmt.Sprintf("%s, weight decay %g, schedule %d", c.optimizer, c.decay, j+1)
			if !s.quick || j == i%len(schedules) {
				s.try(name, func() { optimized(s, name, d, 17) })
			}
			if j == 0 {
				name += ", full batch"
				s.try(name, func() { optimized(s, name, d, optimizerRows) })
			}
		}
	}
}

const optimizerRows = 40

// optimized runs one descent, in two parts.
func optimized(s *session, name string, d network.Descent, batchRows int) {
	f := newFixture("optimizers", []int{6, 5, 4}, optimizerRows, 0)
	plan, err := network.NewPlan(f.layout.Sizes, f.samples, batchRows, s.backend)
	if err != nil {
		s.err = err
		return
	}
	plan.Shuffle, plan.Seed = true, 11
	t, err := network.NewTrainer(f.layout, f.samples, plan, []network.Backend{s.backend}, nil)
	if err != nil {
		s.err = err
		return
	}
	s.made = append(s.made, t)
	if s.err = t.SetParameters(f.theta, 0); s.err != nil {
		return
	}
	var losses, want []float64
	for _, n := range []int{d.Iterations / 2, d.Iterations} {
		part := d
		part.Iterations = n
		s.do(func() error {
			return t.Descend(s.ctx, part, func(i network.Iteration) error {
				losses = append(losses, i.Loss)
				return nil
			})
		})
	}
	theta := append([]float64(nil), f.theta...)
	state := make([][]float64, d.Rule.States())
	for k := range state {
		state[k] = make([]float64, len(theta))
	}
	for i := 1; i <= d.Iterations; i++ {
		e := f.batch(plan, i).evaluate(theta)
		if e.nearest < nearestSum {
			panic(fmt.Sprintf("backendtest: a hidden sum is %v from ReLU's kink", e.nearest))
		}
		want = append(want, e.loss)
		follow(d, i, theta, e.gradient, state)
	}

	near := func(what string, at func(int) string, got, want []float64) {
		bound := make([]float64, len(want))
		for i := range bound {
			bound[i] = s.tolerance(optimizerTolerance) * largest(want)
		}
		s.bounded(name+", "+what, at, got, values{hi: want}, bound)
	}
	near("losses", func(i int) string { return fmt.Sprintf("the loss of step %d", i+1) }, losses, want)
	if s.err != nil {
		return
	}
	got, err := t.Parameters()
	if err != nil {
		s.err = err
		return
	}
	near("parameters", f.parameter, got, theta)
	after, err := t.State()
	if err != nil {
		s.err = err
		return
	}
	if len(after.Vectors) != len(state) {
		s.fail(name, gateExact, "the state has %d vectors where %d are expected", len(after.Vectors), len(state))
		return
	}
	for k := range state {
		near(fmt.Sprintf("state %d", k+1), f.parameter, after.Vectors[k], state[k])
	}
}

// batch returns the fixture of the rows of an iteration.
func (f fixture) batch(p network.Plan, iteration int) fixture {
	n := p.Batches()
	epoch, at := (iteration-1)/n, (iteration-1)%n
	b := rand.New(rand.NewPCG(p.Seed, uint64(epoch))).Perm(n)[at]
	from, end := b*p.BatchRows, min((b+1)*p.BatchRows, f.x.rows)
	f.samples.Labels = f.samples.Labels[from:end]
	f.x = dense{rows: end - from, cols: f.x.cols, v: f.x.v[from*f.x.cols : end*f.x.cols]}
	return f
}

// rate returns the learning rate of iteration t by the schedule's formula.
func rate(d network.Descent, t int) float64 {
	s := d.Schedule
	switch warmup := s.Warmup; {
	case t <= warmup:
		return d.LearningRate * float64(t) / float64(warmup)
	case s.Shape == network.StepDown:
		alpha := d.LearningRate
		for at := s.StepSize; at < t; at += s.StepSize {
			alpha *= s.Gamma
		}
		return alpha
	case s.Shape == network.Cosine:
		half := math.Cos(math.Pi / 2 * float64(t-1-warmup) / float64(s.Steps-warmup))
		return d.LearningRate * half * half
	}
	return d.LearningRate
}

// follow is update t of a rule, by its formulas, in float64.
func follow(d network.Descent, t int, theta, gradient []float64, state [][]float64) {
	r, alpha := d.Rule, rate(d, t)
	correction1, correction2 := lessPower(r.Beta1, t), lessPower(r.Beta2, t)
	for i, g := range gradient {
		decayed := g + r.WeightDecay*theta[i]
		switch r.Optimizer {
		case network.GD:
			theta[i] -= alpha * decayed
		case network.Momentum:
			state[0][i] = r.Momentum*state[0][i] + decayed
			theta[i] -= alpha * state[0][i]
		case network.Nesterov:
			state[0][i] = r.Momentum*state[0][i] + decayed
			theta[i] -= alpha * (decayed + r.Momentum*state[0][i])
		case network.Adam, network.AdamW:
			if r.Optimizer == network.AdamW {
				theta[i] -= alpha * r.WeightDecay * theta[i]
				decayed = g
			}
			m, v := &state[0][i], &state[1][i]
			*m = r.Beta1**m + (1-r.Beta1)*decayed
			*v = r.Beta2**v + (1-r.Beta2)*decayed*decayed
			mHat, vHat := *m/correction1, *v/correction2
			theta[i] -= alpha * mHat / (math.Sqrt(vHat) + r.Epsilon)
		default:
			panic(fmt.Sprintf("backendtest: no formula of optimizer %q", r.Optimizer))
		}
	}
}
