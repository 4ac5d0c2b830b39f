package watch

import (
	"encoding/json"
	"math"
	"testing"

	"pgregory.net/rapid"
)

// A curve of a million iterations has at most maxPoints points, and at least half as many. They are
// means of neighbouring iterations, all of which are in exactly one.
func TestCurveIsBounded(t *testing.T) {
	var c curve
	loss := func(i int) float64 { return 1 / float64(i) }
	const n = 1_000_000
	for i := 1; i <= n; i++ {
		c.add(i, loss(i), float64(i)/n)
		if len(c.points) > maxPoints {
			t.Fatalf("%d points after %d iterations", len(c.points), i)
		}
	}
	if len(c.points) < maxPoints/2 || c.points[len(c.points)-1].Iteration != n {
		t.Errorf("%d points, the last is %+v", len(c.points), c.points[len(c.points)-1])
	}
	first := 1
	for _, p := range c.points {
		sum, accuracy, count := 0., 0., 0
		for i := first; i <= p.Iteration; i++ {
			sum, accuracy, count = sum+loss(i), accuracy+float64(i)/n, count+1
		}
		if count != p.count || math.Abs(p.Loss/(sum/float64(count))-1) > 1e-9 || math.Abs(p.Accuracy/(accuracy/float64(count))-1) > 1e-9 {
			t.Fatalf("iterations %d to %d: %+v, where the mean of %d is %g", first, p.Iteration, p, count, sum/float64(count))
		}
		first = p.Iteration + 1
	}
}

// A curve of logged iterations, with gaps between them, keeps all while there are few.
func TestCurveWithGaps(t *testing.T) {
	var c curve
	for i := range maxPoints {
		c.add(1000*(i+1), float64(i), 0)
	}
	if len(c.points) != maxPoints || c.points[7] != (Point{8000, 7, 0, 1}) {
		t.Fatalf("%d points, the eighth is %+v", len(c.points), c.points[7])
	}
	c.add(1000*(maxPoints+1), 0, 0)
	if n := len(c.points); n > maxPoints || n < maxPoints/2-1 {
		t.Errorf("%d points", n)
	}
}

// Whoever applies all that a curve publishes has the curve.
func TestCurvePublishes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var c curve
		var copied Points
		iteration := 0
		for range rapid.IntRange(1, 20).Draw(t, "times") {
			for range rapid.IntRange(0, 1500).Draw(t, "iterations") {
				iteration += rapid.SampledFrom([]int{1, 1, 1, 7}).Draw(t, "step")
				c.add(iteration, float64(iteration), 0.5)
			}
			if s := c.publish(); s != nil {
				copied = append(copied[:s.At:s.At], s.Points...)
			}
			if len(copied) != len(c.points) {
				t.Fatalf("%d points where the curve has %d", len(copied), len(c.points))
			}
			for i := range copied {
				if copied[i] != c.points[i] {
					t.Fatalf("point %d is %+v where the curve has %+v", i, copied[i], c.points[i])
				}
			}
		}
	})
}

func TestPointsAsJSON(t *testing.T) {
	text, err := json.Marshal(Points{{1, 2.30258509, 0.1, 1}, {20, math.NaN(), 1, 1}, {300, 1e-9, math.Inf(1), 1}})
	if want := `[[1,2.30259,0.1],[20,null,1],[300,1e-09,null]]`; err != nil || string(text) != want {
		t.Errorf("%s, error %v: %s is expected", text, err, want)
	}
	if text, err := json.Marshal(Points{}); err != nil || string(text) != "[]" {
		t.Errorf("of none: %s, error %v", text, err)
	}
}
