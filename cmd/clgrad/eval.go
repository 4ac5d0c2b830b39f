package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"clgrad/cmd/clgrad/recipe"
	"clgrad/cmd/clgrad/score"
	"clgrad/gpu"
	"clgrad/network"
	"clgrad/network/checkpoint"
	"clgrad/network/dataset"
)

type evalCommand struct {
	Model          recipe.Path `arg:"" help:"A safetensors file, or the directory of a run (train --out): its model, or its newest checkpoint if the run is not finished."`
	Data           recipe.Path `placeholder:"DATA" help:"Data set, as for train. Default: the one that the model was trained on."`
	recipe.Reading `set:"as_trained=as given in training, otherwise "`
	scalingFlags
	Test    recipe.Path `placeholder:"FILE" help:"CSV file with the test set."`
	Backend backendName `default:"auto" help:"auto, cpu, cpu64, opencl, opencl:P.D or opencl:NAME, as for train."`
	JSON    bool        `name:"json" help:"Print one JSON object."`
}

// evaluation is the output of --json.
type evaluation struct {
	Model         string         `json:"model"`
	Data          string         `json:"data"`
	Backend       string         `json:"backend"`
	Device        string         `json:"device"`
	Layers        []int          `json:"layers"`
	Loss          network.Number `json:"loss"`
	TrainAccuracy network.Number `json:"train_accuracy"`
	score.HeldOut
}

// Run loads a model and scores it on a training, validation and test set.
func (c evalCommand) Run(a *app) (err error) {
	if err := c.scalingFlags.check(); err != nil {
		return err
	}
	m, err := loadModel(a, c.Model)
	if err != nil {
		return err
	}
	set, shifts, err := c.load(a, m)
	if err != nil {
		return err
	}
	l, err := network.NewLayout(m.Sizes)
	if err != nil {
		return err
	}
	if classes := l.Sizes[len(l.Sizes)-1]; set.Train.Features != l.Sizes[0] || set.Classes > classes {
		return fmt.Errorf("%s: the model has %d inputs and %d classes, the data set %s has %d features and %d classes",
			c.Model, l.Sizes[0], classes, set.Name, set.Train.Features, set.Classes)
	}
	b, plan, err := c.Backend.propose(a, gpu.Options{}, l.Sizes, set.Train)
	if err != nil {
		return err
	}
	defer closing(&err, b)
	model, err := network.NewModel(b, l, m.Parameters, plan)
	if err != nil {
		return err
	}
	defer closing(&err, model)
	if err := a.Err(); err != nil {
		return err
	}
	scoreSet := func(name string, samples network.Samples) (loss, accuracy float64, err error) {
		if loss, accuracy, err = model.Score(samples); err == nil {
			err = network.CheckLoss(name, loss, func() ([]float64, error) { return model.Logits(samples) }, l.Sizes[len(l.Sizes)-1], samples.Labels)
		}
		if err != nil {
			err = fmt.Errorf("%s: %w", c.Model, err)
		}
		return loss, accuracy, err
	}
	name := "Training set"
	switch {
	case m.Run == nil || m.Run.Digest != set.Digest:
		if name = set.Name; set.Test.Rows > 0 {
			name += ", training set"
		}
	case shifts > 0:
		name += " without shifted copies"
	}
	loss, accuracy, err := scoreSet(name, set.Train)
	if err != nil {
		return err
	}
	others, err := score.OfHeldOut(a, set, scoreSet)
	if err != nil {
		return err
	}
	info := b.Info()
	e := evaluation{
		string(c.Model), set.Name, info.Backend, info.Device, l.Sizes, network.Number(loss), network.Number(accuracy), others,
	}
	if c.JSON {
		return json.NewEncoder(a.out).Encode(e)
	}
	if _, err := fmt.Fprintf(a.out, "%s: loss %.4f, accuracy %.2f %%\n", name, loss, 100*accuracy); err != nil {
		return err
	}
	return others.Show(a.out)
}

// load returns the data set with the model's own classes and scaling: that of
// --data, or the one that the configuration in the model's directory or the model
// itself names. Where it is the set of its training, so are its parts. Its
// training set is without the shifted copies that the model may have been trained on;
// shifts says how far those are moved.
func (c evalCommand) load(a *app, m checkpoint.Model) (set dataset.Set, shifts recipe.CountOrNone, err error) {
	if c.Data == "" && (c.Reading != recipe.Reading{} || c.Test != "") {
		return set, 0, misused("--test and the flags that say how files are read belong to --data: give that too")
	}
	setup := recipe.Setup{Reading: c.Reading, Data: c.Data, Test: c.Test}
	var trained recipe.Setup
	if m.Run != nil {
		if trained, err = recipe.ParseSetup(string(c.Model)+": its setup", m.Run.Setup); err != nil {
			return set, 0, err
		}
	}
	config := filepath.Join(string(c.Model), recipe.FileName)
	_, err = os.Stat(config)
	switch {
	case c.Data != "":
	case err == nil:
		r, err := recipe.Load(config)
		if err != nil {
			return set, 0, err
		}
		setup = r.Setup
		setup.Shifts = 0 // copies say little more of a model
		if dataset.Once(string(setup.Data)) {
			return set, 0, fmt.Errorf("%s was trained on %s, of which no copy is kept: give --data", c.Model, dataset.InputName(string(setup.Data)))
		}
	case m.Run == nil:
		return set, 0, fmt.Errorf("%s does not say what it was trained on: give --data", c.Model)
	case m.Run.Directory && m.Run.Data == dataset.InputName(dataset.StandardInput):
		return set, 0, fmt.Errorf("%s was trained on standard input, of which no copy is kept: give --data", c.Model)
	case m.Run.Directory:
		return set, 0, fmt.Errorf("%s was trained on a file or directory named %s: give --data", c.Model, m.Run.Data)
	default:
		setup.Data, setup.Divide, setup.Samples, setup.Seed = recipe.Path(m.Run.Data), trained.Divide, trained.Samples, trained.Seed
	}
	of, err := trainedOn(m)
	if err != nil {
		return set, 0, fmt.Errorf("%s: %w", c.Model, err)
	}
	o := of.options(a)
	if set, err = setup.Load(a, o); err != nil {
		return set, 0, err
	}
	a.noteColumns(m.Columns, set)
	if m.Classes != nil && set.ClassNames != nil && !slices.Equal(m.Classes, set.ClassNames) {
		return set, 0, fmt.Errorf("%s: the model's classes are %.200q, those of the data set %s are %.200q", c.Model, m.Classes, set.Name, set.ClassNames)
	}
	switch {
	case m.Run == nil:
	case m.Run.Digest != set.Digest:
		a.note("%s was trained on other data (%s) than %s", c.Model, m.Run.Data, setup.Data)
		a.noteMisfit(set.Name, of, set.Train)
		a.noteMisfit("test set of "+set.Name, of, set.Test)
	case c.Data != "": // whole
		parts := trained
		parts.Shifts = 0
		if set, err = parts.Parts(set); err != nil {
			return set, 0, err
		}
	case trained.Validation > 0 && set.Validation.Rows == 0:
		if set, err = set.Split(float64(trained.Validation), trained.Seed); err != nil {
			return set, 0, err
		}
	}
	if set.Train.Features != m.Sizes[0] {
		return set, trained.Shifts, nil // which the caller reports
	}
	scaling, err := c.scalingFlags.of(a, c.Model, m, set.Name, set.Train, set.Shape)
	return set.Scale(scaling), trained.Shifts, err
}
