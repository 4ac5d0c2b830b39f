package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"text/tabwriter"
	"time"

	"clgrad/gpu"
	"clgrad/network"
	"clgrad/network/dataset"
)

type benchCommand struct {
	modelFlags
	Backend    []backendName `placeholder:"NAME" help:"Backends to time, in place of every one that is found."`
	Iterations count         `default:"10" help:"Iterations to time on each backend, after one that is not."`
	JSON       bool          `name:"json" help:"One JSON object."`
}

// Help is shown by clgrad bench --help.
func (benchCommand) Help() string {
	return "The backends take turns, an iteration each, so that a change of the machine's speed meets all of them alike."
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
	Problem    string  `json:"problem,omitempty"` // why there are no times
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
	for i := range int(c.Iterations) + 1 {
		for _, x := range all {
			if x.Problem != "" {
				continue
			}
			if err := x.turn(a, i+1, float64(c.LR)); err != nil {
				return fmt.Errorf("%s: %w", x.Backend, err)
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
	if x.backend, err = name.open(a, gpu.Options{}); err != nil {
		return err
	}
	info := x.backend.Info()
	x.Backend, x.Device, x.Driver = info.Backend, info.Device, info.Driver
	x.trainer, _, err = c.start(set, l, x.backend)
	x.Load = time.Since(begin).Seconds()
	return err
}

// turn runs one iteration.
func (x *contestant) turn(a *app, number int, rate float64) error {
	return x.trainer.Descend(a, network.Descent{Iterations: number, LearningRate: rate, Every: 1},
		func(i network.Iteration) error {
			x.times = append(x.times, i.Elapsed)
			x.Loss = i.Loss
			return nil
		})
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
	return errors.Join(errs...)
}
