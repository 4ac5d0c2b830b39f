package gpu

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"runtime"
	"strings"

	"clgrad/kernels"
	"clgrad/network"
)

// A Backend computes on one OpenCL device, in float32. It implements
// [network.Backend], [network.Prober], [network.MemoryMeter] and [network.Profiler].
type Backend struct {
	*state
	cleanup runtime.Cleanup
}

// state is what a Backend holds. It is apart, so that a Backend that is
// collected without Close can be reported.
type state struct {
	s      *session
	config kernels.Config // what plans are proposed from
	tuning Tuning         // Options.Tuning
	api    api
	passes Passes // nil where plans are not tested
	// isolate is Options.Isolate
	isolate func(sizes []int, plan network.ShardPlan) (passed []string, err error)
	note    func(string)
	files   network.Files     // Options.Files
	input   network.InputMode // Options.Input
	stream  streaming
	closed  bool
	probe   *executor // of Probe, on first use
}

// Options are choices of [Open].
type Options struct {
	// Dense keeps the default plan from packing the input, and from keeping bytes.
	Dense bool
	// Precision is that of the matrix products, "" for float32. [Backend.Propose] fails
	// where the device does not have another one, or has it wrong.
	Precision kernels.Precision
	// Tuning holds tiles for the shapes and networks of plans; see [Tuning.Check].
	Tuning Tuning
	// Passes remembers what has passed the self-test of a plan; nil does so for this
	// process.
	Passes Passes
	// Isolate, where not nil, runs the self-test of a plan ([Backend.SelfTest]) in another
	// process, so that a driver that ends it does no harm, and returns the keys that
	// passed. The error is a [Failure] where kernels may give way to others.
	Isolate func(sizes []int, plan network.ShardPlan) (passed []string, err error)
	// Note, where not nil, is told in one line of kernels that failed their self-test
	// and gave way to others.
	Note func(line string)
	// Input says where [Backend.Propose] has the input held; "" is [network.AutoInput].
	Input network.InputMode
	// Files keep the blocks of streamed inputs, in the form that the device has them. Without
	// it nothing is streamed.
	Files network.Files
	// Untested has plans be proposed and prepared without a self-test: for the
	// conformance suite, which judges the kernels themselves.
	Untested bool

	loops  bool                         // multiply the fragments of tensor cores by plain loops: for tests
	source func(kernels.Program) string // text of a program: for tests that break kernels
}

// Open makes a backend on a device. It proposes the defaults for the device's class.
func Open(d Device, o Options) (*Backend, error) {
	a, err := openCL()
	if err != nil {
		return nil, err
	}
	return open(a, d, o)
}

func open(a api, d Device, o Options) (*Backend, error) {
	if o.source == nil {
		o.source = kernels.Program.Source
	}
	s, err := newSession(a, d, o.source)
	if err != nil {
		return nil, err
	}
	b := &Backend{state: &state{s: s, config: kernels.Default(d.Class(), d.ComputeUnits, d.lanes()), api: a, passes: o.Passes, isolate: o.Isolate, note: o.Note, files: o.Files, input: o.Input,
		stream: streaming{chunkBytes, slotBytes, network.ShardPlan.Streams}}}
	if b.passes == nil {
		b.passes = &process
	}
	if b.note == nil {
		b.note = func(string) {}
	}
	if o.Untested {
		b.passes = nil
	}
	b.config = fitConfig(b.config, d.limits())
	b.tuning = o.Tuning
	if o.Precision != "" {
		if err := b.atPrecision(o.Precision, !o.loops); err != nil {
			return nil, errors.Join(err, s.close())
		}
	}
	if o.Dense {
		b.config.Packed, b.config.Step, b.config.Bytes = nil, nil, false
	}
	b.cleanup = runtime.AddCleanup(b, reportLeak, caller())
	return b, nil
}

// caller returns the place from which this package was called.
func caller() string {
	pcs := make([]uintptr, 16)
	frames := runtime.CallersFrames(pcs[:runtime.Callers(2, pcs)])
	for {
		f, more := frames.Next()
		if !strings.HasPrefix(f.Function, "clgrad/gpu.") || strings.HasSuffix(f.File, "_test.go") || !more {
			return fmt.Sprintf("%s:%d", f.File, f.Line)
		}
	}
}

// reportLeak says where a backend was opened that was never closed.
var reportLeak = func(place string) {
	fmt.Fprintf(os.Stderr, "gpu: a Backend opened at %s was not closed\n", place)
}

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
func (b *state) check(operation string) error {
	if b.closed {
		return b.s.fail(operation, network.ErrClosed)
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

		Build: "kernels " + kernels.Digest()[:16],

		OperandRoundoff: b.config.Roundoff(),
	}
}

// Prepare returns an executor with the tiles of a plan.
func (b *Backend) Prepare(sizes []int, plan network.ShardPlan) (network.Executor, error) {
	if err := b.check("prepare"); err != nil {
		return nil, err
	}
	if err := plan.CheckDevice(b.Info()); err != nil {
		return nil, err
	}
	c, err := b.settings(sizes, plan)
	if err != nil {
		return nil, err
	}
	if b.passes != nil {
		if err := b.verify(c, sizes, plan); err != nil {
			return nil, b.s.fail("self-test of the plan", unwrapped(err))
		}
	}
	return b.executor(c, sizes, plan), nil
}

// settings returns those of a plan, which may come from a file.
func (b *Backend) settings(sizes []int, plan network.ShardPlan) (c kernels.Config, err error) {
	if _, err = network.NewLayout(sizes); err == nil {
		err = json.Unmarshal(plan.Settings, &c)
	}
	if err == nil {
		err = c.Check(b.s.device.limits())
	}
	if err == nil && c.Step != nil && c.Packed.ItemRows != c.Step.Rows {
		err = fmt.Errorf("whole iterations are of groups of %d rows, packed input has groups of %d", c.Step.Rows, c.Packed.ItemRows)
	}
	if err == nil && c.Fused && !fusable(c, sizes) {
		err = fmt.Errorf("iterations in few launches: up to %d layers are possible, with weight gradients that work in groups", kernels.MaxStepLayers)
	}
	if err == nil {
		err = c.CheckFirst(sizes[0], sizes[1])
	}
	if err != nil {
		return c, b.s.fail("settings of the plan", err)
	}
	return c, nil
}

// test returns the self-test of a plan.
func (b *state) test(c kernels.Config, sizes []int, plan network.ShardPlan) *selfTest {
	t := &selfTest{api: b.api, source: b.s.source, device: b.s.device, passes: b.passes, config: c, sizes: sizes, rows: []int{plan.BlockRows}}
	if plan.ScoreRows != plan.BlockRows {
		t.rows = append(t.rows, plan.ScoreRows)
	}
	return t
}

// unwrapped returns what failed, without the device, which the error around it names.
func unwrapped(err error) error {
	if failed := (*Error)(nil); errors.As(err, &failed) {
		return fmt.Errorf("%s: %w", failed.Call, failed.Err)
	}
	return err
}

// StartProfile takes the device time of every launch from here on.
func (b *Backend) StartProfile() error {
	if err := b.check("profile"); err != nil {
		return err
	}
	return b.s.startProfile()
}

// Profile returns the device time of each operation since StartProfile or the last call.
func (b *Backend) Profile() ([]network.OperationTime, error) {
	if err := b.check("profile"); err != nil {
		return nil, err
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
