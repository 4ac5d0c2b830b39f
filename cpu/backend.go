package cpu

import (
	"encoding/json"
	"fmt"
	"runtime"

	"clgrad/network"
)

// A Backend computes in the precision T on the host's cores. It implements
// [network.Backend], [network.Prober], [network.MemoryMeter] and [network.Profiler].
type Backend[T Float] struct {
	memory int64
	used   int64 // bytes of buffers, inputs, scratch memory and probes
	closed bool

	// Input says where Propose has the input held; "" is network.AutoInput.
	Input network.InputMode

	profiling bool
	profile   []network.OperationTime
	probes    [2][]T // memory of each network.Peak's probe
}

// settings are what decides the order of the sums.
type settings struct {
	Splits int `json:"splits"` // ranges of rows that a small weight gradient is summed in
}

// defaultBlockRows keeps a block of activations in the second-level cache while
// a block's products are long enough to occupy all cores. blockElements bounds
// the activations of wide networks.
const (
	defaultBlockRows = 2048
	blockElements    = 16 << 20
)

// blockRows returns the rows of a block for a network of the given sizes.
func blockRows(sizes []int, rows int) int {
	perRow := 0
	for _, n := range sizes[1:] {
		perRow += n
	}
	return max(1, min(rows, defaultBlockRows, blockElements/perRow))
}

// New returns a backend. T is float32, the fall-back, or float64, the reference.
func New[T Float]() *Backend[T] {
	return &Backend[T]{memory: network.HostMemory()}
}

// errClosed says what of this package is closed.
func errClosed(what string) error { return fmt.Errorf("cpu: %s: %w", what, network.ErrClosed) }

// An executor computes as one plan says.
type executor[T Float] struct {
	*Backend[T]
	settings settings
	partial  []T   // partial weight gradients, one a split, or an input gradient
	ones     []T   // as many as a block has rows
	made     int64 // bytes of what was made and not closed
	closed   bool
	streams  func(network.Samples) bool // what the plan has streamed
}

// check reports a closed executor or backend.
func (e *executor[T]) check(operation string) error {
	if e.closed || e.Backend.closed {
		return errClosed(operation)
	}
	return nil
}

// take counts memory that is about to be allocated, and refuses what the host
// does not have: Go would end the process.
func (b *Backend[T]) take(what string, elements int64) error {
	bytes := elements * b.width()
	if b.memory > 0 && b.used+bytes > b.memory {
		return fmt.Errorf("cpu: %s needs %d bytes beside the %d in use, this machine has %d", what, bytes, b.used, b.memory)
	}
	b.used += bytes
	return nil
}

// give counts bytes that are no longer used.
func (b *Backend[T]) give(bytes int64) { b.used = max(0, b.used-bytes) }

// width returns the bytes of an element.
func (b *Backend[T]) width() int64 {
	if b.double() {
		return 8
	}
	return 4
}

func defaultSettings() settings {
	if ownThreads {
		return settings{Splits: 1}
	}
	return settings{Splits: runtime.GOMAXPROCS(0)}
}

const (
	foreign  = "cpu: object of another backend"
	badRange = "cpu: range exceeds the object"
	badRule  = "cpu: an update of an unknown optimizer"
)

// Info describes the host.
func (b *Backend[T]) Info() network.Info {
	info := network.Info{
		Backend:      "cpu",
		Device:       processor(),
		Driver:       library,
		Build:        architecture(),
		ComputeUnits: runtime.GOMAXPROCS(0),
		Memory:       b.memory,
		Roundoff:     0x1p-24,
	}
	if b.double() {
		info.Backend, info.Roundoff = "cpu64", 0x1p-53
	}
	return info
}

// double reports whether T is float64.
func (b *Backend[T]) double() bool {
	_, is := any(T(0)).(float64)
	return is
}

// Propose proposes blocks that stay in cache and one split a core.
func (b *Backend[T]) Propose(sizes []int, s network.Samples, batchRows int) (network.ShardPlan, error) {
	if b.closed {
		return network.ShardPlan{}, errClosed("propose")
	}
	if _, err := network.NewLayout(sizes); err != nil {
		return network.ShardPlan{}, err
	}
	if err := s.Check(0); err != nil {
		return network.ShardPlan{}, fmt.Errorf("cpu: propose: %w", err)
	}
	text, err := json.Marshal(defaultSettings())
	if err != nil {
		return network.ShardPlan{}, err
	}
	plan := b.Info().Plan()
	if b.Input == network.StreamedInput || b.Input != network.ResidentInput && b.memory > 0 && int64(s.Rows)*int64(s.Features)*b.width() > b.memory/2 {
		plan.Input = network.StreamedInput
	}
	plan.Rows, plan.BlockRows, plan.ScoreRows, plan.Settings = batchRows, blockRows(sizes, batchRows), blockRows(sizes, s.Rows), text
	return plan, nil
}

// Prepare takes the splits from a plan.
func (b *Backend[T]) Prepare(_ []int, plan network.ShardPlan) (network.Executor, error) {
	if b.closed {
		return nil, errClosed("prepare")
	}
	if err := plan.CheckDevice(b.Info()); err != nil {
		return nil, err
	}
	var s settings
	if err := json.Unmarshal(plan.Settings, &s); err != nil {
		return nil, fmt.Errorf("cpu: settings of the plan: %w", err)
	}
	if s.Splits < 1 || s.Splits > 1024 {
		return nil, fmt.Errorf("cpu: the plan asks for %d splits: 1 to 1024 are possible", s.Splits)
	}
	return &executor[T]{Backend: b, settings: s, streams: plan.Streams}, nil
}

// Close frees nothing that the collector would not, and refuses further use.
func (b *Backend[T]) Close() error {
	b.closed, b.used, b.probes = true, 0, [2][]T{}
	return nil
}

// Close gives back what the executor made.
func (e *executor[T]) Close() error {
	if !e.closed {
		e.closed, e.partial, e.ones = true, nil, nil
		e.give(e.made)
	}
	return nil
}

// take counts memory for elements that the executor is about to make.
func (e *executor[T]) take(what string, elements int64) error {
	err := e.Backend.take(what, elements)
	if err == nil {
		e.made += elements * e.width()
	}
	return err
}

// free counts elements that the executor made and no longer needs.
func (e *executor[T]) free(elements int) {
	if bytes := int64(elements) * e.width(); !e.closed {
		e.made -= bytes
		e.give(bytes)
	}
}

// scratch returns memory of at least n elements, grown on demand.
func (e *executor[T]) scratch(to *[]T, what string, n int) ([]T, error) {
	if more := n - len(*to); more > 0 {
		if err := e.take(what, int64(more)); err != nil {
			return nil, err
		}
		*to = make([]T, n)
	}
	return (*to)[:n], nil
}

// buffer is memory of a Backend[T].
type buffer[T Float] struct {
	owner *executor[T]
	data  []T // nil once it is closed
	n     int
}

func (f *buffer[T]) Len() int { return f.n }
func (f *buffer[T]) Close() error {
	f.owner.free(len(f.data))
	f.data = nil
	return nil
}

// NewBuffer makes a zeroed buffer.
func (e *executor[T]) NewBuffer(elements int) (network.Buffer, error) {
	if err := e.check("create buffer"); err != nil {
		return nil, err
	}
	if elements < 1 {
		return nil, fmt.Errorf("cpu: buffer of %d elements: at least 1 is needed", elements)
	}
	if err := e.take("buffer", int64(elements)); err != nil {
		return nil, err
	}
	return &buffer[T]{e, make([]T, elements), elements}, nil
}

// own returns the memory of a buffer that this executor made.
func (e *executor[T]) own(f network.Buffer) *buffer[T] {
	mine, ok := f.(*buffer[T])
	if !ok || mine.owner != e {
		panic(foreign)
	}
	return mine
}

// open reports a closed executor, or a closed buffer among those of an operation.
func (e *executor[T]) open(operation string, buffers ...network.Buffer) error {
	err := e.check(operation)
	for _, f := range buffers {
		if e.own(f).data == nil && err == nil {
			err = errClosed(operation + ": buffer")
		}
	}
	return err
}

// view returns the host matrix of a checked view of an open buffer.
func (e *executor[T]) view(m network.Matrix) dense[T] {
	end := m.Offset + (m.Rows-1)*m.Stride + m.Cols
	return dense[T]{e.own(m.Buffer).data[m.Offset:end], m.Rows, m.Cols, m.Stride}
}

// Write rounds src into dst.
func (e *executor[T]) Write(dst network.Buffer, offset int, src []float64) error {
	if err := e.open("write", dst); err != nil {
		return err
	}
	d := e.own(dst).data
	if offset < 0 || offset+len(src) > len(d) {
		panic(badRange)
	}
	for i, v := range src {
		d[offset+i] = T(v)
	}
	return nil
}

// Read copies src to dst.
func (e *executor[T]) Read(src network.Buffer, offset int, dst []float64) error {
	if err := e.open("read", src); err != nil {
		return err
	}
	s := e.own(src).data
	if offset < 0 || offset+len(dst) > len(s) {
		panic(badRange)
	}
	for i := range dst {
		dst[i] = float64(s[offset+i])
	}
	return nil
}

// Clear zeroes a buffer.
func (e *executor[T]) Clear(dst network.Buffer) error {
	if err := e.open("clear", dst); err != nil {
		return err
	}
	clear(e.own(dst).data)
	return nil
}

// recorder holds records and the first iteration that was not finite.
type recorder struct {
	owner     any              // its executor
	records   []network.Record // nil once it is closed
	n         int
	nonFinite int
}

func (r *recorder) Close() error {
	r.records = nil
	return nil
}

// ownRecorder returns a recorder that this executor made, or reports that it is closed.
func (e *executor[T]) ownRecorder(operation string, r network.Recorder) (*recorder, error) {
	mine, ok := r.(*recorder)
	if !ok || mine.owner != any(e) {
		panic(foreign)
	}
	if mine.records == nil {
		return nil, errClosed(operation + ": recorder")
	}
	return mine, nil
}

// NewRecorder makes a recorder.
func (e *executor[T]) NewRecorder(records int) (network.Recorder, error) {
	if err := e.check("create recorder"); err != nil {
		return nil, err
	}
	if records < 1 {
		return nil, fmt.Errorf("cpu: recorder of %d records: at least 1 is needed", records)
	}
	return &recorder{owner: e, records: make([]network.Record, records), n: records}, nil
}

// ReadRecords copies records.
func (e *executor[T]) ReadRecords(r network.Recorder, first int, dst []network.Record) (int, error) {
	if err := e.check("read records"); err != nil {
		return 0, err
	}
	mine, err := e.ownRecorder("read records", r)
	if err != nil {
		return 0, err
	}
	if first < 0 || first+len(dst) > mine.n {
		panic(badRange)
	}
	copy(dst, mine.records[first:])
	return mine.nonFinite, nil
}
