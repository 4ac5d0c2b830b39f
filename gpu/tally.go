package gpu

import (
	"fmt"
	"math"
	"unsafe"

	"clgrad/kernels"
	"clgrad/network"
)

// tally is device memory of 32-bit words: the first iteration that was not
// finite, one unused, then loss (float bits) and correct rows of each record.
type tally struct {
	b       *state
	o       *object
	records int
}

func (t *tally) Close() error {
	t.b.s.free(t.o)
	return nil
}

func (b *Backend) ownTally(t network.Tally) *tally {
	mine, ok := t.(*tally)
	if !ok || mine.b != b.state {
		panic(foreign)
	}
	return mine
}

// NewTally makes a zeroed tally.
func (b *Backend) NewTally(records int) (network.Tally, error) {
	if err := b.check("create tally"); err != nil {
		return nil, err
	}
	if records < 1 {
		return nil, b.s.fail("create tally", fmt.Errorf("%d records: at least 1 is needed", records))
	}
	o, err := b.s.zeroed("tally", 8*(records+1))
	if err != nil {
		return nil, err
	}
	return &tally{b.state, o, records}, nil
}

// ReadTally waits for earlier work and copies records.
func (b *Backend) ReadTally(t network.Tally, first int, dst []network.Record) (int, error) {
	mine := b.ownTally(t)
	if first < 0 || first+len(dst) > mine.records {
		panic(badRange)
	}
	if err := b.check("read tally"); err != nil {
		return 0, err
	}
	// One read from the start: it costs less than a second one.
	words := make([]uint32, 2*(1+first+len(dst)))
	if err := b.s.read(mine.o, 0, unsafe.Pointer(&words[0]), 4*len(words)); err != nil {
		return 0, err
	}
	for i := range dst {
		w := words[2*(1+first+i):]
		dst[i] = network.Record{Loss: float64(math.Float32frombits(w[0])), Correct: int(w[1])}
	}
	return int(words[0]), nil
}

// vectorGroup is the work-group of kernels with one element a work-item.
const vectorGroup = 64

// Update computes θ −= α·g.
func (b *Backend) Update(theta, g network.Buffer, alpha float64, iteration int, t network.Tally) error {
	to, from, mine := b.own(theta), b.own(g), b.ownTally(t)
	if theta.Len() != g.Len() {
		panic(badLength)
	}
	if err := b.check("update"); err != nil {
		return err
	}
	return b.s.launch(network.OpUpdate, kernels.Update(), "update", []int{theta.Len()}, []int{b.group(vectorGroup)},
		int32(theta.Len()), float32(alpha), int32(iteration), to, from, mine.o)
}

// group returns a work-group size that the device takes.
func (b *Backend) group(want int) int {
	if most := b.s.device.MaxWorkGroup; most > 0 {
		return min(want, most)
	}
	return want
}
