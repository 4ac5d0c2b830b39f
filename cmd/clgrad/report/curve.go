package report

import (
	"math"

	"gonum.org/v1/gonum/interp"
	"gonum.org/v1/plot/plotter"
)

// largestValue bounds what is drawn: the widths of axes and the steps of their
// ticks stay finite. No loss of float32 is larger.
const largestValue = math.MaxFloat32

// drawable returns whether an axis can hold a value.
func drawable(v float64) bool { return math.Abs(v) <= largestValue } // not of NaN

// segments returns a curve's points, times factor, in pieces without the values
// that cannot be drawn, and the number of those.
func (c Curve) segments(factor float64) (pieces []plotter.XYs, left int) {
	return segments(len(c.Values), func(i int) plotter.XY { return plotter.XY{X: float64(c.Iterations[i]), Y: factor * c.Values[i]} })
}

// segments returns n points in pieces without those that cannot be drawn, and the
// number of those.
func segments(n int, point func(i int) plotter.XY) (pieces []plotter.XYs, left int) {
	open := false
	for i := range n {
		p := point(i)
		if !drawable(p.Y) {
			left++
			open = false
			continue
		}
		if !open {
			pieces = append(pieces, nil)
			open = true
		}
		last := &pieces[len(pieces)-1]
		*last = append(*last, p)
	}
	return pieces, left
}

// mostPoints bounds the points of a piece of a curve: more than a screen has
// columns.
const mostPoints = 1000

// thin returns at most about mostPoints points that look like all: the first,
// the last, and the lowest and highest of each stretch between.
func thin(points plotter.XYs) plotter.XYs {
	if len(points) <= mostPoints {
		return points
	}
	inner := points[1 : len(points)-1]
	thinned := plotter.XYs{points[0]}
	const stretches = mostPoints/2 - 1
	for i := range stretches {
		stretch := inner[i*len(inner)/stretches : (i+1)*len(inner)/stretches]
		low, high := 0, 0
		for j, p := range stretch {
			if p.Y < stretch[low].Y {
				low = j
			}
			if p.Y > stretch[high].Y {
				high = j
			}
		}
		thinned = append(thinned, stretch[min(low, high)])
		if low != high {
			thinned = append(thinned, stretch[max(low, high)])
		}
	}
	return append(thinned, points[len(points)-1])
}

// A Comparison says how far a curve is from a reference.
type Comparison struct {
	Shift     int     // by which the reference was moved to the right, in iterations
	Distance  float64 // the largest |c(i) − r(i − Shift)| over the reference's points
	Iteration int     // where it is, on the curve's scale
}

// Compare returns the largest distance between a curve c and a reference r at the
// reference's iterations, c being linear between its points. The reference is moved
// first by the number of iterations at which that distance is smallest (the smallest
// move among equals; one of about a thousand is tried), at most a quarter of its
// length: two runs from different initial weights leave their first plateau at
// different iterations. Points of r outside c's iterations do not count, but three
// quarters of them have to be inside. Values that are not finite count on neither side,
// and r is thinned where it has more than a thousand points. It reports false where
// there is nothing to compare.
func Compare(c, r Curve) (Comparison, bool) {
	ours, theirs := c.finite(), thin(r.finite())
	if len(ours) == 0 || len(theirs) == 0 {
		return Comparison{}, false
	}
	at := func(float64) float64 { return ours[0].Y }
	if len(ours) > 1 {
		xs, ys := make([]float64, len(ours)), make([]float64, len(ours))
		for i, p := range ours {
			xs[i], ys[i] = p.X, p.Y
		}
		var line interp.PiecewiseLinear
		if err := line.Fit(xs, ys); err != nil {
			return Comparison{}, false
		}
		at = line.Predict
	}
	first, last := ours[0].X, ours[len(ours)-1].X
	distance := func(shift int) (Comparison, bool) {
		most, inside := Comparison{Shift: shift}, 0
		for _, p := range theirs {
			x := p.X + float64(shift)
			if x < first || x > last {
				continue
			}
			d := math.Abs(at(x) - p.Y)
			if inside == 0 || d > most.Distance {
				most.Distance, most.Iteration = d, int(x)
			}
			inside++
		}
		return most, inside > 0 && 4*inside >= 3*len(theirs)
	}
	best, ok := distance(0)
	reach := int(theirs[len(theirs)-1].X-theirs[0].X) / 4
	step := max(1, reach/500)
	for shift := step; shift <= reach; shift += step {
		for _, to := range []int{-shift, shift} {
			if d, within := distance(to); within && (!ok || d.Distance < best.Distance) {
				best, ok = d, true
			}
		}
	}
	return best, ok
}

// finite returns the points of a curve that can be compared.
func (c Curve) finite() plotter.XYs {
	var points plotter.XYs
	pieces, _ := c.segments(1)
	for _, piece := range pieces {
		points = append(points, piece...)
	}
	return points
}

// moved returns the curve, its iterations changed by shift, without what comes
// to stand before iteration 0.
func (c Curve) moved(shift int) Curve {
	m := Curve{Name: c.Name}
	for i, n := range c.Iterations {
		if n+shift >= 0 {
			m.Iterations = append(m.Iterations, n+shift)
			m.Values = append(m.Values, c.Values[i])
		}
	}
	return m
}
