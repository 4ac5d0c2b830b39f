package backendtest_test

import (
	"errors"
	"math"
	"time"

	"clgrad/network"
)

// A naive backend computes every verb with the plainest loop there is, in
// float32. It shows that the suite accepts what is right; with a fault, that it
// notices what is wrong.
type naive struct {
	fault fault

	calls int
}

type buffer []float32

func (b *buffer) Len() int     { return len(*b) }
func (b *buffer) Close() error { return nil }

type input struct {
	network.Samples
	block int
}

func (x *input) Rows() int      { return x.Samples.Rows }
func (x *input) Features() int  { return x.Samples.Features }
func (x *input) BlockRows() int { return x.block }
func (x *input) Close() error   { return nil }

type tally struct {
	records   []network.Record
	nonFinite int
}

func (t *tally) Close() error { return nil }

type marker time.Time

func (m marker) Wait() (time.Time, error) { return time.Time(m), nil }

func (n *naive) Info() network.Info {
	info := network.Info{Backend: "naive", Device: "loops", Driver: "Go", ComputeUnits: 1, Roundoff: 0x1p-24}
	if n.fault == claimsFloat64 {
		info.Roundoff = 0x1p-53
	}
	return info
}

func (n *naive) DefaultPlan(sizes []int, samples network.Samples) (network.ShardPlan, error) {
	return network.ShardPlan{Backend: "naive", Device: "loops", Driver: "Go", Rows: samples.Rows, BlockRows: 100}, nil
}

func (n *naive) Configure(p network.ShardPlan) error { return p.CheckDevice(n.Info()) }

func (n *naive) Close() error { return nil }

func (n *naive) Mark() (network.Marker, error) { return marker(time.Now()), nil }

func (n *naive) Load(s network.Samples, blockRows int) (network.Input, error) {
	if err := s.Check(0); err != nil {
		return nil, err
	}
	if blockRows < 1 {
		return nil, errors.New("load: no rows in a block")
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
	return &input{network.Samples{Rows: s.Rows, Features: s.Features, Floats: floats, Labels: append([]int32(nil), s.Labels...)}, blockRows}, nil
}

func (n *naive) NewBuffer(elements int) (network.Buffer, error) {
	b := make(buffer, elements)
	if n.fault == notZeroed {
		b[elements-1] = 1
	}
	return &b, nil
}

func (n *naive) Write(dst network.Buffer, offset int, src []float64) error {
	to := (*dst.(*buffer))[offset : offset+len(src)]
	for i, v := range src {
		to[i] = float32(v)
	}
	return nil
}

func (n *naive) Read(src network.Buffer, offset int, dst []float64) error {
	if n.fault == readsOn && cap(dst) > len(dst) {
		dst[:len(dst)+1][len(dst)] = 7
	}
	for i, v := range (*src.(*buffer))[offset : offset+len(dst)] {
		dst[i] = float64(v)
	}
	return nil
}

func (n *naive) Clear(b network.Buffer) error { clear(*b.(*buffer)); return nil }

func (n *naive) NewTally(records int) (network.Tally, error) {
	return &tally{records: make([]network.Record, records)}, nil
}

func (n *naive) ReadTally(t network.Tally, first int, dst []network.Record) (int, error) {
	if n.fault == readsOn && cap(dst) > len(dst) {
		dst[:len(dst)+1][len(dst)] = network.Record{}
	}
	copy(dst, t.(*tally).records[first:first+len(dst)])
	return t.(*tally).nonFinite, nil
}

// A grid is a matrix in host memory: element (i, j) stands at i·row + j·col.
type grid struct {
	v          []float32
	rows, cols int
	row, col   int
}

func of(m network.Matrix) grid {
	return grid{(*m.Buffer.(*buffer))[m.Offset:], m.Rows, m.Cols, m.Stride, 1}
}

func (x *input) grid(block int) grid {
	return grid{x.Floats[block*x.block*x.Samples.Features:], network.BlockLen(x, block), x.Samples.Features, x.Samples.Features, 1}
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
		(*m.Buffer.(*buffer))[m.Offset-1] = 3
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

func (n *naive) forward(x grid, w, b network.Matrix, act network.Activation, h network.Matrix) error {
	network.CheckForward(x.rows, x.cols, w, b, h)
	bias, out := of(b), of(h)
	n.sums(x, of(w), func(_, j int) float32 { return bias.at(0, j) }, func(i, j int, v float32) {
		switch {
		case act == network.ReLU && v < 0, act == network.ReLU && n.fault == hidesNaN && !(v > 0):
			v = 0
		}
		out.set(i, j, v)
	})
	n.around(h, b)
	return nil
}

func (n *naive) Forward(x, w, b network.Matrix, act network.Activation, h network.Matrix) error {
	x.Check()
	return n.forward(of(x), w, b, act, h)
}

func (n *naive) ForwardInput(x network.Input, block int, w, b network.Matrix, act network.Activation, h network.Matrix) error {
	return n.forward(x.(*input).grid(block), w, b, act, h)
}

func (n *naive) weightGradient(x grid, dz, dw, db network.Matrix) error {
	network.CheckWeightGradient(x.rows, x.cols, dz, dw, db)
	w, b, one := of(dw), of(db), make([]float32, x.rows)
	for i := range one {
		one[i] = 1
	}
	add := func(g grid) func(i, j int) float32 {
		return func(i, j int) float32 {
			if n.fault == replaces {
				return 0
			}
			return g.at(i, j)
		}
	}
	n.sums(x.transposed(), of(dz), add(w), w.set)
	n.sums(grid{one, 1, x.rows, 0, 1}, of(dz), add(b), b.set)
	n.around(db, dz)
	return nil
}

func (n *naive) WeightGradient(x, dz, dw, db network.Matrix) error {
	x.Check()
	return n.weightGradient(of(x), dz, dw, db)
}

func (n *naive) WeightGradientInput(x network.Input, block int, dz, dw, db network.Matrix) error {
	return n.weightGradient(x.(*input).grid(block), dz, dw, db)
}

func (n *naive) InputGradient(dz, w, x, dx network.Matrix) error {
	network.CheckInputGradient(dz, w, x, dx)
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

func (n *naive) SoftmaxCrossEntropy(z network.Matrix, x network.Input, block, m int, t network.Tally, record int) error {
	network.CheckSoftmax(z, x, block)
	labels := x.(*input).Labels[block*x.BlockRows():]
	out := &t.(*tally).records[record]
	if n.fault == otherRecord {
		out = &t.(*tally).records[(record+1)%len(t.(*tally).records)]
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

func (n *naive) Update(theta, g network.Buffer, alpha float64, iteration int, t network.Tally) error {
	x, d, mine := *theta.(*buffer), *g.(*buffer), t.(*tally)
	if len(x) != len(d) {
		panic("naive: buffers differ in length")
	}
	finite := true
	for i, v := range d {
		if n.fault == intoGradient {
			d[i] = 0
		}
		if n.fault != skipsLast || i < len(d)-1 || len(d) == 1 {
			x[i] -= float32(float32(alpha) * v)
		}
		bad := math.IsNaN(float64(x[i]-x[i])) || math.IsNaN(float64(v-v))
		finite = finite && (!bad || n.fault == onlyFirst && i > 0)
	}
	if !finite && (mine.nonFinite == 0 || n.fault == lastIteration) {
		mine.nonFinite = iteration
	}
	return nil
}

var _ network.Backend = (*naive)(nil)
