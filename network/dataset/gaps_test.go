package dataset

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	"clgrad/network/must"
)

// The means that stand for gaps are those of the rows to train on: rows that are held back and
// those of the test set have no part in them, and later files get the same ones.
func TestFillGaps(t *testing.T) {
	dir := t.TempDir()
	file := func(name, content string) string {
		path := filepath.Join(dir, name)
		must.OK(t, os.WriteFile(path, []byte(content), 0o600))
		return path
	}
	train := file("train.csv", "label,a,b\n0,1,7\n0,?,7\n0,3,7\n1,100,7\n1,200,7\n1,?,7\n")
	test := file("test.csv", "label,a,b\n0,?,1\n1,5000,2\n")
	o := Options{Test: test, Reading: Reading{Missing: Mean}}
	set, err := Load(t.Context(), train, o)
	must.OK(t, err)
	digest := set.Digest
	set, err = set.Split(0.34, 1)
	must.OK(t, err)
	sum, n := 0., 0
	for i := range set.Train.Rows {
		if v := float64(set.Train.FloatRow(i)[0]); v == v {
			sum, n = sum+v, n+1
		}
	}
	mean := sum / float64(n)
	set, err = set.FillGaps()
	must.OK(t, err)
	if want := []float64{mean, 7}; n == 4 || !slices.Equal(set.Columns.Means, want) {
		t.Errorf("means of %d values %v, want %v of fewer than 4", n, set.Columns.Means, want)
	}
	if got, want := set.Test.Floats, []float32{float32(mean), 1, 5000, 2}; !slices.Equal(got, want) {
		t.Errorf("test set %v, want %v", got, want)
	}
	for _, v := range slices.Concat(set.Train.Flat().Floats, set.Validation.Flat().Floats) {
		if v != v {
			t.Errorf("training set %v and validation set %v have gaps", set.Train.Floats, set.Validation.Floats)
		}
	}

	// The same data is known again, also where its columns are counted.
	for _, name := range []string{train, file("counted.csv", "0,1,7\n0,?,7\n0,3,7\n1,100,7\n1,200,7\n1,?,7\n")} {
		o.Columns, o.Classes = set.Columns, []string{"0", "1"}
		later, err := Load(t.Context(), name, o)
		if err == nil {
			later, err = later.FillGaps()
		}
		if want := []float32{1, 7, float32(mean), 7, 3, 7, 100, 7, 200, 7, float32(mean), 7}; err != nil || !slices.Equal(later.Train.Floats, want) || later.Digest != digest {
			t.Errorf("later %v with digest %.9s, %v, want %v with %.9s", later.Train.Floats, later.Digest, err, want, digest)
		}
	}

	set, err = Load(t.Context(), file("none.csv", "label,a,b\n1,?,1\n0,,2\n"), Options{Reading: Reading{Missing: Mean}})
	if err == nil {
		_, err = set.FillGaps()
	}
	if want := `none.csv: column 2 ("a"): has no value in any row of the training set, and so no mean: Reading.Ignore leaves it out`; err == nil || err.Error() != want {
		t.Errorf("%v, want %s", err, want)
	}
}
