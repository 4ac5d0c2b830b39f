package main

import (
	"fmt"
	"math"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"clgrad/network/checkpoint"
	"clgrad/network/must"
)

// cells returns a column of a table, without its header.
func cells(t *testing.T, file, name string) (all []float64) {
	t.Helper()
	column := -1
	for line := range strings.Lines(must.Read(t, file)) {
		row := strings.Split(strings.TrimSpace(line), ",")
		if column < 0 {
			for i, cell := range row {
				if cell == name {
					column = i
				}
			}
			if column < 0 {
				t.Fatalf("%s has no column %s: %s", file, name, line)
			}
			continue
		}
		v, err := strconv.ParseFloat(row[column], 64)
		must.OK(t, err)
		all = append(all, v)
	}
	return all
}

// A line has the mean over the rows of the iterations of the last epoch, here of batches
// of 25, 25 and 10 rows, or of those since the start.
func TestLinesOfEpochs(t *testing.T) {
	args := []string{"train", "--data", write(t, "flowers.csv", flowers(1, 20)), "--label", "species", "--layers", "7", "--backend", "cpu", "--batch-size", "25", "--lr", "0.05"}
	for _, c := range []struct {
		more  []string
		lines []int
		text  string
	}{
		{[]string{"--epochs", "4"}, []int{3, 6, 9, 12}, `^(Epoch [1-4], Loss: .*\n){4}(.*\n)*Time: \S+ s for 4 epochs of 3 iterations, the first iteration \S+ s, then \S+ s each \(median\)\n`},
		{[]string{"--iterations", "8", "--log-every", "2"}, []int{2, 4, 6, 8}, `^Iteration 2, .*\nIteration 4, .*\nEpoch 2, .*\nIteration 8, (.*\n)*Time: \S+ s for 2.67 epochs of 3 iterations`},
	} {
		run := filepath.Join(t.TempDir(), "run")
		out := good(t, append(append(args, c.more...), "--out", run)...)
		if !regexp.MustCompile(c.text).MatchString(out) {
			t.Errorf("%s does not match %s", out, c.text)
		}
		m, err := checkpoint.Load(filepath.Join(run, checkpoint.FileName))
		must.OK(t, err)
		var rows []int
		for epoch := range 4 {
			rows = append(rows, m.Run.Plan.EpochRows(epoch)...)
		}
		table := filepath.Join(run, metricsTable)
		epochs := cells(t, table, "epoch")
		if len(epochs) != len(c.lines) {
			t.Fatalf("%d lines, %d are expected", len(epochs), len(c.lines))
		}
		for _, name := range []string{"loss", "train_accuracy"} {
			values, means := cells(t, filepath.Join(run, iterationsTable), name), cells(t, table, name)
			for i, last := range c.lines {
				sum, n := 0.0, 0
				for j := max(0, last-3); j < last; j++ {
					sum, n = sum+float64(rows[j])*values[j], n+rows[j]
				}
				if want := sum / float64(n); math.Abs(means[i]-want) > 1e-12 || math.Abs(epochs[i]-float64(last)/3) > 1e-12 {
					t.Errorf("line %d: %s %g of epoch %g, %g is expected", i, name, means[i], epochs[i], want)
				}
			}
		}
	}
}

// One batch of all rows is full-batch descent, to the bit; so are runs asked for in
// iterations and in epochs.
func TestOneBatch(t *testing.T) {
	args := []string{"train", "--data", write(t, "flowers.csv", flowers(1, 20)), "--label", "species", "--layers", "7", "--backend", "cpu", "--log-every", "3", "--json"}
	var first []iterationLine
	for _, more := range [][]string{{"--iterations", "7"}, {"--epochs", "7"}, {"--epochs", "7", "--batch-size", "60"}} {
		all, s := lines(t, good(t, append(args, more...)...))
		for i := range all {
			all[i].Seconds = 0
		}
		if first == nil {
			first = all
		}
		if fmt.Sprint(all) != fmt.Sprint(first) || len(all) != 3 || all[0].Epoch != 0 || s.Epochs != 0 || s.Optimizer != "gd" || s.LR != 0.5 {
			t.Errorf("%v: %v, %+v; %v is expected", more, all, s, first)
		}
	}
}
