package main

import (
	"encoding/json"
	"fmt"
	"math"

	"clgrad/cmd/clgrad/recipe"
	"clgrad/gpu"
	"clgrad/network"
	"clgrad/network/checkpoint"
	"clgrad/network/dataset"
)

type evalCommand struct {
	Model   recipe.Path `arg:"" help:"A safetensors file, or the directory that train --out wrote."`
	Data    recipe.Path `placeholder:"DATA" help:"Data set: a name or a directory of IDX files; the one the model was trained on if not given."`
	Backend backendName `default:"auto" help:"auto, cpu, cpu64, opencl, opencl:P.D or opencl:NAME."`
	JSON    bool        `name:"json" help:"One JSON object."`
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
	TestLoss      network.Number `json:"test_loss"`
	TestAccuracy  network.Number `json:"test_accuracy"`
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
	var loss, accuracy, testLoss, testAccuracy float64
	for _, part := range []struct {
		samples        network.Samples
		loss, accuracy *float64
	}{{set.Train, &loss, &accuracy}, {set.Test, &testLoss, &testAccuracy}} {
		if err := a.Err(); err != nil {
			return err
		}
		if *part.loss, *part.accuracy, err = model.Score(part.samples); err != nil {
			return err
		}
	}
	if sum := loss + testLoss; math.IsNaN(sum) || math.IsInf(sum, 0) {
		return fmt.Errorf("%s: the loss is not finite: its parameters or its scaling do not fit the data", c.Model)
	}
	info := b.Info()
	e := evaluation{
		string(c.Model), set.Name, info.Backend, info.Device, l.Sizes, network.Number(loss), network.Number(accuracy),
		network.Number(testLoss), network.Number(testAccuracy),
	}
	if c.JSON {
		return json.NewEncoder(a.out).Encode(e)
	}
	fmt.Fprintf(a.out, "Training set: loss %.4f, accuracy %.2f %%\n", loss, 100*accuracy)
	_, err = fmt.Fprintf(a.out, "Test set: loss %.4f, accuracy %.2f %%\n", testLoss, 100*testAccuracy)
	return err
}

// load returns the data set with the model's own scaling.
func (c evalCommand) load(a *app, m checkpoint.Model) (dataset.Set, error) {
	name := string(c.Data)
	if name == "" {
		if m.Run == nil {
			return dataset.Set{}, fmt.Errorf("%s does not say what it was trained on: give --data", c.Model)
		}
		name = m.Run.Data
		if m.Run.Directory {
			return dataset.Set{}, fmt.Errorf("%s was trained on a directory named %s: give --data", c.Model, name)
		}
	}
	set, err := dataset.Load(a, name, a.dataOptions())
	if err != nil {
		return set, err
	}
	if m.Run != nil && m.Run.Digest != set.Digest {
		a.note("%s was trained on other data (%s) than %s", c.Model, m.Run.Data, name)
	}
	set.Train.Scaling, set.Test.Scaling = m.Scaling, m.Scaling
	return set, nil
}
