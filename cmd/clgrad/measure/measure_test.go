package measure

import "testing"

func TestQuantile(t *testing.T) {
	for _, c := range []struct {
		v       []float64
		q, want float64
	}{
		{nil, 0.5, 0}, {[]float64{3}, 0.25, 3}, {[]float64{4, 1}, 0.5, 2.5}, {[]float64{5, 1, 3}, 0.5, 3},
		{[]float64{4, 3, 2, 1}, 0.25, 1.75}, {[]float64{4, 3, 2, 1}, 0.75, 3.25}, {[]float64{1, 2}, 1, 2}, {[]float64{1, 2}, 0, 1},
	} {
		if got := Quantile(c.v, c.q); got != c.want {
			t.Errorf("quantile %g of %v is %g: %g is expected", c.q, c.v, got, c.want)
		}
	}
}
