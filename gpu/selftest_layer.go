package gpu

import (
	"errors"
	"slices"

	"clgrad/kernels"
	"clgrad/network"
)

// value returns an integer for element (i, j) of an operand, as good as random.
func value(operand, i, j int) uint32 {
	h := uint32(i)*2654435761 + uint32(j)*2246822519 + uint32(operand)*3266489917
	h = (h ^ h>>15) * 2246822519
	return h ^ h>>13
}

// exactSum bounds sums of products, well below 2²⁴, up to which float32 holds all integers.
const exactSum = 1 << 22

// A layerTest holds the operands of a layer's operations.
type layerTest struct {
	rows, n, p int
	act        network.Activation
	input      bool    // x is a block of an input, as the plan holds it
	shifted    bool    // and a byte of 0 is no 0
	zeros      []uint8 // where given, bytes of x are 0 where these are
	wide       int     // the operand that has numbers of many bits

	e           *executor
	x           network.Rows
	mask        network.Matrix // x where it is a matrix, or as large
	w, b, h     network.Matrix
	dz, dw, db  network.Matrix
	made        []interface{ Close() error }
	bits        int
	sparse      int // one of so many numbers has many bits
	sparseBytes int
}

// The operands, as value knows them.
const (
	ofX = iota
	ofW
	ofB
	ofDz
)

// wideOperands returns which operands take turns to have numbers of many bits: of the two
// operands of every product one at a time. Where operands are rounded or split, every one
// of them has its turn.
func wideOperands(c kernels.Config) []int {
	if c.Forward.Variant == kernels.Tensor {
		return []int{ofX, ofDz, ofW}
	}
	return []int{ofX, ofDz}
}

// at returns element (i, j) of an operand: −1, 0 or 1, and sometimes an odd number of
// bits bits.
func (l *layerTest) at(operand, i, j int) int {
	h := value(operand, i, j)
	if l.wide == operand && int(h>>8)%l.sparse == 0 {
		v := int(h)&(1<<l.bits-1) | 1
		if h>>31 == 0 {
			return -v
		}
		return v
	}
	return int(h%3) - 1
}

// byteAt returns the byte of element (i, j) of an input: four in five are 0.
func (l *layerTest) byteAt(i, j int) uint8 {
	h := value(ofX, i, j)
	if l.zeros != nil {
		if l.zeros[i*l.n+j] == 0 {
			return 0
		}
		return uint8(1 + h%3)
	}
	switch {
	case int(h%1021)%l.sparseBytes != 0:
		return 0
	case l.wide == ofX:
		return uint8(1 + (h>>10)%255)
	}
	return uint8(1 + (h>>10)%3)
}

// bytes reports whether x is held as bytes, packed or not.
func (l *layerTest) bytes() bool {
	return l.input && (l.e.config.Packed != nil || l.e.config.Bytes)
}

// xAt returns element (i, j) of x.
func (l *layerTest) xAt(i, j int) int {
	if !l.bytes() {
		return l.at(ofX, i, j)
	}
	v := int(l.byteAt(i, j))
	if l.shifted {
		v++
	}
	return v
}

// prepare makes the operands. Dry ones hold nothing.
func (l *layerTest) prepare(e *executor, dry bool) (err error) {
	l.e = e
	l.bits = operandBits(e.config)
	terms := max(l.rows, l.n, l.p)
	l.sparse = max(7, groups(terms<<l.bits, exactSum))
	l.sparseBytes = max(5, min(1021, groups(255*terms, exactSum)))
	matrix := func(rows, cols int) (m network.Matrix) {
		if err != nil {
			return m
		}
		m = network.Matrix{Rows: rows, Cols: cols, Stride: network.Stride(cols)}
		if m.Buffer, err = e.NewBuffer(rows * m.Stride); err == nil {
			l.made = append(l.made, m.Buffer)
		}
		return m
	}
	fill := func(m network.Matrix, operand int) network.Matrix {
		if err == nil && !dry {
			err = writeRows(e, m, func(i, j int) float64 { return float64(l.at(operand, i, j)) })
		}
		return m
	}
	l.w, l.b = fill(matrix(l.n, l.p), ofW), fill(matrix(1, l.p), ofB)
	l.h, l.dz = matrix(l.rows, l.p), fill(matrix(l.rows, l.p), ofDz)
	l.dw, l.db = matrix(l.n, l.p), matrix(1, l.p)
	if l.input {
		if err != nil {
			return err
		}
		return l.load(dry)
	}
	l.mask = fill(matrix(l.rows, l.n), ofX)
	l.x = network.Rows{Matrix: l.mask}
	return err
}

// load makes x a block of an input.
func (l *layerTest) load(dry bool) error {
	if dry {
		x, err := l.e.dryInput(l.rows, l.n, l.shifted)
		l.x = network.Rows{Block: network.Block{Input: x}}
		return err
	}
	s := network.Samples{Rows: l.rows, Features: l.n}
	if l.bytes() {
		s.Bytes = make([]uint8, l.rows*l.n)
		for i := range l.rows {
			for j := range l.n {
				s.Bytes[i*l.n+j] = l.byteAt(i, j)
			}
		}
		if l.shifted {
			s.Scaling = network.Scaling{Shift: []float64{-1}, Factor: []float64{1}}
		}
	} else {
		s.Floats = make([]float32, l.rows*l.n)
		for i := range l.rows {
			for j := range l.n {
				s.Floats[i*l.n+j] = float32(l.at(ofX, i, j))
			}
		}
	}
	x, err := l.e.Load(s, []int{l.rows})
	if err == nil {
		l.made = append(l.made, x)
		l.x = network.Rows{Block: network.Block{Input: x}}
	}
	return err
}

func (l *layerTest) close() error {
	var errs []error
	for _, c := range slices.Backward(l.made) {
		errs = append(errs, c.Close())
	}
	l.made = nil
	return errors.Join(errs...)
}

// run enqueues an operation.
func (l *layerTest) run(op string) error {
	switch op {
	case kernels.OpForward:
		return l.e.Forward(l.x, l.w, l.b, l.act, l.h)
	case kernels.OpWeightGradient:
		return l.e.WeightGradient(l.x, l.dz, false, l.dw, l.db)
	}
	return l.e.InputGradient(l.dz, l.w, l.mask, l.mask)
}

// check runs an operation and compares a sample of its results with exact ones.
func (l *layerTest) check(op string) error {
	err := l.run(op)
	if err == nil && op == kernels.OpWeightGradient {
		// The first time replaces what is there, the second adds to it.
		err = l.e.WeightGradient(l.x, l.dz, true, l.dw, l.db)
	}
	if err != nil {
		return err
	}
	switch op {
	case kernels.OpForward:
		return l.compare(op, l.h, l.n, l.xAt, func(k, j int) int { return l.at(ofW, k, j) }, func(_, j, sum int) int {
			if sum += l.at(ofB, 0, j); l.act == network.ReLU {
				return max(0, sum)
			}
			return sum
		})
	case kernels.OpWeightGradient:
		twice := func(_, _, sum int) int { return 2 * sum }
		dz := func(k, j int) int { return l.at(ofDz, k, j) }
		if err := l.compare(op, l.dw, l.rows, func(i, k int) int { return l.xAt(k, i) }, dz, twice); err != nil {
			return err
		}
		return l.compare("bias of "+op, l.db, l.rows, func(_, _ int) int { return 1 }, dz, twice)
	}
	return l.compare(op, l.mask, l.p, func(i, k int) int { return l.at(ofDz, i, k) }, func(k, j int) int { return l.at(ofW, j, k) }, func(i, j, sum int) int {
		if l.at(ofX, i, j) > 0 {
			return sum
		}
		return 0
	})
}

// sampleRows and sampleCols are how many rows and columns of a result are compared.
const (
	sampleRows = 14
	sampleCols = 10
)

// sampleOf returns up to most of the indexes 0 … n−1: the first and last ones, where tiles
// have their edges, and some between.
func sampleOf(n, most int) (all []int) {
	for _, i := range []int{0, 1, n - 1, n - 2, n / 2} {
		if i >= 0 && i < n && !slices.Contains(all, i) {
			all = append(all, i)
		}
	}
	for k := 0; len(all) < min(n, most); k++ {
		if i := int(value(9, k, n) % uint32(n)); !slices.Contains(all, i) {
			all = append(all, i)
		}
	}
	return all
}

// compare compares elements of m with finish(Σ a(i, k)·b(k, j)) over terms k.
func (l *layerTest) compare(op string, m network.Matrix, terms int, a, b func(i, j int) int, finish func(i, j, sum int) int) error {
	cols := sampleOf(m.Cols, sampleCols)
	columns := make([][]int32, len(cols))
	for c, j := range cols {
		columns[c] = make([]int32, terms)
		for k := range terms {
			columns[c][k] = int32(b(k, j))
		}
	}
	row, got := make([]int32, terms), make([]float64, m.Cols)
	for _, i := range sampleOf(m.Rows, sampleRows) {
		if err := l.e.Read(m.Buffer, m.Offset+i*m.Stride, got); err != nil {
			return err
		}
		for k := range terms {
			row[k] = int32(a(i, k))
		}
		for c, j := range cols {
			sum := 0
			for k, v := range columns[c] {
				sum += int(row[k]) * int(v)
			}
			if want := float64(finish(i, j, sum)); got[j] != want {
				return wrong("element (%d, %d) of %s on %d rows is %v where exactly %v is expected",
					i, j, network.OperationKey(op, l.n, l.p), l.rows, got[j], want)
			}
		}
	}
	return nil
}

// operandBits is how many bits an operand of products can have.
func operandBits(c kernels.Config) int {
	switch c.Roundoff() {
	case kernels.BF16.Roundoff():
		return 8
	case kernels.TF32.Roundoff():
		return 11
	}
	return 12
}

// writeRows writes a matrix by its elements.
func writeRows(e *executor, m network.Matrix, at func(i, j int) float64) error {
	const most = 1 << 18 // elements written at a time
	rows := max(1, most/m.Stride)
	values := make([]float64, min(rows, m.Rows)*m.Stride)
	for first := 0; first < m.Rows; first += rows {
		n := min(rows, m.Rows-first)
		for i := range n {
			for j := range m.Cols {
				values[i*m.Stride+j] = at(first+i, j)
			}
		}
		if err := e.Write(m.Buffer, m.Offset+first*m.Stride, values[:n*m.Stride]); err != nil {
			return err
		}
	}
	return nil
}
