// Package run is the life of a run: its directory, from the configuration to the
// report, with the lock, the history and the checkpoints in it; its loop; going on
// with a run that was interrupted; what it comes to.
//
// A run goes through these steps: a directory (directory.go, resume.go), data and
// trainer (run.go), the loop (loop.go), scores (results.go), the model, and at last the
// report (report.go). Whatever ends it on the way, the newest checkpoint stays.
package run

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"time"

	"clgrad/cmd/clgrad/recipe"
	"clgrad/cmd/clgrad/share"
	"clgrad/cmd/clgrad/terminal"
	"clgrad/cmd/clgrad/text"
	"clgrad/network"
	"clgrad/network/checkpoint"
	"clgrad/network/dataset"
)

// Options say what is trained, where it is kept, and how the run reaches what is
// outside of it.
type Options struct {
	Recipe recipe.Recipe
	// Keep says that the run has a directory: Directory, or one that is not there yet
	// and has the recipe's name.
	Keep      bool
	Directory string
	// Resume is the directory of a run to go on with. Of Recipe, only Iterations and
	// Epochs matter then, where one of them is given: the run is to have so many. With
	// OtherBackend so do Backend and Shares.
	Resume       string
	NewPlan      bool // go on by a plan made anew
	OtherBackend bool // on the Recipe's Backend

	// Patience is how long a directory that another process has is waited for: a
	// process that was killed has its memory, and its lock, for a moment longer.
	Patience time.Duration

	// ReportAfter is after how long a descent there is a report of the run under way.
	ReportAfter time.Duration

	JSON    bool
	Command string                           // the command line, for the report
	Out     io.Writer                        // results
	Note    func(format string, args ...any) // a line for the user
	Info    func(format string, args ...any) // Note, of what is good to know where nothing is wrong
	Display *terminal.Display                // shows progress, nil for none
	Columns func() int                       // width of the terminal that Out is, nil where it is none

	Data dataset.Options
	// Rows loads the rows that the recipe's Rows names, which are to be predicted by a
	// network that was trained on the set, whose profile is given.
	Rows func(r recipe.Recipe, set dataset.Set, profile *dataset.Profile) (network.Samples, error)
	// Model loads the model that Recipe.From names.
	Model func(name recipe.Path) (checkpoint.Model, error)
	// Start opens the recipe's backends and starts there.
	Start func(r recipe.Recipe, set dataset.Set, l network.Layout) (share.Backends, Trainer, network.Plan, error)
	// Open opens a backend by its name.
	Open func(name string) (network.Backend, error)

	Watch Watcher // follows the run, nil for none

	// Ranks joins this process with others, of which it is rank 0. nil is a process of its own.
	Ranks *Ranks
}

// columns returns the width of the terminal that Out is, 0 where it is none.
func (o Options) columns() int {
	if o.Columns == nil {
		return 0
	}
	return o.Columns()
}

// Ranks are several processes that train together.
type Ranks struct {
	Size   int
	Launch string // what stands before a command line that starts as many
	// Continue starts on the plan of a run that is gone on with.
	Continue func(set dataset.Set, l network.Layout, plan network.Plan) (share.Backends, Trainer, error)
	// CheckpointTime is how long at most nothing is kept, where the recipe has no
	// CheckpointEvery: a rank that dies takes the others with it.
	CheckpointTime time.Duration
}

// A Trainer is a [network.Trainer], or several that train together.
type Trainer interface {
	Descend(ctx context.Context, d network.Descent, report func(network.Iteration) error) error
	Evaluate(gradient []float64) (loss float64, correct int, err error)
	Score(samples network.Samples) (loss, accuracy float64, err error)
	ScoreTraining() (loss, accuracy float64, err error)
	Scorer(samples network.Samples) (*network.Scorer, error)
	Logits(samples network.Samples) ([]float64, error)
	Parameters() ([]float64, error)
	SetParameters(theta []float64, done int) error
	State() (network.State, error)
	SetState(s network.State) error
	Done() int
	Settled() bool
	Close() error
}

// A run is one that is under way, and what it has come to.
type run struct {
	opts Options
	recipe.Recipe
	ctx  context.Context
	dir  *directory        // nil where nothing is kept
	from *checkpoint.Model // what the run goes on from, nil for the start
	had  *recipe.Recipe    // the recipe before the run was given more iterations, nil where it was not

	setup    json.RawMessage // what of the recipe decides the model
	set      dataset.Set
	layout   network.Layout
	pace     pace
	rows     network.Samples  // to be predicted
	profile  *dataset.Profile // of the training set, where it is kept or something is compared with it
	backends share.Backends
	trainer  Trainer
	plan     network.Plan
	info     network.Info // of all backends

	trace
	batchRows []int             // of each iteration
	best      *checkpoint.Best  // with early stopping, by the loss of the validation set
	converged network.LBFGSStop // why the run ended before all iterations, "" where it did not
	kept      time.Time         // when the newest checkpoint was
	changed   bool              // the state has, since the newest checkpoint, of the same iteration
	initial   []float64         // parameters to start from, nil where they are drawn
	done      int               // iterations, once they are all done
	watched   *watched          // nil where nobody follows the run
	theta     []float64         // the final parameters
	logits    []float64         // of heldOutRows, nil where they are not finite
	rowLogits []float64         // of rows, nil where they are not finite
	notFinite error             // what is said of sets without a finite result
	summary   Summary

	interimDue float64 // the seconds of descent at which the report of a run under way is made again
}

// Train trains, scores and saves.
func Train(ctx context.Context, o Options) (err error) {
	r := &run{opts: o, Recipe: o.Recipe, ctx: ctx}
	switch {
	case o.Resume != "":
		if err := r.reopen(o.Resume); err != nil || r.dir == nil {
			return err // nil: the run is finished
		}
	case o.Keep:
		if r.dir, err = newDirectory(o.Directory, time.Now(), o.Patience, r.Recipe); err != nil {
			return err
		}
	}
	if r.dir != nil {
		defer func() { err = errors.Join(err, r.dir.Close()) }()
		switch {
		case !dataset.Once(string(r.Data)):
		case o.Resume != "":
			r.opts.Note("the run reads its data from %s: the same is expected there again", dataset.InputName(string(r.Data)))
		default:
			r.opts.Note("no copy of %s is kept: --resume needs the same data there again, and eval needs --data", dataset.InputName(string(r.Data)))
		}
	}
	if err := r.doing("loading the data", r.load); err != nil {
		return err
	}
	if err := r.doing("preparing the device", r.start); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, r.trainer.Close(), r.backends.Close()) }()
	if r.trace, err = r.dir.open(r.trainer.Done(), r.pace, r.lengthen); err != nil {
		return err
	}
	for epoch := 0; len(r.batchRows) < r.trainer.Done(); epoch++ {
		r.batchRows = append(r.batchRows, r.plan.EpochRows(epoch)...)
	}
	r.batchRows = r.batchRows[:r.trainer.Done()]
	if r.best != nil {
		r.recallLoss()
	}
	defer func() {
		r.endReport(err)
		r.resumeHint(err)
	}()
	r.interimDue = r.seconds + o.ReportAfter.Seconds()
	// The state before the first iteration has the plan in it.
	if err := r.checkpoint(); err != nil {
		return err
	}
	r.watched = watch(r)
	stopped := r.loop()
	if !r.trainer.Settled() {
		return stopped
	}
	// An interrupted run is worth as much as it came to.
	if err := errors.Join(stopped, r.checkpoint()); err != nil {
		return err
	}
	r.done = r.trainer.Done()
	if words := r.convergedWords(); words != "" && r.opts.JSON { // else the summary says it
		r.opts.Info("the run has converged %s", words)
	}
	if r.best != nil {
		if err := r.trainer.SetParameters(r.best.Parameters, r.best.Iteration); err != nil {
			return err
		}
	}
	if r.theta, err = r.trainer.Parameters(); err != nil {
		return err
	}
	r.watchScoring()
	if err := r.doing("computing the results", r.score); err != nil {
		return err
	}
	r.watched.scored(r.summary)
	if r.dir != nil {
		if err := r.save(); err != nil {
			return err
		}
		if err := r.doing("writing the report", r.report); err != nil {
			return err
		}
	}
	return errors.Join(r.show(), r.notFinite)
}

// doing shows what is being done.
func (r *run) doing(what string, do func() error) error {
	defer r.opts.Display.Doing(what)()
	return do()
}

// load brings the data set, scaled, and the rows to be predicted. The scaling and the
// layout are those of the checkpoint that the run goes on from, once they are found to
// be of this data.
func (r *run) load() (err error) {
	if r.set, err = r.Load(r.ctx, r.opts.Data); err != nil {
		return err
	}
	if r.EarlyStopping && r.set.Validation.Rows == 0 {
		return fmt.Errorf("--early-stopping: a validation set is expected, %s has none: give --validation too", r.set.Name)
	}
	if err := r.settle(); err != nil {
		return err
	}
	if r.dir != nil || r.Test != "" {
		r.profile = r.set.Profile()
	}
	if words := r.profile.Misfit(r.set.Test, r.set.Shape); words != "" {
		r.opts.Note("test set of %s: %s", r.set.Name, words)
	}
	if r.from == nil {
		if r.set, err = r.Setup.Scale(r.set); err != nil {
			return err
		}
		if remark := r.set.ScalingRemark(r.Preprocess); remark != "" {
			r.opts.Note("%s", remark)
		}
	} else {
		r.set = r.set.Scale(r.from.Scaling)
	}
	if r.layout, err = r.Layout(r.set); err != nil {
		return err
	}
	if r.from != nil {
		if err := r.sameAs(r.from); err != nil {
			return err
		}
		r.best = r.from.Best
	} else if err := r.loadInitial(); err != nil {
		return err
	}
	if _, r.rows = heldOutRows(r.set); r.Rows == "" {
		return r.ctx.Err()
	}
	if r.rows, err = r.opts.Rows(r.Recipe, r.set, r.profile); err != nil {
		return fmt.Errorf("--predict: %w", err)
	}
	if r.rows.Features != r.set.Train.Features {
		return fmt.Errorf("--predict: %s has %d features where %s has %d", r.Rows, r.rows.Features, r.set.Name, r.set.Train.Features)
	}
	r.rows.Scaling = r.set.Train.Scaling
	return r.ctx.Err()
}

// settle finds out what the recipe comes to on the data.
func (r *run) settle() error {
	rows := r.set.Train.Rows
	batch, steps := r.Batch(rows), r.ScheduleSteps
	if batch > rows {
		return fmt.Errorf("--batch-size: batches of %d rows where the training set has %d", batch, rows)
	}
	r.pace.batches, r.pace.epochs = (rows+batch-1)/batch, r.Epochs > 0
	var err error
	if r.pace.total, r.pace.every, err = r.Settle(r.pace.batches); err != nil {
		return err
	}
	if r.had != nil {
		if had, _, err := r.had.Settle(r.pace.batches); err != nil || r.pace.total < had {
			return errors.Join(err, fmt.Errorf("--resume: %w", r.tooFew()))
		}
	}
	if r.ScheduleSteps != steps {
		if err := r.dir.configure(r.Recipe); err != nil {
			return err
		}
	}
	r.setup, err = r.WithoutFiles()
	return err
}

// loadInitial loads the parameters that the run starts from, if it does not draw them.
func (r *run) loadInitial() error {
	if r.From == "" {
		return nil
	}
	m, err := r.opts.Model(r.From)
	if err != nil {
		return fmt.Errorf("--from: %w", err)
	}
	if !slices.Equal(m.Sizes, r.layout.Sizes) {
		return fmt.Errorf("--from: %s is a network %v where this run has %v: layers of the same sizes are expected", r.From, m.Sizes, r.layout.Sizes)
	}
	if m.Layers != nil && !r.Scaling.Given() {
		r.opts.Note("--from %s: how its features were scaled in training is unknown: here they are by --preprocess %s (--mean and --std say another scaling)", r.From, r.Preprocess)
	}
	r.initial = m.Parameters
	return nil
}

// start opens the backends and makes the trainer: of the recipe, or where a checkpoint
// stands, of its plan.
func (r *run) start() (err error) {
	switch {
	case r.from == nil:
		r.backends, r.trainer, r.plan, err = r.opts.Start(r.Recipe, r.set, r.layout)
	case r.opts.NewPlan:
		err = r.startAnew(r.from)
	default:
		if err = r.startFrom(r.from); err != nil && r.ctx.Err() == nil {
			err = fmt.Errorf("--resume: %w (--new-plan goes on with other bits)", err)
		}
	}
	if err != nil {
		return err
	}
	r.info = r.backends.Info()
	if r.initial != nil && r.from == nil {
		if err := r.trainer.SetParameters(r.initial, 0); err != nil {
			return errors.Join(err, r.trainer.Close(), r.backends.Close())
		}
	}
	return nil
}

// startFrom is start on the plan of a checkpoint.
func (r *run) startFrom(from *checkpoint.Model) (err error) {
	r.plan = *from.Run.Plan
	if err := r.sameRanks(); err != nil {
		return err
	}
	if batch := r.Batch(r.set.Train.Rows); r.plan.BatchRows > 0 && r.plan.BatchRows != batch {
		return fmt.Errorf("the checkpoint's plan has batches of %d rows where the configuration has %d", r.plan.BatchRows, batch)
	}
	if r.opts.Ranks != nil {
		if r.backends, r.trainer, err = r.opts.Ranks.Continue(r.set, r.layout, r.plan); err != nil {
			return err
		}
		return r.restore(from)
	}
	if r.backends, err = r.openPlanned(); err != nil {
		return err
	}
	if r.trainer, err = network.NewTrainer(r.layout, r.set.Train, r.plan, r.backends, nil); err != nil {
		return errors.Join(err, r.backends.Close())
	}
	if len(r.backends) > 1 {
		r.opts.Info("rows of each batch: %s, as the run began", share.Rows(r.plan))
	}
	return r.restore(from)
}

// openPlanned opens the backends of the plan's shards. The error names all that are missing.
func (r *run) openPlanned() (all share.Backends, err error) {
	if n := len(r.plan.Shards); n < 1 || n > share.Most {
		return nil, fmt.Errorf("the checkpoint's plan has %d shards where 1 to %d are expected", n, share.Most)
	}
	var failed []error
	for _, s := range r.plan.Shards {
		b, err := r.opts.Open(s.Backend)
		if err != nil {
			if len(r.plan.Shards) > 1 {
				err = fmt.Errorf("the run needs %s (%s): %w", s.Backend, s.Device, err)
			}
			failed = append(failed, err)
			continue
		}
		all = append(all, b)
	}
	if err := errors.Join(failed...); err != nil {
		return nil, errors.Join(err, all.Close())
	}
	return all, nil
}

// sameRanks reports a plan of another number of ranks than there are.
func (r *run) sameRanks() error {
	had, has := r.plan.Ranks(), 1
	if r.opts.Ranks != nil {
		has = r.opts.Ranks.Size
	}
	if had == has {
		return nil
	}
	if had == 1 {
		return fmt.Errorf("the run began as one process, these are %d ranks: it goes on in one", has)
	}
	return fmt.Errorf("the run began with %d ranks where there are %d: start it with mpirun -n %d", had, has, had)
}

// resumeCommand returns the command line that goes on with the run, whose directory is
// written as a shell would take it.
func (r *run) resumeCommand(directory string) string {
	launch := ""
	if r.opts.Ranks != nil {
		launch = r.opts.Ranks.Launch
	}
	return launch + "clgrad train --resume " + directory
}

// restore sets the trainer to what a checkpoint has.
func (r *run) restore(from *checkpoint.Model) error {
	done, o := from.Run.Iterations, r.Rule().Optimizer
	err := r.trainer.SetParameters(from.Parameters, done)
	why := from.Run.Converged // of a finished model, which has no state
	if s := from.State.LBFGS; s != nil && !r.opts.NewPlan {
		why = s.Stop
	}
	if why != "" && done < r.pace.total {
		r.converge(why, done)
	}
	switch {
	case err != nil:
	case from.State.LBFGS != nil && r.opts.NewPlan:
		// Its loss and gradient have the bits of the plan that it began with.
		r.opts.Info("the history of %s begins anew", o)
	case from.State.Optimizer != "":
		err = r.trainer.SetState(from.State)
	case done > 0 && done < r.pace.total && r.Rule().Stateful() && !r.exhausted() && r.converged == "":
		err = fmt.Errorf("the checkpoint of iteration %d has no state of %s", done, o)
	}
	if err != nil {
		return errors.Join(err, r.trainer.Close(), r.backends.Close())
	}
	return nil
}

// startAnew is start on a plan made anew, from the parameters of a checkpoint.
func (r *run) startAnew(from *checkpoint.Model) (err error) {
	if r.backends, r.trainer, r.plan, err = r.opts.Start(r.Recipe, r.set, r.layout); err != nil {
		return err
	}
	if err := r.restore(from); err != nil {
		return err
	}
	if r.opts.OtherBackend {
		if err := r.dir.configure(r.Recipe); err != nil {
			return errors.Join(err, r.trainer.Close(), r.backends.Close())
		}
	}
	r.opts.Note("goes on by a new plan: what comes after iteration %d has other bits than a run that was not interrupted", from.Run.Iterations)
	return nil
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

// checkpoint keeps what the run has come to, if it is not kept yet and the history
// reaches as far.
func (r *run) checkpoint() error {
	done := r.trainer.Done()
	if r.dir == nil || r.dir.failed || r.dir.saved == done && !r.changed || len(r.lines) != r.pace.logged(done) {
		return nil
	}
	theta, err := r.trainer.Parameters()
	if err != nil {
		return err
	}
	m := r.model(theta, done)
	m.Best = r.best
	if m.State, err = r.trainer.State(); err != nil {
		return err
	}
	if !r.Rule().Stateful() {
		m.State = network.State{}
	}
	r.changed, r.kept = false, time.Now()
	return r.dir.checkpoint(m)
}

// model returns all that a model or checkpoint of the run holds.
func (r *run) model(theta []float64, done int) checkpoint.Model {
	precision := checkpoint.F32
	if r.info.Roundoff < 0x1p-24 {
		precision = checkpoint.F64
	}
	return checkpoint.Model{
		Sizes: r.layout.Sizes, Parameters: theta, Precision: precision,
		Scaling: r.set.Train.Scaling, Preprocess: r.ScaledBy(), Shape: r.set.Shape, Classes: r.set.ClassNames, Columns: r.set.Columns,
		Profile: r.profile,
		Run: &checkpoint.Run{
			Setup: r.setup, Iterations: done, Data: r.set.Name, Directory: !r.set.Named, Digest: r.set.Digest, Plan: &r.plan,
		},
	}
}

// resumeHint says where a run that did not end well can be gone on with.
func (r *run) resumeHint(err error) {
	d, done := r.dir, max(r.done, r.trainer.Done())
	resume := func() string { return r.resumeCommand(text.ShellWord(d.path)) }
	var nonFinite *network.NonFiniteError
	switch {
	case err == nil:
	case d == nil:
		if r.trainer.Settled() && done > 0 {
			r.opts.Note("stopped after iteration %d: nothing is saved without --out", done)
		}
	case d.finished:
		if !hasReport(d.path) {
			r.opts.Note("the model is saved in %s: %s makes the report", d.name(checkpoint.FileName), resume())
		}
	case d.saved < 1:
		if d.logged {
			r.opts.Note("no checkpoint after the start was kept: what the iterations came to is in %s", d.name(IterationsFile))
		}
	case !isThere(d.file):
		r.opts.Note("iteration %d was saved in %s, which cannot be found any more", d.saved, d.file)
	case errors.As(err, &nonFinite):
		r.opts.Note("iteration %d, the last that was kept, is saved in %s", d.saved, d.file)
	case r.trainer.Settled() && done > d.saved:
		r.opts.Note("iteration %d is saved in %s, what came after it, to iteration %d, is lost: %s goes on from there", d.saved, d.file, done, resume())
	default:
		r.opts.Note("iteration %d is saved in %s: %s goes on from there", d.saved, d.file, resume())
	}
}

func isThere(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}
