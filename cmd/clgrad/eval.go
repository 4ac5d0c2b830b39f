package main

import (
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"

	"clgrad/cmd/clgrad/recipe"
	"clgrad/gpu"
	"clgrad/network"
	"clgrad/network/checkpoint"
	"clgrad/network/dataset"
)

type evalCommand struct {
	Model   recipe.Path `arg:"" help:"A safetensors file, or the directory that train --out wrote."`
	Data    recipe.Path `placeholder:"DATA" help:"Data set as for train; the one the model was trained on if not given."`
	Label   string      `placeholder:"COLUMN" help:"Column of a CSV file that has the labels; the one named label if not given."`
	Test    recipe.Path `placeholder:"FILE" help:"CSV file of the test set."`
	Backend backendName `default:"auto" help:"auto, cpu, cpu64, opencl, opencl:P.D or opencl:NAME."`
	JSON    bool        `name:"json" help:"One JSON object."`
}

// evaluation is the output of --json.
type evaluation struct {
	Model         string          `json:"model"`
	Data          string          `json:"data"`
	Backend       string          `json:"backend"`
	Device        string          `json:"device"`
	Layers        []int           `json:"layers"`
	Loss          network.Number  `json:"loss"`
	TrainAccuracy network.Number  `json:"train_accuracy"`
	TestLoss      *network.Number `json:"test_loss"` // null without a test set
	TestAccuracy  *network.Number `json:"test_accuracy"`
}

// Run loads a model and scores it on a training and a test set.
func (c evalCommand) Run(a *app) (err error) {
	m, err := checkpoint.Load(string(c.Model))
	if err != nil {
		return err
	}
	set, err := c.load(a, m)
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
	b, err := c.Backend.open(a, gpu.Options{})
	if err != nil {
		return err
	}
	defer closing(&err, b)
	plan, err := b.DefaultPlan(l.Sizes, set.Train)
	if err != nil {
		return err
	}
	model, err := network.NewModel(b, l, m.Parameters, plan.BlockRows)
	if err != nil {
		return err
	}
	defer closing(&err, model)
	if err := a.Err(); err != nil {
		return err
	}
	loss, accuracy, err := model.Score(set.Train)
	if err != nil {
		return err
	}
	info := b.Info()
	e := evaluation{
		Model: string(c.Model), Data: set.Name, Backend: info.Backend, Device: info.Device, Layers: l.Sizes,
		Loss: network.Number(loss), TrainAccuracy: network.Number(accuracy),
	}
	if set.Test.Rows > 0 {
		if err := a.Err(); err != nil {
			return err
		}
		testLoss, testAccuracy, err := model.Score(set.Test)
		if err != nil {
			return err
		}
		e.TestLoss, e.TestAccuracy = number(testLoss), number(testAccuracy)
		loss += testLoss
	}
	if math.IsNaN(loss) || math.IsInf(loss, 0) {
		return fmt.Errorf("%s: the loss is not finite: its parameters or its scaling do not fit the data", c.Model)
	}
	if c.JSON {
		return json.NewEncoder(a.out).Encode(e)
	}
	showPart(a, "Training set", &e.Loss, &e.TrainAccuracy)
	showPart(a, "Test set", e.TestLoss, e.TestAccuracy)
	return nil
}

// load returns the data set with the model's own scaling: that of --data, or the
// one that the configuration in the model's directory or the model itself names.
func (c evalCommand) load(a *app, m checkpoint.Model) (dataset.Set, error) {
	flags := modelFlags{recipe.Setup{Data: c.Data, Label: c.Label, Test: c.Test}}
	config := filepath.Join(string(c.Model), recipe.FileName)
	_, err := os.Stat(config)
	switch {
	case c.Data != "":
	case err == nil:
		r, err := recipe.Load(config)
		if err != nil {
			return dataset.Set{}, err
		}
		flags.Setup = r.Setup
	case m.Run == nil:
		return dataset.Set{}, fmt.Errorf("%s does not say what it was trained on: give --data", c.Model)
	case m.Run.Directory:
		return dataset.Set{}, fmt.Errorf("%s was trained on a file or directory named %s: give --data", c.Model, m.Run.Data)
	default:
		flags.Data = recipe.Path(m.Run.Data)
	}
	set, err := flags.raw(a, m.Classes)
	if err != nil {
		return set, err
	}
	if m.Run != nil && m.Run.Digest != set.Digest {
		a.note("%s was trained on other data (%s) than %s", c.Model, m.Run.Data, flags.Data)
	}
	return set.Scale(m.Scaling), nil
}
