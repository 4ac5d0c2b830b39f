package classifier

import (
	"encoding/json"
	"fmt"

	"clgrad/network"
	"clgrad/network/checkpoint"
)

// Save writes the network, its scaling and the names of its classes as a safetensors file, which
// [Load] reads, as do PyTorch and the commands clgrad predict, eval and export (see
// package checkpoint). A file of that name is replaced once the new one is whole.
func (c *Classifier) Save(path string) error {
	if c.learned == nil {
		return fmt.Errorf("classifier: save: %w", ErrNotFitted)
	}
	return checkpoint.Save(path, *c.learned)
}

// Load returns the classifier of a file that [Classifier.Save] or clgrad train wrote, or of a run's
// directory, to predict on a backend, which stays the caller's. A file of another program, such as
// PyTorch, has no scaling: rows are then taken as they are. Fit of such a classifier trains
// a new network with the default options.
func Load(path string, b network.Backend) (*Classifier, error) {
	m, err := checkpoint.Load(path)
	if err != nil {
		return nil, err
	}
	if n := m.Sizes[len(m.Sizes)-1]; n < 2 {
		return nil, fmt.Errorf("%s: the network %v has 1 output: one for each of 2 or more classes is expected", path, m.Sizes)
	}
	c := New(b, Options{})
	c.learned = &m
	return c, nil
}

// setup returns what a model file says of its training, in the words of the recipes of clgrad:
// clgrad eval finds the rows that were held back by it. The options are complete, not settled.
func (o Options) setup() (json.RawMessage, error) {
	words := map[string]any{"layers": o.Hidden, "init": o.Init, "seed": o.Seed, "lr": o.LearningRate, "optimizer": o.Rule.Optimizer}
	switch r := o.Rule; r.Optimizer {
	case network.Momentum, network.Nesterov:
		words["momentum"] = r.Momentum
	case network.Adam, network.AdamW:
		words["beta1"], words["beta2"], words["epsilon"] = r.Beta1, r.Beta2, r.Epsilon
	case network.LBFGS:
		words["history_size"] = r.HistorySize
	}
	for key, value := range map[string]int{
		"batch_size": o.BatchSize, "schedule_steps": o.Schedule.Steps, "step_size": o.Schedule.StepSize, "warmup": o.Schedule.Warmup, "patience": o.Patience,
	} {
		if value > 0 {
			words[key] = value
		}
	}
	for key, value := range map[string]float64{"validation": o.Validation, "weight_decay": o.Rule.WeightDecay, "gamma": o.Schedule.Gamma} {
		if value > 0 {
			words[key] = value
		}
	}
	if o.Preprocess != "" {
		words["preprocess"] = o.Preprocess
	}
	if o.Schedule.Shape != "" {
		words["schedule"] = o.Schedule.Shape
	}
	if o.EarlyStopping {
		words["early_stopping"] = true
	}
	return json.Marshal(words)
}
