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
	Model          recipe.Path `arg:"" help:"A safetensors file, or the directory of a run (train --out): its model, or its newest checkpoint if the run is not finished."`
	Pictures       []string    `arg:"" optional:"" sep:"none" name:"picture" help:"PNG or JPEG files of any size, folders of them, or - for one on standard input."`
	Data           recipe.Path `placeholder:"DATA" help:"Data set to predict instead of pictures, as for train, or - for standard input. If it has a test set, only that is predicted. Labels are not needed."`
	recipe.Reading `set:"as_trained=as given in training, otherwise "`
	scalingFlags
	Raw           bool         `help:"Only resize pictures to the size of the model's images. Without it they are converted as the training images were (see clgrad predict --help)."`
	Show          bool         `help:"Draw on standard error what the network sees of each row."`
	Out           recipe.Path  `placeholder:"FILE" help:"Write to this file instead of standard output."`
	Probabilities bool         `help:"Also write the probability of every class."`
	Top           recipe.Count `placeholder:"K" help:"Also write the K most probable classes and their probabilities."`
	Kaggle        bool         `xor:"form" help:"Write ImageId,Label, as Kaggle's digit recogniser expects it."`
	Backend       backendName  `default:"auto" help:"auto, cpu, cpu64, opencl, opencl:P.D or opencl:NAME, as for train."`
	JSON          bool         `name:"json" xor:"form" help:"Write JSON, one object a row and line."`
}

// Help is shown by clgrad predict --help.
func (predictCommand) Help() string {
	return "Pictures may be dark on light or light on dark, grey or colour. For a model of MNIST's digits, or of others like them, they are converted as MNIST was made: " +
		"what is drawn is cut out, brought to 20×20 pixels at most, and placed in 28×28 by its centre of mass. For a model that was trained on a folder of pictures they are resized, as those were. " +
		"For a model of other grey images they are resized, and dark and light exchanged where the border asks for it.\n\n" +
		"Of a folder that has train and test, test is taken, otherwise all pictures in it. Folders with the names of classes say what is right.\n\n" +
		"Examples:\n\n  clgrad predict run1 seven.png\n  clgrad predict run1 scans/ --top 3 --show\n  clgrad predict run1 - --json < seven.jpg\n  clgrad predict run1 --data test.csv --probabilities"
}

// Run predicts the classes of rows.
func (c predictCommand) Run(a *app) (err error) {
	switch {
	case c.Out == dataset.StandardInput:
		return misused("--out: the name of a file is expected (default: standard output)")
	case c.Kaggle && (c.Probabilities || c.Top > 0):
		return misused("--kaggle has no columns for --probabilities or --top: give one of them")
	case c.Data == "" && len(c.Pictures) == 0:
		return misused("nothing to predict: give pictures, or --data")
	case c.Data != "" && len(c.Pictures) > 0:
		return misused("--data and pictures are given: one of them is expected")
	}
	if err := c.scalingFlags.check(); err != nil {
		return err
	}
	if c.Data != "" && dataset.HoldsPictures(string(c.Data)) {
		c.Pictures = []string{string(c.Data)}
	}
	if c.Raw && len(c.Pictures) == 0 {
		return misused("--raw: it belongs to pictures, and %s has none", c.Data)
	}
	if err := checkOut(c.Out, c.Model, c.Data, nil); err != nil {
		return err
	}
	m, err := loadModel(a, c.Model)
	if err != nil {
		return err
	}
	classes := m.Sizes[len(m.Sizes)-1]
	if int(c.Top) > classes {
		return fmt.Errorf("--top %d: the model has %d classes", c.Top, classes)
	}
	rows, err := c.rows(a, m)
	if err != nil {
		return err
	}
	if err := checkOut(c.Out, c.Model, c.Data, rows.files); err != nil {
		return err
	}
	samples := rows.Samples
	l, err := network.NewLayout(m.Sizes)
	if err != nil {
		return err
	}
	if samples.Features != l.Sizes[0] {
		return fmt.Errorf("%s: the model has %d inputs, %s has %d features", c.Model, l.Sizes[0], c.source(), samples.Features)
	}
	if samples.Scaling, err = c.scalingFlags.of(a, c.Model, m, c.source(), rows.train, rows.shape); err != nil {
		return err
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
	p := score.Predictions{Actual: samples.Labels, Logits: logits, Classes: classes, Names: m.Classes, Files: rows.files, Top: int(c.Top), All: c.Probabilities}
	if err := network.CheckLogits(c.source(), logits, p.Classes, nil); err != nil {
		return err
	}
	if c.Show {
		if err := p.Draw(a.err, samples, rows.shape, a.errWidth()); err != nil {
			return fmt.Errorf("--show: %w", err)
		}
	}
	write := func(w io.Writer) error {
		switch {
		case c.JSON:
			return p.WriteLines(w)
		case c.Kaggle:
			return p.WriteKaggle(w)
		}
		return p.WriteTable(w)
	}
	if c.Out == "" {
		return write(a.out)
	}
	return replaceFile(string(c.Out), write)
}

// source returns the name of what is predicted.
func (c predictCommand) source() string {
	if len(c.Pictures) > 0 {
		return c.Pictures[0]
	}
	return string(c.Data)
}

// A rowSet is what is predicted.
type rowSet struct {
	network.Samples
	train network.Samples // what a scaling is fitted to
	files []string        // where the rows are pictures
	shape []int           // of a row, nil where it is unknown
}

// rows returns what is predicted.
func (c predictCommand) rows(a *app, m checkpoint.Model) (r rowSet, err error) {
	of, err := trainedOn(m)
	if err != nil {
		return r, fmt.Errorf("%s: %w", c.Model, err)
	}
	if shape := c.Reading.Options().Shape; shape != nil && len(of.shape) < 2 { // of rows that may be images
		of.shape = shape
	}
	r.shape = of.shape
	if len(c.Pictures) > 0 {
		r.Samples, r.files, err = loadPictures(a, c.Pictures, c.Reading, c.Raw, of)
		r.train = r.Samples
		return r, err
	}
	set, err := loadUnlabelled(a, c.Data, c.Reading, of, c.Kaggle)
	r.Samples, r.train = toPredict(set), set.Train
	if r.shape == nil {
		r.shape = set.Shape
	}
	return r, err
}

// checkOut refuses to write over what is read, a model, other data and files, and over a
// file of a run.
func checkOut(name, model, data recipe.Path, files []string) error {
	out := string(name)
	if out == "" {
		return nil
	}
	read := append([]string{string(model), string(data), filepath.Join(string(model), checkpoint.FileName)}, files...)
	for _, dir := range []string{string(data), filepath.Join(string(model), checkpoint.Folder)} {
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
