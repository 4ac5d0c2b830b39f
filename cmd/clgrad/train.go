package main

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/alecthomas/kong"

	"clgrad/cmd/clgrad/recipe"
	"clgrad/cmd/clgrad/run"
	"clgrad/cmd/clgrad/share"
	"clgrad/gpu"
	"clgrad/network"
	"clgrad/network/checkpoint"
	"clgrad/network/dataset"
)

type trainCommand struct {
	RecipeName string `name:"recipe" placeholder:"NAME|FILE" help:"Take the values of all flags that are not given from a recipe: a built-in one (see clgrad recipes), a file, or the directory of a run."`
	recipe.Recipe
	Out     recipe.Path  `placeholder:"DIR" help:"Save the run in this directory: configuration, checkpoints, model, metrics and report. The directory is created if necessary, and must not contain another run. Without --out, a run of a recipe is saved in runs/TIME-NAME, and any other run is not saved."`
	Resume  recipe.Path  `placeholder:"DIR" help:"Continue a run that was started with --out DIR and was interrupted or killed. The result is bit for bit that of an uninterrupted run. With --iterations or --epochs the run is extended, even if it is finished, and the result is that of a run started with that number. Other flags are taken from the run and cannot be given, except --json, --quiet, --watch and --new-plan, and with --new-plan also --backend and --shares."`
	NewPlan bool         `help:"With --resume: continue with a new plan if the original one cannot be used any more (another version, device or driver). The result then differs in its last bits from that of an uninterrupted run."`
	Watch   watchAddress `help:"Show the run in a browser while it is under way, at http://127.0.0.1 with a free port, which is printed. --watch=HOST:PORT sets another address. HOST defaults to 127.0.0.1."`
	JSON    bool         `name:"json" help:"Print JSON, one object a line."`

	otherBackend bool           // is given with --resume
	base         *recipe.Recipe // of --recipe, as it stands there
}

// Help is shown by clgrad train --help.
func (trainCommand) Help() string {
	return "Without flags, a network with 128 hidden units is trained on MNIST, on the best device.\n\n" +
		"Each iteration uses all rows, or with --batch-size one batch of them; the loss and accuracy that are reported are then means over the last epoch. " +
		"If --optimizer is given together with --recipe, hyper-parameters such as --lr and --momentum are not taken from the recipe.\n\n" +
		"Examples:\n\n  clgrad train --layers 500,150 --iterations 1000 --out run1\n  clgrad train --resume run1\n  clgrad train --resume run1 --iterations 2000\n  clgrad train --recipe run1/config.json --seed 2\n" +
		"  clgrad train --batch-size 100 --epochs 5 --optimizer nesterov --schedule cosine\n" +
		"  clgrad train --optimizer lbfgs --history-size 30 --weight-decay 1e-5\n" +
		"  clgrad train --batch-size 100 --epochs 50 --optimizer adam --validation 0.1 --early-stopping\n" +
		"  clgrad train --data flowers.csv --label species --preprocess feature --validation 0.1\n  clgrad train --preprocess standard --backend cpu --json\n" +
		"  clgrad train --epochs 20 --batch-size 100 --watch\n" +
		"  mpirun --hostfile hosts -n 16 clgrad train --out run1"
}

// BeforeResolve has the values of the recipe stand in for the flags that are not
// given.
func (c *trainCommand) BeforeResolve(ctx *kong.Context) error {
	given := map[string]bool{}
	for _, p := range ctx.Path {
		if p.Flag != nil {
			given[p.Flag.Name] = true
			if p.Flag.Name == "recipe" {
				c.RecipeName, _ = ctx.FlagValue(p.Flag).(string)
			}
		}
	}
	if given["resume"] {
		c.otherBackend = given["backend"]
		return checkResume(ctx, given["new-plan"], given["backend"])
	}
	if given["preprocess"] && (given["mean"] || given["std"]) {
		return errors.New("--preprocess: --mean or --std is given too: one kind of scaling is expected")
	}
	if !given["recipe"] {
		return nil
	}
	file, err := recipe.Load(c.RecipeName)
	if errors.Is(err, recipe.ErrUnknown) {
		return fmt.Errorf("--recipe: %w", err)
	}
	if err != nil {
		return err
	}
	c.base = &file.Recipe
	ctx.AddResolver(kong.ResolverFunc(func(_ *kong.Context, _ *kong.Path, flag *kong.Flag) (any, error) {
		text, ok := file.Value(flag.Name)
		if !ok || slices.ContainsFunc(recipe.Of(flag.Name), func(other string) bool { return given[other] }) {
			return nil, nil
		}
		return text, nil
	}))
	return nil
}

// checkResume refuses whatever would make the run that is gone on with another one.
func checkResume(ctx *kong.Context, newPlan, backend bool) error {
	for _, p := range ctx.Path {
		if p.Flag != nil && (p.Flag.Name == "backend" && newPlan || p.Flag.Name == "shares" && newPlan && backend) {
			continue // of the new plan
		}
		if p.Flag != nil && !slices.Contains([]string{"resume", "iterations", "epochs", "new-plan", "json", "quiet", "watch"}, p.Flag.Name) {
			return fmt.Errorf("--%s cannot be given with --resume: a run goes on as its configuration says (--recipe DIR begins another one like it)", p.Flag.Name)
		}
	}
	return nil
}

// lockPatience is how long train waits for a run's directory. Tests change it.
var lockPatience = 2 * time.Second

// reportAfter is after how long a descent train first makes a report. Tests change it.
var reportAfter = time.Second

// Run trains, scores and saves.
func (c trainCommand) Run(a *app) error {
	keep := c.Out != "" || c.RecipeName != ""
	const nowhere = "--%s: nothing is kept without --out: give a directory"
	switch {
	case keep && c.Rows != "" && c.Predict == "":
		c.Predict = recipe.Table
	case c.Resume != "" && c.Iterations > 0 && c.Epochs > 0:
		return misused("--epochs: iterations are given too: one of them is expected")
	case c.Out == dataset.StandardInput || c.Resume == dataset.StandardInput:
		return misused("--out, --resume: the name of a directory is expected")
	case c.NewPlan && c.Resume == "":
		return misused("--new-plan: a run to go on with is expected: give --resume too")
	case keep || c.Resume != "":
	case c.Rows != "":
		return misused(nowhere, "predict")
	case c.Predict != "":
		return misused(nowhere, "predictions")
	case c.CheckpointEvery > 0:
		return misused(nowhere, "checkpoint-every")
	}
	if c.Resume == "" {
		if err := c.Complete(); err != nil {
			return misused("%w", err)
		}
		if c.base != nil {
			c.Origin = c.OriginFrom(*c.base, c.RecipeName)
		}
	}
	o := run.Options{
		Recipe: c.Recipe, Keep: keep, Directory: string(c.Out), Resume: string(c.Resume), NewPlan: c.NewPlan, OtherBackend: c.otherBackend, Patience: lockPatience, ReportAfter: reportAfter,
		JSON: c.JSON, Command: a.commandLine(), Out: a.out, Note: a.note, Info: a.info, Display: a.display, Columns: a.columns, Data: a.dataOptions(),
		Rows: func(r recipe.Recipe, set dataset.Set, profile *dataset.Profile) (network.Samples, error) {
			trained := trainedSet{r.Reading.WithoutColumns(), classNames(set.ClassNames, set.Classes), set.Columns, set.Shape, profile}
			if dataset.HoldsPictures(string(r.Rows)) {
				rows, _, err := loadPictures(a, []string{string(r.Rows)}, recipe.Reading{}, false, trained)
				return rows, err
			}
			rows, err := loadUnlabelled(a, r.Rows, recipe.Reading{}, trained, r.Predict == recipe.Kaggle)
			return toPredict(rows), err
		},
		Model: func(name recipe.Path) (checkpoint.Model, error) { return loadModel(a, name) },
		Start: func(r recipe.Recipe, set dataset.Set, l network.Layout) (share.Backends, run.Trainer, network.Plan, error) {
			return c.start(a, r, set, l)
		},
		Open: func(name string) (network.Backend, error) { return backendName(name).open(a, gpu.Options{}) },
	}
	return c.Watch.follow(a, &o, func() error {
		if ok, err := c.inTasks(a, o); ok || err != nil {
			return err
		}
		return run.Train(a, o)
	})
}

// start opens the backends of a run and starts there. Where auto took a device that has no
// room for the network, it says so and takes the CPU.
func (c trainCommand) start(a *app, r recipe.Recipe, set dataset.Set, l network.Layout) (share.Backends, run.Trainer, network.Plan, error) {
	if err := l.CheckMemory(); err != nil {
		return nil, nil, network.Plan{}, err
	}
	all, err := openAll(a, r.Backend, gpu.Options{Precision: r.Precision, Input: r.Input})
	if err != nil {
		return nil, nil, network.Plan{}, err
	}
	var t *network.Trainer
	var plan network.Plan
	start := func() {
		if err = checkShares(r.Shares, all); err == nil {
			t, plan, err = r.Start(set, l, r.Batch(set.Train.Rows), a.sharing(r.Shares, set, l, all), all...)
		}
	}
	start()
	if failed := (*gpu.Error)(nil); r.Backend == "auto" && !r.Precision.Reduced() && errors.As(err, &failed) {
		a.note("computing on the CPU instead: %s", oneLine(errors.Join(err, all.Close())))
		all = share.Backends{newCPU[float32](r.Input)}
		start()
	}
	if err != nil {
		return nil, nil, plan, errors.Join(err, all.Close())
	}
	return all, t, plan, nil
}
