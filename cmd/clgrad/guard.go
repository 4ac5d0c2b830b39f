package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"clgrad/cmd/clgrad/driver"
	"clgrad/cmd/clgrad/store"
	"clgrad/gpu"
	"clgrad/kernels"
	"clgrad/network"
)

// A guard stands between the commands and the OpenCL drivers, which may end the
// process that calls them: it lets this process call what has passed a test, and
// has all else tested by a process of its own.
type guard struct {
	// child returns clgrad driver-test, to be started with one more argument. It
	// is nil where this process is to do the tests itself: in Go's tests, whose
	// program is not clgrad.
	child func() (*exec.Cmd, error)

	mu        sync.Mutex
	begun     bool
	refused   error // why no driver is called
	problem   error // why one driver is not called
	libraries []string
	steering  string // driver.Fingerprint
	mark      *driver.Mark
	dir       string                  // of stores, "" where nothing can be kept
	stores    map[string]*store.Store // by device
	said      map[string]bool         // subjects of once
}

// ownChild returns this program's own driver-test.
func ownChild() (*exec.Cmd, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	c := exec.Command(self, "driver-test")
	c.Args[0] = os.Args[0]
	// Of a process that dies the driver's last words are wanted, not Go's.
	c.Env = append(os.Environ(), "GOTRACEBACK=none")
	return c, nil
}

// once writes a line for the user unless there was one on the same subject.
func (g *guard) once(a *app, subject, format string, args ...any) {
	if !g.said[subject] {
		g.said[subject] = true
		a.note(format, args...)
	}
}

// begin looks at the drivers from outside, and has them list their devices in
// another process where that was never done.
func (g *guard) begin(a *app) error {
	if g.begun {
		return g.refused
	}
	g.begun = true
	g.stores, g.said = map[string]*store.Store{}, map[string]bool{}
	if dir, err := store.Dir(); err == nil {
		g.dir = dir
	}
	if g.refused = gpu.Built(); g.refused != nil {
		return g.refused
	}
	g.libraries = driver.Installed()
	all, problem := driver.Check(g.libraries)
	if all {
		g.refused = fmt.Errorf("%w: %w", gpu.ErrNoDevice, problem)
		return g.refused
	}
	if problem != nil {
		g.problem = problem
		if err := driver.Avoid(); err != nil {
			return err
		}
	}
	g.steering = driver.Fingerprint(g.libraries)
	if g.child == nil {
		return nil
	}
	if g.dir != "" {
		// Without a mark, a driver that ends this process will be called again.
		g.mark, _ = driver.Enter(filepath.Join(filepath.Dir(g.dir), "drivers"))
	}
	g.refused = g.tryList(a)
	return g.refused
}

// everyDriver stands for the drivers where their devices are listed.
var everyDriver = gpu.Device{PlatformName: "OpenCL", Name: "list of devices"}

func (g *guard) tryList(a *app) error {
	err := g.pass(a, everyDriver, testRequest{})
	if errors.Is(err, driver.ErrDied) {
		var names []string
		for _, l := range g.libraries {
			names = append(names, filepath.Base(l))
		}
		return fmt.Errorf("%w: asked for its devices, a driver (%s) %w; remove the driver, or use --backend cpu", gpu.ErrNoDevice, strings.Join(names, ", "), err)
	}
	return err
}

// devices lists the OpenCL devices. Where one driver was left out, problem says
// why.
func (g *guard) devices(a *app) (devices []gpu.Device, problem, err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if err := g.begin(a); err != nil {
		return nil, nil, err
	}
	if devices, err = gpu.Devices(); err != nil {
		return nil, nil, errors.Join(g.problem, err)
	}
	return devices, g.problem, nil
}

// trust has a device tested unless it has passed, and returns the passes of its plans.
func (g *guard) trust(a *app, d gpu.Device) (gpu.Passes, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if err := g.begin(a); err != nil {
		return nil, err
	}
	known := &passes{g: g, a: a, store: g.kept(a, d), distrust: g.mark != nil && g.mark.Suspect(store.Name(d)), here: map[string]bool{}}
	err := g.pass(a, d, testRequest{Device: d.ID()})
	if errors.Is(err, driver.ErrDied) {
		err = died(d, err)
	}
	return known, err
}

// tuning returns the tiles that clgrad tune found for a device.
func (g *guard) tuning(a *app, d gpu.Device) gpu.Tuning {
	t, err := g.store(a, d).Tuning()
	g.mu.Lock()
	defer g.mu.Unlock()
	if err != nil {
		g.once(a, "tuning "+d.ID(), "the tuning of opencl:%s is ignored (clgrad tune makes another): %s", d.ID(), oneLine(err))
	}
	return t
}

// setTuning keeps what clgrad tune found for a device, and returns the file.
func (g *guard) setTuning(a *app, d gpu.Device, t gpu.Tuning) (file string, err error) {
	return g.store(a, d).SetTuning(t)
}

// pass makes sure that a device, or the list of devices, has passed a test.
func (g *guard) pass(a *app, d gpu.Device, r testRequest) error {
	name, s, key := store.Name(d), g.kept(a, d), r.key(g.steering)
	if !s.Passed(key) || g.mark != nil && g.mark.Suspect(name) {
		passed, err := g.test(a, d, r, s)
		if err != nil {
			return err
		}
		if err := s.Add(append(passed, key)...); err != nil {
			g.once(a, "kept", "what passed is not kept, and will be tested again: %s", oneLine(err))
		}
		if g.mark != nil {
			_ = g.mark.Clear(name) // or it will be tested again
		}
	}
	if g.mark != nil {
		_ = g.mark.Use(name) // as without a mark, see begin
	}
	return nil
}

// store returns what is kept of a device.
func (g *guard) store(a *app, d gpu.Device) *store.Store {
	g.mu.Lock()
	defer g.mu.Unlock()
	_ = g.begin(a) // whatever it says, what is kept can be read
	return g.kept(a, d)
}

func (g *guard) kept(a *app, d gpu.Device) *store.Store {
	id := d.ID() + " " + store.Name(d)
	s := g.stores[id]
	if s == nil {
		var err error
		if s, err = store.Open(g.dir, d); err != nil {
			a.note("what was kept for %s is ignored (clgrad tune makes another tuning): %s", d.Name, oneLine(err))
		}
		g.stores[id] = s
	}
	return s
}

// test tests a device, or lists the devices, in a process of its own where there
// is one. passed are keys to be kept besides.
func (g *guard) test(a *app, d gpu.Device, r testRequest, s *store.Store) (passed []string, err error) {
	if g.child == nil {
		if r.Device == "" {
			return nil, nil
		}
		return nil, selfTest(d, r, nil, nil)
	}
	reply, err := g.ask(a, r)
	if err == nil && reply.Error != "" && r.Device != "" {
		err = errors.New(reply.Error)
	}
	return reply.Passed, err
}

// ask has a process of its own do what is requested. Where it dies, the reply is the last
// thing that it said.
func (g *guard) ask(a *app, r testRequest) (reply testReply, err error) {
	c, err := g.child()
	if err != nil {
		return reply, err
	}
	text, err := json.Marshal(r)
	if err != nil {
		return reply, err
	}
	c.Args = append(c.Args, string(text))
	line, err := driver.Run(a, c, testLimit)
	if err != nil {
		reply, _ = parseReply(line) // it may have said nothing
		return reply, err
	}
	return parseReply(line)
}

// leave says that this process calls no driver any more.
func (g *guard) leave() {
	if g == nil {
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.mark != nil {
		g.mark.Leave()
		g.mark, g.begun = nil, false
	}
}

// testLimit is how long a test may take, most of it for a driver that compiles
// slowly.
const testLimit = 10 * time.Minute

// A testRequest says what is to be tested. All of it decides what a pass is good
// for.
type testRequest struct {
	Device string             `json:"device"` // P.D, empty for the list of devices
	Sizes  []int              `json:"sizes,omitempty"`
	Plan   *network.ShardPlan `json:"plan,omitempty"` // for a network of the sizes; nil: one kernel
}

// key returns the key of a pass under what steers the drivers. The number of the
// device is not in it: the store knows which device it is.
func (r testRequest) key(steering string) string {
	programs := ""
	if r.Device != "" {
		r.Device, programs = "", kernels.Digest()
	}
	return store.Key("driver-test 2", fmt.Sprintf("%+v", r), programs, steering)
}

// A testReply is a line of driver-test. The last one counts.
type testReply struct {
	Devices []gpu.Device `json:"devices,omitempty"`
	Testing *gpu.Failure `json:"testing,omitempty"` // what is about to be run
	Passed  []string     `json:"passed,omitempty"`
	Failed  *gpu.Failure `json:"failed,omitempty"` // what may give way to other kernels
	Error   string       `json:"error,omitempty"`
}

// driverTestCommand is what a guard starts. The process may be ended by a driver:
// that is what it is for.
type driverTestCommand struct {
	Request string `arg:"" help:"A testRequest in JSON."`
}

// Run prints a testReply.
func (c driverTestCommand) Run(a *app) error {
	driver.NoCore()
	// Nobody waits longer, whatever has become of who asked.
	time.AfterFunc(testLimit, func() { os.Exit(failure) })
	var r testRequest
	if err := json.Unmarshal([]byte(c.Request), &r); err != nil {
		return misused("driver-test: a request in JSON is expected: %v", err)
	}
	var reply testReply
	if err := c.run(a, r, &reply); err != nil && !errors.As(err, &reply.Failed) {
		reply.Error = oneLine(err)
	}
	return json.NewEncoder(a.out).Encode(reply)
}

func (c driverTestCommand) run(a *app, r testRequest, reply *testReply) error {
	devices, err := gpu.Devices()
	if err != nil {
		return err
	}
	if r.Device == "" {
		reply.Devices = devices
		return nil
	}
	d, _, err := gpu.Select(devices, r.Device)
	if err != nil {
		return err
	}
	// In memory: who asked keeps what passed. All is tested, whatever is kept.
	s, err := store.Open("", d)
	if err != nil {
		return err
	}
	known := &passes{a: a, store: s, here: map[string]bool{}}
	err = selfTest(d, r, known, func(f gpu.Failure) {
		json.NewEncoder(a.out).Encode(testReply{Testing: &f, Passed: s.Keys()})
	})
	reply.Passed = s.Keys()
	return err
}
