package main

import (
	"context"
	"encoding/json"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"clgrad/cmd/clgrad/compare"
	"clgrad/cmd/clgrad/report"
	"clgrad/network"
	"clgrad/network/must"
)

// side returns flags for small data with a validation set.
func side(t *testing.T, args ...string) []string {
	return append([]string{"compare", "--data", write(t, "flowers.csv", flowers(1, 40)), "--label", "species", "--validation", "0.2",
		"--preprocess", "feature", "--layers", "8"}, args...)
}

// Every combination is an entry that learns, and the curves say so: rising epochs and
// seconds, one point each, equal on backends of one precision.
func TestCompare(t *testing.T) {
	var r compare.Report
	out := good(t, side(t, "--optimizer", "gd,adam", "--batch-size", "16,all", "--lr", "0.01,0.1", "--backend", "cpu,cpu64", "--epochs", "30", "--json")...)
	must.OK(t, json.Unmarshal([]byte(out), &r))
	if len(r.Entries) != 16 || r.Of != "validation set" || r.OfRows != 24 || r.Rows != 96 || r.Seeds != 1 {
		t.Fatalf("%s", out)
	}
	names := map[string]compare.Entry{}
	for _, x := range r.Entries {
		names[x.Name] = x
		if len(x.Runs) != 1 || len(x.Runs[0].Epochs) != 30 || !x.Runs[0].Ended || x.EpochSeconds <= 0 || x.Runs[0].Load <= 0 || x.Runs[0].Warmup <= 0 {
			t.Fatalf("%+v", x)
		}
		before := compare.Epoch{}
		for _, e := range x.Runs[0].Epochs {
			if e.Epoch != before.Epoch+1 || e.Seconds <= before.Seconds || e.Loss <= 0 || e.HeldOutLoss <= 0 || e.Accuracy < 0 || e.Accuracy > 1 {
				t.Errorf("%s: %+v follows %+v", x.Name, e, before)
			}
			before = e
		}
		if first := x.Runs[0].Epochs[0]; before.Loss >= first.Loss || x.Loss != before.Loss || x.Accuracy != before.Accuracy || x.Best < x.Accuracy {
			t.Errorf("%s: the loss went from %g to %g; %+v", x.Name, first.Loss, before.Loss, x)
		}
	}
	if len(names) != 16 {
		t.Errorf("%d names of 16 entries", len(names))
	}
	fast, slow := names["adam, batch 16, lr 0.1, cpu"], names["gd, all rows, lr 0.01, cpu"]
	if fast.Accuracy < 0.9 || fast.Loss >= slow.Loss || fast.BatchSize != 16 || slow.BatchSize != 96 || fast.LearningRate != 0.1 || fast.Optimizer != network.Adam {
		t.Errorf("%+v\n%+v", fast, slow)
	}
	if exact := names["adam, batch 16, lr 0.1, cpu64"]; exact.Loss/fast.Loss-1 > 1e-3 || fast.Loss/exact.Loss-1 > 1e-3 {
		t.Errorf("loss %g in float32, %g in float64", fast.Loss, exact.Loss)
	}
}

// A run ends at the target, its time is that of the epoch, and runs have seeds of their
// own; what does not get there says so.
func TestCompareTarget(t *testing.T) {
	var r compare.Report
	dir := filepath.Join(t.TempDir(), "comparison")
	args := side(t, "--optimizer", "nesterov,gd", "--batch-size", "16", "--lr", "0.1,1e-9", "--backend", "cpu", "--epochs", "40", "--target", "0.8", "--seeds", "3")
	must.OK(t, json.Unmarshal([]byte(good(t, append(args, "--json", "--out", dir)...)), &r))
	for _, x := range r.Entries {
		seeds := map[uint64]bool{}
		for _, run := range x.Runs {
			seeds[run.Seed] = true
			n := len(run.Epochs)
			switch {
			case x.LearningRate < 0.1 && (run.Reached != 0 || n != 40):
				t.Errorf("%s: %+v", x.Name, run)
			case x.LearningRate < 0.1:
			case run.Reached != n || run.Epochs[n-1].Accuracy < 0.8 || n > 1 && run.Epochs[n-2].Accuracy >= 0.8:
				t.Errorf("%s ended after epoch %d: %+v", x.Name, n, run)
			}
		}
		if len(seeds) != 3 || !seeds[1] || !seeds[3] {
			t.Errorf("seeds %v", seeds)
		}
		if reached := x.LearningRate == 0.1; reached != (x.Reached == 3) || reached != (x.TargetSeconds > 0) {
			t.Errorf("%+v", x)
		}
	}
	page := must.Read(t, dir, report.FileName)
	for _, want := range []string{
		`id="accuracy-epochs"`, `id="accuracy-seconds"`, `id="loss-epochs"`, `id="loss-seconds"`, "over Seconds of training", "target, 80 %",
		"nesterov, lr 0.1<", "gd, lr 1e-09<", "3 of 3", "0 of 3", "first run, with seed 1", "Left out are loading",
	} {
		if !strings.Contains(page, want) {
			t.Errorf("the report does not have %q", want)
		}
	}
	// Each of the four charts has a curve an entry: its name stands in every legend, and in the table.
	if n, m := strings.Count(page, "</svg>nesterov, lr 0.1: "), strings.Count(page, ">nesterov, lr 0.1<"); n != 4 || m != 1 {
		t.Errorf("an entry is named %d times in four charts, %d times in the table", n, m)
	}
	table := good(t, args...)
	for _, want := range []string{"s to 80 %", "validation set of 24 rows", "medians over 3 runs", "Left out are loading", "–", "3 of 3"} {
		if !strings.Contains(table, want) {
			t.Errorf("the table does not have %q:\n%s", want, table)
		}
	}
}

// A rate that diverges ends its own entry.
func TestCompareDiverges(t *testing.T) {
	status, out, notes := clgrad(t, side(t, "--lr", "0.1,1e38", "--backend", "cpu", "--epochs", "3")...)
	if status != success || !strings.Contains(notes, "gd, lr 1e+38, seed 1, ends: iteration 2: loss, gradient or parameters are not finite") ||
		strings.Count(notes, "\n") != 1 || !strings.Contains(out, "gd, lr 0.1") || strings.Contains(out, "NaN") {
		t.Errorf("status %d\n%s%s", status, out, notes)
	}
	says(t, failure, "no entry comes to its end: iteration 2", side(t, "--lr", "1e38", "--backend", "cpu", "--epochs", "3")...)
}

// What cannot be compared is one line, before anything is trained.
func TestCompareErrors(t *testing.T) {
	bare := []string{"compare", "--data", write(t, "flowers.csv", flowers(1, 10)), "--label", "species", "--backend", "cpu"}
	own := t.TempDir()
	must.Write(t, "mine", own, report.FileName)
	for _, c := range []struct {
		args   []string
		status int
		want   string
	}{
		{side(t, "--optimizer", "gd,sgd"), usage, `optimizer "sgd" is unknown: one of gd, momentum, nesterov, adam, adamw`},
		{side(t, "--batch-size", "16,0"), usage, `--batch-size: "0": a whole number of rows from 1`},
		{side(t, "--batch-size", "97"), usage, "batches of 97 rows: the training set has 96"},
		{side(t, "--target", "1.5"), usage, `"1.5": a share above 0 and at most 1 is expected`},
		{side(t, "--target", "0"), usage, `"0": a share above 0`},
		{side(t, "--lr", "0"), usage, "a learning rate above 0"},
		{side(t, "--backend", "gpu"), usage, `--backend: "gpu": auto, cpu`},
		{side(t, "--optimizer", "gd,adam", "--batch-size", "1,2,3,4,5,6,7,8,9,10,11", "--lr", "0.1,0.2,0.3"), usage, "66 combinations of optimizer, batch size, learning rate and backend: 64 at most"},
		{side(t, "--history-size", "5"), usage, "--history-size: it belongs to the optimizer lbfgs"},
		{side(t, "--optimizer", "gd,lbfgs", "--batch-size", "16"), usage, "optimizer lbfgs takes all rows: the batch size all is expected"},
		{append(bare, "--epochs", "1"), failure, "neither a validation nor a test set to take the accuracy of"},
		{side(t, "--out", own), failure, filepath.Join(own, report.FileName) + " is there already"},
		{side(t, "--backend", "cpu", "--precision", "tf32"), usage, "--precision tf32: an OpenCL device is expected"},
	} {
		status, out, notes := clgrad(t, c.args...)
		if status != c.status || out != "" || strings.Count(notes, "\n") != 1 || !strings.Contains(notes, c.want) {
			t.Errorf("%v: status %d, %q, %q; want %d and %q in one line", c.args, status, out, notes, c.status, c.want)
		}
	}
	if must.Read(t, own, report.FileName) != "mine" {
		t.Error("a report was replaced")
	}
}

// A signal ends a comparison, and what it has come to is shown.
func TestCompareStopped(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	defer cancel(nil)
	time.AfterFunc(2*time.Second, func() { cancel(signalError{syscall.SIGINT}) })
	dir := filepath.Join(t.TempDir(), "comparison")
	status, out, notes := clgradIn(ctx, side(t, "--optimizer", "gd,adam", "--backend", "cpu", "--epochs", "1000000000", "--out", dir)...)
	if status != 130 || !strings.HasSuffix(notes, "clgrad: stopped by SIGINT\n") || !strings.Contains(out, "gd ") || !strings.Contains(out, "adam ") {
		t.Errorf("status %d\n%s%s", status, out, notes)
	}
	if page := must.Read(t, dir, report.FileName); !strings.Contains(page, `id="loss-epochs"`) {
		t.Error("the report has no curves")
	}
}

// A time limit ends runs whose epochs add up to it.
func TestCompareTimeLimit(t *testing.T) {
	var r compare.Report
	out := good(t, side(t, "--batch-size", "1", "--lr", "0.001", "--backend", "cpu", "--epochs", "1000000", "--time-limit", "1", "--json")...)
	must.OK(t, json.Unmarshal([]byte(out), &r))
	epochs := r.Entries[0].Runs[0].Epochs
	if n := len(epochs); n < 2 || epochs[n-1].Seconds < 1 || epochs[n-2].Seconds >= 1 {
		t.Errorf("%d epochs, the last %+v", n, epochs[max(0, n-2):])
	}
}

// On every backend the same losses, with a last batch that is shorter.
func TestCompareBackends(t *testing.T) {
	var r compare.Report
	names := backends(t)
	out := good(t, side(t, "--optimizer", "momentum", "--batch-size", "20", "--backend", strings.Join(names, ","), "--epochs", "4", "--json")...)
	must.OK(t, json.Unmarshal([]byte(out), &r))
	if len(r.Entries) != len(names) {
		t.Fatalf("%s", out)
	}
	for i, x := range r.Entries {
		if x.Name != "momentum, "+names[i] || x.Device == "" {
			t.Errorf("%+v", x)
		}
		for j, e := range x.Runs[0].Epochs {
			if want := r.Entries[0].Runs[0].Epochs[j]; e.Loss/want.Loss-1 > 1e-4 || want.Loss/e.Loss-1 > 1e-4 {
				t.Errorf("%s: loss %g in epoch %d, %g on %s", x.Name, e.Loss, j+1, want.Loss, names[0])
			}
		}
	}
}
