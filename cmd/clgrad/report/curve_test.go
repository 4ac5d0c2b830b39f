package report

import (
	"encoding/binary"
	"math"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"

	"clgrad/network/must"
)

// curve returns a function's values at every step-th iteration up to last.
func curve(name string, step, last int, f func(i int) float64) Curve {
	c := Curve{Name: name}
	for i := step; i <= last; i += step {
		c.Iterations = append(c.Iterations, i)
		c.Values = append(c.Values, f(i))
	}
	return c
}

// descent falls from 2 to 0 around iteration middle.
func descent(middle float64) func(int) float64 {
	return func(i int) float64 { return 2 / (1 + math.Exp((float64(i)-middle)/8)) }
}

func TestCompare(t *testing.T) {
	ours := curve("ours", 1, 400, descent(150))
	for _, test := range []struct {
		name string
		c, r Curve
		want Comparison
		ok   bool
	}{
		{"itself", ours, ours, Comparison{0, 0, 1}, true},
		{"a step", Curve{"", []int{1, 11}, []float64{0, 10}}, Curve{"", []int{2, 5, 8}, []float64{1, 4.5, 7.25}}, Comparison{0, 0.5, 5}, true},
		{"the reference earlier", ours, curve("", 10, 400, descent(127)), Comparison{23, 0, 33}, true},
		{"the reference later", ours, curve("", 10, 400, descent(187)), Comparison{-37, 0, 3}, true},
		{"one point each", Curve{"", []int{3}, []float64{1}}, Curve{"", []int{3}, []float64{1.5}}, Comparison{0, 0.5, 3}, true},
		{"nothing in common", Curve{"", []int{3, 4}, []float64{1, 1}}, Curve{"", []int{9}, []float64{1}}, Comparison{}, false},
		{"half in common", Curve{"", []int{1, 2}, []float64{1, 1}}, Curve{"", []int{1, 2, 3, 4}, []float64{1, 1, 1, 1}}, Comparison{0, 0, 1}, false},
		{"what is not finite", Curve{"", []int{1, 2, 3}, []float64{1, nan, 3}}, Curve{"", []int{1, 2, 3}, []float64{math.Inf(1), 2.5, 3}}, Comparison{0, 0.5, 2}, true},
		{"all not finite", Curve{"", []int{1}, []float64{nan}}, ours, Comparison{}, false},
		{"empty", Curve{}, Curve{}, Comparison{}, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, ok := Compare(test.c, test.r)
			if ok != test.ok {
				t.Fatalf("comparable: %v, want %v", ok, test.ok)
			}
			if d := cmp.Diff(test.want, got, closely); ok && d != "" {
				t.Errorf("(−want +got):\n%s", d)
			}
		})
	}
}

func TestMoved(t *testing.T) {
	c := Curve{"c", []int{1, 5, 9}, []float64{1, 2, 3}}
	for shift, want := range map[int]Curve{
		2:   {"c", []int{3, 7, 11}, []float64{1, 2, 3}},
		-5:  {"c", []int{0, 4}, []float64{2, 3}},
		-10: {Name: "c"},
	} {
		if d := cmp.Diff(want, c.moved(shift)); d != "" {
			t.Errorf("by %d (−want +got):\n%s", shift, d)
		}
	}
}

// A thinned curve keeps its ends and its extremes, and is short.
func TestThin(t *testing.T) {
	var all plotter.XYs
	for i := range 100_000 {
		all = append(all, plotter.XY{X: float64(i), Y: math.Sin(float64(i) / 1000)})
	}
	all[77_777].Y, all[33_333].Y = 50, -50
	got := thin(all)
	if len(got) > mostPoints || len(got) < mostPoints/2 {
		t.Errorf("%d points of at most %d", len(got), mostPoints)
	}
	if got[0] != all[0] || got[len(got)-1] != all[len(all)-1] {
		t.Errorf("the ends are %v and %v", got[0], got[len(got)-1])
	}
	seen := map[plotter.XY]bool{}
	for i, p := range got {
		if i > 0 && p.X <= got[i-1].X {
			t.Fatalf("point %d at %v follows %v", i, p.X, got[i-1].X)
		}
		seen[p] = true
	}
	if !seen[all[77_777]] || !seen[all[33_333]] {
		t.Error("an extreme is lost")
	}
	if d := cmp.Diff(all[:mostPoints], thin(all[:mostPoints])); d != "" {
		t.Errorf("a short curve was changed:\n%s", d)
	}
}

func TestTicks(t *testing.T) {
	for _, test := range []struct {
		low, high float64
		whole     bool
		want      string
	}{
		{1, 400, true, "100 200 300 400"},
		{1, 1000, true, "200 400 600 800 1000"},
		{0, 2, true, "0 1 2"},
		{0.9, 1.1, true, "1"},
		{0.29, 2.31, false, "0.5 1.0 1.5 2.0"},
		{11.3, 97.4, false, "20 40 60 80"},
		{-1, 1, false, "-1.0 -0.5 0.0 0.5 1.0"},
		{0, 0.3, false, "0.00 0.05 0.10 0.15 0.20 0.25 0.30"},
		{1, 5_000_000, true, "1000000 2000000 3000000 4000000 5000000"},
		{2e-8, 9e-8, false, "2e-08 4e-08 6e-08 8e-08"},
		{1e9, 1e9 + 40, false, "1.00000000e+09 1.00000001e+09 1.00000002e+09 1.00000003e+09 1.00000004e+09"},
	} {
		all := ticks(test.low, test.high)
		if test.whole {
			all = wholeTicks(test.low, test.high)
		}
		var labels []string
		for _, tick := range all {
			labels = append(labels, tick.Label)
			if tick.Value < test.low || tick.Value > test.high {
				t.Errorf("%v to %v: tick at %v", test.low, test.high, tick.Value)
			}
		}
		if got := strings.Join(labels, " "); got != test.want {
			t.Errorf("%v to %v: ticks %q, want %q", test.low, test.high, got, test.want)
		}
	}
}

// A logarithmic axis has labels with one number of digits, and not too many.
func TestLogTicks(t *testing.T) {
	for _, test := range []struct {
		low, high float64
		want      string
	}{
		{0.2, 2.4, "0.2 0.5 1.0 2.0"},
		{0.031, 4, "0.05 0.10 0.20 0.50 1.00 2.00"},
		{0.00031, 4, "0.001 0.010 0.100 1.000"},
		{1e-9, 2, "1e-09 1e-07 1e-05 1e-03 1e-01"},
	} {
		var labels []string
		for _, tick := range logTicks(test.low, test.high) {
			if tick.Label != "" {
				labels = append(labels, tick.Label)
			}
		}
		if got := strings.Join(labels, " "); got != test.want {
			t.Errorf("%v to %v: ticks %q, want %q", test.low, test.high, got, test.want)
		}
	}
}

// The axis of a loss is logarithmic where that shows more and nothing is left out, that of
// an accuracy never; it begins and ends near the curve.
func TestAxes(t *testing.T) {
	for _, test := range []struct {
		values    []float64
		scale     scale
		log       bool
		low, high float64
	}{
		{[]float64{2.3, 0.1}, lossScale, true, 0.0882, 2.61},
		{[]float64{2.3, 0.4}, lossScale, false, 0.324, 2.376},
		{[]float64{2.3, 0}, lossScale, false, 0, 2.392},
		{[]float64{2.3, 1e-60}, lossScale, true, 3.85e-63, 597},
		{[]float64{2, 5e-324}, lossScale, false, 0, 2.08}, // their ratio is not finite
		{[]float64{0.9, 0.99}, accuracyScale, false, 89.64, 99.36},
		{[]float64{0.05, 1}, accuracyScale, false, 1.2, 100},
	} {
		d := newDrawing(Chart{Curves: []Curve{{"c", []int{1, 2}, test.values}}}, test.scale)
		_, log := d.Y.Scale.(plot.LogScale)
		if log != test.log || math.Abs(d.Y.Min/test.low-1) > 0.01 && d.Y.Min != test.low || math.Abs(d.Y.Max/test.high-1) > 0.01 {
			t.Errorf("%v: logarithmic %v, from %g to %g", test.values, log, d.Y.Min, d.Y.Max)
		}
	}
}

// A curve's last value is in the legend, and the best of the one that asks for it.
func TestLegend(t *testing.T) {
	c := Curve{"validation set", []int{10, 20, 30}, []float64{0.5, 0.8, 0.7}}
	for _, test := range []struct {
		scale
		epoch int
		want  string
	}{
		{accuracyScale, 0, "validation set: 70.00 %; highest, iteration 20: 80.00 %"},
		{accuracyScale, 5, "validation set: 70.00 %; highest, epoch 4: 80.00 %"},
		{lossScale, 3, "validation set: 0.7000; lowest, iteration 10: 0.5000"},
	} {
		if got := newDrawing(Chart{Curves: []Curve{c}, Best: c.Name, Epoch: test.epoch}, test.scale).words(); got != test.want {
			t.Errorf("%q, want %q", got, test.want)
		}
	}
}

// No values make a chart panic or an axis endless, and what is drawn has no
// number that an SVG reader would not read.
func FuzzChart(f *testing.F) {
	for _, values := range [][]float64{
		{}, {1}, {nan}, {1, nan, 2}, {math.Inf(1), math.Inf(-1)}, {0, 0, 0}, {1, 1 + 1e-16},
		{math.MaxFloat64, -math.MaxFloat64}, {math.MaxFloat32, -math.MaxFloat32}, {math.MaxFloat32},
		{math.SmallestNonzeroFloat64, 0}, {2.3, 1e-12, 5e30},
	} {
		var b []byte
		for _, v := range values {
			b = binary.LittleEndian.AppendUint64(b, math.Float64bits(v))
		}
		f.Add(b, 1, 1)
		f.Add(b, maxIteration-len(values), 7)
	}
	f.Fuzz(func(t *testing.T, b []byte, first, gap int) {
		c := Curve{Name: "c"}
		for i := 0; len(b) >= 8 && i < 1e4; b, i = b[8:], i+1 {
			c.Iterations = append(c.Iterations, first+i*(gap&0xff+1))
			c.Values = append(c.Values, math.Float64frombits(binary.LittleEndian.Uint64(b)))
		}
		chart := Chart{Curves: []Curve{c}, References: []Curve{c}, Markers: []Marker{{max(0, min(first, maxIteration)), "m"}}}
		if (Run{Loss: chart}).check() != nil {
			return
		}
		finite := 0
		for _, v := range c.Values {
			if drawable(v) {
				finite++
			}
		}
		chart.Best = c.Name
		d := newDrawing(chart, lossScale)
		if (d == nil) != (finite == 0) {
			t.Fatalf("drawn: %v, of %d finite values", d != nil, finite)
		}
		if d == nil {
			return
		}
		svg, err := inline(chartWidth, d.height(), d.draw)
		must.OK(t, err)
		for _, bad := range []string{"NaN", "Inf"} {
			if strings.Contains(svg, bad) {
				t.Fatalf("%s in the picture of %v", bad, c.Values)
			}
		}
	})
}
