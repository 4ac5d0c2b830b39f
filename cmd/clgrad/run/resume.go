package run

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"

	"clgrad/cmd/clgrad/recipe"
	"clgrad/cmd/clgrad/report"
	"clgrad/cmd/clgrad/text"
	"clgrad/network/checkpoint"
)

// reopen opens the directory of a run that is not finished, and finds out what the run
// is and what it goes on from. A finished run is said to be so; it has no directory
// then.
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
	read, err := recipe.Load(config)
	if err != nil {
		return err
	}
	r.Recipe = read.Recipe
	lock, lockErr := lockDir(path, r.opts.Patience)
	// Behind the lock: whoever had it may have finished the run.
	model, damaged := r.finishedModel(path)
	d := &directory{path: path, lock: lock, keep: int(r.KeepCheckpoints), saved: -1, resumed: true}
	switch {
	case model != nil && hasReport(path):
		r.opts.Note("%s: finished, all %d iterations are done", path, r.Iterations)
		if lockErr == nil {
			return errors.Join(d.sweep(), d.tidy(r.CheckpointEvery > 0), d.Close())
		}
		return nil
	case lockErr != nil:
		return lockErr
	}
	r.dir = d
	defer func() {
		if err != nil {
			err = errors.Join(err, d.Close())
		}
	}()
	if d.config, err = os.ReadFile(config); err != nil {
		return err
	}
	if err := d.sweep(); err != nil {
		return err
	}
	if model != nil {
		r.opts.Note("%s: all %d iterations are done: the report is made", path, r.Iterations)
		r.from, d.saved, d.file = model, model.Run.Iterations, d.name(checkpoint.FileName)
		return nil
	}
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
	if err != nil {
		r.opts.Note("%s: goes on from the start", path)
		return nil
	}
	r.from, d.saved, d.file = &m, m.Run.Iterations, file
	r.opts.Note("%s: goes on after iteration %d of %d", path, d.saved, r.Iterations)
	return nil
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
		return nil, fmt.Errorf("%s: does not say how it was trained", file)
	case m.Run.Iterations != int(r.Iterations):
		return nil, fmt.Errorf("%s: is of %d iterations where %d are expected", file, m.Run.Iterations, r.Iterations)
	}
	return &m, nil
}

// hasReport reports whether a run directory has all that comes after the model: the
// report, and the summary behind the metrics.
func hasReport(path string) bool {
	lines, err := os.ReadFile(filepath.Join(path, LinesFile))
	if err != nil || !bytes.Contains(lines[bytes.LastIndexByte(bytes.TrimSpace(lines), '\n')+1:], []byte(`"summary":true`)) {
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
		return fmt.Errorf("--resume: the data %s is not what the run began with: its digest is %.16s… where the checkpoint has %.16s…", r.Data, here.Run.Digest, from.Run.Digest)
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
