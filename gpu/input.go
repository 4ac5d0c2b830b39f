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
	labels         *object     // int32, nil where there are none
}

func (x *input) Rows() int      { return x.rows }
func (x *input) Features() int  { return x.features }
func (x *input) BlockRows() int { return x.blockRows }

// Folded reports whether the shift of packed input is held apart
// ([network.FoldedInput]).
func (x *input) Folded() bool { return x.packed != nil && x.packed.fold != nil }

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
	return nil
}

func (b *Backend) ownInput(x network.Input) *input {
	mine, ok := x.(*input)
	if !ok || mine.b != b.state {
		panic(foreign)
	}
	return mine
}

// Load brings samples to the device: packed where the configuration asks for it
// and the samples can be, otherwise as dense float32 rows.
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
	if err := x.load(s, b.config.Packed); err != nil {
		x.Close()
		return nil, err
	}
	return x, nil
}

func (x *input) load(s network.Samples, tile *kernels.Tile) error {
	session := x.b.s
	if tile != nil && packable(s) {
		x.packed = &packedRows{tile: *tile}
		if err := x.packed.load(session, x, s); err != nil {
			return err
		}
	} else {
		x.dense = &denseRows{stride: network.AlignUp(s.Features)}
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

// denseRows holds scaled rows in as many buffers as the device's largest one
// asks for. A block lies in one of them.
type denseRows struct {
	stride      int
	chunkBlocks int       // blocks of a chunk
	chunks      []*object // rows×stride float32
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
		rows: rows, cols: x.features, stride: d.stride,
	}
}

// stagingBytes bounds the host memory that a Load converts rows in.
const stagingBytes = 8 << 20

func (d *denseRows) load(s *session, x *input, samples network.Samples) error {
	blocks := network.Blocks(x)
	blockBytes := 4 * min(x.blockRows, x.rows) * d.stride
	d.chunkBlocks = blocks
	if limit := s.device.MaxBuffer; limit > 0 {
		if int64(blockBytes) > limit {
			return s.fail("load", fmt.Errorf("a block of %d rows needs %d bytes, the device's largest buffer is %d: use smaller blocks",
				x.blockRows, blockBytes, limit))
		}
		d.chunkBlocks = min(blocks, int(limit)/blockBytes)
	}
	// The elements between a row's features and its stride stay zero.
	staging := make([]float32, min(x.rows, max(1, stagingBytes/(4*d.stride)))*d.stride)
	scaled := samples.ScaledRows()
	for first := 0; first < x.rows; first += d.chunkBlocks * x.blockRows {
		rows := min(d.chunkBlocks*x.blockRows, x.rows-first)
		o, err := s.buffer(fmt.Sprintf("input of %d rows", rows), 4*rows*d.stride)
		if err != nil {
			return err
		}
		d.chunks = append(d.chunks, o)
		for done := 0; done < rows; {
			n := min(rows-done, len(staging)/d.stride)
			for i := range n {
				scaled(first+done+i, staging[i*d.stride:i*d.stride+x.features])
			}
			if err := s.write(o, 4*done*d.stride, unsafe.Pointer(&staging[0]), 4*n*d.stride); err != nil {
				return err
			}
			done += n
		}
	}
	return nil
}
