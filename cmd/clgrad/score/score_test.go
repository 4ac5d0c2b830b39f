package score

import (
	"errors"
	"math"
	"strings"
	"testing"
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
		err := CheckLogits("rows", c.logits, 2, c.labels)
		var bad *NotFiniteError
		if (err != nil) != (c.row > 0) || c.row > 0 && (!errors.As(err, &bad) || bad.row != c.row || !strings.HasPrefix(err.Error(), "rows: row ")) {
			t.Errorf("%s: %v, want row %d", c.name, err, c.row)
		}
	}
}

// Outputs are looked at only where the loss is not finite; where each row is, it is their
// sum that is said.
func TestCheckLoss(t *testing.T) {
	logits := func() ([]float64, error) { return []float64{1, 2}, nil }
	if err := CheckLoss("rows", 3, func() ([]float64, error) { t.Error("looked at"); return nil, nil }, 2, nil); err != nil {
		t.Error(err)
	}
	if err := CheckLoss("rows", math.Inf(1), logits, 2, nil); err == nil || !strings.Contains(err.Error(), "rows: the sum of its losses is not finite") {
		t.Error(err)
	}
	lost := errors.New("device lost")
	if err := CheckLoss("rows", math.NaN(), func() ([]float64, error) { return nil, lost }, 2, nil); !errors.Is(err, lost) {
		t.Error(err)
	}
}
