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

// rows returns the operand of a product, and its buffer where it is a matrix.
func (e *executor[T]) rows(operation string, x network.Rows) (dense[T], error) {
	if x.Block.Input == nil {
		if err := e.open(operation, x.Matrix.Buffer); err != nil {
			return dense[T]{}, err
		}
		return e.view(x.Matrix), nil
	}
	rows, _, err := e.block(operation, x.Block)
	return rows, err
}

// Forward computes h = act(x·W + b).
func (e *executor[T]) Forward(x network.Rows, w, bias network.Matrix, act network.Activation, h network.Matrix) error {
	network.CheckForward(x, w, bias, h)
	if err := e.open(network.OpForward, w.Buffer, bias.Buffer, h.Buffer); err != nil {
		return err
	}
	rows, err := e.rows(network.OpForward, x)
	if err != nil {
		return err
	}
	began := e.begin()
	forward(rows, e.view(w), e.view(bias), act, e.view(h))
	e.endedLayer(began, network.OpForward, w)
	return nil
}

func forward[T Float](x, w, bias dense[T], act network.Activation, h dense[T]) {
	gemm(blas.NoTrans, blas.NoTrans, x, w, 0, h)
	network.Parallel(h.rows, rowsAtOnce, func(lo, hi int) {
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

// WeightGradient computes dW = xᵀ·dz and db = Σ rows of dz, or adds them.
func (e *executor[T]) WeightGradient(x network.Rows, dz network.Matrix, add bool, dw, db network.Matrix) error {
	network.CheckWeightGradient(x, dz, dw, db)
	if err := e.open(network.OpWeightGradient, dz.Buffer, dw.Buffer, db.Buffer); err != nil {
		return err
	}
	rows, err := e.rows(network.OpWeightGradient, x)
	if err != nil {
		return err
	}
	began := e.begin()
	if err := e.weightGradient(rows, e.view(dz), add, e.view(dw), e.view(db)); err != nil {
		return err
	}
	e.endedLayer(began, network.OpWeightGradient, dw)
	return nil
}

// gonumTile and gonumParallel are the sizes below which gonum's Gemm runs on
// one core: fewer than gonumParallel tiles of gonumTile×gonumTile in the result.
const (
	gonumTile     = 64
	gonumParallel = 4
)

func (e *executor[T]) weightGradient(x, dz dense[T], add bool, dw, db dense[T]) error {
	beta := T(0)
	if add {
		beta = 1
	}
	if n := len(e.ones); n < dz.rows {
		if _, err := e.scratch(&e.ones, "ones", dz.rows); err != nil {
			return err
		}
		for i := range e.ones {
			e.ones[i] = 1
		}
	}
	gemv(blas.Trans, dz, e.ones[:dz.rows], beta, db.data[:dz.cols])
	tiles := ((dw.rows + gonumTile - 1) / gonumTile) * ((dw.cols + gonumTile - 1) / gonumTile)
	splits := min(e.settings.Splits, x.rows)
	if splits < 2 || tiles >= gonumParallel {
		gemm(blas.Trans, blas.NoTrans, x, dz, beta, dw)
		return nil
	}
	size := dw.rows * dw.cols
	partial, err := e.scratch(&e.partial, "partial gradients", splits*size)
	if err != nil {
		return err
	}
	network.Parallel(splits, 1, func(s, _ int) {
		lo, hi := s*x.rows/splits, (s+1)*x.rows/splits
		part := dense[T]{partial[s*size : (s+1)*size], dw.rows, dw.cols, dw.cols}
		gemm(blas.Trans, blas.NoTrans, x.slice(lo, hi), dz.slice(lo, hi), 0, part)
	})
	for s := range splits {
		for i := range dw.rows {
			to := dw.row(i)
			part := partial[s*size+i*dw.cols:][:dw.cols]
			if s == 0 && !add {
				copy(to, part)
				continue
			}
			for j, v := range part {
				to[j] += v
			}
		}
	}
	return nil
}

// InputGradient computes dx = (dz·Wᵀ) ⊙ [x > 0].
func (e *executor[T]) InputGradient(dz, w, x, dx network.Matrix) error {
	network.CheckInputGradient(dz, w, x, dx)
	if err := e.open(network.OpInputGradient, dz.Buffer, w.Buffer, x.Buffer, dx.Buffer); err != nil {
		return err
	}
	began := e.begin()
	mask, to := e.view(x), e.view(dx)
	product := to
	if inPlace := &mask.data[0] == &to.data[0]; inPlace {
		// The product would overwrite the mask that it is to be multiplied with.
		memory, err := e.scratch(&e.partial, "input gradient", to.rows*to.cols)
		if err != nil {
			return err
		}
		product = dense[T]{memory, to.rows, to.cols, to.cols}
	}
	gemm(blas.NoTrans, blas.Trans, e.view(dz), e.view(w), 0, product)
	network.Parallel(to.rows, rowsAtOnce, func(lo, hi int) {
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
	e.endedLayer(began, network.OpInputGradient, w)
	return nil
}

// SoftmaxCrossEntropy replaces logits by the loss's derivative and counts loss
// and correct rows. The exponentials and the sums over a row are float64 in
// either precision.
func (e *executor[T]) SoftmaxCrossEntropy(z network.Matrix, y network.Block, m int, r network.Recorder, record int) error {
	network.CheckSoftmax(z, y)
	if err := e.open(network.OpSoftmax, z.Buffer); err != nil {
		return err
	}
	_, labels, err := e.block(network.OpSoftmax, y)
	if err != nil {
		return err
	}
	if labels == nil {
		return fmt.Errorf("cpu: softmax cross-entropy: %w", network.ErrNoLabels)
	}
	mine, err := e.ownRecorder(network.OpSoftmax, r)
	if err != nil {
		return err
	}
	if record < 0 || record >= mine.n {
		panic(badRange)
	}
	began := e.begin()
	logits := e.view(z)
	parts := make([]network.Record, (logits.rows+rowsAtOnce-1)/rowsAtOnce)
	network.Parallel(logits.rows, rowsAtOnce, func(lo, hi int) {
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
	e.ended(began, func() string { return network.SoftmaxKey(z.Cols) })
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
