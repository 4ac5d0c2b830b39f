package backendtest

import (
	"fmt"
	"math"

	"clgrad/network"
)

// descent returns an update of plain gradient descent.
func descent(alpha float64, iteration int) network.Update {
	return network.Update{Rule: network.NewRule(network.GD), LearningRate: alpha, Step: iteration, Iteration: iteration}
}

// updates checks θ −= α·g, and the other rules (rules.go). Its bound counts α rounded
// to the backend's precision, the product, and the subtraction:
//
//	|θ̂' − θ'| ≤ u·(2|α·g| + |θ'|), and second-order terms
//
// and with integers and α = ±2^k the result is exact.
func updates(s *session) {
	for _, n := range []int{1, 2, 15, 16, 17, 63, 128, 1000, 4097, 100003} {
		if s.quick && n > 5000 || s.smallest && n > 200 {
			continue
		}
		for _, alpha := range []float64{0.1, -1. / 3, 0, 1e-3, 2, -0.5} {
			name := fmt.Sprintf("%d elements, alpha=%.3g", n, alpha)
			s.try(name, func() { updated(s, name, n, alpha) })
		}
	}
	for _, part := range [][3]int{{160, 32, 64}, {4096, 16, 4000}, {4096, 4080, 16}} {
		name := fmt.Sprintf("elements %d to %d of %d", part[1], part[1]+part[2]-1, part[0])
		if !s.smallest || part[0] <= 200 {
			s.try(name, func() { partUpdated(s, name, part[0], part[1], part[2]) })
		}
	}
	for _, n := range []int{1, 17, 1000, 4097} {
		if s.smallest && n > 200 {
			continue
		}
		for _, at := range []int{0, n / 2, n - 1} {
			name := fmt.Sprintf("%d elements, %d not finite", n, at)
			s.try(name, func() { firstNotFinite(s, name, n, at) })
		}
	}
	ruleUpdates(s)
}

// partUpdated checks that an update of a part leaves the rest as it was, and that ten in
// a row without a wait in between take effect one after the other.
func partUpdated(s *session, name string, n, offset, length int) {
	const repeats = 10
	theta, g, want := make([]float64, n), make([]float64, n), make([]float64, n)
	for i := range theta {
		theta[i], g[i] = float64(i%97), float64(i%13+1)
		want[i] = theta[i]
		if i >= offset && i < offset+length {
			want[i] -= repeats * 2 * g[i]
		}
	}
	x, d, rec := s.filled(theta), s.filled(g), s.recorder(1)
	if s.err != nil {
		return
	}
	for i := range repeats {
		s.do(func() error {
			return s.b.Update(descent(2, i+1), network.Vector{Buffer: x, Offset: offset, Len: length}, network.Vector{Buffer: d, Offset: offset, Len: length}, nil, rec)
		})
	}
	s.equal(name, element, s.read(x), want)
	s.equal(name, func(i int) string { return fmt.Sprintf("gradient element %d", i) }, s.read(d), g)
}

func updated(s *session, name string, n int, alpha float64) {
	r := source(name)
	exponent := math.Log2(math.Abs(alpha))
	exact := alpha == 0 || exponent == math.Trunc(exponent)
	theta, g := make([]float64, n), make([]float64, n)
	for i := range theta {
		if exact {
			theta[i], g[i] = float64(r.IntN(1<<23)-1<<22), float64(2*(r.IntN(1<<20)-1<<19))
		} else {
			theta[i], g[i] = s.round(r.NormFloat64()), s.round(r.NormFloat64()*math.Exp2(10*r.Float64()-5))
		}
	}
	want, bound := values{hi: make([]float64, n)}, make([]float64, n)
	if !s.single {
		want.lo = make([]float64, n)
	}
	for i := range theta {
		if s.single {
			want.hi[i] = theta[i] - alpha*g[i]
		} else {
			v := newBig(alpha)
			want.hi[i], want.lo[i] = split(v.Sub(newBig(theta[i]), v.Mul(v, newBig(g[i]))))
		}
		bound[i] = 1.001*s.u*(2*math.Abs(alpha*g[i])+math.Abs(want.hi[i])) + 2*s.tiny()
	}
	x, d, rec := s.filled(theta), s.filled(g), s.recorder(1)
	run := func() []float64 {
		s.write(x, theta)
		s.do(func() error { return s.b.Update(descent(alpha, 1), network.Whole(x), network.Whole(d), nil, rec) })
		return s.read(x)
	}
	got := run()
	s.repeated(name, element, got, run())
	if exact {
		s.equal(name, element, got, want.hi)
	} else {
		s.bounded(name, element, got, want, bound)
	}
	s.equal(name, func(i int) string { return fmt.Sprintf("gradient element %d", i) }, s.read(d), g)
	if _, nonFinite := s.records(rec, 0, 1); nonFinite != 0 {
		s.fail(name, gateExact, "iteration %d is reported as not finite, all values are finite", nonFinite)
	}
}

func element(i int) string { return fmt.Sprintf("element %d", i) }

// firstNotFinite checks that the recorder remembers the first iteration in which
// one element of g or of the new θ is not finite, and no later one.
func firstNotFinite(s *session, name string, n, at int) {
	huge := math.MaxFloat32
	if !s.single {
		huge = math.MaxFloat64
	}
	for _, bad := range []struct {
		what     string
		theta, g float64
		alpha    float64
	}{
		{"g is NaN", 1, math.NaN(), 0.1},
		{"g is +Inf", 1, math.Inf(1), 0.1},
		{"g is -Inf", 1, math.Inf(-1), 0.1},
		{"g is +Inf and alpha is 0", 1, math.Inf(1), 0},
		{"theta is NaN", math.NaN(), 1, 0.1},
		{"theta is -Inf", math.Inf(-1), 1, 0.1},
		{"theta overflows", huge, -huge, 0.5},
	} {
		good := make([]float64, n)
		for i := range good {
			good[i] = 1
		}
		rec, other := s.recorder(2), s.recorder(1)
		x, d := s.filled(good), s.filled(good)
		set := func(theta, g float64) {
			s.do(func() error { return s.b.Write(x, at, []float64{theta}) })
			s.do(func() error { return s.b.Write(d, at, []float64{g}) })
		}
		expect := func(when string, want int) {
			records, got := s.records(rec, 0, 2)
			if s.err != nil {
				return
			}
			if got != want {
				s.fail(name, gateExact, "%s: after %s, iteration %d is reported as the first not finite where %d is expected", bad.what, when, got, want)
			}
			if records[0] != (network.Record{}) || records[1] != (network.Record{}) {
				s.fail(name, gateAround, "%s: an update set records to %+v", bad.what, records)
			}
		}
		update := func(iteration int, alpha float64) {
			s.do(func() error {
				return s.b.Update(descent(alpha, iteration), network.Whole(x), network.Whole(d), nil, rec)
			})
		}
		update(1, 0.1)
		expect("a finite update", 0)
		update(2, 0.1)
		set(bad.theta, bad.g)
		update(3, bad.alpha)
		update(4, bad.alpha)
		set(bad.theta, bad.g)
		update(7, bad.alpha)
		set(1, 1)
		update(8, 0.1)
		expect("iterations 3, 4 and 7", 3)
		if _, got := s.records(other, 0, 1); got != 0 {
			s.fail(name, gateExact, "%s: iteration %d is reported in another recorder", bad.what, got)
		}
		s.closeAll(func(err error) { s.ok(name, "close", err) })
	}
}
