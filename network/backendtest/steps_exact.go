package backendtest

import (
	"fmt"
	"math/rand/v2"

	"clgrad/network"
)

// exactSteps checks whole iterations on integers, where every sum is exact.
//
// Features, and the weights and biases of hidden layers, are small integers, the weights few.
// With C a power of two of at least as many as there are classes and d a distance at which exp
// is 0, the last layer's weights are multiples of C·d and its biases are 0, d, …, (p−1)·d in
// some order. So the logits of a row are multiples of d and all different: every probability is
// 0 or 1, and the loss of a row is a multiple of d. With m a power of two every derivative is
// an integer multiple of 1/m or of C·d/m, and so are the gradients.
func exactSteps(s *session, name string, sizes []int, r network.Rule) {
	blocks := []int{131, 512, 1, 100, 64, 5}
	if s.smallest {
		blocks = []int{12, 8, 1, 5}
	}
	f, unit := newExactFixture(s, name, sizes, blocks, r.WeightDecay > 0)
	t := newStepRun(s, name, f, blocks, r)
	random := source(name + " vectors")
	integers := func() []float64 { return t.vector(func(int) float64 { return float64(random.IntN(65) - 32) }) }
	for i, n := range blocks {
		if s.err != nil {
			return
		}
		t.name = fmt.Sprintf("%s, block of %d rows", name, n)
		for k, m := range []int{1, 1024} {
			t.set(f.theta, nil)
			var before []float64
			if k == 1 {
				before = integers()
			}
			want, gradient := t.exact(i, m, unit, before)
			record, g := t.evaluate(i, m, before)
			t.equalRecord(record, want)
			s.equal(t.name, t.parameter, g, gradient)
		}
		if n&(n-1) != 0 {
			continue // 1/m has to be exact
		}
		now := [][]float64{f.theta}
		for range t.state {
			now = append(now, integers())
		}
		t.set(now[0], now[1:])
		want, gradient := t.exact(i, n, unit, nil)
		u := network.Update{Rule: r, LearningRate: 0.25, Step: 1, Iteration: 1}
		record, after := t.step(u, i, 0)
		t.equalRecord(record, want)
		for k, v := range s.exactRule(u, now, gradient) {
			if s.err == nil {
				s.equal(t.name+", "+vectorNames[k], t.parameter, after[k], v)
			}
		}
	}
}

// equalRecord is gate 2 for a record.
func (t *stepRun) equalRecord(got, want network.Record) {
	t.equal(t.name, func(int) string { return "the loss" }, []float64{got.Loss}, []float64{want.Loss})
	if t.err == nil && got.Correct != want.Correct {
		t.fail(t.name, gateExact, "%d rows are correct where %d are expected", got.Correct, want.Correct)
	}
}

// equalLogits checks that of equal logits the lowest class counts: weights are 0, and of every
// three biases of the last layer the second is 1.
func equalLogits(s *session, sizes []int) {
	const name = "equal logits"
	blocks := []int{12, 5}
	f := newStepFixture(name, sizes, blocks, true)
	clear(f.theta)
	_, b := f.layout.Layer(f.layout.Layers() - 1)
	for j := 1; j < b.Cols; j += 3 {
		b.Row(f.theta, 0)[j] = 1
	}
	for i := range f.samples.Labels {
		f.samples.Labels[i] = int32((1 + 3*(i%2)) % b.Cols)
	}
	t := newStepRun(s, name, f, blocks, network.NewRule(network.GD))
	for i, n := range blocks {
		want := 0
		_, _, labels := t.block(i)
		for _, y := range labels {
			if y == 1 {
				want++
			}
		}
		if got, _ := t.evaluate(i, n, nil); s.err == nil && got.Correct != want {
			s.fail(name, gateExact, "%d of %d rows are correct where %d are expected", got.Correct, n, want)
		}
	}
}

// newExactFixture draws a network of integers and returns it with C·d.
func newExactFixture(s *session, name string, sizes, blocks []int, doubled bool) (f fixture, unit float64) {
	r := source(name)
	f = newFixture(name, sizes, total(blocks), 0)
	f.samples.Floats = nil
	if doubled {
		f.samples.Scaling = network.Scaling{Shift: []float64{0}, Factor: []float64{2}}
	}
	f.setBytes(stepBytes(r, f.samples.Rows, sizes[0], 3))
	distance := 128.0 // exp(−128) is 0 in float32
	if !s.single {
		distance = 1024
	}
	classes := sizes[len(sizes)-1]
	unit = distance
	for c := 1; c < classes; c *= 2 {
		unit *= 2
	}
	for l := range f.layout.Layers() {
		w, b := f.layout.Layer(l)
		factor := 1.0
		if l == f.layout.Layers()-1 {
			factor = unit
		}
		clear(f.theta[w.Offset : b.Offset+b.Stride])
		for j := range w.Cols {
			for range min(w.Rows, 6) {
				w.Row(f.theta, r.IntN(w.Rows))[j] = factor * float64([]int{-1, 1, 1}[r.IntN(3)])
			}
			b.Row(f.theta, 0)[j] = float64(r.IntN(3))
		}
		if factor > 1 {
			for j, k := range r.Perm(classes) {
				b.Row(f.theta, 0)[j] = distance * float64(k)
			}
		}
	}
	f.labelHalf(r, distance)
	return f, unit
}

// labelHalf gives about half of the rows the label that the network computes.
func (f *fixture) labelHalf(r *rand.Rand, distance float64) {
	in := f.forward(f.x, distance)
	z := in[len(in)-1]
	for i := range z.rows {
		if r.IntN(2) == 0 {
			f.samples.Labels[i] = int32(top(z.row(i)))
		}
	}
}

// top returns the place of the largest number.
func top(v []float64) (at int) {
	for j, x := range v {
		if x > v[at] {
			at = j
		}
	}
	return at
}

// forward returns the input of every layer, and the logits, which are multiples of distance.
func (f fixture) forward(x dense, distance float64) (in []dense) {
	in = []dense{x}
	for l := range f.layout.Layers() {
		w, b := f.layer(l, f.theta)
		c := productCase{op: "forward"}
		o := operands{x: in[l], w: w, b: b}
		p := c.product(o)
		out := dense{x.rows, w.cols, gemm(p.a, p.b, p.c0)}
		if l < f.layout.Layers()-1 {
			exactSums(p, 1)
			c.act = network.ReLU
			c.finish(o)(out.v)
		} else {
			exactSums(p, distance)
		}
		in = append(in, out)
	}
	return in
}

// exact returns the record of a block, as part of a batch of m rows, and its gradient, added
// to what was there before.
func (t *stepRun) exact(i, m int, unit float64, before []float64) (record network.Record, gradient []float64) {
	gradient = make([]float64, t.layout.Len)
	_, x, labels := t.block(i)
	in := t.forward(x, 1)
	layers := t.layout.Layers()
	dz := newDense(x.rows, t.layout.Sizes[layers])
	for i, y := range labels {
		z := in[layers].row(i)
		best := top(z)
		record.Loss += z[best] - z[y]
		if best == int(y) {
			record.Correct++
			continue
		}
		dz.row(i)[best], dz.row(i)[y] = 1/float64(m), -1/float64(m)
	}
	step := 1 / float64(m) // what dz are multiples of
	for l := layers - 1; l >= 0; l-- {
		w, _ := t.layer(l, t.fixture.theta)
		c := productCase{op: "weight-gradient", add: before != nil}
		o := operands{x: in[l], dz: dz}
		if c.add {
			o.dw, o.db = t.layer(l, before)
		}
		t.place(l, gradient, c.product(o), step)
		if l == 0 {
			break
		}
		c.op = "input-gradient"
		o = operands{dz: dz, w: w, mask: in[l]}
		p := c.product(o)
		exactSums(p, step)
		dz = dense{x.rows, w.rows, gemm(p.a, p.b, p.c0)}
		c.finish(o)(dz.v)
		if l == layers-1 {
			step *= unit
		}
	}
	return record, gradient
}

// place puts a layer's gradient in its place.
func (t *stepRun) place(l int, gradient []float64, p product, step float64) {
	if len(p.c0.v) > 0 {
		step = min(step, 1)
	}
	exactSums(p, step)
	g := gemm(p.a, p.b, p.c0)
	w, b := t.layout.Layer(l)
	for i := range w.Rows {
		copy(w.Row(gradient, i), g[i*w.Cols:])
	}
	copy(b.Row(gradient, 0), g[w.Rows*w.Cols:])
}

// exactSums panics where partial sums of multiples of step could be rounded.
func exactSums(p product, step float64) {
	if l := largest(p.sums()) / step; l >= integerLimit {
		panic(fmt.Sprintf("backendtest: sums of integers are up to %g, too large to be exact", l))
	}
}
