package main

import (
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"clgrad/cmd/clgrad/recipe"
	"clgrad/cmd/clgrad/report"
	"clgrad/gpu"
	"clgrad/network"
	"clgrad/network/checkpoint"
	"clgrad/network/dataset"
	"clgrad/network/durable"
)

type predictCommand struct {
	Model         recipe.Path `arg:"" help:"A safetensors file, or the directory that train --out wrote: its model, or its newest checkpoint while the run is not finished."`
	Data          recipe.Path `required:"" placeholder:"DATA" help:"The rows: a data set as for train, of which the test set is taken where there is one. They need no labels."`
	Label         recipe.Path `placeholder:"COLUMN" help:"Column of a CSV file that has the labels; that of the training set if not given."`
	Out           recipe.Path `placeholder:"FILE" help:"Write to this file in place of standard output."`
	Probabilities bool        `help:"Also the probability of every class."`
	Kaggle        bool        `xor:"form" help:"ImageId,Label, as Kaggle's digit recogniser takes it."`
	Backend       backendName `default:"auto" help:"auto, cpu, cpu64, opencl, opencl:P.D or opencl:NAME."`
	JSON          bool        `name:"json" xor:"form" help:"One JSON object a row and line."`
}

// Run predicts the classes of rows.
func (c predictCommand) Run(a *app) (err error) {
	if c.Kaggle && c.Probabilities {
		return misused("--kaggle has no room for --probabilities: give one of them")
	}
	if err := c.checkOut(); err != nil {
		return err
	}
	m, err := loadModel(a, c.Model)
	if err != nil {
		return err
	}
	samples, err := loadRows(a, c.Data, c.Label, classNames(m.Classes, m.Sizes[len(m.Sizes)-1]), (*dataset.Columns)(m.Columns))
	if err != nil {
		return err
	}
	samples.Scaling = m.Scaling
	l, err := network.NewLayout(m.Sizes)
	if err != nil {
		return err
	}
	if samples.Features != l.Sizes[0] {
		return fmt.Errorf("%s: the model has %d inputs, %s has %d features", c.Model, l.Sizes[0], c.Data, samples.Features)
	}
	b, err := c.Backend.open(a, gpu.Options{})
	if err != nil {
		return err
	}
	defer closing(&err, b)
	plan, err := b.DefaultPlan(l.Sizes, samples)
	if err != nil {
		return err
	}
	if err := a.Err(); err != nil {
		return err
	}
	logits, err := logitsOn(b, l, m.Parameters, plan.BlockRows, samples)
	if err != nil {
		return err
	}
	p := predictions{samples.Labels, logits, l.Sizes[len(l.Sizes)-1], m.Classes}
	if err := checkLogits(string(c.Data), logits, p.classes, nil); err != nil {
		return err
	}
	write := func(w io.Writer) error {
		switch {
		case c.JSON:
			return p.writeLines(w, c.Probabilities)
		case c.Kaggle:
			return p.writeKaggle(w)
		}
		return p.writeTable(w, c.Probabilities)
	}
	if c.Out == "" {
		return write(a.out)
	}
	return replaceFile(string(c.Out), write)
}

// checkOut refuses to write over what is read, and over a file of a run.
func (c predictCommand) checkOut() error {
	out := string(c.Out)
	if out == "" {
		return nil
	}
	read := []string{string(c.Model), string(c.Data), filepath.Join(string(c.Model), checkpoint.FileName)}
	for _, dir := range []string{string(c.Data), filepath.Join(string(c.Model), checkpoint.Folder)} {
		files, _ := os.ReadDir(dir) // of no directory none
		for _, f := range files {
			read = append(read, filepath.Join(dir, f.Name()))
		}
	}
	if there, err := os.Stat(out); err == nil {
		for _, file := range read {
			if info, err := os.Stat(file); err == nil && os.SameFile(there, info) {
				return fmt.Errorf("--out %s: is read by this command: choose another file", out)
			}
		}
	}
	// What the name leads to, if it is there.
	path := out
	if real, err := filepath.EvalSymlinks(out); err == nil {
		path = real
	}
	for _, name := range runFiles {
		for _, run := range []string{filepath.Dir(path), filepath.Dir(filepath.Dir(path))} {
			_, err := os.Stat(filepath.Join(run, recipe.FileName))
			if first := strings.TrimPrefix(path, run+string(filepath.Separator)); err == nil && (first == name || strings.HasPrefix(first, name+string(filepath.Separator))) {
				return fmt.Errorf("--out %s: is a file of the run in %s: choose another file", out, run)
			}
		}
	}
	return nil
}

// loadModel reads the model of a file or of a run directory, and says so where that
// is a checkpoint.
func loadModel(a *app, path recipe.Path) (checkpoint.Model, error) {
	if info, err := os.Stat(string(path)); err != nil || !info.IsDir() {
		return checkpoint.Load(string(path))
	}
	m, file, damaged, err := checkpoint.LoadRun(string(path))
	for _, problem := range damaged {
		a.note("%s: it is passed over", oneLine(problem))
	}
	if err == nil && filepath.Base(file) != checkpoint.FileName {
		a.note("%s: the run is not finished: its checkpoint of iteration %d is taken", path, m.Run.Iterations)
	}
	return m, err
}

// loadRows returns rows that are to be predicted: the test set where there is
// one, otherwise all. Those of a CSV file have the classes and columns of the
// training set.
func loadRows(a *app, name, label recipe.Path, classes []string, columns *dataset.Columns) (network.Samples, error) {
	o := a.dataOptions()
	o.Label, o.Classes, o.Columns, o.Unlabelled = string(label), classes, columns, true
	set, err := dataset.Load(a, string(name), o)
	if err != nil {
		return network.Samples{}, err
	}
	a.noteColumns(columns, set)
	if set.Test.Rows > 0 {
		return set.Test, nil
	}
	return set.Train, nil
}

// noteColumns says so where the names of a CSV file's columns were not looked at.
func (a *app) noteColumns(known *dataset.Columns, set dataset.Set) {
	if set.Columns != nil && set.Columns.Names != nil && (known == nil || known.Names == nil) {
		a.note("%s: its columns are taken in their order: no names are known of those that the network was trained on", set.Name)
	}
}

// classNames returns the names of n classes as a table has them: those given, or
// their numbers.
func classNames(names []string, n int) []string {
	if names != nil {
		return names
	}
	for i := range n {
		names = append(names, strconv.Itoa(i))
	}
	return names
}

// logitsOn returns the logits of samples, computed on a backend in blocks of
// blockRows rows.
func logitsOn(b network.Backend, l network.Layout, theta []float64, blockRows int, samples network.Samples) (logits []float64, err error) {
	// Labels take no part, and may be of classes that the network does not have.
	samples.Labels = nil
	model, err := network.NewModel(b, l, theta, blockRows)
	if err != nil {
		return nil, err
	}
	defer closing(&err, model)
	return model.Logits(samples)
}

// predictions are a network's outputs for rows.
type predictions struct {
	actual  []int32   // labels, nil where they are unknown
	logits  []float64 // rows×classes
	classes int
	names   []string // of the classes, nil where they are 0, 1, 2, …
}

// name returns what a class is called.
func (p predictions) name(class int) string {
	if class < len(p.names) {
		return p.names[class]
	}
	return strconv.Itoa(class)
}

// each visits all rows, counted from 1.
func (p predictions) each(visit func(row, predicted int, probabilities []float64) error) error {
	probabilities := report.Softmax(p.logits, p.classes)
	for i, class := range report.Predicted(p.logits, p.classes) {
		if err := visit(i+1, class, probabilities[i*p.classes:(i+1)*p.classes]); err != nil {
			return err
		}
	}
	return nil
}

// writeTable writes row, predicted label, actual label where it is known, and
// the probabilities if asked for, as CSV with a header.
func (p predictions) writeTable(w io.Writer, withProbabilities bool) error {
	out := csv.NewWriter(w)
	header := []string{"row", "predicted"}
	if p.actual != nil {
		header = append(header, "actual")
	}
	if withProbabilities {
		for class := range p.classes {
			header = append(header, "p_"+p.name(class))
		}
	}
	out.Write(header)
	err := p.each(func(row, predicted int, probabilities []float64) error {
		record := []string{strconv.Itoa(row), p.name(predicted)}
		if p.actual != nil {
			record = append(record, p.name(int(p.actual[row-1])))
		}
		if withProbabilities {
			for _, v := range probabilities {
				record = append(record, strconv.FormatFloat(v, 'g', 6, 64))
			}
		}
		return out.Write(record)
	})
	if err != nil {
		return err
	}
	out.Flush()
	return out.Error()
}

// writeKaggle writes ImageId,Label.
func (p predictions) writeKaggle(w io.Writer) error {
	out := csv.NewWriter(w)
	out.Write([]string{"ImageId", "Label"})
	err := p.each(func(row, predicted int, _ []float64) error {
		return out.Write([]string{strconv.Itoa(row), p.name(predicted)})
	})
	if err != nil {
		return err
	}
	out.Flush()
	return out.Error()
}

// predictionLine is one row of --json.
type predictionLine struct {
	Row           int              `json:"row"`
	Predicted     string           `json:"predicted"`
	Actual        string           `json:"actual,omitempty"`
	Probabilities []network.Number `json:"probabilities,omitempty"`
}

// writeLines writes a JSON object for each row.
func (p predictions) writeLines(w io.Writer, withProbabilities bool) error {
	e := json.NewEncoder(w)
	return p.each(func(row, predicted int, probabilities []float64) error {
		line := predictionLine{Row: row, Predicted: p.name(predicted)}
		if p.actual != nil {
			line.Actual = p.name(int(p.actual[row-1]))
		}
		if withProbabilities {
			for _, v := range probabilities {
				line.Probabilities = append(line.Probabilities, network.Number(v))
			}
		}
		return e.Encode(line)
	})
}

// replaceFile writes a file whole or leaves it as it was.
func replaceFile(name string, write func(io.Writer) error) error {
	if info, err := os.Stat(name); err == nil && !info.Mode().IsRegular() {
		// A pipe or device is written to, not replaced.
		f, err := os.OpenFile(name, os.O_WRONLY, 0)
		if err != nil {
			return err
		}
		err = write(f)
		closing(&err, f)
		return err
	}
	return durable.Write(name, write)
}
