package gpu

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"
	"unsafe"

	"clgrad/kernels"
	"clgrad/network"
	"clgrad/network/backendtest"
	"clgrad/network/backendtest/gotest"
)

// OCLGRIND=1 runs every kernel in Oclgrind, a simulator that reports data races,
// uses of values never written, accesses outside of buffers, and wrong calls
// (make oclgrind). It exits with 0 whatever it finds: what it reports is on
// standard error. It replaces the driver of a whole
// process, so each run is a process of its own, this test binary once more, and
// simulated names the run there.
const (
	oclgrind  = "OCLGRIND"
	simulated = "OCLGRIND_RUN"
)

// A simulation is one run of the suite's smallest shapes in Oclgrind.
type simulation struct {
	tiles    string // one of configs
	families []string
	checks   []string
	// fault, where there is one, is what is wrong, and reported is what Oclgrind
	// then has to say of it.
	fault, reported string
}

// simulations are the runs. Two things are left out. The default tiles for GPUs
// take minutes; odd-local is the same source. And the shuffles by which softmax
// in vector registers ends are beyond Oclgrind's check of uninitialised values:
// it takes lane 11 of any shuffle for an undefined one and crashes at lanes that
// are; so that check sees the naive softmax only. Whole iterations end their softmax in the same
// way, and under that check step_columns stores nothing; so it sees none of them.
var simulations = []simulation{
	{tiles: "specification", checks: allChecks},
	{tiles: "register", checks: allChecks},
	{tiles: "odd-register", checks: allChecks},
	{tiles: "odd-local", checks: allChecks},
	{tiles: "odd-bf16x3", checks: allChecks, families: []string{"forward", "weight-gradient", "input-gradient"}},
	{tiles: "register", checks: allChecks[:2], families: []string{"softmax-cross-entropy", "recorder"}},
	{tiles: "odd-register", checks: allChecks[:2], families: []string{"softmax-cross-entropy", "recorder"}},
	{tiles: "odd-register", checks: allChecks[:2], families: []string{"steps"}},
	{tiles: "odd-local", checks: allChecks, families: []string{"steps"}},

	{tiles: "odd-local", checks: allChecks[:2], families: []string{"forward"}, fault: "no barrier", reported: "data race at local memory"},
	{tiles: "register", checks: allChecks, families: []string{"weight-gradient-input"}, fault: "bias not stored", reported: "ninitialized value"},
	{tiles: "specification", checks: allChecks, families: []string{"update"}, fault: "beyond the end", reported: "Invalid write of size 4 at global memory"},
	{tiles: "odd-register", checks: allChecks[:2], families: []string{"steps"}, fault: "beyond the records", reported: "Invalid write of size 4 at global memory"},
	{tiles: "specification", checks: allChecks[:2], families: []string{"recorder"}, fault: "wrong call", reported: "CL_INVALID_VALUE"},
}

const uninitialised = "--uninitialized"

// simulationLimit is the time that a family of operations may take in Oclgrind. The longest, the
// weight gradient of odd-bf16x3, takes 40 s of a core, and minutes where the cores are busy.
const simulationLimit = 15 * time.Minute

var allChecks = []string{"--data-races", "--check-api", uninitialised}

// compilerWarnings is how many the compiler has, in a line for each program.
var compilerWarnings = regexp.MustCompile(`(?m)^\d+ warnings? generated\.\n`)

// The check of uninitialised values takes a vector of two that is made of two values for one
// that has none. pairs are such stores by file, with what stands in their places under that check.
var pairs = map[string][2]string{
	"softmax.cl": {
		"part[i] = (int2)(as_int(log(sum) - own), best == y ? 1 : 0);",
		"((global int *)part)[2 * i] = as_int(log(sum) - own); ((global int *)part)[2 * i + 1] = best == y ? 1 : 0;",
	},
	"step_local.cl": {
		"part[get_group_id(0)] = (int2)(as_int(loss), correct);",
		"((global int *)part)[2 * get_group_id(0)] = as_int(loss); ((global int *)part)[2 * get_group_id(0) + 1] = correct;",
	},
}

// name is what tells a simulated process its run.
func (s simulation) name() string {
	return strings.Join([]string{s.tiles, s.fault, strings.Join(s.families, "+"), strings.Join(s.checks, "")}, "/")
}

// Oclgrind finds nothing in any kernel, and finds what is wrong where something
// is.
func TestOclgrind(t *testing.T) {
	if os.Getenv(oclgrind) != "1" {
		t.Skip("runs with OCLGRIND=1 (make oclgrind)")
	}
	program, err := exec.LookPath("oclgrind")
	if err != nil {
		t.Fatalf("OCLGRIND=1: %v", err)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	ended := 0
	for _, s := range simulations {
		t.Run(s.name(), func(t *testing.T) {
			defer func() { ended++ }()
			args := append(slices.Clone(s.checks), "--max-errors", "20", self, "-test.run=^TestSimulated$", "-test.v")
			c := exec.CommandContext(t.Context(), program, args...)
			c.Env = append(os.Environ(), simulated+"="+s.name())
			// Reports come on standard error. What Oclgrind writes to a log file (--log) is lost
			// where it is less than a buffer: a Go program ends without C++'s destructors.
			var stderr strings.Builder
			c.Stderr = &stderr
			out, err := c.Output()
			found := compilerWarnings.ReplaceAllString(stderr.String(), "")
			if s.fault != "" {
				if !strings.Contains(found, s.reported) {
					t.Errorf("%s is not reported as %q: %v\n%s", s.fault, s.reported, err, found)
				}
				return
			}
			if err != nil || len(found) > 0 {
				t.Fatalf("%v\n%s\n%s", err, found, out)
			}
			ran := regexp.MustCompile(`kernels run: (.*)`).FindSubmatch(out)
			if ran == nil {
				t.Fatalf("no kernel ran:\n%s", out)
			}
			for name := range strings.FieldsSeq(string(ran[1])) {
				seen[name] = true
			}
			t.Log(string(regexp.MustCompile(`in all: .*`).Find(out)))
		})
	}
	if t.Failed() {
		return
	}
	if ended < len(simulations) {
		t.Logf("%d of %d runs were chosen: which kernels they leave out is not looked at", ended, len(simulations))
		return
	}
	for name := range kernelNames(t) {
		if !seen[name] {
			t.Errorf("kernel %s was not run", name)
		}
	}
}

// kernelNames returns the names of all kernels of package kernels.
func kernelNames(t *testing.T) map[string]bool {
	t.Helper()
	files, err := filepath.Glob(filepath.Join("..", "kernels", "*.cl"))
	if err != nil {
		t.Fatal(err)
	}
	names := map[string]bool{}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range regexp.MustCompile(`(?m)^kernel (?:__attribute__.*\n)?void (\w+)\(`).FindAllStringSubmatch(string(text), -1) {
			names[m[1]] = true
		}
	}
	if len(names) < 10 {
		t.Fatalf("kernels found in %v: %v", files, names)
	}
	return names
}

// TestSimulated is a run in Oclgrind's process.
func TestSimulated(t *testing.T) {
	i := slices.IndexFunc(simulations, func(s simulation) bool { return s.name() == os.Getenv(simulated) })
	if i < 0 {
		t.Skip("runs in Oclgrind (make oclgrind)")
	}
	s := simulations[i]
	devices := usableDevices(t)
	if len(devices) != 1 || devices[0].PlatformName != "Oclgrind" {
		t.Fatalf("this is not Oclgrind: %s", list(devices))
	}
	d := devices[0]
	old, changed, file := "", "", ""
	switch s.fault {
	case "no barrier":
		file, old = "matmul_local.cl", "        barrier(CLK_LOCAL_MEM_FENCE);\n        FETCH(begin"
		changed = "        FETCH(begin"
	case "bias not stored":
		file, old = "packed_register.cl", "STORE(bias[v], v, part + (ulong)n * ITEM_COLS);"
		changed = ";"
	case "beyond the end":
		file, old, changed = "update.cl", "const int end = min(first + ITEM, count);", "const int end = first + ITEM;"
	case "beyond the records":
		file, old, changed = "step_register.cl", "state[2 + 2 * record] =", "state[2 + 2 * record + 99] ="
	}
	source := func(p kernels.Program) string {
		text := p.Source()
		if pair, ok := pairs[p.File]; ok && slices.Contains(s.checks, uninitialised) {
			if !strings.Contains(text, pair[0]) {
				t.Fatalf("%s does not hold the text to be changed:\n%s", p.File, pair[0])
			}
			text = strings.Replace(text, pair[0], pair[1], 1)
		}
		if p.File != file {
			return text
		}
		if n := strings.Count(text, old); n != 1 {
			t.Fatalf("%s holds the text to be changed %d times:\n%s", file, n, old)
		}
		return strings.Replace(text, old, changed, 1)
	}
	config := configs(d)[s.tiles]
	if slices.Contains(s.checks, uninitialised) {
		config.SoftmaxRows, config.Step = 0, nil
	}
	ran := &simulatedAPI{api: must(openCL()), misuse: s.fault == "wrong call", names: map[string]int{}, variants: map[string]bool{}}
	gotest.Run(t, func() (network.Backend, error) {
		// Oclgrind's checks keep state in the thread that made the context.
		runtime.LockOSThread()
		b, err := open(ran, d, Options{Untested: true, source: source})
		if err != nil {
			return nil, err
		}
		b.config = fitConfig(config, d.limits())
		return b, nil
	}, backendtest.Tiny(), backendtest.Only(s.families...), backendtest.TimeLimit(simulationLimit))
	if s.fault == "" && s.tiles == "specification" {
		if err := tinyProbe(ran, d); err != nil {
			t.Error(err)
		}
	}
	launches := 0
	for _, n := range ran.names {
		launches += n
	}
	fmt.Printf("kernels run: %s\n", strings.Join(slices.Sorted(maps.Keys(ran.names)), " "))
	fmt.Printf("in all: %d kernels, %d programs of sources and options, %d launches\n", len(ran.names), len(ran.variants), launches)
}

// tinyProbe launches the kernels of the probe for a few steps; what Backend.Probe
// launches is a second's work of a device.
func tinyProbe(a api, d Device) (err error) {
	b, err := open(a, d, Options{})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, b.Close()) }()
	probe := kernels.Probe{Width: 4, Chains: 2, Steps: 2, Group: 2, Groups: 2, Rounds: 1}
	elements := probe.Groups * probe.Group * probe.Steps * probe.Width
	e := b.executor(b.config, nil, network.ShardPlan{})
	from, err := e.zeroed("probe", 4*elements)
	if err != nil {
		return err
	}
	to, err := e.zeroed("probe", 4*elements)
	if err != nil {
		return err
	}
	for kernel, a := range map[string]*arguments{
		"copy": new(arguments).buffers(from, to), "arithmetic": new(arguments).ints(probe.Rounds).float(0.5).float(1).buffers(to),
	} {
		l, err := e.launch(launchKey{kernel: kernel, operation: kernel}, false,
			func() (kernels.Program, []int) { return probe.Program(), []int{probe.Group} })
		if err != nil {
			return err
		}
		if err := l.run(a, probe.Groups*probe.Group); err != nil {
			return err
		}
	}
	return b.s.finish()
}

// simulatedAPI is an api that Oclgrind 21.10 checks rightly. That keeps what it
// knows of a buffer by the number of the buffer, as long as the last write from
// the host was, and so loses it where a write is shorter than the buffer (a fill
// is many short ones) or where a number is used again. Writes are therefore made
// whole, and buffers live as long as their context.
type simulatedAPI struct {
	api
	misuse   bool           // write beyond a buffer once
	names    map[string]int // launches of each kernel
	source   string         // of the last program
	variants map[string]bool
}

type simulatedContext struct {
	handle
	buffers []handle
}

type simulatedBuffer struct {
	handle
	bytes int
}

type simulatedKernel struct {
	handle
	name string
}

func (s *simulatedAPI) createContext(d Device) (handle, error) {
	h, err := s.api.createContext(d)
	if err != nil {
		return nil, err
	}
	return &simulatedContext{handle: h}, nil
}

func (s *simulatedAPI) createQueue(c handle, d Device, profiling bool) (handle, error) {
	return s.api.createQueue(c.(*simulatedContext).handle, d, profiling)
}

func (s *simulatedAPI) createBuffer(c handle, bytes int) (handle, error) {
	context := c.(*simulatedContext)
	h, err := s.api.createBuffer(context.handle, bytes)
	if err != nil {
		return nil, err
	}
	context.buffers = append(context.buffers, h)
	return &simulatedBuffer{h, bytes}, nil
}

func (s *simulatedAPI) createProgram(c handle, source string) (handle, error) {
	s.source = source
	return s.api.createProgram(c.(*simulatedContext).handle, source)
}

func (s *simulatedAPI) buildProgram(p handle, options string) error {
	s.variants[options+s.source] = true
	return s.api.buildProgram(p, options)
}

func (s *simulatedAPI) createKernel(p handle, name string) (handle, error) {
	h, err := s.api.createKernel(p, name)
	if err != nil {
		return nil, err
	}
	return &simulatedKernel{h, name}, nil
}

func (s *simulatedAPI) workGroupSize(k handle, d Device) (int, error) {
	return s.api.workGroupSize(k.(*simulatedKernel).handle, d)
}

func (s *simulatedAPI) setArg(k handle, i int, v any) error {
	if b, ok := v.(*simulatedBuffer); ok {
		v = b.handle
	}
	return s.api.setArg(k.(*simulatedKernel).handle, i, v)
}

func (s *simulatedAPI) enqueueKernel(q, k handle, global, local []int, keep bool) (handle, error) {
	kernel := k.(*simulatedKernel)
	s.names[kernel.name]++
	return s.api.enqueueKernel(q, kernel.handle, global, local, keep)
}

func (s *simulatedAPI) enqueueFill(q, b handle, offset, bytes int) error {
	zeros := make([]byte, bytes)
	return s.write(q, b, offset, unsafe.Pointer(&zeros[0]), bytes)
}

func (s *simulatedAPI) write(q, b handle, offset int, src unsafe.Pointer, bytes int) error {
	buffer := b.(*simulatedBuffer)
	if s.misuse {
		s.misuse = false
		more := make([]byte, buffer.bytes+1)
		return s.api.write(q, buffer.handle, 0, unsafe.Pointer(&more[0]), len(more))
	}
	if bytes == buffer.bytes {
		return s.api.write(q, buffer.handle, offset, src, bytes)
	}
	whole := make([]byte, buffer.bytes)
	if err := s.read(q, b, 0, unsafe.Pointer(&whole[0]), len(whole)); err != nil {
		return err
	}
	copy(whole[offset:], unsafe.Slice((*byte)(src), bytes))
	return s.api.write(q, buffer.handle, 0, unsafe.Pointer(&whole[0]), len(whole))
}

func (s *simulatedAPI) read(q, b handle, offset int, dst unsafe.Pointer, bytes int) error {
	return s.api.read(q, b.(*simulatedBuffer).handle, offset, dst, bytes)
}

func (s *simulatedAPI) release(h handle) {
	switch h := h.(type) {
	case *simulatedBuffer: // with its context
	case *simulatedKernel:
		s.api.release(h.handle)
	case *simulatedContext:
		for _, b := range h.buffers {
			s.api.release(b)
		}
		s.api.release(h.handle)
	default:
		s.api.release(h)
	}
}
