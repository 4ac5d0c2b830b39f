package main

import (
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"

	"clgrad/cmd/clgrad/recipe"
	"clgrad/network/checkpoint"
	"clgrad/network/must"
)

// Shifted copies are of the rows to train on alone. The run says so, and keeps it in its
// configuration and in its model; eval scores the rows of the set.
func TestShifts(t *testing.T) {
	data, run := images(t, 200, 30), filepath.Join(t.TempDir(), "run")
	args := []string{"train", "--data", data, "--validation", "0.2", "--layers", "9", "--batch-size", "50", "--epochs", "2", "--backend", "cpu"}
	_, s := lines(t, good(t, append(args, "--shifts", "1", "--json", "--out", run)...))
	if s.Shifts != 1 || s.Iterations != 2*160*5/50 {
		t.Errorf("%+v", s)
	}
	m, err := checkpoint.Load(filepath.Join(run, checkpoint.FileName))
	must.OK(t, err)
	if !strings.Contains(string(m.Run.Setup), `"shifts":1,`) || m.Run.Plan.Rows != 160*5 {
		t.Errorf("%s, %d rows", m.Run.Setup, m.Run.Plan.Rows)
	}
	if config := must.Read(t, run, recipe.FileName); !strings.Contains(config, `"shifts": 1,`) {
		t.Error(config)
	}
	if want := "800 rows to train on, with copies shifted by up to 1 px, 40 for validation, 30 to test on"; !strings.Contains(must.Read(t, s.Report), want) {
		t.Errorf("the report does not say %q", want)
	}
	if out := good(t, append(args, "--shifts", "1")...); !strings.Contains(out, "Training set with shifted copies: loss ") {
		t.Error(out)
	}
	if out := good(t, args...); !strings.Contains(out, "Training set: loss ") {
		t.Error(out)
	}

	text := good(t, "eval", run, "--backend", "cpu")
	if !strings.HasPrefix(text, "Training set without shifted copies: loss ") {
		t.Error(text)
	}
	if again := good(t, "eval", filepath.Join(run, checkpoint.FileName), "--data", data, "--backend", "cpu"); again != text {
		t.Errorf("eval by --data\n%s\nby the configuration\n%s", again, text)
	}
	var e evaluation
	must.OK(t, json.Unmarshal([]byte(good(t, "eval", run, "--backend", "cpu", "--json")), &e))
	if e.HeldOut != s.HeldOut || e.Loss == s.Loss {
		t.Errorf("train found %+v and loss %g, eval %+v and %g", s.HeldOut, float64(s.Loss), e.HeldOut, float64(e.Loss))
	}
	// Other data is not said to be without copies.
	if out := good(t, "eval", run, "--data", images(t, 90, 20), "--backend", "cpu"); strings.Contains(out, "copies") {
		t.Error(out)
	}
}

// A run with shifted copies that is interrupted ends with the bits of one that is not.
func TestResumeShifts(t *testing.T) {
	data := images(t, 60, 20)
	args := []string{"train", "--data", data, "--shifts", "2", "--layers", "7", "--optimizer", "nesterov", "--batch-size", "50", "--iterations", "14", "--backend", "cpu",
		"--checkpoint-every", "3"}
	whole, run := filepath.Join(t.TempDir(), "whole"), filepath.Join(t.TempDir(), "run")
	good(t, append(args, "--out", whole)...)
	if status, notes := interrupted(t, 9, append(args, "--out", run)...); status != 130 {
		t.Fatalf("status %d, %s", status, notes)
	}
	good(t, "train", "--resume", run)
	sameRun(t, "shifts", untimed(t, whole), run)
}

// Data without rows and columns has no copies to be had, which one line says.
func TestShiftsOfOtherData(t *testing.T) {
	run := filepath.Join(t.TempDir(), "run")
	for _, c := range []struct{ shifts, want string }{
		{"1", "--shifts: flowers.csv: images of rows and columns are expected, the samples' shape is 4\n"},
		{"-1", `--shifts: "-1": a whole number of at least 0`},
	} {
		status, out, notes := clgrad(t, "train", "--data", write(t, "flowers.csv", flowers(1, 9)), "--label", "species", "--shifts", c.shifts, "--backend", "cpu", "--out", run)
		if status == success || out != "" || !strings.Contains(notes, c.want) || strings.Count(notes, "\n") != 1 || there(run)() {
			t.Errorf("status %d, %s%s", status, out, notes)
		}
	}
	if status, _, notes := clgrad(t, "train", "--data", images(t, 20, 5), "--shifts", "28", "--backend", "cpu"); status != failure ||
		!strings.Contains(notes, "--shifts: shifts of 28 pixels: images of 28 × 28 in") {
		t.Errorf("status %d, %s", status, notes)
	}
}
