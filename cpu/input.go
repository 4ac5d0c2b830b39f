package cpu

import (
	"fmt"

	"clgrad/network"
)

// input holds scaled samples as one dense matrix.
type input[T Float] struct {
	owner *Backend[T]
	dense[T]
	labels    []int32
	blockRows int
}

func (x *input[T]) Rows() int      { return x.rows }
func (x *input[T]) Features() int  { return x.cols }
func (x *input[T]) BlockRows() int { return x.blockRows }
func (x *input[T]) Close() error {
	x.owner.give(len(x.data))
	x.data, x.labels = nil, nil
	return nil
}

// block returns the rows and labels of a block.
func (x *input[T]) block(i int) (dense[T], []int32) {
	n := network.BlockLen(x, i)
	lo := i * x.blockRows
	var labels []int32
	if x.labels != nil {
		labels = x.labels[lo : lo+n]
	}
	return x.slice(lo, lo+n), labels
}

func (b *Backend[T]) ownInput(x network.Input) *input[T] {
	mine, ok := x.(*input[T])
	if !ok || mine.owner != b {
		panic(foreign)
	}
	return mine
}

// Load scales samples into a dense matrix.
func (b *Backend[T]) Load(s network.Samples, blockRows int) (network.Input, error) {
	if b.closed {
		return nil, ErrClosed
	}
	if err := s.Check(0); err != nil {
		return nil, fmt.Errorf("cpu: load: %w", err)
	}
	if blockRows < 1 {
		return nil, fmt.Errorf("cpu: load: blocks of %d rows: at least 1 is needed", blockRows)
	}
	if err := b.take("input", int64(s.Rows)*int64(s.Features)); err != nil {
		return nil, err
	}
	x := &input[T]{
		owner:     b,
		dense:     dense[T]{make([]T, s.Rows*s.Features), s.Rows, s.Features, s.Features},
		labels:    append([]int32(nil), s.Labels...),
		blockRows: blockRows,
	}
	scaled := s.ScaledRows()
	parallel(s.Rows, 512, func(lo, hi int) {
		row := make([]float32, s.Features)
		for i := lo; i < hi; i++ {
			scaled(i, row)
			for j, v := range row {
				x.data[i*x.stride+j] = T(v)
			}
		}
	})
	return x, nil
}
