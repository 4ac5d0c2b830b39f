package backendtest

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"

	"clgrad/network"
)

// scalings are those that inputs are tried with.
var scalings = []struct {
	name string
	of   func(features int) network.Scaling
}{
	{"unscaled", func(int) network.Scaling { return network.Scaling{} }},
	{"one scaling", func(int) network.Scaling {
		return network.Scaling{Shift: []float64{33.318}, Factor: []float64{1 / 78.567}}
	}},
	{"a scaling for each feature", perFeature},
}

// loads checks inputs that are loaded, and those that are refilled.
func loads(s *session) {
	loadedInputs(s)
	refilledInputs(s)
}

// loadedInputs checks that a loaded input comes back through Forward with W = I
// and b = 0: sums of one feature and zeros, which are exact, so x must be
// exactly (v − shift)·factor, rounded to float32, and to the precision of products
// where that is less. Affine input comes back as the sum of two rounded numbers.
func loadedInputs(s *session) {
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
					loaded(s, name, drawSamples(source(name), shape.rows, shape.features, scaling.of(shape.features), bytes), shape.blockRows)
				})
			}
		}
	}
}

func loaded(s *session, name string, samples network.Samples, blockRows int) {
	n := samples.Features
	want := scaled(samples)
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
		s.fail(name, gateExact, "the input has %d features in blocks of %v where %d and %v are expected", x.Features(), got, n, blocks)
		return
	}
	run := func() []float64 { return throughIdentity(s, name, x, samples.Rows) }
	got := run()
	loadedRows(s, name, samples, want, x, got)
	s.repeated(name, cell(n), got, run())
}

// drawSamples draws samples without labels.
func drawSamples(r *rand.Rand, rows, features int, scaling network.Scaling, bytes bool) network.Samples {
	samples := network.Samples{Rows: rows, Features: features, Scaling: scaling}
	if bytes {
		samples.Bytes = pixelBytes(r, rows*features)
		return samples
	}
	samples.Floats = make([]float32, rows*features)
	for i := range samples.Floats {
		samples.Floats[i] = float32(100 * r.NormFloat64())
	}
	return samples
}

// throughIdentity returns what Forward makes of an input's rows with W = I and b = 0, block by
// block from the last one on.
func throughIdentity(s *session, name string, x network.Input, all int) []float64 {
	n := x.Features()
	identity := newDense(n, n)
	for i := range n {
		identity.row(i)[i] = 1
	}
	w := s.guarded(false, identity, newDense(1, n))
	h := s.guarded(false, newDense(all, n))
	h.reset(s.env)
	at := all
	for block, rowsOf := range slices.Backward(x.Blocks()) {
		at -= rowsOf
		s.do(func() error {
			view := rows(h.views[0], at, rowsOf)
			return s.b.Forward(network.Rows{Block: network.Block{Input: x, Index: block}}, w.views[0], w.views[1], network.Identity, view)
		})
	}
	got, problem := h.values(s.env, 1)
	if problem != "" {
		s.fail(name, gateAround, "%s", problem)
	}
	return got
}

// refilledInputs checks that after Refill an input holds the rows that it was given last, and their
// number and labels.
func refilledInputs(s *session) {
	for _, shape := range []struct{ rows, features int }{{1, 1}, {5, 3}, {31, 33}, {65, 150}, {13, 784}} {
		for _, scaling := range scalings {
			for _, bytes := range []bool{true, false} {
				name := fmt.Sprintf("%dx%d refilled, %s, bytes %v", shape.rows, shape.features, scaling.name, bytes)
				if s.quick && shape.features > 200 || s.smallest && shape.features > 33 {
					continue
				}
				s.try(name, func() { refilled(s, name, shape.rows, shape.features, scaling.of(shape.features), bytes) })
			}
		}
	}
}

func refilled(s *session, name string, most, features int, scaling network.Scaling, bytes bool) {
	r := source(name)
	first := drawSamples(r, most, features, scaling, bytes)
	clear(first.Bytes) // nothing to pack: what comes needs more room
	first.Labels = make([]int32, most)
	loaded := s.load(first, most)
	x, ok := loaded.(network.RefillableInput)
	if !ok || s.err != nil || !x.Refillable() {
		return
	}
	check := func(samples network.Samples) {
		for range samples.Rows {
			samples.Labels = append(samples.Labels, int32(r.IntN(2)))
		}
		want, zeros := scaled(samples), 0
		for _, y := range samples.Labels {
			if y == 0 {
				zeros++
			}
		}
		kept := slices.Clone(samples.Labels)
		s.do(func() error { return x.Refill(samples) })
		clear(samples.Bytes) // they are the caller's again
		clear(samples.Floats)
		clear(samples.Labels)
		if s.err != nil {
			return
		}
		if got := x.Blocks(); !slices.Equal(got, []int{samples.Rows}) {
			s.fail(name, gateExact, "the input has blocks of %v after it was refilled with %d rows", got, samples.Rows)
			return
		}
		loadedRows(s, name, samples, want, x, throughIdentity(s, name, x, samples.Rows))
		// Of equal logits the first class is the prediction.
		z := s.guarded(false, newDense(samples.Rows, 2))
		record := s.recorder(1)
		s.do(func() error {
			return s.b.SoftmaxCrossEntropy(z.views[0], network.Block{Input: x}, samples.Rows, record, 0)
		})
		if records, _ := s.records(record, 0, 1); s.err == nil && records[0].Correct != zeros {
			s.fail(name, gateExact, "%d rows are correct after a refill with labels %v", records[0].Correct, kept)
		}
	}
	check(drawSamples(r, most, features, scaling, bytes))
	check(drawSamples(r, most/2+1, features, scaling, bytes))
	check(drawSamples(r, 1, features, scaling, bytes))
	large := drawSamples(r, most+1, features, scaling, bytes)
	large.Labels = make([]int32, most+1)
	if err := x.Refill(large); err == nil {
		s.fail(name, gateExact, "more rows than were loaded are taken")
	}
	if bytes { // of features that are other than 0 everywhere
		full := drawSamples(r, most, features, scaling, bytes)
		for i := range full.Bytes {
			full.Bytes[i] = uint8(1 + i%255)
		}
		check(full)
	}
	check(drawSamples(r, most, features, scaling, bytes))
}

// loadedRows compares rows that came back from an input with those that it was given.
func loadedRows(s *session, name string, samples network.Samples, want dense, x network.Input, got []float64) {
	n := samples.Features
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
}
