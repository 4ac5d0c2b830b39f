package backendtest

import (
	"fmt"
	"math"

	"clgrad/network"
)

// staged judges every stage of every block of an input: of Evaluate, alone and added, and of
// the evaluation after a step; and that the step is the rule's.
func staged(s *session, name string, f fixture, blocks []int) {
	rule := network.NewRule(network.GD)
	t := newStepRun(s, name, f, blocks, rule)
	r := source(name + " before")
	for i := range blocks {
		if s.err != nil {
			return
		}
		t.name = fmt.Sprintf("%s, block of %d rows", name, blocks[i])
		t.set(f.theta, nil)
		m := []int{blocks[i], 60000, 3*blocks[i] + 1}[i%3]
		before := t.vector(func(int) float64 { return s.round(r.NormFloat64() / 64) })
		t.evaluated(i, m, nil)
		t.evaluated(i, m, before)

		// Of a step the gradient is not kept; the evaluation is that of a whole batch.
		_, g := t.evaluate(i, blocks[i], nil)
		u := network.Update{Rule: rule, LearningRate: 0.3, Step: 1, Iteration: 4}
		record, after := t.step(u, i, 0)
		if s.err != nil {
			return
		}
		again, next := t.evaluate(i, blocks[i], nil)
		judgeRule(s, t.name+", step", t.parameter, u, [][]float64{f.theta}, g, after)
		t.judge(i, blocks[i], after[0], nil, again, next)
		t.set(after[0], nil)
		taken, same := t.evaluate(i, blocks[i], nil)
		s.repeated(t.name+", after a step and after Begin", t.parameter, next, same)
		if s.err == nil && taken != again {
			s.fail(t.name, gateRepeat, "after a step the record is %+v, and %+v after Begin", again, taken)
		}
		t.set(f.theta, nil)
		second, repeated := t.step(u, i, 0)
		s.repeated(t.name+", step", t.parameter, after[0], repeated[0])
		if s.err == nil && record != second {
			s.fail(t.name, gateRepeat, "the record of a step is %+v, and %+v in a second run", record, second)
		}
	}
}

// evaluated judges Evaluate of a block, and that it gives the same bits again and leaves θ.
func (t *stepRun) evaluated(i, m int, before []float64) {
	record, g := t.evaluate(i, m, before)
	t.judge(i, m, t.fixture.theta, before, record, g)
	again, second := t.evaluate(i, m, before)
	t.repeated(t.name, t.parameter, g, second)
	if t.err == nil && record != again {
		t.fail(t.name, gateRepeat, "the record is %+v, and %+v in a second run", record, again)
	}
	if t.err != nil {
		return
	}
	if now := t.read(t.theta); firstDifference(now, t.fixture.theta) >= 0 {
		t.fail(t.name, gateAround, "an evaluation changes the parameters")
	}
}

// judge judges the stages of the last block, which was evaluated with θ as part of a batch of
// m rows, by those before them.
func (t *stepRun) judge(i, m int, theta, before []float64, record network.Record, g []float64) {
	b, x, labels := t.block(i)
	stages, ok := t.steps.(network.Stages)
	if t.err != nil || !ok {
		return
	}
	hs, dzs := stages.Stages(b)
	layers := t.layout.Layers()
	if len(hs) != layers-1 || len(dzs) != layers {
		t.fail(t.name, gateExact, "there are %d outputs and %d derivatives where %d and %d are expected", len(hs), len(dzs), layers-1, layers)
		return
	}
	in := []dense{x} // of each layer
	for l, h := range hs {
		in = append(in, t.stage(fmt.Sprintf("output of layer %d", l+1), h, x.rows, t.layout.Sizes[l+1]))
	}
	var dz []dense
	for l, d := range dzs {
		dz = append(dz, t.stage(fmt.Sprintf("derivative of layer %d", l+1), d, x.rows, t.layout.Sizes[l+1]))
	}
	if t.err != nil {
		return
	}
	for l := range layers {
		w, bias := t.layer(l, theta)
		c := productCase{op: "forward", kind: normal, act: network.ReLU, blockRows: x.rows, shape: shape{x.rows, w.rows, w.cols}}
		name := fmt.Sprintf("%s, layer %d", t.name, l+1)
		affine := l == 0 && isAffine(t.input)
		if l < layers-1 {
			c.judge(t.session, name+", forward", operands{x: in[l], w: w, b: bias}, in[l+1].v, affine)
		} else {
			t.judgeLoss(c.product(operands{x: in[l], w: w, b: bias}), labels, m, dz[l].v, record)
		}
		if c.op = "input-gradient"; l > 0 {
			c.judge(t.session, name+", input gradient", operands{dz: dz[l], w: w, mask: in[l]}, dz[l-1].v, false)
		}
		c.op = "weight-gradient"
		o := operands{x: in[l], dz: dz[l]}
		if c.add = before != nil; c.add {
			o.dw, o.db = t.layer(l, before)
		}
		dw, db := t.layer(l, g)
		c.judge(t.session, name+", weight gradient", o, append(dw.v, db.v...), affine)
	}
}

// stage reads a stage and checks that its padding is zero.
func (t *stepRun) stage(what string, m network.Matrix, rows, cols int) dense {
	d := newDense(rows, cols)
	if t.err != nil {
		return d
	}
	if m.Rows != rows || m.Cols != cols || m.Stride < cols {
		t.err = fmt.Errorf("%s is %dx%d, of stride %d, where %dx%d is expected", what, m.Rows, m.Cols, m.Stride, rows, cols)
		return d
	}
	v := make([]float64, rows*m.Stride)
	t.do(func() error { return t.b.Read(m.Buffer, m.Offset, v) })
	for i := range rows {
		copy(d.row(i), v[i*m.Stride:])
		for j, x := range v[i*m.Stride+cols : (i+1)*m.Stride] {
			if x != 0 {
				t.fail(t.name, gateAround, "padding: element (%d, %d) of the %s, beyond its %d columns, is %v where 0 is expected", i, cols+j, what, cols, x)
				return d
			}
		}
	}
	return d
}

// judgeLoss judges dz = (softmax(z) − onehot(y))/m, the loss and the correct rows by the
// product z, of which the backend has ẑ, with |ẑ_j − z_j| ≤ ε_j by the bound of products. The
// bound of the softmax (softmaxCase) holds for ẑ. With ε the largest ε_j of a row,
//
//	|log Σ exp ẑ − log Σ exp z| ≤ ε,   so  |log P_j(ẑ) − log P_j(z)| ≤ ε_j + ε
//	|dz_j error| ≤ bound·(1 + 8ε) + P_j·(exp(ε_j + ε) − 1)/m
//	|L error|    ≤ bound·(1 + 8ε) + ε_y + ε
//
// where the factor 1 + 8ε is for the terms of the bound itself, which are those of z here: each
// of |t_j|, log s, T and P_j, which are multiplied with each other, changes by 2ε, and the bound
// has the constant 18 beside them. Rows whose largest logits may change places count as either.
func (t *stepRun) judgeLoss(p product, labels []int32, m int, got []float64, record network.Record) {
	z, sums := p.truth(t.single)
	g := gamma(p.a.cols+4, t.u) + t.operand()
	if t.single {
		g += float64(p.a.cols+2) * 0x1p-53
	}
	c := softmaxCase{rows: p.a.rows, p: p.b.cols, m: m, z: dense{p.a.rows, p.b.cols, z.hi}, labels: labels}
	want, bound := values{hi: make([]float64, len(got))}, make([]float64, len(got))
	if !t.single {
		want.lo = make([]float64, len(got))
	}
	var loss, lossBound float64
	correct, unsure := 0, 0
	eps := make([]float64, c.p)
	for i := range c.rows {
		at, largest, top := i*c.p, 0.0, 0
		for j := range eps {
			eps[j] = g*sums[at+j] + float64(p.a.cols+2)*t.tiny()
			if !t.single {
				eps[j] += t.u * math.Abs(z.hi[at+j]) // z is rounded too
			}
			largest = max(largest, eps[j])
			if z.hi[at+j] > z.hi[at+top] {
				top = j
			}
		}
		for j := range eps {
			if j != top && z.hi[at+top]-z.hi[at+j] <= eps[top]+eps[j] {
				unsure++
				break
			}
		}
		row := c.truth(t.session, i)
		if row.correct {
			correct++
		}
		copy(want.hi[at:], row.dz.hi)
		if want.lo != nil {
			copy(want.lo[at:], row.dz.lo)
		}
		for j := range eps {
			probability := row.dz.hi[j]*float64(m) + indicator(j == int(labels[i]))
			bound[at+j] = row.bound[j]*(1+8*largest) + probability*math.Expm1(eps[j]+largest)/float64(m)
		}
		loss += row.loss
		lossBound += row.lossBound*(1+8*largest) + eps[labels[i]] + largest
	}
	lossBound += float64(c.rows) * (1.001*t.u*loss + t.tiny())
	name := t.name + ", softmax"
	t.bounded(name, cell(c.p), got, want, bound)
	t.bounded(name, func(int) string { return "the loss" }, []float64{record.Loss}, values{hi: []float64{loss}}, []float64{lossBound})
	if abs(record.Correct-correct) > unsure {
		t.fail(name, gateExact, "%d rows are correct where %d are expected, of which %d are unsure", record.Correct, correct, unsure)
	}
}
