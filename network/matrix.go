package network

import "fmt"

// A Matrix is a row-major view of a buffer: element (i, j) stands at
// Offset + i·Stride + j, 0 ≤ i < Rows, 0 ≤ j < Cols ≤ Stride.
type Matrix struct {
	Buffer Buffer
	Offset int
	Rows   int
	Cols   int
	Stride int
}

// Align is the number of elements to which row strides and the parts of a
// parameter vector are rounded up: 16 float32 are 64 bytes, a cache line and a
// full vector register.
const Align = 16

// AlignUp returns the least multiple of Align that is no less than n.
func AlignUp(n int) int { return (n + Align - 1) / Align * Align }

// Stride returns the number of elements from one row of n elements to the next, a multiple of
// Align. In units of Align it is odd: rows that lie a power of two apart fall into few sets of
// a cache, and a tile of their columns does not stay there. (Rows of 128 elements 144 apart, and
// not 128, took 0.84 of the time in the weight gradients of small batches on two Zen 3 cores.)
func Stride(n int) int { return (n+Align-1)/Align*Align | Align }

// A Vector is a part of a buffer: elements Offset … Offset+Len−1. Offset and Len are
// multiples of [Align], unless it is a whole buffer.
type Vector struct {
	Buffer      Buffer
	Offset, Len int
}

// Whole returns all of a buffer as a vector.
func Whole(b Buffer) Vector { return Vector{b, 0, b.Len()} }

// A Block is one block of an input.
type Block struct {
	Input Input
	Index int
}

// Rows returns the number of rows.
func (b Block) Rows() int {
	blocks := b.Input.Blocks()
	if b.Index < 0 || b.Index >= len(blocks) {
		panic(badBlock)
	}
	return blocks[b.Index]
}

// Rows are the operand of a product that has a row for each sample: a block of an
// input, where Block has one, otherwise a matrix.
type Rows struct {
	Matrix Matrix
	Block  Block
}

// Size returns the number of rows and columns. It panics where there are no such rows.
func (r Rows) Size() (rows, cols int) {
	if r.Block.Input != nil {
		return r.Block.Rows(), r.Block.Input.Features()
	}
	r.Matrix.Check()
	return r.Matrix.Rows, r.Matrix.Cols
}

const (
	badView     = "network: matrix view exceeds its buffer"
	badShape    = "network: matrix shapes do not fit"
	badBlock    = "network: block out of range"
	badState    = "network: an update needs the state of its rule"
	badFeatures = "network: input features differ from the layer's inputs"
)

// Check panics where the view is malformed or reaches beyond its buffer.
// Backends call it, or the Check functions of the verbs, before they compute.
func (m Matrix) Check() {
	if m.Buffer == nil || m.Rows < 1 || m.Cols < 1 || m.Stride < m.Cols || m.Offset < 0 ||
		m.Offset+m.Rows*m.Stride > m.Buffer.Len() {
		panic(badView)
	}
}

// First returns the view of the first rows rows.
func (m Matrix) First(rows int) Matrix {
	if rows < 1 || rows > m.Rows {
		panic(badShape)
	}
	m.Rows = rows
	return m
}

// CheckForward panics unless x, w, b and h fit h = act(x·W + b).
func CheckForward(x Rows, w, b, h Matrix) {
	rows, features := x.Size()
	w.Check()
	b.Check()
	h.Check()
	if w.Rows != features {
		panic(badFeatures)
	}
	if b.Rows != 1 || b.Cols != w.Cols || h.Rows != rows || h.Cols != w.Cols {
		panic(badShape)
	}
}

// CheckWeightGradient panics unless x, dz, dw and db fit dW = xᵀ·dz,
// db = Σ rows of dz.
func CheckWeightGradient(x Rows, dz, dw, db Matrix) {
	rows, features := x.Size()
	dz.Check()
	dw.Check()
	db.Check()
	if dw.Rows != features {
		panic(badFeatures)
	}
	if dz.Rows != rows || dw.Cols != dz.Cols || db.Rows != 1 || db.Cols != dz.Cols {
		panic(badShape)
	}
}

// CheckInputGradient panics unless the operands fit dx = (dz·Wᵀ) ⊙ [x > 0].
func CheckInputGradient(dz, w, x, dx Matrix) {
	dz.Check()
	w.Check()
	x.Check()
	dx.Check()
	if w.Cols != dz.Cols || x.Rows != dz.Rows || x.Cols != w.Rows || dx.Rows != x.Rows || dx.Cols != x.Cols {
		panic(badShape)
	}
}

// CheckSoftmax panics unless z holds the logits of the block's rows.
func CheckSoftmax(z Matrix, y Block) {
	z.Check()
	if z.Rows != y.Rows() {
		panic(badShape)
	}
}

// CheckUpdate panics unless θ, g and the state have one length and lie within their
// buffers, and the state has as many vectors as the rule.
func CheckUpdate(u Update, theta, g Vector, state []Vector) {
	if len(state) != u.States() {
		panic(badState)
	}
	for _, v := range append([]Vector{theta, g}, state...) {
		if v.Buffer == nil || v.Offset < 0 || v.Len < 1 || v.Offset+v.Len > v.Buffer.Len() {
			panic(badView)
		}
		if v.Len != theta.Len {
			panic(badShape)
		}
	}
}

// CheckBlocks reports blocks that are not all of rows rows.
func CheckBlocks(rows int, blocks []int) error {
	left := rows
	for i, n := range blocks {
		if n < 1 || n > left {
			return fmt.Errorf("block %d has %d rows: 1 to %d are expected", i, n, left)
		}
		left -= n
	}
	if left > 0 {
		return fmt.Errorf("blocks have %d of %d rows: all are expected", rows-left, rows)
	}
	return nil
}
