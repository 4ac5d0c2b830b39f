package gpu

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"unsafe"

	"clgrad/kernels"
	"clgrad/network"
)

// input holds samples for the first layer, packed or dense, and their labels.
type input struct {
	e              *executor
	rows, features int
	blocks         []int       // rows of each
	starts         []int       // the first row of each
	packed         *packedRows // nil where the rows are dense
	dense          *denseRows  // nil where they are packed
	affine         *object     // factor and shift of each feature (kernels/affine.cl); nil where scaled values are held
	shifted        bool        // a shift is not 0
	labels         *object     // int32, nil where there are none or they are streamed
	labelled       bool
	stream         *stream         // nil where all rows are held
	like           network.Samples // that were loaded, without features and labels
}

func (x *input) Features() int { return x.features }
func (x *input) Blocks() []int { return x.blocks }

// Affine reports whether the scaling is held apart ([network.AffineInput]).
func (x *input) Affine() bool { return x.affine != nil }

func (x *input) Close() error {
	var err error
	if x.stream != nil {
		err = x.e.s.endStream(x.stream)
	}
	if x.labels != nil {
		x.e.s.free(x.labels)
	}
	if x.packed != nil {
		x.packed.free(x.e.s)
	}
	if x.dense != nil {
		x.dense.free(x.e.s)
	}
	if x.affine != nil {
		x.e.s.free(x.affine)
	}
	x.rows = 0 // closed
	return err
}

// labelsOf returns the labels of a block, and where they begin.
func (x *input) labelsOf(block int) (o *object, at int, err error) {
	if x.stream == nil {
		return x.labels, x.starts[block], nil
	}
	place, err := x.stream.use(block)
	if err != nil {
		return nil, 0, err
	}
	return place.slot.parts[labelsPart], place.row, nil
}

// Expect says which blocks come next ([network.StreamedBlocks]).
func (x *input) Expect(ranges [][2]int) {
	if x.stream != nil {
		x.stream.expected = append(x.stream.expected[:0], ranges...)
	}
}

// ownInput returns an input that this executor made.
func (e *executor) ownInput(x network.Input) *input {
	mine, ok := x.(*input)
	if !ok || mine.e != e {
		panic(foreign)
	}
	return mine
}

// check reports a closed input.
func (x *input) check(operation string) error {
	if x.rows == 0 {
		return x.e.s.fail(operation+": input", network.ErrClosed)
	}
	return x.e.check(operation)
}

// Load brings samples to the device: packed, or as bytes, where the plan asks
// for it and the samples can be, otherwise as dense float32 rows.
func (e *executor) Load(s network.Samples, blocks []int) (network.Input, error) {
	if err := e.check("load"); err != nil {
		return nil, err
	}
	err := s.Check(0)
	if err == nil {
		err = network.CheckBlocks(s.Rows, blocks)
	}
	if err != nil {
		return nil, e.s.fail("load", err)
	}
	x := &input{e: e, rows: s.Rows, features: s.Features, blocks: slices.Clone(blocks), starts: make([]int, len(blocks)), like: s.Kind()}
	for i, n := range blocks[:len(blocks)-1] {
		x.starts[i+1] = x.starts[i] + n
	}
	if err := x.load(s, e.config); err != nil {
		x.Close()
		return nil, err
	}
	return x, nil
}

func (x *input) load(s network.Samples, c kernels.Config) error {
	x.labelled = s.Labels != nil
	if streams := x.e.stream.streams; streams != nil && streams(x.e.plan, s) { // a self-test has none
		return x.loadStream(s, c)
	}
	if c.Packed != nil && packable(s) {
		x.packed = &packedRows{tile: *c.Packed}
		if err := x.packed.load(x, s); err != nil {
			return err
		}
	} else {
		x.dense = &denseRows{stride: network.AlignUp(s.Features), width: 4}
		if c.Bytes && separable(s) {
			x.dense.width = 1
			if err := x.setAffine(affineOf(s)); err != nil {
				return err
			}
		}
		if err := x.dense.load(x, s); err != nil {
			return err
		}
	}
	if s.Labels == nil {
		return nil
	}
	var err error
	if x.labels, err = x.e.buffer("labels", 4*x.rows); err != nil {
		return err
	}
	return x.e.s.write(x.labels, 0, unsafe.Pointer(&s.Labels[0]), 4*x.rows)
}

// Refillable reports whether the input is one block of rows that are all on the device.
func (x *input) Refillable() bool { return x.stream == nil && len(x.blocks) == 1 }

// Refill writes other rows into the buffers of those before ([network.RefillableInput]). Those of packed
// rows become larger where their entries are more.
func (x *input) Refill(s network.Samples) error {
	if err := x.check("refill"); err != nil {
		return err
	}
	err := network.CheckRefill(x, x.like, s)
	if err != nil {
		return x.e.s.fail("refill", err)
	}
	x.rows, x.blocks[0] = s.Rows, s.Rows
	if x.packed != nil {
		err = x.packed.refill(x, s)
	} else {
		err = x.dense.write(x, s, x.dense.chunks[0].o, 0, s.Rows)
	}
	if err == nil && s.Labels != nil {
		err = x.e.s.write(x.labels, 0, unsafe.Pointer(&s.Labels[0]), 4*s.Rows)
	}
	if err != nil {
		err = errors.Join(err, x.Close())
	}
	return err
}

// denseRows holds rows in as many buffers as the device's largest one asks for, scaled
// as float32 or raw as bytes. A block lies in one of them.
type denseRows struct {
	stride int
	width  int          // bytes of an element: 4 or 1
	chunks []denseChunk // of whole blocks
	staged []byte       // rows on their way to the device
}

// denseChunk is what one buffer holds: blocks up to, but not, end, from the given row on.
type denseChunk struct {
	o          *object // rows×stride elements
	first, end int     // row, block
}

func (d *denseRows) free(s *session) {
	for _, c := range slices.Backward(d.chunks) {
		s.free(c.o)
	}
}

// block returns a block's rows as a matrix operand.
func (d *denseRows) block(x *input, i int) (operand, error) {
	rows := operand{rows: x.blocks[i], cols: x.features, stride: d.stride, bytes: d.width == 1}
	if x.stream != nil {
		place, err := x.stream.use(i)
		if err != nil {
			return rows, err
		}
		rows.o, rows.offset = place.slot.parts[rowsPart], place.row*d.stride
		return rows, nil
	}
	c := d.chunks[slices.IndexFunc(d.chunks, func(c denseChunk) bool { return i < c.end })]
	rows.o, rows.offset = c.o, (x.starts[i]-c.first)*d.stride
	return rows, nil
}

// stagingBytes bounds the host memory that a Load converts rows in.
const stagingBytes = 8 << 20

func (d *denseRows) load(x *input, samples network.Samples) error {
	s, rowBytes := x.e.s, d.width*d.stride
	most := math.MaxInt // rows of a buffer
	if limit := s.device.MaxBuffer; limit > 0 {
		most = int(limit) / rowBytes
	}
	for block := 0; block < len(x.blocks); {
		first, rows := x.starts[block], 0
		for ; block < len(x.blocks) && x.blocks[block] <= most-rows; block++ {
			rows += x.blocks[block]
		}
		if rows == 0 {
			return s.fail("load", fmt.Errorf("a block of %d rows needs %d bytes, the device's largest buffer is %d: use smaller blocks",
				x.blocks[block], x.blocks[block]*rowBytes, s.device.MaxBuffer))
		}
		o, err := x.e.buffer(fmt.Sprintf("input of %d rows", rows), rows*rowBytes)
		if err != nil {
			return err
		}
		d.chunks = append(d.chunks, denseChunk{o, first, block})
		if err := d.write(x, samples, o, first, rows); err != nil {
			return err
		}
	}
	if len(x.blocks) > 1 { // it is not refilled
		d.staged = nil
	}
	return nil
}

// write brings rows of samples to the beginning of a buffer.
func (d *denseRows) write(x *input, samples network.Samples, o *object, first, rows int) error {
	rowBytes := d.width * d.stride
	most := max(1, stagingBytes/rowBytes)
	d.staged = grown(d.staged, min(rows, most)*rowBytes)
	fill := d.filler(samples)
	for done := 0; done < rows; {
		n := min(rows-done, most)
		fill(first+done, n, d.staged)
		if err := x.e.s.write(o, done*rowBytes, unsafe.Pointer(&d.staged[0]), n*rowBytes); err != nil {
			return err
		}
		done += n
	}
	return nil
}

// filler returns a function that puts n rows into memory, as the device has them. The
// elements between a row's features and its stride are zero.
func (d *denseRows) filler(samples network.Samples) func(first, n int, memory []byte) {
	features := samples.Features
	if d.width == 1 {
		return func(first, n int, memory []byte) {
			for i := range n {
				row := memory[i*d.stride : (i+1)*d.stride]
				clear(row[copy(row, samples.Row(first+i)):])
			}
		}
	}
	scaled := samples.ScaledRows()
	return func(first, n int, memory []byte) {
		to := view[float32](memory)
		for i := range n {
			row := to[i*d.stride : (i+1)*d.stride]
			scaled(first+i, row[:features])
			clear(row[features:])
		}
	}
}

// view returns memory as elements of another type.
func view[T any](memory []byte) []T {
	if len(memory) == 0 {
		return nil
	}
	var element T
	return unsafe.Slice((*T)(unsafe.Pointer(&memory[0])), len(memory)/int(unsafe.Sizeof(element)))
}
