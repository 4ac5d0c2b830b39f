package backendtest_test

import (
	"errors"
	"math"
	"slices"

	"clgrad/network"
)

// A naiveBackend computes every verb with the plainest loop there is, in float32. It
// shows that the suite accepts what is right; with a fault, that it notices what is
// wrong.
type naiveBackend struct {
	fault  fault
	closed bool
	made   func(*naive) network.Executor // what Prepare returns in place of the executor
	opened []*naive
}

func (b *naiveBackend) Info() network.Info {
	info := network.Info{Backend: "naive", Device: "loops", Driver: "Go", ComputeUnits: 1, Roundoff: 0x1p-24}
	if b.fault == claimsFloat64 {
		info.Roundoff = 0x1p-53
	}
	return info
}

func (b *naiveBackend) Propose(sizes []int, samples network.Samples, batchRows int) (network.ShardPlan, error) {
	if b.closed {
		return network.ShardPlan{}, network.ErrClosed
	}
	p := b.Info().Plan()
	p.Rows, p.BlockRows, p.ScoreRows = batchRows, min(batchRows, 100), 100
	return p, samples.Check(0)
}

func (b *naiveBackend) Prepare(_ []int, p network.ShardPlan) (network.Executor, error) {
	if b.closed {
		return nil, network.ErrClosed
	}
	if err := p.CheckDevice(b.Info()); err != nil {
		return nil, err
	}
	n := &naive{fault: b.fault}
	b.opened = append(b.opened, n)
	if b.made != nil {
		return b.made(n), nil
	}
	return n, nil
}

func (b *naiveBackend) Close() error {
	b.closed = true
	for _, n := range b.opened {
		n.Close()
	}
	return nil
}

// naive is the executor of a naiveBackend.
type naive struct {
	fault  fault
	closed bool
	calls  int
}

type buffer struct {
	v      []float32
	closed bool
}

func (b *buffer) Len() int     { return len(b.v) }
func (b *buffer) Close() error { b.closed = true; return nil }

type input struct {
	network.Samples
	like   network.Samples
	n      *naive
	blocks []int
	closed bool
}

func (x *input) Refillable() bool { return len(x.blocks) == 1 }

func (x *input) Refill(s network.Samples) error {
	if x.closed || x.n.closed {
		return network.ErrClosed
	}
	if err := network.CheckRefill(x, x.like, s); err != nil {
		return err
	}
	other, err := x.n.Load(s, []int{s.Rows})
	if err != nil {
		return err
	}
	switch last := x.Samples; x.n.fault {
	case keepsRow:
		copy(other.(*input).Floats[(s.Rows-1)*s.Features:], last.Floats)
	case keepsLabels:
		copy(other.(*input).Labels, last.Labels)
	}
	x.Samples, x.blocks[0] = other.(*input).Samples, s.Rows
	return nil
}

func (x *input) Features() int { return x.Samples.Features }
func (x *input) Blocks() []int { return x.blocks }
func (x *input) Close() error  { x.closed = true; return nil }

type recorder struct {
	records   []network.Record
	nonFinite int
	closed    bool
}

func (r *recorder) Close() error { r.closed = true; return nil }

func (n *naive) Close() error { n.closed = true; return nil }

// open reports whether the executor, or one of the objects of an operation, is closed.
func (n *naive) open(objects ...any) error {
	closed := n.closed
	for _, o := range objects {
		switch o := o.(type) {
		case *buffer:
			closed = closed || o.closed
		case network.Matrix:
			closed = closed || o.Buffer.(*buffer).closed
		case *recorder:
			closed = closed || o.closed
		case network.Rows:
			if o.Block.Input == nil {
				closed = closed || o.Matrix.Buffer.(*buffer).closed
			} else {
				closed = closed || o.Block.Input.(*input).closed
			}
		}
	}
	if closed {
		return network.ErrClosed
	}
	return nil
}

func (n *naive) Load(s network.Samples, blocks []int) (network.Input, error) {
	if err := errors.Join(n.open(), s.Check(0), network.CheckBlocks(s.Rows, blocks)); err != nil {
		return nil, err
	}
	floats := make([]float32, s.Rows*s.Features)
	for i := range floats {
		if s.Bytes != nil {
			floats[i] = s.Scaling.Apply(float64(s.Bytes[i]), i%s.Features)
		} else {
			floats[i] = s.Scaling.Apply(float64(s.Floats[i]), i%s.Features)
		}
	}
	if n.fault == scalesTwice {
		for i := range floats {
			floats[i] = s.Scaling.Apply(float64(floats[i]), i%s.Features)
		}
	}
	return &input{Samples: network.Samples{Rows: s.Rows, Features: s.Features, Floats: floats, Labels: slices.Clone(s.Labels)}, like: s.Kind(), n: n, blocks: slices.Clone(blocks)}, nil
}

func (n *naive) NewBuffer(elements int) (network.Buffer, error) {
	b := &buffer{v: make([]float32, elements)}
	if n.fault == notZeroed {
		b.v[elements-1] = 1
	}
	return b, n.open()
}

func (n *naive) Write(dst network.Buffer, offset int, src []float64) error {
	if err := n.open(dst); err != nil {
		return err
	}
	to := dst.(*buffer).v[offset : offset+len(src)]
	for i, v := range src {
		to[i] = float32(v)
	}
	return nil
}

func (n *naive) Read(src network.Buffer, offset int, dst []float64) error {
	if n.fault == readsOn && cap(dst) > len(dst) {
		dst[:len(dst)+1][len(dst)] = 7
	}
	if err := n.open(src); err != nil {
		return err
	}
	for i, v := range src.(*buffer).v[offset : offset+len(dst)] {
		dst[i] = float64(v)
	}
	return nil
}

func (n *naive) Clear(b network.Buffer) error { clear(b.(*buffer).v); return n.open(b) }

func (n *naive) NewRecorder(records int) (network.Recorder, error) {
	return &recorder{records: make([]network.Record, records)}, n.open()
}

func (n *naive) ReadRecords(t network.Recorder, first int, dst []network.Record) (int, error) {
	if n.fault == readsOn && cap(dst) > len(dst) {
		dst[:len(dst)+1][len(dst)] = network.Record{}
	}
	copy(dst, t.(*recorder).records[first:first+len(dst)])
	return t.(*recorder).nonFinite, n.open(t)
}

// A grid is a matrix in host memory: element (i, j) stands at i·row + j·col.
type grid struct {
	v          []float32
	rows, cols int
	row, col   int
}

func of(m network.Matrix) grid {
	return grid{m.Buffer.(*buffer).v[m.Offset:], m.Rows, m.Cols, m.Stride, 1}
}

// rowsOf returns the operand of a product.
func rowsOf(x network.Rows) grid {
	if x.Block.Input == nil {
		x.Matrix.Check()
		return of(x.Matrix)
	}
	in, first := x.Block.Input.(*input), 0
	for _, n := range in.blocks[:x.Block.Index] {
		first += n
	}
	return grid{in.Floats[first*in.Samples.Features:], x.Block.Rows(), in.Samples.Features, in.Samples.Features, 1}
}

func (g grid) transposed() grid { return grid{g.v, g.cols, g.rows, g.col, g.row} }

func (g grid) at(i, j int) float32     { return g.v[i*g.row+j*g.col] }
func (g grid) set(i, j int, v float32) { g.v[i*g.row+j*g.col] = v }

// sums calls put with start(i, j) + Σ_k a_ik·b_kj for every element.
func (n *naive) sums(a, b grid, start func(i, j int) float32, put func(i, j int, sum float32)) {
	n.calls++
	for i := range a.rows {
		for j := range b.cols {
			put(i, j, n.fault.spoil(a, b, i, j, n.calls, start(i, j), func(sum float32, from, to, step int) float32 {
				pa, pb := a.v[i*a.row:], b.v[j*b.col:]
				for k := from; k != to; k += step {
					sum += float32(pa[k*a.col] * pb[k*b.row])
				}
				return sum
			}))
		}
	}
}

// around spoils what stands around a result, and an operand.
func (n *naive) around(m, operand network.Matrix) {
	v := of(m).v
	if n.fault == underwrites {
		m.Buffer.(*buffer).v[m.Offset-1] = 3
	}
	if n.fault == intoOperand {
		of(operand).v[0] += 1
	}
	if n.fault == overwrites {
		v[m.Rows*m.Stride] = 3
	}
	if n.fault == padding && m.Stride > m.Cols {
		v[m.Cols] = 1e-6
	}
}

func (n *naive) Forward(x network.Rows, w, b network.Matrix, act network.Activation, h network.Matrix) error {
	network.CheckForward(x, w, b, h)
	if err := n.open(x, w, b, h); err != nil {
		return err
	}
	bias, out := of(b), of(h)
	n.sums(rowsOf(x), of(w), func(_, j int) float32 { return bias.at(0, j) }, func(i, j int, v float32) {
		switch {
		case act == network.ReLU && v < 0, act == network.ReLU && n.fault == hidesNaN && !(v > 0):
			v = 0
		}
		out.set(i, j, v)
	})
	n.around(h, b)
	return nil
}

func (n *naive) WeightGradient(x network.Rows, dz network.Matrix, add bool, dw, db network.Matrix) error {
	network.CheckWeightGradient(x, dz, dw, db)
	if err := n.open(x, dz, dw, db); err != nil {
		return err
	}
	rows := rowsOf(x)
	w, b, one := of(dw), of(db), make([]float32, rows.rows)
	for i := range one {
		one[i] = 1
	}
	start := func(g grid) func(i, j int) float32 {
		return func(i, j int) float32 {
			if !add && n.fault != adds || n.fault == replaces {
				return 0
			}
			return g.at(i, j)
		}
	}
	n.sums(rows.transposed(), of(dz), start(w), w.set)
	n.sums(grid{one, 1, rows.rows, 0, 1}, of(dz), start(b), b.set)
	n.around(db, dz)
	return nil
}

func (n *naive) InputGradient(dz, w, x, dx network.Matrix) error {
	network.CheckInputGradient(dz, w, x, dx)
	if err := n.open(dz, w, x, dx); err != nil {
		return err
	}
	mask, out := of(x), of(dx)
	n.sums(of(dz), of(w).transposed(), func(_, _ int) float32 { return 0 }, func(i, j int, v float32) {
		if m := mask.at(i, j); !(m > 0) && !(n.fault == maskWithZero && m == 0) {
			v = 0
		}
		out.set(i, j, v)
	})
	n.around(dx, w)
	return nil
}

func (n *naive) SoftmaxCrossEntropy(z network.Matrix, y network.Block, m int, t network.Recorder, record int) error {
	network.CheckSoftmax(z, y)
	if err := n.open(z, network.Rows{Block: y}, t); err != nil {
		return err
	}
	labels := y.Input.(*input).Labels
	for _, n := range y.Input.Blocks()[:y.Index] {
		labels = labels[n:]
	}
	records := t.(*recorder).records
	out := &records[record]
	if n.fault == otherRecord {
		out = &records[(record+1)%len(records)]
	}
	before := *out
	*out = network.Record{}
	if n.fault == addsRecords {
		*out = before
	}
	var loss float32
	g := of(z)
	for i := range z.Rows {
		best, sum := 0, float32(0)
		for j := range z.Cols {
			if v := g.at(i, j); v > g.at(i, best) || n.fault == lastTie && v == g.at(i, best) {
				best = j
			}
		}
		top, y := g.at(i, best), int(labels[i])
		if n.fault == unshifted {
			top = 0
		}
		for j := range z.Cols {
			sum += exp(g.at(i, j) - top)
		}
		loss += float32(math.Log(float64(sum))) - (g.at(i, y) - top)
		if best == y {
			out.Correct++
		}
		for j := range z.Cols {
			p := exp(g.at(i, j)-top) / sum
			if j == y {
				p--
			}
			if n.fault != unscaled {
				p /= float32(m)
			}
			g.set(i, j, p)
		}
	}
	out.Loss += float64(loss)
	n.around(z, z)
	return nil
}

func exp(x float32) float32 { return float32(math.Exp(float64(x))) }

func (n *naive) Update(u network.Update, theta, g network.Vector, state []network.Vector, t network.Recorder) error {
	network.CheckUpdate(u, theta, g, state)
	vectors := append([]network.Vector{theta, g}, state...)
	objects := []any{t}
	for _, v := range vectors {
		objects = append(objects, v.Buffer)
	}
	if err := n.open(objects...); err != nil {
		return err
	}
	part := func(v network.Vector) []float32 { return v.Buffer.(*buffer).v[v.Offset : v.Offset+v.Len] }
	if n.fault == wholeBuffers {
		part = func(v network.Vector) []float32 { return v.Buffer.(*buffer).v }
	}
	mine, finite := t.(*recorder), true
	all := make([][]float32, 4)
	for i, v := range vectors {
		all[i] = part(v)
	}
	f := u.Factors()
	if n.fault == fixedStep {
		u.Step = 1
		f = u.Factors()
	}
	x, g0 := all[0], all[1]
	for i := range g0 {
		if n.fault == skipsLast && i == len(g0)-1 && i > 0 {
			continue
		}
		bad := n.ruled(u, f, all, i)
		if n.fault == intoGradient {
			g0[i] = 0
		}
		bad = bad || math.IsNaN(float64(x[i]-x[i]))
		finite = finite && (!bad || n.fault == onlyFirst && i > 0)
	}
	if !finite && (mine.nonFinite == 0 || n.fault == lastIteration) {
		mine.nonFinite = u.Iteration
	}
	return nil
}

// ruled updates element i of x, with the gradient g and the state, in all, and reports
// what is not finite of them.
func (n *naive) ruled(u network.Update, f network.Factors, all [][]float32, i int) (bad bool) {
	x, d := &all[0][i], all[1][i]
	bad = d-d != 0
	c := func(v float64) float32 { return float32(v) }
	switch u.Optimizer {
	case network.AdamW:
		*x *= c(f.Decay)
	default:
		if n.fault != noDecay {
			d += float32(c(f.Decay) * *x)
		}
	}
	var a, b *float32
	if u.States() > 0 {
		a = &all[2][i]
	}
	if u.States() > 1 {
		b = &all[3][i]
	}
	switch u.Optimizer {
	case network.GD:
		*x -= float32(c(f.Rate) * d)
	case network.Momentum, network.Nesterov:
		*a = float32(c(f.Keep1)**a) + d
		v := *a
		if u.Optimizer == network.Nesterov && n.fault != plainMomentum {
			v = d + float32(c(f.Keep1)*v)
		}
		*x -= float32(c(f.Rate) * v)
		bad = bad || *a-*a != 0
	default:
		*a = float32(c(f.Keep1)**a) + float32(c(f.Take1)*d)
		*b = float32(c(f.Keep2)**b) + float32(float32(c(f.Take2)*d)*d)
		root := float32(math.Sqrt(float64(*b)))
		*x -= float32(c(f.Rate) * float32(*a/float32(float32(root*c(f.Root))+c(f.Epsilon))))
		bad = bad || *a-*a != 0 || *b-*b != 0
	}
	return bad
}

var _ network.Backend = (*naiveBackend)(nil)
