package gpu

import (
	"fmt"
	"math"
	"unsafe"

	"clgrad/network"
)

// recorder is device memory of 32-bit words: the first iteration that was not
// finite, one unused, then loss (float bits) and correct rows of each record.
type recorder struct {
	e       *executor
	o       *object
	records int
}

func (r *recorder) Close() error {
	r.e.s.free(r.o)
	return nil
}

func (e *executor) ownRecorder(r network.Recorder) *recorder {
	mine, ok := r.(*recorder)
	if !ok || mine.e != e {
		panic(foreign)
	}
	return mine
}

// NewRecorder makes a zeroed recorder.
func (e *executor) NewRecorder(records int) (network.Recorder, error) {
	if err := e.check("create recorder"); err != nil {
		return nil, err
	}
	if records < 1 {
		return nil, e.s.fail("create recorder", fmt.Errorf("%d records: at least 1 is needed", records))
	}
	o, err := e.zeroed("recorder", 8*(records+1))
	if err != nil {
		return nil, err
	}
	return &recorder{e, o, records}, nil
}

// ReadRecords waits for earlier work and copies records.
func (e *executor) ReadRecords(r network.Recorder, first int, dst []network.Record) (int, error) {
	mine := e.ownRecorder(r)
	if first < 0 || first+len(dst) > mine.records {
		panic(badRange)
	}
	if err := e.check("read records"); err != nil {
		return 0, err
	}
	// One read from the start: it costs less than a second one.
	words := make([]uint32, 2*(1+first+len(dst)))
	if err := e.s.read(mine.o, 0, unsafe.Pointer(&words[0]), 4*len(words)); err != nil {
		return 0, err
	}
	for i := range dst {
		w := words[2*(1+first+i):]
		dst[i] = network.Record{Loss: float64(math.Float32frombits(w[0])), Correct: int(w[1])}
	}
	return int(words[0]), nil
}
