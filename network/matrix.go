package network

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

const (
	badView     = "network: matrix view exceeds its buffer"
	badShape    = "network: matrix shapes do not fit"
	badBlock    = "network: block out of range"
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

// BlockLen returns the number of rows of a block of an input.
func BlockLen(x Input, block int) int {
	first := block * x.BlockRows()
	if block < 0 || first >= x.Rows() {
		panic(badBlock)
	}
	return min(x.BlockRows(), x.Rows()-first)
}

// Blocks returns the number of blocks of an input.
func Blocks(x Input) int { return (x.Rows() + x.BlockRows() - 1) / x.BlockRows() }

// CheckForward panics unless rows×features inputs, w, b and h fit
// h = act(x·W + b).
func CheckForward(rows, features int, w, b, h Matrix) {
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

// CheckWeightGradient panics unless rows×features inputs, dz, dw and db fit
// dW += xᵀ·dz, db += Σ rows of dz.
func CheckWeightGradient(rows, features int, dz, dw, db Matrix) {
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
func CheckSoftmax(z Matrix, x Input, block int) {
	z.Check()
	if z.Rows != BlockLen(x, block) {
		panic(badShape)
	}
}
