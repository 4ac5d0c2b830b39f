package main

import (
	"bytes"
	"context"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"clgrad/cmd/clgrad/recipe"
	"clgrad/cmd/clgrad/score"
	"clgrad/network/checkpoint"
	"clgrad/network/must"
)

// Every built-in recipe runs on a few hundred rows, comes to the loss that it
// came to before, and leaves what it promises.
func TestRecipes(t *testing.T) {
	t.Chdir(t.TempDir())
	for _, c := range []struct {
		name   string
		layers []int
		loss   float64 // after 40 iterations on 300 rows, seed 1
		files  []string
		more   []string // flags
	}{
		{"assignment", []int{784, 128, 10}, 0.4015497, []string{"predictions.csv"}, nil},
		{"nn-class", []int{784, 128, 10}, 2.247908, []string{"predictions.csv"}, nil},
		{"iiakshat", []int{784, 10, 10}, 2.282586, []string{"submission.csv"}, nil},
		{"chang", []int{784, 10, 10}, 2.274791, nil, nil},
		{"biswas", []int{784, 500, 150, 10}, 2.291126, nil, nil},
		{"fast", []int{784, 128, 10}, 0.1696842, nil, nil},
		{"best", []int{784, 512, 10}, 0.2435035, nil, []string{"--warmup", "10"}},
	} {
		out := good(t, append([]string{"train", "--recipe", c.name, "--samples", "300", "--iterations", "40", "--backend", "cpu", "--json"}, c.more...)...)
		iterations, s := lines(t, out)
		if s.Recipe != "" || s.BasedOn != c.name || !slices.Contains(s.Changes, "--iterations 40") || !cmp.Equal(s.Layers, c.layers) || s.Iterations != 40 || len(iterations) == 0 {
			t.Errorf("%s: %+v", c.name, s)
		}
		if math.Abs(float64(s.Loss)/c.loss-1) > 1e-4 {
			t.Errorf("%s: loss %.7g, it was %.7g", c.name, float64(s.Loss), c.loss)
		}
		dir := filepath.Dir(s.Model)
		for _, name := range append(c.files, recipe.FileName, checkpoint.FileName, metricsTable, metricsLines, "report.html") {
			if info, err := os.Stat(filepath.Join(dir, name)); err != nil || info.Size() == 0 {
				t.Errorf("%s: %s: %v", c.name, name, err)
			}
		}
		if s.Reference != nil || c.name == "biswas" && s.UnscaledTest == nil {
			t.Errorf("%s: reference %+v, unscaled test set %v", c.name, s.Reference, s.UnscaledTest)
		}
		if c.name == "chang" && (s.Passes == nil || s.Passes.Accuracy != 0.85 || s.Passes.Iteration != nil) {
			t.Errorf("%s: %+v", c.name, s.Passes)
		}
		if c.name == "iiakshat" && !strings.HasPrefix(must.Read(t, dir, "submission.csv"), "ImageId,Label\n1,") {
			t.Errorf("%s: %.40q", c.name, must.Read(t, dir, "submission.csv"))
		}
		if c.name == "assignment" {
			rows, err := csv.NewReader(strings.NewReader(must.Read(t, dir, "predictions.csv"))).ReadAll()
			if err != nil || len(rows) != 301 || !cmp.Equal(rows[0], []string{"row", "predicted", "actual"}) {
				t.Errorf("%s: %d rows of predictions, %v", c.name, len(rows), err)
			}
			right := 0
			for _, row := range rows {
				if row[1] == row[2] {
					right++
				}
			}
			if got := float64(right) / 300; math.Abs(got-float64(s.TestAccuracy)) > 1e-9 {
				t.Errorf("%s: %g of the predictions are right, the test accuracy is %g", c.name, got, float64(s.TestAccuracy))
			}
		}
	}
	if made, err := os.ReadDir(runsFolder); err != nil || len(made) != len(recipe.Names()) {
		t.Errorf("%d runs, %v", len(made), err)
	}
}

// A recipe's claims stand in a run of it where nothing that decides results is changed. With
// other flags, or more iterations, configuration, summary and report say what is changed.
func TestRecipeClaims(t *testing.T) {
	data, dir := write(t, "flowers.csv", flowers(1, 20)), t.TempDir()
	file := write(t, "petals.json", fmt.Sprintf(`{"version": 1, "name": "petals", "description": "A claim of accuracy", "source": "A book", "notes": ["A note."],
		"data": %q, "label": "species", "layers": [5], "lr": 0.2, "iterations": 20, "log_every": 5, "backend": "cpu",
		"reference": {"name": "A curve", "first": 5, "every": 5, "losses": [1.1, 1.0, 0.9, 0.8]}}`, data))
	for i, c := range []struct {
		flags  []string
		change string // "" where the claims stand
	}{
		{nil, ""},
		{[]string{"--backend", "cpu64", "--log-every", "7", "--checkpoint-every", "3", "--predictions", "table"}, ""},
		{[]string{"--lr", "0.2"}, ""},
		{[]string{"--lr", "0.1"}, "recipe petals, with --lr 0.1"},
		{[]string{"--optimizer", "adam"}, "recipe petals, with --optimizer adam"},
		{[]string{"--layers", "8,6", "--epochs", "3"}, "recipe petals, with --layers 8,6 --epochs 3"},
	} {
		run := filepath.Join(dir, fmt.Sprint("run", i))
		_, s := lines(t, good(t, append([]string{"train", "--recipe", file, "--json", "--out", run}, c.flags...)...))
		again, err := recipe.Load(run)
		must.OK(t, err)
		if based := again.Based(); based != c.change || (s.Recipe == "petals") != (c.change == "") || (s.Reference != nil) != (c.change == "") {
			t.Errorf("%v: based on %q, %+v", c.flags, based, s)
		}
		page := must.Read(t, s.Report)
		for _, claim := range []string{"A claim of accuracy", "A book", "A note.", "A curve", "recipe petals,"} {
			if stands := strings.Contains(page, claim); stands != (c.change == "" || claim == "recipe petals,") {
				t.Errorf("%v: the report has %q: %v", c.flags, claim, stands)
			}
		}
		if !strings.Contains(page, c.change) {
			t.Errorf("%v: the report does not have %q", c.flags, c.change)
		}
	}
	// A change of a changed recipe, and a run that is given more iterations.
	third := filepath.Join(dir, "third")
	good(t, "train", "--recipe", filepath.Join(dir, "run3"), "--lr", "0.3", "--seed", "2", "--out", third)
	good(t, "train", "--resume", third, "--iterations", "22")
	again, err := recipe.Load(third)
	if want := "recipe petals, with --seed 2 --lr 0.3 --iterations 22"; err != nil || again.Based() != want {
		t.Errorf("based on %q, %v, want %q", again.Based(), err, want)
	}
	whole := filepath.Join(dir, "run0")
	good(t, "train", "--resume", whole, "--iterations", "22")
	if again, err := recipe.Load(whole); err != nil || again.Based() != "recipe petals, with --iterations 22" || again.Name != "" || again.Notes != nil {
		t.Errorf("%+v, %v", again.Origin, err)
	}
}

// A run's configuration, given as a recipe from anywhere, is the same run again,
// bit for bit; a flag beside it wins.
func TestReproduce(t *testing.T) {
	data := images(t, 300, 50)
	here, first := t.TempDir(), filepath.Join(t.TempDir(), "first")
	t.Chdir(filepath.Dir(data))
	good(t, "train", "--data", filepath.Base(data), "--divide", "200,100", "--samples", "150", "--layers", "9,8", "--init", "he", "--seed", "7",
		"--lr", "0.25", "--preprocess", "feature", "--iterations", "12", "--log-every", "5", "--passes", "0.5", "--predictions", "kaggle",
		"--backend", "cpu64", "--out", first)
	t.Chdir(here)
	second, third := filepath.Join(here, "second"), filepath.Join(here, "third")
	_, s := lines(t, good(t, "train", "--recipe", filepath.Join(first, recipe.FileName), "--json", "--out", second))
	good(t, "train", "--recipe", second, "--seed", "8", "--out", third)
	for _, name := range []string{checkpoint.FileName, recipe.FileName, "submission.csv"} {
		if must.Read(t, first, name) != must.Read(t, second, name) {
			t.Errorf("%s differs in the second run", name)
		}
	}
	// eval divides the data as the run did.
	var e evaluation
	must.OK(t, json.Unmarshal([]byte(good(t, "eval", first, "--backend", "cpu64", "--json")), &e))
	// train has the rows of a full batch in an order of its own.
	if math.Abs(float64(e.Loss/s.Loss)-1) > 1e-13 || e.TrainAccuracy != s.TrainAccuracy || fmt.Sprint(e.HeldOut) != fmt.Sprint(s.HeldOut) { // NaN where there is no set
		t.Errorf("train found %+v, eval %+v", s, e)
	}
	a, err := recipe.Load(first)
	must.OK(t, err)
	b, err := recipe.Load(third)
	must.OK(t, err)
	a.Seed = 8
	if d := cmp.Diff(a.Recipe, b.Recipe); d != "" {
		t.Errorf("another seed changes more than the seed:\n%s", d)
	}
	if must.Read(t, first, checkpoint.FileName) == must.Read(t, third, checkpoint.FileName) {
		t.Error("another seed makes the same model")
	}
}

// A recipe's division belongs to its data: other data is not divided by it.
func TestRecipeOfOtherData(t *testing.T) {
	t.Chdir(t.TempDir())
	_, s := lines(t, good(t, "train", "--recipe", "iiakshat", "--data", images(t, 200, 30), "--iterations", "2", "--backend", "cpu", "--json"))
	if n := strings.Count(must.Read(t, s.Predictions), "\n"); n != 31 {
		t.Errorf("a submission of %d lines for 30 rows", n)
	}
	if config := must.Read(t, filepath.Dir(s.Model), recipe.FileName); strings.Contains(config, `"divide"`) {
		t.Error(config)
	}
}

// With Kaggle's two files the recipe of its digit recogniser trains on one and
// writes a submission for the other, which has no labels; predict does the same
// afterwards. There is no test set, and nothing is said of one.
func TestKaggle(t *testing.T) {
	set, err := mnist()
	must.OK(t, err)
	dir := t.TempDir()
	write := func(name string, rows int, labelled bool) string {
		var b strings.Builder
		if labelled {
			b.WriteString("label,")
		}
		for j := range 784 {
			fmt.Fprintf(&b, "pixel%d,", j)
		}
		for i := range rows {
			b.WriteString("\n")
			if labelled {
				fmt.Fprintf(&b, "%d,", set.Train.Labels[i])
			}
			for _, v := range set.Train.Slice(i, 1).Bytes {
				fmt.Fprintf(&b, "%d,", v)
			}
		}
		file := filepath.Join(dir, name)
		must.Write(t, strings.ReplaceAll(b.String()+"\n", ",\n", "\n"), file)
		return file
	}
	train, test, run := write("train.csv", 120, true), write("test.csv", 40, false), filepath.Join(dir, "run")
	out := good(t, "train", "--recipe", "iiakshat", "--data", train, "--predict", test, "--iterations", "3", "--backend", "cpu", "--json", "--out", run)
	if _, s := lines(t, out); s.Loss == 0 || !strings.Contains(out, `"test_accuracy":null`) {
		t.Errorf("%s", out)
	}
	submission := must.Read(t, run, "submission.csv")
	if strings.Count(submission, "\n") != 41 {
		t.Errorf("%d lines for 40 rows", strings.Count(submission, "\n"))
	}
	if again := good(t, "predict", run, "--data", test, "--backend", "cpu", "--kaggle"); again != submission {
		t.Errorf("predict writes\n%s\ntrain wrote\n%s", again, submission)
	}
	// eval finds the data through the configuration.
	if text := good(t, "eval", run, "--backend", "cpu"); !strings.HasPrefix(text, "Training set") || strings.Contains(text, "Test") {
		t.Error(text)
	}
	// Nothing says where a row's pixels end but their number.
	if status, _, notes := clgrad(t, "predict", run, "--data", images(t, 10, 5), "--backend", "cpu"); status != success {
		t.Errorf("digits of another kind of file: %s", notes)
	}
}

// What is held back is scored on the way and at the end, and named classes are
// called by their names.
func TestValidationOfNamedClasses(t *testing.T) {
	file, run := filepath.Join(t.TempDir(), "stones.csv"), filepath.Join(t.TempDir(), "run")
	var b strings.Builder
	b.WriteString("width,height,label\n")
	for i := range 40 {
		fmt.Fprintf(&b, "%d.5,%d,flint\n%d,%d.25,chalk\n", 10+i%7, 3+i%5, 1+i%3, 9+i%6)
	}
	must.Write(t, b.String(), file)
	iterations, s := lines(t, good(t, "train", "--data", file, "--validation", "0.25", "--preprocess", "feature", "--layers", "6", "--lr", "1",
		"--init", "he", "--iterations", "60", "--backend", "cpu", "--predictions", "table", "--json", "--out", run))
	last := iterations[len(iterations)-1]
	if s.ValidationAccuracy < 0.95 || last.ValidationLoss == nil || *last.ValidationLoss != s.ValidationLoss {
		t.Errorf("%+v, last line %+v", s, last)
	}
	if table := must.Read(t, s.Predictions); strings.Count(table, "\n") != 21 || !strings.Contains(table, ",flint,flint\n") {
		t.Errorf("the predictions of 20 rows:\n%s", table)
	}
	if page := must.Read(t, s.Report); !strings.Contains(page, "flint") || !strings.Contains(page, "validation") {
		t.Error("the report does not name classes or the validation set")
	}
	if wide := good(t, "predict", run, "--data", file, "--backend", "cpu", "--probabilities"); !strings.HasPrefix(wide, "row,predicted,actual,p_chalk,p_flint\n") {
		t.Errorf("%.60s", wide)
	}
}

// The metrics say in CSV what they say in JSON, line by line as written to
// standard output.
func TestMetrics(t *testing.T) {
	run := filepath.Join(t.TempDir(), "run")
	out := good(t, "train", "--data", images(t, 200, 30), "--iterations", "7", "--log-every", "3", "--validation", "0.2", "--backend", "cpu", "--json", "--out", run)
	if d := cmp.Diff(out, must.Read(t, run, metricsLines)); d != "" {
		t.Errorf("standard output and %s differ:\n%s", metricsLines, d)
	}
	iterations, s := lines(t, out)
	rows, err := csv.NewReader(strings.NewReader(must.Read(t, run, metricsTable))).ReadAll()
	if err != nil || len(rows) != 1+len(iterations) || len(iterations) != 3 {
		t.Fatalf("%d rows for %d lines, %v", len(rows), len(iterations), err)
	}
	for i, line := range iterations {
		text, err := json.Marshal([]any{line.Iteration, line.Loss, line.TrainAccuracy, *line.ValidationLoss, *line.ValidationAccuracy, *line.TestLoss, *line.TestAccuracy})
		must.OK(t, err)
		if row := "[" + strings.Join(rows[i+1][:7], ",") + "]"; row != string(text) {
			t.Errorf("row %s, line %s", row, text)
		}
	}
	if last := iterations[2]; *last.TestLoss != s.TestLoss || *last.TestAccuracy != s.TestAccuracy {
		t.Errorf("the test set in the last line: %v, %v; in the summary %v, %v", *last.TestLoss, *last.TestAccuracy, s.TestLoss, s.TestAccuracy)
	}
}

// An interrupted run keeps its configuration, metrics and model; one that came
// to nothing leaves its directory free.
func TestRunDirectory(t *testing.T) {
	data, run := images(t, 200, 30), filepath.Join(t.TempDir(), "run")
	ctx, cancel := context.WithCancelCause(t.Context())
	a := &app{Context: ctx, err: &bytes.Buffer{}, out: writer(func(p []byte) (int, error) {
		if bytes.Contains(p, []byte("Iteration 6,")) {
			cancel(signalError{syscall.SIGINT})
		}
		return len(p), nil
	})}
	if status := a.run([]string{"train", "--data", data, "--backend", "cpu", "--iterations", "99", "--log-every", "3", "--out", run}); status != 130 {
		t.Errorf("status %d, %s", status, a.err)
	}
	if n := strings.Count(must.Read(t, run, metricsTable), "\n"); n != 3 {
		t.Errorf("%d lines of metrics after 6 iterations", n)
	}
	if r, err := recipe.Load(run); err != nil || r.Iterations != 99 {
		t.Errorf("%+v, %v", r.Recipe, err)
	}

	late := filepath.Join(t.TempDir(), "late") // behind a line: the losses are all there is to look at
	if status, _, notes := clgrad(t, "train", "--data", data, "--backend", "cpu", "--lr", "1e9", "--log-every", "1", "--out", late); status != failure {
		t.Errorf("status %d, %s", status, notes)
	}
	if text := must.Read(t, late, metricsTable); strings.Count(text, "\n") < 2 {
		t.Errorf("the losses of a run that diverges late: %s", text)
	}

	bad := filepath.Join(t.TempDir(), "bad")
	if status, _, notes := clgrad(t, "train", "--data", data, "--backend", "cpu", "--lr", "1e38", "--out", bad); status != failure {
		t.Errorf("status %d, %s", status, notes)
	}
	if _, err := os.Stat(bad); !os.IsNotExist(err) {
		t.Errorf("a run without a model left its directory: %v", err)
	}
	must.OK(t, os.MkdirAll(bad, 0o777))
	must.Write(t, "mine", bad, "notes.txt")
	clgrad(t, "train", "--data", data, "--backend", "cpu", "--lr", "1e38", "--out", bad)
	if left, err := os.ReadDir(bad); err != nil || len(left) != 1 {
		t.Errorf("%v, %v: what was there before is expected", left, err)
	}
}

// predict finds what the training found, in every form.
func TestPredict(t *testing.T) {
	data, run := images(t, 300, 50), filepath.Join(t.TempDir(), "run")
	_, s := lines(t, good(t, "train", "--data", data, "--iterations", "60", "--lr", "0.5", "--backend", "cpu", "--predictions", "table",
		"--json", "--out", run))
	table := good(t, "predict", run, "--data", data, "--backend", "cpu")
	if want := must.Read(t, s.Predictions); table != want {
		t.Errorf("predict writes\n%.99s\ntrain wrote\n%.99s", table, want)
	}
	rows, err := csv.NewReader(strings.NewReader(table)).ReadAll()
	if err != nil || len(rows) != 51 {
		t.Fatalf("%d rows, %v", len(rows), err)
	}
	file := filepath.Join(t.TempDir(), "out.csv")
	if out := good(t, "predict", run, "--data", data, "--backend", "cpu", "--kaggle", "--out", file); out != "" {
		t.Errorf("with --out on standard output: %s", out)
	}
	kaggle := strings.Split(must.Read(t, file), "\n")
	for i, row := range rows[1:] {
		if kaggle[i+1] != row[0]+","+row[1] {
			t.Errorf("row %v, Kaggle's form %s", row, kaggle[i+1])
		}
	}
	d := json.NewDecoder(strings.NewReader(good(t, "predict", run, "--data", data, "--backend", "cpu64", "--json", "--probabilities")))
	for i := range 50 {
		var line score.PredictionLine
		must.OK(t, d.Decode(&line))
		sum, best := 0.0, 0
		for class, p := range line.Probabilities {
			sum += float64(p)
			if p > line.Probabilities[best] {
				best = class
			}
		}
		if row := rows[i+1]; line.Predicted != row[1] || line.Actual != row[2] || math.Abs(sum-1) > 1e-12 || len(line.Probabilities) != 10 ||
			string(rune('0'+best)) != line.Predicted {
			t.Errorf("%v: %+v", row, line)
		}
	}
	wide := good(t, "predict", run, "--data", data, "--backend", "cpu", "--probabilities")
	if head, _, _ := strings.Cut(wide, "\n"); head != "row,predicted,actual,p_0,p_1,p_2,p_3,p_4,p_5,p_6,p_7,p_8,p_9" {
		t.Error(head)
	}
}

func TestRecipesCommand(t *testing.T) {
	list := good(t, "recipes")
	all := strings.Split(strings.TrimSpace(good(t, "recipes", "--json")), "\n")
	if len(all) != len(recipe.Names()) {
		t.Errorf("%d lines", len(all))
	}
	for i, name := range recipe.Names() {
		var line recipeLine
		if err := json.Unmarshal([]byte(all[i]), &line); err != nil || string(line.Name) != name || !strings.Contains(list, line.Description) {
			t.Errorf("%s: %+v, %v", name, line, err)
		}
		if _, err := recipe.Parse(name, []byte(good(t, "recipes", name))); err != nil {
			t.Error(err)
		}
	}
}

// The command line in a report can be given to a shell.
func TestCommand(t *testing.T) {
	a := &app{args: []string{"train", "--out", "a b", "--data=./x", "it's", "", "Fläche", "$HOME"}}
	if got, want := a.commandLine(), `clgrad train --out 'a b' --data=./x 'it'\''s' '' Fläche '$HOME'`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

// Curve and samples are for a terminal alone.
func TestScreen(t *testing.T) {
	dir := images(t, 100, 10)
	for _, screen := range []bool{false, true} {
		for _, args := range [][]string{nil, {"--json"}} {
			var out, notes bytes.Buffer
			a := &app{Context: t.Context(), out: &out, err: &notes}
			if screen {
				a.columns = func() int { return 80 }
			}
			if status := a.run(append([]string{"train", "--data", dir, "--iterations", "2", "--backend", "cpu"}, args...)); status != success {
				t.Fatal(notes.String())
			}
			if shown := strings.Contains(out.String(), "█") && strings.Contains(out.String(), "predicted "); shown != (screen && args == nil) {
				t.Errorf("terminal %v, %v:\n%s", screen, args, out.String())
			}
		}
	}
}
