package backendtest

import (
	"fmt"
	"math"

	"clgrad/network"
)

// canary is what stands at position i of a buffer outside of all matrices: an
// integer that both precisions hold, different at each place nearby, and large
// enough to spoil any sum that it slips into.
func canary(i int) float64 { return float64(1<<20 + i*7919%65521) }

// A guarded buffer holds matrices one directly behind the other, with canaries in
// front of them and behind them.
type guarded struct {
	buffer network.Buffer
	views  []network.Matrix
	image  []float64 // what was written
}

// guarded makes a guarded buffer with the given matrices. Strides are
// AlignUp(columns), and 32 elements more where wide is set. Padding is zero.
func (e *env) guarded(wide bool, parts ...dense) *guarded {
	const head, tail = 2 * network.Align, 3 * network.Align
	g := &guarded{}
	length := head
	for _, d := range parts {
		m := network.Matrix{Offset: length, Rows: d.rows, Cols: d.cols, Stride: network.AlignUp(d.cols)}
		if wide {
			m.Stride += 2 * network.Align
		}
		length += m.Rows * m.Stride
		g.views = append(g.views, m)
	}
	g.image = make([]float64, length+tail)
	for i := range head {
		g.image[i] = canary(i)
	}
	for i := length; i < len(g.image); i++ {
		g.image[i] = canary(i)
	}
	g.buffer = e.buffer(len(g.image))
	for k, d := range parts {
		m := &g.views[k]
		m.Buffer = g.buffer
		for i := range d.rows {
			copy(g.image[m.Offset+i*m.Stride:], d.row(i))
		}
	}
	g.reset(e)
	return g
}

// reset writes everything once more.
func (g *guarded) reset(e *env) { e.write(g.buffer, g.image) }

// rows returns the view of n rows of m from first on.
func rows(m network.Matrix, first, n int) network.Matrix {
	m.Offset += first * m.Stride
	m.Rows = n
	return m
}

// values returns the elements of the first n matrices, one behind the
// other, and what is wrong around them: anything else that changed, padding
// that is not zero.
func (g *guarded) values(e *env, n int) (v []float64, problem string) {
	now := e.read(g.buffer)
	if e.err != nil {
		return nil, ""
	}
	for k, m := range g.views[:n] {
		for i := range m.Rows {
			row := now[m.Offset+i*m.Stride:][:m.Stride]
			v = append(v, row[:m.Cols]...)
			for j, x := range row {
				if j >= m.Cols && x != 0 && problem == "" {
					problem = fmt.Sprintf("padding: element (%d, %d) of result %d, beyond its %d columns, is %v where 0 is expected", i, j, k+1, m.Cols, x)
				}
			}
			copy(row, g.image[m.Offset+i*m.Stride:])
		}
	}
	if at := firstDifference(now, g.image); at >= 0 && problem == "" {
		problem = fmt.Sprintf("overwritten: position %d of %d, outside of the result, is %v where %v was", at, len(now), now[at], g.image[at])
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
