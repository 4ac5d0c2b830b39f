package main

import (
	"time"

	"clgrad/cmd/clgrad/bench"
	"clgrad/cmd/clgrad/recipe"
	"clgrad/cmd/clgrad/share"
	"clgrad/cpu"
	"clgrad/gpu"
	"clgrad/kernels"
	"clgrad/network"
	"clgrad/network/dataset"
)

type benchCommand struct {
	modelFlags
	Backend    []recipe.Backend  `placeholder:"NAME" help:"Backends to time. Default: all that are found. Backends joined by + compute together, as in cpu,opencl:0.0+opencl:0.1. opencl:all is all OpenCL devices together."`
	BatchSize  recipe.Count      `placeholder:"ROWS" help:"Rows in a batch, as for train. Each iteration uses one batch. Default: all rows."`
	Iterations recipe.Count      `placeholder:"N" help:"Number of iterations to time on each backend, after a first iteration, or with --batch-size a first epoch, that is not timed. Default: 10, or 5 epochs with --batch-size."`
	Rows       []recipe.Count    `placeholder:"N" help:"Numbers of training rows to time with, as in 60000,600000. Default: that of the training set. If the training set has fewer, its rows are repeated."`
	Profile    bool              `help:"Also measure the time of every operation, which slows some devices down."`
	Peaks      bool              `negatable:"" default:"true" help:"Measure the highest rates that each device reaches."`
	Input      network.InputMode `default:"auto" enum:"auto, resident, stream" help:"Where the training set is kept, as for train: ${enum}."`
	Dense      bool              `help:"Keep the input on OpenCL devices as dense float32, neither packed nor as bytes."`
	Format     bench.Format      `default:"table" enum:"table, json, benchstat" help:"Output format: ${enum}. benchstat is Go's benchmark format, with one line for each turn."`
	JSON       bool              `name:"json" help:"Print one JSON object, as --format json."`
}

// Help is shown by clgrad bench --help.
func (benchCommand) Help() string {
	return `The backends take turns, so that a change of the machine's speed affects all of them. A turn takes about 0.2 s, and is at least one iteration and at most a fifth of them. Medians and quartiles are over turns.

Operations and bytes are counted from shapes: two operations for each multiply-add of a matrix product; every operand is read once and every result written once. Products that skip the zeros of the data count as dense ones, and operands that are still in a cache count as read. So GFLOP/s and GB/s can exceed the peak.

With --batch-size the median is that of an iteration, and the time of an epoch is that of as many iterations as it has batches. Operations and bytes are those of a batch with all its rows; the last batch of an epoch may have fewer.

Peaks are measured in the same turns. On OpenCL devices they are those of a kernel of multiply-adds in registers, and of copies of large buffers. On the CPU backends they are those of the BLAS on a square product, and of copies on all cores.

Examples:

  clgrad bench --profile
  clgrad bench --batch-size 60 --profile
  clgrad bench --backend opencl --rows 60000,600000
  clgrad bench --iterations 50 --format benchstat >a.txt
  benchstat -col /backend a.txt`
}

// started is when the process began, but for the loading of the binary.
var started = time.Now()

// Run times all backends and writes what it found.
func (c benchCommand) Run(a *app) error {
	if c.JSON {
		if c.Format == bench.Benchstat {
			return misused("--json and --format %s are two forms: give one of them", c.Format)
		}
		c.Format = bench.JSON
	}
	if c.LR == 0 {
		c.LR = recipe.DefaultRate(network.GD)
	}
	set, l, err := c.load(a)
	if err != nil {
		return err
	}
	names := c.Backend
	if len(names) == 0 {
		for _, name := range allBackends(a) {
			names = append(names, recipe.Backend(name))
		}
	}
	host := cpu.New[float32]().Info()
	o := bench.Options{
		Setup: c.Setup, Set: set, Layout: l, DataSeconds: time.Since(started).Seconds(),
		Strict: len(c.Backend) > 0, Iterations: int(c.Iterations), BatchSize: int(c.BatchSize), Profile: c.Profile, Peaks: c.Peaks,
		Open: func(name string, p kernels.Precision) (share.Backends, error) {
			return openAll(a, recipe.Backend(name), c.options(p))
		},
		Share: func(set dataset.Set, all share.Backends) func(network.Plan, []float64) ([]int, error) {
			return a.sharing(nil, set, l, all)
		},
		Memory: host.Memory, Note: a.note,
	}
	for _, name := range names {
		o.Backends = append(o.Backends, string(name))
	}
	for _, n := range c.Rows {
		o.Rows = append(o.Rows, int(n))
	}
	bar := a.display.Steps(nil)
	o.Progress = func(what string, done, all int) { bar.At(what, int64(done), int64(all)) }
	report, err := bench.Run(a, o)
	bar.End()
	if err != nil {
		return err
	}
	return report.Write(a.out, c.Format, host.Device, a.width())
}

// options returns the options of the backends.
func (c benchCommand) options(p kernels.Precision) gpu.Options {
	return gpu.Options{Dense: c.Dense, Precision: p, Input: c.Input}
}
