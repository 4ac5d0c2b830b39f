package dataset

import (
	"math"
	"testing"

	"clgrad/network"
	"clgrad/network/must"

	"github.com/google/go-cmp/cmp"
)

// Slices of every type are their values and their classes, by the rules of files.
func TestFromRows(t *testing.T) {
	set, err := FromRows([][]float64{{0.5, -1}, {2, 1e-3}, {3, 4}}, []string{"10", "9", "10"})
	must.OK(t, err)
	want := Set{
		Name: "rows", Shape: []int{2}, Classes: 2, ClassNames: []string{"9", "10"},
		Train: network.Samples{Rows: 3, Features: 2, Floats: []float32{0.5, -1, 2, 1e-3, 3, 4}, Labels: []int32{1, 0, 1}},
	}
	want.Digest = Digest(want.Shape, want.Train, want.Test)
	if d := cmp.Diff(want, set); d != "" {
		t.Error(d)
	}

	values := []uint8{1, 2, 3, 4}
	bytes, err := FromFlat(values, 2, []int{1, 0})
	if err != nil || &bytes.Train.Bytes[0] != &values[0] || bytes.Classes != 2 || bytes.ClassNames != nil || !cmp.Equal(bytes.Train.Labels, []int32{1, 0}) {
		t.Errorf("bytes: %+v, %v", bytes, err)
	}
	years, err := FromFlat([]int{-1, 1 << 20}, 1, []int64{2024, -5})
	if err != nil || !cmp.Equal(years.Train.Floats, []float32{-1, 1 << 20}) || !cmp.Equal(years.ClassNames, []string{"-5", "2024"}) || !cmp.Equal(years.Train.Labels, []int32{1, 0}) {
		t.Errorf("whole numbers: %+v, %v", years, err)
	}
	alone, err := FromFlat([]float32{1, 2}, 1, []int(nil))
	if err != nil || alone.Train.Labels != nil || alone.Classes != 0 {
		t.Errorf("rows without labels: %+v, %v", alone, err)
	}
}

func TestFromRowsErrors(t *testing.T) {
	problem := func(_ Set, err error) error { return err }
	for want, err := range map[string]error{
		"row 3 has 1 features where 2 are expected, as in row 1":                              problem(FromRows([][]int{{1, 2}, {3, 4}, {5}}, []int{0, 1, 0})),
		"row 2, feature 1 is NaN where a finite float32 is expected":                          problem(FromRows([][]float64{{1, 2}, {math.NaN(), 4}}, []int{0, 1})),
		"row 1, feature 2 is -1e+39 where a finite float32 is expected":                       problem(FromFlat([]float64{1, -1e39}, 2, []int{0})),
		"row 1, feature 1 is +Inf where a finite float32 is expected":                         problem(FromFlat([]float32{float32(math.Inf(1))}, 1, []int{0})),
		"no samples: at least one row is needed":                                              problem(FromRows([][]float64{}, []int{})),
		"rows of 0 features: at least 1 is expected":                                          problem(FromRows([][]float64{{}, {}}, []int{0, 1})),
		"5 values are not whole rows of 2 features":                                           problem(FromFlat(make([]uint8, 5), 2, []int{0, 1})),
		"3 labels for 2 rows: one a row is expected":                                          problem(FromFlat(make([]uint8, 4), 2, []int{0, 1, 2})),
		"0 labels for 2 rows: one a row is expected":                                          problem(FromFlat(make([]uint8, 4), 2, []int{})),
		"every row has the label ham: at least two classes are expected":                      problem(FromFlat(make([]uint8, 4), 2, []string{"ham", "ham"})),
		"every row has the label 7: at least two classes are expected":                        problem(FromFlat(make([]uint8, 4), 2, []uint8{7, 7})),
		"row 2: the label is empty where a label is expected":                                 problem(FromFlat(make([]uint8, 4), 2, []string{"ham", " "})),
		"row 65537 has label 65536 after 65536 others, which is the limit: are these labels?": problem(FromFlat(make([]uint8, 1<<16+1), 1, upTo(1<<16+1))),
	} {
		if err == nil || err.Error() != want {
			t.Errorf("got %v, want %s", err, want)
		}
	}
}

func upTo(n int) []int {
	all := make([]int, n)
	for i := range all {
		all[i] = i
	}
	return all
}

// A test set of rows has the classes of the training set by their names, whatever its own labels are.
func TestWithTest(t *testing.T) {
	set, err := FromRows([][]float64{{1}, {2}, {3}}, []string{"cat", "ant", "bee"})
	must.OK(t, err)
	with, err := WithTest(set, [][]float64{{4}, {5}}, []string{"cat", "cat"})
	if err != nil || !cmp.Equal(with.Test.Labels, []int32{2, 2}) || !cmp.Equal(with.Test.Floats, []float32{4, 5}) || with.Digest == set.Digest {
		t.Errorf("%v, labels %v, %v", with, with.Test.Labels, err)
	}
	numbered, err := FromRows([][]uint8{{1}, {2}, {3}}, []int{0, 1, 2})
	must.OK(t, err)
	if with, err = WithTest(numbered, [][]uint8{{4}}, []uint8{2}); err != nil || !cmp.Equal(with.Test.Labels, []int32{2}) || with.Test.Bytes == nil {
		t.Errorf("%v, labels %v, %v", with, with.Test.Labels, err)
	}
	for want, try := range map[string]func() (Set, error){
		`test set: row 2: the label "dog" is no class: "ant", "bee", "cat" are`: func() (Set, error) {
			return WithTest(set, [][]float64{{4}, {5}}, []string{"cat", "dog"})
		},
		"test set: has 2 features where the training set has 1": func() (Set, error) { return WithTest(set, [][]float64{{4, 5}}, []string{"cat"}) },
		"test set: 0 labels for 1 rows: one a row is expected":  func() (Set, error) { return WithTest(set, [][]float64{{4}}, []string{}) },
		"test set: row 1, feature 1 is NaN where a finite float32 is expected": func() (Set, error) {
			return WithTest(set, [][]float64{{math.NaN()}}, []string{"cat"})
		},
	} {
		if _, err := try(); err == nil || err.Error() != want {
			t.Errorf("error %v, want %s", err, want)
		}
	}
}
