package main

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"clgrad/cmd/clgrad/bench"
	"clgrad/network/checkpoint"
	"clgrad/network/must"
)

// A table with text labels is learned, its classes are saved with the model, and
// eval finds what train found, in a file of other columns' order too.
func TestTrainTable(t *testing.T) {
	train, test, run := write(t, "flowers.csv", flowers(1, 50)), write(t, "test.csv", flowers(2, 20)), t.TempDir()
	args := []string{"--data", train, "--label", "species", "--test", test, "--backend", "cpu", "--json"}
	_, s := lines(t, good(t, append([]string{"train", "--validation", "0.2", "--layers", "8", "--init", "he", "--lr", "0.3",
		"--preprocess", "feature", "--iterations", "200", "--log-every", "200", "--out", run}, args...)...))
	if s.TrainAccuracy < 0.95 || s.ValidationAccuracy < 0.95 || s.TestAccuracy < 0.95 || s.ValidationLoss == 0 ||
		s.TestLoss == 0 || fmt.Sprint(s.Layers) != "[4 8 3]" {
		t.Errorf("%+v", s)
	}
	m, err := checkpoint.Load(run)
	must.OK(t, err)
	if got := strings.Join(m.Classes, " "); got != "setosa versicolor virginica" || m.Run.Data != "flowers.csv" || !m.Run.Directory || !strings.Contains(string(m.Run.Setup), `"validation":0.2,`) {
		t.Errorf("model of classes %s, %+v", got, m.Run)
	}
	var e evaluation
	must.OK(t, json.Unmarshal([]byte(good(t, append([]string{"eval", run}, args...)...)), &e))
	if e.Loss != s.Loss || e.TrainAccuracy != s.TrainAccuracy || e.HeldOut != s.HeldOut {
		t.Errorf("train found %+v, eval %+v", s, e)
	}

	if err := json.Unmarshal([]byte(good(t, "eval", run, "--backend", "cpu", "--json")), &e); err != nil || e.HeldOut != s.HeldOut {
		t.Errorf("by its configuration eval finds %+v, %v", e, err)
	}

	// The model knows the columns: their order is of no matter, nor are labels that a
	// file to be predicted has none of.
	var turned struct{ with, without string }
	for _, line := range strings.Split(strings.TrimSpace(flowers(2, 20)), "\n") {
		f := strings.Split(line, ",")
		turned.with += strings.Join([]string{f[4], f[3], f[1], f[0], f[2]}, ",") + "\n"
		turned.without += strings.Join([]string{f[3], f[1], f[0], f[2]}, ",") + "\n"
	}
	with, without := write(t, "with.csv", turned.with), write(t, "without.csv", turned.without)
	text := good(t, "eval", run, "--data", with, "--backend", "cpu")
	if want := fmt.Sprintf("with.csv: loss %.4f, accuracy %.2f %%\n", float64(s.TestLoss), 100*float64(s.TestAccuracy)); text != want {
		t.Errorf("in another order eval finds %s, not %s", text, want)
	}
	predicted := good(t, "predict", run, "--data", with, "--backend", "cpu")
	if !strings.HasPrefix(predicted, "row,predicted,actual\n1,setosa,setosa\n") {
		t.Errorf("predicted %.60s", predicted)
	}
	bare := strings.NewReplacer(",actual", "", ",setosa\n", "\n", ",versicolor\n", "\n", ",virginica\n", "\n").Replace(predicted)
	if got := good(t, "predict", run, "--data", without, "--backend", "cpu"); got != bare {
		t.Errorf("without labels %.60s, with them %.60s", got, bare)
	}
	other := write(t, "other.csv", strings.Replace(turned.without, "petal width", "stem", 1))
	want := other + `: line 1, column 1: is named "stem", which no feature of the training set is`
	says(t, failure, want, "predict", run, "--data", other)

	// Both files may call the labels otherwise.
	named := strings.NewReplacer("species", "kind")
	first, second := write(t, "first.csv", named.Replace(turned.with)), write(t, "second.csv", named.Replace(turned.with))
	text = good(t, "eval", run, "--data", first, "--label", "kind", "--test", second, "--backend", "cpu")
	if want := fmt.Sprintf("first.csv, training set: loss %.4f, accuracy %.2f %%\nTest set: loss %.4[1]f, accuracy %.2[2]f %%\n", float64(s.TestLoss), 100*float64(s.TestAccuracy)); text != want {
		t.Errorf("by another name of the labels eval finds %s, not %s", text, want)
	}
	says(t, usage, "--test and the flags that say how files are read belong to --data", "eval", run, "--test", second)

	// One kind alone, without a header, is still of its class.
	var setosa strings.Builder
	for _, line := range strings.Split(flowers(3, 20), "\n")[1:] {
		if strings.HasSuffix(line, "setosa") {
			setosa.WriteString(line + "\n")
		}
	}
	one := write(t, "setosa.csv", setosa.String())
	must.OK(t, json.Unmarshal([]byte(good(t, "eval", run, "--data", one, "--label", "5", "--backend", "cpu", "--json")), &e))
	if e.TrainAccuracy < 0.95 {
		t.Errorf("of setosa alone %v are found", e.TrainAccuracy)
	}
	other = write(t, "other.csv", "1,2,3,4,rose\n")
	want = other + `: line 1, column 5: "rose" is no class: "setosa", "versicolor", "virginica" are`
	says(t, failure, want, "eval", run, "--data", other, "--label", "5")
	says(t, failure, "was trained on a file or directory named flowers.csv: give --data", "eval", filepath.Join(run, checkpoint.FileName))
}

// Without a test set its figures are left out or null, and everything else is
// there.
func TestNoTestSet(t *testing.T) {
	data, run := write(t, "flowers.csv", flowers(1, 10)), t.TempDir()
	args := []string{"--data", data, "--label", "species", "--backend", "cpu"}
	train := append([]string{"train", "--iterations", "2"}, args...)
	for name, out := range map[string]string{
		"train": good(t, append(train, "--json", "--out", run)...),
		"eval":  good(t, append([]string{"eval", run, "--json"}, args...)...),
	} {
		if !strings.Contains(out, `"validation_loss":null,"validation_accuracy":null,"test_loss":null,"test_accuracy":null`) {
			t.Errorf("%s --json: %s", name, out)
		}
	}
	for name, out := range map[string]string{
		"train": good(t, train...), "eval": good(t, append([]string{"eval", run}, args...)...),
	} {
		if strings.Contains(out, "Test") || strings.Contains(out, "Validation") || !strings.Contains(out, "Training set: ") {
			t.Errorf("%s: %s", name, out)
		}
	}
	if out := good(t, append(train, "--validation", "0.1")...); !strings.Contains(out, "Validation set: ") || strings.Contains(out, "Test") {
		t.Errorf("train --validation: %s", out)
	}
	var r bench.Report
	must.OK(t, json.Unmarshal([]byte(good(t, append([]string{"bench", "--iterations", "1", "--validation", "0.1", "--json"}, args...)...)), &r))
	if r.Results[0].Samples != 27 || r.Data != "flowers.csv" {
		t.Errorf("bench: %+v", r)
	}
}

// A model of named classes is not judged by a set whose classes are others.
func TestOtherClasses(t *testing.T) {
	run := t.TempDir()
	good(t, "train", "--data", write(t, "t.csv", "label,a,b\nx,1,2\ny,3,4\n"), "--iterations", "1", "--backend", "cpu", "--out", run)
	data := write(t, "u.csv", "label,a,b\n0,1,2\n1,3,4\n")
	says(t, failure, `"0" is no class: "x", "y" are`, "eval", run, "--data", data)
	says(t, failure, `the model's classes are ["x" "y"], those of the data set mnist are ["0" "1"`, "eval", run, "--data", "mnist")
	// A model of IDX files has classes 0, 1, 2, …, which a table may name.
	images, numbers := images(t, 50, 10), t.TempDir()
	good(t, "train", "--data", images, "--layers", "none", "--iterations", "1", "--backend", "cpu", "--out", numbers)
	row := strings.Repeat("1,", 784)
	good(t, "eval", numbers, "--data", write(t, "v.csv", row+"7\n"+row+"9.0\n"), "--label", "785", "--backend", "cpu")
	// It knows no names of columns, which is said where a file has some.
	named := ""
	for i := range 784 {
		named += fmt.Sprintf("pixel%d,", i)
	}
	status, _, err := clgrad(t, "eval", numbers, "--data", write(t, "w.csv", named+"label\n"+row+"7\n"+row+"9.0\n"), "--backend", "cpu")
	if status != success || !strings.Contains(err, "w.csv: its columns are taken in their order") {
		t.Errorf("status %d, %s", status, err)
	}
}

// A set that is given is divided as it was in training, where it is the same one.
func TestEvalDivides(t *testing.T) {
	data, run := write(t, "flowers.csv", flowers(1, 20)), filepath.Join(t.TempDir(), "run")
	common := []string{"--data", data, "--label", "species", "--backend", "cpu", "--json"}
	_, s := lines(t, good(t, append([]string{"train", "--layers", "7", "--iterations", "20", "--divide", "40,15", "--samples", "30", "--validation", "0.2", "--out", run}, common...)...))
	var e evaluation
	must.OK(t, json.Unmarshal([]byte(good(t, append([]string{"eval", run}, common...)...)), &e))
	if e.Loss != s.Loss || e.TrainAccuracy != s.TrainAccuracy || e.HeldOut != s.HeldOut {
		t.Errorf("train found %+v, eval %+v", s, e)
	}
}
