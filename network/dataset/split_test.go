package dataset

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"clgrad/network"
	"clgrad/network/must"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// splitSet is a set whose rows hold their own number as their only feature.
func splitSet(labels ...int32) Set {
	s := Set{Name: "toy", Classes: int(slices.Max(labels)) + 1, Shape: []int{1}, Digest: "d"}
	s.Train = network.Samples{Rows: len(labels), Features: 1, Labels: labels, Floats: make([]float32, len(labels))}
	for i := range labels {
		s.Train.Floats[i] = float32(i)
	}
	return s
}

// The rows that Split chooses stay the same for ever: runs are repeated by their
// fraction and seed. They were computed by another program, after its comment.
func TestSplitIsFixed(t *testing.T) {
	labels := make([]int32, 40)
	for i := range labels {
		labels[i] = int32(i * i % 7 % 3) // 6, 22 and 12 rows
	}
	for seed, want := range map[uint64]string{
		1:              "[15 17 20 26 31 35 36]",
		1<<64 - 1:      "[2 4 5 12 18 21 33]",
		20260101000000: "[3 4 7 8 12 15 23]",
	} {
		s, err := splitSet(labels...).Split(0.2, seed)
		must.OK(t, err)
		if got := fmt.Sprint(s.Validation.Flat().Floats); got != want {
			t.Errorf("seed %d: rows %s, want %s", seed, got, want)
		}
	}
}

// Every row is in one of the sets, in its order, with its label; each class gives
// its share.
func TestSplit(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		labels := rapid.SliceOfN(rapid.Int32Range(0, 4), 10, 200).Draw(t, "labels")
		fraction := rapid.Float64Range(0.001, 0.999).Draw(t, "fraction")
		whole := splitSet(labels...)
		if rapid.Bool().Draw(t, "bytes") {
			whole.Train.Bytes = make([]uint8, len(labels))
			for i := range labels {
				whole.Train.Bytes[i] = uint8(i)
			}
			whole.Train.Floats = nil
		}
		before := slices.Clone(labels)
		s, err := whole.Split(fraction, rapid.Uint64().Draw(t, "seed"))
		must.OK(t, err)
		if !slices.Equal(before, whole.Train.Labels) || s.Digest != whole.Digest {
			t.Error("the set before was changed, or its digest")
		}
		number := func(s network.Samples, i int) int {
			if s.Bytes != nil {
				return int(s.Row(i)[0])
			}
			return int(s.FloatRow(i)[0])
		}
		seen := make([]bool, len(labels))
		count := [2][5]int{}
		for k, part := range []network.Samples{s.Train, s.Validation} {
			must.OK(t, part.Check(s.Classes))
			last := -1
			for i, y := range part.Labels {
				row := number(part, i)
				if row <= last || seen[row] || labels[row] != y {
					t.Fatalf("part %d: row %d after row %d, with label %d for %d", k, row, last, y, labels[row])
				}
				last, seen[row] = row, true
				count[k][y]++
			}
		}
		if slices.Contains(seen, false) {
			t.Error("a row is lost")
		}
		for y := range 5 {
			n, k := count[0][y]+count[1][y], count[1][y]
			share := fraction * float64(n)
			switch {
			case n < 2 && k == 0:
			case n >= 2 && k >= 1 && k <= n-1 && (float64(k) >= share-0.5 && float64(k) <= share+0.5 || k == 1 && share < 1 || k == n-1 && share > float64(n-1)):
			default:
				t.Errorf("class %d: %d of %d rows for a share of %v", y, k, n, fraction)
			}
		}
	})
}

// A class has its split by itself: rows of other classes do not change it.
func TestSplitClassesApart(t *testing.T) {
	rows := func(labels ...int32) (first []float32) {
		s, err := splitSet(labels...).Split(0.4, 7)
		must.OK(t, err)
		for i, y := range s.Validation.Labels {
			if y == 0 {
				first = append(first, s.Validation.FloatRow(i)[0])
			}
		}
		return first
	}
	if d := cmp.Diff(rows(0, 0, 0, 0, 0, 0, 0, 0, 1, 1), rows(0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2)); d != "" {
		t.Error(d)
	}
}

func TestSplitErrors(t *testing.T) {
	good := splitSet(0, 0, 1, 1)
	split, err := good.Split(0.5, 1)
	must.OK(t, err)
	unlabelled, damaged := good, good
	unlabelled.Train.Labels = nil
	damaged.Train.Labels = []int32{0, 0, 1, 2}
	for _, test := range []struct {
		name     string
		set      Set
		fraction float64
		want     string
	}{
		{"zero", good, 0, "validation fraction 0: a number between 0 and 1 is expected"},
		{"one", good, 1, "validation fraction 1: a number between"},
		{"negative", good, -0.1, "validation fraction -0.1: a number between"},
		{"no labels", unlabelled, 0.1, "training set of toy: the samples have no labels"},
		{"split already", split, 0.1, "toy: has a validation set already"},
		{"one row each", splitSet(0, 1, 2), 0.5, "training set of toy: no class has two rows: none can be held back for validation"},
		{"label beyond", damaged, 0.5, "training set of toy: row 4 has label 2: labels 0 to 1 are expected"},
	} {
		t.Run(test.name, func(t *testing.T) {
			if _, err := test.set.Split(test.fraction, 1); err == nil || !strings.HasPrefix(err.Error(), test.want) {
				t.Errorf("got %v, want %s", err, test.want)
			}
		})
	}
}

// The scaling is fitted on what is left for training alone, and is that of all.
func TestSplitPreprocess(t *testing.T) {
	s, err := splitSet(0, 0, 0, 0, 1, 1, 1, 1).Split(0.25, 3)
	must.OK(t, err)
	want, err := Fit(Standard, s.Train, s.Shape)
	must.OK(t, err)
	s, err = s.Preprocess(Standard)
	must.OK(t, err)
	for name, part := range map[string]network.Samples{"training": s.Train, "validation": s.Validation} {
		if d := cmp.Diff(want, part.Scaling); d != "" {
			t.Errorf("%s set: %s", name, d)
		}
	}
	s.Validation.Labels = []int32{0, 2}
	if _, err := s.Preprocess(Standard); err == nil || err.Error() != "validation set of toy: row 2 has label 2: labels 0 to 1 are expected" {
		t.Errorf("got %v", err)
	}
}
