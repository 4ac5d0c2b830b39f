package gpu

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"unsafe"

	"clgrad/kernels"
	"clgrad/network"
)

// An executor computes with the tiles of one plan.
type executor struct {
	*state
	config   kernels.Config
	sizes    []int // of the plan's network
	plan     network.ShardPlan
	trusted  map[kernels.Rule]bool // rules whose kernels have passed their self-test
	launches map[launchKey]*launch
	args     arguments
	ended    bool

	// Scratch memory that verbs share, grown on demand.
	partial    *object // partial gradients
	transpose  *object // Wᵀ of the register input gradient
	affine     *object // weights for input whose scaling is held apart
	affineBias *object // and bias
	losses     *object // partial losses and counts
}

func (b *Backend) executor(c kernels.Config, sizes []int, plan network.ShardPlan) *executor {
	return &executor{
		state: b.state, config: c, sizes: sizes, plan: plan, launches: map[launchKey]*launch{},
		trusted: map[kernels.Rule]bool{"": true, kernels.Sum: true, ruleOf(network.Update{Rule: network.NewRule(network.GD)}): true},
	}
}

// trust tests the kernels of an update rule on its first use: a plan is made before
// anyone knows by which rule it will be trained.
func (e *executor) trust(rule kernels.Rule) error {
	if e.passes == nil || e.trusted[rule] {
		return nil
	}
	c := e.config
	c.Rule = rule
	if err := e.verify(c, e.sizes, e.plan); err != nil {
		return e.s.fail("self-test of the kernels of "+strings.ToLower(string(rule))+", which another optimizer or the CPU does without", unwrapped(err))
	}
	e.trusted[rule] = true
	return nil
}

// check reports a closed executor or backend.
func (e *executor) check(operation string) error {
	if e.ended {
		return e.s.fail(operation, network.ErrClosed)
	}
	return e.state.check(operation)
}

// Close waits for the device and frees all that the executor made.
func (e *executor) Close() error {
	if e.ended || e.closed {
		return nil
	}
	e.ended = true
	err := errors.Join(e.s.endStreams(e), e.s.finish())
	for _, o := range slices.Backward(slices.Clone(e.s.objects)) {
		if o.owner == e {
			e.s.free(o)
		}
	}
	return err
}

// buffer makes a buffer with unspecified contents that goes with the executor.
func (e *executor) buffer(what string, bytes int) (*object, error) {
	o, err := e.s.buffer(what, bytes)
	if err == nil {
		o.owner = e
	}
	return o, err
}

// zeroed makes a buffer of zeros that goes with the executor.
func (e *executor) zeroed(what string, bytes int) (*object, error) {
	o, err := e.buffer(what, bytes)
	if err != nil {
		return nil, err
	}
	if err := e.s.fill(o, 0, bytes); err != nil {
		e.s.free(o)
		return nil, err
	}
	return o, nil
}

// scratch returns shared memory of at least the given number of elements. Work
// that uses the memory it replaces is finished first.
func (e *executor) scratch(to **object, what string, elements int) (*object, error) {
	if o := *to; o != nil {
		if o.bytes >= 4*elements {
			return o, nil
		}
		if err := e.s.finish(); err != nil {
			return nil, err
		}
		e.s.free(o)
		*to = nil
	}
	o, err := e.buffer(what, 4*elements)
	if err != nil {
		return nil, err
	}
	*to = o
	return o, nil
}

// group returns a work-group size that the device takes.
func (e *executor) group(want int) int {
	if most := e.s.device.MaxWorkGroup; most > 0 {
		return min(want, most)
	}
	return want
}

// group2 returns a two-dimensional work-group for kernels with one element a
// work-item. Several rows a group keep their number below the 65535 groups that
// some drivers allow along the second dimension.
func (e *executor) group2() []int {
	cols := e.group(16)
	return []int{cols, min(4, e.group(vectorGroup)/cols)}
}

const (
	foreign   = "gpu: object of another executor"
	badRange  = "gpu: range exceeds the object"
	badStride = "gpu: strides and offsets have to be multiples of network.Align"
)

// buffer is a network.Buffer of float32.
type buffer struct {
	e *executor
	o *object
	n int
}

func (f *buffer) Len() int { return f.n }

func (f *buffer) Close() error {
	f.e.s.free(f.o)
	return nil
}

// own returns the object of a buffer that this executor made.
func (e *executor) own(f network.Buffer) *object {
	mine, ok := f.(*buffer)
	if !ok || mine.e != e {
		panic(foreign)
	}
	return mine.o
}

// NewBuffer makes a zeroed buffer.
func (e *executor) NewBuffer(elements int) (network.Buffer, error) {
	if err := e.check("create buffer"); err != nil {
		return nil, err
	}
	if elements < 1 {
		return nil, e.s.fail("create buffer", fmt.Errorf("%d elements: at least 1 is needed", elements))
	}
	o, err := e.zeroed("buffer", 4*elements)
	if err != nil {
		return nil, err
	}
	return &buffer{e, o, elements}, nil
}

// Write rounds src into dst.
func (e *executor) Write(dst network.Buffer, offset int, src []float64) error {
	o := e.own(dst)
	if offset < 0 || offset+len(src) > dst.Len() {
		panic(badRange)
	}
	if err := e.check("write"); err != nil || len(src) == 0 {
		return err
	}
	data := make([]float32, len(src))
	for i, v := range src {
		data[i] = float32(v)
	}
	return e.s.write(o, 4*offset, unsafe.Pointer(&data[0]), 4*len(data))
}

// Read waits for earlier work and copies src to dst.
func (e *executor) Read(src network.Buffer, offset int, dst []float64) error {
	o := e.own(src)
	if offset < 0 || offset+len(dst) > src.Len() {
		panic(badRange)
	}
	if err := e.check("read"); err != nil || len(dst) == 0 {
		return err
	}
	data := make([]float32, len(dst))
	if err := e.s.read(o, 4*offset, unsafe.Pointer(&data[0]), 4*len(data)); err != nil {
		return err
	}
	for i, v := range data {
		dst[i] = float64(v)
	}
	return nil
}

// Clear zeroes a buffer.
func (e *executor) Clear(dst network.Buffer) error {
	o := e.own(dst)
	if err := e.check("clear"); err != nil {
		return err
	}
	return e.s.fill(o, 0, 4*dst.Len())
}
