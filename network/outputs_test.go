package network_test

import (
	"errors"
	"math"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"clgrad/network"
)

// The first row that has no finite result is named: by its outputs, or by a loss that is
// beyond float32. Finite rows are not.
func TestCheckLogits(t *testing.T) {
	inf, nan, far := math.Inf(1), math.NaN(), 2e38
	for _, c := range []struct {
		name   string
		logits []float64 // of two classes
		labels []int32
		row    int // 0: all are finite
	}{
		{"finite", []float64{1, 2, -3e38, 0}, []int32{0, 1}, 0},
		{"NaN", []float64{1, 2, 3, nan}, nil, 2},
		{"infinite", []float64{inf, 2, 3, nan}, nil, 1},
		{"minus infinity", []float64{1, -inf}, nil, 1},
		{"far apart", []float64{0, 1, far, -far}, []int32{0, 1}, 2},
		{"far apart, but right", []float64{far, -far}, []int32{0}, 0},
		{"far apart, without labels", []float64{far, -far}, nil, 0},
		{"a label of no class", []float64{1, 2}, []int32{7}, 0},
		{"no rows", nil, nil, 0},
	} {
		err := network.CheckLogits("rows", c.logits, 2, c.labels)
		var bad *network.NonFiniteResultError
		if (err != nil) != (c.row > 0) || c.row > 0 && (!errors.As(err, &bad) || bad.Row != c.row || !strings.HasPrefix(err.Error(), "rows: row ")) {
			t.Errorf("%s: %v, want row %d", c.name, err, c.row)
		}
	}
}

// Outputs are looked at only where the loss is not finite; where each row is, it is their
// sum that is said.
func TestCheckLoss(t *testing.T) {
	logits := func() ([]float64, error) { return []float64{1, 2}, nil }
	if err := network.CheckLoss("rows", 3, func() ([]float64, error) { t.Error("looked at"); return nil, nil }, 2, nil); err != nil {
		t.Error(err)
	}
	if err := network.CheckLoss("rows", math.Inf(1), logits, 2, nil); err == nil || !strings.Contains(err.Error(), "rows: the sum of its losses is not finite") {
		t.Error(err)
	}
	lost := errors.New("device lost")
	if err := network.CheckLoss("rows", math.NaN(), func() ([]float64, error) { return nil, lost }, 2, nil); !errors.Is(err, lost) {
		t.Error(err)
	}
}

func TestSoftmax(t *testing.T) {
	inf, nan := math.Inf(1), math.NaN()
	closely := cmp.Options{cmpopts.EquateApprox(0, 1e-12), cmpopts.EquateNaNs()}
	for _, test := range []struct{ z, want []float64 }{
		{[]float64{0, 0, 0, 0}, []float64{.25, .25, .25, .25}},
		{[]float64{math.Log(1), math.Log(2), math.Log(3), math.Log(4)}, []float64{.1, .2, .3, .4}},
		{[]float64{1e308, 1e308, -1e308, 0}, []float64{.5, .5, 0, 0}},
		{[]float64{-1e300, -1e300, -inf, -inf}, []float64{.5, .5, 0, 0}},
		{[]float64{nan, 0, 0, 0}, []float64{nan, nan, nan, nan}},
		{[]float64{inf, 0, 0, 0}, []float64{nan, nan, nan, nan}},
		{[]float64{-inf, -inf, -inf, -inf}, []float64{nan, nan, nan, nan}},
	} {
		if d := cmp.Diff(test.want, network.Softmax(test.z, 4), closely); d != "" {
			t.Errorf("softmax of %v (−want +got):\n%s", test.z, d)
		}
	}
	if d := cmp.Diff([]float64{.5, .5, 1, 0}, network.Softmax([]float64{3, 3, 0, -1000}, 2), closely); d != "" {
		t.Errorf("two rows (−want +got):\n%s", d)
	}
}

// Ties go to the lowest class, as everywhere in this module.
func TestPredicted(t *testing.T) {
	got := network.Predicted([]float64{1, 2, 3, 5, 5, 5, -1, -3, -1}, 3)
	if d := cmp.Diff([]int{2, 0, 0}, got); d != "" {
		t.Errorf("(−want +got):\n%s", d)
	}
}
