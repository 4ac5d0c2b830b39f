package classifier_test

import (
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"clgrad/cpu"
	"clgrad/network/classifier"
	"clgrad/network/dataset"
)

// Rows of a table with gaps, and with values that float32 does not tell apart, are predicted as
// the table has them; its own rows stay as they are.
func TestTable(t *testing.T) {
	var text strings.Builder
	text.WriteString("time,size,label\n")
	for i := range 60 {
		size := []string{"1", "5", ""}[i%3]
		label := []string{"small", "large", "large"}[i%3]
		if i%3 == 2 {
			size = "NA"
		}
		text.WriteString(strings.Join([]string{"1700000000." + string('0'+rune(i%10)), size, label}, ",") + "\n")
	}
	file := filepath.Join(t.TempDir(), "table.csv")
	if err := os.WriteFile(file, []byte(text.String()), 0o666); err != nil {
		t.Fatal(err)
	}
	set, err := dataset.Load(t.Context(), file, dataset.Options{Reading: dataset.Reading{Missing: dataset.Mean}})
	if err != nil {
		t.Fatal(err)
	}
	b := cpu.New[float32]()
	c := classifier.New(b, classifier.Options{Preprocess: dataset.Feature, Iterations: 300})
	if err := c.Fit(t.Context(), set); err != nil {
		t.Fatal(err)
	}
	if !set.Gaps || set.Train.Floats[5] == set.Train.Floats[5] {
		t.Errorf("the gap of row 3 is %v in the set that was given", set.Train.Floats[5])
	}
	file = filepath.Join(t.TempDir(), "m.safetensors")
	if err := c.Save(file); err != nil {
		t.Fatal(err)
	}
	again, err := classifier.Load(file, b)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []*classifier.Classifier{c, again} {
		labels, err := c.Predict([][]float64{{1700000000.5, 1}, {1700000000.5, 5}, {1700000000.5, math.NaN()}})
		if err != nil || !slices.Equal(labels, []string{"small", "large", "large"}) {
			t.Errorf("%v: %v, %v", c, labels, err)
		}
	}
}

// What cannot be written or read is one line that begins with the path, and what stood there stays.
func TestFiles(t *testing.T) {
	b, dir := cpu.New[float32](), t.TempDir()
	c := trained(t, b)
	file := filepath.Join(dir, "m.safetensors")
	if err := errors.Join(c.Save(file), c.Save(file)); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{dir, filepath.Join(dir, "none", "m")} {
		if err := c.Save(path); err == nil || !strings.HasPrefix(err.Error(), path+": ") {
			t.Errorf("Save: %v", err)
		}
		if _, err := classifier.Load(path, b); err == nil || !strings.HasPrefix(err.Error(), path) {
			t.Errorf("Load: %v", err)
		}
	}
	again, err := classifier.Load(file, b)
	if err != nil || !cmp.Equal(parameters(t, again), parameters(t, c)) || again.Iterations() != 20 {
		t.Errorf("%v, %v", again, err)
	}
	if _, err := classifier.Load(filepath.Join("..", "checkpoint", "testdata", "pytorch", "none.safetensors"), b); err == nil {
		t.Error("a file that is not there was loaded")
	}
	foreign, err := classifier.Load(filepath.Join("..", "checkpoint", "testdata", "pytorch", "linear.safetensors"), b)
	if err != nil {
		t.Fatal(err)
	}
	m, err := foreign.Model()
	if err != nil {
		t.Fatal(err)
	}
	if p, err := foreign.PredictProbabilities([][]float64{make([]float64, m.Sizes[0])}); err != nil || len(p[0]) != len(foreign.Classes()) {
		t.Errorf("a model of PyTorch: %v, %v", p, err)
	}
}

// Predicting takes little more than the network's own products, for one row as for many.
func BenchmarkPredict(b *testing.B) {
	backend := cpu.New[float32]()
	defer backend.Close()
	rows, labels := make([][]float64, 1000), make([]int, 1000)
	for i := range rows {
		rows[i] = make([]float64, 784)
		rows[i][i%784], labels[i] = 1, i%10
	}
	set, err := dataset.FromRows(rows, labels)
	if err != nil {
		b.Fatal(err)
	}
	c := classifier.New(backend, classifier.Options{Iterations: 1})
	if err := c.Fit(b.Context(), set); err != nil {
		b.Fatal(err)
	}
	for _, n := range []int{1, 16, 1000} {
		b.Run(fmt.Sprintf("rows=%d", n), func(b *testing.B) {
			for b.Loop() {
				if _, err := c.Predict(rows[:n]); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(n)*float64(b.N)/b.Elapsed().Seconds(), "rows/s")
		})
	}
}
