package main

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"clgrad/cmd/clgrad/compare"
	"clgrad/network"
	"clgrad/network/checkpoint"
	"clgrad/network/must"
)

// convergent returns the command line of a run by L-BFGS that converges long before its last
// iteration.
func convergent(t *testing.T, more ...string) []string {
	t.Helper()
	return append([]string{"train", "--data", write(t, "flowers.csv", flowers(1, 20)), "--label", "species", "--layers", "7", "--backend", "cpu", "--optimizer", "lbfgs",
		"--weight-decay", "0.05", "--validation", "0.2", "--iterations", "1000", "--log-every", "7"}, more...)
}

// Where there is no lower loss a run ends well, says so in every form, and is finished.
func TestConverges(t *testing.T) {
	run, args := filepath.Join(t.TempDir(), "run"), convergent(t)
	status, out, notes := clgrad(t, append(args, "--out", run, "--json")...)
	all, s := lines(t, out)
	last := all[len(all)-1]
	if status != success || s.Iterations < 8 || s.Iterations > 900 || s.Converged == "" || s.StoppedEarly || last.Iteration != s.Iterations || last.ValidationLoss == nil ||
		len(all) != (s.Iterations+6)/7 || strings.Count(notes, "\n") != 1 {
		t.Fatalf("status %d, %+v, %+v, %s", status, s, last, notes)
	}
	if words := fmt.Sprintf("the run has converged after iteration %d of 1000: %s\n", s.Iterations, s.Converged); !strings.Contains(notes, words) {
		t.Errorf("%q does not say %q", notes, words)
	}
	m, err := checkpoint.Load(filepath.Join(run, checkpoint.FileName))
	if err != nil || m.Run.Iterations != s.Iterations || string(m.Run.Converged) != s.Converged || m.Run.Stopped != 0 {
		t.Errorf("%+v, %v", m.Run, err)
	}
	page, words := must.Read(t, run, "report.html"), fmt.Sprintf("after iteration %d of 1000: %s", s.Iterations, s.Converged)
	if !strings.Contains(page, words) || !strings.Contains(page, "lbfgs, history of 10 pairs, weight decay 0.05") {
		t.Errorf("the report does not say %q, or not by which optimizer", words)
	}
	if out := good(t, args...); !strings.Contains(out, "Converged: "+words+"\n") {
		t.Errorf("the summary does not say %q:\n%s", words, out)
	}
	want := untimed(t, run)
	says(t, success, fmt.Sprintf("finished, all %d iterations until it converged are done", s.Iterations), "train", "--resume", run)
	must.OK(t, os.Remove(filepath.Join(run, "report.html")))
	good(t, "train", "--resume", run)
	sameRun(t, "the report made again", want, run)
	// Without its model the run is made of its checkpoint.
	must.OK(t, os.Remove(filepath.Join(run, checkpoint.FileName)))
	good(t, "train", "--resume", run)
	sameRun(t, "the model made again", want, run)

	// Plain descent gets no lower, and there is no step left to start with.
	lower, _ := lines(t, good(t, append(args, "--from", run, "--json", "--optimizer", "gd", "--lr", "0.05", "--iterations", "300")...))
	if first, last := float64(lower[0].Loss), float64(lower[len(lower)-1].Loss); math.Abs(last/first-1) > 1e-3 {
		t.Errorf("gd goes from a loss of %g to %g", first, last)
	}
}

// The end is found again, with the same bits, wherever a run is interrupted: also between the
// checkpoint of its last iteration and the search that finds that there is no next one.
func TestConvergesInterrupted(t *testing.T) {
	for name, more := range map[string][]string{
		"lines and checkpoints": {"--checkpoint-every", "1", "--log-every", "1"},
		"few lines":             {"--checkpoint-every", "1", "--log-every", "400"},
		"no checkpoints":        {"--precision", "float32"},
		"early stopping":        {"--early-stopping", "--patience", "500", "--log-every", "2", "--checkpoint-every", "3"},
	} {
		args := convergent(t, more...)
		whole := filepath.Join(t.TempDir(), "whole")
		ctx, cancel := context.WithCancelCause(t.Context())
		asked := &countdown{ctx, 1 << 30, cancel}
		if status, _, notes := clgradIn(asked, append(args, "--out", whole)...); status != success {
			t.Fatalf("%s: status %d, %s", name, status, notes)
		}
		cancel(nil)
		total := 1<<30 - asked.left
		want, stopped := untimed(t, whole), 0
		points := []int{total / 2}
		for n := max(1, total-40); n < total; n += 1 + total%2 {
			points = append(points, n)
		}
		for _, n := range points {
			run := filepath.Join(t.TempDir(), "run")
			status, notes := interrupted(t, n, append(args, "--out", run)...)
			switch status {
			case 130:
				stopped++
				good(t, "train", "--resume", run)
			case success:
			default:
				t.Fatalf("%s: status %d, %s", name, status, notes)
			}
			sameRun(t, fmt.Sprintf("%s, interrupted at %d of %d", name, n, total), want, run)
		}
		if stopped < 5 {
			t.Errorf("%s: only %d runs were interrupted", name, stopped)
		}
	}
}

// Parameters that cannot be improved are the result of a run without an iteration.
func TestConvergesAtOnce(t *testing.T) {
	first, args := filepath.Join(t.TempDir(), "first"), convergent(t)
	good(t, append(args, "--out", first)...)
	for range 5 { // each begins with an empty history, and may get a little further
		run := filepath.Join(t.TempDir(), "run")
		all, s := lines(t, good(t, append(args, "--from", first, "--out", run, "--json")...))
		if first = run; s.Iterations > 0 {
			continue
		}
		if len(all) != 0 || s.Converged != string(network.NoProgress) || !(s.Loss > 0) {
			t.Errorf("%v, %+v", all, s)
		}
		if out := good(t, append(args, "--from", first)...); !strings.Contains(out, "Converged: after iteration 0 of 1000: ") || strings.Contains(out, "Time:") {
			t.Error(out)
		}
		want := untimed(t, run)
		must.OK(t, os.Remove(filepath.Join(run, checkpoint.FileName)))
		good(t, "train", "--resume", run)
		sameRun(t, "the model made again", want, run)
		return
	}
	t.Error("no run ends at once")
}

// A new plan has other bits: the history of L-BFGS is not of it.
func TestNewPlanLBFGS(t *testing.T) {
	run, args := filepath.Join(t.TempDir(), "run"), convergent(t, "--checkpoint-every", "3")
	if status, notes := interrupted(t, 25, append(args, "--out", run)...); status != 130 {
		t.Fatalf("status %d, %s", status, notes)
	}
	m, _, _, err := checkpoint.LoadRun(run)
	if err != nil || m.State.LBFGS == nil || m.State.LBFGS.Pairs() == 0 {
		t.Fatalf("%+v, %v", m.State, err)
	}
	m.State.LBFGS.Loss *= 1.5 // as of another device
	must.OK(t, checkpoint.Save(newest(t, run), m))
	says(t, failure, "state of lbfgs has loss", "train", "--resume", run)
	says(t, success, "the history of lbfgs begins anew", "train", "--resume", run, "--new-plan")
}

// L-BFGS takes part in a comparison with all rows, an epoch an iteration, until it converges.
func TestCompareLBFGS(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "comparison")
	for _, more := range [][]string{nil, {"--cold"}} {
		var r compare.Report
		args := append(side(t, "--optimizer", "gd,lbfgs", "--batch-size", "16,all", "--history-size", "30", "--backend", "cpu", "--epochs", "400", "--json"), more...)
		if more == nil {
			args = append(args, "--out", dir)
		}
		status, out, notes := clgrad(t, args...)
		if err := json.Unmarshal([]byte(out), &r); err != nil || status != success || len(r.Entries) != 3 || r.HistorySize != 30 {
			t.Fatalf("status %d, %v, %s", status, err, out)
		}
		x := r.Entries[2]
		n := len(x.Runs[0].Epochs)
		if x.Optimizer != network.LBFGS || x.BatchSize != 96 || x.LearningRate != 1 || n < 10 || n > 390 || !x.Runs[0].Ended || x.Runs[0].Problem != "" ||
			!strings.HasPrefix(x.Runs[0].Converged, fmt.Sprintf("after iteration %d: converged: ", n)) || x.Loss >= r.Entries[1].Loss {
			t.Errorf("%+v", x)
		}
		if want := "lbfgs, all rows, seed 1, ends: " + x.Runs[0].Converged; strings.Count(notes, "\n") != 1 || !strings.Contains(notes, want) {
			t.Errorf("%q is not %q", notes, want)
		}
	}
	if page := must.Read(t, dir, "report.html"); !strings.Contains(page, "ends: after iteration ") || !strings.Contains(page, "lbfgs with a history of 30 pairs") {
		t.Error("the report does not say why the run ended, or with which history")
	}
}
