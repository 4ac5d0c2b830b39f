package backendtest

import (
	"fmt"
	"math"
	"slices"

	"clgrad/network"
)

// loads checks that a loaded input comes back through Forward with W = I
// and b = 0: sums of one feature and zeros, which are exact, so x must be
// exactly (v − shift)·factor, rounded to float32, and to the precision of products
// where that is less. Affine input comes back as the sum of two rounded numbers.
func loads(s *session) {
	scalings := []struct {
		name string
		of   func(features int) network.Scaling
	}{
		{"unscaled", func(int) network.Scaling { return network.Scaling{} }},
		{"one scaling", func(int) network.Scaling {
			return network.Scaling{Shift: []float64{33.318}, Factor: []float64{1 / 78.567}}
		}},
		{"a scaling for each feature", perFeature},
	}
	for _, shape := range []struct{ rows, features, blockRows int }{
		{1, 1, 1}, {1, 1, 9}, {5, 3, 1}, {7, 17, 7}, {7, 16, 100}, {31, 33, 8}, {64, 67, 16}, {65, 150, 64}, {130, 128, 43}, {13, 784, 12},
	} {
		for _, scaling := range scalings {
			for _, bytes := range []bool{true, false} {
				name := fmt.Sprintf("%dx%d in blocks of %d, floats, %s", shape.rows, shape.features, shape.blockRows, scaling.name)
				if bytes {
					name = fmt.Sprintf("%dx%d in blocks of %d, bytes, %s", shape.rows, shape.features, shape.blockRows, scaling.name)
				}
				if s.quick && shape.features > 200 && !bytes || s.smallest && shape.features > 33 {
					continue
				}
				s.try(name, func() {
					samples := network.Samples{Rows: shape.rows, Features: shape.features, Scaling: scaling.of(shape.features)}
					r := source(name)
					if n := shape.rows * shape.features; bytes {
						samples.Bytes = pixelBytes(r, n)
					} else {
						samples.Floats = make([]float32, n)
						for i := range samples.Floats {
							samples.Floats[i] = float32(100 * r.NormFloat64())
						}
					}
					loaded(s, name, samples, shape.blockRows)
				})
			}
		}
	}
}

func loaded(s *session, name string, samples network.Samples, blockRows int) {
	n := samples.Features
	want := scaled(samples)
	identity := newDense(n, n)
	for i := range n {
		identity.row(i)[i] = 1
	}
	x := s.load(samples, blockRows)
	if s.err != nil {
		return
	}
	// The samples are the caller's again after Load.
	for i := range samples.Bytes {
		samples.Bytes[i] = 99
	}
	for i := range samples.Floats {
		samples.Floats[i] = float32(math.NaN())
	}
	blocks := evenly(samples.Rows, blockRows)
	if got := x.Blocks(); x.Features() != n || !slices.Equal(got, blocks) {
		s.fail(name, gateExact, fmt.Sprintf("the input has %d features in blocks of %v where %d and %v are expected", x.Features(), got, n, blocks))
		return
	}
	w := s.guarded(false, identity, newDense(1, n))
	h := s.guarded(false, newDense(samples.Rows, n))
	run := func() []float64 {
		h.reset(s.env)
		for block, n := range slices.Backward(blocks) {
			s.do(func() error {
				view := rows(h.views[0], block*blockRows, n)
				return s.b.Forward(network.Rows{Block: network.Block{Input: x, Index: block}}, w.views[0], w.views[1], network.Identity, view)
			})
		}
		got, problem := h.values(s.env, 1)
		if problem != "" {
			s.fail(name, gateAround, problem)
		}
		return got
	}
	got := run()
	switch {
	case isAffine(x):
		bound := make([]float64, len(got))
		for i, x := range want.v {
			z := float64(samples.Scaling.Apply(0, i%n))
			bound[i] = gamma(4, s.u)*(math.Abs(x-z)+math.Abs(z)) + s.operand()*math.Abs(x-z)
		}
		s.bounded(name, cell(n), got, values{hi: want.v}, bound)
	case s.delta > 0:
		bound := make([]float64, len(got))
		for i, x := range want.v {
			bound[i] = s.delta * math.Abs(x)
		}
		s.bounded(name, cell(n), got, values{hi: want.v}, bound)
	default:
		s.equal(name, cell(n), got, want.v)
	}
	s.repeated(name, cell(n), got, run())
}
