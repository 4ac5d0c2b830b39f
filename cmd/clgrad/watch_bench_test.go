package main

import (
	"bufio"
	"context"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"clgrad/cmd/clgrad/measure"
	"clgrad/network/must"
)

// What watching takes of a run of 784-128-10 on MNIST over batches of 128: the time from the end of
// the first epoch to the end of the last, in a process of its own, alone, with --watch, and with
// twenty clients that read. They take turns, and the medians of all turns are compared.
func BenchmarkWatch(b *testing.B) {
	const epochs = "40"
	program, err := exec.LookPath("clgrad") // which TestMain has made
	must.OK(b, err)
	once := func(clients int, flags ...string) float64 {
		dir, err := os.MkdirTemp(b.TempDir(), "")
		must.OK(b, err)
		c := exec.Command(program, append([]string{"train", "--batch-size", "128", "--epochs", epochs, "--out", filepath.Join(dir, "run")}, flags...)...)
		out, err := c.StdoutPipe()
		must.OK(b, err)
		notes, err := c.StderrPipe()
		must.OK(b, err)
		must.OK(b, c.Start())
		ctx, cancel := context.WithCancel(b.Context())
		defer cancel()
		go func() {
			lines := bufio.NewScanner(notes)
			for lines.Scan() {
				m := shownAt.FindStringSubmatch(lines.Text() + "\n")
				for range clients {
					if m != nil {
						go drain(ctx, m[1]+"/v1/run/events")
					}
				}
			}
		}()
		var first, last time.Time
		for lines := bufio.NewScanner(out); lines.Scan(); {
			if lines.Bytes()[0] != 'E' { // of an epoch
				continue
			}
			if last = time.Now(); first.IsZero() {
				first = last
			}
		}
		must.OK(b, c.Wait())
		return last.Sub(first).Seconds()
	}
	var alone, watched, twenty []float64
	for b.Loop() {
		alone = append(alone, once(0))
		watched = append(watched, once(0, "--watch"))
		twenty = append(twenty, once(20, "--watch"))
	}
	b.ReportMetric(measure.Median(alone), "s-alone")
	b.ReportMetric(measure.Median(watched)/measure.Median(alone), "watched/alone")
	b.ReportMetric(measure.Median(twenty)/measure.Median(alone), "clients/alone")
	b.Logf("alone %.3f, watched %.3f, twenty clients %.3f", alone, watched, twenty)
}

// drain reads an answer to its end.
func drain(ctx context.Context, url string) {
	request, err := http.NewRequestWithContext(ctx, "GET", url, nil)
	if err != nil {
		return
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return
	}
	defer response.Body.Close()
	io.Copy(io.Discard, response.Body)
}
