package main

import (
	"bytes"
	"math"
	"strings"
	"testing"

	"clgrad/network"
)

func TestTextCurve(t *testing.T) {
	if got := textCurve([]float64{math.NaN(), math.Inf(1)}); got != "" {
		t.Errorf("no finite value: %q", got)
	}
	curve := strings.Split(textCurve([]float64{2.4, math.NaN(), 1.25, 0}), "\n")
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
		if lines := strings.Split(textCurve(flat), "\n"); len([]rune(lines[0])) != 10+min(n, curveWidth) {
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
	got := textSamples(s, []int{4, 4}, [][]string{{"actual 1", "predicted 1"}, {"actual 0", "predicted 1"}})
	want := "█                ▒\nactual 1        actual 0\npredicted 1     predicted 1\n"
	if got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
	for _, shape := range [][]int{{16}, {2, 2, 4}, {3, 5}, nil} {
		if got := textSamples(s, shape, [][]string{{"x"}, {"y"}}); got != "" {
			t.Errorf("shape %v: %q", shape, got)
		}
	}
}

// Curve and samples are for a terminal alone.
func TestScreen(t *testing.T) {
	dir := images(t, 100, 10)
	for _, screen := range []bool{false, true} {
		for _, args := range [][]string{nil, {"--json"}} {
			var out, notes bytes.Buffer
			a := &app{Context: t.Context(), out: &out, err: &notes, screen: screen}
			if status := a.run(append([]string{"train", "--data", dir, "--iterations", "2", "--backend", "cpu"}, args...)); status != success {
				t.Fatal(notes.String())
			}
			if shown := strings.Contains(out.String(), "█") && strings.Contains(out.String(), "predicted "); shown != (screen && args == nil) {
				t.Errorf("terminal %v, %v:\n%s", screen, args, out.String())
			}
		}
	}
}

func TestDigits(t *testing.T) {
	for v, want := range map[float64]string{0: "0.0000", 61.23456: "61.2346", 0.0919: "0.0919", 0.00919: "0.00919", 0.000301234: "0.000301"} {
		if got := digits(v); got != want {
			t.Errorf("%v is written %s, want %s", v, got, want)
		}
	}
}
