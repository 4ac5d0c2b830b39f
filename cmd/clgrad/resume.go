package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"strings"

	"github.com/alecthomas/kong"

	"clgrad/cmd/clgrad/recipe"
	"clgrad/cmd/clgrad/report"
	"clgrad/gpu"
	"clgrad/network"
	"clgrad/network/checkpoint"
	"clgrad/network/dataset"
)

// checkResume refuses whatever would make the run that is gone on with another
// one.
func checkResume(ctx *kong.Context) error {
	for _, p := range ctx.Path {
		if p.Flag != nil && p.Flag.Name != "resume" && p.Flag.Name != "json" {
			return fmt.Errorf("--%s cannot be given with --resume: a run goes on as its configuration says (--recipe DIR begins another one like it)", p.Flag.Name)
		}
	}
	return nil
}

// reopen opens the directory of a run that is not finished and returns what the
// run is and the checkpoint to go on from, nil for the start. A finished run is
// said to be so; its directory is nil.
func reopen(a *app, path string) (d *runDir, r recipe.Recipe, from *checkpoint.Model, err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("--resume: %w", err)
		}
	}()
	config := filepath.Join(path, recipe.FileName)
	if _, err := os.Stat(config); errors.Is(err, fs.ErrNotExist) {
		return nil, r, nil, fmt.Errorf("%s: not found: the directory that train --out made is expected", config)
	}
	read, err := recipe.Load(config)
	if err != nil {
		return nil, r, nil, err
	}
	r = read.Recipe
	model := finishedModel(a, path, int(r.Iterations))
	lock, lockErr := lockDir(path)
	switch {
	case model != nil && hasReport(path):
		a.note("%s: finished, all %d iterations are done", path, r.Iterations)
		if lockErr == nil {
			d := &runDir{path: path, lock: lock, resumed: true}
			err = errors.Join(d.sweep(), d.tidy(r.CheckpointEvery > 0), d.Close())
		}
		return nil, r, nil, err
	case lockErr != nil:
		return nil, r, nil, lockErr
	}
	d = &runDir{path: path, lock: lock, keep: int(r.KeepCheckpoints), saved: -1, resumed: true}
	defer func() {
		if err != nil {
			err = errors.Join(err, d.Close())
			d = nil
		}
	}()
	if d.config, err = os.ReadFile(config); err != nil {
		return d, r, nil, err
	}
	if err := d.sweep(); err != nil {
		return d, r, nil, err
	}
	if model != nil {
		a.note("%s: all %d iterations are done: the report is made", path, r.Iterations)
		d.saved, d.file = model.Run.Iterations, d.name(checkpoint.FileName)
		return d, r, model, nil
	}
	m, file, damaged, err := checkpoint.Newest(path)
	if err == nil {
		from, d.saved, d.file = &m, m.Run.Iterations, file
	} else if !errors.Is(err, checkpoint.ErrNone) {
		return d, r, nil, err
	}
	for _, problem := range damaged {
		a.note("%s: it is passed over", oneLine(problem))
	}
	if from == nil {
		a.note("%s: goes on from the start", path)
	} else {
		a.note("%s: goes on after iteration %d of %d", path, d.saved, r.Iterations)
	}
	return d, r, from, nil
}

// finishedModel returns the model of all iterations in a run directory, nil where it
// is not there.
func finishedModel(a *app, path string, iterations int) *checkpoint.Model {
	file := filepath.Join(path, checkpoint.FileName)
	if _, err := os.Stat(file); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	m, err := checkpoint.Load(file)
	if err != nil {
		a.note("%s: it is made again", oneLine(err))
		return nil
	}
	if m.Run == nil || m.Run.Plan == nil || m.Run.Iterations != iterations {
		return nil
	}
	return &m
}

// hasReport reports whether a run directory has all that comes after the model: the
// report, and the summary behind the metrics.
func hasReport(path string) bool {
	lines, err := os.ReadFile(filepath.Join(path, metricsLines))
	if err != nil || !bytes.Contains(lines[bytes.LastIndexByte(bytes.TrimSpace(lines), '\n')+1:], []byte(`"summary":true`)) {
		return false
	}
	_, err = os.Stat(filepath.Join(path, report.FileName))
	return err == nil
}

// same reports where a data set and the configuration are not what a checkpoint
// was made with.
func (c trainCommand) same(from *checkpoint.Model, set dataset.Set, sizes []int) error {
	here := c.model(set, sizes, *from.Run.Plan, nil, from.Precision, from.Run.Iterations)
	if here.Run.Digest != from.Run.Digest {
		return fmt.Errorf("--resume: the data %s is not what the run began with: its digest is %.16s… where the checkpoint has %.16s…", c.Data, here.Run.Digest, from.Run.Digest)
	}
	for _, f := range []struct {
		what        string
		here, there any
	}{
		{"layers", here.Sizes, from.Sizes},
		{"preprocess", here.Preprocess, from.Preprocess},
		{"shape", here.Shape, from.Shape},
		{"classes", here.Classes, from.Classes},
	} {
		if !reflect.DeepEqual(f.here, f.there) {
			return differs(f.what, f.here, f.there)
		}
	}
	run := reflect.ValueOf(*here.Run)
	for i := range run.NumField() {
		x, err1 := json.Marshal(run.Field(i).Interface())
		y, err2 := json.Marshal(reflect.ValueOf(*from.Run).Field(i).Interface())
		if err := errors.Join(err1, err2); err != nil {
			return err
		}
		if !bytes.Equal(x, y) {
			key, _, _ := strings.Cut(run.Type().Field(i).Tag.Get("json"), ",")
			return differs(key, string(x), string(y))
		}
	}
	return nil
}

func differs(what string, here, there any) error {
	return fmt.Errorf("--resume: the configuration's %s is %.99s where the checkpoint has %.99s: it is not that of this run", what, fmt.Sprint(here), fmt.Sprint(there))
}

// prepare returns the data set, scaled, and the layout of the network on it: those
// of the flags, or those of a checkpoint once they are found to be the same.
func (c trainCommand) prepare(a *app, from *checkpoint.Model) (set dataset.Set, l network.Layout, err error) {
	flags := modelFlags{c.Setup}
	if from == nil {
		return flags.load(a)
	}
	if set, err = flags.raw(a, nil, nil); err != nil {
		return set, l, err
	}
	if l, err = flags.layout(set); err != nil {
		return set, l, err
	}
	return set.Scale(from.Scaling), l, c.same(from, set, l.Sizes)
}

// begin returns a trainer at the start, on the backend of the flags, or where a
// checkpoint stands, on that of its plan.
func (c trainCommand) begin(a *app, set dataset.Set, l network.Layout, from *checkpoint.Model) (network.Backend, *network.Trainer, network.Plan, error) {
	if from == nil {
		return modelFlags{c.Setup}.startOn(a, backendName(c.Backend), set, l)
	}
	plan := *from.Run.Plan
	if n := len(plan.Shards); n != 1 {
		return nil, nil, plan, fmt.Errorf("--resume: the checkpoint's plan has %d shards where 1 is expected", n)
	}
	b, err := backendName(plan.Shards[0].Backend).open(a, gpu.Options{})
	if err != nil {
		return nil, nil, plan, fmt.Errorf("--resume: %w", err)
	}
	t, err := network.NewTrainer(l, set.Train, plan, []network.Backend{b})
	if err != nil {
		return nil, nil, plan, errors.Join(fmt.Errorf("--resume: %w", err), b.Close())
	}
	if err := t.SetParameters(from.Parameters, from.Run.Iterations); err != nil {
		return nil, nil, plan, errors.Join(err, t.Close(), b.Close())
	}
	return b, t, plan, nil
}
