package main

import (
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/alecthomas/kong"

	"clgrad/cmd/clgrad/recipe"
	"clgrad/cmd/clgrad/report"
	"clgrad/cpu"
	"clgrad/gpu"
	"clgrad/network"
	"clgrad/network/checkpoint"
	"clgrad/network/dataset"
	"clgrad/network/durable"
)

// modelFlags are the flags that say what is trained on what.
type modelFlags struct{ recipe.Setup }

type trainCommand struct {
	From string `name:"recipe" placeholder:"NAME|FILE" help:"Take what the flags do not say from a built-in recipe (clgrad recipes), a file of that form, or the directory of a run."`
	recipe.Recipe
	Out    recipe.Path `placeholder:"DIR" help:"Keep the run in this directory, which is made if need be: configuration, checkpoints, model, metrics and report. With --recipe it is runs/TIME-NAME if not given; otherwise nothing is kept without it."`
	Resume recipe.Path `placeholder:"DIR" help:"Go on with the run that --out DIR began and that was interrupted or killed, to the very bits of one that was not. Only --json can be given with it."`
	JSON   bool        `name:"json" help:"One JSON object a line."`
}

// Help is shown by clgrad train --help.
func (trainCommand) Help() string {
	return "Examples: clgrad train --layers 500,150 --iterations 1000 --out run1; clgrad train --recipe biswas --seed 2; clgrad train --recipe run1/config.json; clgrad train --resume run1; clgrad train --preprocess standard --backend cpu --json"
}

// BeforeResolve has the values of the recipe stand in for the flags that are not
// given.
func (c *trainCommand) BeforeResolve(ctx *kong.Context) error {
	given := map[string]bool{}
	for _, p := range ctx.Path {
		if p.Flag != nil {
			given[p.Flag.Name] = true
			if p.Flag.Name == "recipe" {
				c.From, _ = ctx.FlagValue(p.Flag).(string)
			}
		}
	}
	if given["resume"] {
		return checkResume(ctx)
	}
	if !given["recipe"] {
		return nil
	}
	file, err := recipe.Load(c.From)
	if err != nil {
		return err
	}
	c.Origin = file.Origin
	ctx.AddResolver(kong.ResolverFunc(func(_ *kong.Context, _ *kong.Path, flag *kong.Flag) (any, error) {
		text, ok := file.Value(flag.Name)
		if !ok || given["data"] && recipe.OfData(flag.Name) {
			return nil, nil
		}
		return text, nil
	}))
	return nil
}

// load returns the data set, scaled, and the layout of the network on it.
func (f modelFlags) load(a *app) (set dataset.Set, l network.Layout, err error) {
	if set, err = f.raw(a, nil, nil); err != nil {
		return set, l, err
	}
	if set, err = set.Preprocess(f.Preprocess); err != nil {
		return set, l, err
	}
	l, err = f.layout(set)
	return set, l, err
}

// layout returns that of the network on a data set.
func (f modelFlags) layout(set dataset.Set) (network.Layout, error) {
	l, err := network.NewLayout(slices.Concat([]int{set.Train.Features}, f.Layers, []int{set.Classes}))
	if err == nil {
		// The parameters in float64, as they are made and as they are read.
		err = roomFor(fmt.Sprintf("network %v", l.Sizes), 2*8*float64(l.Len))
	}
	return l, err
}

// roomFor reports bytes that this machine has not: Go would end the process.
func roomFor(what string, bytes float64) error {
	if memory := float64(cpu.New[float32]().Info().Memory); memory > 0 && bytes > memory {
		return fmt.Errorf("%s: needs %.1f GB of memory at least, this machine has %.1f GB", what, bytes/1e9, memory/1e9)
	}
	return nil
}

// raw returns the data set with its parts as the flags want them, not scaled.
// classes are the names that labels may have and columns those of a CSV file, nil
// where the data decides.
func (f modelFlags) raw(a *app, classes []string, columns *dataset.Columns) (set dataset.Set, err error) {
	o := a.dataOptions()
	o.Label, o.Test, o.Classes, o.Columns = string(f.Label), string(f.Test), classes, columns
	if set, err = dataset.Load(a, string(f.Data), o); err != nil {
		return set, err
	}
	if len(f.Divide) == 2 {
		if set, err = set.Divide(f.Divide[0], f.Divide[1], f.Seed); err != nil {
			return set, fmt.Errorf("--divide: %w", err)
		}
	}
	if f.Samples > 0 {
		set = set.First(int(f.Samples))
	}
	if f.Validation > 0 {
		if set, err = set.Split(float64(f.Validation), f.Seed); err != nil {
			return set, fmt.Errorf("--validation: %w", err)
		}
	}
	return set, nil
}

// start returns a trainer with initial parameters, on one backend.
func (f modelFlags) start(set dataset.Set, l network.Layout, b network.Backend) (*network.Trainer, network.Plan, error) {
	plan, err := network.SingleShard(b, l.Sizes, set.Train)
	if err != nil {
		return nil, plan, err
	}
	// The trainer first: it finds out whether the network fits the device.
	t, err := network.NewTrainer(l, set.Train, plan, []network.Backend{b})
	if err != nil {
		return nil, plan, err
	}
	theta, err := l.Initial(f.Init, f.Seed)
	if err == nil {
		err = t.SetParameters(theta, 0)
	}
	if err != nil {
		return nil, plan, errors.Join(err, t.Close())
	}
	return t, plan, nil
}

// startOn opens a backend and starts there. Where auto took a device that has no
// room for the network, it says so and takes the CPU.
func (f modelFlags) startOn(a *app, name backendName, set dataset.Set, l network.Layout) (network.Backend, *network.Trainer, network.Plan, error) {
	b, err := name.open(a, gpu.Options{Precision: f.Precision})
	if err != nil {
		return nil, nil, network.Plan{}, err
	}
	t, plan, err := f.start(set, l, b)
	if failed := (*gpu.Error)(nil); name == "auto" && !f.Precision.Reduced() && errors.As(err, &failed) {
		a.note("computing on the CPU instead: %s", oneLine(errors.Join(err, b.Close())))
		b = cpu.New[float32]()
		t, plan, err = f.start(set, l, b)
	}
	if err != nil {
		return nil, nil, plan, errors.Join(err, b.Close())
	}
	return b, t, plan, nil
}

// A trained is what a run came to.
type trained struct {
	set       dataset.Set
	plan      network.Plan
	info      network.Info
	layout    network.Layout
	trace     trace
	theta     []float64
	rows      network.Samples // to be predicted
	logits    []float64       // of what is shown, nil where they are not finite
	rowLogits []float64       // of rows, nil where they are not finite
	warned    map[string]bool // sets without a finite result on the way
	notFinite error           // what is said of sets without a finite result
	summary   summary
}

// Run trains, scores and saves.
func (c trainCommand) Run(a *app) (err error) {
	var dir *runDir
	var from *checkpoint.Model
	if c.Resume != "" {
		if dir, c.Recipe, from, err = reopen(a, string(c.Resume)); dir == nil {
			return err // nil: the run is finished
		}
	} else if dir, err = c.newRun(); err != nil {
		return err
	}
	if dir != nil {
		defer closing(&err, dir)
	}
	set, l, err := c.prepare(a, from)
	if err != nil {
		return err
	}
	_, rows := heldOutRows(set)
	if c.Rows != "" {
		if rows, err = loadRows(a, c.Rows, "", classNames(set.ClassNames, set.Classes), set.Columns); err != nil {
			return fmt.Errorf("--predict: %w", err)
		}
		if rows.Features != set.Train.Features {
			return fmt.Errorf("--predict: %s has %d features where %s has %d", c.Rows, rows.Features, set.Name, set.Train.Features)
		}
		rows.Scaling = set.Train.Scaling
	}
	if err := a.Err(); err != nil {
		return err
	}
	b, t, plan, err := c.begin(a, set, l, from)
	if err != nil {
		return err
	}
	release := sync.OnceValue(func() error { return errors.Join(t.Close(), b.Close()) })
	defer func() { err = errors.Join(err, release()) }()

	r := trained{set: set, rows: rows, plan: plan, info: b.Info(), layout: l, warned: map[string]bool{}}
	if r.trace, err = dir.open(t.Done(), c.Recipe); err != nil {
		return err
	}
	defer func() { c.resumeHint(a, t, dir, err) }()
	// The state before the first iteration has the plan in it.
	if err := c.checkpoint(t, &r, dir); err != nil {
		return err
	}
	stopped := c.descend(a, t, b, &r, dir)
	if !t.Settled() {
		return stopped
	}
	// An interrupted run is worth as much as it came to.
	if err := errors.Join(stopped, c.checkpoint(t, &r, dir)); err != nil {
		return err
	}
	if r.theta, err = t.Parameters(); err != nil {
		return err
	}
	if err := c.score(a, t, b, &r, dir != nil || a.screen); err != nil {
		return err
	}
	if dir == nil {
		r.summary.PeakRSS = peakRSS()
	} else {
		if err := c.save(&r, dir); err != nil {
			return err
		}
		// The report runs some iterations on a backend that measures: it gets the
		// memory of this one.
		if err := release(); err != nil {
			return err
		}
		if err := c.report(a, &r, dir); err != nil {
			return err
		}
	}
	return errors.Join(c.show(a, r), r.notFinite)
}

// newRun makes the directory of a new run, nil where nothing is to be kept.
func (c *trainCommand) newRun() (*runDir, error) {
	if c.Out != "" || c.From != "" {
		if c.Rows != "" && c.Predict == "" {
			c.Predict = recipe.Table
		}
		if c.Out == "" {
			return newRunOf(time.Now(), c.Recipe)
		}
		return newRun(string(c.Out), c.Recipe)
	}
	const nowhere = "--%s: nothing is kept without --out: give a directory"
	switch {
	case c.Rows != "":
		return nil, misused(nowhere, "predict")
	case c.Predict != "":
		return nil, misused(nowhere, "predictions")
	case c.CheckpointEvery > 0:
		return nil, misused(nowhere, "checkpoint-every")
	}
	return nil, nil
}

// resumeHint says where a run that did not end well can be gone on with.
func (c trainCommand) resumeHint(a *app, t *network.Trainer, dir *runDir, err error) {
	if err == nil {
		return
	}
	if dir == nil {
		if t.Settled() && t.Done() > 0 {
			a.note("stopped after iteration %d: nothing is saved without --out", t.Done())
		}
		return
	}
	if dir.finished {
		if _, err := os.Stat(dir.name(report.FileName)); err != nil {
			a.note("the model is saved in %s: clgrad train --resume %s makes the report", dir.name(checkpoint.FileName), shellWord(dir.path))
		}
		return
	}
	if dir.saved < 1 {
		return
	}
	if _, err := os.Stat(dir.file); err != nil {
		a.note("iteration %d was saved in %s, which cannot be found any more", dir.saved, dir.file)
		return
	}
	lost := ""
	if t.Settled() && t.Done() > dir.saved {
		lost = fmt.Sprintf(", what came after it, to iteration %d, is lost", t.Done())
	}
	var nonFinite *network.NonFiniteError
	if errors.As(err, &nonFinite) {
		a.note("iteration %d, the last that was kept, is saved in %s", dir.saved, dir.file)
		return
	}
	a.note("iteration %d is saved in %s%s: clgrad train --resume %s goes on from there", dir.saved, dir.file, lost, shellWord(dir.path))
}

// heldOutRows returns the samples whose predictions say most about the network, and
// what they are: the test set, or what there is in its place.
func heldOutRows(set dataset.Set) (name string, samples network.Samples) {
	switch {
	case set.Test.Rows > 0:
		return "test set", set.Test
	case set.Validation.Rows > 0:
		return "validation set", set.Validation
	}
	return "training set", set.Train
}

// checkpoint keeps what the run has come to, if it is not kept yet and the
// history reaches as far.
func (c trainCommand) checkpoint(t *network.Trainer, r *trained, dir *runDir) error {
	if dir == nil || dir.failed || dir.saved == t.Done() || len(r.trace.lines) != logged(t.Done(), int(c.LogEvery), int(c.Iterations)) {
		return nil
	}
	theta, err := t.Parameters()
	if err != nil {
		return err
	}
	return dir.checkpoint(c.model(r.set, r.layout.Sizes, r.plan, theta, precision(r.info), t.Done()))
}

// model returns all that a run's model or checkpoint holds.
func (c trainCommand) model(set dataset.Set, sizes []int, plan network.Plan, theta []float64, p checkpoint.Precision, done int) checkpoint.Model {
	return checkpoint.Model{
		Sizes: sizes, Parameters: theta, Precision: p,
		Scaling: set.Train.Scaling, Preprocess: string(c.Preprocess), Shape: set.Shape, Classes: set.ClassNames, Columns: (*checkpoint.Columns)(set.Columns),
		Run: &checkpoint.Run{
			Init: c.Init, Seed: c.Seed, LearningRate: float64(c.LR), Iterations: done,
			Data: set.Name, Directory: !set.Named, Divide: c.Divide, Samples: int(c.Samples), Validation: float64(c.Validation),
			Digest: set.Digest, Plan: &plan,
		},
	}
}

// precision returns that of a backend's own numbers.
func precision(info network.Info) checkpoint.Precision {
	if info.Roundoff < 0x1p-24 {
		return checkpoint.F64
	}
	return checkpoint.F32
}

// score scores the final parameters, finds what the recipe asks for, and predicts
// where withPredictions says so.
func (c trainCommand) score(a *app, t *network.Trainer, b network.Backend, r *trained, withPredictions bool) error {
	classes, blockRows := r.layout.Sizes[len(r.layout.Sizes)-1], r.plan.Shards[0].BlockRows
	// check lets a run end that has a set without a finite result: what it came to is
	// saved, and then the run fails.
	check := func(name string, samples network.Samples, loss, accuracy float64, err error) (float64, float64, error) {
		if err == nil {
			err = c.checkScore(b, r, r.theta, name, samples, loss)
		}
		if _, ok := err.(*notFiniteError); ok {
			r.notFinite = errors.Join(r.notFinite, err)
			return math.NaN(), math.NaN(), nil
		}
		return loss, accuracy, err
	}
	score := func(name string, samples network.Samples) (float64, float64, error) {
		loss, accuracy, err := t.Score(samples)
		return check(name, samples, loss, accuracy, err)
	}
	loss, accuracy, err := t.ScoreTraining()
	if loss, accuracy, err = check("training set", r.set.Train, loss, accuracy, err); err != nil {
		return err
	}
	s := &r.summary
	*s = summary{
		Summary: true, Backend: r.info.Backend, Device: r.info.Device, Layers: r.layout.Sizes, Iterations: t.Done(),
		Loss: network.Number(loss), TrainAccuracy: network.Number(accuracy),
		Seconds: r.trace.seconds, Median: medianIteration(r.trace.times), Recipe: string(c.Name),
	}
	if c.Precision.Reduced() {
		s.Precision = string(c.Precision)
	}
	if s.heldOut, err = scoreHeldOut(a, r.set, score); err != nil {
		return err
	}
	if c.Passes > 0 {
		s.Passes = &passed{Accuracy: float64(c.Passes)}
		if i := slices.IndexFunc(r.trace.accuracy, func(v float64) bool { return v >= float64(c.Passes) }); i >= 0 {
			i++
			s.Passes.Iteration = &i
		}
	}
	if c.UnscaledTest && r.set.Test.Rows > 0 {
		raw := r.set.Test
		raw.Scaling = network.Scaling{}
		_, accuracy, err := score("test set without scaling", raw)
		if err != nil {
			return err
		}
		s.UnscaledTest = number(accuracy)
	}
	if c.Reference != nil {
		if x, ok := report.Compare(r.lossCurve(), referenceCurve(*c.Reference, s.Iterations), true); ok {
			s.Reference = &compared{c.Reference.Name, x.Shift, network.Number(x.Distance), x.Iteration}
		}
	}
	if !withPredictions {
		return nil
	}
	predict := func(name string, samples network.Samples) ([]float64, error) {
		logits, err := logitsOn(b, r.layout, r.theta, blockRows, samples)
		if err == nil {
			err = checkLogits(name, logits, classes, nil)
		}
		if _, ok := err.(*notFiniteError); ok {
			if r.notFinite == nil || !strings.Contains(r.notFinite.Error(), err.Error()) {
				r.notFinite = errors.Join(r.notFinite, err)
			}
			return nil, nil
		}
		return logits, err
	}
	name, samples := heldOutRows(r.set)
	if r.logits, err = predict(name, samples); err != nil {
		return err
	}
	r.rowLogits = r.logits
	if c.Rows != "" {
		r.rowLogits, err = predict(string(c.Rows), r.rows)
	}
	return err
}

// checkScore reports a loss under the parameters theta that is not finite.
func (c trainCommand) checkScore(b network.Backend, r *trained, theta []float64, name string, samples network.Samples, loss float64) error {
	return checkScore(name, loss, func() ([]float64, error) {
		return logitsOn(b, r.layout, theta, r.plan.Shards[0].BlockRows, samples)
	}, r.layout.Sizes[len(r.layout.Sizes)-1], samples.Labels)
}

// The files of predictions in a run directory.
const (
	predictionsTable = "predictions.csv"
	submissionTable  = "submission.csv"
)

// save writes predictions and the model, which makes the run a finished one.
func (c trainCommand) save(r *trained, dir *runDir) error {
	p := predictions{r.rows.Labels, r.rowLogits, r.layout.Sizes[len(r.layout.Sizes)-1], r.set.ClassNames}
	name, write := "", p.writeKaggle
	switch c.Predict {
	case recipe.Table:
		name, write = predictionsTable, func(w io.Writer) error { return p.writeTable(w, false) }
	case recipe.Kaggle:
		name = submissionTable
	}
	if name != "" && r.rowLogits != nil {
		r.summary.Predictions = dir.name(name)
		if err := durable.Write(r.summary.Predictions, write); err != nil {
			return err
		}
	}
	r.summary.Model = dir.name(checkpoint.FileName)
	return dir.finish(c.model(r.set, r.layout.Sizes, r.plan, r.theta, precision(r.info), r.summary.Iterations))
}

// report makes the report of a finished run, and ends its metrics with the summary,
// which has the peak of the memory. Without them --resume makes them.
func (c trainCommand) report(a *app, r *trained, dir *runDir) error {
	if err := a.Err(); err != nil {
		return err
	}
	kernels, err := kernelTimes(a, r)
	if a.Err() != nil {
		return a.Err()
	}
	if err != nil {
		a.note("the report has no times of operations: %s", oneLine(err))
	}
	r.summary.PeakRSS = peakRSS()
	if err := report.Write(dir.path, c.reportData(a, r, kernels, dir)); err != nil {
		return err
	}
	r.summary.PeakRSS, r.summary.Report = peakRSS(), dir.name(report.FileName)
	if err := errors.Join(dir.add(r.summary), dir.sync()); err != nil {
		return err
	}
	return dir.tidy(c.CheckpointEvery > 0)
}
