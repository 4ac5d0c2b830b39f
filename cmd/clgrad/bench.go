package main

import (
	"fmt"
	"os"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"time"

	"clgrad/cmd/clgrad/recipe"
	"clgrad/gpu"
	"clgrad/network"
)

type benchCommand struct {
	modelFlags
	Backend    []backendName  `placeholder:"NAME" help:"Backends to time, in place of every one that is found."`
	Iterations recipe.Count   `default:"10" help:"Iterations to time on each backend, after one that is not."`
	Rows       []recipe.Count `placeholder:"N" help:"Numbers of rows to time, in place of the whole training set, as in 60000,600000: rows are taken from the training set, and from its start again where it ends."`
	Profile    bool           `help:"Also the time of every operation, which slows some devices down."`
	Peaks      bool           `negatable:"" default:"true" help:"Measure what each device comes to at best."`
	Dense      bool           `help:"Keep OpenCL devices from packing the input, and from keeping bytes."`
	Format     benchFormat    `default:"table" enum:"table,json,benchstat" help:"${enum}: benchstat is Go's benchmark format, a line for every turn."`
	JSON       bool           `name:"json" help:"One JSON object, as --format json."`
}

// A benchFormat is the value of --format.
type benchFormat string

// The formats.
const (
	tableFormat     benchFormat = "table"
	jsonFormat      benchFormat = "json"
	benchstatFormat benchFormat = "benchstat"
)

// Help is shown by clgrad bench --help.
func (benchCommand) Help() string {
	return `The backends take turns of about 0.2 s, of a fifth of the iterations or of a single one, so that a change of the machine's speed meets all of them alike; medians and quartiles are over turns.

Operations and bytes are counted from shapes: two operations for each multiply-add of a matrix product; every operand read once and every result written once. Products that skip the zeros of the data count as the dense ones they replace, and operands that a cache holds since the operation before as read, so that GFLOP/s and GB/s can exceed the peak.

Peaks are measured in the same turns. On OpenCL devices they are those of a kernel of multiply-adds in registers, and of copies of large buffers: what the hardware gives to any kernel, however well the network's are tuned. On the CPU backends they are those of their BLAS on a square product, and of copies on all cores.

Examples: clgrad bench --profile; clgrad bench --backend opencl --rows 60000,600000; clgrad bench --iterations 50 --format benchstat >a.txt && benchstat -col /backend a.txt`
}

// started is when the process began, but for the loading of the binary.
var started = time.Now()

// A contestant is a backend with a number of rows that takes its turns.
type contestant struct {
	benchResult
	width      int // bytes of an element
	backend    network.Backend
	trainer    *network.Trainer
	operations []*operationTimes // in the order of a first run
	// probes are those of the backend's peaks, nil where another contestant's are.
	probes []*probe
}

// operationTimes are the times of an operation of an iteration, one a turn.
type operationTimes struct {
	operation string
	launches  float64
	seconds   []float64
}

// A probe measures one peak.
type probe struct {
	peak   network.Peak
	rounds int       // that take probeTime, 0 before they are known
	rates  []float64 // operations or bytes a second, one a turn
}

// Run times all backends in turns.
func (c benchCommand) Run(a *app) (err error) {
	if c.JSON {
		if c.Format == benchstatFormat {
			return misused("--json and --format %s are two forms: give one of them", c.Format)
		}
		c.Format = jsonFormat
	}
	set, l, err := c.load(a)
	if err != nil {
		return err
	}
	report := benchReport{Data: set.Name, Layers: l.Sizes, DataSeconds: time.Since(started).Seconds()}
	names := c.Backend
	if len(names) == 0 {
		names = allBackends(a)
	}
	rows := c.Rows
	if len(rows) == 0 {
		rows = []recipe.Count{recipe.Count(set.Train.Rows)}
	}
	var all []*contestant
	defer func() {
		for _, x := range slices.Backward(all) {
			if x.trainer != nil {
				closing(&err, x.trainer)
			}
			if x.backend != nil {
				closing(&err, x.backend)
			}
		}
	}()
	var problem error
	for _, n := range rows {
		if err := roomForRows(set.Train, int(n)); err != nil {
			return err
		}
		of := set
		of.Train = repeatRows(set.Train, int(n))
		for _, name := range names {
			if err := a.Err(); err != nil {
				return err
			}
			x := &contestant{benchResult: benchResult{Backend: string(name), Samples: int(n)}}
			all = append(all, x)
			if err := x.enter(a, c, name, of, l); err != nil {
				if len(c.Backend) > 0 {
					return err
				}
				a.note("%s is left out: %s", name, oneLine(err))
				x.Problem, problem = oneLine(err), err
				continue
			}
			x.ToFirst = report.DataSeconds + x.Open + x.Load + x.First
			report.some = true
			if !slices.ContainsFunc(all, func(y *contestant) bool { return y.probes != nil && y.Backend == x.Backend }) {
				x.probes = []*probe{{peak: network.Arithmetic}, {peak: network.Bandwidth}}
			}
		}
	}
	if !report.some {
		return problem
	}
	if c.Precision.Reduced() && !slices.ContainsFunc(all, func(x *contestant) bool { return x.Problem == "" && x.Precision == c.Precision }) {
		return fmt.Errorf("no backend here computes at --precision %s", c.Precision)
	}
	report.PeakRSS = peakRSS() // the probes are no part of it
	for left := true; left; {
		left = false
		for _, x := range all {
			if x.Problem != "" || x.trainer.Done() > int(c.Iterations) {
				continue
			}
			if err := x.round(a, c); err != nil {
				return fmt.Errorf("%s: %w", x.Backend, err)
			}
			left = true
		}
	}
	for _, x := range all {
		x.finish(l, all)
		report.Results = append(report.Results, x.benchResult)
	}
	return report.write(a, c.Format)
}

// roomForRows reports rows that this machine has no memory for.
func roomForRows(s network.Samples, rows int) error {
	width := 1 // bytes of a feature
	if s.Floats != nil {
		width = 4
	}
	const label = 4
	if rows <= s.Rows {
		return nil
	}
	return roomFor(fmt.Sprintf("--rows %d", rows), float64(rows)*float64(s.Features*width+label))
}

// repeatRows returns the first rows of s, and those of s again from its start
// until there are as many.
func repeatRows(s network.Samples, rows int) network.Samples {
	if rows <= s.Rows {
		return s.Slice(0, rows)
	}
	r := s
	r.Rows = rows
	r.Bytes = cycle(s.Bytes, rows*s.Features)
	r.Floats = cycle(s.Floats, rows*s.Features)
	r.Labels = cycle(s.Labels, rows)
	return r
}

// cycle returns n elements of v in a circle, none of none.
func cycle[T any](v []T, n int) []T {
	if v == nil {
		return nil
	}
	r := make([]T, 0, n)
	for len(r) < n {
		r = append(r, v[:min(len(v), n-len(r))]...)
	}
	return r
}

// turnTime is how long a turn may take: several iterations of a fast device, so
// that two are on their way as in a training run, and one of a slow one. A backend
// has at least leastTurns turns where it has as many iterations.
const (
	turnTime   = 200 * time.Millisecond
	leastTurns = 5
)

// round runs a turn's iterations, and the probes.
func (x *contestant) round(a *app, c benchCommand) error {
	n := 1
	if len(x.Turns) > 0 {
		n = max(1, min(int(turnTime.Seconds()/x.Turns[len(x.Turns)-1].Seconds), int(c.Iterations)/leastTurns))
	}
	t, err := x.turn(a, min(int(c.Iterations)+1-x.trainer.Done(), n), float64(c.LR))
	if err != nil {
		return err
	}
	x.Turns = append(x.Turns, t)
	if c.Profile {
		if err := x.profile(t.Iterations); err != nil {
			return err
		}
	}
	if c.Peaks {
		for _, p := range x.probes {
			if err := p.measure(x.backend); err != nil {
				return err
			}
		}
	}
	return x.dropProfile()
}

// turn runs n iterations and returns their mean: with two of them on their way, a
// driver that reports the end of one late makes the next one look short.
func (x *contestant) turn(a *app, n int, rate float64) (turn, error) {
	var total time.Duration
	err := x.trainer.Descend(a, network.Descent{Iterations: x.trainer.Done() + n, LearningRate: rate},
		func(i network.Iteration) error {
			total += i.Elapsed
			x.Loss = network.Number(i.Loss)
			return nil
		})
	return turn{n, total.Seconds() / float64(n)}, err
}

// profile takes the time of each operation since the last call as that of the
// turn.
func (x *contestant) profile(iterations int) error {
	p, ok := x.backend.(network.Profiler)
	if !ok {
		return nil
	}
	times, err := p.Profile()
	if err != nil {
		return err
	}
	for _, o := range times {
		i := slices.IndexFunc(x.operations, func(t *operationTimes) bool { return t.operation == o.Operation })
		if i < 0 {
			i = len(x.operations)
			x.operations = append(x.operations, &operationTimes{operation: o.Operation})
		}
		t := x.operations[i]
		t.launches = float64(o.Launches) / float64(iterations)
		t.seconds = append(t.seconds, o.Total.Seconds()/float64(iterations))
	}
	return nil
}

// dropProfile forgets the operations since the last profile: those of the first
// iteration and of probes.
func (x *contestant) dropProfile() error {
	if p, ok := x.backend.(network.Profiler); ok {
		_, err := p.Profile()
		return err
	}
	return nil
}

// probeTime is how long a probe takes at least, so that launches and waiting do
// not show. probeLimit bounds its rounds.
const (
	probeTime  = 30 * time.Millisecond
	probeLimit = 1 << 16
)

// measure runs a probe once, and the first time until its rounds are known. It
// does nothing on a backend without probes.
func (p *probe) measure(b network.Backend) error {
	prober, ok := b.(network.Prober)
	if !ok {
		return nil
	}
	run := func(rounds int) (work, seconds float64, err error) {
		begin := time.Now()
		if work, err = prober.Probe(p.peak, rounds); err != nil {
			return 0, 0, err
		}
		m, err := b.Mark()
		if err != nil {
			return 0, 0, err
		}
		end, err := m.Wait()
		return work, end.Sub(begin).Seconds(), err
	}
	if p.rounds == 0 {
		if _, _, err := run(1); err != nil { // drivers compile, memory finds its place
			return err
		}
		for p.rounds = 1; ; p.rounds *= 2 {
			_, seconds, err := run(p.rounds)
			if err != nil {
				return err
			}
			if seconds >= probeTime.Seconds() || p.rounds >= probeLimit {
				break
			}
		}
	}
	work, seconds, err := run(p.rounds)
	if err == nil {
		p.rates = append(p.rates, work/seconds)
	}
	return err
}

// residentMemory returns the resident memory of the process in bytes, garbage
// left out, 0 where the system does not tell.
func residentMemory() int64 {
	debug.FreeOSMemory()
	text, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		return 0
	}
	fields := strings.Fields(string(text))
	if len(fields) < 2 {
		return 0
	}
	pages, err := strconv.ParseInt(fields[1], 10, 64)
	if err != nil {
		return 0
	}
	return pages * int64(os.Getpagesize())
}

// options returns the options of the backends.
func (c benchCommand) options(name backendName) gpu.Options {
	o := gpu.Options{Profiling: c.Profile, Dense: c.Dense, Precision: c.Precision}
	if name == "cpu" || name == "cpu64" {
		o.Precision = "" // the others are compared with them
	}
	return o
}
