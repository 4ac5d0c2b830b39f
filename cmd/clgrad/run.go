package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"clgrad/cmd/clgrad/recipe"
	"clgrad/network"
	"clgrad/network/checkpoint"
	"clgrad/network/dataset"
)

// The files of a run directory, beside recipe.FileName, checkpoint.FileName and
// the report.
const (
	metricsTable = "metrics.csv"   // a row for each logged iteration
	metricsLines = "metrics.jsonl" // the lines that --json writes
	runsFolder   = "runs"          // where runs of recipes go without --out
)

// A runDir is the directory of one run: what the run is in its configuration,
// what it came to in the other files. A nil runDir keeps nothing.
type runDir struct {
	path         string
	config       []byte // as written
	table, lines *os.File
	saved        bool // there is a model
}

// claim makes a run's directory and writes the configuration there, before any
// work is done that it could lose. The file is made exclusively, so that no two
// runs write to one directory.
func claim(path string, r recipe.Recipe) (*runDir, error) {
	if err := os.MkdirAll(path, 0o777); err != nil {
		return nil, fmt.Errorf("--out: %w", err)
	}
	for _, name := range []string{checkpoint.FileName, recipe.FileName} {
		there := filepath.Join(path, name)
		if _, err := os.Lstat(there); err == nil {
			return nil, fmt.Errorf("%s is there already: choose another directory for --out", there)
		}
	}
	r.Data, r.Test, r.Rows = absolute(r.Data), absolute(r.Test), absolute(r.Rows)
	config, err := r.Encode()
	if err != nil {
		return nil, fmt.Errorf("--out: %w", err)
	}
	f, err := os.OpenFile(filepath.Join(path, recipe.FileName), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o666)
	if errors.Is(err, os.ErrExist) {
		return nil, fmt.Errorf("%s is there already: choose another directory for --out", filepath.Join(path, recipe.FileName))
	}
	if err != nil {
		return nil, fmt.Errorf("--out: %w", err)
	}
	d := &runDir{path: path, config: config}
	_, err = f.Write(config)
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return nil, errors.Join(fmt.Errorf("--out: %w", err), d.Close())
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

// Close ends the metrics. A run that came to no model gives its claim back.
func (d *runDir) Close() error {
	var errs []error
	for _, f := range []*os.File{d.table, d.lines} {
		if f != nil {
			errs = append(errs, f.Close())
		}
	}
	if !d.saved {
		for _, name := range []string{metricsTable, metricsLines, recipe.FileName} {
			os.Remove(d.file(name))
		}
		os.Remove(d.path) // if nothing else is there
	}
	return errors.Join(errs...)
}

// file returns the path of one of the directory's files.
func (d *runDir) file(name string) string { return filepath.Join(d.path, name) }

// record adds an iteration to the metrics.
func (d *runDir) record(line iterationLine) error {
	if d == nil {
		return nil
	}
	if d.table == nil {
		var err1, err2 error
		d.table, err1 = os.Create(d.file(metricsTable))
		d.lines, err2 = os.Create(d.file(metricsLines))
		if err := errors.Join(err1, err2); err != nil {
			return err
		}
		if _, err := fmt.Fprintln(d.table, "iteration,loss,train_accuracy,validation_loss,validation_accuracy,test_loss,test_accuracy,seconds"); err != nil {
			return err
		}
	}
	cell := func(n *network.Number) string {
		if n == nil {
			return ""
		}
		return strconv.FormatFloat(float64(*n), 'g', -1, 64)
	}
	_, err := fmt.Fprintln(d.table, strings.Join([]string{
		strconv.Itoa(line.Iteration), cell(&line.Loss), cell(&line.TrainAccuracy), cell(line.ValidationLoss), cell(line.ValidationAccuracy), cell(line.TestLoss), cell(line.TestAccuracy),
		strconv.FormatFloat(line.Seconds, 'f', 6, 64),
	}, ","))
	return errors.Join(err, json.NewEncoder(d.lines).Encode(line))
}

// save writes the model and returns its file.
func (d *runDir) save(m checkpoint.Model) (string, error) {
	file := d.file(checkpoint.FileName)
	if err := checkpoint.Save(file, m); err != nil {
		return "", err
	}
	d.saved = true
	return file, nil
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
