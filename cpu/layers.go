package cpu

import (
	"fmt"
	"math"

	"gonum.org/v1/gonum/blas"

	"clgrad/network"
)

// rowsAtOnce is how many rows a goroutine takes at a time in work that is not a
// matrix product.
const rowsAtOnce = 256

// ForwardInput computes h = act(x·W + b) for a block of the input.
func (b *Backend[T]) ForwardInput(x network.Input, block int, w, bias network.Matrix, act network.Activation, h network.Matrix) error {
	if b.closed {
		return ErrClosed
	}
	rows, _ := b.ownInput(x).block(block)
	network.CheckForward(rows.rows, rows.cols, w, bias, h)
	began := b.begin()
	forward(rows, b.view(w), b.view(bias), act, b.view(h))
	b.endedLayer(began, network.OpForward, w)
	return nil
}

// Forward computes h = act(x·W + b).
func (b *Backend[T]) Forward(x, w, bias network.Matrix, act network.Activation, h network.Matrix) error {
	if b.closed {
		return ErrClosed
	}
	x.Check()
	network.CheckForward(x.Rows, x.Cols, w, bias, h)
	began := b.begin()
	forward(b.view(x), b.view(w), b.view(bias), act, b.view(h))
	b.endedLayer(began, network.OpForward, w)
	return nil
}

func forward[T Float](x, w, bias dense[T], act network.Activation, h dense[T]) {
	gemm(blas.NoTrans, blas.NoTrans, x, w, 0, h)
	parallel(h.rows, rowsAtOnce, func(lo, hi int) {
		for i := lo; i < hi; i++ {
			row := h.row(i)
			b := bias.data[:len(row)]
			if act == network.ReLU {
				for j, v := range row {
					row[j] = max(v+b[j], 0) // a NaN stays one
				}
				continue
			}
			for j, v := range row {
				row[j] = v + b[j]
			}
		}
	})
}

// WeightGradientInput adds xᵀ·dz and the column sums of dz for a block of the
// input.
func (b *Backend[T]) WeightGradientInput(x network.Input, block int, dz, dw, db network.Matrix) error {
	if b.closed {
		return ErrClosed
	}
	rows, _ := b.ownInput(x).block(block)
	network.CheckWeightGradient(rows.rows, rows.cols, dz, dw, db)
	began := b.begin()
	b.weightGradient(rows, b.view(dz), b.view(dw), b.view(db))
	b.endedLayer(began, network.OpWeightGradient, dw)
	return nil
}

// WeightGradient adds xᵀ·dz and the column sums of dz.
func (b *Backend[T]) WeightGradient(x, dz, dw, db network.Matrix) error {
	if b.closed {
		return ErrClosed
	}
	x.Check()
	network.CheckWeightGradient(x.Rows, x.Cols, dz, dw, db)
	began := b.begin()
	b.weightGradient(b.view(x), b.view(dz), b.view(dw), b.view(db))
	b.endedLayer(began, network.OpWeightGradient, dw)
	return nil
}

// gonumTile and gonumParallel are the sizes below which gonum's Gemm runs on
// one core: fewer than gonumParallel tiles of gonumTile×gonumTile in the result.
const (
	gonumTile     = 64
	gonumParallel = 4
)

func (b *Backend[T]) weightGradient(x, dz, dw, db dense[T]) {
	for len(b.ones) < dz.rows {
		b.ones = append(b.ones, 1)
	}
	bias := make([]T, dz.cols)
	gemv(blas.Trans, dz, b.ones, bias)
	for j, v := range bias {
		db.data[j] += v
	}
	tiles := ((dw.rows + gonumTile - 1) / gonumTile) * ((dw.cols + gonumTile - 1) / gonumTile)
	splits := min(b.settings.Splits, x.rows)
	if splits < 2 || tiles >= gonumParallel {
		gemm(blas.Trans, blas.NoTrans, x, dz, 1, dw)
		return
	}
	size := dw.rows * dw.cols
	if len(b.partial) < splits*size {
		b.partial = make([]T, splits*size)
	}
	parallel(splits, 1, func(s, _ int) {
		lo, hi := s*x.rows/splits, (s+1)*x.rows/splits
		part := dense[T]{b.partial[s*size : (s+1)*size], dw.rows, dw.cols, dw.cols}
		gemm(blas.Trans, blas.NoTrans, x.slice(lo, hi), dz.slice(lo, hi), 0, part)
	})
	for s := range splits {
		for i := range dw.rows {
			to := dw.row(i)
			for j, v := range b.partial[s*size+i*dw.cols : s*size+(i+1)*dw.cols] {
				to[j] += v
			}
		}
	}
}

// InputGradient computes dx = (dz·Wᵀ) ⊙ [x > 0].
func (b *Backend[T]) InputGradient(dz, w, x, dx network.Matrix) error {
	if b.closed {
		return ErrClosed
	}
	network.CheckInputGradient(dz, w, x, dx)
	began := b.begin()
	mask, to := b.view(x), b.view(dx)
	product := to
	inPlace := &mask.data[0] == &to.data[0]
	if inPlace {
		// The product would overwrite the mask that it is to be multiplied with.
		if n := to.rows * to.cols; len(b.partial) < n {
			b.partial = make([]T, n)
		}
		product = dense[T]{b.partial[:to.rows*to.cols], to.rows, to.cols, to.cols}
	}
	gemm(blas.NoTrans, blas.Trans, b.view(dz), b.view(w), 0, product)
	parallel(to.rows, rowsAtOnce, func(lo, hi int) {
		for i := lo; i < hi; i++ {
			t := to.row(i)
			from, m := product.row(i)[:len(t)], mask.row(i)[:len(t)]
			for j := range t {
				// Chosen by an index: a branch here would be guessed wrongly half of the time.
				choice, positive := [2]T{0, from[j]}, 0
				if m[j] > 0 {
					positive = 1
				}
				t[j] = choice[positive&1]
			}
		}
	})
	b.endedLayer(began, network.OpInputGradient, w)
	return nil
}

// SoftmaxCrossEntropy replaces logits by the loss's derivative and counts loss
// and correct rows. The exponentials and the sums over a row are float64 in
// either precision.
func (b *Backend[T]) SoftmaxCrossEntropy(z network.Matrix, x network.Input, block, m int, t network.Tally, record int) error {
	if b.closed {
		return ErrClosed
	}
	network.CheckSoftmax(z, x, block)
	_, labels := b.ownInput(x).block(block)
	if labels == nil {
		return fmt.Errorf("cpu: softmax cross-entropy: %w", network.ErrNoLabels)
	}
	mine := ownTally(t)
	if record < 0 || record >= len(mine.records) {
		panic(badRange)
	}
	began := b.begin()
	logits := b.view(z)
	parts := make([]network.Record, (logits.rows+rowsAtOnce-1)/rowsAtOnce)
	parallel(logits.rows, rowsAtOnce, func(lo, hi int) {
		part := &parts[lo/rowsAtOnce]
		exps := make([]float64, logits.cols)
		for i := lo; i < hi; i++ {
			loss, correct := softmaxRow(logits.row(i), int(labels[i]), float64(m), exps)
			part.Loss += loss
			if correct {
				part.Correct++
			}
		}
	})
	var sum network.Record
	for _, p := range parts {
		sum.Loss += p.Loss
		sum.Correct += p.Correct
	}
	mine.records[record] = sum
	b.ended(began, func() string { return network.SoftmaxKey(z.Cols) })
	return nil
}

// softmaxRow replaces one row of logits by (softmax(z) − onehot(y))/m and
// returns log Σ exp z − z_y and whether y is the lowest class with the largest
// logit. exps is memory for as many exponentials.
func softmaxRow[T Float](z []T, y int, m float64, exps []float64) (loss float64, correct bool) {
	best := 0
	for j, v := range z {
		if v > z[best] {
			best = j
		}
	}
	top, zy, sum := float64(z[best]), float64(z[y]), 0.0
	for j, v := range z {
		exps[j] = math.Exp(float64(v) - top)
		sum += exps[j]
	}
	for j, e := range exps {
		p := e / sum
		if j == y {
			p--
		}
		z[j] = T(p / m)
	}
	return math.Log(sum) - (zy - top), best == y
}
