package backendtest

import (
	"fmt"
	"math"
	"math/rand/v2"

	"clgrad/network"
)

// stepNetworks are those of whole iterations: one layer to four, of odd widths. A backend may
// compile programs for each, and for each rule, so they are few. The first is enough for a
// simulated device, two for a quick run.
var stepNetworks = [][]int{
	{33, 17, 10},
	{16, 33, 10, 17, 40},
	{10, 2},
	{130, 100, 1, 3},
}

// stepBlocks are the rows of batches that stand in one input, the last a short one.
func stepBlocks(s *session) []int {
	if s.smallest {
		return []int{12, 5, 1}
	}
	return []int{131, 12, 512, 1, 100, 5}
}

// steps checks whole iterations, where the executor has them.
func steps(s *session) {
	networks := stepNetworks
	switch {
	case s.smallest:
		networks = networks[:1]
	case s.quick:
		networks = networks[:2]
	}
	if !hasSteps(s, networks[0]) {
		if len(s.failures) == 0 {
			s.absent = "no whole iterations"
		}
		return
	}
	for i, sizes := range networks {
		for _, scaled := range []bool{false, true} {
			name := fmt.Sprintf("sizes %v, bytes", sizes)
			if scaled {
				name += " scaled"
			}
			f := newStepFixture(name, sizes, stepBlocks(s), scaled)
			s.try(name, func() { staged(s, name, f, stepBlocks(s)) })
		}
		name := fmt.Sprintf("sizes %v, integers", sizes)
		s.try(name, func() { exactSteps(s, name, sizes, network.NewRule(network.GD)) })
		if i == 0 {
			name := fmt.Sprintf("sizes %v, one block of 5 rows", sizes)
			s.try(name, func() { staged(s, name, newStepFixture(name, sizes, []int{5}, true), []int{5}) })
		}
	}
	sizes := networks[0]
	for _, r := range stepRules(s) {
		name := fmt.Sprintf("sizes %v, %s, weight decay %g", sizes, r.Optimizer, r.WeightDecay)
		s.try(name, func() { ruledSteps(s, name, sizes, r) })
		s.try(name+", not finite", func() { stepsNotFinite(s, name+", not finite", sizes, r) })
		if r.States() < 2 {
			r.Momentum, r.WeightDecay = 0.5, 2.5*r.WeightDecay // powers of two
			s.try(name+", integers", func() { exactSteps(s, name+", integers", sizes, r) })
		}
	}
	s.try("equal logits", func() { equalLogits(s, sizes) })
	s.try("objects that are closed", func() { closedSteps(s, sizes) })
	s.try("calls", func() { misusedSteps(s, sizes) })
}

// stepRules returns every rule of an update, with and without weight decay; for a quick run those with
// one vector of state and none, and for the smallest that without.
func stepRules(s *session) (rules []network.Rule) {
	optimizers := []network.Optimizer{network.GD, network.Momentum, network.Nesterov, network.Adam, network.AdamW}
	switch {
	case s.smallest:
		optimizers = []network.Optimizer{network.GD, network.Nesterov}
	case s.quick:
		optimizers = []network.Optimizer{network.GD, network.Nesterov, network.Adam}
	}
	for _, o := range optimizers {
		for _, decay := range []float64{0, 0.1} {
			r := network.NewRule(o)
			r.WeightDecay = decay
			rules = append(rules, r)
		}
	}
	return rules
}

// hasSteps reports whether the executor has whole iterations of a network.
func hasSteps(s *session, sizes []int) bool {
	x, ok := s.b.(network.Stepper)
	if !ok {
		return false
	}
	has := false
	s.do(func() error {
		f := newStepFixture("ability", sizes, []int{5}, false)
		in := s.load(f.samples, 5)
		if s.err != nil {
			return s.err
		}
		st, err := x.NewSteps(f.layout, f.samples, in)
		if err == nil && st != nil {
			has = true
			s.made = append(s.made, st)
		}
		return err
	})
	s.closeAll(func(err error) { s.ok("", "close", err) })
	s.ok("", "error", s.err)
	s.err = nil
	return has
}

// newStepFixture draws a network and bytes of which a fifth is not 0. Of every seven features
// one is 0 in all rows, and one in none.
func newStepFixture(name string, sizes, blocks []int, scaled bool) fixture {
	f := newFixture(name, sizes, total(blocks), 0)
	f.samples.Floats = nil
	f.setBytes(stepBytes(source(name+" bytes"), f.samples.Rows, sizes[0], 255))
	if scaled {
		f.samples.Scaling = network.Scaling{Shift: []float64{0}, Factor: []float64{1. / 255}}
	} else {
		for i, v := range f.samples.Bytes { // small numbers, so that the softmax stays soft
			f.samples.Bytes[i] = min(v, 1+v%3)
		}
	}
	f.setBytes(f.samples.Bytes)
	return f
}

// setBytes sets the features to bytes.
func (f *fixture) setBytes(v []uint8) {
	f.samples.Bytes = v
	f.x = scaled(f.samples)
}

const (
	neverFeature  = 3 // of seven, 0 in all rows
	alwaysFeature = 5 // of seven, 0 in no row
)

func stepBytes(r *rand.Rand, rows, features, most int) []uint8 {
	v := make([]uint8, rows*features)
	for i := range v {
		switch j := i % features % 7; {
		case j == neverFeature:
		case j == alwaysFeature || r.IntN(5) == 0:
			v[i] = uint8(1 + r.IntN(most))
		}
	}
	return v
}

func total(blocks []int) (sum int) {
	for _, n := range blocks {
		sum += n
	}
	return sum
}

// A stepRun is a network on the device with its whole iterations.
type stepRun struct {
	*session
	fixture
	name   string
	blocks []int
	input  network.Input
	steps  network.Steps
	theta  network.Buffer
	g      network.Buffer
	state  []network.Buffer
	rec    network.Recorder
}

// The records of a stepRun, and the one that is set.
const (
	stepRecords = 5
	stepRecord  = 3
)

// newStepRun prepares whole iterations of a fixture, with the state of a rule. s.err is set
// where there are none.
func newStepRun(s *session, name string, f fixture, blocks []int, r network.Rule) *stepRun {
	t := &stepRun{session: s, fixture: f, name: name, blocks: blocks}
	s.do(func() (err error) {
		if t.input, err = s.b.Load(f.samples, blocks); err == nil {
			s.made = append(s.made, t.input)
		}
		return err
	})
	s.do(func() (err error) {
		t.steps, err = s.b.(network.Stepper).NewSteps(f.layout, f.samples, t.input)
		switch {
		case err != nil:
			return err
		case t.steps == nil:
			return fmt.Errorf("there are no whole iterations of this network, but of others")
		}
		s.made = append(s.made, t.steps)
		return nil
	})
	t.theta, t.g, t.rec = s.filled(f.theta), s.buffer(f.layout.Len), s.recorder(stepRecords)
	for range r.States() {
		t.state = append(t.state, s.buffer(f.layout.Len))
	}
	t.begin()
	return t
}

func (t *stepRun) begin() { t.do(func() error { return t.steps.Begin(t.theta) }) }

// set writes θ and the state, and has them taken over.
func (t *stepRun) set(theta []float64, state [][]float64) {
	t.write(t.theta, theta)
	for i, v := range state {
		t.write(t.state[i], v)
	}
	t.begin()
}

// block returns a block's operand, the samples of it, and its labels.
func (t *stepRun) block(i int) (b network.Block, x dense, labels []int32) {
	first, n := total(t.blocks[:i]), t.blocks[i]
	f := t.layout.Sizes[0]
	return network.Block{Input: t.input, Index: i}, dense{n, f, t.x.v[first*f : (first+n)*f]}, t.samples.Labels[first : first+n]
}

// evaluate computes loss and gradient of a block, from the gradient before where that is not
// nil, and returns the record and the gradient.
func (t *stepRun) evaluate(i, m int, before []float64) (network.Record, []float64) {
	b, _, _ := t.block(i)
	if before != nil {
		t.write(t.g, before)
	} else {
		t.write(t.g, t.vector(func(int) float64 { return math.NaN() })) // what is replaced must not matter
	}
	t.do(func() error { return t.steps.Evaluate(b, m, t.theta, t.g, before != nil, t.rec, stepRecord) })
	return t.record(0), t.padded("the gradient", t.read(t.g))
}

// step computes an iteration, and returns the record, θ and the state.
func (t *stepRun) step(u network.Update, i, nonFinite int) (network.Record, [][]float64) {
	b, _, _ := t.block(i)
	var state []network.Vector
	for _, v := range t.state {
		state = append(state, network.Whole(v))
	}
	t.do(func() error { return t.steps.Step(u, b, t.theta, state, t.rec, stepRecord) })
	record := t.record(nonFinite)
	after := [][]float64{t.padded("the parameters", t.read(t.theta))}
	for _, v := range t.state {
		after = append(after, t.padded("the state", t.read(v)))
	}
	return record, after
}

// record returns the record that was set, and checks that no other was.
func (t *stepRun) record(nonFinite int) network.Record {
	records, got := t.records(t.rec, 0, stepRecords)
	if t.err != nil {
		return network.Record{}
	}
	for i, r := range records {
		if i != stepRecord && r != (network.Record{}) {
			t.fail(t.name, gateAround, "record %d is %+v where only record %d was set", i, r, stepRecord)
		}
	}
	if got != nonFinite {
		t.fail(t.name, gateExact, "iteration %d is reported as the first not finite where %d is expected", got, nonFinite)
	}
	return records[stepRecord]
}

// padded checks that the padding of a flat vector is zero. Where parameters are not finite it
// may not be either.
func (t *stepRun) padded(what string, v []float64) []float64 {
	for i, x := range v {
		if math.IsNaN(x-x) && t.isParameter(i) {
			return v
		}
	}
	for i, x := range v {
		if x != 0 && !t.isParameter(i) {
			t.fail(t.name, gateAround, "padding of %s: %s is %v where 0 is expected", what, t.parameter(i), x)
			break
		}
	}
	return v
}

// vector returns a flat vector of the given parameters.
func (t *stepRun) vector(of func(i int) float64) []float64 {
	v := make([]float64, t.layout.Len)
	for i := range v {
		if t.isParameter(i) {
			v[i] = of(i)
		}
	}
	return v
}

// layer returns W and b of a layer, or their gradients, counted from 0.
func (f fixture) layer(l int, flat []float64) (w, b dense) {
	ws, bs := f.layout.Layer(l)
	w, b = newDense(ws.Rows, ws.Cols), newDense(1, bs.Cols)
	for i := range w.rows {
		copy(w.row(i), ws.Row(flat, i))
	}
	copy(b.v, bs.Row(flat, 0))
	return w, b
}
