package classifier_test

import (
	"errors"
	"math"
	"path/filepath"
	"strings"
	"testing"

	"clgrad/cpu"
	"clgrad/network"
	"clgrad/network/classifier"
	"clgrad/network/dataset"
)

// circle returns so many points of the circle's set.
func circle(t *testing.T, n int) dataset.Set {
	t.Helper()
	set, err := dataset.FromRows(points(n))
	if err != nil {
		t.Fatal(err)
	}
	return set
}

// trained returns a small classifier that was trained.
func trained(t *testing.T, b network.Backend) *classifier.Classifier {
	t.Helper()
	c := classifier.New(b, classifier.Options{Hidden: []int{8}, Iterations: 20})
	if err := c.Fit(t.Context(), circle(t, 100)); err != nil {
		t.Fatal(err)
	}
	return c
}

// parameters returns those of a classifier.
func parameters(t *testing.T, c *classifier.Classifier) []float64 {
	t.Helper()
	m, err := c.Model()
	if err != nil {
		t.Fatal(err)
	}
	return m.Parameters
}

// An option that is wrong, or contradicts another, is one line with its name.
func TestWrongOptions(t *testing.T) {
	set := circle(t, 50)
	adam := network.NewRule(network.Adam)
	for want, o := range map[string]classifier.Options{
		"option Hidden: a layer of 0 units":                           {Hidden: []int{5, 0}},
		"option Hidden: network [2 2000000000 2000000000 2]":          {Hidden: []int{2e9, 2e9}},
		"option Rule: optimizer \"sgd\" is unknown":                   {Rule: network.Rule{Optimizer: "sgd"}},
		"option Rule: epsilon is 0: a number":                         {Rule: network.Rule{Optimizer: network.Adam}},
		"option WeightDecay: weight decay is -1":                      {WeightDecay: -1},
		"option LearningRate: -1: a positive number":                  {LearningRate: -1},
		"option LearningRate: NaN: a positive number":                 {LearningRate: math.NaN()},
		"option BatchSize: batches of 51 rows where the training set": {BatchSize: 51},
		"option BatchSize: -1: a number from 1":                       {BatchSize: -1},
		"option BatchSize: the optimizer lbfgs takes all rows":        {Rule: network.NewRule(network.LBFGS), BatchSize: 5},
		"option Schedule: the optimizer lbfgs":                        {Rule: network.NewRule(network.LBFGS), Schedule: network.Schedule{Warmup: 3}},
		"option Schedule: schedule \"linear\" is unknown":             {Schedule: network.Schedule{Shape: "linear"}},
		"option Schedule: 100 iterations by a cosine schedule of 50":  {Rule: adam, Schedule: network.Schedule{Shape: network.Cosine, Steps: 50}},
		"option Epochs: Iterations are given too":                     {Iterations: 5, Epochs: 5},
		"option Epochs: 1000000000 of 50 iterations each":             {Epochs: 1e9, BatchSize: 1},
		"option Iterations: -5: a number":                             {Iterations: -5},
		"option Validation: 1: a share from 0":                        {Validation: 1},
		"option Patience: it belongs to EarlyStopping":                {Patience: 5},
		"option Every: -1: a number":                                  {Every: -1},
		"option Preprocess: preprocessing \"min\" is unknown":         {Preprocess: "min"},
		"option Init: \"xavier\" is unknown":                          {Init: "xavier"},
	} {
		c := classifier.New(cpu.New[float32](), o)
		err := c.Fit(t.Context(), set)
		if err == nil || !strings.HasPrefix(err.Error(), "classifier: "+want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("error %v, want %s", err, want)
		}
	}
}

// A set that cannot be trained on, and rows that the network cannot have, are one line.
func TestWrongData(t *testing.T) {
	b := cpu.New[float32]()
	c := trained(t, b)
	set := circle(t, 50)
	unlabelled, one := set, set
	unlabelled.Train.Labels = nil
	one.Classes = 1
	fit := func(s dataset.Set) error { return c.Fit(t.Context(), s) }
	predict := func(rows ...[]float64) error { _, err := c.Predict(rows); return err }
	score := func(s network.Samples) error { _, _, err := c.Score(s); return err }
	for want, err := range map[string]error{
		"classifier: the training set: no samples":                                     fit(dataset.Set{}),
		"classifier: the training set of rows: the samples have no labels":             fit(unlabelled),
		"classifier: the training set of rows: it has 1 classes":                       fit(one),
		"classifier: predict: no samples":                                              predict(),
		"classifier: predict: rows of 3 features where the network has 2 inputs":       predict([]float64{1, 2, 3}),
		"classifier: predict: row 2 has 1 features where 2 are expected":               predict([]float64{1, 2}, []float64{1}),
		"classifier: predict: row 2, feature 1 is NaN":                                 predict([]float64{1, 2}, []float64{math.NaN(), 1}),
		"classifier: predict: row 1: the network's outputs are not finite":             predict([]float64{3e38, 3e38}),
		"classifier: score: the samples have no labels":                                score(unlabelled.Train),
		"classifier: score: no samples":                                                score(network.Samples{}),
		"classifier: score: rows of 1 features where":                                  score(network.Samples{Rows: 1, Features: 1, Floats: []float32{1}}),
		"classifier: score: row 2 has label 7: labels 0 to 1":                          score(network.Samples{Rows: 2, Features: 2, Floats: make([]float32, 4), Labels: []int32{0, 7}}),
		"classifier: score: row 1: the network's outputs are not finite, or too far a": score(network.Samples{Rows: 1, Features: 2, Floats: []float32{3e38, 3e38}, Labels: []int32{0}}),
	} {
		if err == nil || !strings.HasPrefix(err.Error(), want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("error %v, want %s", err, want)
		}
	}
	if err := predict([]float64{0, 0}); err != nil {
		t.Errorf("after these errors: %v", err)
	}
}

// Nothing can be predicted or saved before Fit, after Close, and without a backend.
func TestNotReady(t *testing.T) {
	b := cpu.New[float32]()
	rows := [][]float64{{0, 0}}
	uses := func(c *classifier.Classifier) map[string]error {
		_, predict := c.Predict(rows)
		_, probabilities := c.PredictProbabilities(rows)
		_, samples := c.PredictSamples(circle(t, 10).Train)
		_, _, score := c.Score(circle(t, 10).Train)
		return map[string]error{"Predict": predict, "PredictProbabilities": probabilities, "PredictSamples": samples, "Score": score}
	}
	c := classifier.New(b, classifier.Options{})
	for name, err := range uses(c) {
		if !errors.Is(err, classifier.ErrNotFitted) {
			t.Errorf("%s before Fit: %v", name, err)
		}
	}
	if _, err := c.Model(); !errors.Is(err, classifier.ErrNotFitted) {
		t.Errorf("Model before Fit: %v", err)
	}
	if err := c.Save(filepath.Join(t.TempDir(), "m")); !errors.Is(err, classifier.ErrNotFitted) {
		t.Errorf("Save before Fit: %v", err)
	}
	if c.Classes() != nil || c.Iterations() != 0 || c.String() != "classifier, not trained yet" {
		t.Errorf("before Fit: %v, %v, %v", c.Classes(), c.Iterations(), c)
	}

	c = trained(t, b)
	if err := errors.Join(c.Close(), c.Close()); err != nil {
		t.Error(err)
	}
	for name, err := range uses(c) {
		if !errors.Is(err, network.ErrClosed) {
			t.Errorf("%s after Close: %v", name, err)
		}
	}
	if err := c.Fit(t.Context(), circle(t, 10)); !errors.Is(err, network.ErrClosed) {
		t.Errorf("Fit after Close: %v", err)
	}

	if err := classifier.New(nil, classifier.Options{}).Fit(t.Context(), circle(t, 10)); err == nil || !strings.Contains(err.Error(), "there is no backend") {
		t.Errorf("without a backend: %v", err)
	}
	c = trained(t, b)
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	for name, err := range uses(c) {
		if !errors.Is(err, network.ErrClosed) {
			t.Errorf("%s after the backend's Close: %v", name, err)
		}
	}
}

// Everything that classifiers held on a backend is free after Close, and two can share it.
func TestClose(t *testing.T) {
	b := cpu.New[float32]()
	first, second := trained(t, b), trained(t, b)
	for range 3 {
		for _, c := range []*classifier.Classifier{first, second} {
			if _, err := c.Predict([][]float64{{0, 0}}); err != nil {
				t.Fatal(err)
			}
		}
	}
	if b.MemoryHeld() == 0 {
		t.Error("the backend holds nothing while classifiers are in use")
	}
	if err := first.Fit(t.Context(), circle(t, 20)); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(first.Close(), second.Close()); err != nil || b.MemoryHeld() != 0 {
		t.Errorf("%d bytes are held after Close, %v", b.MemoryHeld(), err)
	}
}
