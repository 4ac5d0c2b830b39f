package text

import (
	"math"
	"strings"
	"testing"

	"clgrad/network"
)

func TestTextCurve(t *testing.T) {
	if got := Curve([]float64{math.NaN(), math.Inf(1)}, 80); got != "" {
		t.Errorf("no finite value: %q", got)
	}
	curve := strings.Split(Curve([]float64{2.4, math.NaN(), 1.25, 0}, 80), "\n")
	want := []string{
		"     2.4 ┤█", "         ┤█", "         ┤█", "         ┤█", "         ┤█", "         ┤█ ▂",
		"         ┤█ █", "         ┤█ █", "         ┤█ █", "         ┤█ █", "         ┤█ █", "       0 ┤█ █",
		"         └──── iteration 4", "",
	}
	for i, line := range want {
		if i >= len(curve) || curve[i] != line {
			t.Fatalf("line %d of\n%s\nwant %q", i+1, strings.Join(curve, "\n"), line)
		}
	}
	for _, columns := range []int{40, 60, 80} {
		for _, n := range []int{1, 9, 60, 1000} {
			wide := make([]float64, n)
			for i := range wide {
				wide[i] = 3 * math.Pow(0.99, float64(i))
			}
			got := Curve(wide, columns)
			if logarithmic := strings.Contains(got, "logarithmic scale"); logarithmic != (wide[n-1] < 0.3) {
				t.Errorf("%d values from 3 to %g:\n%s", n, wide[n-1], got)
			}
			for line := range strings.SplitSeq(got, "\n") {
				if Width(line) >= columns {
					t.Errorf("%d values, %d columns: a line has %d: %q", n, columns, Width(line), line)
				}
			}
		}
	}
	for _, n := range []int{1, 63, 64, 65, 1000} {
		flat := make([]float64, n)
		for i := range flat {
			flat[i] = 1
		}
		if lines := strings.Split(Curve(flat, 80), "\n"); len([]rune(lines[0])) != 10+min(n, curveWidth) {
			t.Errorf("%d values: %q", n, lines[0])
		}
	}
}

func TestTextSamples(t *testing.T) {
	// Two images of 4×4: the left half full, and the lower right quarter half.
	s := network.Samples{Rows: 2, Features: 16, Bytes: []byte{
		8, 8, 0, 0, 8, 8, 0, 0, 8, 8, 0, 0, 8, 8, 0, 0,
		0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 9, 9, 0, 0, 9, 9,
	}}
	got := Samples(s, []int{4, 4}, [][]string{{"actual 1", "predicted 1"}, {"actual 0", "predicted 1"}}, 80)
	want := "█                ▒\nactual 1        actual 0\npredicted 1     predicted 1\n"
	if got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
	for _, shape := range [][]int{{16}, {2, 2, 4}, {3, 5}, nil} {
		if got := Samples(s, shape, [][]string{{"x"}, {"y"}}, 80); got != "" {
			t.Errorf("shape %v: %q", shape, got)
		}
	}
}

func TestDigits(t *testing.T) {
	for v, want := range map[float64]string{0: "0.0000", 61.23456: "61.2346", 0.0919: "0.0919", 0.00919: "0.00919", 0.000301234: "0.000301"} {
		if got := Digits(v); got != want {
			t.Errorf("%v is written %s, want %s", v, got, want)
		}
	}
}
