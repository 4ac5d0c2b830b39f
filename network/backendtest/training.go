package backendtest

import (
	"fmt"
	"reflect"
)

// gradients checks the gradient of a whole network with two hidden layers, in
// several blocks, against central differences of the float64 loss,
//
//	(loss(θ + εeᵢ) − loss(θ − εeᵢ)) / 2ε, ε = 10⁻⁵,
//
// whose own error is about 10⁻¹⁰ of the largest element (ε² and 2⁻⁵³/ε). The
// backend's may be 200 u of it, or 10⁻⁸ where that is more. The data are such
// that no hidden sum comes near ReLU's kink within ε.
func gradients(s *session) {
	const epsilon = 1e-5
	for _, c := range []struct {
		sizes           []int
		rows, blockRows int
	}{
		{[]int{7, 13, 9, 5}, 31, 12},
		{[]int{3, 17, 5, 2}, 23, 23},
		{[]int{5, 4}, 9, 2},
	} {
		name := fmt.Sprintf("sizes %v, %d rows in blocks of %d", c.sizes, c.rows, c.blockRows)
		s.try(name, func() {
			f := newFixture(name, c.sizes, c.rows, c.blockRows)
			f.delta = s.delta
			truth := f.evaluate(f.theta)
			if truth.nearest < 10*epsilon {
				panic(fmt.Sprintf("backendtest: a hidden sum is %v from ReLU's kink", truth.nearest))
			}
			t := newTrainer(s.env, f, f.blockRows)
			loss, correct := t.evaluate()
			got := s.read(t.g)
			again, _ := t.evaluate()
			s.repeated(name, f.parameter, got, s.read(t.g))
			if s.err != nil {
				return
			}
			if loss != again {
				s.fail(name, gateRepeat, "the loss is %v, and %v in a second run", loss, again)
			}
			want := make([]float64, len(got))
			theta := append([]float64(nil), f.theta...)
			for i := range theta {
				if truth.gradient[i] == 0 && !f.isParameter(i) {
					continue // padding
				}
				at := theta[i]
				theta[i] = at + epsilon
				up := f.evaluate(theta).loss
				theta[i] = at - epsilon
				want[i] = (up - f.evaluate(theta).loss) / (2 * epsilon)
				theta[i] = at
			}
			bound, tolerance := make([]float64, len(got)), max(s.tolerance(200), 1e-8)*largest(want)
			for i := range bound {
				bound[i] = tolerance
			}
			s.bounded(name, f.parameter, got, values{hi: want}, bound)
			s.bounded(name, func(int) string { return "the loss" }, []float64{loss}, values{hi: []float64{truth.loss}},
				[]float64{max(s.tolerance(200), 1e-14) * max(1, truth.loss)})
			if abs(correct-truth.correct) > truth.unsure {
				s.fail(name, gateExact, "%d rows are correct where %d are expected", correct, truth.correct)
			}
		})
	}
}

func abs(n int) int { return max(n, -n) }

// Tolerances of a training run, relative to the loss and to the largest
// parameter. Rounding errors grow with the steps; what a sound float32 backend
// shows over 20 steps is below a fifth of these.
//
// A hidden sum on the other side of 0 would change a gradient by a whole row's
// part, so the data are such that none comes nearer to 0 than nearestSum, some
// times the float32 error of such a sum.
const (
	trainingSteps  = 20
	lossTolerance  = 100 // times u
	thetaTolerance = 100 // times u
	nearestSum     = 5e-6
)

// training checks that a training run stays beside the suite's own in float64,
// step by step, and that two fresh backends with the same plan train to the
// same bits.
func training(s *session) {
	for _, c := range []struct {
		sizes           []int
		rows, blockRows int
		alpha           float64
	}{
		{[]int{20, 33, 17, 10}, 257, 64, 0.1},
		{[]int{50, 10, 10}, 300, 300, 0.1},
		{[]int{784, 16, 10}, 131, 50, 0.01},
	} {
		if s.smallest {
			break // the verbs of a step are those of the other families
		}
		name := fmt.Sprintf("sizes %v, %d rows in blocks of %d", c.sizes, c.rows, c.blockRows)
		s.try(name, func() {
			f := newFixture(name, c.sizes, c.rows, c.blockRows)
			f.delta = s.delta
			t := newTrainer(s.env, f, f.blockRows)
			theta := append([]float64(nil), f.theta...)
			for k := range trainingSteps {
				want := f.evaluate(theta)
				if want.nearest < nearestSum {
					panic(fmt.Sprintf("backendtest: a hidden sum is %v from ReLU's kink", want.nearest))
				}
				for i, g := range want.gradient {
					theta[i] -= c.alpha * g
				}
				loss, correct := t.train(c.alpha, k+1)
				at := func(int) string { return fmt.Sprintf("the loss of step %d", k+1) }
				s.bounded(name, at, []float64{loss}, values{hi: []float64{want.loss}}, []float64{s.tolerance(lossTolerance) * want.loss})
				if s.err == nil && abs(correct-want.correct) > want.unsure {
					s.fail(name, gateExact, "%d rows are correct in step %d where %d are expected", correct, k+1, want.correct)
				}
			}
			bound, tolerance := make([]float64, len(theta)), s.tolerance(thetaTolerance)*largest(theta)
			for i := range bound {
				bound[i] = tolerance
			}
			got := s.read(t.theta)
			s.bounded(name, f.parameter, got, values{hi: theta}, bound)
			if _, nonFinite := s.records(t.recorder, 0, 1); nonFinite != 0 {
				s.fail(name, gateExact, "iteration %d is reported as not finite", nonFinite)
			}
		})
	}
	const name = "two fresh backends with one plan"
	s.try(name, func() { freshBackends(s, name) })
	optimizers(s)
}

// freshBackends trains a few steps with one plan on two backends opened for it,
// one after the other.
func freshBackends(s *session, name string) {
	rows := 500
	if s.smallest {
		rows = 20
	}
	f := newFixture(name, []int{31, 20, 10}, rows, 0)
	plan := s.plan(f.layout.Sizes, f.samples, rows)
	if s.err != nil {
		return
	}
	var thetas, losses [2][]float64
	for i := range thetas {
		b, err := s.open()
		if !s.ok(name, "open", err) {
			return
		}
		x, err := b.Prepare(f.layout.Sizes, plan)
		if !s.ok(name, "prepare", err) {
			return
		}
		e := newEnv(x, b.Info())
		t := newTrainer(e, f, plan.BlockRows)
		for k := range 3 {
			loss, _ := t.train(0.1, k+1)
			losses[i] = append(losses[i], loss)
		}
		thetas[i] = e.read(t.theta)
		e.closeAll(func(err error) { s.ok(name, "close", err) })
		s.ok(name, "close", b.Close())
		if !s.ok(name, "error", e.err) {
			return
		}
	}
	s.repeated(name, f.parameter, thetas[0], thetas[1])
	if !reflect.DeepEqual(losses[0], losses[1]) {
		s.fail(name, gateRepeat, "losses are %v on one and %v on the other", losses[0], losses[1])
	}
}
