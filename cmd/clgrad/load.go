package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"

	"clgrad/cmd/clgrad/recipe"
	"clgrad/cpu"
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
	if set, err = set.Preprocess(f.Preprocess); err != nil {
		return set, l, err
	}
	if remark := set.ScalingRemark(f.Preprocess); remark != "" {
		a.note("%s", remark)
	}
	if l, err = f.Layout(set); err == nil {
		err = roomForNetwork(l)
	}
	return set, l, err
}

// roomForNetwork reports a network whose parameters this machine has no memory for: Go
// would end the process. They are held in float64 once as they are made, and once as
// they are read.
func roomForNetwork(l network.Layout) error {
	need, memory := 2*8*float64(l.Len), float64(cpu.New[float32]().Info().Memory)
	if memory > 0 && need > memory {
		return fmt.Errorf("network %v: needs %.1f GB of memory at least, this machine has %.1f GB", l.Sizes, need/1e9, memory/1e9)
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
func loadRows(a *app, name recipe.Path, reading recipe.Reading, classes []string, columns *dataset.Columns) (network.Samples, error) {
	o := a.dataOptions()
	o.Reading, o.Classes, o.Columns, o.Unlabelled = reading.Options(), classes, columns, true
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

// readingOf returns how files are read for a model: as flags say, and where they leave
// something out, as those of its training were.
func readingOf(flags recipe.Reading, m checkpoint.Model) (recipe.Reading, error) {
	if m.Run == nil {
		return flags, nil
	}
	trained, err := recipe.ParseSetup("its setup", m.Run.Setup)
	return flags.Over(trained.Reading.WithoutColumns()), err
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
