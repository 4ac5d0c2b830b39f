package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"clgrad/cmd/clgrad/recipe"
	"clgrad/cmd/clgrad/report"
	"clgrad/network"
	"clgrad/network/checkpoint"
	"clgrad/network/dataset"
	"clgrad/network/durable"
)

const (
	runsFolder = "runs" // where runs of recipes go without --out
	lockName   = "lock" // a run directory's file that the process at work there holds
)

// errLocked reports a lock that another process holds.
var errLocked = errors.New("another process is at work there")

// A runDir is the directory of one run: what the run is in its configuration,
// what it came to in the other files. While it is open no other process can open
// it. A nil runDir keeps nothing.
//
// The model at its top marks a finished run: it is written after all else. Until
// then the checkpoints are what the run came to, the first of them that of
// iteration 0, which holds the plan.
type runDir struct {
	path string
	history
	config []byte // as written
	lock   *os.File
	keep   int    // checkpoints
	saved  int    // the newest checkpoint's iteration, −1 where there is none
	file   string // the newest checkpoint
	begun  bool   // by an earlier process
	failed bool   // a checkpoint could not be written
}

// lockPatience is how long a directory that another process has is waited for: a
// process that was killed has its memory, and its lock, for a moment longer. Tests
// change it.
var lockPatience = 2 * time.Second

// lockDir takes a directory that is there.
func lockDir(path string) (*os.File, error) {
	f, err := lockFile(filepath.Join(path, lockName))
	for begin := time.Now(); errors.Is(err, errLocked) && time.Since(begin) < lockPatience; {
		time.Sleep(20 * time.Millisecond)
		f, err = lockFile(filepath.Join(path, lockName))
	}
	if errors.Is(err, errLocked) {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return f, err
}

// claim makes a run's directory and writes the configuration there, before any
// work is done that it could lose.
func claim(path string, r recipe.Recipe) (_ *runDir, err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("--out: %w", err)
		}
	}()
	r.Data, r.Test, r.Rows = absolute(r.Data), absolute(r.Test), absolute(r.Rows)
	config, err := r.Encode()
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(path, 0o777); err != nil {
		return nil, err
	}
	d := &runDir{path: path, config: config, keep: int(r.KeepCheckpoints), saved: -1, begun: true}
	if d.lock, err = lockDir(path); err != nil {
		return nil, err
	}
	for _, name := range []string{checkpoint.FileName, recipe.FileName, checkpoint.Folder} {
		if _, err := os.Lstat(d.name(name)); err == nil {
			return nil, errors.Join(fmt.Errorf("%s is there already: choose another directory, or go on with --resume %s", d.name(name), path), d.Close())
		}
	}
	d.begun = false
	if err := durable.WriteFile(d.name(recipe.FileName), config); err != nil {
		return nil, errors.Join(err, d.Close())
	}
	return d, nil
}

// absolute returns the path of a data set so that it can be found from anywhere;
// names of sets stay.
func absolute(p recipe.Path) recipe.Path {
	name := string(p)
	for _, known := range dataset.Names() {
		if name == known {
			return p
		}
	}
	if whole, err := filepath.Abs(name); err == nil && name != "" {
		return recipe.Path(whole)
	}
	return p
}

// open opens the history as it was after done iterations.
func (d *runDir) open(done int, r recipe.Recipe) (t trace, err error) {
	if d == nil {
		return trace{}, nil
	}
	d.history, t, err = openHistory(d.path, done, int(r.LogEvery), int(r.Iterations))
	return t, err
}

// Close gives the directory back. A run that came to nothing gives back its claim
// too.
func (d *runDir) Close() error {
	err := d.history.close()
	if !d.begun && d.saved < 1 {
		checkpoint.Clear(d.path)
		// The configuration last: while it is there the rest can be gone on from.
		for _, name := range []string{iterationsTable, metricsTable, metricsLines, recipe.FileName} {
			os.Remove(d.name(name))
		}
	}
	err = errors.Join(err, unlockFile(d.lock))
	os.Remove(d.path) // if nothing is there
	return err
}

// name returns the path of one of the directory's files.
func (d *runDir) name(file string) string { return filepath.Join(d.path, file) }

// iteration adds an iteration to the history.
func (d *runDir) iteration(i network.Iteration, accuracy float64) {
	if d != nil {
		d.history.iteration(i, accuracy)
	}
}

// line adds a logged iteration to the history.
func (d *runDir) line(line iterationLine) error {
	if d == nil {
		return nil
	}
	return d.history.line(line)
}

// checkpoint writes a checkpoint when all that leads to it has reached the disk.
func (d *runDir) checkpoint(m checkpoint.Model) (err error) {
	if err = d.sync(); err == nil {
		d.file, err = checkpoint.SaveNumbered(d.path, m, d.keep)
	}
	if err != nil {
		d.failed = true
		return err
	}
	d.saved = m.Run.Iterations
	return nil
}

// finish writes the model, which makes the run a finished one. Without
// keepCheckpoints the last one, which is the same, is removed with all others.
func (d *runDir) finish(m checkpoint.Model, keepCheckpoints bool) error {
	if err := d.sync(); err != nil {
		return err
	}
	if err := checkpoint.Save(d.name(checkpoint.FileName), m); err != nil {
		return err
	}
	return d.tidy(keepCheckpoints)
}

// tidy removes from a finished run what only an unfinished one needs.
func (d *runDir) tidy(keepCheckpoints bool) error {
	if keepCheckpoints {
		return nil
	}
	return checkpoint.Clear(d.path)
}

// sweep removes what a process that was killed left half written.
func (d *runDir) sweep() error {
	return errors.Join(
		durable.Sweep(d.path, recipe.FileName, checkpoint.FileName, report.FileName, predictionsTable, submissionTable),
		durable.Sweep(d.name(report.PicturesDir), "*.png"),
		checkpoint.Sweep(d.path),
	)
}

// out returns the run's directory, "" for none: --out, or one that is not there
// yet for a recipe.
func (c trainCommand) out(now time.Time) string {
	if c.Out != "" || c.From == "" {
		return string(c.Out)
	}
	name := string(c.Name)
	if name == "" {
		name = "train"
	}
	path := filepath.Join(runsFolder, now.Format("20060102-150405")+"-"+name)
	for n := 2; ; n++ {
		if _, err := os.Lstat(path); err != nil {
			return path
		}
		path = filepath.Join(runsFolder, fmt.Sprintf("%s-%s-%d", now.Format("20060102-150405"), name, n))
	}
}
