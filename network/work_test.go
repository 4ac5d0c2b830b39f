package network

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"clgrad/network/must"
)

// Work by hand: every formula's operands and results, layers of one shape
// together.
func TestWork(t *testing.T) {
	l, err := NewLayout([]int{5, 3, 3, 3})
	must.OK(t, err)
	want := []Work{
		{"forward 5x3", 2 * 7 * 15, 4 * (7*5 + 6*3 + 7*3)},
		{"forward 3x3", 2 * (2 * 7 * 9), 2 * 4 * (7*3 + 4*3 + 7*3)},
		{"softmax 3", 0, 4 * (2*7*3 + 7)},
		{"weight_gradient 3x3", 2 * (2 * 7 * 9), 2 * 4 * (7*3 + 7*3 + 2*4*3)},
		{"input_gradient 3x3", 2 * (2 * 7 * 9), 2 * 4 * (7*3 + 9 + 2*7*3)},
		{"weight_gradient 5x3", 2 * 7 * 15, 4 * (7*5 + 7*3 + 2*6*3)},
		{"update", 0, 4 * 3 * (18 + 12 + 12)},
	}
	if d := cmp.Diff(want, l.Work(7, 4)); d != "" {
		t.Error(d)
	}
	if f := l.Flops(7); f != 2*7*(15*2+9*3*2) {
		t.Errorf("%g operations", f)
	}
	double := l.Work(7, 8)
	if double[0].Bytes != 2*want[0].Bytes || double[2].Bytes != 8*2*7*3+4*7 {
		t.Errorf("of eight bytes: %+v", double)
	}
}
