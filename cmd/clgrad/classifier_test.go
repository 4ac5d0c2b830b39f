package main

import (
	"encoding/csv"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"clgrad/cmd/clgrad/recipe"
	"clgrad/cpu"
	"clgrad/gpu"
	"clgrad/network"
	"clgrad/network/checkpoint"
	"clgrad/network/classifier"
	"clgrad/network/dataset"
	"clgrad/network/must"
)

// Package classifier and the command train do the same: losses, parameters and what a model says of
// its training are equal to the bit, with any option.
func TestClassifierTrains(t *testing.T) {
	dir := images(t, 500, 100)
	set, err := dataset.Load(t.Context(), dir, dataset.Options{})
	must.OK(t, err)
	everywhere := backends(t)
	nesterov, adam := network.NewRule(network.Nesterov), network.NewRule(network.AdamW)
	nesterov.Momentum, adam.Beta1 = 0.8, 0.85
	for name, test := range map[string]struct {
		flags string
		classifier.Options
	}{
		"no options": {"", classifier.Options{}},
		"full batch": {"--layers 12,9 --iterations 23 --lr 0.3 --preprocess standard --init normal --seed 7",
			classifier.Options{Hidden: []int{12, 9}, Iterations: 23, LearningRate: 0.3, Preprocess: dataset.Standard, Init: network.Normal, Seed: 7}},
		"batches": {"--layers none --batch-size 64 --epochs 3 --optimizer nesterov --momentum 0.8 --schedule cosine --warmup 2 --weight-decay 1e-4",
			classifier.Options{Hidden: []int{}, BatchSize: 64, Epochs: 3, Rule: nesterov, WeightDecay: 1e-4, Schedule: network.Schedule{Shape: network.Cosine, Warmup: 2}}},
		"early stopping": {"--layers 12 --batch-size 100 --epochs 40 --optimizer adamw --beta1 0.85 --lr 0.01 --validation 0.2 --early-stopping --patience 3 --schedule step --step-size 9",
			classifier.Options{Hidden: []int{12}, BatchSize: 100, Epochs: 40, Rule: adam, LearningRate: 0.01, Validation: 0.2, EarlyStopping: true, Patience: 3, Schedule: network.Schedule{Shape: network.StepDown, StepSize: 9}}},
		"early stopping, at the end": {"--layers 12 --iterations 25 --log-every 7 --validation 0.1 --early-stopping",
			classifier.Options{Hidden: []int{12}, Iterations: 25, Every: 7, EarlyStopping: true}},
		"L-BFGS": {"--layers 5 --optimizer lbfgs --history-size 10 --weight-decay 0.1 --iterations 200",
			classifier.Options{Hidden: []int{5}, Rule: network.NewRule(network.LBFGS), WeightDecay: 0.1, Iterations: 200}},
	} {
		for _, backend := range everywhere {
			if backend != "cpu" && name != "batches" {
				continue
			}
			t.Run(backend+"/"+name, func(t *testing.T) { trainsAlike(t, dir, set, backend, strings.Fields(test.flags), test.Options) })
		}
	}
}

// trainsAlike compares the command train with package classifier on a backend.
func trainsAlike(t *testing.T, dir string, set dataset.Set, backend string, flags []string, o classifier.Options) {
	run := filepath.Join(t.TempDir(), "run")
	good(t, append([]string{"train", "--data", dir, "--backend", backend, "--out", run}, flags...)...)
	b, err := backendName(backend).open(&app{Context: t.Context(), err: t.Output()}, gpu.Options{})
	must.OK(t, err)
	defer b.Close()
	c := classifier.New(b, o)
	must.OK(t, c.Fit(t.Context(), set))
	// Bytes are predicted as the numbers that they are.
	var rows [][]float64
	for i := range set.Test.Rows {
		var row []float64
		for _, v := range set.Test.Row(i) {
			row = append(row, float64(v))
		}
		rows = append(rows, row)
	}
	numbers, err := c.Predict(rows)
	must.OK(t, err)
	if d := cmp.Diff(predictedNames(t, c, set.Test), numbers); d != "" {
		t.Errorf("predictions of rows (−bytes +numbers):\n%s", d)
	}
	records, err := csv.NewReader(strings.NewReader(must.Read(t, run, iterationsTable))).ReadAll()
	must.OK(t, err)
	column := slices.Index(records[0], "loss")
	var losses []float64
	for _, r := range records[1:] {
		v, err := strconv.ParseFloat(r[column], 64)
		must.OK(t, err)
		losses = append(losses, v)
	}
	if d := cmp.Diff(losses, c.Losses()); d != "" {
		t.Errorf("losses (−train +classifier):\n%s", d)
	}
	want, err := checkpoint.Load(run)
	must.OK(t, err)
	file := filepath.Join(t.TempDir(), "model.safetensors")
	must.OK(t, c.Save(file))
	got, err := checkpoint.Load(file)
	must.OK(t, err)
	// The words of the setup are compared as they are read: a recipe has more defaults.
	trained, err := recipe.ParseSetup("train", want.Run.Setup)
	must.OK(t, err)
	fitted, err := recipe.ParseSetup("classifier", got.Run.Setup)
	must.OK(t, err)
	trained.Precision = ""
	if d := cmp.Diff(trained, fitted); d != "" {
		t.Errorf("setup (−train +classifier):\n%s", d)
	}
	want.Run.Setup, got.Run.Setup = nil, nil
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("model (−train +classifier):\n%s", d)
	}
}

// predictedNames returns the names of the classes that a classifier predicts.
func predictedNames(t *testing.T, c *classifier.Classifier, s network.Samples) (names []string) {
	t.Helper()
	classes, err := c.PredictSamples(s)
	must.OK(t, err)
	for _, class := range classes {
		names = append(names, c.Classes()[class])
	}
	return names
}

// Files of either are read by the other: the commands predict, eval and export read what Save
// wrote, and Load what train wrote, with equal predictions.
func TestClassifierFiles(t *testing.T) {
	dir := images(t, 500, 100)
	set, err := dataset.Load(t.Context(), dir, dataset.Options{})
	must.OK(t, err)
	b := cpu.New[float32]()
	c := classifier.New(b, classifier.Options{Hidden: []int{12}, BatchSize: 50, Epochs: 5, Validation: 0.2})
	must.OK(t, c.Fit(t.Context(), set))
	file := filepath.Join(t.TempDir(), "model.safetensors")
	must.OK(t, c.Save(file))
	// predicted returns the column of that name.
	predicted := func(model string) (labels []string) {
		records, err := csv.NewReader(strings.NewReader(good(t, "predict", model, "--data", dir, "--backend", "cpu"))).ReadAll()
		must.OK(t, err)
		for _, r := range records[1:] {
			labels = append(labels, r[slices.Index(records[0], "predicted")])
		}
		return labels
	}
	if d := cmp.Diff(predictedNames(t, c, set.Test), predicted(file)); d != "" {
		t.Errorf("predict of a saved model (−classifier +predict):\n%s", d)
	}
	// eval finds the rows that were held back.
	split, err := set.Split(0.2, 1)
	must.OK(t, err)
	_, test, err := c.Score(set.Test)
	must.OK(t, err)
	_, validation, err := c.Score(split.Validation)
	must.OK(t, err)
	out := good(t, "eval", file, "--data", dir, "--backend", "cpu", "--json")
	for _, want := range []string{
		`"validation_accuracy":` + strconv.FormatFloat(validation, 'g', -1, 64), `"test_accuracy":` + strconv.FormatFloat(test, 'g', -1, 64),
	} {
		if !strings.Contains(out, want) {
			t.Errorf("eval: %s, want %s", out, want)
		}
	}
	for _, format := range []string{"onnx", "npz"} {
		good(t, "export", file, "--format", format, "--out", filepath.Join(t.TempDir(), "m."+format))
	}

	run := filepath.Join(t.TempDir(), "run")
	good(t, "train", "--data", dir, "--layers", "12", "--backend", "cpu", "--out", run)
	for _, path := range []string{run, filepath.Join(run, checkpoint.FileName)} {
		loaded, err := classifier.Load(path, b)
		must.OK(t, err)
		if d := cmp.Diff(predicted(run), predictedNames(t, loaded, set.Test)); d != "" {
			t.Errorf("a loaded run (−predict +classifier):\n%s", d)
		}
	}
	// A training starts from such a file, too.
	good(t, "train", "--data", dir, "--layers", "12", "--from", file, "--iterations", "2", "--backend", "cpu")
}
