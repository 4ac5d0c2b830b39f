package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"clgrad/cmd/clgrad/report"
	"clgrad/gpu"
	"clgrad/network/checkpoint"
	"clgrad/network/must"
)

// tree returns the names and contents of all below a directory; links by where they
// lead.
func tree(t *testing.T, dir string) map[string]string {
	t.Helper()
	all := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		switch {
		case d.IsDir():
			all[path] = "directory"
		case d.Type()&os.ModeSymlink != 0:
			to, err := os.Readlink(path)
			all[path] = "to " + to
			return err
		default:
			all[path] = must.Read(t, path)
		}
		return nil
	})
	must.OK(t, err)
	return all
}

// A directory that holds any file that a run would write is refused by that file's
// name, and stays as it is, whether the rest of the command line is right or not.
func TestOutRefuses(t *testing.T) {
	good := write(t, "flowers.csv", flowers(1, 5))
	for _, name := range runFiles {
		for _, data := range []string{good, "typo.csv"} {
			own := filepath.Join(t.TempDir(), "own")
			must.OK(t, os.Mkdir(own, 0o777))
			must.Write(t, "mine", own, name)
			before := fmt.Sprint(tree(t, own))
			status, out, notes := clgrad(t, "train", "--data", data, "--label", "species", "--iterations", "1", "--backend", "cpu", "--out", own)
			if want := filepath.Join(own, name) + " is there already"; status != failure || out != "" || strings.Count(notes, "\n") != 1 || !strings.Contains(notes, want) {
				t.Errorf("status %d, %q, %q; want %q in one line", status, out, notes, want)
			}
			if after := fmt.Sprint(tree(t, own)); after != before {
				t.Errorf("%s, with %s: it was %s, it is %s", name, data, before, after)
			}
		}
	}
}

// A run that fails removes what it has made and nothing else: a directory that was
// there stays, and so does a link to one.
func TestOutRemovesItsOwn(t *testing.T) {
	base := t.TempDir()
	link, dir, fresh := filepath.Join(base, "link"), filepath.Join(base, "dir"), filepath.Join(base, "fresh")
	must.OK(t, os.Mkdir(dir, 0o777))
	must.OK(t, os.Symlink(dir, link))
	before := fmt.Sprint(tree(t, base))
	data := write(t, "flowers.csv", flowers(1, 5))
	for _, out := range []string{dir, link, fresh} {
		for _, args := range [][]string{{"--data", "typo.csv"}, {"--data", data, "--label", "species", "--lr", "1e38", "--init", "he"}} {
			if status, _, notes := clgrad(t, append([]string{"train", "--backend", "cpu", "--out", out}, args...)...); status != failure {
				t.Errorf("status %d, %s", status, notes)
			}
			if after := fmt.Sprint(tree(t, base)); after != before {
				t.Errorf("--out %s %v: it was %s, it is %s", out, args, before, after)
			}
		}
	}
	// A run that ends well, and one that is found to have done so.
	args := []string{"--data", data, "--label", "species", "--iterations", "2", "--backend", "cpu", "--out", link}
	good(t, append([]string{"train"}, args...)...)
	good(t, "train", "--resume", link)
	if to, err := os.Readlink(link); err != nil || to != dir {
		t.Errorf("the link leads to %q, %v", to, err)
	}
}

// Where a signal and a failure meet the failure is said; what only says that the work
// was stopped is no failure.
func TestStatus(t *testing.T) {
	stop := signalError{syscall.SIGINT}
	full := errors.New("no space left on device")
	build := &gpu.Error{Device: "0.0", Call: "build a.cl", Err: errors.New("the compiler was ended")}
	pipe := &os.PathError{Op: "write", Path: "/dev/stdout", Err: syscall.EPIPE}
	gone := &os.PathError{Op: "write", Path: "/dev/stdout", Err: syscall.EIO}
	for _, c := range []struct {
		signal      syscall.Signal
		err, output error
		status      int
		want        string
	}{
		{0, nil, nil, success, ""},
		{0, full, nil, failure, "no space left on device"},
		{0, usageError{full}, nil, usage, "no space left on device (see clgrad --help)"},
		{0, nil, full, failure, "standard output: no space left on device"},
		{syscall.SIGINT, nil, nil, 130, "stopped by SIGINT"},
		{syscall.SIGTERM, context.Canceled, nil, 143, "stopped by SIGTERM"},
		{syscall.SIGINT, fmt.Errorf("eval: %w", errors.Join(context.Canceled, stop)), nil, 130, "stopped by SIGINT"},
		{syscall.SIGINT, errors.Join(stop, full), nil, failure, "stopped by SIGINT, and: no space left on device"},
		{syscall.SIGINT, fmt.Errorf("run: %w", errors.Join(stop, full)), nil, failure, "stopped by SIGINT, and: run: stopped by SIGINT; no space left on device"},
		{syscall.SIGINT, full, nil, failure, "stopped by SIGINT, and: no space left on device"},
		{syscall.SIGINT, fmt.Errorf("iteration 1: %w", build), nil, 130, "stopped by SIGINT: iteration 1: opencl:0.0: build a.cl: the compiler was ended"},
		{syscall.SIGINT, errors.Join(build, full), nil, failure, "stopped by SIGINT, and: opencl:0.0: build a.cl: the compiler was ended; no space left on device"},
		{0, build, nil, failure, "opencl:0.0: build a.cl: the compiler was ended"},
		{0, nil, pipe, 141, ""},
		{0, pipe, pipe, 141, ""},
		{0, errors.Join(pipe, full), pipe, failure, "no space left on device"},
		{0, pipe, nil, failure, "write /dev/stdout: broken pipe"},
		{syscall.SIGINT, pipe, pipe, 130, "stopped by SIGINT"},
		{syscall.SIGHUP, errors.Join(stop, gone), gone, 129, "stopped by SIGHUP"},
		{syscall.SIGINT, gone, gone, failure, "stopped by SIGINT, and: write /dev/stdout: input/output error"},
	} {
		ctx, cancel := context.WithCancelCause(context.Background())
		if c.signal != 0 {
			cancel(signalError{c.signal})
		}
		var notes strings.Builder
		a := &app{Context: ctx, err: &notes}
		if c.want != "" {
			c.want = "clgrad: " + c.want + "\n"
		}
		if status := a.status(c.err, c.output); status != c.status || notes.String() != c.want {
			t.Errorf("%v, %v, %v: status %d, %q; want %d, %q", c.signal, c.err, c.output, status, notes.String(), c.status, c.want)
		}
		cancel(nil)
	}
}

// A run directory that is moved away, or a disk that is full, when the signal comes:
// that the last iterations are lost is said, and no checkpoint is promised that cannot
// be found.
func TestSignalMeetsFailure(t *testing.T) {
	for _, c := range []struct {
		name   string
		meet   func(run string) error
		want   []string
		unwant string
	}{
		{"moved", func(run string) error { return os.Rename(run, run+"-elsewhere") },
			[]string{"no such file or directory", "iteration 4 was saved in ", "which cannot be found any more"}, "--resume"},
		{"no folder", func(run string) error {
			return errors.Join(os.RemoveAll(filepath.Join(run, "checkpoints")), os.WriteFile(filepath.Join(run, "checkpoints"), nil, 0o666))
		}, []string{"not a directory"}, " in :"},
	} {
		run := filepath.Join(t.TempDir(), "run")
		ctx, cancel := context.WithCancelCause(t.Context())
		var notes strings.Builder
		a := &app{Context: ctx, err: &notes, out: writer(func(p []byte) (int, error) {
			if strings.Contains(string(p), "Iteration 7,") {
				must.OK(t, c.meet(run))
				cancel(signalError{syscall.SIGINT})
			}
			return len(p), nil
		})}
		status := a.run([]string{"train", "--data", write(t, "flowers.csv", flowers(1, 20)), "--label", "species", "--iterations", "1000", "--log-every", "1",
			"--checkpoint-every", "4", "--keep-checkpoints", "1", "--backend", "cpu", "--out", run})
		if status != failure {
			t.Errorf("%s: status %d", c.name, status)
		}
		for _, want := range append(c.want, "stopped by SIGINT, and: ") {
			if !strings.Contains(notes.String(), want) {
				t.Errorf("%s: no %q in %s", c.name, want, notes.String())
			}
		}
		if strings.Contains(notes.String(), c.unwant) {
			t.Errorf("%s: %q in %s", c.name, c.unwant, notes.String())
		}
		cancel(nil)
	}
}

// The model comes before the report: a signal or a failure in the report costs the
// report alone, which is said, also by a page in its place, and --resume makes it.
func TestModelBeforeReport(t *testing.T) {
	data := write(t, "flowers.csv", flowers(1, 20))
	args := []string{"train", "--data", data, "--label", "species", "--iterations", "5", "--log-every", "1", "--backend", "cpu", "--predictions", "table", "--out"}
	whole := filepath.Join(t.TempDir(), "whole")
	good(t, append(args, whole)...)
	want := untimed(t, whole)
	resumed := func(what, run, notes string) {
		t.Helper()
		page := fileText(run, report.FileName)
		if !strings.Contains(page, "This makes the whole report:</p><pre>clgrad train --resume "+run) || !there(run, checkpoint.FileName)() || !strings.Contains(notes, "clgrad train --resume "+run+" makes the report") {
			t.Errorf("%s: %v, %s", what, tree(t, run), notes)
		}
		good(t, "eval", run, "--backend", "cpu")
		says(t, success, "the report is made", "train", "--resume", run)
		sameRun(t, what, want, run)
		if page = fileText(run, report.FileName); strings.Contains(page, `id="status"`) || !strings.Contains(page, "Confusion matrix") || len(checkpoints(t, run)) != 1 {
			t.Errorf("%s: %v", what, tree(t, run))
		}
	}
	hits := 0
	for n := 8; n < 20 && hits < 2; n++ {
		run := filepath.Join(t.TempDir(), "run")
		status, notes := interrupted(t, n, append(args, run)...)
		if status == 130 && there(run, checkpoint.FileName)() && strings.Contains(notes, "makes the report") {
			hits++
			resumed(fmt.Sprint("interrupted at ", n), run, notes)
		}
	}
	if hits == 0 {
		t.Error("no signal met the report: nothing is tested")
	}

	run := filepath.Join(t.TempDir(), "run")
	pictures := filepath.Join(run, report.PicturesDir)
	var notes strings.Builder
	a := &app{Context: t.Context(), err: &notes, out: writer(func(p []byte) (int, error) {
		if strings.Contains(string(p), "Iteration 5,") {
			must.Write(t, "", pictures)
		}
		return len(p), nil
	})}
	if status := a.run(append(args, run)); status != failure || !strings.Contains(notes.String(), pictures) {
		t.Errorf("status %d, %s", status, notes.String())
	}
	must.OK(t, os.Remove(pictures))
	resumed("no room for pictures", run, notes.String())
}

// A set or a prediction without a finite result is an error that names the row, in
// every command; a run has saved its model and its report by then.
func TestNotFiniteResults(t *testing.T) {
	train, rows := write(t, "s.csv", "label,a,b\n0,1,0\n1,0,1\n"), write(t, "p.csv", "a,b\n1,0\n0,1\n3e38,-3e38\n")
	test := write(t, "t.csv", "label,a,b\n0,1,0\n1,0,1\n0,3e38,-3e38\n")
	args := []string{"train", "--data", train, "--layers", "8", "--init", "he", "--lr", "100", "--iterations", "20", "--backend", "cpu"}
	model := filepath.Join(t.TempDir(), "model")
	good(t, append(args, "--out", model)...)
	for _, backend := range backends(t) {
		if backend == "cpu64" {
			continue // which has room for these values
		}
		last := func(what, want, unwant string, args ...string) {
			t.Helper()
			status, out, notes := clgrad(t, append(args, "--backend", backend)...)
			lines := strings.Split(strings.TrimSpace(notes), "\n")
			if status != failure || !strings.Contains(lines[len(lines)-1], want) || strings.Contains(out, "NaN") || strings.Contains(out, unwant) {
				t.Errorf("%s on %s: status %d, %q, %q; want %q", what, backend, status, out, notes, want)
			}
		}
		last("predict", rows+": row 3: the network's outputs are not finite", "0", "predict", model, "--data", rows, "--probabilities")
		last("eval", "test set: row 3: ", "Test", "eval", model, "--data", train, "--test", test)
		run := filepath.Join(t.TempDir(), "run")
		last("train --predict", rows+": row 3: ", "Predictions", append(args, "--test", test, "--predict", rows, "--out", run)...)
		for name, want := range map[string]bool{checkpoint.FileName: true, report.FileName: true, predictionsTable: false} {
			if there(run, name)() != want {
				t.Errorf("%s on %s: there %v, want %v", name, backend, !want, want)
			}
		}
		if table := must.Read(t, run, metricsTable); strings.Contains(table, "NaN") || strings.Count(table, ",,,,,") != 2 {
			t.Error(table)
		}
		if backend != "cpu" {
			continue // the rest is of the same kind, and a device takes its time to start
		}
		last("predict --json", rows+": row 3: ", "0", "predict", model, "--data", rows, "--json")
		last("eval of the file", "t.csv: row 3: ", "loss", "eval", model, "--data", test)
		last("train", "test set: row 3: ", "Test", append(args, "--test", test)...)
		last("train --json", "test set: row 3: ", "NaN", append(args, "--test", test, "--json")...)
		if _, _, notes := clgrad(t, append(args, "--test", test, "--backend", backend, "--out", filepath.Join(t.TempDir(), "other"))...); strings.Count(notes, "iteration 10: loss and accuracy are left out: test set: row 3: ") != 1 {
			t.Error(notes)
		}
	}
}

// predict does not write over what it reads, by whatever name, nor over a file of a
// run; what a user has written before may be replaced.
func TestPredictOutRefuses(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	must.Write(t, flowers(1, 5), "rows.csv")
	good(t, "train", "--data", "rows.csv", "--label", "species", "--iterations", "4", "--checkpoint-every", "2", "--backend", "cpu", "--out", "run")
	must.OK(t, os.CopyFS("idx", os.DirFS(images(t, 20, 10))))
	must.OK(t, os.CopyFS("other", os.DirFS("run")))
	must.OK(t, os.Mkdir("sub", 0o777))
	must.OK(t, os.Symlink("../rows.csv", "sub/link.csv"))
	must.OK(t, os.Link("rows.csv", "sub/hard.csv"))
	must.OK(t, os.Link("run/model.safetensors", "sub/model"))
	must.OK(t, os.Symlink("../run", "sub/run"))
	must.OK(t, os.Symlink("../run/config.json", "sub/config"))
	must.Write(t, "", "mine.csv")
	before := tree(t, ".")
	for out, want := range map[string]string{
		"rows.csv": "is read", filepath.Join(dir, "rows.csv"): "is read", "sub/link.csv": "is read", "sub/hard.csv": "is read",
		"run/model.safetensors": "is read", "sub/model": "is read",
		"run/config.json": "is a file of the run", "sub/run/config.json": "is a file of the run", "sub/config": "is a file of the run", "run/predictions.csv": "is a file of the run",
		"run/checkpoints/0000000002.safetensors": "is read", "run/pictures/loss.png": "is a file of the run", "other/report.html": "is a file of the run",
	} {
		status, printed, notes := clgrad(t, "predict", "run", "--data", "rows.csv", "--backend", "cpu", "--out", out)
		if status != failure || printed != "" || strings.Count(notes, "\n") != 1 || !strings.Contains(notes, "--out "+out+": "+want) {
			t.Errorf("%s: status %d, %q, %q", out, status, printed, notes)
		}
	}
	says(t, failure, "is read", "predict", "run", "--data", "idx", "--backend", "cpu", "--out", "idx/t10k-labels-idx1-ubyte")
	if d := cmp.Diff(before, tree(t, ".")); d != "" {
		t.Error(d)
	}
	for _, out := range []string{"mine.csv", "run/mine.csv", "new.csv", os.DevNull} {
		good(t, "predict", "run", "--data", "rows.csv", "--backend", "cpu", "--out", out)
	}
	if text := must.Read(t, "mine.csv"); !strings.HasPrefix(text, "row,") {
		t.Error(text)
	}
}
