package backendtest

// A dense matrix is row-major without padding.
type dense struct {
	rows, cols int
	v          []float64
}

func newDense(rows, cols int) dense { return dense{rows, cols, make([]float64, rows*cols)} }

func (d dense) row(i int) []float64 { return d.v[i*d.cols : (i+1)*d.cols] }

func (d dense) transpose() dense {
	t := newDense(d.cols, d.rows)
	for i := range d.rows {
		for j, v := range d.row(i) {
			t.v[j*d.rows+i] = v
		}
	}
	return t
}

// apply returns a copy with f applied to every element.
func (d dense) apply(f func(float64) float64) dense {
	c := newDense(d.rows, d.cols)
	for i, v := range d.v {
		c.v[i] = f(v)
	}
	return c
}
