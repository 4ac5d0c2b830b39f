package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"clgrad/cmd/clgrad/recipe"
	"clgrad/cmd/clgrad/text"
	"clgrad/network"
	"clgrad/network/checkpoint"
	"clgrad/network/dataset"
)

// modelFlags are the flags that say what is trained on what.
type modelFlags struct{ recipe.Setup }

// load returns the data set, scaled, and the layout of the network on it.
func (f modelFlags) load(a *app) (set dataset.Set, l network.Layout, err error) {
	if set, err = f.Setup.Load(a, a.dataOptions()); err != nil {
		return set, l, err
	}
	if set, err = f.Setup.Scale(set); err != nil {
		return set, l, err
	}
	if remark := set.ScalingRemark(f.Preprocess); remark != "" {
		a.note("%s", remark)
	}
	if l, err = f.Layout(set); err == nil {
		err = l.CheckMemory()
	}
	return set, l, err
}

// loadModel reads the model of a file or of a run directory, and says so where that
// is a checkpoint, or a file of another program.
func loadModel(a *app, path recipe.Path) (checkpoint.Model, error) {
	m, _, err := loadModelFile(a, path)
	return m, err
}

// loadModelFile is loadModel that also returns the file that was read.
func loadModelFile(a *app, path recipe.Path) (m checkpoint.Model, file string, err error) {
	file = string(path)
	if info, statErr := os.Stat(file); statErr != nil || !info.IsDir() {
		m, err = checkpoint.Load(file)
	} else {
		var damaged []error
		m, file, damaged, err = checkpoint.LoadRun(file)
		for _, problem := range damaged {
			a.note("%s: it is passed over", oneLine(problem))
		}
	}
	if err == nil {
		err = a.noteLayers(path, m)
	}
	if err == nil && file != string(path) && filepath.Base(file) != checkpoint.FileName {
		a.note("%s: the run is not finished: its checkpoint of iteration %d is taken", path, m.Run.Iterations)
	}
	return m, file, err
}

// A trainedSet is what of a training set decides how rows for its network are read.
type trainedSet struct {
	reading recipe.Reading
	classes []string
	columns *dataset.Columns
	shape   []int
	profile *dataset.Profile
}

// trainedOn returns what a model says of its training set.
func trainedOn(m checkpoint.Model) (t trainedSet, err error) {
	t = trainedSet{classes: classNames(m.Classes, m.Sizes[len(m.Sizes)-1]), columns: m.Columns, shape: m.Shape, profile: m.Profile}
	if m.Run == nil {
		return t, nil
	}
	trained, err := recipe.ParseSetup("its setup", m.Run.Setup)
	t.reading = trained.Reading
	return t, err
}

// options are those of data sets for such a network.
func (t trainedSet) options(a *app) dataset.Options {
	o := a.dataOptions()
	o.Trained, o.Classes, o.Columns = t.reading.Options(), t.classes, t.columns
	if t.shape != nil {
		o.Pictures = &dataset.Conversion{Shape: t.shape, Like: t.profile, Method: dataset.MethodFor(t.shape, t.profile)}
	}
	return o
}

// toPredict returns the rows of a set that are to be predicted: the test set where there is
// one, otherwise all.
func toPredict(set dataset.Set) network.Samples {
	if set.Test.Rows > 0 {
		return set.Test
	}
	return set.Train
}

// loadUnlabelled returns a set whose labels are not needed. Labels are those of the training
// set's classes, and a CSV file has its columns. Where reading leaves something out, rows are read
// as the training set was. whole says that every row of the file is needed.
func loadUnlabelled(a *app, name recipe.Path, reading recipe.Reading, t trainedSet, whole bool) (dataset.Set, error) {
	o := t.options(a)
	o.Reading, o.Unlabelled = reading.Options(), true
	set, err := dataset.Load(a, string(name), o)
	if err != nil {
		return dataset.Set{}, err
	}
	if set, err = set.FillGaps(); err != nil {
		return dataset.Set{}, err
	}
	if whole && set.LeftOut > 0 {
		return dataset.Set{}, fmt.Errorf("%s: %d of its rows are left out for a gap (--missing drop), and a submission to Kaggle has all rows: fill the gaps, or train with --missing mean", name, set.LeftOut)
	}
	a.noteColumns(t.columns, set)
	a.noteMisfit(string(name), t, toPredict(set))
	return set, nil
}

// loadPictures returns a row for each picture in files and folders, and the files.
// Only their size is changed where raw says so.
func loadPictures(a *app, names []string, flags recipe.Reading, raw bool, t trainedSet) (s network.Samples, files []string, err error) {
	o := t.options(a)
	o.Reading = flags.Options()
	c := dataset.Conversion{Shape: t.shape, Like: t.profile}
	switch {
	case len(c.Shape) < 2 && names[0] != dataset.StandardInput && isThere(names[0]) && !dataset.HoldsPictures(names[0]):
		return s, nil, fmt.Errorf("%s: is no picture: --data %s predicts the rows of a table", names[0], text.ShellWord(names[0]))
	case len(c.Shape) < 2 && t.columns != nil:
		return s, nil, fmt.Errorf("%s: the network was trained on the rows of a table: --data predicts such rows, and --shape, as in 28x28, says which images they are", names[0])
	case len(c.Shape) < 2:
		return s, nil, fmt.Errorf("%s: the model does not say which shape its images have: give --shape, as in 28x28", names[0])
	case o.Shape != nil && !slices.Equal(o.Shape, c.Shape):
		return s, nil, fmt.Errorf("--shape %s: the model's images are %s", sides(o.Shape), sides(c.Shape))
	}
	if !raw {
		c.Method = dataset.MethodFor(c.Shape, c.Like)
	}
	var pictures []dataset.Picture
	for _, name := range names {
		found, err := dataset.FindPictures(a, name, o)
		if err != nil {
			return s, nil, err
		}
		pictures = append(pictures, found...)
	}
	if s, err = dataset.ReadPictures(a, pictures, c, o); err != nil {
		return s, nil, err
	}
	for _, p := range pictures {
		files = append(files, p.Path)
	}
	t.shape = c.Shape
	a.noteMisfit(fmt.Sprintf("pictures (%s)", files[0]), t, s)
	return s, files, nil
}

// isThere reports whether there is a file or directory of that name.
func isThere(name string) bool {
	_, err := os.Stat(name)
	return err == nil
}

// sides writes a shape as the flag has it.
func sides(shape []int) string {
	return strings.ReplaceAll(strings.Trim(fmt.Sprint(shape), "[]"), " ", "x")
}

// noteMisfit says so where rows are not like those of the training set.
func (a *app) noteMisfit(name string, t trainedSet, s network.Samples) {
	if words := t.profile.Misfit(s, t.shape); words != "" {
		a.note("%s: %s", name, words)
	}
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
