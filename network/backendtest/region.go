package backendtest

import (
	"fmt"
	"io"
	"math"

	"clgrad/network"
)

// An env is an executor with what a case makes on it. The first error stops
// everything after it: methods do nothing once err is set.
type env struct {
	b      network.Executor
	u      float64 // unit roundoff
	delta  float64 // that of the operands of products, where it is more
	single bool    // u = 2⁻²⁴
	err    error
	made   []io.Closer
}

func newEnv(b network.Executor, info network.Info) *env {
	return &env{b: b, u: info.Roundoff, delta: info.OperandRoundoff, single: info.Roundoff == 0x1p-24}
}

// networkErrors is how many roundoffs of its operands a network's results may be off:
// relative to the largest of them, as the rest of a tolerance.
const networkErrors = 8

// tolerance returns the given number of roundoffs, or networkErrors of those of operands
// that have fewer bits.
func (e *env) tolerance(roundoffs float64) float64 {
	return max(roundoffs*e.u, networkErrors*e.delta)
}

// operandBits returns the bits of an operand, as far as drawIntegers uses them.
func (e *env) operandBits() int {
	if e.delta == 0 {
		return integerBits
	}
	return min(integerBits, int(-math.Log2(e.delta)))
}

// operand returns the relative error of a product of two rounded operands.
func (e *env) operand() float64 { return 2*e.delta + e.delta*e.delta }

// round returns v at the backend's precision.
func (e *env) round(v float64) float64 {
	if e.single {
		return float64(float32(v))
	}
	return v
}

// tiny is the largest absolute error of an operation whose result underflows.
// A device may flush subnormal numbers to zero, so it is the least normal one.
func (e *env) tiny() float64 {
	if e.single {
		return 0x1p-126
	}
	return 0x1p-1022
}

// do runs f unless an error came before.
func (e *env) do(f func() error) {
	if e.err == nil {
		e.err = f()
	}
}

// closeAll closes what was made since the last call, last first.
func (e *env) closeAll(report func(error)) {
	for i := len(e.made) - 1; i >= 0; i-- {
		if err := e.made[i].Close(); err != nil {
			report(err)
		}
	}
	e.made = nil
}

func (e *env) buffer(elements int) (b network.Buffer) {
	e.do(func() (err error) {
		if b, err = e.b.NewBuffer(elements); err == nil {
			e.made = append(e.made, b)
		}
		return err
	})
	return b
}

// filled returns a buffer that holds v.
func (e *env) filled(v []float64) network.Buffer {
	b := e.buffer(len(v))
	e.write(b, v)
	return b
}

func (e *env) write(b network.Buffer, v []float64) {
	e.do(func() error { return e.b.Write(b, 0, v) })
}

// read returns all elements of b. Behind them stands a canary.
func (e *env) read(b network.Buffer) []float64 {
	if e.err != nil {
		return nil
	}
	n := b.Len()
	v := make([]float64, n+1)
	v[n] = canary(n)
	e.do(func() error { return e.b.Read(b, 0, v[:n]) })
	e.do(func() error {
		if v[n] != canary(n) {
			return fmt.Errorf("read of %d elements wrote %v behind them", n, v[n])
		}
		return nil
	})
	return v[:n:n]
}

// load loads samples in blocks of blockRows rows, the last of which may be shorter.
func (e *env) load(s network.Samples, blockRows int) (x network.Input) {
	e.do(func() (err error) {
		if x, err = e.b.Load(s, evenly(s.Rows, blockRows)); err == nil {
			e.made = append(e.made, x)
		}
		return err
	})
	return x
}

// evenly returns the blocks of rows rows, each of blockRows but the last.
func evenly(rows, blockRows int) (blocks []int) {
	for ; rows > 0; rows -= blockRows {
		blocks = append(blocks, min(rows, blockRows))
	}
	return blocks
}

func (e *env) recorder(records int) (r network.Recorder) {
	e.do(func() (err error) {
		if r, err = e.b.NewRecorder(records); err == nil {
			e.made = append(e.made, r)
		}
		return err
	})
	return r
}

// records returns n records of t from first on, and the first iteration that
// was not finite.
func (e *env) records(t network.Recorder, first, n int) (records []network.Record, nonFinite int) {
	guard := network.Record{Loss: canary(n), Correct: n}
	records = append(make([]network.Record, n), guard)
	e.do(func() (err error) {
		nonFinite, err = e.b.ReadRecords(t, first, records[:n])
		return err
	})
	e.do(func() error {
		if records[n] != guard {
			return fmt.Errorf("read of %d records wrote %+v behind them", n, records[n])
		}
		return nil
	})
	return records[:n:n], nonFinite
}

// A dense matrix is row-major without padding.
type dense struct {
	rows, cols int
	v          []float64
}

func newDense(rows, cols int) dense { return dense{rows, cols, make([]float64, rows*cols)} }

func (d dense) row(i int) []float64 { return d.v[i*d.cols : (i+1)*d.cols] }

func (d dense) transpose() dense {
	t := newDense(d.cols, d.rows)
	for i := range d.rows {
		for j, v := range d.row(i) {
			t.v[j*d.rows+i] = v
		}
	}
	return t
}

// map1 returns a copy with f applied to every element.
func (d dense) map1(f func(float64) float64) dense {
	c := newDense(d.rows, d.cols)
	for i, v := range d.v {
		c.v[i] = f(v)
	}
	return c
}

// canary is what stands at position i of a buffer outside of all matrices: an
// integer that both precisions hold, different at each place nearby, and large
// enough to spoil any sum that it slips into.
func canary(i int) float64 { return float64(1<<20 + i*7919%65521) }

// A region is a buffer with matrices one directly behind the other, canaries in
// front of them and behind them.
type region struct {
	buffer network.Buffer
	views  []network.Matrix
	image  []float64 // what was written
}

// region makes a region with the given matrices. Strides are
// AlignUp(columns), and 32 elements more where roomy is set. Padding is zero.
func (e *env) region(roomy bool, parts ...dense) *region {
	const head, tail = 2 * network.Align, 3 * network.Align
	r := &region{}
	length := head
	for _, d := range parts {
		m := network.Matrix{Offset: length, Rows: d.rows, Cols: d.cols, Stride: network.AlignUp(d.cols)}
		if roomy {
			m.Stride += 2 * network.Align
		}
		length += m.Rows * m.Stride
		r.views = append(r.views, m)
	}
	r.image = make([]float64, length+tail)
	for i := range head {
		r.image[i] = canary(i)
	}
	for i := length; i < len(r.image); i++ {
		r.image[i] = canary(i)
	}
	r.buffer = e.buffer(len(r.image))
	for k, d := range parts {
		m := &r.views[k]
		m.Buffer = r.buffer
		for i := range d.rows {
			copy(r.image[m.Offset+i*m.Stride:], d.row(i))
		}
	}
	r.reset(e)
	return r
}

// reset writes everything once more.
func (r *region) reset(e *env) { e.write(r.buffer, r.image) }

// rows returns the view of n rows of m from first on.
func rows(m network.Matrix, first, n int) network.Matrix {
	m.Offset += first * m.Stride
	m.Rows = n
	return m
}

// values returns the elements of the region's first n matrices, one behind the
// other, and what is wrong around them: anything else that changed, padding
// that is not zero.
func (r *region) values(e *env, n int) (v []float64, problem string) {
	now := e.read(r.buffer)
	if e.err != nil {
		return nil, ""
	}
	for k, m := range r.views[:n] {
		for i := range m.Rows {
			row := now[m.Offset+i*m.Stride:][:m.Stride]
			v = append(v, row[:m.Cols]...)
			for j, x := range row {
				if j >= m.Cols && x != 0 && problem == "" {
					problem = fmt.Sprintf("padding: element (%d, %d) of result %d, beyond its %d columns, is %v where 0 is expected", i, j, k+1, m.Cols, x)
				}
			}
			copy(row, r.image[m.Offset+i*m.Stride:])
		}
	}
	if at := firstDifference(now, r.image); at >= 0 && problem == "" {
		problem = fmt.Sprintf("overwritten: position %d of %d, outside of the result, is %v where %v was", at, len(now), now[at], r.image[at])
	}
	return v, problem
}

// firstDifference returns the first index at which a and b differ in their
// bits, −1 if there is none.
func firstDifference(a, b []float64) int {
	for i, x := range a {
		if math.Float64bits(x) != math.Float64bits(b[i]) {
			return i
		}
	}
	return -1
}
