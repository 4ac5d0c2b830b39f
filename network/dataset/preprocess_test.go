package dataset

import (
	"bytes"
	"math"
	"slices"
	"strings"
	"testing"

	"clgrad/network"
	"clgrad/network/must"

	"pgregory.net/rapid"
)

// near fails where got differs from want by more than some roundings.
func near(t interface{ Errorf(string, ...any) }, what string, got, want float64) {
	if !(math.Abs(got-want) <= 1e-13*math.Abs(want)) {
		t.Errorf("%s is %v, want %v", what, got, want)
	}
}

func TestParsePreprocess(t *testing.T) {
	for _, m := range methods {
		if got, err := ParsePreprocess(string(m)); got != m || err != nil {
			t.Errorf("%s: got %q, %v", m, got, err)
		}
	}
	for _, name := range []string{"", "MAX", "mean"} {
		_, err := ParsePreprocess(name)
		if err == nil || !strings.HasSuffix(err.Error(), "is unknown: one of max, standard, feature, column, none is expected") {
			t.Errorf("%q: got %v", name, err)
		}
	}
}

// 2 images of 2×2. μ and σ are of values a hand can compute.
func TestFitBytes(t *testing.T) {
	train := network.Samples{Rows: 2, Features: 4, Bytes: []uint8{0, 10, 20, 10, 40, 10, 20, 50}}
	const e = 255 * Epsilon
	for _, test := range []struct {
		method        Preprocess
		shift, factor []float64
	}{
		{None, nil, nil},
		{Max, []float64{0}, []float64{1. / 50}},
		// Σ = 160, Σ² = 5200 over 8 values: μ = 20, σ = √(650 − 400).
		{Standard, []float64{20}, []float64{1 / (math.Sqrt(250) + e)}},
		// {0, 40}, {10, 10}, {20, 20}, {10, 50}; equal values have factor 0.
		{Feature, []float64{20, 10, 20, 30}, []float64{1 / (20 + e), 0, 0, 1 / (20 + e)}},
		// {0, 40, 20, 20}: σ = √200; {10, 10, 10, 50}: μ = 20, σ = √300.
		{Column, []float64{20, 20, 20, 20}, []float64{
			1 / (math.Sqrt(200) + e), 1 / (math.Sqrt(300) + e), 1 / (math.Sqrt(200) + e), 1 / (math.Sqrt(300) + e)}},
	} {
		got, err := Fit(test.method, train, []int{2, 2})
		if err != nil {
			t.Errorf("%s: %v", test.method, err)
			continue
		}
		compare(t, string(test.method), got, network.Scaling{Shift: test.shift, Factor: test.factor})
	}
}

func compare(t interface{ Errorf(string, ...any) }, what string, got, want network.Scaling) {
	if len(got.Shift) != len(want.Shift) || len(got.Factor) != len(want.Factor) {
		t.Errorf("%s: got %v, want %v", what, got, want)
		return
	}
	for j := range want.Shift {
		near(t, what+" shift", got.Shift[j], want.Shift[j])
		near(t, what+" factor", got.Factor[j], want.Factor[j])
	}
}

// Where all values are equal the network sees 0, whatever value comes later.
func TestFitConstant(t *testing.T) {
	for _, value := range []uint8{0, 7, 255} {
		train := network.Samples{Rows: 3, Features: 2, Bytes: slices.Repeat([]uint8{value}, 6)}
		floats := train
		floats.Bytes, floats.Floats = nil, slices.Repeat([]float32{float32(value) + 0.1}, 6)
		for _, s := range []network.Samples{train, floats} {
			for _, m := range []Preprocess{Standard, Feature, Column} {
				scaling, err := Fit(m, s, []int{1, 2})
				must.OK(t, err)
				for _, v := range []float64{0, 7, 255, 1e6} {
					if x := scaling.Apply(v, 1); x != 0 {
						t.Errorf("%s of constant %d: %v becomes %v", m, value, v, x)
					}
				}
			}
		}
	}
	scaling, err := Fit(Max, network.Samples{Rows: 1, Features: 2, Floats: make([]float32, 2)}, nil)
	if err != nil || scaling.Apply(3, 0) != 0 {
		t.Errorf("max of zeros is %v, %v: 0 is expected for every value", scaling, err)
	}
}

func TestFitFloats(t *testing.T) {
	train := network.Samples{Rows: 2, Features: 2, Floats: []float32{-4, 1e6, 2, 1e6 + 1}}
	got, err := Fit(Max, train, []int{2})
	must.OK(t, err)
	compare(t, "max", got, network.Scaling{Shift: []float64{0}, Factor: []float64{1 / (1e6 + 1)}})
	if got, err = Fit(Max, network.Samples{Rows: 1, Features: 2, Floats: []float32{-4, 2}}, nil); err != nil || got.Factor[0] != 0.25 {
		t.Errorf("max of −4 and 2 is %v, %v: the absolute value counts", got, err)
	}
	// A sum of squares less the square of the sum would lose 10⁶ ± ½.
	got, err = Fit(Feature, train, []int{2})
	must.OK(t, err)
	compare(t, "feature", got, network.Scaling{
		Shift: []float64{-1, 1e6 + 0.5}, Factor: []float64{1 / (3 + Epsilon), 1 / (0.5 + Epsilon)}})
}

// Every group's scaled training values have mean 0 and deviation σ/(σ+ε), for
// bytes and for the same values as floats.
func TestFitStandardises(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		rows, h, w := rapid.IntRange(1, 20).Draw(t, "rows"), rapid.IntRange(1, 4).Draw(t, "h"), rapid.IntRange(1, 4).Draw(t, "w")
		n := h * w
		s := network.Samples{Rows: rows, Features: n, Bytes: rapid.SliceOfN(rapid.Uint8(), rows*n, rows*n).Draw(t, "bytes")}
		floats := network.Samples{Rows: rows, Features: n, Floats: make([]float32, rows*n)}
		for i, v := range s.Bytes {
			floats.Floats[i] = float32(v)
		}
		for method, groups := range map[Preprocess]int{Standard: 1, Column: w, Feature: n} {
			for kind, s := range map[string]network.Samples{"bytes": s, "floats": floats} {
				unit := 1.0
				if s.Bytes != nil {
					unit = 255
				}
				scaling, err := Fit(method, s, []int{h, w})
				must.OK(t, err)
				for g := range groups {
					var raw, scaled []float64
					for i := range rows {
						for j := g; j < n; j += groups {
							k := j
							if len(scaling.Shift) == 1 {
								k = 0
							}
							v := float64(floats.Floats[i*n+j])
							raw = append(raw, v/unit)
							scaled = append(scaled, (v-scaling.Shift[k])*scaling.Factor[k])
						}
					}
					_, sigma := moments(raw)
					mean, deviation := moments(scaled)
					if want := sigma / (sigma + Epsilon); math.Abs(mean) > 1e-10 || math.Abs(deviation-want) > 1e-10 {
						t.Fatalf("%s of %s, group %d: mean %v, deviation %v, want 0 and %v", method, kind, g, mean, deviation, want)
					}
				}
			}
		}
	})
}

// moments are the mean and population deviation by their definition.
func moments(v []float64) (mean, deviation float64) {
	if slices.Max(v) == slices.Min(v) {
		return v[0], 0
	}
	for _, x := range v {
		mean += x / float64(len(v))
	}
	for _, x := range v {
		deviation += (x - mean) * (x - mean)
	}
	return mean, math.Sqrt(deviation / float64(len(v)))
}

// Sums of large data leave 64 bits: N·Σv² of these bytes is about 2⁶⁵.
func TestFitLarge(t *testing.T) {
	if testing.Short() {
		t.Skip("needs 24 MiB")
	}
	const n = 3 << 23
	data := bytes.Repeat([]uint8{255, 254, 254, 255}, n/4)
	got, err := Fit(Standard, network.Samples{Rows: n / 4, Features: 4, Bytes: data}, nil)
	must.OK(t, err)
	compare(t, "standard", got, network.Scaling{Shift: []float64{254.5}, Factor: []float64{1 / (0.5 + 255*Epsilon)}})
}

func TestFitErrors(t *testing.T) {
	data := network.Samples{Rows: 1, Features: 4, Bytes: []uint8{1, 2, 3, 4}}
	floats := func(v ...float32) network.Samples {
		return network.Samples{Rows: len(v) / 2, Features: 2, Floats: v}
	}
	nan, inf := float32(math.NaN()), float32(math.Inf(-1))
	for _, test := range []struct {
		name   string
		method Preprocess
		train  network.Samples
		shape  []int
		want   string
	}{
		{"method", "mean", data, []int{4}, `preprocessing "mean" is unknown: one of`},
		{"no rows", Max, network.Samples{}, nil, "no samples"},
		{"length", Max, network.Samples{Rows: 2, Features: 4, Bytes: []uint8{1}}, nil, "samples hold 1 values where 2 rows of 4 features"},
		{"column without image", Column, data, []int{4}, "preprocessing column needs images of rows and columns, the samples' shape is 4"},
		{"column of volume", Column, data, []int{1, 2, 2}, "preprocessing column needs images of rows and columns, the samples' shape is 1×2×2"},
		{"other shape", Column, data, []int{2, 3}, "shape 2×3 does not fit samples of 4 features"},
		{"empty shape", Column, data, []int{4, 0}, "shape 4×0 does not fit samples of 4 features"},
		{"wrapping shape", Column, data, []int{1 << 62, 4}, "shape 4611686018427387904×4 does not fit samples of 4 features"},
		{"NaN", Max, floats(1, 2, 3, nan), nil, "row 2, column 2 is NaN where a finite number is expected"},
		{"infinite", None, floats(1, inf), nil, "row 1, column 2 is -Inf where a finite number is expected"},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, err := Fit(test.method, test.train, test.shape)
			if err == nil || !strings.HasPrefix(err.Error(), test.want) {
				t.Errorf("got %v, want %s", err, test.want)
			}
		})
	}
}

func TestSetPreprocess(t *testing.T) {
	raw := toySet("toy")
	s, err := raw.Preprocess(Max)
	must.OK(t, err)
	// The largest training value is 255; the test set has no part in it.
	if got, want := s.Test.Scaling.Apply(6, 5), float32(6./255); got != want {
		t.Errorf("a test value of 6 becomes %v, want %v", got, want)
	}
	if raw.Train.Scaling.Shift != nil || s.Train.Scaling.Factor[0] != s.Test.Scaling.Factor[0] {
		t.Error("the scaling is not that of both sets of the copy alone")
	}
	// Preprocessing anew starts from raw values.
	if s, err = s.Preprocess(None); err != nil || len(s.Train.Scaling.Shift) != 0 {
		t.Errorf("none after max is %v, %v", s.Train.Scaling, err)
	}

	s.Test.Bytes, s.Test.Floats = nil, []float32{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, float32(math.Inf(1))}
	if _, err = s.Preprocess(Max); err == nil || err.Error() != "test set of toy: row 2, column 6 is +Inf where a finite number is expected" {
		t.Errorf("got %v", err)
	}
	s.Test.Features, s.Test.Rows = 4, 3
	if _, err = s.Preprocess(Max); err == nil || err.Error() != "test set of toy: has 4 features where the training set has 6" {
		t.Errorf("a test set of other features: got %v", err)
	}
	s.Train.Rows = 0
	if _, err = s.Preprocess(Max); err == nil || !strings.HasPrefix(err.Error(), "training set of toy: ") {
		t.Errorf("got %v", err)
	}
}
