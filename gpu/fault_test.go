package gpu

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"
	"unsafe"

	"clgrad/kernels"
	"clgrad/network"
)

// fakeAPI is an api without a device: handles are counted, memory is Go's,
// kernels do nothing. It shows what the package does with its calls.
type fakeAPI struct {
	mu   sync.Mutex // uploads come from a goroutine of their own
	live map[*fakeHandle]string
	bad  []string // what no caller may do
}

// misused notes what no caller may do.
func (f *fakeAPI) misused(format string, args ...any) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.bad = append(f.bad, fmt.Sprintf(format, args...))
}

type fakeHandle struct {
	what   string
	memory []byte
}

func newFake() *fakeAPI { return &fakeAPI{live: map[*fakeHandle]string{}} }

// fakeDevice is what it lists.
var fakeDevice = Device{
	Name: "fake", Type: "CPU", ComputeUnits: 2, Memory: 1 << 30, MaxBuffer: 1 << 20, LocalMemory: 1 << 15, MaxWorkGroup: 256,
}

func (f *fakeAPI) make(what string) (handle, error) {
	h := &fakeHandle{what: what}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.live[h] = what
	return h, nil
}

// use notes a handle that was released or is of another kind.
func (f *fakeAPI) use(h handle, what string) *fakeHandle {
	mine := h.(*fakeHandle)
	f.mu.Lock()
	is := f.live[mine]
	f.mu.Unlock()
	if is != what {
		f.misused("%s used as %s", mine.what, what)
	}
	return mine
}

func (f *fakeAPI) devices() ([]Device, error)           { return []Device{fakeDevice}, nil }
func (f *fakeAPI) createContext(Device) (handle, error) { return f.make("context") }
func (f *fakeAPI) createQueue(c handle, _ Device, _ bool) (handle, error) {
	f.use(c, "context")
	return f.make("queue")
}
func (f *fakeAPI) createBuffer(c handle, bytes int) (handle, error) {
	f.use(c, "context")
	h, err := f.make("buffer")
	h.(*fakeHandle).memory = make([]byte, bytes)
	return h, err
}
func (f *fakeAPI) createProgram(c handle, _ string) (handle, error) {
	f.use(c, "context")
	return f.make("program")
}
func (f *fakeAPI) buildProgram(p handle, _ string) error {
	f.use(p, "program")
	return nil
}
func (f *fakeAPI) createKernel(p handle, _ string) (handle, error) {
	f.use(p, "program")
	return f.make("kernel")
}
func (f *fakeAPI) setArg(k handle, _ int, v any) error {
	f.use(k, "kernel")
	if h, ok := v.(*fakeHandle); ok {
		f.use(h, "buffer")
	}
	return nil
}
func (f *fakeAPI) enqueueKernel(q, k handle, global, local []int, keep bool) (handle, error) {
	f.use(q, "queue")
	f.use(k, "kernel")
	for i := range global {
		if len(global) != len(local) || global[i] < 1 || global[i]%local[i] != 0 {
			f.misused("global size %v of groups %v", global, local)
		}
	}
	if keep {
		return f.make("event")
	}
	return nil, nil
}
func (f *fakeAPI) enqueueFill(q, b handle, offset, bytes int) error {
	f.use(q, "queue")
	f.inside(b, offset, bytes)
	return nil
}
func (f *fakeAPI) workGroupSize(k handle, d Device) (int, error) {
	f.use(k, "kernel")
	return d.MaxWorkGroup, nil
}

// inside notes a range beyond its buffer and returns its memory.
func (f *fakeAPI) inside(b handle, offset, bytes int) []byte {
	m := f.use(b, "buffer").memory
	if offset < 0 || bytes < 1 || offset+bytes > len(m) {
		f.misused("range %d+%d of %d bytes", offset, bytes, len(m))
		return nil
	}
	return m[offset : offset+bytes]
}
func (f *fakeAPI) write(q, b handle, offset int, src unsafe.Pointer, bytes int) error {
	f.use(q, "queue")
	copy(f.inside(b, offset, bytes), unsafe.Slice((*byte)(src), bytes))
	return nil
}
func (f *fakeAPI) read(q, b handle, offset int, dst unsafe.Pointer, bytes int) error {
	f.use(q, "queue")
	copy(unsafe.Slice((*byte)(dst), bytes), f.inside(b, offset, bytes))
	return nil
}
func (f *fakeAPI) mapBuffer(q, b handle, bytes int, _ bool) (mapping, error) {
	f.use(q, "queue")
	m, _ := f.make("mapping")
	e, _ := f.make("event")
	return mapping{f.inside(b, 0, bytes), m, e}, nil
}
func (f *fakeAPI) unmap(q, b handle, m mapping, keep bool) (handle, error) {
	f.use(q, "queue")
	f.use(b, "buffer")
	f.use(m.of, "mapping")
	f.release(m.of)
	if keep {
		return f.make("event")
	}
	return nil, nil
}
func (f *fakeAPI) wait(e handle) error {
	f.use(e, "event")
	return nil
}
func (f *fakeAPI) times(e handle) (start, end time.Duration, err error) {
	f.use(e, "event")
	return 1, 2, nil
}
func (f *fakeAPI) finish(q handle) error {
	f.use(q, "queue")
	return nil
}
func (f *fakeAPI) release(h handle) {
	mine := h.(*fakeHandle)
	f.mu.Lock()
	_, ok := f.live[mine]
	delete(f.live, mine)
	f.mu.Unlock()
	if !ok {
		f.misused("%s released twice", mine.what)
	}
}

var errInjected = errors.New("injected")

// faultyAPI makes the call with the number fail fail, counting from 1, and
// passes all others on.
type faultyAPI struct {
	api
	mu      sync.Mutex
	failed  string // the call that was made to fail
	calls   []string
	kernels []string // that were made
	fail    int
}

func (f *faultyAPI) call(name string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.calls = append(f.calls, name)
	if len(f.calls) == f.fail {
		f.failed = name
		return errInjected
	}
	return nil
}

func (f *faultyAPI) createContext(d Device) (handle, error) {
	if err := f.call("createContext"); err != nil {
		return nil, err
	}
	return f.api.createContext(d)
}
func (f *faultyAPI) createQueue(c handle, d Device, profiling bool) (handle, error) {
	if err := f.call("createQueue"); err != nil {
		return nil, err
	}
	return f.api.createQueue(c, d, profiling)
}
func (f *faultyAPI) createBuffer(c handle, bytes int) (handle, error) {
	if err := f.call("createBuffer"); err != nil {
		return nil, err
	}
	return f.api.createBuffer(c, bytes)
}
func (f *faultyAPI) createProgram(c handle, source string) (handle, error) {
	if err := f.call("createProgram"); err != nil {
		return nil, err
	}
	return f.api.createProgram(c, source)
}
func (f *faultyAPI) buildProgram(p handle, options string) error {
	if err := f.call("buildProgram"); err != nil {
		return err
	}
	return f.api.buildProgram(p, options)
}
func (f *faultyAPI) createKernel(p handle, name string) (handle, error) {
	if err := f.call("createKernel"); err != nil {
		return nil, err
	}
	f.kernels = append(f.kernels, name)
	return f.api.createKernel(p, name)
}
func (f *faultyAPI) setArg(k handle, i int, v any) error {
	if err := f.call("setArg"); err != nil {
		return err
	}
	return f.api.setArg(k, i, v)
}
func (f *faultyAPI) enqueueKernel(q, k handle, global, local []int, keep bool) (handle, error) {
	if err := f.call("enqueueKernel"); err != nil {
		return nil, err
	}
	return f.api.enqueueKernel(q, k, global, local, keep)
}
func (f *faultyAPI) enqueueFill(q, b handle, offset, bytes int) error {
	if err := f.call("enqueueFill"); err != nil {
		return err
	}
	return f.api.enqueueFill(q, b, offset, bytes)
}
func (f *faultyAPI) workGroupSize(k handle, d Device) (int, error) {
	if err := f.call("workGroupSize"); err != nil {
		return 0, err
	}
	return f.api.workGroupSize(k, d)
}
func (f *faultyAPI) write(q, b handle, offset int, src unsafe.Pointer, bytes int) error {
	if err := f.call("write"); err != nil {
		return err
	}
	return f.api.write(q, b, offset, src, bytes)
}
func (f *faultyAPI) read(q, b handle, offset int, dst unsafe.Pointer, bytes int) error {
	if err := f.call("read"); err != nil {
		return err
	}
	return f.api.read(q, b, offset, dst, bytes)
}
func (f *faultyAPI) mapBuffer(q, b handle, bytes int, block bool) (mapping, error) {
	if err := f.call("mapBuffer"); err != nil {
		return mapping{}, err
	}
	return f.api.mapBuffer(q, b, bytes, block)
}
func (f *faultyAPI) unmap(q, b handle, m mapping, keep bool) (handle, error) {
	e, err := f.api.unmap(q, b, m, keep) // a driver that fails has let go of the memory
	if injected := f.call("unmap"); injected != nil {
		if e != nil {
			f.api.release(e)
		}
		return nil, injected
	}
	return e, err
}
func (f *faultyAPI) wait(e handle) error {
	if err := f.call("wait"); err != nil {
		return err
	}
	return f.api.wait(e)
}
func (f *faultyAPI) times(e handle) (start, end time.Duration, err error) {
	if err := f.call("times"); err != nil {
		return 0, 0, err
	}
	return f.api.times(e)
}
func (f *faultyAPI) finish(q handle) error {
	if err := f.call("finish"); err != nil {
		return err
	}
	return f.api.finish(q)
}

// tiny is a batch in several chunks of several blocks, whose scaling keeps it
// from being packed.
func tiny() network.Samples {
	s := tinyPacked()
	s.Scaling = network.Scaling{Shift: []float64{2 * maxShift}, Factor: []float64{1}}
	return s
}

// tinyShifted is a batch that is packed without its shift.
func tinyShifted() network.Samples {
	s := tinyPacked()
	s.Scaling = network.Scaling{Shift: []float64{1}, Factor: []float64{1}}
	return s
}

// tinyPacked is a batch of zeros, which is packed.
func tinyPacked() network.Samples {
	s := network.Samples{Rows: 23, Features: 100, Bytes: make([]byte, 23*100), Labels: make([]int32, 23)}
	for i := range s.Labels {
		s.Labels[i] = int32(i % 3)
	}
	return s
}

// life opens a backend, trains, scores, profiles and closes, and returns the
// first error.
func life(a api, d Device, s network.Samples, profiling bool) error {
	return lifeOf(a, d, s, profiling, nil)
}

// lifeOf is life with programs of another source.
func lifeOf(a api, d Device, s network.Samples, profiling bool, source func(kernels.Program) string) error {
	return lifeWith(a, d, s, profiling, Options{Untested: true, source: source})
}

// lifeWith is life with options. With Files all inputs are streamed.
func lifeWith(a api, d Device, s network.Samples, profiling bool, o Options) (err error) {
	b, err := open(a, d, o)
	if err != nil {
		return err
	}
	if o.Files != nil {
		b.input, b.stream = network.StreamedInput, streaming{1, 1, streamAll}
	}
	defer func() { err = errors.Join(err, b.Close()) }()
	l, err := network.NewLayout([]int{100, 6, 3})
	if err != nil {
		return err
	}
	if profiling {
		if err := b.StartProfile(); err != nil {
			return err
		}
	}
	plan, err := network.NewPlan(l.Sizes, s, 16, b) // batches of two blocks and of one
	if err != nil {
		return err
	}
	plan.Shards[0].BlockRows = 8
	t, err := network.NewTrainer(l, s, plan, []network.Backend{b}, nil)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, t.Close()) }()
	theta, err := l.Initial(network.He, 1)
	if err != nil {
		return err
	}
	if err := t.SetParameters(theta, 0); err != nil {
		return err
	}
	if err := t.Descend(context.Background(), network.Descent{Iterations: 5, LearningRate: 1, Every: 2}, nil); err != nil {
		return err
	}
	if _, _, err := t.Score(s); err != nil {
		return err
	}
	if _, err := t.Parameters(); err != nil {
		return err
	}
	if profiling {
		_, err = b.Profile()
	}
	return err
}

// Whatever single call fails, the error says so in one line and names the
// device, nothing panics and nothing is left unreleased.
func TestEveryCallFailing(t *testing.T) {
	d := fakeDevice
	d.MaxBuffer = 8192 // two blocks of the input a buffer
	group := d
	group.Type = "GPU"
	all, waited := 0, false
	for _, c := range []struct {
		device    Device
		samples   network.Samples
		profiling bool
		steps     bool
		streamed  bool
	}{
		{d, tiny(), false, false, false}, {d, tinyPacked(), true, true, false}, {d, tinyShifted(), false, false, false},
		{group, tiny(), true, false, false}, {group, tinyPacked(), false, false, false}, {group, tinyShifted(), true, false, false},
		{d, tiny(), true, false, true}, {d, tinyPacked(), true, true, true}, {d, tinyShifted(), false, false, true}, {group, tinyPacked(), false, false, true},
	} {
		d, profiling := c.device, c.profiling
		life := func(a api, d Device, s network.Samples, profiling bool) error {
			o := Options{Untested: true}
			if c.streamed {
				o.Files = &memoryFiles{}
			}
			return lifeWith(a, d, s, profiling, o)
		}
		good := &faultyAPI{api: newFake()}
		if err := life(good, d, c.samples, profiling); err != nil {
			t.Fatal(err)
		}
		// Whole iterations: of a gradient and of an update.
		steps := strings.Count(strings.Join(good.kernels, " "), "step_columns")
		if want := c.steps; want != (steps == 2) || !want && steps > 0 {
			t.Errorf("%d kernels step_columns of %v", steps, good.kernels)
		}
		seen := map[string]bool{}
		for i := 1; i <= len(good.calls); i++ {
			fake := newFake()
			faulty := &faultyAPI{api: fake, fail: i}
			err := life(faulty, d, c.samples, profiling)
			name := faulty.failed
			seen[name] = true
			if !errors.Is(err, errInjected) || !strings.Contains(err.Error(), "opencl:0.0: ") {
				t.Fatalf("call %d, %s, failing: error %v", i, name, err)
			}
			if line, _, more := strings.Cut(err.Error(), "\n"); more {
				t.Fatalf("call %d, %s, failing: error of several lines, first %q", i, name, line)
			}
			if len(fake.live) > 0 {
				t.Fatalf("call %d, %s, failing: not released: %v", i, name, fake.live)
			}
			if len(fake.bad) > 0 {
				t.Fatalf("call %d, %s, failing: %v", i, name, fake.bad)
			}
		}
		for _, name := range []string{
			"createContext", "createQueue", "createBuffer", "createProgram", "buildProgram", "createKernel", "setArg",
			"enqueueKernel", "enqueueFill", "workGroupSize", "write", "read", "finish",
		} {
			if !seen[name] {
				t.Errorf("%s was never called", name)
			}
		}
		for _, name := range []string{"mapBuffer", "unmap"} {
			if seen[name] != c.streamed {
				t.Errorf("streamed %v: %s was called: %v", c.streamed, name, seen[name])
			}
		}
		waited = waited || seen["wait"]
		all += len(good.calls)
		t.Logf("%s, profiling %v: %d calls made to fail in turn", d.Type, profiling, len(good.calls))
	}
	t.Logf("%d calls in all", all)
	if !waited {
		t.Error("no upload waited for launches")
	}
}

// A fault that surfaces at a wait names the operations since the last one.
func TestFaultNamesOperations(t *testing.T) {
	good := &faultyAPI{api: newFake()}
	if err := life(good, fakeDevice, tiny(), false); err != nil {
		t.Fatal(err)
	}
	faulty := &faultyAPI{api: newFake(), fail: secondRead(good.calls)}
	err := life(faulty, fakeDevice, tiny(), false)
	for _, want := range []string{"iteration 2", "read recorder", "forward 100x6", "weight_gradient 6x3", "input_gradient 6x3", "update", "injected"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %q does not name %q", err, want)
		}
	}
}

// secondRead returns the number of the second read behind launches, counted from 1: the
// wait for the second iteration.
func secondRead(calls []string) int {
	reads, launches := 0, 0
	for i, c := range calls {
		switch c {
		case "enqueueKernel":
			launches++
		case "read":
			if launches > 0 {
				if reads++; reads == 2 {
					return i + 1
				}
			}
		}
	}
	return 0
}

// Closing releases everything once, whatever was closed before; and what one executor made
// goes with it alone.
func TestClosed(t *testing.T) {
	fake := newFake()
	b, err := open(fake, fakeDevice, Options{Untested: true})
	if err != nil {
		t.Fatal(err)
	}
	plan, err := b.Propose([]int{100, 3}, tiny(), 23)
	if err != nil {
		t.Fatal(err)
	}
	var executors []network.Executor
	for range 2 {
		e, err := b.Prepare([]int{100, 3}, plan)
		if err != nil {
			t.Fatal(err)
		}
		executors = append(executors, e)
		for range 3 {
			f, err := e.NewBuffer(32)
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
		}
		if _, err := e.Load(tiny(), []int{20, 3}); err != nil {
			t.Fatal(err)
		}
	}
	both := len(fake.live)
	for range 2 {
		if err := executors[0].Close(); err != nil {
			t.Error(err)
		}
	}
	if one := len(fake.live); one <= 2 || one >= both {
		t.Errorf("of %d handles %d are left after one of two executors was closed", both, one)
	}
	if _, err := executors[1].NewBuffer(32); err != nil {
		t.Errorf("the other executor: %v", err)
	}
	for range 2 {
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	}
	if len(fake.live) > 0 || len(fake.bad) > 0 {
		t.Errorf("left %v, misused %v", fake.live, fake.bad)
	}
}

// A device too small for what is asked says what was needed and what it has.
func TestTooSmall(t *testing.T) {
	d := fakeDevice
	d.MaxBuffer = 1000
	b, err := open(newFake(), d, Options{Untested: true})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	e := b.executor(b.config, nil, network.ShardPlan{})
	if _, err := e.NewBuffer(251); err == nil || !strings.Contains(err.Error(), "1004 bytes, the device's largest buffer is 1000") {
		t.Errorf("buffer: %v", err)
	}
	if _, err := e.Load(tiny(), []int{23}); err == nil || !strings.Contains(err.Error(), "use smaller blocks") {
		t.Errorf("load: %v", err)
	}
	plan, err := b.Propose([]int{16, 6, 3}, network.Samples{Rows: 1000, Features: 16, Floats: make([]float32, 16000)}, 1000)
	if err != nil || plan.BlockRows != 15 {
		t.Errorf("plan: blocks of %d rows, %v; 15 rows of 16 floats fit", plan.BlockRows, err)
	}
}

// A backend that is dropped without Close is reported with where it was opened.
func TestLeakReported(t *testing.T) {
	places := make(chan string, 1)
	old := reportLeak
	reportLeak = func(place string) { places <- place }
	defer func() { reportLeak = old }()
	if _, err := leak(); err != nil {
		t.Fatal(err)
	}
	collect(t, places)
}
