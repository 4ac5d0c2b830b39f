package text

import (
	"math"
	"strings"
	"testing"

	"clgrad/network"
)

func TestTextCurve(t *testing.T) {
	if got := Curve([]float64{math.NaN(), math.Inf(1)}); got != "" {
		t.Errorf("no finite value: %q", got)
	}
	curve := strings.Split(Curve([]float64{2.4, math.NaN(), 1.25, 0}), "\n")
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
	for _, n := range []int{1, 63, 64, 65, 1000} {
		flat := make([]float64, n)
		for i := range flat {
			flat[i] = 1
		}
		if lines := strings.Split(Curve(flat), "\n"); len([]rune(lines[0])) != 10+min(n, curveWidth) {
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
	got := Samples(s, []int{4, 4}, [][]string{{"actual 1", "predicted 1"}, {"actual 0", "predicted 1"}})
	want := "█                ▒\nactual 1        actual 0\npredicted 1     predicted 1\n"
	if got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
	for _, shape := range [][]int{{16}, {2, 2, 4}, {3, 5}, nil} {
		if got := Samples(s, shape, [][]string{{"x"}, {"y"}}); got != "" {
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
