package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"

	"clgrad/cmd/clgrad/compare"
	"clgrad/cmd/clgrad/recipe"
	"clgrad/cmd/clgrad/report"
	"clgrad/cmd/clgrad/run"
	"clgrad/gpu"
	"clgrad/kernels"
	"clgrad/network"
	"clgrad/network/dataset"
)

type compareCommand struct {
	Optimizer   []optimizerName `default:"gd" placeholder:"NAME" help:"Optimizers: any of ${optimizers}, with train's default hyper-parameters. lbfgs runs with the batch size all only."`
	BatchSize   []batchSize     `default:"all" placeholder:"N" help:"Batch sizes: numbers of rows, or all."`
	LR          []recipe.Rate   `name:"lr" placeholder:"RATE" help:"Learning rates. Default: ${rates}."`
	HistorySize recipe.Count    `placeholder:"N" help:"Pairs of steps and changes of the gradient that lbfgs keeps. Default: 10."`
	Backend     []backendName   `default:"auto" placeholder:"NAME" help:"Backends: auto, cpu, cpu64, opencl, opencl:P.D or opencl:NAME."`

	Epochs    recipe.Count   `default:"10" help:"Largest number of epochs of a run. If a batch is all rows, an epoch is one iteration."`
	TimeLimit recipe.Seconds `placeholder:"SECONDS" help:"End a run after the epoch in which its training time reaches this limit."`
	Target    recipe.Share   `placeholder:"SHARE" help:"End a run after the epoch that reaches this accuracy, as in 0.97, and report the time that it took."`
	Cold      bool           `help:"Run no warm-up epoch. Seconds then include the time in which drivers compile."`
	Seeds     recipe.Count   `default:"1" help:"Number of runs of each entry, with consecutive seeds that begin at --seed. Figures are medians over these runs."`

	Data recipe.Path `default:"mnist" help:"Data set, as for train."`
	recipe.Reading
	Test       recipe.Path        `placeholder:"FILE" help:"CSV file with the test set."`
	Divide     recipe.Division    `placeholder:"TRAIN,TEST" help:"Shuffle all rows of the data set by --seed, and use these numbers of rows for training and testing."`
	Samples    recipe.Count       `placeholder:"N" help:"Use only the first N rows of the training set and of the test set."`
	Validation recipe.Fraction    `placeholder:"FRACTION" help:"Fraction of the training set to hold out. The accuracy is then that of these rows, not of the test set."`
	Shifts     recipe.CountOrNone `default:"0" placeholder:"N" help:"Also train on copies of each image, shifted by 1 to N pixels up, down, left and right, as for train."`
	Layers     recipe.Layers      `default:"128" help:"Sizes of the hidden layers, as in 500,150, or none."`
	Preprocess dataset.Preprocess `default:"max" enum:"max, standard, feature, column, none" help:"Scaling of the features: ${enum}."`
	Init       network.Init       `default:"he" enum:"normal, he" help:"Initial weights: ${enum}."`
	Seed       uint64             `default:"1" help:"Random seed of the first run's initial weights and order of batches, and of every random split of the data."`
	Precision  kernels.Precision  `default:"float32" enum:"float32, tf32, bf16, bf16x3" help:"Precision of the operands of matrix products on an OpenCL device, as for train: ${enum}."`

	Out  recipe.Path `placeholder:"DIR" help:"Directory for report.html, which has curves over epochs and over seconds. It is created if needed, and must not contain a run or a report."`
	JSON bool        `name:"json" help:"Print one JSON object."`
}

// Help is shown by clgrad compare --help.
func (compareCommand) Help() string {
	return `Every combination of --optimizer, --batch-size, --lr and --backend is an entry. Each of these flags takes a list. The entries take turns of an epoch each, so that a change of the machine's speed affects all of them.

Seconds are the time of training. They do not include loading, one warm-up epoch before the first (in which drivers compile), and computing the accuracy after each epoch. The accuracy is that of the validation set, or of the test set where there is no validation set.

Examples:

  clgrad compare --optimizer gd,nesterov,adam --batch-size 64,128 --epochs 5
  clgrad compare --batch-size 128,all --lr 0.1,0.5 --epochs 20 --out comparison
  clgrad compare --optimizer nesterov,lbfgs --batch-size 128,all --epochs 100
  clgrad compare --optimizer adam --batch-size 128 --target 0.97 --seeds 5 --json`
}

// An optimizerName is the name of an optimizer.
type optimizerName network.Optimizer

// UnmarshalText reports a name that is none.
func (n *optimizerName) UnmarshalText(text []byte) error {
	*n = optimizerName(text)
	if err := network.NewRule(network.Optimizer(text)).Check(); err != nil {
		return fmt.Errorf("%w%s", err, recipe.SuggestOptimizer(string(text)))
	}
	return nil
}

// A batchSize is a number of rows, 0 for all.
type batchSize int

// UnmarshalText parses such a number, or all.
func (n *batchSize) UnmarshalText(text []byte) error {
	*n = 0
	if string(text) == "all" {
		return nil
	}
	rows, err := strconv.Atoi(string(text))
	if err != nil || rows < 1 || rows > recipe.Most {
		return fmt.Errorf("%.80q: a whole number of rows from 1 to %d, or all, is expected", text, recipe.Most)
	}
	*n = batchSize(rows)
	return nil
}

// Run compares the entries and writes what it found.
func (c compareCommand) Run(a *app) (err error) {
	f := modelFlags{recipe.Setup{
		Reading: c.Reading, Data: c.Data, Test: c.Test, Divide: c.Divide, Samples: c.Samples, Validation: c.Validation, Shifts: c.Shifts,
		Layers: c.Layers, Preprocess: c.Preprocess, Init: c.Init, Seed: c.Seed, Precision: c.Precision,
	}}
	if c.HistorySize > 0 && !slices.Contains(c.Optimizer, optimizerName(network.LBFGS)) {
		return misused("--history-size: it belongs to the optimizer %s", network.LBFGS)
	}
	// Before the data is read: that may take long.
	if _, err := c.settings(0); err != nil {
		return usageError{err}
	}
	if err := c.outIsFree(); err != nil {
		return err
	}
	set, l, err := f.load(a)
	if err != nil {
		return err
	}
	o := compare.Options{
		Setup: f.Setup, Set: set, Layout: l,
		HistorySize: int(c.HistorySize), Epochs: int(c.Epochs), TimeLimit: float64(c.TimeLimit), Target: float64(c.Target), Cold: c.Cold, Seeds: int(c.Seeds),
		Open: func(name string) (network.Backend, error) {
			return backendName(name).open(a, gpu.Options{Precision: c.Precision})
		},
		Note: a.note,
	}
	if o.Settings, err = c.settings(set.Train.Rows); err != nil {
		return usageError{err}
	}
	bar := a.display.Steps(func(done, total int64) string {
		return fmt.Sprintf("epoch %d of %d of all runs", min(done+1, total), total)
	})
	o.Progress = func(what string, done, all int) { bar.At(what, int64(done), int64(all)) }
	r, err := compare.Compare(a, o)
	bar.End()
	if !r.Known() {
		return err
	}
	// What is known is shown, whatever ended the comparison.
	show := func(w io.Writer) error { return r.Show(w, a.width()) }
	if c.JSON {
		show = r.WriteJSON
	}
	err = errors.Join(err, show(a.out))
	if c.Out != "" {
		err = errors.Join(err, report.Write(string(c.Out), r.Page(a.commandLine())))
	}
	return err
}

// settings returns every combination that is asked for, on a training set of so many rows.
func (c compareCommand) settings(rows int) ([]compare.Setting, error) {
	var (
		optimizers []network.Optimizer
		sizes      []int
		rates      []float64
		backends   []string
	)
	for _, o := range c.Optimizer {
		optimizers = append(optimizers, network.Optimizer(o))
	}
	for _, n := range c.BatchSize {
		sizes = append(sizes, int(n))
	}
	for _, rate := range c.LR {
		rates = append(rates, float64(rate))
	}
	for _, b := range c.Backend {
		backends = append(backends, string(b))
	}
	return compare.Cross(optimizers, sizes, rates, backends, rows)
}

// outIsFree reports a directory that has a run or a report.
func (c compareCommand) outIsFree() error {
	if c.Out == "" {
		return nil
	}
	for _, name := range run.Files {
		path := filepath.Join(string(c.Out), name)
		if _, err := os.Lstat(path); err == nil {
			return fmt.Errorf("%s is there already: give --out another directory", path)
		} else if !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}
