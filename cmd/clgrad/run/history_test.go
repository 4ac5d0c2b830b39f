package run

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"clgrad/cmd/clgrad/text"
	"clgrad/network"
	"clgrad/network/must"
)

func fileText(t *testing.T, name string) string {
	t.Helper()
	content, err := os.ReadFile(name)
	must.OK(t, err)
	return string(content)
}

// What was written of a run is read back exactly; what is not of it is cut off.
func TestHistory(t *testing.T) {
	dir := t.TempDir()
	p := pace{total: 8, every: 3, batches: 1}
	h, _, err := openHistory(dir, 0, p, nil)
	must.OK(t, err)
	var want trace
	for i := 1; i <= 8; i++ {
		it := network.Iteration{Number: i, Loss: 1 / float64(3*i), Elapsed: time.Duration(i) * 123456789}
		want.add(it, float64(i)/7)
		h.iteration(it, float64(i)/7)
		if i%3 == 0 || i == 8 {
			line := Line{Iteration: i, Loss: network.Number(it.Loss), TestLoss: number(float64(i) / 9), Seconds: want.seconds}
			want.lines = append(want.lines, line)
			must.OK(t, h.line(line))
		}
	}
	must.OK(t, h.add(Summary{Summary: true}))
	must.OK(t, h.close())
	for _, done := range []int{8, 7, 6, 3, 2, 0} {
		h, got, err := openHistory(dir, done, p, nil)
		must.OK(t, err)
		must.OK(t, h.close())
		n := p.logged(done)
		cut := trace{loss: want.loss[:done], accuracy: want.accuracy[:done], times: want.times[:done], lines: want.lines[:n]}
		for _, d := range cut.times {
			cut.seconds += d.Seconds()
		}
		if d := cmp.Diff(cut, got, cmp.AllowUnexported(trace{}), cmp.Transformer("", func(s []float64) string { return fmt.Sprint(s) }),
			cmp.Transformer("", func(s []time.Duration) string { return fmt.Sprint(s) }), cmp.Transformer("", func(s []Line) string {
				text, err := json.Marshal(append([]Line{}, s...))
				return fmt.Sprint(string(text), err)
			})); d != "" {
			t.Errorf("after %d iterations: %s", done, d)
		}
		for name, lines := range map[string]int{IterationsFile: 1 + done, MetricsFile: 1 + n, LinesFile: n} {
			if got := strings.Count(fileText(t, filepath.Join(dir, name)), "\n"); got != lines {
				t.Errorf("after %d iterations %s has %d lines, want %d", done, name, got, lines)
			}
		}
	}
}

// Whatever loss can be written can be read.
func TestLargeLoss(t *testing.T) {
	for _, want := range []float64{1e18, 3e38, math.MaxFloat64} {
		loss, _, _, err := parseIteration(1, fmt.Sprintf("1,%g,0.5,0.001", want))
		if err != nil || loss != want {
			t.Errorf("%g is read as %g, %v", want, loss, err)
		}
	}
	for _, bad := range []string{"1e999", "Inf", "NaN"} {
		if _, _, _, err := parseIteration(1, "1,"+bad+",0.5,0.001"); err == nil {
			t.Errorf("loss %s is read", bad)
		}
	}
}

// FuzzHistory looks for files of a run directory that panic, or that are read as
// more than they hold.
func FuzzHistory(f *testing.F) {
	rows := iterationsHeader + "\n1,2.5,0.5,0.001\n2,2.25,0.75,1e-3\n3,1,1,0\n"
	table := metricsHeader + "\n2,2.25,0.75,,,,,0.002\n3,1,1,,,,,0.002\n"
	lines := `{"iteration":2,"loss":2.25,"train_accuracy":0.75,"seconds":0.002}` + "\n" + `{"iteration":3,"loss":1,"train_accuracy":1,"seconds":0.002}` + "\n"
	f.Add(rows, table, lines, 3)
	f.Add(rows, table, lines, 2)
	f.Add(strings.ToUpper(rows), table, lines, 1)
	f.Add(rows, table, strings.Replace(lines, "2", "null", 1), 3)
	f.Add(rows[:60], table, lines, 3)
	f.Add(strings.Replace(rows, "2.5", "NaN", 1), table, lines, 3)
	f.Add(strings.Replace(rows, "0.001", "-1e300", 1), table, lines, 3)
	dir, p := f.TempDir(), pace{total: 3, every: 2, batches: 1}
	f.Fuzz(func(t *testing.T, rows, table, lines string, done int) {
		done = min(max(done, 0), 3)
		for name, content := range map[string]string{IterationsFile: rows, MetricsFile: table, LinesFile: lines} {
			must.Write(t, content, dir, name)
		}
		h, got, err := openHistory(dir, done, p, nil)
		if err != nil {
			if strings.Contains(text.OneLine(err), "\n") || !strings.HasPrefix(err.Error(), dir) {
				t.Errorf("%q is not one line about a file", err)
			}
			return
		}
		must.OK(t, h.close())
		if len(got.loss) != done || len(got.times) != done || len(got.lines) != p.logged(done) {
			t.Errorf("%d losses and %d lines after %d iterations", len(got.loss), len(got.lines), done)
		}
		kept, err := os.ReadFile(filepath.Join(dir, IterationsFile))
		if err != nil || done > 0 && !bytes.HasPrefix([]byte(rows), kept) || bytes.Count(kept, []byte("\n")) != done+1 {
			t.Errorf("%q is kept of %q, %v", kept, rows, err)
		}
	})
}
