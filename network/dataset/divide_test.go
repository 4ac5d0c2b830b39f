package dataset

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"clgrad/network/must"
)

// Every row of a divided set is one of the whole, with its label, and none comes
// twice; the same seed divides alike, another does not.
func TestDivide(t *testing.T) {
	whole := toySet("toy")
	type row struct {
		pixels string
		label  int32
	}
	rows := func(s Set) (all []row) {
		for i := range s.Train.Rows {
			all = append(all, row{string(s.Train.Slice(i, 1).Bytes), s.Train.Labels[i]})
		}
		for i := range s.Test.Rows {
			all = append(all, row{string(s.Test.Slice(i, 1).Bytes), s.Test.Labels[i]})
		}
		return all
	}
	sorted := func(all []row) []row {
		return slices.SortedFunc(slices.Values(all), func(a, b row) int { return strings.Compare(a.pixels, b.pixels) })
	}
	divided, err := whole.Divide(1, 4, 1)
	must.OK(t, err)
	if divided.Train.Rows != 1 || divided.Test.Rows != 4 || divided.Train.Check(3) != nil || divided.Test.Check(3) != nil ||
		divided.Digest != whole.Digest {
		t.Errorf("%+v", divided)
	}
	if d := cmp.Diff(sorted(rows(whole)), sorted(rows(divided)), cmp.AllowUnexported(row{})); d != "" {
		t.Errorf("rows were lost or made:\n%s", d)
	}
	again, err := whole.Divide(1, 4, 1)
	if d := cmp.Diff(divided, again); d != "" || err != nil {
		t.Errorf("a second time: %v\n%s", err, d)
	}
	differs := false
	for seed := range uint64(9) {
		other, err := whole.Divide(1, 4, seed)
		must.OK(t, err)
		differs = differs || !cmp.Equal(divided, other)
	}
	if !differs {
		t.Error("nine seeds divide alike")
	}
	// The order is a promise: configurations hold the seed alone.
	if got := rows(divided)[0].label; got != rows(whole)[1].label {
		t.Errorf("seed 1 trains on the row with label %d", got)
	}
	for _, n := range [][2]int{{0, 1}, {1, 0}, {5, 1}, {1 << 62, 1 << 62}, {-1, 2}} {
		if _, err := whole.Divide(n[0], n[1], 1); err == nil || !strings.Contains(err.Error(), "the set has 5 rows") {
			t.Errorf("%v: %v", n, err)
		}
	}
	if first := divided.First(2); first.Train.Rows != 1 || first.Test.Rows != 2 {
		t.Errorf("the first two rows: %+v", first)
	}
}
