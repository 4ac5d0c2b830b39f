package main

import (
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"clgrad/cmd/clgrad/recipe"
	"clgrad/cmd/clgrad/run"
	"clgrad/network/checkpoint"
	"clgrad/network/must"
)

// A run that is given more iterations, finished or not, ends with the bits of one that had
// them from the start, wherever it is interrupted on its way.
func TestResumeLonger(t *testing.T) {
	data := write(t, "flowers.csv", flowers(1, 20))
	for name, c := range map[string]struct{ first, last, more []string }{
		"plain":          {[]string{"--iterations", "7"}, []string{"--iterations", "16"}, []string{"--log-every", "3"}},
		"in epochs":      {[]string{"--epochs", "2"}, []string{"--epochs", "5"}, []string{"--optimizer", "nesterov", "--batch-size", "25", "--checkpoint-every", "4"}},
		"within epochs":  {[]string{"--iterations", "5"}, []string{"--iterations", "14"}, []string{"--optimizer", "adamw", "--batch-size", "17", "--log-every", "3"}},
		"cosine":         {[]string{"--iterations", "5"}, []string{"--iterations", "9"}, []string{"--optimizer", "adam", "--schedule", "cosine", "--schedule-steps", "20"}},
		"early stopping": {[]string{"--iterations", "5"}, []string{"--iterations", "40"}, []string{"--optimizer", "adam", "--lr", "0.05", "--batch-size", "9", "--validation", "0.2", "--early-stopping", "--patience", "4", "--log-every", "2"}},
		"lbfgs":          {[]string{"--iterations", "5"}, []string{"--iterations", "12"}, []string{"--optimizer", "lbfgs", "--history-size", "4", "--log-every", "3"}},
		"converges":      {[]string{"--iterations", "7"}, []string{"--iterations", "500"}, []string{"--optimizer", "lbfgs", "--weight-decay", "0.1", "--checkpoint-every", "4"}},
		"has converged":  {[]string{"--iterations", "400"}, []string{"--epochs", "500"}, []string{"--optimizer", "lbfgs", "--weight-decay", "0.1", "--log-every", "7"}},
		"another unit":   {[]string{"--epochs", "2"}, []string{"--iterations", "11"}, []string{"--optimizer", "momentum", "--batch-size", "25"}},
	} {
		args := slices.Concat([]string{"train", "--data", data, "--label", "species", "--layers", "7,5", "--backend", "cpu", "--predictions", "table"}, c.more)
		whole, short := filepath.Join(t.TempDir(), "whole"), filepath.Join(t.TempDir(), "short")
		good(t, slices.Concat(args, c.last, []string{"--out", whole})...)
		good(t, slices.Concat(args, c.first, []string{"--out", short})...)
		want := untimed(t, whole)
		resume := func(run string) []string { return append([]string{"train", "--resume", run}, c.last...) }
		copied := func() string {
			run := filepath.Join(t.TempDir(), "run")
			must.OK(t, os.CopyFS(run, os.DirFS(short)))
			return run
		}
		run := copied()
		if status, _, notes := clgrad(t, resume(run)...); status != success || !strings.Contains(notes, run+": goes on after iteration ") {
			t.Fatalf("%s: status %d, %s", name, status, notes)
		}
		sameRun(t, name, want, run)
		if text := must.Read(t, run, "report.html"); text == must.Read(t, short, "report.html") {
			t.Errorf("%s: the report is that of the shorter run", name)
		}
		good(t, resume(run)...) // as many as it has
		sameRun(t, name+", given as many", want, run)
		stopped := 0
		for n := 2; n < 30; n += 4 {
			run := copied()
			status, notes := interrupted(t, n, resume(run)...)
			if status == 130 {
				stopped++
				if m, _, _, err := checkpoint.LoadRun(run); err != nil {
					t.Errorf("%s, interrupted at %d: %+v, %v", name, n, m.Run, err)
				}
				// A signal before the first iteration leaves the shorter run.
				if must.Read(t, run, recipe.FileName) == want[recipe.FileName] {
					good(t, "train", "--resume", run)
				} else {
					good(t, resume(run)...)
				}
			} else if status != success {
				t.Fatalf("%s, interrupted at %d: status %d, %s", name, n, status, notes)
			}
			sameRun(t, fmt.Sprintf("%s, interrupted at %d", name, n), want, run)
		}
		if stopped == 0 {
			t.Errorf("%s: no run was interrupted", name)
		}
	}
}

// What cannot be is refused in one line, and the finished run stays as it is.
func TestResumeLongerRefuses(t *testing.T) {
	data := write(t, "flowers.csv", flowers(1, 20))
	train := func(more ...string) string {
		run := filepath.Join(t.TempDir(), "run")
		good(t, append([]string{"train", "--data", data, "--label", "species", "--iterations", "12", "--backend", "cpu", "--out", run}, more...)...)
		return run
	}
	plain, cosine, adam := train("--batch-size", "20"), train("--schedule", "cosine"), train("--optimizer", "adam")
	for _, file := range checkpoints(t, adam) {
		must.OK(t, os.Remove(file))
	}
	unread := train()
	must.OK(t, os.Truncate(filepath.Join(unread, iterationsTable), 50))
	for _, c := range []struct {
		run    string
		more   []string
		status int
		want   string
	}{
		{plain, []string{"--iterations", "11"}, failure, "clgrad: --resume: 11 iterations are fewer than the 12 iterations of the run: as many or more are expected"},
		{plain, []string{"--epochs", "3"}, failure, "clgrad: --resume: 3 epochs are fewer than the 12 iterations of the run"},
		{plain, []string{"--epochs", "5", "--iterations", "15"}, usage, "--epochs: iterations are given too"},
		{cosine, []string{"--iterations", "13"}, failure, "--schedule: 13 iterations by a cosine schedule of 12 steps: as many at most are possible"},
		{adam, []string{"--iterations", "13"}, failure, "its last checkpoint is not there any more"},
		{unread, []string{"--iterations", "13"}, failure, "iterations.csv: ends before its line for "},
	} {
		before := tree(t, c.run)
		status, out, notes := clgrad(t, append([]string{"train", "--resume", c.run}, c.more...)...)
		all := strings.Split(strings.TrimSpace(notes), "\n")
		if status != c.status || out != "" || len(all) > 2 || !strings.Contains(all[len(all)-1], c.want) || strings.Contains(notes, "of 11") {
			t.Errorf("%v: status %d, %q, %q; want %s", c.more, status, out, notes, c.want)
		}
		if d := cmp.Diff(before, tree(t, c.run)); d != "" {
			t.Errorf("%v: the directory has changed:\n%s", c.more, d)
		}
	}
	// A plain run needs no checkpoint to go on from.
	for _, file := range checkpoints(t, plain) {
		must.OK(t, os.Remove(file))
	}
	whole := filepath.Join(t.TempDir(), "whole")
	good(t, "train", "--recipe", plain, "--iterations", "15", "--out", whole)
	began := run.Began(plain)
	good(t, "train", "--resume", plain, "--iterations", "15")
	sameRun(t, "without its checkpoint", untimed(t, whole), plain)
	if now := run.Began(plain); !now.Equal(began) || now.IsZero() {
		t.Errorf("a run that began at %v began at %v once it has more iterations", began, now)
	}
}

// A run that an older program began, whose files say nothing of optimizers and schedules,
// goes on.
func TestResumeOlder(t *testing.T) {
	run, args, _ := begun(t)
	whole := filepath.Join(t.TempDir(), "whole")
	good(t, append(args, "--out", whole)...)
	for _, line := range []string{"  \"optimizer\": \"gd\",\n", "  \"schedule\": \"constant\",\n"} {
		change(t, filepath.Join(run, recipe.FileName), line, "")
	}
	m, _, _, err := checkpoint.LoadRun(run)
	must.OK(t, err)
	var setup map[string]any
	must.OK(t, json.Unmarshal(m.Run.Setup, &setup))
	delete(setup, "optimizer")
	delete(setup, "schedule")
	m.Run.Setup, err = json.Marshal(setup)
	must.OK(t, err)
	must.OK(t, checkpoint.Save(newest(t, run), m))
	good(t, "train", "--resume", run)
	if must.Read(t, run, checkpoint.FileName) != must.Read(t, whole, checkpoint.FileName) {
		t.Error("the model differs")
	}
}

// Early stopping ends with the parameters of the lowest validation loss, patience
// evaluations after it, with a directory or without; its report can be made again.
func TestEarlyStopping(t *testing.T) {
	data := write(t, "flowers.csv", noisyFlowers(34))
	for _, more := range [][]string{{"--batch-size", "20"}, nil} {
		args := append([]string{"train", "--data", data, "--label", "species", "--validation", "0.2", "--layers", "30", "--optimizer", "adam", "--lr", "0.1",
			"--epochs", "2000", "--log-every", "4", "--early-stopping", "--patience", "5", "--backend", "cpu", "--json"}, more...)
		run := filepath.Join(t.TempDir(), "run")
		all, s := lines(t, good(t, append(args, "--out", run)...))
		best := slices.MinFunc(all, func(a, b iterationLine) int {
			return int(math.Copysign(1, float64(*a.ValidationLoss-*b.ValidationLoss)))
		})
		if s.Best == nil || s.Best.Iteration != best.Iteration || s.Best.ValidationLoss != *best.ValidationLoss || s.ValidationLoss != *best.ValidationLoss ||
			!s.StoppedEarly || s.Iterations != best.Iteration+5*4 || all[len(all)-1].Iteration != s.Iterations {
			t.Fatalf("%+v, %+v, best line %+v", s, s.Best, best)
		}
		m, err := checkpoint.Load(filepath.Join(run, checkpoint.FileName))
		if err != nil || m.Run.Iterations != best.Iteration || m.Run.Stopped != s.Iterations {
			t.Errorf("%+v, %v", m.Run, err)
		}
		if out := good(t, "eval", run, "--backend", "cpu"); !strings.Contains(out, fmt.Sprintf("Validation set: loss %.4f", float64(*best.ValidationLoss))) {
			t.Errorf("%s; want %v", out, *best.ValidationLoss)
		}
		_, alone := lines(t, good(t, args...))
		if alone.Iterations != s.Iterations || *alone.Best != *s.Best || alone.Loss != s.Loss {
			t.Errorf("without a directory: %+v, with one %+v", alone, s)
		}
		want := untimed(t, run)
		says(t, success, fmt.Sprintf("finished, all %d iterations until early stopping are done", s.Iterations), "train", "--resume", run)
		must.OK(t, os.Remove(filepath.Join(run, "report.html")))
		good(t, "train", "--resume", run)
		sameRun(t, "the report made again", want, run)
		if page := must.Read(t, run, "report.html"); !strings.Contains(page, "Early stopping") {
			t.Error("the report does not say where it stopped")
		}
	}
}

// noisyFlowers are flowers of which a tenth has a wrong name: a network that has learnt for
// long has learnt those too.
func noisyFlowers(rowsOfEach int) string {
	rows := strings.Split(strings.TrimSpace(flowers(3, rowsOfEach)), "\n")
	for i := 2; i < len(rows); i += 10 {
		rows[i] = rows[i][:strings.LastIndex(rows[i], ",")] + ",setosa"
	}
	return strings.Join(rows, "\n") + "\n"
}

// A run that starts from the parameters of another goes on as that would have; a model of
// other layers is refused.
func TestFrom(t *testing.T) {
	data, dir := write(t, "flowers.csv", flowers(1, 20)), t.TempDir()
	args := []string{"train", "--data", data, "--label", "species", "--layers", "7", "--backend", "cpu", "--log-every", "1", "--json"}
	whole, _ := lines(t, good(t, append(args, "--iterations", "8")...))
	good(t, append(args, "--iterations", "5", "--out", filepath.Join(dir, "first"))...)
	for _, model := range []string{filepath.Join(dir, "first"), filepath.Join(dir, "first", checkpoint.FileName)} {
		second := filepath.Join(t.TempDir(), "second")
		rest, _ := lines(t, good(t, append(args, "--iterations", "3", "--from", model, "--seed", "9", "--out", second)...))
		for i, line := range rest {
			if line.Loss != whole[5+i].Loss {
				t.Errorf("iteration %d has loss %v, it would have been %v", i+1, line.Loss, whole[5+i].Loss)
			}
		}
		if text := must.Read(t, second, recipe.FileName); !strings.Contains(text, fmt.Sprintf("%q", model)) {
			t.Errorf("no %s in %s", model, text)
		}
	}
	run := filepath.Join(dir, "other")
	status, _, notes := clgrad(t, "train", "--data", data, "--label", "species", "--layers", "8", "--backend", "cpu", "--from", filepath.Join(dir, "first"), "--out", run)
	if want := "first is a network [4 7 3] where this run has [4 8 3]: layers of the same sizes are expected\n"; status != failure || strings.Count(notes, "\n") != 1 ||
		!strings.HasPrefix(notes, "clgrad: --from: ") || !strings.HasSuffix(notes, want) || there(run)() {
		t.Errorf("status %d, %s", status, notes)
	}
	if status, _, notes := clgrad(t, append(args, "--from", data)...); status != failure || strings.Count(notes, "\n") != 1 {
		t.Errorf("status %d, %s", status, notes)
	}
}
