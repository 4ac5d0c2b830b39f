package report

import (
	"math"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"clgrad/network/must"
)

var nan = math.NaN()

// closely compares numbers up to rounding, NaN being equal to itself.
var closely = cmp.Options{cmpopts.EquateApprox(0, 1e-12), cmpopts.EquateNaNs()}

func TestConfusion(t *testing.T) {
	type scores struct{ Precision, Recall, F1 []float64 }
	for _, test := range []struct {
		name      string
		actual    []int32
		predicted []int
		classes   int
		counts    [][]int
		scores
		accuracy float64
		macro    [3]float64 // precision, recall, F1
	}{
		{
			"three classes", []int32{0, 0, 0, 1, 1, 2, 2, 2}, []int{0, 0, 1, 1, 2, 2, 2, 2}, 3,
			[][]int{{2, 1, 0}, {0, 1, 1}, {0, 0, 3}},
			scores{[]float64{1, 1. / 2, 3. / 4}, []float64{2. / 3, 1. / 2, 1}, []float64{4. / 5, 1. / 2, 6. / 7}},
			6. / 8, [3]float64{2.25 / 3, (2./3 + 1.5) / 3, (4./5 + 1./2 + 6./7) / 3},
		},
		{
			"class 1 never predicted, class 2 neither there nor predicted", []int32{0, 1}, []int{0, 0}, 3,
			[][]int{{1, 0, 0}, {1, 0, 0}, {0, 0, 0}},
			scores{[]float64{1. / 2, nan, nan}, []float64{1, 0, nan}, []float64{2. / 3, 0, nan}},
			1. / 2, [3]float64{1. / 2, 1. / 2, 1. / 3},
		},
		{
			"class 1 not there", []int32{0, 0}, []int{0, 1}, 2,
			[][]int{{1, 1}, {0, 0}},
			scores{[]float64{1, 0}, []float64{1. / 2, nan}, []float64{2. / 3, 0}},
			1. / 2, [3]float64{1. / 2, 1. / 2, 1. / 3},
		},
		{
			"no rows", nil, nil, 1, [][]int{{0}},
			scores{[]float64{nan}, []float64{nan}, []float64{nan}}, nan, [3]float64{nan, nan, nan},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			c, err := newConfusion(test.actual, test.predicted, test.classes)
			must.OK(t, err)
			var got scores
			var counts [][]int
			for i := range c.Classes() {
				counts = append(counts, nil)
				sum := 0
				for j := range c.Classes() {
					counts[i] = append(counts[i], c.At(i, j))
					sum += c.At(i, j)
				}
				if c.Support(i) != sum {
					t.Errorf("class %d has support %d, its row sums to %d", i, c.Support(i), sum)
				}
				got.Precision = append(got.Precision, c.Precision(i))
				got.Recall = append(got.Recall, c.Recall(i))
				got.F1 = append(got.F1, c.F1(i))
			}
			if d := cmp.Diff(test.counts, counts); d != "" {
				t.Errorf("counts (−want +got):\n%s", d)
			}
			if d := cmp.Diff(test.scores, got, closely); d != "" {
				t.Errorf("scores (−want +got):\n%s", d)
			}
			if d := cmp.Diff(test.accuracy, c.Accuracy(), closely); d != "" {
				t.Errorf("accuracy (−want +got):\n%s", d)
			}
			macro := [3]float64{c.Macro(c.Precision), c.Macro(c.Recall), c.Macro(c.F1)}
			if d := cmp.Diff(test.macro, macro, closely); d != "" {
				t.Errorf("macro averages (−want +got):\n%s", d)
			}
		})
	}
}

func TestConfusionErrors(t *testing.T) {
	for _, test := range []struct {
		actual    []int32
		predicted []int
		want      string
	}{
		{[]int32{0}, nil, "0 predictions for 1 labels"},
		{[]int32{0, 2}, []int{0, 0}, "row 2 has label 2"},
		{[]int32{-1}, []int{0}, "row 1 has label -1"},
		{[]int32{0}, []int{2}, "row 1 has label 0 and prediction 2"},
	} {
		if _, err := newConfusion(test.actual, test.predicted, 2); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%v, %v: error %v, want %q", test.actual, test.predicted, err, test.want)
		}
	}
}

func TestConfidentMistakes(t *testing.T) {
	actual := []int32{0, 1, 2, 0, 1, 2, 0}
	predicted := []int{1, 1, 0, 2, 0, 2, 1}
	probability := []float64{.6, .99, .9, .9, nan, .99, .7}
	for n, want := range map[int][]int{0: {}, 2: {2, 3}, 9: {2, 3, 6, 0, 4}} {
		if d := cmp.Diff(want, confidentMistakes(actual, predicted, probability, n), cmpopts.EquateEmpty()); d != "" {
			t.Errorf("%d mistakes (−want +got):\n%s", n, d)
		}
	}
}
