package cpu

import (
	"fmt"
	"slices"

	"clgrad/network"
)

// input holds scaled samples as one dense matrix.
type input[T Float] struct {
	owner *executor[T]
	dense[T]
	labels []int32
	blocks []int
	starts []int // the first row of each block
}

func (x *input[T]) Features() int { return x.cols }
func (x *input[T]) Blocks() []int { return x.blocks }
func (x *input[T]) Close() error {
	x.owner.free(len(x.data))
	x.data, x.labels = nil, nil
	return nil
}

// block returns the rows and labels of a block of an input that this executor made.
func (e *executor[T]) block(operation string, b network.Block) (dense[T], []int32, error) {
	x, ok := b.Input.(*input[T])
	if !ok || x.owner != e {
		panic(foreign)
	}
	if err := e.check(operation); err != nil {
		return dense[T]{}, nil, err
	}
	if x.data == nil {
		return dense[T]{}, nil, errClosed(operation + ": input")
	}
	lo, n := x.starts[b.Index], x.blocks[b.Index]
	var labels []int32
	if x.labels != nil {
		labels = x.labels[lo : lo+n]
	}
	return x.slice(lo, lo+n), labels, nil
}

// Load scales samples into a dense matrix.
func (e *executor[T]) Load(s network.Samples, blocks []int) (network.Input, error) {
	if err := e.check("load"); err != nil {
		return nil, err
	}
	err := s.Check(0)
	if err == nil {
		err = network.CheckBlocks(s.Rows, blocks)
	}
	if err != nil {
		return nil, fmt.Errorf("cpu: load: %w", err)
	}
	if err := e.take("input", int64(s.Rows)*int64(s.Features)); err != nil {
		return nil, err
	}
	x := &input[T]{
		owner:  e,
		dense:  dense[T]{make([]T, s.Rows*s.Features), s.Rows, s.Features, s.Features},
		labels: slices.Clone(s.Labels), blocks: slices.Clone(blocks), starts: make([]int, len(blocks)),
	}
	for i, n := range blocks[:len(blocks)-1] {
		x.starts[i+1] = x.starts[i] + n
	}
	scaled := s.ScaledRows()
	network.Parallel(s.Rows, 512, func(lo, hi int) {
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
