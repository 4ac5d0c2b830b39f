package run

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"slices"

	"clgrad/cmd/clgrad/recipe"
	"clgrad/cmd/clgrad/report"
	"clgrad/cmd/clgrad/text"
	"clgrad/network"
	"clgrad/network/checkpoint"
	"clgrad/network/dataset"
)

// reopen opens the directory of a run that is not finished, or that is given more
// iterations, and finds out what the run is and what it goes on from. Another finished run
// is said to be so; it has no directory then.
func (r *run) reopen(path string) (err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("--resume: %w", err)
		}
	}()
	config := filepath.Join(path, recipe.FileName)
	if !isThere(config) {
		return fmt.Errorf("%s: not found: the directory that train --out made is expected", config)
	}
	// Everything is looked at behind the lock: whoever had it may have finished the run, or
	// given it more iterations.
	lock, lockErr := lockDir(path, r.opts.Patience)
	d := &directory{path: path, lock: lock, saved: -1, resumed: true}
	defer func() {
		if err != nil && lockErr == nil {
			err = errors.Join(err, d.Close())
		}
	}()
	read, err := recipe.Load(config)
	if err != nil {
		return err
	}
	r.Recipe = read.Recipe
	if err := r.Complete(); err != nil {
		return fmt.Errorf("%s: %w", config, err)
	}
	if r.opts.OtherBackend {
		r.Backend, r.Shares = r.opts.Recipe.Backend, r.opts.Recipe.Shares
	}
	d.keep = int(r.KeepCheckpoints)
	model, damaged := r.finishedModel(path)
	if more := r.opts.Recipe; (more.Iterations > 0 || more.Epochs > 0) && (more.Iterations != r.Iterations || more.Epochs != r.Epochs) {
		had := r.Recipe
		r.had, r.Iterations, r.Epochs = &had, more.Iterations, more.Epochs
		r.Origin = r.OriginFrom(had, path)
	}
	switch {
	case model != nil && r.had == nil && hasReport(path):
		r.opts.Info("%s: finished, all %s are done", path, r.finishedWords(model))
		if lockErr == nil {
			return errors.Join(d.sweep(), d.tidy(r.CheckpointEvery > 0), d.Close())
		}
		return nil
	case lockErr != nil:
		return lockErr
	}
	r.dir = d
	if d.config, err = os.ReadFile(config); err != nil {
		return err
	}
	if err := d.sweep(); err != nil {
		return err
	}
	if model != nil && r.had == nil {
		r.opts.Info("%s: all %s are done: the report is made", path, r.finishedWords(model))
		r.from = asCheckpoint(*model)
		d.saved, d.file = r.from.Run.Iterations, d.name(checkpoint.FileName)
		return nil
	}
	return r.choose(path, model, damaged)
}

// choose finds what the run goes on from: the newest checkpoint, or a model that was
// finished once and is newer, where it has all that the rest of the run needs. damaged is
// why there is no such model though there is a file of its name.
func (r *run) choose(path string, model *checkpoint.Model, damaged error) error {
	m, file, passed, err := checkpoint.Newest(path)
	if err != nil && !errors.Is(err, checkpoint.ErrNone) {
		return err
	}
	for _, problem := range passed {
		r.opts.Note("%s: it is passed over", text.OneLine(problem))
	}
	switch {
	case damaged == nil:
	case err != nil:
		return fmt.Errorf("%w, and there is no checkpoint to make it again from: nothing is changed", damaged)
	default:
		r.opts.Note("%s: it is made again", text.OneLine(damaged))
	}
	whole := model != nil && !r.Rule().Stateful() && !r.EarlyStopping
	switch {
	case whole && (err != nil || m.Run.Iterations < model.Run.Iterations):
		r.from = model // lengthen makes a checkpoint of it
	case err != nil && model != nil:
		return fmt.Errorf("%s: its last checkpoint is not there any more: without the state in it the run cannot have more iterations", path)
	case err != nil:
		r.opts.Info("%s: goes on from the start", path)
		return nil
	default:
		r.from, r.dir.saved, r.dir.file = &m, m.Run.Iterations, file
	}
	if had := r.had; had != nil && r.Epochs == 0 && had.Epochs == 0 && r.Iterations < had.Iterations {
		return r.tooFew() // settle looks at epochs, whose iterations follow from the data
	}
	of := fmt.Sprintf(" of %d", r.Iterations)
	if r.Epochs > 0 {
		of = ", to " + asked(r.Recipe)
	}
	r.opts.Info("%s: goes on after iteration %d%s", path, r.from.Run.Iterations, of)
	return nil
}

// tooFew reports that a run is given less than it has.
func (r *run) tooFew() error {
	return fmt.Errorf("%s are fewer than the %s of the run: as many or more are expected", asked(r.Recipe), asked(*r.had))
}

// lengthen makes the directory that of a run of more iterations, if it is given more. All
// that is looked at has been found sound by then. From now on the directory is one of an
// unfinished run, so what that goes on from comes first.
func (r *run) lengthen() error {
	if r.had == nil {
		return nil
	}
	if r.dir.saved < 0 && r.from != nil {
		if err := r.dir.keepCheckpoint(*r.from); err != nil {
			return err
		}
	}
	return r.dir.configure(r.Recipe)
}

// finishedModel returns the model of all iterations in a run directory, nil where it
// is not there. damaged is why a file of its name is not that model.
func (r *run) finishedModel(path string) (_ *checkpoint.Model, damaged error) {
	file := filepath.Join(path, checkpoint.FileName)
	if !isThere(file) {
		return nil, nil
	}
	m, err := checkpoint.Load(file)
	switch {
	case err != nil:
		return nil, err
	case m.Run == nil || m.Run.Plan == nil:
		return nil, notOfRun(file)
	}
	if err := checkFinished(file, m, r.Recipe); err != nil {
		return nil, err
	}
	return &m, nil
}

// notOfRun reports a model that no run of this program wrote.
func notOfRun(file string) error { return fmt.Errorf("%s: does not say how it was trained", file) }

// checkFinished reports that a model is not that of all iterations of a complete recipe.
func checkFinished(file string, m checkpoint.Model, r recipe.Recipe) error {
	all, every, err := r.Settle(batches(*m.Run.Plan))
	done, best := m.Run.Iterations, 0
	if m.Run.Stopped > 0 {
		done, best = m.Run.Stopped, m.Run.Iterations
	}
	if err != nil {
		return fmt.Errorf("%s: %w", file, err)
	}
	if converged := m.Run.Converged != "" && done < all; done != all && !converged && !(r.EarlyStopping && stopping(r, every).Ended(done, best)) {
		return fmt.Errorf("%s: is of %d iterations, the run is to have %d", file, done, all)
	}
	return nil
}

// asCheckpoint returns a finished model as the checkpoint that it was made of, without
// the optimizer's state.
func asCheckpoint(m checkpoint.Model) *checkpoint.Model {
	if done := m.Run.Stopped; done > 0 {
		run := *m.Run
		m.Best = &checkpoint.Best{Parameters: m.Parameters, Iteration: run.Iterations}
		run.Iterations, run.Stopped = done, 0
		m.Run = &run
	}
	return &m
}

// finishedWords says what a finished run has done.
func (r *run) finishedWords(m *checkpoint.Model) string {
	if m.Run.Converged != "" {
		return fmt.Sprintf("%d iterations until it converged", max(m.Run.Iterations, m.Run.Stopped))
	}
	settled := r.Recipe
	if all, _, err := settled.Settle(batches(*m.Run.Plan)); err == nil && m.Run.Stopped > 0 && m.Run.Stopped < all {
		return fmt.Sprintf("%d iterations until early stopping", m.Run.Stopped)
	}
	return asked(r.Recipe)
}

// batches returns those of a plan that nobody has looked at yet, 1 of one that has none: those
// of early versions.
func batches(p network.Plan) int {
	if p.Rows < 1 || p.BatchRows < 1 || p.BatchRows > p.Rows || p.Rows > math.MaxInt/2 {
		return 1
	}
	return p.Batches()
}

// asked says how long a run is to be.
func asked(r recipe.Recipe) string {
	if r.Epochs > 0 {
		return fmt.Sprintf("%d epochs", r.Epochs)
	}
	return fmt.Sprintf("%d iterations", r.Iterations)
}

// hasReport reports whether a run directory has all that comes after the model: the
// report, and the summary behind the metrics. Without the summary a report is one of a run
// that was under way.
func hasReport(path string) bool {
	if m, err := ReadMetrics(path); err != nil || m.Summary == nil {
		return false
	}
	return isThere(filepath.Join(path, report.FileName))
}

// sameAs reports where the data set and the configuration are not what a checkpoint was
// made with.
func (r *run) sameAs(from *checkpoint.Model) error {
	r.plan = *from.Run.Plan
	here := r.model(nil, from.Run.Iterations)
	if here.Run.Digest != from.Run.Digest {
		return fmt.Errorf("--resume: the data %s is not what the run began with: its digest is %.16s… where the checkpoint has %.16s…", dataset.InputName(string(r.Data)), here.Run.Digest, from.Run.Digest)
	}
	for _, f := range []struct {
		what        string
		here, there any
	}{
		{"layers", here.Sizes, from.Sizes},
		{"preprocess", here.Preprocess, from.Preprocess},
		{"shape", here.Shape, from.Shape},
		{"classes", here.Classes, from.Classes},
		{"data", here.Run.Data, from.Run.Data},
		{"kind of data", here.Run.Directory, from.Run.Directory},
	} {
		if !reflect.DeepEqual(f.here, f.there) {
			return differs(f.what, f.here, f.there)
		}
	}
	var ours, theirs map[string]json.RawMessage
	if err := errors.Join(json.Unmarshal(here.Run.Setup, &ours), json.Unmarshal(from.Run.Setup, &theirs)); err != nil {
		return fmt.Errorf("--resume: %w", err)
	}
	if _, ok := theirs["layers"]; !ok { // version 1, whose setup does not say so
		for _, key := range []string{"layers", "preprocess", "precision"} {
			delete(ours, key)
		}
	}
	for key, value := range map[string]string{"optimizer": `"gd"`, "schedule": `"constant"`} { // of an older program
		if _, ok := theirs[key]; !ok {
			theirs[key] = json.RawMessage(value)
		}
	}
	both := maps.Clone(ours)
	maps.Copy(both, theirs)
	for _, key := range slices.Sorted(maps.Keys(both)) {
		if !bytes.Equal(ours[key], theirs[key]) {
			return differs(key, cmp.Or(string(ours[key]), "none"), cmp.Or(string(theirs[key]), "none"))
		}
	}
	return nil
}

func differs(what string, here, there any) error {
	return fmt.Errorf("--resume: the configuration's %s is %.99s where the checkpoint has %.99s: it is not that of this run", what, fmt.Sprint(here), fmt.Sprint(there))
}
