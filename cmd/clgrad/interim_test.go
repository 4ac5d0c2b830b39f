package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"clgrad/cmd/clgrad/report"
	"clgrad/network/must"
)

// During a run its report says how far it is and is loaded again. A run that was killed then
// goes on, and ends with the bits and the report of one that was not.
func TestReportOfRunUnderWay(t *testing.T) {
	defer func(old time.Duration) { reportAfter = old }(reportAfter)
	data := write(t, "flowers.csv", flowers(1, 20))
	args := []string{"train", "--data", data, "--label", "species", "--validation", "0.2", "--layers", "7", "--iterations", "12", "--log-every", "2",
		"--checkpoint-every", "4", "--backend", "cpu", "--out"}
	whole, run, killed := filepath.Join(t.TempDir(), "whole"), filepath.Join(t.TempDir(), "run"), filepath.Join(t.TempDir(), "killed")
	good(t, append(args, whole)...)
	want := untimed(t, whole)
	reportAfter = 0
	var notes strings.Builder
	a := &app{Context: t.Context(), err: &notes, out: writer(func(p []byte) (int, error) {
		if strings.Contains(string(p), "Iteration 6,") {
			must.OK(t, os.CopyFS(killed, os.DirFS(run)))
		}
		return len(p), nil
	})}
	if status := a.run(append(args, run)); status != success {
		t.Fatal(notes.String())
	}
	page := fileText(killed, report.FileName)
	for _, has := range []string{`http-equiv="refresh"`, "<title>running, iteration 1 of 12 – 4-7-3 on flowers.csv, ", "clgrad train --resume " + run, "<h2>Loss</h2>", `href="config.json"`} {
		if !strings.Contains(page, has) {
			t.Errorf("during the run the report does not have %s", has)
		}
	}
	sameRun(t, "with a report on the way", want, run)
	reportAfter = time.Hour // so that the next page that is not of the run under way is the last
	says(t, success, "goes on after iteration 4", "train", "--resume", killed)
	sameRun(t, "gone on with", want, killed)
	for _, dir := range []string{run, killed} {
		if page := fileText(dir, report.FileName); strings.Contains(page, "refresh") || strings.Contains(page, `id="status"`) || !strings.Contains(page, "Confusion matrix") {
			t.Errorf("%s: the report is not that of a finished run", dir)
		}
	}
}

// A run that is interrupted, or ends by an error, leaves a report that says so, how far it
// came and what goes on; one that came to nothing leaves none.
func TestReportOfInterruptedRun(t *testing.T) {
	data := write(t, "flowers.csv", flowers(1, 20))
	args := []string{"train", "--data", data, "--label", "species", "--test", write(t, "test.csv", flowers(2, 5)), "--layers", "7", "--iterations", "20", "--log-every", "3",
		"--checkpoint-every", "5", "--backend", "cpu", "--out"}
	run := filepath.Join(t.TempDir(), "a run")
	if status, notes := interrupted(t, 18, append(args, run)...); status != 130 {
		t.Fatalf("status %d, %s", status, notes)
	}
	done := strings.Count(fileText(run, iterationsTable), "\n") - 1
	page := fileText(run, report.FileName)
	for _, has := range []string{
		fmt.Sprintf("<title>interrupted at iteration %d of 20 – ", done),
		fmt.Sprintf("Interrupted at iteration %d of 20. Iteration %d is saved. This goes on from there:</p><pre>clgrad train --resume &#39;%s&#39;</pre>", done, done, run),
		"<dt>test accuracy", "<dt>training accuracy<",
	} {
		if !strings.Contains(page, has) {
			t.Errorf("the report does not have %s", has)
		}
	}
	if strings.Contains(page, "refresh") {
		t.Error("the page is loaded again and again")
	}
	good(t, "train", "--resume", run)
	if page := fileText(run, report.FileName); strings.Contains(page, `id="status"`) || !strings.Contains(page, "Confusion matrix") {
		t.Error("the report of the finished run is not that")
	}

	run = filepath.Join(t.TempDir(), "run")
	status, _, notes := clgrad(t, append(args, run, "--init", "he", "--lr", "1e30")...)
	if status != failure || !strings.Contains(notes, "not finite") || there(run, report.FileName)() {
		t.Errorf("status %d, %s, report %v", status, notes, there(run, report.FileName)())
	}
	status, _, notes = clgrad(t, append(args, run, "--lr", "1e30", "--checkpoint-every", "1", "--log-every", "1")...)
	page = fileText(run, report.FileName)
	if status != failure || there(run)() && !strings.Contains(page, "Ended by an error at iteration ") {
		t.Errorf("status %d, %s\n%s", status, notes, page)
	}
}
