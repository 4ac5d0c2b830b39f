package run

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/gofrs/flock"

	"clgrad/cmd/clgrad/recipe"
	"clgrad/cmd/clgrad/report"
	"clgrad/cmd/clgrad/text"
	"clgrad/network"
	"clgrad/network/checkpoint"
	"clgrad/network/dataset"
	"clgrad/network/durable"
)

// Folder is where runs of recipes go without --out.
const Folder = "runs"

// Files are the names of all that a run writes in its directory.
var Files = []string{
	recipe.FileName, checkpoint.FileName, checkpoint.Folder, IterationsFile, MetricsFile, LinesFile,
	report.FileName, report.PicturesDir, PredictionsFile, submissionFile, lockName,
}

// A directory is that of one run: what the run is in its configuration,
// what it came to in the other files. While it is open no other process can open
// it. A nil directory keeps nothing.
//
// The model of all iterations at its top marks a finished run; the report is made after
// it. Until then the checkpoints are what the run came to, the first of them that of
// iteration 0, which holds the plan. The last one stays. A finished run that is given more
// iterations is an unfinished one from the moment that its configuration says so; its
// earlier model stands until there is another. A report is there during the run too: the
// summary at the end of the metrics tells that it is the last one.
type directory struct {
	path string
	history
	config   []byte // as written
	lock     *flock.Flock
	keepLock bool     // the lock's file was there before
	made     bool     // the directory was not there before
	resumed  bool     // an earlier process began the run
	wrote    []string // the files that this process has made, but for checkpoints
	keep     int      // checkpoints
	saved    int      // the newest checkpoint's iteration, −1 where there is none
	file     string   // the newest checkpoint
	failed   bool     // a checkpoint could not be written
	logged   bool     // an iteration after the first is logged in the history
	finished bool     // the model is written
}

// newDirectory makes the directory of a new run and writes the configuration there,
// before any work is done that it could lose. A directory that is there is taken if
// none of a run's files is in it. Without a path it is TIME-NAME in Folder, or the next
// number behind it where another run has that name.
func newDirectory(path string, now time.Time, patience time.Duration, r recipe.Recipe) (_ *directory, err error) {
	d := &directory{path: path, keep: int(r.KeepCheckpoints), saved: -1}
	defer func() {
		if err != nil {
			err = fmt.Errorf("--out: %w", errors.Join(err, d.Close()))
		}
	}()
	if path == "" {
		d.path, err = makeNumbered(filepath.Join(Folder, now.Format("20060102-150405")+"-"+cmp.Or(string(r.Name), string(r.BasedOn), "train")))
		d.made = err == nil
	} else {
		d.made, err = makeDir(path)
	}
	if err != nil {
		return nil, err
	}
	if d.config, err = encode(r); err != nil {
		return nil, err
	}
	if err := d.checkEmpty(); err != nil {
		return nil, err
	}
	_, err = os.Lstat(d.name(lockName))
	d.keepLock = err == nil
	if d.lock, err = lockDir(d.path, patience); err != nil {
		return nil, err
	}
	if d.keepLock { // of a run that was killed, perhaps in the middle of this file
		if err := durable.Sweep(d.path, recipe.FileName); err != nil {
			return nil, err
		}
	}
	// Another process may have come and gone before the lock was taken.
	if err := d.checkEmpty(); err != nil {
		return nil, err
	}
	d.wrote = append(d.wrote, recipe.FileName)
	if err := durable.WriteFile(d.name(recipe.FileName), d.config); err != nil {
		return nil, err
	}
	return d, nil
}

// makeDir makes a directory and those above it, whose names reach the disk, and reports
// whether the directory itself is new.
func makeDir(path string) (made bool, err error) {
	if err := durable.MkdirAll(filepath.Dir(path)); err != nil {
		return false, err
	}
	err = os.Mkdir(path, 0o777)
	if errors.Is(err, fs.ErrExist) {
		return false, os.MkdirAll(path, 0o777) // an error where it is no directory
	}
	if err == nil {
		err = durable.SyncDir(filepath.Dir(filepath.Clean(path)))
	}
	return err == nil, err
}

// checkEmpty reports a file that the run would write over. An empty lock is what a
// killed run leaves: it does not count, and is not removed.
func (d *directory) checkEmpty() error {
	for _, name := range Files {
		info, err := os.Lstat(d.name(name))
		switch {
		case errors.Is(err, fs.ErrNotExist), name == lockName && err == nil && info.Mode().IsRegular() && info.Size() == 0:
			continue
		case err != nil:
			return err
		}
		hint := ""
		if _, err := os.Stat(d.name(recipe.FileName)); err == nil {
			hint = ", or go on with --resume " + text.ShellWord(d.path)
		}
		return fmt.Errorf("%s is there already, and the run would write it: choose another directory%s", d.name(name), hint)
	}
	return nil
}

// absolute returns the path of a data set so that it can be found from anywhere;
// names of sets stay, and that of standard input.
func absolute(p recipe.Path) recipe.Path {
	name := string(p)
	for _, known := range append(dataset.Names(), dataset.StandardInput) {
		if name == known {
			return p
		}
	}
	if whole, err := filepath.Abs(name); err == nil && name != "" {
		return recipe.Path(whole)
	}
	return p
}

// open opens the history as it was after done iterations. before is called when all of
// it is read, and before what it says of later iterations is removed.
func (d *directory) open(done int, p pace, before func() error) (t trace, err error) {
	if d == nil {
		return trace{}, nil
	}
	d.wrote = append(d.wrote, IterationsFile, MetricsFile, LinesFile)
	d.history, t, err = openHistory(d.path, done, p, before)
	return t, err
}

// configure writes the configuration anew, if it has changed. Its time stays: it is when the run
// began.
func (d *directory) configure(r recipe.Recipe) error {
	if d == nil {
		return nil
	}
	config, err := encode(r)
	if err != nil || bytes.Equal(config, d.config) {
		return err
	}
	began := Began(d.path)
	d.config = config
	path := d.name(recipe.FileName)
	if err := durable.WriteFile(path, config); err != nil {
		return err
	}
	return os.Chtimes(path, time.Time{}, began)
}

// encode returns a recipe as a configuration: data can be found from anywhere.
func encode(r recipe.Recipe) ([]byte, error) {
	r.Data, r.Test, r.Rows, r.From = absolute(r.Data), absolute(r.Test), absolute(r.Rows), absolute(r.From)
	return r.Encode()
}

// worthless reports whether a new run came to nothing: it is one without a model, without a
// checkpoint after the start, and without a logged iteration after the first, whose loss is
// that of the initial parameters. The history of a run that diverged late is all there is to
// look at.
func (d *directory) worthless() bool {
	return !d.resumed && !d.logged && !d.finished && d.saved < 1
}

// Close gives the directory back. A new run that came to nothing removes what it has
// written, and nothing else.
func (d *directory) Close() error {
	err := d.history.close()
	if d.worthless() && len(d.wrote) > 0 {
		checkpoint.Clear(d.path)
		// The configuration last: while it is there the rest can be gone on from.
		for _, name := range slices.Backward(d.wrote) {
			os.Remove(d.name(name))
		}
	}
	switch {
	case d.lock == nil:
	case d.keepLock:
		err = errors.Join(err, d.lock.Close())
	default:
		err = errors.Join(err, unlock(d.lock))
	}
	if d.made {
		os.Remove(d.path) // if nothing is there
	}
	return err
}

// page writes the report of a run that has not come to its end.
func (d *directory) page(r report.Run) error {
	if !slices.Contains(d.wrote, report.FileName) {
		d.wrote = append(d.wrote, report.FileName)
	}
	return durable.Write(d.name(report.FileName), func(w io.Writer) error { return report.WritePage(w, r) })
}

// quoted returns the directory's whole path as a shell would take it.
func (d *directory) quoted() string {
	path, err := filepath.Abs(d.path)
	if err != nil {
		path = d.path
	}
	return text.ShellWord(path)
}

// name returns the path of one of the directory's files.
func (d *directory) name(file string) string { return filepath.Join(d.path, file) }

// iteration adds an iteration to the history.
func (d *directory) iteration(i network.Iteration, accuracy float64) {
	if d != nil {
		d.history.iteration(i, accuracy)
	}
}

// line adds a logged iteration to the history.
func (d *directory) line(line Line) error {
	if d == nil {
		return nil
	}
	d.logged = d.logged || line.Iteration > 1
	return d.history.line(line)
}

// checkpoint writes a checkpoint when all that leads to it has reached the disk.
func (d *directory) checkpoint(m checkpoint.Model) (err error) {
	if err = d.sync(); err != nil {
		d.failed = true
		return err
	}
	return d.keepCheckpoint(m)
}

// keepCheckpoint writes a checkpoint.
func (d *directory) keepCheckpoint(m checkpoint.Model) error {
	file, err := checkpoint.SaveNumbered(d.path, m, d.keep)
	if file != "" {
		d.saved, d.file = m.Run.Iterations, file
	}
	d.failed = d.failed || err != nil
	return err
}

// finish writes the model, which makes the run a finished one.
func (d *directory) finish(m checkpoint.Model) error {
	if err := d.sync(); err != nil {
		return err
	}
	if err := checkpoint.Save(d.name(checkpoint.FileName), m); err != nil {
		return err
	}
	d.finished = true
	return nil
}

// tidy removes from a finished run what only an unfinished one needs: without
// keepCheckpoints all of them but the last, from which the run can be given more
// iterations.
func (d *directory) tidy(keepCheckpoints bool) error {
	if keepCheckpoints {
		return nil
	}
	return checkpoint.Keep(d.path, 1)
}

// sweep removes what a process that was killed left half written.
func (d *directory) sweep() error {
	return errors.Join(
		durable.Sweep(d.path, recipe.FileName, checkpoint.FileName, report.FileName, PredictionsFile, submissionFile),
		durable.Sweep(d.name(report.PicturesDir), "*.png"),
		checkpoint.Sweep(d.path),
	)
}

// makeNumbered makes a directory that is not there yet: first, first-2, …
func makeNumbered(first string) (path string, err error) {
	if err := durable.MkdirAll(filepath.Dir(first)); err != nil {
		return "", err
	}
	path = first
	for n := 2; ; n++ {
		if err := os.Mkdir(path, 0o777); !errors.Is(err, fs.ErrExist) {
			if err == nil {
				err = durable.SyncDir(filepath.Dir(path))
			}
			return path, err
		}
		path = fmt.Sprintf("%s-%d", first, n)
	}
}
