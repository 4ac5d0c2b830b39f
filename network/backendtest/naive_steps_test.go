package backendtest_test

import (
	"slices"

	"clgrad/network"
)

// naiveSteps are whole iterations by the verbs of a naive executor. It works on a copy of the
// weights backwards, as backends do that hold them transposed.
type naiveSteps struct {
	n      *naive
	layout network.Layout
	x      *input
	h, dz  []network.Matrix // of each layer, of the largest block; the last has no h
	g      *buffer          // of Step
	copied *buffer          // θ
	begun  bool
	closed bool
}

// NewSteps has whole iterations of bytes.
func (n *naive) NewSteps(l network.Layout, s network.Samples, x network.Input) (network.Steps, error) {
	in := x.(*input)
	network.CheckNewSteps(l, x)
	if err := n.open(network.Rows{Block: network.Block{Input: x}}); err != nil || s.Bytes == nil {
		return nil, err
	}
	st := &naiveSteps{n: n, layout: l, x: in, g: &buffer{v: make([]float32, l.Len)}, copied: &buffer{v: make([]float32, l.Len)}}
	rows := slices.Max(in.blocks)
	matrix := func(cols int) network.Matrix {
		m := network.Matrix{Rows: rows, Cols: cols, Stride: network.AlignUp(cols), Offset: network.Align}
		m.Buffer = &buffer{v: make([]float32, m.Offset+(rows+1)*m.Stride)}
		return m
	}
	for _, p := range l.Sizes[1:] {
		st.h, st.dz = append(st.h, matrix(p)), append(st.dz, matrix(p))
	}
	st.h = st.h[:len(st.h)-1]
	return st, nil
}

func (st *naiveSteps) open(objects ...any) error {
	if st.closed {
		return network.ErrClosed
	}
	return st.n.open(objects...)
}

func (st *naiveSteps) Close() error { st.closed = true; return nil }

func (st *naiveSteps) Begin(theta network.Buffer) error {
	network.CheckSteps(st.layout, network.Whole(theta))
	if err := st.open(theta); err != nil {
		return err
	}
	if st.begun && st.n.fault == skipsBegin {
		return nil
	}
	st.begun = true
	copy(st.copied.v, theta.(*buffer).v)
	return nil
}

// rows returns the operand of layer l, counted from 0.
func (st *naiveSteps) rows(l int, b network.Block) network.Rows {
	if l == 0 {
		return network.Rows{Block: b}
	}
	return network.Rows{Matrix: st.h[l-1].First(b.Rows())}
}

func (st *naiveSteps) Evaluate(b network.Block, m int, theta, g network.Buffer, add bool, r network.Recorder, record int) error {
	network.CheckSteps(st.layout, network.Whole(theta), network.Whole(g))
	if b.Input != network.Input(st.x) {
		panic("block of another input")
	}
	rows, records := b.Rows(), r.(*recorder).records
	before := slices.Clone(records)
	_ = records[record]
	if err := st.open(theta, g, r, network.Rows{Block: b}); err != nil {
		return err
	}
	if st.x.Labels == nil {
		return network.ErrNoLabels
	}
	last := len(st.dz) - 1
	for l := range st.dz {
		w, bias := st.layout.Layer(l)
		to, act := st.dz[l], network.Identity
		if l < last {
			to, act = st.h[l], network.ReLU
		}
		if err := st.n.Forward(st.rows(l, b), w.In(theta), bias.In(theta), act, to.First(rows)); err != nil {
			return err
		}
	}
	if err := st.n.SoftmaxCrossEntropy(st.dz[last].First(rows), b, m, r, record); err != nil {
		return err
	}
	if st.n.fault == noRecord {
		copy(records, before)
	}
	for l := last; l >= 0; l-- {
		ws, bs := st.layout.Layer(l)
		dz, dw, db := st.dz[l].First(rows), ws.In(g), bs.In(g)
		kept := slices.Clone(g.(*buffer).v)
		if l > 0 {
			x := st.h[l-1].First(rows)
			if err := st.n.InputGradient(dz, ws.In(st.copied), x, st.dz[l-1].First(rows)); err != nil {
				return err
			}
		}
		if st.n.fault == shortGroup && rows%4 > 0 && l == 0 {
			for i := rows - rows%4; i < rows; i++ {
				clear(dz.Buffer.(*buffer).v[dz.Offset+i*dz.Stride:][:dz.Stride])
			}
		}
		if err := st.n.WeightGradient(st.rows(l, b), dz, add, dw, db); err != nil {
			return err
		}
		if st.n.fault == lastFeature && l == 0 {
			at := ws.Offset + (ws.Rows-1)*ws.Stride
			copy(g.(*buffer).v[at:at+ws.Stride], kept[at:])
		}
		if st.n.fault == noBias {
			copy(g.(*buffer).v[bs.Offset:bs.Offset+bs.Stride], kept[bs.Offset:])
		}
	}
	return nil
}

func (st *naiveSteps) Step(u network.Update, b network.Block, theta network.Buffer, state []network.Vector, r network.Recorder, record int) error {
	network.CheckUpdate(u, network.Whole(theta), network.Whole(theta), state)
	network.CheckSteps(st.layout, append([]network.Vector{network.Whole(theta)}, state...)...)
	for _, v := range state {
		if err := st.open(v.Buffer); err != nil {
			return err
		}
	}
	clear(st.g.v)
	if err := st.Evaluate(b, b.Rows(), theta, st.g, false, r, record); err != nil {
		return err
	}
	if err := st.n.Update(u, network.Whole(theta), network.Whole(st.g), state, r); err != nil {
		return err
	}
	if st.n.fault != staleCopy {
		copy(st.copied.v, theta.(*buffer).v)
	}
	return nil
}

func (st *naiveSteps) Stages(b network.Block) (h, dz []network.Matrix) {
	for _, m := range st.h {
		h = append(h, m.First(b.Rows()))
	}
	for _, m := range st.dz {
		dz = append(dz, m.First(b.Rows()))
	}
	return h, dz
}

var (
	_ network.Stepper = (*naive)(nil)
	_ network.Stages  = (*naiveSteps)(nil)
)
