// Package bench times every backend side by side, in turns, and writes what it found
// as tables, JSON or Go's benchmark format.
package bench

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"clgrad/cmd/clgrad/measure"
	"clgrad/cmd/clgrad/recipe"
	"clgrad/cmd/clgrad/share"
	"clgrad/cmd/clgrad/text"
	"clgrad/kernels"
	"clgrad/network"
	"clgrad/network/dataset"
)

// Options say what is timed, and how it is shown.
type Options struct {
	Setup       recipe.Setup
	Set         dataset.Set // scaled
	Layout      network.Layout
	DataSeconds float64 // that the set took, from the start of the process

	Backends   []string
	Strict     bool  // a backend that cannot be used is an error, not left out
	Iterations int   // after those that are not timed; 0 for 10, or 5 epochs of batches
	Rows       []int // in place of the whole training set
	BatchSize  int   // rows of a batch, over which an iteration is; 0 for all
	Profile    bool  // also the time of every operation
	Peaks      bool  // also what each device comes to at best

	// Open opens a backend by its name, or several that compute together.
	Open func(name string, p kernels.Precision) (share.Backends, error)
	// Share returns how several share the rows of each batch.
	Share func(set dataset.Set, all share.Backends) func(network.Plan, []float64) ([]int, error)
	// Memory is that of this machine in bytes, 0 if unknown.
	Memory int64
	Note   func(format string, args ...any) // a line for the user
	// Progress is told what is measured, and how many of all such steps are done. It may be
	// nil.
	Progress func(what string, done, all int)
}

// An entry is a backend with a number of rows that takes its turns.
type entry struct {
	Result
	width      int // bytes of an element
	backends   share.Backends
	trainer    *network.Trainer
	last       int               // iteration to time
	operations []*operationTimes // in the order of a first run
	// probes are those of the peaks of each backend, nil where another entry's are.
	probes [][]*probe
}

// operationTimes are the times of an operation of an iteration, one a turn.
type operationTimes struct {
	operation string
	launches  float64
	seconds   []float64
}

// Run times all backends in turns.
func Run(ctx context.Context, o Options) (r Report, err error) {
	r = Report{Data: o.Set.Name, Layers: o.Layout.Sizes, DataSeconds: o.DataSeconds}
	if o.Progress == nil {
		o.Progress = func(string, int, int) {}
	}
	rows := o.Rows
	if len(rows) == 0 {
		rows = []int{o.Set.Train.Rows}
	}
	var all []*entry
	defer func() {
		for _, x := range slices.Backward(all) {
			err = errors.Join(err, x.close())
		}
	}()
	var problem error
	for _, n := range rows {
		if o.BatchSize > n {
			return r, fmt.Errorf("--batch-size: batches of %d rows where there are %d", o.BatchSize, n)
		}
		train, err := repeatRows(o.Set.Train, n, o.Memory)
		if err != nil {
			return r, err
		}
		set := o.Set
		set.Train = train
		for _, name := range o.Backends {
			if err := ctx.Err(); err != nil {
				return r, err
			}
			x := &entry{Result: Result{Backend: name, Samples: n, BatchSize: n, Batches: 1}}
			if o.BatchSize > 0 {
				x.BatchSize, x.Batches = o.BatchSize, (n+o.BatchSize-1)/o.BatchSize
			}
			o.Progress(fmt.Sprintf("first iteration on %s, %d rows", name, n), len(all), len(rows)*len(o.Backends))
			all = append(all, x)
			if err := x.start(ctx, o, name, set); err != nil {
				if o.Strict || ctx.Err() != nil {
					return r, err
				}
				o.Note("%s is left out: %s", name, text.OneLine(err))
				x.Problem, problem = text.OneLine(err), err
				continue
			}
			x.ToFirst = r.DataSeconds + x.Open + x.Load + x.First
			if !slices.ContainsFunc(all, func(y *entry) bool { return y.probes != nil && y.Backend == x.Backend }) {
				for range x.backends {
					x.probes = append(x.probes, []*probe{{peak: network.Arithmetic}, {peak: network.Bandwidth}})
				}
			}
		}
	}
	if !slices.ContainsFunc(all, func(x *entry) bool { return x.Problem == "" }) {
		return r, problem
	}
	if p := o.Setup.Precision; p.Reduced() && !slices.ContainsFunc(all, func(x *entry) bool { return x.Problem == "" && x.Precision == p }) {
		return r, fmt.Errorf("no backend here computes at --precision %s", p)
	}
	r.PeakRSS = measure.PeakMemory() // the probes are no part of it
	for left := true; left; {
		left = false
		for _, x := range all {
			if x.Problem != "" || x.trainer.Done() >= x.last {
				continue
			}
			done, of := timed(all, o)
			o.Progress(fmt.Sprintf("timing %s, %d rows", x.Backend, x.Samples), done, of)
			if err := x.round(ctx, o); err != nil {
				return r, fmt.Errorf("%s: %w", x.Backend, err)
			}
			left = true
		}
	}
	for _, x := range all {
		x.finish(o.Layout, all)
		r.Results = append(r.Results, x.Result)
	}
	return r, nil
}

// timed returns how many iterations were timed, and how many will be.
func timed(all []*entry, o Options) (done, of int) {
	for _, x := range all {
		if x.Problem == "" {
			of += x.iterations(o)
			done += x.iterations(o) - (x.last - x.trainer.Done())
		}
	}
	return done, of
}

// start opens a backend, loads the data into it and runs the iterations that are not
// timed: the first, and with smaller batches the first epoch, for drivers may compile for
// the last, shorter batch too.
func (x *entry) start(ctx context.Context, o Options, name string, set dataset.Set) (err error) {
	before := measure.ResidentMemory()
	begin := time.Now()
	lap := func() float64 {
		now := time.Now()
		defer func() { begin = now }()
		return now.Sub(begin).Seconds()
	}
	x.Precision = cmp.Or(o.Setup.Precision, kernels.Float32)
	if name == "cpu" || name == "cpu64" {
		x.Precision = kernels.Float32 // the others are compared with them
	}
	if x.backends, err = o.Open(name, x.Precision); err != nil {
		return err
	}
	x.Open = lap()
	info := x.backends.Info()
	x.Backend, x.Device, x.Driver, x.width = info.Backend, info.Device, info.Driver, 4
	if info.Roundoff < 0x1p-24 {
		x.Precision, x.width = "float64", 8
	}
	if x.trainer, _, err = o.Setup.Start(set, o.Layout, x.BatchSize, o.Share(set, x.backends), x.backends...); err != nil {
		return err
	}
	x.Load = lap()
	if _, err = x.turn(ctx, 1, float64(o.Setup.LR)); err != nil {
		return err
	}
	x.First = lap()
	if before > 0 {
		x.Resident = measure.ResidentMemory() - before
	}
	for _, b := range x.backends {
		if m, ok := b.(network.MemoryMeter); ok {
			x.Held += m.MemoryHeld()
		}
	}
	if x.Batches > 1 {
		if _, err := x.turn(ctx, x.Batches-1, float64(o.Setup.LR)); err != nil {
			return err
		}
	}
	x.last = x.trainer.Done() + x.iterations(o)
	if o.Profile {
		return x.backends.StartProfile()
	}
	return nil
}

// iterations returns how many are to be timed.
func (x *entry) iterations(o Options) int {
	switch {
	case o.Iterations > 0:
		return o.Iterations
	case x.Batches > 1:
		return leastTurns * x.Batches
	}
	return 10
}

// close frees what the entry holds.
func (x *entry) close() (err error) {
	if x.trainer != nil {
		err = x.trainer.Close()
	}
	return errors.Join(err, x.backends.Close())
}

// repeatRows returns the first rows of s, and those of s again from its start until
// there are as many. They share the features of s. Rows for which a machine of so many bytes
// has no room are an error: Go would end the process.
func repeatRows(s network.Samples, rows int, memory int64) (network.Samples, error) {
	if rows <= s.Rows {
		return s.Slice(0, rows), nil
	}
	const width = 4 + 4 // bytes of a row: label and index
	if need := float64(rows) * width; memory > 0 && need > float64(memory) {
		return s, fmt.Errorf("--rows %d: needs %.1f GB of memory at least, this machine has %.1f GB", rows, need/1e9, float64(memory)/1e9)
	}
	index := make([]int32, rows)
	for i := range index {
		index[i] = int32(i % s.Rows)
	}
	return s.Select(index), nil
}

// turnTime is how long a turn may take: many iterations of a fast device, which are
// waited for together as in a training run, and one of a slow one. A backend
// has at least leastTurns turns where it has as many iterations.
const (
	turnTime   = 200 * time.Millisecond
	leastTurns = 5
)

// round runs a turn's iterations, and the probes.
func (x *entry) round(ctx context.Context, o Options) error {
	n := 1
	if len(x.Turns) > 0 {
		n = max(1, min(int(turnTime.Seconds()/x.Turns[len(x.Turns)-1].Seconds), x.iterations(o)/leastTurns))
	}
	t, err := x.turn(ctx, min(x.last-x.trainer.Done(), n), float64(o.Setup.LR))
	if err != nil {
		return err
	}
	x.Turns = append(x.Turns, t)
	if o.Profile {
		if err := x.profile(t.Iterations); err != nil {
			return err
		}
	}
	if o.Peaks {
		for i, probes := range x.probes {
			for _, p := range probes {
				if err := p.measure(x.backends[i]); err != nil {
					return err
				}
			}
		}
	}
	if o.Profile {
		return x.dropProfile()
	}
	return nil
}

// turn runs n iterations and returns their mean.
func (x *entry) turn(ctx context.Context, n int, rate float64) (turn, error) {
	var total time.Duration
	err := x.trainer.Descend(ctx, network.Descent{Iterations: x.trainer.Done() + n, LearningRate: rate},
		func(i network.Iteration) error {
			total += i.Elapsed
			x.Loss = network.Number(i.Loss)
			return nil
		})
	return turn{n, total.Seconds() / float64(n)}, err
}

// profile takes the time of each operation since the last call as that of the
// turn.
func (x *entry) profile(iterations int) error {
	times, err := x.backends.Profile()
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

// dropProfile forgets the operations since the last profile: those of probes.
func (x *entry) dropProfile() error {
	_, err := x.backends.Profile()
	return err
}
