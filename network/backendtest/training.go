package backendtest

import (
	"fmt"
	"reflect"

	"clgrad/network"
)

// A machine is a task on a backend.
type machine struct {
	task
	*env
	input    network.Input
	theta, g network.Buffer
	hidden   []network.Matrix // outputs of each layer for one block
	recorder network.Recorder
}

func newMachine(e *env, t task, blockRows int) *machine {
	m := &machine{task: t, env: e, input: e.load(t.samples, blockRows)}
	m.theta, m.g = e.filled(t.theta), e.buffer(t.layout.Len)
	for _, n := range t.layout.Sizes[1:] {
		stride := network.AlignUp(n)
		b := e.buffer(blockRows * stride)
		m.hidden = append(m.hidden, network.Matrix{Buffer: b, Rows: blockRows, Cols: n, Stride: stride})
	}
	if e.err == nil {
		m.recorder = e.recorder(len(m.input.Blocks()))
	}
	return m
}

// evaluate computes loss and gradient by the backend's verbs.
func (m *machine) evaluate() (loss float64, correct int) {
	if m.err != nil {
		return 0, 0
	}
	blocks := len(m.input.Blocks())
	for block := range blocks {
		m.do(func() error { return m.block(network.Block{Input: m.input, Index: block}) })
	}
	records, _ := m.records(m.recorder, 0, blocks)
	for _, r := range records {
		loss += r.Loss
		correct += r.Correct
	}
	return loss / float64(m.samples.Rows), correct
}

// block adds the gradient of a block, or begins with it.
func (m *machine) block(block network.Block) error {
	layers := m.layout.Layers()
	n := block.Rows()
	rows := func(l int, h []network.Matrix) network.Rows {
		if l == 0 {
			return network.Rows{Block: block}
		}
		return network.Rows{Matrix: h[l-1]}
	}
	h := make([]network.Matrix, layers)
	for l := range layers {
		h[l] = m.hidden[l].First(n)
		wSpan, bSpan := m.layout.Layer(l)
		w, b := wSpan.In(m.theta), bSpan.In(m.theta)
		act := network.ReLU
		if l == layers-1 {
			act = network.Identity
		}
		if err := m.b.Forward(rows(l, h), w, b, act, h[l]); err != nil {
			return err
		}
	}
	if err := m.b.SoftmaxCrossEntropy(h[layers-1], block, m.samples.Rows, m.recorder, block.Index); err != nil {
		return err
	}
	for l := layers - 1; l >= 0; l-- {
		wSpan, bSpan := m.layout.Layer(l)
		dw, db := wSpan.In(m.g), bSpan.In(m.g)
		if err := m.b.WeightGradient(rows(l, h), h[l], block.Index > 0, dw, db); err != nil || l == 0 {
			return err
		}
		// The derivative takes the place of the layer's input.
		if err := m.b.InputGradient(h[l], wSpan.In(m.theta), h[l-1], h[l-1]); err != nil {
			return err
		}
	}
	return nil
}

// train takes one step of descent and returns loss and correct rows before it.
func (m *machine) train(alpha float64, iteration int) (loss float64, correct int) {
	loss, correct = m.evaluate()
	m.do(func() error {
		return m.b.Update(network.Whole(m.theta), network.Whole(m.g), alpha, iteration, m.recorder)
	})
	return loss, correct
}

// gradients checks the gradient of a whole network with two hidden layers, in
// several blocks, against central differences of the float64 loss,
//
//	(loss(θ + εeᵢ) − loss(θ − εeᵢ)) / 2ε, ε = 10⁻⁵,
//
// whose own error is about 10⁻¹⁰ of the largest element (ε² and 2⁻⁵³/ε). The
// backend's may be 200 u of it, or 10⁻⁸ where that is more. The data are such
// that no hidden sum comes near ReLU's kink within ε.
func gradients(s *sheet) {
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
			t := newTask(name, c.sizes, c.rows, c.blockRows)
			t.delta = s.delta
			truth := t.evaluate(t.theta)
			if truth.nearest < 10*epsilon {
				panic(fmt.Sprintf("backendtest: a hidden sum is %v from ReLU's kink", truth.nearest))
			}
			m := newMachine(s.env, t, t.blockRows)
			loss, correct := m.evaluate()
			got := s.read(m.g)
			again, _ := m.evaluate()
			s.repeated(name, t.parameter, got, s.read(m.g))
			if s.err != nil {
				return
			}
			if loss != again {
				s.fail(name, gateRepeat, fmt.Sprintf("the loss is %v, and %v in a second run", loss, again))
			}
			want := make([]float64, len(got))
			theta := append([]float64(nil), t.theta...)
			for i := range theta {
				if truth.gradient[i] == 0 && !t.isParameter(i) {
					continue // padding
				}
				at := theta[i]
				theta[i] = at + epsilon
				up := t.evaluate(theta).loss
				theta[i] = at - epsilon
				want[i] = (up - t.evaluate(theta).loss) / (2 * epsilon)
				theta[i] = at
			}
			bound, tolerance := make([]float64, len(got)), max(s.tolerance(200), 1e-8)*largest(want)
			for i := range bound {
				bound[i] = tolerance
			}
			s.bounded(name, t.parameter, got, values{hi: want}, bound)
			s.bounded(name, func(int) string { return "the loss" }, []float64{loss}, values{hi: []float64{truth.loss}},
				[]float64{max(s.tolerance(200), 1e-14) * max(1, truth.loss)})
			if abs(correct-truth.correct) > truth.unsure {
				s.fail(name, gateExact, fmt.Sprintf("%d rows are correct where %d are expected", correct, truth.correct))
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
func training(s *sheet) {
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
			t := newTask(name, c.sizes, c.rows, c.blockRows)
			t.delta = s.delta
			m := newMachine(s.env, t, t.blockRows)
			theta := append([]float64(nil), t.theta...)
			for k := range trainingSteps {
				want := t.evaluate(theta)
				if want.nearest < nearestSum {
					panic(fmt.Sprintf("backendtest: a hidden sum is %v from ReLU's kink", want.nearest))
				}
				for i, g := range want.gradient {
					theta[i] -= c.alpha * g
				}
				loss, correct := m.train(c.alpha, k+1)
				at := func(int) string { return fmt.Sprintf("the loss of step %d", k+1) }
				s.bounded(name, at, []float64{loss}, values{hi: []float64{want.loss}}, []float64{s.tolerance(lossTolerance) * want.loss})
				if s.err == nil && abs(correct-want.correct) > want.unsure {
					s.fail(name, gateExact, fmt.Sprintf("%d rows are correct in step %d where %d are expected", correct, k+1, want.correct))
				}
			}
			bound, tolerance := make([]float64, len(theta)), s.tolerance(thetaTolerance)*largest(theta)
			for i := range bound {
				bound[i] = tolerance
			}
			got := s.read(m.theta)
			s.bounded(name, t.parameter, got, values{hi: theta}, bound)
			if _, nonFinite := s.records(m.recorder, 0, 1); nonFinite != 0 {
				s.fail(name, gateExact, fmt.Sprintf("iteration %d is reported as not finite", nonFinite))
			}
		})
	}
	const name = "two fresh backends with one plan"
	s.try(name, func() { freshBackends(s, name) })
}

// freshBackends trains a few steps with one plan on two backends opened for it,
// one after the other.
func freshBackends(s *sheet, name string) {
	rows := 500
	if s.smallest {
		rows = 20
	}
	t := newTask(name, []int{31, 20, 10}, rows, 0)
	plan := s.plan(t.layout.Sizes, t.samples, rows)
	if s.err != nil {
		return
	}
	var thetas, losses [2][]float64
	for i := range thetas {
		b, err := s.open()
		if err != nil {
			s.fail(name, "open", err.Error())
			return
		}
		x, err := b.Prepare(t.layout.Sizes, plan)
		if err != nil {
			s.fail(name, "prepare", err.Error())
			return
		}
		e := newEnv(x, b.Info())
		m := newMachine(e, t, plan.BlockRows)
		for k := range 3 {
			loss, _ := m.train(0.1, k+1)
			losses[i] = append(losses[i], loss)
		}
		thetas[i] = e.read(m.theta)
		e.closeAll(func(err error) { s.fail(name, "close", err.Error()) })
		if err := b.Close(); err != nil {
			s.fail(name, "close", err.Error())
		}
		if e.err != nil {
			s.fail(name, "error", e.err.Error())
			return
		}
	}
	s.repeated(name, t.parameter, thetas[0], thetas[1])
	if !reflect.DeepEqual(losses[0], losses[1]) {
		s.fail(name, gateRepeat, fmt.Sprintf("losses are %v on one and %v on the other", losses[0], losses[1]))
	}
}
