package gpu

import (
	"fmt"
	"unsafe"

	"clgrad/network"
)

// input holds scaled samples as dense float32 rows, in as many buffers as the
// device's largest one asks for. A block lies in one of them.
type input struct {
	b              *state
	rows, features int
	stride         int
	blockRows      int
	chunkBlocks    int       // blocks of a chunk
	chunks         []*object // rows×stride float32
	labels         *object   // int32, nil where there are none
}

func (x *input) Rows() int      { return x.rows }
func (x *input) Features() int  { return x.features }
func (x *input) BlockRows() int { return x.blockRows }

func (x *input) Close() error {
	if x.labels != nil {
		x.b.s.free(x.labels)
	}
	for i := len(x.chunks) - 1; i >= 0; i-- {
		x.b.s.free(x.chunks[i])
	}
	return nil
}

// block returns a block's rows as a matrix operand.
func (x *input) block(i int) operand {
	return operand{
		o: x.chunks[i/x.chunkBlocks], offset: i % x.chunkBlocks * x.blockRows * x.stride,
		rows: network.BlockLen(x, i), cols: x.features, stride: x.stride,
	}
}

func (b *Backend) ownInput(x network.Input) *input {
	mine, ok := x.(*input)
	if !ok || mine.b != b.state {
		panic(foreign)
	}
	return mine
}

// stagingBytes bounds the host memory that a Load converts rows in.
const stagingBytes = 8 << 20

// Load scales samples and copies them to the device.
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
	x := &input{
		b: b.state, rows: s.Rows, features: s.Features,
		stride: network.AlignUp(s.Features), blockRows: blockRows,
	}
	if err := x.load(s); err != nil {
		x.Close()
		return nil, err
	}
	return x, nil
}

func (x *input) load(s network.Samples) error {
	session := x.b.s
	blocks := network.Blocks(x)
	blockBytes := 4 * min(x.blockRows, x.rows) * x.stride
	x.chunkBlocks = blocks
	if limit := session.device.MaxBuffer; limit > 0 {
		if int64(blockBytes) > limit {
			return session.fail("load", fmt.Errorf("a block of %d rows needs %d bytes, the device's largest buffer is %d: use smaller blocks",
				x.blockRows, blockBytes, limit))
		}
		x.chunkBlocks = min(blocks, int(limit)/blockBytes)
	}
	// The elements between a row's features and its stride stay zero.
	staging := make([]float32, max(1, stagingBytes/(4*x.stride))*x.stride)
	scaled := s.ScaledRows()
	for first := 0; first < x.rows; first += x.chunkBlocks * x.blockRows {
		rows := min(x.chunkBlocks*x.blockRows, x.rows-first)
		o, err := session.buffer(fmt.Sprintf("input of %d rows", rows), 4*rows*x.stride)
		if err != nil {
			return err
		}
		x.chunks = append(x.chunks, o)
		for done := 0; done < rows; {
			n := min(rows-done, len(staging)/x.stride)
			for i := range n {
				scaled(first+done+i, staging[i*x.stride:i*x.stride+x.features])
			}
			if err := session.write(o, 4*done*x.stride, unsafe.Pointer(&staging[0]), 4*n*x.stride); err != nil {
				return err
			}
			done += n
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
