package gpu

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"runtime"
	"time"
	"unsafe"

	"clgrad/kernels"
	"clgrad/network"
)

// A Backend computes on one OpenCL device, in float32. It implements
// [network.Backend], [network.Prober], [network.MemoryMeter] and, where it was
// opened with [Options].Profiling, [network.Profiler].
type Backend struct {
	*state
	cleanup runtime.Cleanup
}

// state is what a Backend holds. It is apart, so that a Backend that is
// collected without Close can be reported.
type state struct {
	s      *session
	config kernels.Config
	closed bool

	// Scratch memory that verbs share, grown on demand.
	partial   *object    // partial gradients
	transpose *object    // Wᵀ of the register input gradient
	folded    *object    // weights and bias for input whose scaling is held apart
	losses    *object    // partial losses and counts
	probes    [3]*object // of the arithmetic, and what is copied from and to
}

// Options are choices of [Open].
type Options struct {
	// Profiling takes the device time of every launch.
	Profiling bool
	// Dense keeps the default plan from packing the input, and from keeping bytes.
	Dense bool
	// Precision is that of the matrix products, "" for float32. [Open] fails where the
	// device does not have another one, or has it wrong.
	Precision kernels.Precision
	// Tuning holds tiles for the shapes of default plans; see [Tuning.Check].
	Tuning Tuning

	loops bool // multiply the fragments of tensor cores by plain loops: for tests
}

// Open makes a backend on a device. Without a plan ([Backend.Configure]) it uses
// the defaults for the device's class.
func Open(d Device, o Options) (*Backend, error) {
	a, err := openCL()
	if err != nil {
		return nil, err
	}
	return open(a, d, o)
}

func open(a api, d Device, o Options) (*Backend, error) {
	s, err := newSession(a, d, o.Profiling)
	if err != nil {
		return nil, err
	}
	b := &Backend{state: &state{s: s, config: kernels.Default(d.Class(), d.ComputeUnits)}}
	b.config = fitConfig(b.config, d.limits())
	b.config.Shapes = o.Tuning.Shapes
	if o.Precision != "" {
		if err := b.atPrecision(o.Precision, !o.loops); err != nil {
			return nil, errors.Join(err, s.close())
		}
	}
	if o.Dense {
		b.config.Packed, b.config.Bytes = nil, false
	}
	_, file, line, _ := runtime.Caller(2)
	b.cleanup = runtime.AddCleanup(b, reportLeak, fmt.Sprintf("%s:%d", file, line))
	return b, nil
}

// reportLeak says where a backend was opened that was never closed.
var reportLeak = func(place string) {
	fmt.Fprintf(os.Stderr, "gpu: a Backend opened at %s was not closed\n", place)
}

// fitConfig replaces tiles that a device cannot take by smaller ones, so that
// the defaults run everywhere.
func fitConfig(c kernels.Config, l kernels.Limits) kernels.Config {
	for c.RecordGroup > l.WorkGroup && c.RecordGroup > 1 {
		c.RecordGroup /= 2
	}
	for _, t := range []*kernels.Tile{&c.Forward, &c.WeightGradient, &c.InputGradient} {
		for t.Check(l) != nil && t.GroupRows > 1 {
			t.GroupRows, t.GroupCols = t.GroupRows/2, t.GroupCols/2
		}
		if t.Check(l) != nil {
			*t = kernels.Tile{Variant: kernels.NaiveVariant}
		}
	}
	c.Bytes = c.Bytes && c.Forward.Grouped() && c.WeightGradient.Grouped()
	return c
}

const (
	foreign   = "gpu: object of another backend"
	badRange  = "gpu: range exceeds the object"
	badLength = "gpu: buffers differ in length"
	badStride = "gpu: strides and offsets have to be multiples of network.Align"
)

// Close waits for the device and frees everything that the backend made. Closing
// twice does nothing.
func (b *Backend) Close() error {
	if b.closed {
		return nil
	}
	b.closed = true
	b.cleanup.Stop()
	return b.s.close()
}

// check reports a closed backend.
func (b *Backend) check(operation string) error {
	if b.closed {
		return b.s.fail(operation, ErrClosed)
	}
	return nil
}

// Info describes the device.
func (b *Backend) Info() network.Info {
	d := b.s.device
	return network.Info{
		Backend:      "opencl:" + d.ID(),
		Device:       d.Name,
		Driver:       fmt.Sprintf("%s; driver %s", d.PlatformVersion, d.Driver),
		ComputeUnits: d.ComputeUnits,
		Memory:       d.Memory,
		MaxBuffer:    d.MaxBuffer,
		Roundoff:     0x1p-24,

		OperandRoundoff: b.config.Roundoff(),
	}
}

// blockBytes and partialBytes bound, for each class of device, the activations
// of one block and the partial gradients of one layer. They do not depend on the
// device's memory: drivers report what happens to be free, and a plan made twice
// should be the same plan. Only a device that is too small gets less.
var (
	blockBytes   = map[kernels.Class]int64{kernels.CPU: 64 << 20, kernels.GPU: 1 << 30}
	partialBytes = map[kernels.Class]int64{kernels.CPU: 256 << 20, kernels.GPU: 1 << 30}
)

// DefaultPlan proposes the tiles in use and the largest blocks, up to their
// BlockRows, whose activations stay within blockBytes. The input is packed where
// that leaves out enough.
func (b *Backend) DefaultPlan(sizes []int, s network.Samples) (network.ShardPlan, error) {
	if _, err := network.NewLayout(sizes); err != nil {
		return network.ShardPlan{}, err
	}
	c, d := b.config, b.s.device
	perRow, widest := int64(0), int64(network.AlignUp(sizes[0]))
	for _, n := range sizes[1:] {
		perRow += 4 * int64(network.AlignUp(n))
		widest = max(widest, int64(network.AlignUp(n)))
	}
	rows := min(int64(c.BlockRows), int64(s.Rows), blockBytes[d.Class()]/perRow)
	if m := d.MaxBuffer; m > 0 {
		rows = min(rows, m/(4*widest))
	}
	c.BlockRows = int(max(rows, 1))
	c = ofNetwork(c, sizes)
	c = b.fullSplits(c, sizes)
	c = b.fewerSplits(c, sizes)
	if c.Packed != nil && (!packable(s) || packedDensity(s, c.Packed.ItemRows) > maxPackedDensity) {
		c.Packed = nil
	}
	c.Bytes = c.Bytes && foldable(s)
	text, err := json.Marshal(c)
	if err != nil {
		return network.ShardPlan{}, err
	}
	info := b.Info()
	return network.ShardPlan{
		Backend: info.Backend, Device: info.Device, Driver: info.Driver,
		Rows: s.Rows, BlockRows: c.BlockRows, Settings: text,
	}, nil
}

// ofNetwork returns c with the shapes of a network's layers alone, where they have
// other tiles than the default ones, and the packed tile of the first.
func ofNetwork(c kernels.Config, sizes []int) kernels.Config {
	if c.Packed != nil {
		tile := c.Tile(kernels.OpPacked, sizes[0], sizes[1])
		c.Packed = &tile
	}
	plain := c
	plain.Shapes = nil
	var shapes map[string]kernels.Tile
	for i, n := range sizes[:len(sizes)-1] {
		for _, op := range []string{kernels.OpForward, kernels.OpWeightGradient, kernels.OpInputGradient} {
			key := kernels.Key(op, n, sizes[i+1])
			if tile, ok := c.Shapes[key]; ok && tile != plain.Tile(op, n, sizes[i+1]) {
				if shapes == nil {
					shapes = map[string]kernels.Tile{}
				}
				shapes[key] = tile
			}
		}
	}
	c.Shapes = shapes
	return c
}

// groupsPerUnit is how many work-groups of a weight gradient a compute unit gets.
const groupsPerUnit = 2

// fullSplits returns c with as many splits of each layer's weight gradient, where that is
// computed in work-groups and was not tuned, that every compute unit has groupsPerUnit
// of them: a gradient has few tiles, and a last round of few groups leaves units idle.
func (b *Backend) fullSplits(c kernels.Config, sizes []int) kernels.Config {
	c.Shapes = maps.Clone(c.Shapes)
	for i, n := range sizes[:len(sizes)-1] {
		p := sizes[i+1]
		key := kernels.Key(kernels.OpWeightGradient, n, p)
		if _, own := c.Shapes[key]; own || !c.WeightGradient.Grouped() {
			continue
		}
		tile := c.WeightGradient
		tile.Splits = max(1, groupsPerUnit*b.s.device.ComputeUnits/tile.Fit(n, p).Groups(n, p))
		if tile != c.WeightGradient {
			if c.Shapes == nil {
				c.Shapes = map[string]kernels.Tile{}
			}
			c.Shapes[key] = tile
		}
	}
	return c
}

// fewerSplits returns c with fewer splits for the layers whose partial gradients
// would be too large for the device.
func (b *Backend) fewerSplits(c kernels.Config, sizes []int) kernels.Config {
	limit := partialBytes[b.s.device.Class()]
	if m := b.s.device.MaxBuffer; m > 0 {
		limit = min(limit, m)
	}
	c.Shapes = maps.Clone(c.Shapes)
	for i, n := range sizes[:len(sizes)-1] {
		p := sizes[i+1]
		most := max(1, int(limit/(4*int64(network.AlignUp(n)+network.Align)*int64(network.AlignUp(p)))))
		if tile := c.Tile(kernels.OpWeightGradient, n, p); tile.Splits > most {
			tile.Splits = most
			if c.Shapes == nil {
				c.Shapes = map[string]kernels.Tile{}
			}
			c.Shapes[kernels.Key(kernels.OpWeightGradient, n, p)] = tile
		}
		if i == 0 && c.Packed != nil && c.Packed.Splits > most {
			tile := *c.Packed
			tile.Splits = most
			c.Packed = &tile
		}
	}
	return c
}

// Configure takes the tiles from a plan.
func (b *Backend) Configure(plan network.ShardPlan) error {
	if err := b.check("configure"); err != nil {
		return err
	}
	if err := plan.CheckDevice(b.Info()); err != nil {
		return err
	}
	var c kernels.Config
	if err := json.Unmarshal(plan.Settings, &c); err != nil {
		return b.s.fail("settings of the plan", err)
	}
	if err := c.Check(b.s.device.limits()); err != nil {
		return b.s.fail("settings of the plan", err)
	}
	b.config = c
	return nil
}

// buffer is a network.Buffer of float32.
type buffer struct {
	b *state
	o *object
	n int
}

func (f *buffer) Len() int { return f.n }

func (f *buffer) Close() error {
	f.b.s.free(f.o)
	return nil
}

// own returns the object of a buffer that this backend made.
func (b *Backend) own(f network.Buffer) *object {
	mine, ok := f.(*buffer)
	if !ok || mine.b != b.state {
		panic(foreign)
	}
	return mine.o
}

// NewBuffer makes a zeroed buffer.
func (b *Backend) NewBuffer(elements int) (network.Buffer, error) {
	if err := b.check("create buffer"); err != nil {
		return nil, err
	}
	if elements < 1 {
		return nil, b.s.fail("create buffer", fmt.Errorf("%d elements: at least 1 is needed", elements))
	}
	o, err := b.s.zeroed("buffer", 4*elements)
	if err != nil {
		return nil, err
	}
	return &buffer{b.state, o, elements}, nil
}

// Write rounds src into dst.
func (b *Backend) Write(dst network.Buffer, offset int, src []float64) error {
	o := b.own(dst)
	if offset < 0 || offset+len(src) > dst.Len() {
		panic(badRange)
	}
	if err := b.check("write"); err != nil || len(src) == 0 {
		return err
	}
	data := make([]float32, len(src))
	for i, v := range src {
		data[i] = float32(v)
	}
	return b.s.write(o, 4*offset, unsafe.Pointer(&data[0]), 4*len(data))
}

// Read waits for earlier work and copies src to dst.
func (b *Backend) Read(src network.Buffer, offset int, dst []float64) error {
	o := b.own(src)
	if offset < 0 || offset+len(dst) > src.Len() {
		panic(badRange)
	}
	if err := b.check("read"); err != nil || len(dst) == 0 {
		return err
	}
	data := make([]float32, len(dst))
	if err := b.s.read(o, 4*offset, unsafe.Pointer(&data[0]), 4*len(data)); err != nil {
		return err
	}
	for i, v := range data {
		dst[i] = float64(v)
	}
	return nil
}

// Clear zeroes a buffer.
func (b *Backend) Clear(dst network.Buffer) error {
	o := b.own(dst)
	if err := b.check("clear"); err != nil {
		return err
	}
	return b.s.fill(o, 0, 4*dst.Len())
}

// marker is an event behind all work so far.
type marker struct {
	b     *state
	event *object
}

// Mark enqueues a marker.
func (b *Backend) Mark() (network.Marker, error) {
	if err := b.check("mark"); err != nil {
		return nil, err
	}
	event, err := b.s.keep("marker")(b.s.api.enqueueMarker(b.s.queue.handle))
	if err != nil {
		return nil, err
	}
	return &marker{b.state, event}, nil
}

// Wait blocks until the marker is reached and releases it.
func (m *marker) Wait() (time.Time, error) {
	s := m.b.s
	if m.event.handle == nil {
		return time.Time{}, s.fail("wait", ErrClosed)
	}
	err := s.api.wait(m.event.handle)
	now := time.Now()
	s.free(m.event)
	if err != nil {
		return now, s.faulted("wait", err)
	}
	return now, nil
}

// Profile returns the device time of each operation since the last call, nothing
// where the backend was opened without profiling.
func (b *Backend) Profile() ([]network.OperationTime, error) {
	if err := b.check("profile"); err != nil {
		return nil, err
	}
	if !b.s.profiling {
		return nil, nil
	}
	if err := b.s.collect(); err != nil {
		return nil, err
	}
	var times []network.OperationTime
	for _, o := range b.s.profile {
		times = append(times, network.OperationTime{Operation: o.operation, Launches: o.launches, Total: o.total})
	}
	b.s.profile = nil
	return times, nil
}
