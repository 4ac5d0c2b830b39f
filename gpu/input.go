package gpu

import (
	"fmt"
	"slices"
	"unsafe"

	"clgrad/kernels"
	"clgrad/network"
)

// input holds samples for the first layer, packed or dense, and their labels.
type input struct {
	b              *state
	rows, features int
	blockRows      int
	packed         *packedRows // nil where the rows are dense
	dense          *denseRows  // nil where they are packed
	fold           *object     // factor and shift of each feature (kernels/fold.cl); nil where scaled values are held
	shifted        bool        // a shift is not 0
	labels         *object     // int32, nil where there are none
}

func (x *input) Rows() int      { return x.rows }
func (x *input) Features() int  { return x.features }
func (x *input) BlockRows() int { return x.blockRows }

// Folded reports whether the scaling is held apart ([network.FoldedInput]).
func (x *input) Folded() bool { return x.fold != nil }

func (x *input) Close() error {
	if x.labels != nil {
		x.b.s.free(x.labels)
	}
	if x.packed != nil {
		x.packed.free(x.b.s)
	}
	if x.dense != nil {
		x.dense.free(x.b.s)
	}
	if x.fold != nil {
		x.b.s.free(x.fold)
	}
	return nil
}

func (b *Backend) ownInput(x network.Input) *input {
	mine, ok := x.(*input)
	if !ok || mine.b != b.state {
		panic(foreign)
	}
	return mine
}

// Load brings samples to the device: packed, or as bytes, where the configuration asks
// for it and the samples can be, otherwise as dense float32 rows.
func (b *Backend) Load(s network.Samples, blockRows int) (network.Input, error) {
	if err := b.check("load"); err != nil {
		return nil, err
	}
	if err := s.Check(0); err != nil {
		return nil, b.s.fail("load", err)
	}
	if blockRows < 1 {
		return nil, b.s.fail("load", fmt.Errorf("blocks of %d rows: at least 1 is needed", blockRows))
	}
	x := &input{b: b.state, rows: s.Rows, features: s.Features, blockRows: blockRows}
	if err := x.load(s, b.config); err != nil {
		x.Close()
		return nil, err
	}
	return x, nil
}

func (x *input) load(s network.Samples, c kernels.Config) error {
	session := x.b.s
	if c.Packed != nil && packable(s) {
		x.packed = &packedRows{tile: *c.Packed}
		if err := x.packed.load(session, x, s); err != nil {
			return err
		}
	} else {
		x.dense = &denseRows{stride: network.AlignUp(s.Features), width: 4}
		if c.Bytes && foldable(s) {
			x.dense.width = 1
			if err := x.setFold(foldOf(s)); err != nil {
				return err
			}
		}
		if err := x.dense.load(session, x, s); err != nil {
			return err
		}
	}
	if s.Labels == nil {
		return nil
	}
	var err error
	if x.labels, err = session.buffer("labels", 4*x.rows); err != nil {
		return err
	}
	return session.write(x.labels, 0, unsafe.Pointer(&s.Labels[0]), 4*x.rows)
}

// denseRows holds rows in as many buffers as the device's largest one asks for, scaled
// as float32 or raw as bytes. A block lies in one of them.
type denseRows struct {
	stride      int
	width       int       // bytes of an element: 4 or 1
	chunkBlocks int       // blocks of a chunk
	chunks      []*object // rows×stride elements
}

func (d *denseRows) free(s *session) {
	for _, o := range slices.Backward(d.chunks) {
		s.free(o)
	}
}

// block returns a block's rows as a matrix operand.
func (d *denseRows) block(x *input, i int) operand {
	rows := network.BlockLen(x, i)
	return operand{
		o: d.chunks[i/d.chunkBlocks], offset: i % d.chunkBlocks * x.blockRows * d.stride,
		rows: rows, cols: x.features, stride: d.stride, bytes: d.width == 1,
	}
}

// stagingBytes bounds the host memory that a Load converts rows in.
const stagingBytes = 8 << 20

func (d *denseRows) load(s *session, x *input, samples network.Samples) error {
	blocks := network.Blocks(x)
	blockBytes := d.width * min(x.blockRows, x.rows) * d.stride
	d.chunkBlocks = blocks
	if limit := s.device.MaxBuffer; limit > 0 {
		if int64(blockBytes) > limit {
			return s.fail("load", fmt.Errorf("a block of %d rows needs %d bytes, the device's largest buffer is %d: use smaller blocks",
				x.blockRows, blockBytes, limit))
		}
		d.chunkBlocks = min(blocks, int(limit)/blockBytes)
	}
	staged := min(x.rows, max(1, stagingBytes/(d.width*d.stride))) // rows
	fill := d.filler(samples, staged)
	for first := 0; first < x.rows; first += d.chunkBlocks * x.blockRows {
		rows := min(d.chunkBlocks*x.blockRows, x.rows-first)
		o, err := s.buffer(fmt.Sprintf("input of %d rows", rows), d.width*rows*d.stride)
		if err != nil {
			return err
		}
		d.chunks = append(d.chunks, o)
		for done := 0; done < rows; {
			n := min(rows-done, staged)
			if err := s.write(o, d.width*done*d.stride, fill(first+done, n), d.width*n*d.stride); err != nil {
				return err
			}
			done += n
		}
	}
	return nil
}

// filler returns a function that puts n rows, at most as many as given, into memory of
// its own and returns where. The elements between a row's features and its stride are
// zero.
func (d *denseRows) filler(samples network.Samples, most int) func(first, n int) unsafe.Pointer {
	features := samples.Features
	if d.width == 1 {
		staging := make([]uint8, most*d.stride)
		return func(first, n int) unsafe.Pointer {
			for i := range n {
				copy(staging[i*d.stride:], samples.Bytes[(first+i)*features:(first+i+1)*features])
			}
			return unsafe.Pointer(&staging[0])
		}
	}
	staging, scaled := make([]float32, most*d.stride), samples.ScaledRows()
	return func(first, n int) unsafe.Pointer {
		for i := range n {
			scaled(first+i, staging[i*d.stride:i*d.stride+features])
		}
		return unsafe.Pointer(&staging[0])
	}
}
