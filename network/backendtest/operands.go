package backendtest

import (
	"math"
	"math/rand/v2"

	"clgrad/network"
)

// operands are those of one case. mask is the layer's input in the input
// gradient.
type operands struct {
	x, w, b, dz, dw, db, mask dense
	samples                   network.Samples
}

func (c productCase) operands(s *session) operands {
	r := source(c.op + " " + c.String())
	m, k, n := c.shape.rows, c.shape.n, c.shape.p
	switch c.verb() {
	case "weight-gradient":
		m, k = k, m
	case "input-gradient":
		k, n = n, k
	}
	round := s.round
	if c.input() {
		round = func(v float64) float64 { return float64(float32(v)) } // what Samples hold
	}
	add := c.verb() == "forward" || c.add
	var p product
	if c.kind == integers {
		step := 1.0
		if c.bytes {
			step = byteStep
		}
		p = drawIntegers(r, m, k, n, add, step, s.operandBits())
	} else {
		p = draw(r, c.kind, m, k, n, add, round)
	}
	var o operands
	switch c.verb() {
	case "forward":
		o.x, o.w, o.b = p.a, p.b, dense{1, n, p.c0.row(0)}
	case "weight-gradient":
		o.x, o.dz, o.dw, o.db = p.a.transpose(), p.b, newDense(m, n), newDense(1, n)
		if c.add {
			copy(o.dw.v, p.c0.v)
			copy(o.db.v, p.c0.row(m-1))
			break
		}
		// What is replaced must not matter.
		for i := range o.dw.v {
			o.dw.v[i] = math.NaN()
		}
		for i := range o.db.v {
			o.db.v[i] = math.Inf(1)
		}
	case "input-gradient":
		o.dz, o.w = p.a, p.b.transpose()
		o.mask = newDense(m, n)
		for i := range o.mask.v {
			o.mask.v[i] = maskValue(r, i)
		}
	}
	if c.input() {
		o.samples = c.samples(r, o.x)
		o.x = scaled(o.samples)
	}
	return o
}

// maskValue returns what ReLU gives and what it never does: a mask must hold
// for zeros of both signs, negative values and the least normal number alike.
func maskValue(r *rand.Rand, i int) float64 {
	switch r.IntN(8) {
	case 0:
		return 0
	case 1:
		return math.Copysign(0, -1)
	case 2:
		return -1
	case 3:
		return 0x1p-126
	case 4:
		return -0x1p-126
	}
	return float64(1 + i%7)
}

// product returns what the case computes before its activation or mask. db is
// one more row of dW, that of an input that is always 1.
func (c productCase) product(o operands) product {
	switch c.verb() {
	case "forward":
		c0 := newDense(o.x.rows, o.w.cols)
		for i := range c0.rows {
			copy(c0.row(i), o.b.v)
		}
		return product{o.x, o.w, c0}
	case "weight-gradient":
		a := newDense(o.x.cols+1, o.x.rows)
		copy(a.v, o.x.transpose().v)
		for i := range a.row(o.x.cols) {
			a.row(o.x.cols)[i] = 1
		}
		p := product{a: a, b: o.dz}
		if c.add {
			p.c0 = dense{a.rows, o.dz.cols, append(append([]float64{}, o.dw.v...), o.db.v...)}
		}
		return p
	default:
		return product{a: o.dz, b: o.w.transpose()}
	}
}

// affine returns a product over input as that of its two parts, x = y + z (see
// [network.AffineInput]): the sum is as long again, and its terms are y·w and z·w.
func (c productCase) affine(p product, o operands) product {
	k := p.a.cols
	f := product{newDense(p.a.rows, 2*k), newDense(2*k, p.b.cols), p.c0}
	copy(f.b.v, p.b.v)
	copy(f.b.v[len(p.b.v):], p.b.v)
	for i := range p.a.rows {
		for t, x := range p.a.row(i) {
			feature, z := t, 0.0
			if c.verb() == "weight-gradient" {
				feature = i
			}
			if feature < o.samples.Features { // not the row of db
				z = float64(o.samples.Scaling.Apply(0, feature))
			}
			f.a.row(i)[t], f.a.row(i)[k+t] = float64(float32(x-z)), z
		}
	}
	return f
}

// finish returns the function that applies the activation or the mask. ReLU
// moves no two values further apart, so a bound on the sum holds for it.
func (c productCase) finish(o operands) func([]float64) {
	return func(v []float64) {
		for i, x := range v {
			switch {
			case c.verb() == "forward" && c.act == network.ReLU && x < 0:
				v[i] = 0
			case c.verb() == "input-gradient" && !(o.mask.v[i] > 0):
				v[i] = 0
			}
		}
	}
}
