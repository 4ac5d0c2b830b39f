package dataset

import (
	"math"
	"slices"
	"strings"
	"testing"

	"clgrad/network"
)

// What torchvision's ToTensor and Normalize make of pixels, and of features that are no
// pixels Normalize alone.
func TestGiven(t *testing.T) {
	bytes := network.Samples{Rows: 1, Features: 12, Bytes: []uint8{0, 1, 2, 3, 50, 100, 128, 200, 253, 254, 255, 255}}
	floats := network.Samples{Rows: 1, Features: 12, Floats: make([]float32, 12)}
	for i := range floats.Floats {
		floats.Floats[i] = float32(i) - 3.5
	}
	twelve := []float64{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12}
	image, colours := []int{3, 4}, []int{2, 2, 3}
	for _, test := range []struct {
		mean, std []float64
		shape     []int
		elements  int
	}{
		{[]float64{0.1307}, []float64{0.3081}, image, 1},
		{nil, []float64{0.5}, image, 1},
		{[]float64{0.5}, nil, image, 1},
		{[]float64{0.485, 0.456, 0.406}, []float64{0.229, 0.224, 0.225}, colours, 12},
		{[]float64{0.485, 0.456, 0.406}, []float64{0.5}, colours, 12},
		{twelve, []float64{2}, image, 12},
		{nil, twelve, nil, 12},
	} {
		for _, samples := range []network.Samples{bytes, floats} {
			s, err := Given(test.mean, test.std, samples, test.shape)
			if err != nil || len(s.Shift) != test.elements {
				t.Fatalf("%v, %v: %d elements, %v", test.mean, test.std, len(s.Shift), err)
			}
			samples.Scaling = s
			mean, std := slices.Concat(test.mean, []float64{0})[:max(1, len(test.mean))], slices.Concat(test.std, []float64{1})[:max(1, len(test.std))]
			for j := range samples.Features {
				v := 0.0
				if samples.Bytes != nil {
					v = float64(samples.Bytes[j]) / 255
				} else {
					v = float64(samples.Floats[j])
				}
				want := (v - mean[j%len(mean)]) / std[j%len(std)]
				raw := 0.0
				if samples.Bytes != nil {
					raw = float64(samples.Bytes[j])
				} else {
					raw = float64(samples.Floats[j])
				}
				if got := float64(s.Apply(raw, j)); math.Abs(got-want) > 1e-6*(1+math.Abs(want)) {
					t.Errorf("%v, %v: feature %d is %v, want %v", test.mean, test.std, j, got, want)
				}
			}
		}
	}
	for _, test := range []struct {
		mean, std []float64
		shape     []int
		want      string
	}{
		{[]float64{1, 2}, nil, image, "mean has 2 numbers: 1 or 12 are expected for samples of shape 3×4"},
		{nil, []float64{1, 2}, colours, "std has 2 numbers: 1, 3 (one a channel) or 12 are expected for samples of shape 2×2×3"},
		{nil, []float64{0}, image, "std 0: a positive number is expected"},
		{nil, []float64{math.NaN()}, image, "std NaN: a positive number is expected"},
		{[]float64{math.Inf(1)}, nil, image, "mean and std: finite numbers are expected"},
		{nil, []float64{1e-320}, image, "mean and std: finite numbers are expected"},
	} {
		if _, err := Given(test.mean, test.std, bytes, test.shape); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("got %v, want %s", err, test.want)
		}
	}
}
