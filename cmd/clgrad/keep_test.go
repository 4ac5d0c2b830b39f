package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/gofrs/flock"

	"clgrad/network/checkpoint"
	"clgrad/network/must"
)

// A run that another process finishes while its directory is waited for is found finished,
// and its history stays.
func TestResumeWaitsForFinish(t *testing.T) {
	defer func(old time.Duration) { lockPatience = old }(lockPatience)
	lockPatience = time.Minute
	run, _, _ := begun(t)
	other := filepath.Join(t.TempDir(), "other")
	must.OK(t, os.CopyFS(other, os.DirFS(run)))
	good(t, "train", "--resume", other)

	l := flock.New(filepath.Join(run, "lock"))
	if ok, err := l.TryLock(); !ok {
		t.Fatal(err)
	}
	finished := make(chan error, 1)
	go func() {
		time.Sleep(100 * time.Millisecond) // the other process is at its end
		err := os.RemoveAll(filepath.Join(run, checkpoint.Folder))
		for _, name := range []string{iterationsTable, metricsTable, metricsLines, checkpoint.FileName, "report.html"} {
			text, readErr := os.ReadFile(filepath.Join(other, name))
			err = errors.Join(err, readErr, os.WriteFile(filepath.Join(run, name), text, 0o666))
		}
		finished <- errors.Join(err, l.Close())
	}()
	status, out, notes := clgrad(t, "train", "--resume", run)
	must.OK(t, <-finished)
	if status != success || out != "" || !strings.Contains(notes, run+": finished, all 20 iterations are done\n") {
		t.Errorf("status %d, %q, %q", status, out, notes)
	}
	for _, name := range []string{iterationsTable, metricsTable, metricsLines} {
		if must.Read(t, run, name) != must.Read(t, other, name) {
			t.Errorf("%s has changed", name)
		}
	}
}

// A finished run whose model is damaged, or is that of another run, does not begin anew where
// no checkpoint is left: it is said, and nothing is changed.
func TestResumeDamagedModel(t *testing.T) {
	for what, damage := range map[string]func(file string) error{
		"has 4 bytes": func(file string) error { return os.WriteFile(file, []byte("half"), 0o666) },
		"is of 7 iterations, the run is to have 20": func(file string) error {
			m, err := checkpoint.Load(file)
			if err != nil {
				return err
			}
			m.Run.Iterations = 7
			return checkpoint.Save(file, m)
		},
		"does not say how it was trained": func(file string) error {
			m, err := checkpoint.Load(file)
			if err != nil {
				return err
			}
			m.Run = nil
			return checkpoint.Save(file, m)
		},
	} {
		run, _, _ := begun(t)
		good(t, "train", "--resume", run)
		must.OK(t, os.RemoveAll(filepath.Join(run, checkpoint.Folder)))
		file := filepath.Join(run, checkpoint.FileName)
		must.OK(t, damage(file))
		before := fmt.Sprint(tree(t, run))
		status, out, notes := clgrad(t, "train", "--resume", run)
		if want := "and there is no checkpoint to make it again from: nothing is changed"; status != failure || out != "" ||
			!strings.Contains(notes, file+": "+what) || !strings.Contains(notes, want) || strings.Count(notes, "\n") != 1 {
			t.Errorf("%s: status %d, %q, %q", what, status, out, notes)
		}
		if after := fmt.Sprint(tree(t, run)); after != before {
			t.Errorf("%s: the directory has changed", what)
		}
	}
}

// A run that diverges after it has reported more than its start keeps what it knows.
func TestDivergedRunKeepsHistory(t *testing.T) {
	run := filepath.Join(t.TempDir(), "run")
	status, _, notes := clgrad(t, "train", "--data", write(t, "flowers.csv", flowers(1, 20)), "--label", "species", "--init", "he", "--lr", "1e18", "--backend", "cpu",
		"--log-every", "1", "--iterations", "1000", "--out", run)
	rows := strings.Count(must.Read(t, run, iterationsTable), "\n")
	if status != failure || !strings.Contains(notes, "lower the learning rate") || rows < 3 ||
		!strings.Contains(notes, "what the iterations came to is in "+filepath.Join(run, iterationsTable)) {
		t.Errorf("status %d, %d rows, %s", status, rows, notes)
	}
	if lines := strings.Count(must.Read(t, run, metricsLines), "\n"); lines != rows-1 {
		t.Errorf("%d lines of metrics, %d rows of iterations", lines, rows-1)
	}
}
