package main

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"clgrad/cmd/clgrad/run"
	"clgrad/network/checkpoint"
	"clgrad/network/must"
)

// What tests know of a run and its output, by names that do not hide a variable run.
const (
	iterationsTable  = run.IterationsFile
	metricsTable     = run.MetricsFile
	metricsLines     = run.LinesFile
	predictionsTable = run.PredictionsFile
	runsFolder       = run.Folder
	finished         = run.Finished
)

var (
	runFiles = run.Files
	inspect  = run.Inspect
)

type (
	iterationLine = run.Line
	summary       = run.Summary
)

// there reports whether a file of a pattern is there.
func there(pattern ...string) func() bool {
	return func() bool {
		found, err := filepath.Glob(filepath.Join(pattern...))
		return err == nil && len(found) > 0
	}
}

// checkpoints returns the files of a run's checkpoints, the newest last.
func checkpoints(t *testing.T, run string) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(run, checkpoint.Folder, "*.safetensors"))
	must.OK(t, err)
	return files
}

// fileText returns what a file holds, "" where it is not there.
func fileText(path ...string) string {
	content, _ := os.ReadFile(filepath.Join(path...))
	return string(content)
}

// write writes a file and returns its path.
func write(t *testing.T, name, content string) string {
	t.Helper()
	return must.Write(t, content, t.TempDir(), name)
}

// flowers returns a CSV file of three kinds of flowers, rows of each, as clusters
// in four measurements.
func flowers(seed uint64, rows int) string {
	kinds := []struct {
		name   string
		middle [4]float64
	}{
		{"setosa", [4]float64{5.0, 3.4, 1.5, 0.2}},
		{"versicolor", [4]float64{5.9, 2.8, 4.3, 1.3}},
		{"virginica", [4]float64{6.6, 3.0, 5.6, 2.0}},
	}
	random := rand.New(rand.NewPCG(seed, 0))
	var b strings.Builder
	b.WriteString("sepal length,sepal width,petal length,petal width,species\n")
	for range rows {
		for _, k := range kinds {
			for _, m := range k.middle {
				fmt.Fprintf(&b, "%.1f,", m+0.2*random.NormFloat64())
			}
			b.WriteString(k.name + "\n")
		}
	}
	return b.String()
}

type writer func([]byte) (int, error)

func (w writer) Write(p []byte) (int, error) { return w(p) }
