// Package compare trains one network under several settings side by side, and writes what
// it found as a table, JSON or a page: loss and accuracy against epochs and against
// seconds.
//
// The entries take turns of an epoch each, so that a change of the machine's speed affects
// all of them. After each epoch, outside of its time, an entry is scored on rows that it is
// not trained on.
package compare

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	"clgrad/cmd/clgrad/recipe"
	"clgrad/cmd/clgrad/text"
	"clgrad/network"
	"clgrad/network/dataset"
)

// Options say what is compared.
type Options struct {
	Setup  recipe.Setup // of which initial weights and seed count here
	Set    dataset.Set  // scaled; its validation set is scored on, where it has none its test set
	Layout network.Layout

	Settings    []Setting
	HistorySize int // of lbfgs, 0 for its default
	Epochs      int
	TimeLimit   float64 // an entry ends after the epoch that reaches so many seconds; 0 for none
	Target      float64 // an entry ends after the epoch that reaches this accuracy; 0 for none
	Cold        bool    // without the epoch of warm-up
	Seeds       int     // how many runs each entry has, the first with Setup's seed

	// Open opens a backend by its name.
	Open func(name string) (network.Backend, error)
	Note func(format string, args ...any) // a line for the user
	// Progress is told, before every epoch, whose it is, and how many of all are done at
	// most. It may be nil.
	Progress func(what string, done, all int)
}

// heldOut returns the rows to score on and what they are called.
func (o Options) heldOut() (name string, samples network.Samples, err error) {
	switch {
	case o.Set.Validation.Rows > 0:
		return "validation set", o.Set.Validation, nil
	case o.Set.Test.Rows > 0:
		return "test set", o.Set.Test, nil
	}
	return "", samples, fmt.Errorf("%s has neither a validation nor a test set to take the accuracy of: --validation 0.1 holds back a tenth", o.Set.Name)
}

// A runner is an entry's run that is under way.
type runner struct {
	*Entry
	*Run
	trainer *network.Trainer
	scorer  *network.Scorer
	batches int
	rule    network.Rule
	limit   float64
	target  float64
	ended   bool
}

// Compare runs all settings. Where it ends early it returns what is known, and why.
func Compare(ctx context.Context, o Options) (r Report, err error) {
	of, samples, err := o.heldOut()
	if err != nil {
		return r, err
	}
	r = newReport(o, of, samples.Rows)
	backends := map[string]network.Backend{}
	defer func() {
		for _, b := range backends {
			err = errors.Join(err, b.Close())
		}
	}()
	for i := range r.Entries {
		x := &r.Entries[i]
		if err := ctx.Err(); err != nil {
			return r, err
		}
		if backends[x.Backend] == nil {
			b, err := o.Open(x.Backend)
			if err != nil {
				return r, err
			}
			backends[x.Backend] = b
		}
		x.Device = backends[x.Backend].Info().Device
	}
	if err := roomFor(o, samples, backends); err != nil {
		return r, err
	}
	for i := range o.Seeds {
		if err = r.round(ctx, o, i, samples, backends); err != nil {
			break
		}
	}
	r.finish()
	if err == nil {
		err = r.allFailed()
	}
	return r, err
}

// allFailed reports that no run came to its end.
func (r Report) allFailed() error {
	first := ""
	for _, x := range r.Entries {
		for _, run := range x.Runs {
			if run.Problem == "" {
				return nil
			}
			first = cmp.Or(first, run.Problem)
		}
	}
	return fmt.Errorf("no entry comes to its end: %s", first)
}

// roomFor reports entries for whose rows the devices have no memory. All entries hold
// their own at the same time, each in batches of its own.
func roomFor(o Options, heldOut network.Samples, backends map[string]network.Backend) error {
	need := map[string]float64{}
	for _, s := range o.Settings {
		width := 1. // bytes of a feature at least: a device may keep 8 bits as they are
		switch info := backends[s.Backend].Info(); {
		case info.Backend == "cpu64":
			width = 8
		case info.Backend == "cpu" || o.Set.Train.Bytes == nil:
			width = 4
		}
		need[s.Backend] += width * float64(o.Set.Train.Rows+heldOut.Rows) * float64(o.Set.Train.Features)
	}
	for name, bytes := range need {
		if memory := float64(backends[name].Info().Memory); memory > 0 && bytes > memory {
			return fmt.Errorf("%d settings at a time need %.1f GB of memory at least, %s has %.1f GB: compare fewer, or take --samples",
				len(o.Settings), bytes/1e9, name, memory/1e9)
		}
	}
	return nil
}

// round has every entry run with the i-th seed, in turns.
func (r *Report) round(ctx context.Context, o Options, i int, heldOut network.Samples, backends map[string]network.Backend) (err error) {
	var runners []*runner
	defer func() {
		for _, x := range runners {
			err = errors.Join(err, x.close())
		}
	}()
	o.Setup.Seed += uint64(i)
	for j := range r.Entries {
		x := &r.Entries[j]
		x.Runs = append(x.Runs, Run{Seed: o.Setup.Seed})
		run := &runner{Entry: x, Run: &x.Runs[i], rule: network.NewRule(x.Optimizer), limit: o.TimeLimit, target: o.Target}
		if o.HistorySize > 0 && x.Optimizer == network.LBFGS {
			run.rule.HistorySize = o.HistorySize
		}
		runners = append(runners, run)
		if o.Progress != nil {
			o.Progress("preparing "+x.Name, i*o.Epochs*len(r.Entries), o.Seeds*o.Epochs*len(r.Entries))
		}
		if err := run.start(ctx, o, heldOut, backends[x.Backend]); err != nil && !run.endedBy(err, o.Note) {
			return fmt.Errorf("%s: %w", x.Name, err)
		}
	}
	for epoch := range o.Epochs {
		for j, x := range runners {
			if o.Progress != nil {
				o.Progress(x.Name, (i*o.Epochs+epoch)*len(runners)+j, o.Seeds*o.Epochs*len(runners))
			}
			if x.ended {
				continue
			}
			if err := x.epoch(ctx); err != nil && !x.endedBy(err, o.Note) {
				return fmt.Errorf("%s: %w", x.Name, err)
			}
		}
	}
	for _, x := range runners {
		x.Ended = true
	}
	return nil
}

// endedBy reports whether an error ends this run alone, keeps it and says it. Where L-BFGS
// has converged that is no problem, unless there was nothing to do.
func (x *runner) endedBy(err error, note func(string, ...any)) bool {
	switch nonFinite := (*network.NonFiniteError)(nil); {
	case errors.Is(err, network.ErrConverged) && len(x.Epochs) > 0:
		x.Converged, x.ended = text.OneLine(err), true
		note("%s, seed %d, ends: %s", x.Name, x.Seed, x.Converged)
		return true
	case !errors.As(err, &nonFinite) && !errors.Is(err, network.ErrConverged):
		return false
	}
	x.Problem, x.ended = text.OneLine(err), true
	note("%s, seed %d, ends: %s", x.Name, x.Seed, x.Problem)
	return true
}

// start brings the data to the backend and runs an epoch that does not count: drivers
// compile at first launches, of the last, shorter batch too. Cold there is no such epoch.
func (x *runner) start(ctx context.Context, o Options, heldOut network.Samples, b network.Backend) error {
	begin := time.Now()
	trainer, plan, err := o.Setup.Start(o.Set, o.Layout, x.BatchSize, nil, b)
	if err != nil {
		return err
	}
	x.trainer, x.batches = trainer, plan.Batches()
	theta, err := trainer.Parameters()
	if err != nil {
		return err
	}
	if x.scorer, err = x.trainer.Scorer(heldOut); err != nil {
		return err
	}
	x.Load = time.Since(begin).Seconds()
	if o.Cold {
		return nil
	}
	begin = time.Now()
	if err := x.descend(ctx, nil); err != nil && !errors.Is(err, network.ErrConverged) {
		return err
	}
	if _, _, err := x.scorer.Score(); err != nil {
		return err
	}
	x.Warmup = time.Since(begin).Seconds()
	return x.trainer.SetParameters(theta, 0)
}

// descend runs an epoch.
func (x *runner) descend(ctx context.Context, report func(network.Iteration) error) error {
	next := x.trainer.Done() + x.batches
	err := x.trainer.Descend(ctx, network.Descent{
		Iterations: next, Rule: x.rule, LearningRate: x.LearningRate,
	}, report)
	// A signal at the end of an epoch takes nothing from it.
	if err != nil && ctx.Err() != nil && x.trainer.Settled() && x.trainer.Done() == next {
		return nil
	}
	return err
}

// epoch runs an epoch and scores what it came to.
func (x *runner) epoch(ctx context.Context) error {
	e := Epoch{Epoch: len(x.Epochs) + 1}
	var loss float64
	rows := 0
	begin := time.Now()
	err := x.descend(ctx, func(i network.Iteration) error {
		loss += i.Loss * float64(i.Rows)
		rows += i.Rows
		return nil
	})
	e.Seconds = time.Since(begin).Seconds()
	if err != nil {
		return err
	}
	if n := len(x.Epochs); n > 0 {
		e.Seconds += x.Epochs[n-1].Seconds
	}
	e.Loss = network.Number(loss / float64(rows))
	heldOutLoss, accuracy, err := x.scorer.Score()
	if err != nil {
		return err
	}
	e.HeldOutLoss, e.Accuracy = network.Number(heldOutLoss), network.Number(accuracy)
	if math.IsNaN(heldOutLoss) {
		e.Accuracy = network.Number(math.NaN()) // of logits that are no numbers
	}
	x.Epochs = append(x.Epochs, e)
	if x.target > 0 && float64(e.Accuracy) >= x.target {
		x.Run.Reached, x.ended = e.Epoch, true
	}
	x.ended = x.ended || x.limit > 0 && e.Seconds >= x.limit
	return nil
}

// close frees what the run holds.
func (x *runner) close() (err error) {
	if x.scorer != nil {
		err = x.scorer.Close()
	}
	if x.trainer != nil {
		err = errors.Join(err, x.trainer.Close())
	}
	return err
}
