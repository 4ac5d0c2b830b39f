package cpu

import (
	"fmt"
	"slices"

	"clgrad/network"
	"clgrad/network/mapped"
)

// input holds scaled samples as one dense matrix.
type input[T Float] struct {
	owner *executor[T]
	dense[T]
	like   network.Samples // that were loaded, without features and labels
	scaled func(s network.Samples, i int, dst []float32)
	labels []int32
	blocks []int
	starts []int // the first row of each block
	// Of a streamed input data holds one block, scaled when it is used.
	samples *network.Samples // nil where all rows are held
	held    int              // the block
}

// hold scales a block of a streamed input, unless it is the one that is held.
func (x *input[T]) hold(i int) error {
	if x.samples == nil || x.held == i {
		return nil
	}
	x.held = -1
	x.scale(*x.samples, x.starts[i], x.blocks[i])
	x.held = i
	return mapped.CheckUnchanged(x.samples.Bytes)
}

// scale puts n rows of samples into data.
func (x *input[T]) scale(s network.Samples, first, n int) {
	network.Parallel(n, 512, func(lo, hi int) {
		row := make([]float32, x.cols)
		for i := lo; i < hi; i++ {
			x.scaled(s, first+i, row)
			for j, v := range row {
				x.data[i*x.stride+j] = T(v)
			}
		}
	})
}

// Refillable reports whether the input is one block of rows that are all held.
func (x *input[T]) Refillable() bool { return x.samples == nil && len(x.blocks) == 1 }

// Refill scales other rows into the memory of those before ([network.RefillableInput]).
func (x *input[T]) Refill(s network.Samples) error {
	if err := x.owner.check("refill"); err != nil {
		return err
	}
	if x.data == nil {
		return errClosed("refill: input")
	}
	if err := network.CheckRefill(x, x.like, s); err != nil {
		return fmt.Errorf("cpu: refill: %w", err)
	}
	x.blocks[0] = s.Rows
	copy(x.labels, s.Labels)
	x.scale(s, 0, s.Rows)
	return nil
}

func (x *input[T]) Features() int { return x.cols }
func (x *input[T]) Blocks() []int { return x.blocks }
func (x *input[T]) Close() error {
	x.owner.free(len(x.data))
	x.data, x.labels, x.samples = nil, nil, nil
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
	if x.samples != nil {
		if err := x.hold(b.Index); err != nil {
			return dense[T]{}, nil, fmt.Errorf("cpu: %s: %w", operation, err)
		}
		return x.slice(0, n), labels, nil
	}
	return x.slice(lo, lo+n), labels, nil
}

// Load scales samples into a dense matrix, or where the plan has them streamed, each block
// when it is used.
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
	rows := s.Rows // that are held
	if e.streams(s) {
		rows = slices.Max(blocks)
	}
	if err := e.take("input", int64(rows)*int64(s.Features)); err != nil {
		return nil, err
	}
	x := &input[T]{
		owner: e,
		dense: dense[T]{make([]T, rows*s.Features), rows, s.Features, s.Features},
		like:  s.Kind(), scaled: s.RowScaler(), held: -1,
		labels: slices.Clone(s.Labels), blocks: slices.Clone(blocks), starts: make([]int, len(blocks)),
	}
	for i, n := range blocks[:len(blocks)-1] {
		x.starts[i+1] = x.starts[i] + n
	}
	if e.streams(s) {
		x.samples = &s
		return x, nil
	}
	x.scale(s, 0, rows)
	return x, nil
}
