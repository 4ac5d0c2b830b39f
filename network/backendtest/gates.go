package backendtest

import (
	"fmt"
	"math"
)

// The gates' names in failures.
const (
	gateBound  = "bound"
	gateExact  = "exact"
	gateNaive  = "naive kernel"
	gateRepeat = "same bits"
	gateAround = "around the result"
)

// naiveFactor is how much larger than the naive kernel's a backend's error may
// be.
const naiveFactor = 4

// rmsElements is the number of elements from which on a root mean square says
// something about the way of summation, not about luck.
const rmsElements = 64

// gamma returns γ_d = d·u/(1 − d·u).
func gamma(d int, u float64) float64 {
	du := float64(d) * u
	return du / (1 - du)
}

// cell names elements of a row-major result with the given columns.
func cell(cols int) func(int) string {
	return func(i int) string { return fmt.Sprintf("element (%d, %d)", i/cols, i%cols) }
}

// sameLength fails a case that has no elements to judge, or fewer than expected.
func (s *session) sameLength(shape, gate string, got, want int) bool {
	if got != want || want == 0 {
		s.fail(shape, gate, "%d elements where %d are expected", got, want)
		return false
	}
	return true
}

// bounded is gate 1: |got − want| ≤ bound for every element.
func (s *session) bounded(shape string, at func(int) string, got []float64, want values, bound []float64) {
	if s.err != nil || !s.sameLength(shape, gateBound, len(got), len(want.hi)) {
		return
	}
	worst, worstRatio, beyond := 0, -1.0, 0
	for i, x := range got {
		ratio := want.distance(i, x)
		if ratio > 0 {
			ratio /= bound[i]
		}
		s.ratios = append(s.ratios, float32(ratio))
		if ratio > 1 {
			beyond++
		}
		if ratio > worstRatio {
			worst, worstRatio = i, ratio
		}
	}
	if beyond == 0 {
		return
	}
	s.failAt(shape, gateBound, at(worst), got[worst], want.hi[worst], worstRatio, "%s is %v where %v ± %.3g is expected, %.3g times the bound; %d of %d elements exceed theirs",
		at(worst), got[worst], want.hi[worst], bound[worst], worstRatio, beyond, len(got))
}

// equal is gate 2: got is want in every element. Zeros of either sign are
// equal.
func (s *session) equal(shape string, at func(int) string, got, want []float64) {
	if s.err != nil || !s.sameLength(shape, gateExact, len(got), len(want)) {
		return
	}
	s.exact += len(got)
	worst, worstDistance, wrong := 0, -1.0, 0
	for i, x := range got {
		d := math.Abs(x - want[i])
		switch {
		case x == want[i] || math.IsNaN(x) && math.IsNaN(want[i]):
			continue
		case math.IsNaN(d):
			d = math.Inf(1)
		}
		wrong++
		if d > worstDistance {
			worst, worstDistance = i, d
		}
	}
	if wrong == 0 {
		return
	}
	s.failAt(shape, gateExact, at(worst), got[worst], want[worst], math.Inf(1), "%s is %v where exactly %v is expected; %d of %d elements are wrong",
		at(worst), got[worst], want[worst], wrong, len(got))
}

// notWorse is gate 3: the root mean square and the maximum of the error are at
// most naiveFactor times those of the naive kernel. naive holds results of the
// naive kernel, one or several sets of as many elements as got.
//
// Neither error of the naive kernel counts as less than floor, the error that
// rounding the products alone makes: where a result has few elements, the naive
// kernel may happen to be exact, and then no other order of summation could
// stand beside it. For the same reason the root mean square is judged only where
// a result has rmsElements or more, and the naive results of smaller ones come
// from several orders of the same sum (see rotations).
func (s *session) notWorse(shape string, at func(int) string, got []float64, want values, naive [][]float64, floor float64) {
	if s.err != nil || !s.sameLength(shape, gateNaive, len(got), len(want.hi)) {
		return
	}
	square, largest, worst := 0.0, -1.0, 0
	for i, x := range got {
		d := want.distance(i, x)
		square += d * d
		if d > largest {
			largest, worst = d, i
		}
	}
	naiveSquare, naiveLargest := 0.0, 0.0
	for _, c := range naive {
		for i, x := range c {
			d := want.distance(i, x)
			naiveSquare += d * d
			naiveLargest = max(naiveLargest, d)
		}
	}
	if len(got) < rmsElements {
		square = 0
	}
	rms := math.Sqrt(square / float64(len(got)))
	naiveRMS := math.Sqrt(naiveSquare / float64(len(got)*len(naive)))
	for _, e := range []struct {
		what       string
		err, naive float64
	}{{"root-mean-square", rms, naiveRMS}, {"largest", largest, naiveLargest}} {
		if e.err == 0 {
			continue
		}
		ratio := e.err / max(e.naive, floor)
		s.naive = max(s.naive, ratio)
		if ratio <= naiveFactor {
			continue
		}
		s.failAt(shape, gateNaive, at(worst), got[worst], want.hi[worst], ratio/naiveFactor, "the %s error is %.3g, %.3g times the naive kernel's, where %d times are allowed; the worst is %s, %v where %v is expected",
			e.what, e.err, ratio, naiveFactor, at(worst), got[worst], want.hi[worst])
		return
	}
}

// repeated is the gate of equal bits: two runs of one case.
func (s *session) repeated(shape string, at func(int) string, first, second []float64) {
	if s.err != nil || !s.sameLength(shape, gateRepeat, len(second), len(first)) {
		return
	}
	if i := firstDifference(first, second); i >= 0 {
		s.failAt(shape, gateRepeat, at(i), second[i], first[i], 0, "%s is %v, and %v in a second run of the same call", at(i), first[i], second[i])
	}
}
