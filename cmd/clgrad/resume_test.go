package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/gofrs/flock"
	"github.com/google/go-cmp/cmp"

	"clgrad/cmd/clgrad/recipe"
	"clgrad/network"
	"clgrad/network/checkpoint"
	"clgrad/network/must"
)

// A countdown is a context that a signal ends when it has been asked so many
// times.
type countdown struct {
	context.Context
	left   int
	cancel context.CancelCauseFunc
}

func (c *countdown) Err() error {
	if c.left--; c.left < 0 {
		c.cancel(signalError{syscall.SIGINT})
	}
	return c.Context.Err()
}

// interrupted runs a command line that a signal meets when its context has been
// asked for the n-th time: each iteration asks once.
func interrupted(t *testing.T, n int, args ...string) (status int, notes string) {
	t.Helper()
	ctx, cancel := context.WithCancelCause(t.Context())
	defer cancel(nil)
	status, _, notes = clgradIn(&countdown{ctx, n, cancel}, args...)
	return status, notes
}

// untimed returns what the files of a run directory say apart from times and
// paths.
func untimed(t *testing.T, run string) map[string]string {
	t.Helper()
	files := map[string]string{}
	for _, name := range []string{
		checkpoint.FileName, recipe.FileName, iterationsTable, metricsTable, metricsLines, predictionsTable,
		"pictures/loss.png", "pictures/accuracy.png",
	} {
		content, err := os.ReadFile(filepath.Join(run, name))
		if err != nil && !os.IsNotExist(err) {
			t.Fatal(err)
		}
		files[name] = string(content)
	}
	for _, name := range []string{iterationsTable, metricsTable} {
		var rows []string
		for row := range strings.Lines(files[name]) {
			rows = append(rows, row[:strings.LastIndex(row, ",")])
		}
		files[name] = strings.Join(rows, "\n")
	}
	var all []map[string]any
	for line := range strings.Lines(files[metricsLines]) {
		values := map[string]any{}
		if err := json.Unmarshal([]byte(line), &values); err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		for _, key := range []string{"seconds", "median_iteration_seconds", "peak_rss_bytes", "model", "predictions", "report"} {
			delete(values, key)
		}
		all = append(all, values)
	}
	files[metricsLines] = fmt.Sprint(all)
	checkpoints, err := filepath.Glob(filepath.Join(run, checkpoint.Folder, "*"))
	must.OK(t, err)
	for _, file := range checkpoints {
		files[checkpoint.Folder+"/"+filepath.Base(file)] = must.Read(t, file)
	}
	return files
}

// sameRun reports where a run differs from another in a bit. Which checkpoints
// are kept may differ, for an interruption makes one of its own.
func sameRun(t *testing.T, what string, want map[string]string, run string) {
	t.Helper()
	got := untimed(t, run)
	for name, content := range want {
		found, ok := got[name]
		if found == content || !ok && strings.HasPrefix(name, checkpoint.Folder) {
			continue
		}
		if strings.HasSuffix(name, "png") || strings.HasSuffix(name, "safetensors") {
			t.Errorf("%s: %s differs", what, name)
			continue
		}
		t.Errorf("%s: %s differs:\n%s", what, name, cmp.Diff(content, got[name]))
	}
}

// A run that is interrupted wherever, and again while it goes on, ends with the
// bits of one that is not: model, checkpoints, metrics and curves.
func TestResume(t *testing.T) {
	data, test := write(t, "flowers.csv", flowers(1, 20)), write(t, "test.csv", flowers(2, 5))
	for _, backend := range backends(t) {
		for name, more := range map[string][]string{
			"plain":    {"--checkpoint-every", "4"},
			"no every": {"--log-every", "1"},
			"held out": {"--test", test, "--validation", "0.2", "--preprocess", "feature", "--checkpoint-every", "3", "--keep-checkpoints", "2", "--predictions", "table"},
			"adam": {"--optimizer", "adam", "--batch-size", "9", "--log-every", "3", "--schedule", "cosine", "--warmup", "2", "--validation", "0.2",
				"--early-stopping", "--patience", "3", "--checkpoint-every", "4"},
			"momentum": {"--optimizer", "momentum", "--batch-size", "25", "--schedule", "step", "--step-size", "4", "--weight-decay", "0.01", "--checkpoint-every", "2"},
			"lbfgs":    {"--optimizer", "lbfgs", "--history-size", "3", "--weight-decay", "0.001", "--validation", "0.2", "--checkpoint-every", "4"},
			"divided":  {"--divide", "40,15", "--samples", "30", "--init", "he", "--checkpoint-every", "13"},
		} {
			if backend != "cpu" && name != "held out" && name != "adam" && name != "lbfgs" {
				continue // devices take their time to start: the cases with most in them stand for all
			}
			args := append([]string{"train", "--data", data, "--label", "species", "--layers", "7,5", "--iterations", "13", "--log-every", "5", "--lr", "0.3",
				"--backend", backend}, more...)
			whole := filepath.Join(t.TempDir(), "whole")
			good(t, append(args, "--out", whole)...)
			want := untimed(t, whole)
			if len(want[iterationsTable]) == 0 || want[checkpoint.FileName] == "" {
				t.Fatalf("%s, %s: an empty run", backend, name)
			}
			points := []int{1, 4, 9, 14, 16, 20}
			switch {
			case testing.Short():
				points = []int{12}
			case backend != "cpu":
				points = []int{5, 12}
			}
			for _, n := range points {
				what := fmt.Sprintf("%s, %s, interrupted at %d", backend, name, n)
				run := filepath.Join(t.TempDir(), "run")
				status, notes := interrupted(t, n, append(args, "--out", run)...)
				if status != 130 && (status != success || n < 15) {
					t.Fatalf("%s: status %d, %s", what, status, notes)
				}
				if _, err := os.Stat(run); err != nil {
					good(t, append(args, "--out", run)...) // nothing was done: the claim was given back
					sameRun(t, what, want, run)
					continue
				}
				_, err := os.Stat(filepath.Join(run, checkpoint.FileName))
				if os.IsNotExist(err) && !strings.Contains(notes, "clgrad train --resume "+run+" goes on from there") {
					t.Errorf("%s: %s", what, notes)
				}
				if status, notes := interrupted(t, n/2+2, "train", "--resume", run); status != 130 && status != success {
					t.Fatalf("%s: status %d, %s", what, status, notes)
				}
				good(t, "train", "--resume", run)
				sameRun(t, what, want, run)
			}
		}
	}
}

// begun returns the directory of a run of 20 iterations that was interrupted, its
// command line without --out, and its data.
func begun(t *testing.T) (run string, args []string, data string) {
	t.Helper()
	data, run = write(t, "flowers.csv", flowers(1, 20)), filepath.Join(t.TempDir(), "run")
	args = []string{"train", "--data", data, "--label", "species", "--layers", "7", "--iterations", "20", "--checkpoint-every", "4", "--backend", "cpu"}
	if status, notes := interrupted(t, 18, append(args, "--out", run)...); status != 130 {
		t.Fatalf("status %d, %s", status, notes)
	}
	m, _, _, err := checkpoint.LoadRun(run)
	if err != nil || m.Run.Iterations < 10 || m.Run.Iterations > 12 {
		t.Fatalf("%+v, %v", m.Run, err)
	}
	return run, args, data
}

// newest returns the newest checkpoint's file.
func newest(t *testing.T, run string) string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(run, checkpoint.Folder, "*.safetensors"))
	if err != nil || len(files) == 0 {
		t.Fatalf("%v, %v", files, err)
	}
	return slices.Max(files)
}

// change replaces a text in a file, where it has to stand.
func change(t *testing.T, file, old, new string) {
	t.Helper()
	text := must.Read(t, file)
	if !strings.Contains(text, old) {
		t.Fatalf("no %q in %s:\n%s", old, file, text)
	}
	must.Write(t, strings.Replace(text, old, new, 1), file)
}

// A run does not go on as another one: whatever differs is said in one line, and
// what it has come to stays.
func TestResumeRefuses(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(t *testing.T, run, data string)
		want   string
	}{
		{"data", func(t *testing.T, run, data string) { change(t, data, "5.", "6.") }, "is not what the run began with: its digest is"},
		{"no data", func(t *testing.T, run, data string) { os.Remove(data) }, "flowers.csv"},
		{"classes", func(t *testing.T, run, data string) {
			text := strings.ReplaceAll(must.Read(t, data), "setosa", "rosa")
			must.Write(t, text, data)
		}, "configuration's classes is [rosa versicolor virginica] where the checkpoint has [setosa versicolor virginica]"},
		{"learning rate", func(t *testing.T, run, data string) { change(t, run+"/config.json", `"lr": 0.5`, `"lr": 0.2`) },
			"configuration's lr is 0.2 where the checkpoint has 0.5: it is not that of this run"},
		{"seed", func(t *testing.T, run, data string) { change(t, run+"/config.json", `"seed": 1`, `"seed": 2`) }, "configuration's seed is 2"},
		{"layers", func(t *testing.T, run, data string) { change(t, run+"/config.json", `[7]`, `[8]`) }, "configuration's layers is [4 8 3] where the checkpoint has [4 7 3]"},
		{"preprocess", func(t *testing.T, run, data string) { change(t, run+"/config.json", `"max"`, `"feature"`) }, "configuration's preprocess is feature"},
		{"samples", func(t *testing.T, run, data string) { change(t, run+"/config.json", `"seed"`, `"samples": 50, "seed"`) }, "configuration's samples is 50"},
		{"configuration", func(t *testing.T, run, data string) { change(t, run+"/config.json", `"seed"`, `"sed"`) }, `key "sed": is unknown`},
		{"no configuration", func(t *testing.T, run, data string) { os.Remove(run + "/config.json") }, "config.json: not found: the directory that train --out made is expected"},
		{"iterations.csv", func(t *testing.T, run, data string) { change(t, run+"/iterations.csv", "\n7,", "\n8,") }, `iterations.csv: line 8: is of iteration "8" where 7 is expected`},
		{"no iterations.csv", func(t *testing.T, run, data string) { os.Remove(run + "/iterations.csv") }, "iterations.csv: ends before its header: it does not reach as far as the checkpoint"},
		{"metrics.jsonl", func(t *testing.T, run, data string) { os.Truncate(run+"/metrics.jsonl", 20) }, "metrics.jsonl: ends before its line for 1 of 1: it does not reach"},
		{"driver", func(t *testing.T, run, data string) {
			m, _, _, err := checkpoint.LoadRun(run)
			must.OK(t, err)
			m.Run.Plan.Shards[0].Driver = "BLAS 0.1"
			must.OK(t, checkpoint.Save(newest(t, run), m))
		}, `plan is for driver "BLAS 0.1", this is "`},
		{"no device", func(t *testing.T, run, data string) {
			m, _, _, err := checkpoint.LoadRun(run)
			must.OK(t, err)
			m.Run.Plan.Shards[0].Backend = "opencl:97.3"
			must.OK(t, checkpoint.Save(newest(t, run), m))
		}, "no OpenCL device"},
		{"at work", func(t *testing.T, run, data string) {
			l := flock.New(filepath.Join(run, "lock"))
			if ok, err := l.TryLock(); !ok {
				t.Fatal(err)
			}
			t.Cleanup(func() { l.Close() })
		}, "another process is at work there"},
	} {
		run, _, data := begun(t)
		c.change(t, run, data)
		before := must.Read(t, newest(t, run))
		status, out, notes := clgrad(t, "train", "--resume", run)
		all := strings.Split(strings.TrimSpace(notes), "\n")
		if status != failure || !strings.Contains(all[len(all)-1], c.want) || out != "" || len(all) > 2 {
			t.Errorf("%s: status %d, %q, %q; want %s", c.name, status, out, notes, c.want)
		}
		if must.Read(t, newest(t, run)) != before {
			t.Errorf("%s: the checkpoint has changed", c.name)
		}
	}
	run, args, _ := begun(t)
	for _, flag := range []string{"--seed=1", "--lr=1", "--data=mnist", "--out=" + run, "--recipe=chang", "--checkpoint-every=1"} {
		name, _, _ := strings.Cut(flag, "=")
		says(t, usage, name+" cannot be given with --resume", "train", "--resume", run, flag)
	}
	says(t, failure, "go on with --resume "+run, append(args, "--out", run)...)
}

// A damaged checkpoint is said to be so and the one before it taken; without any
// the run begins anew. The bits are those of a run that met with nothing.
func TestResumeDamaged(t *testing.T) {
	interrupted, args, _ := begun(t)
	whole := filepath.Join(t.TempDir(), "whole")
	good(t, append(args, "--out", whole)...)
	want := untimed(t, whole)
	for _, c := range []struct {
		name   string
		damage func(t *testing.T, run string)
		want   []string
	}{
		{"flipped bit", func(t *testing.T, run string) {
			file := newest(t, run)
			content := []byte(must.Read(t, file))
			content[len(content)-50] ^= 4
			must.Write(t, content, file)
		}, []string{"has SHA-256", "it is passed over", "goes on after iteration 8 of 20"}},
		{"cut", func(t *testing.T, run string) {
			must.OK(t, os.Truncate(newest(t, run), 700))
		}, []string{"it is passed over", "goes on after iteration 8 of 20"}},
		{"all", func(t *testing.T, run string) {
			files, _ := filepath.Glob(filepath.Join(run, checkpoint.Folder, "*"))
			for _, file := range files {
				must.Write(t, "", file)
			}
		}, []string{"has 0 bytes", "goes on from the start"}},
		{"killed at once", func(t *testing.T, run string) {
			entries, err := os.ReadDir(run)
			must.OK(t, err)
			for _, e := range entries {
				if e.Name() != recipe.FileName {
					os.RemoveAll(filepath.Join(run, e.Name()))
				}
			}
		}, []string{"goes on from the start"}},
		{"half written", func(t *testing.T, run string) {
			for _, name := range []string{".model.safetensors12", "checkpoints/.0000000020.safetensors7", "lock"} {
				must.Write(t, "half", run, name)
			}
		}, []string{"goes on after iteration"}},
		{"model", func(t *testing.T, run string) {
			must.Write(t, "half", run, checkpoint.FileName)
		}, []string{"model.safetensors: has 4 bytes", "it is made again", "goes on after iteration"}},
	} {
		run := filepath.Join(t.TempDir(), "run")
		must.OK(t, os.CopyFS(run, os.DirFS(interrupted)))
		c.damage(t, run)
		status, _, notes := clgrad(t, "train", "--resume", run)
		if status != success {
			t.Errorf("%s: status %d, %s", c.name, status, notes)
		}
		for _, want := range c.want {
			if !strings.Contains(notes, want) {
				t.Errorf("%s: no %q in %s", c.name, want, notes)
			}
		}
		sameRun(t, c.name, want, run)
		left, err := filepath.Glob(filepath.Join(run, "*", ".*"))
		hidden, err2 := filepath.Glob(filepath.Join(run, ".*"))
		if len(left)+len(hidden) > 0 || err != nil || err2 != nil {
			t.Errorf("%s: %v %v are left", c.name, left, hidden)
		}
	}
}

// The stored plan and the backend that it names are what a run goes on with,
// whatever would be chosen anew.
func TestResumePlan(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(3))
	run, args, _ := begun(t)
	whole, other := filepath.Join(t.TempDir(), "whole"), filepath.Join(t.TempDir(), "other")
	good(t, append(args, "--out", whole)...)
	runtime.GOMAXPROCS(1)
	good(t, append(args, "--out", other)...)
	if must.Read(t, whole, checkpoint.FileName) == must.Read(t, other, checkpoint.FileName) {
		t.Fatal("one core and three have one plan: nothing is tested")
	}
	change(t, filepath.Join(run, recipe.FileName), `"backend": "cpu"`, `"backend": "auto"`)
	if _, s := lines(t, good(t, "train", "--resume", run, "--json")); s.Backend != "cpu" {
		t.Errorf("goes on with %s", s.Backend)
	}
	if must.Read(t, whole, checkpoint.FileName) != must.Read(t, run, checkpoint.FileName) {
		t.Error("the model differs")
	}
}

// Where a run's own plan cannot be had any more it goes on by a new one if it is told to,
// and says that the bits are others; otherwise it says how.
func TestResumeNewPlan(t *testing.T) {
	for name, spoil := range map[string]func(p *network.Plan){
		"another driver":  func(p *network.Plan) { p.Shards[0].Driver = "BLAS 0.1" },
		"another build":   func(p *network.Plan) { p.Shards[0].Build = "sparc" },
		"no device":       func(p *network.Plan) { p.Shards[0].Backend = "opencl:97.3" },
		"an older form":   func(p *network.Plan) { p.Rows, p.BatchRows, p.Shards[0].Build, p.Shards[0].ScoreRows = 0, 0, "", 0 },
		"rows of a block": func(p *network.Plan) { p.Shards[0].BlockRows = 1 << 60 },
	} {
		run, _, _ := begun(t)
		m, _, _, err := checkpoint.LoadRun(run)
		must.OK(t, err)
		spoil(m.Run.Plan)
		must.OK(t, checkpoint.Save(newest(t, run), m))
		says(t, failure, "(--new-plan goes on with other bits)", "train", "--resume", run)
		status, out, notes := clgrad(t, "train", "--resume", run, "--new-plan", "--json")
		if status != success || !strings.Contains(notes, fmt.Sprintf("goes on by a new plan: what comes after iteration %d has other bits", m.Run.Iterations)) {
			t.Fatalf("%s: status %d, %s", name, status, notes)
		}
		if _, s := lines(t, out); s.Iterations != 20 || s.Backend != "cpu" {
			t.Errorf("%s: %+v", name, s)
		}
	}
	says(t, usage, "give --resume too", "train", "--new-plan")
}

// A finished run is said to be finished, and stays as it is.
func TestResumeFinished(t *testing.T) {
	run, _, data := begun(t)
	good(t, "train", "--resume", run, "--json")
	os.Remove(data) // it is not needed
	before, page := untimed(t, run), must.Read(t, run, "report.html")
	status, out, notes := clgrad(t, "train", "--resume", run)
	if status != success || out != "" || notes != "clgrad: "+run+": finished, all 20 iterations are done\n" {
		t.Errorf("status %d, %q, %q", status, out, notes)
	}
	sameRun(t, "resumed when finished", before, run)
	if must.Read(t, run, "report.html") != page {
		t.Error("the report has changed")
	}
}

// A run that left the finite numbers keeps its last good checkpoint, and says
// which.
func TestNonFiniteKeeps(t *testing.T) {
	run := filepath.Join(t.TempDir(), "run")
	args := []string{"train", "--data", write(t, "flowers.csv", flowers(1, 20)), "--label", "species", "--init", "he", "--lr", "1e30", "--backend", "cpu",
		"--checkpoint-every", "1", "--out", run}
	status, _, notes := clgrad(t, args...)
	m, _, _, err := checkpoint.LoadRun(run)
	if status != failure || err != nil || m.Run.Iterations < 1 ||
		!strings.Contains(notes, fmt.Sprintf("iteration %d, the last that was kept, is saved in %s", m.Run.Iterations, run)) ||
		!strings.Contains(notes, "lower the learning rate") {
		t.Errorf("status %d, %s, %v", status, notes, err)
	}
}

// The largest numbers there are log the last iteration alone.
func TestLogEveryLargest(t *testing.T) {
	iterations, _ := lines(t, good(t, "train", "--data", write(t, "flowers.csv", flowers(1, 5)), "--label", "species", "--iterations", "3", "--backend", "cpu",
		"--json", "--log-every", fmt.Sprint(recipe.Most), "--checkpoint-every", fmt.Sprint(recipe.Most), "--out", filepath.Join(t.TempDir(), "run")))
	if len(iterations) != 1 || iterations[0].Iteration != 3 {
		t.Errorf("%+v", iterations)
	}
}

// Without a directory there is nothing to keep checkpoints in.
func TestCheckpointsNeedDirectory(t *testing.T) {
	status, _, notes := clgrad(t, "train", "--checkpoint-every", "5")
	if status != usage || !strings.Contains(notes, "--checkpoint-every: nothing is kept without --out") {
		t.Errorf("status %d, %s", status, notes)
	}
}

// What is judged of a run that is not finished is said, and what could not be.
func TestEvalUnfinished(t *testing.T) {
	run, _, _ := begun(t)
	must.OK(t, os.Truncate(newest(t, run), 700))
	defer func() {
		files, _ := filepath.Glob(filepath.Join(run, checkpoint.Folder, "*"))
		for _, file := range files {
			os.Truncate(file, 700)
		}
		if status, _, notes := clgrad(t, "eval", run, "--backend", "cpu"); status != failure || strings.Count(notes, "it is passed over\n") != len(files) ||
			!strings.Contains(notes, run+": no checkpoint\n") {
			t.Errorf("of damaged checkpoints alone: status %d, %s", status, notes)
		}
	}()
	status, out, notes := clgrad(t, "eval", run, "--backend", "cpu")
	if status != success || !strings.HasPrefix(out, "Training set: ") || !strings.Contains(notes, "it is passed over\n") ||
		!strings.Contains(notes, "clgrad: "+run+": the run is not finished: its checkpoint of iteration 8 is taken\n") {
		t.Errorf("status %d, %s, %s", status, out, notes)
	}
}
