package cpu

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"runtime"
	"time"

	"clgrad/network"
)

// ErrClosed reports the use of a closed backend.
var ErrClosed = errors.New("cpu: backend is closed")

// A Backend computes in the precision T on the host's cores. It implements
// [network.Backend], [network.Prober], [network.MemoryMeter] and, where it was
// opened with [Options].Profiling, [network.Profiler].
type Backend[T Float] struct {
	settings settings
	partial  []T // partial weight gradients, one a split
	ones     []T // as many as a block has rows
	memory   int64
	used     int64 // bytes of buffers, inputs and probes
	closed   bool

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
	return &Backend[T]{settings: defaultSettings(), memory: memory()}
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

// give counts memory that is no longer used.
func (b *Backend[T]) give(elements int) { b.used -= int64(elements) * b.width() }

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
	foreign   = "cpu: object of another backend"
	badLength = "cpu: buffers differ in length"
	badRange  = "cpu: range exceeds the object"
)

// Info describes the host.
func (b *Backend[T]) Info() network.Info {
	info := network.Info{
		Backend:      "cpu",
		Device:       processor(),
		Driver:       library,
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

// DefaultPlan proposes blocks that stay in cache and one split a core.
func (b *Backend[T]) DefaultPlan(sizes []int, s network.Samples) (network.ShardPlan, error) {
	if _, err := network.NewLayout(sizes); err != nil {
		return network.ShardPlan{}, err
	}
	text, err := json.Marshal(defaultSettings())
	if err != nil {
		return network.ShardPlan{}, err
	}
	info := b.Info()
	return network.ShardPlan{
		Backend: info.Backend, Device: info.Device, Driver: info.Driver,
		Rows: s.Rows, BlockRows: blockRows(sizes, s.Rows), Settings: text,
	}, nil
}

// Configure takes the splits from a plan.
func (b *Backend[T]) Configure(plan network.ShardPlan) error {
	if b.closed {
		return ErrClosed
	}
	if err := plan.CheckDevice(b.Info()); err != nil {
		return err
	}
	var s settings
	if err := json.Unmarshal(plan.Settings, &s); err != nil {
		return fmt.Errorf("cpu: settings of the plan: %w", err)
	}
	if s.Splits < 1 || s.Splits > 1024 {
		return fmt.Errorf("cpu: the plan asks for %d splits: 1 to 1024 are possible", s.Splits)
	}
	b.settings = s
	return nil
}

// Close frees nothing that the collector would not, and refuses further use.
func (b *Backend[T]) Close() error {
	b.closed, b.partial, b.ones, b.probes = true, nil, nil, [2][]T{}
	return nil
}

// buffer is memory of a Backend[T].
type buffer[T Float] struct {
	owner *Backend[T]
	data  []T
}

func (f *buffer[T]) Len() int { return len(f.data) }
func (f *buffer[T]) Close() error {
	f.owner.give(len(f.data))
	f.data = nil
	return nil
}

// NewBuffer makes a zeroed buffer.
func (b *Backend[T]) NewBuffer(elements int) (network.Buffer, error) {
	if b.closed {
		return nil, ErrClosed
	}
	if elements < 1 {
		return nil, fmt.Errorf("cpu: buffer of %d elements: at least 1 is needed", elements)
	}
	if err := b.take("buffer", int64(elements)); err != nil {
		return nil, err
	}
	return &buffer[T]{b, make([]T, elements)}, nil
}

// own returns the memory of a buffer that this backend made.
func (b *Backend[T]) own(f network.Buffer) []T {
	mine, ok := f.(*buffer[T])
	if !ok || mine.owner != b {
		panic(foreign)
	}
	return mine.data
}

// view returns the host matrix of a checked view.
func (b *Backend[T]) view(m network.Matrix) dense[T] {
	end := m.Offset + (m.Rows-1)*m.Stride + m.Cols
	return dense[T]{b.own(m.Buffer)[m.Offset:end], m.Rows, m.Cols, m.Stride}
}

// Write rounds src into dst.
func (b *Backend[T]) Write(dst network.Buffer, offset int, src []float64) error {
	if b.closed {
		return ErrClosed
	}
	d := b.own(dst)
	if offset < 0 || offset+len(src) > len(d) {
		panic(badRange)
	}
	for i, v := range src {
		d[offset+i] = T(v)
	}
	return nil
}

// Read copies src to dst.
func (b *Backend[T]) Read(src network.Buffer, offset int, dst []float64) error {
	if b.closed {
		return ErrClosed
	}
	s := b.own(src)
	if offset < 0 || offset+len(dst) > len(s) {
		panic(badRange)
	}
	for i := range dst {
		dst[i] = float64(s[offset+i])
	}
	return nil
}

// Clear zeroes a buffer.
func (b *Backend[T]) Clear(dst network.Buffer) error {
	if b.closed {
		return ErrClosed
	}
	clear(b.own(dst))
	return nil
}

// marker stands behind work that is done already.
type marker struct{ at time.Time }

func (m marker) Wait() (time.Time, error) { return m.at, nil }

// Mark notes the time: all work is done.
func (b *Backend[T]) Mark() (network.Marker, error) {
	if b.closed {
		return nil, ErrClosed
	}
	return marker{time.Now()}, nil
}

// tally holds records and the first iteration that was not finite.
type tally struct {
	records   []network.Record
	nonFinite int
}

func (t *tally) Close() error {
	t.records = nil
	return nil
}

func ownTally(t network.Tally) *tally {
	mine, ok := t.(*tally)
	if !ok {
		panic(foreign)
	}
	return mine
}

// NewTally makes a tally.
func (b *Backend[T]) NewTally(records int) (network.Tally, error) {
	if b.closed {
		return nil, ErrClosed
	}
	if records < 1 {
		return nil, fmt.Errorf("cpu: tally of %d records: at least 1 is needed", records)
	}
	return &tally{records: make([]network.Record, records)}, nil
}

// ReadTally copies records.
func (b *Backend[T]) ReadTally(t network.Tally, first int, dst []network.Record) (int, error) {
	if b.closed {
		return 0, ErrClosed
	}
	mine := ownTally(t)
	if first < 0 || first+len(dst) > len(mine.records) {
		panic(badRange)
	}
	copy(dst, mine.records[first:])
	return mine.nonFinite, nil
}

// Update computes θ −= α·g.
func (b *Backend[T]) Update(theta, g network.Buffer, alpha float64, iteration int, t network.Tally) error {
	if b.closed {
		return ErrClosed
	}
	x, d, mine := b.own(theta), b.own(g), ownTally(t)
	if len(x) != len(d) {
		panic(badLength)
	}
	began := b.begin()
	a, finite := T(alpha), true
	for i, v := range d {
		x[i] -= a * v
		// A sum of two values is finite only where both are, or where they cancel,
		// which infinities do not; it may overflow, so each is asked for itself.
		finite = finite && !math.IsInf(float64(v), 0) && !math.IsNaN(float64(v)) &&
			!math.IsInf(float64(x[i]), 0) && !math.IsNaN(float64(x[i]))
	}
	if !finite && mine.nonFinite == 0 {
		mine.nonFinite = iteration
	}
	b.ended(began, func() string { return network.OpUpdate })
	return nil
}
