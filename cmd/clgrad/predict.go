package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"clgrad/cmd/clgrad/recipe"
	"clgrad/cmd/clgrad/run"
	"clgrad/cmd/clgrad/score"
	"clgrad/gpu"
	"clgrad/network"
	"clgrad/network/checkpoint"
	"clgrad/network/dataset"
	"clgrad/network/durable"
)

type predictCommand struct {
	Model recipe.Path `arg:"" help:"A safetensors file, or the directory of a run (train --out): its model, or its newest checkpoint if the run is not finished."`
	Data  recipe.Path `required:"" placeholder:"DATA" help:"Rows to predict: a data set, as for train, or - for standard input. If it has a test set, that is taken. Labels are not needed."`
	recipe.Reading
	Out           recipe.Path `placeholder:"FILE" help:"Write to this file instead of standard output."`
	Probabilities bool        `help:"Also write the probability of every class."`
	Kaggle        bool        `xor:"form" help:"Write ImageId,Label, as Kaggle's digit recogniser takes it."`
	Backend       backendName `default:"auto" help:"auto, cpu, cpu64, opencl, opencl:P.D or opencl:NAME, as for train."`
	JSON          bool        `name:"json" xor:"form" help:"Write JSON, one object a row and line."`
}

// Run predicts the classes of rows.
func (c predictCommand) Run(a *app) (err error) {
	if c.Out == dataset.StandardInput {
		return misused("--out: the name of a file is expected: without it standard output is written to")
	}
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
	reading, err := readingOf(c.Reading, m)
	if err != nil {
		return fmt.Errorf("%s: %w", c.Model, err)
	}
	samples, err := loadRows(a, c.Data, reading, classNames(m.Classes, m.Sizes[len(m.Sizes)-1]), m.Columns)
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
	b, plan, err := c.Backend.propose(a, gpu.Options{}, l.Sizes, samples)
	if err != nil {
		return err
	}
	defer closing(&err, b)
	if err := a.Err(); err != nil {
		return err
	}
	model, err := network.NewModel(b, l, m.Parameters, plan)
	if err != nil {
		return err
	}
	defer closing(&err, model)
	logits, err := model.Logits(samples)
	if err != nil {
		return err
	}
	p := score.Predictions{Actual: samples.Labels, Logits: logits, Classes: l.Sizes[len(l.Sizes)-1], Names: m.Classes}
	if err := score.CheckLogits(string(c.Data), logits, p.Classes, nil); err != nil {
		return err
	}
	write := func(w io.Writer) error {
		switch {
		case c.JSON:
			return p.WriteLines(w, c.Probabilities)
		case c.Kaggle:
			return p.WriteKaggle(w)
		}
		return p.WriteTable(w, c.Probabilities)
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
	for _, name := range run.Files {
		for _, dir := range []string{filepath.Dir(path), filepath.Dir(filepath.Dir(path))} {
			_, err := os.Stat(filepath.Join(dir, recipe.FileName))
			if first := strings.TrimPrefix(path, dir+string(filepath.Separator)); err == nil && (first == name || strings.HasPrefix(first, name+string(filepath.Separator))) {
				return fmt.Errorf("--out %s: is a file of the run in %s: choose another file", out, dir)
			}
		}
	}
	return nil
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
