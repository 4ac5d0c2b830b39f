package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"text/tabwriter"
	"time"

	"clgrad/cmd/clgrad/recipe"
	"clgrad/gpu"
	"clgrad/network"
	"clgrad/network/dataset"
)

type benchCommand struct {
	modelFlags
	Backend    []backendName `placeholder:"NAME" help:"Backends to time, in place of every one that is found."`
	Iterations recipe.Count  `default:"10" help:"Iterations to time on each backend, after one that is not."`
	Profile    bool          `help:"Also the device time of every operation, which slows some devices down."`
	Dense      bool          `help:"Keep OpenCL devices from packing the input."`
	JSON       bool          `name:"json" help:"One JSON object."`
}

// Help is shown by clgrad bench --help.
func (benchCommand) Help() string {
	return "The backends take turns of about 0.2 s, or an iteration, so that a change of the machine's speed meets all of them alike."
}

// benchReport is the output of --json.
type benchReport struct {
	Data    string        `json:"data"`
	Samples int           `json:"samples"`
	Layers  []int         `json:"layers"`
	Flops   float64       `json:"flops_per_iteration"`
	Results []benchResult `json:"results"`
}

// benchResult is one backend's times, in seconds.
type benchResult struct {
	Backend string `json:"backend"`
	Device  string `json:"device"`
	Driver  string `json:"driver"`
	// First is the first iteration, in which drivers compile; Load is what came
	// before it.
	Load       float64 `json:"load_seconds"`
	First      float64 `json:"first_iteration_seconds"`
	Median     float64 `json:"median_iteration_seconds"`
	Min        float64 `json:"min_iteration_seconds"`
	Max        float64 `json:"max_iteration_seconds"`
	GFlops     float64 `json:"gflops"`
	Loss       float64 `json:"loss"` // of the last iteration
	Iterations int     `json:"iterations"`
	// Profile is the device time of the operations of an iteration, with --profile.
	Profile []operationShare `json:"profile,omitempty"`
	Problem string           `json:"problem,omitempty"` // why there are no times
}

// operationShare is an operation's part of an iteration.
type operationShare struct {
	Operation string  `json:"operation"`
	Launches  float64 `json:"launches_per_iteration"`
	Seconds   float64 `json:"seconds_per_iteration"`
}

// A contestant is a backend that takes its turns.
type contestant struct {
	benchResult
	backend network.Backend
	trainer *network.Trainer
	times   []time.Duration
}

// Run times all backends in turns.
func (c benchCommand) Run(a *app) (err error) {
	set, l, err := c.load(a)
	if err != nil {
		return err
	}
	names := c.Backend
	if len(names) == 0 {
		names = allBackends(a)
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
	for _, name := range names {
		x := &contestant{}
		all = append(all, x)
		x.Backend = string(name)
		if err := c.enter(a, x, name, set, l); err != nil {
			if len(c.Backend) > 0 {
				return err
			}
			a.note("%s is left out: %s", name, oneLine(err))
			x.Problem = oneLine(err)
		}
	}
	for left := true; left; {
		left = false
		for _, x := range all {
			if x.Problem != "" || x.trainer.Done() > int(c.Iterations) {
				continue
			}
			if err := x.turn(a, int(c.Iterations)+1, float64(c.LR)); err != nil {
				return fmt.Errorf("%s: %w", x.Backend, err)
			}
			left = true
			// The first turn is an iteration that is not timed: its profile is
			// dropped. The last one sees all that came between.
			if done := x.trainer.Done(); c.Profile && (done == 1 || done > int(c.Iterations)) {
				if err := x.profile(max(1, done-1)); err != nil {
					return fmt.Errorf("%s: %w", x.Backend, err)
				}
			}
		}
	}
	report := benchReport{Data: set.Name, Samples: set.Train.Rows, Layers: l.Sizes, Flops: l.Flops(set.Train.Rows)}
	for _, x := range all {
		report.Results = append(report.Results, x.result(report.Flops))
	}
	if c.JSON {
		return json.NewEncoder(a.out).Encode(report)
	}
	return report.show(a)
}

// enter opens a backend and loads the data into it.
func (c benchCommand) enter(a *app, x *contestant, name backendName, set dataset.Set, l network.Layout) (err error) {
	begin := time.Now()
	if x.backend, err = name.open(a, gpu.Options{Profiling: c.Profile, Dense: c.Dense}); err != nil {
		return err
	}
	info := x.backend.Info()
	x.Backend, x.Device, x.Driver = info.Backend, info.Device, info.Driver
	x.trainer, _, err = c.start(set, l, x.backend)
	x.Load = time.Since(begin).Seconds()
	return err
}

// turnTime is how long a turn may take: several iterations of a fast device, so
// that two are on their way as in a training run, and one of a slow one.
const turnTime = 200 * time.Millisecond

// turn runs some iterations, up to the given number in all.
func (x *contestant) turn(a *app, last int, rate float64) error {
	n := 1
	if len(x.times) > 1 { // the first says nothing: drivers compile in it
		n = max(1, int(turnTime/max(1, x.times[len(x.times)-1])))
	}
	from := x.trainer.Done()
	to := min(last, from+n)
	var turn time.Duration
	err := x.trainer.Descend(a, network.Descent{Iterations: to, LearningRate: rate},
		func(i network.Iteration) error {
			turn += i.Elapsed
			x.Loss = i.Loss
			return nil
		})
	if err != nil {
		return err
	}
	// The mean over the turn: with two iterations on their way, a driver that
	// reports the end of one late makes the next one look short.
	for range to - from {
		x.times = append(x.times, turn/time.Duration(to-from))
	}
	return nil
}

// profile takes the time of each operation since the last call into the result,
// in seconds an iteration.
func (x *contestant) profile(iterations int) error {
	p, ok := x.backend.(network.Profiler)
	if !ok {
		return nil
	}
	times, err := p.Profile()
	if err != nil {
		return err
	}
	x.Profile = nil
	for _, o := range times {
		x.Profile = append(x.Profile, operationShare{
			o.Operation, float64(o.Launches) / float64(iterations), o.Total.Seconds() / float64(iterations),
		})
	}
	return nil
}

// result returns the statistics of the times without the first.
func (x *contestant) result(flops float64) benchResult {
	if len(x.times) < 2 {
		return x.benchResult
	}
	r, times := x.benchResult, x.times[1:]
	r.First = x.times[0].Seconds()
	r.Median = median(times).Seconds()
	r.Min, r.Max = slices.Min(times).Seconds(), slices.Max(times).Seconds()
	r.Iterations = len(times)
	r.GFlops = flops / r.Median / 1e9
	return r
}

// show writes the table. Each backend is compared with the first that has times.
func (r benchReport) show(a *app) error {
	fmt.Fprintf(a.out, "%s, %d samples, layers %v: %.2f GFLOP an iteration\n", r.Data, r.Samples, r.Layers, r.Flops/1e9)
	w := tabwriter.NewWriter(a.out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "backend\tmedian s\tmin s\tmax s\tGFLOP/s\tspeed\tfirst s\tload s\tloss\t")
	base := 0.0
	var errs []error
	for _, x := range r.Results {
		if x.Problem != "" {
			continue
		}
		if base == 0 {
			base = x.Median
		}
		_, err := fmt.Fprintf(w, "%s\t%.4f\t%.4f\t%.4f\t%.1f\t%.2f×\t%.2f\t%.2f\t%.4f\t\n",
			x.Backend, x.Median, x.Min, x.Max, x.GFlops, base/x.Median, x.First, x.Load, x.Loss)
		errs = append(errs, err)
	}
	errs = append(errs, w.Flush())
	for _, x := range r.Results {
		if x.Problem == "" {
			fmt.Fprintf(a.out, "%s: %s, %s\n", x.Backend, x.Device, x.Driver)
		}
	}
	for _, x := range r.Results {
		errs = append(errs, x.showProfile(a))
	}
	return errors.Join(errs...)
}

// showProfile writes the operations of an iteration, and what is left of its
// time: launches, waiting and reading.
func (x benchResult) showProfile(a *app) error {
	if len(x.Profile) == 0 {
		return nil
	}
	fmt.Fprintf(a.out, "\n%s, an iteration of %.4f s:\n", x.Backend, x.Median)
	w := tabwriter.NewWriter(a.out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "operation\tlaunches\tms\tshare")
	left := x.Median
	for _, o := range x.Profile {
		fmt.Fprintf(w, "%s\t%.0f\t%.3f\t%.1f %%\n", o.Operation, o.Launches, 1e3*o.Seconds, 100*o.Seconds/x.Median)
		left -= o.Seconds
	}
	fmt.Fprintf(w, "not in operations\t\t%.3f\t%.1f %%\n", 1e3*left, 100*left/x.Median)
	return w.Flush()
}
