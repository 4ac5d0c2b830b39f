package network_test

import (
	"fmt"
	"math"
	"testing"

	"clgrad/network"
)

// The functions of Moré and Thuente's paper, section 5, from steps that are far too
// short to far too long. A line search that leaves the interval with the minimum, or that
// shrinks it too slowly, finds no step with the strong Wolfe conditions.
func TestLineSearch(t *testing.T) {
	yanai := func(b1, b2 float64) func(a float64) (f, slope float64) {
		gamma := func(b float64) float64 { return math.Sqrt(1+b*b) - b }
		return func(a float64) (f, slope float64) {
			r1, r2 := math.Hypot(1-a, b2), math.Hypot(a, b1)
			return gamma(b1)*r1 + gamma(b2)*r2, gamma(b1)*(a-1)/r1 + gamma(b2)*a/r2
		}
	}
	for i, c := range []struct {
		f      func(a float64) (f, slope float64)
		c1, c2 float64
	}{
		{func(a float64) (f, slope float64) { return -a / (a*a + 2), (a*a - 2) / ((a*a + 2) * (a*a + 2)) }, 1e-3, 1e-1},
		{func(a float64) (f, slope float64) {
			b := a + 0.004
			return math.Pow(b, 5) - 2*math.Pow(b, 4), 5*math.Pow(b, 4) - 8*math.Pow(b, 3)
		}, 1e-2, 1e-1},
		{yanai(1e-3, 1e-3), 1e-3, 1e-1},
		{yanai(1e-2, 1e-3), 1e-3, 1e-1},
		{yanai(1e-3, 1e-2), 1e-3, 1e-1},
	} {
		for _, first := range []float64{1e-3, 1e-1, 1e1, 1e3} {
			t.Run(fmt.Sprintf("%d from %g", i+1, first), func(t *testing.T) {
				f := network.Objective{Evaluate: func(x, g []float64) (loss float64, err error) {
					loss, g[0] = c.f(x[0])
					return loss, nil
				}}
				_, slope := c.f(0)
				o := network.LBFGS{LearningRate: first / min(1, -slope), C1: c.c1, C2: c.c2} // the first trial is there
				s := start(t, o, f, []float64{0})
				done := step(t, o, f, s) // which checks the conditions
				t.Logf("%d evaluations to %g", done.Evaluations, s.Theta[0])
				if !done.Wolfe || done.Evaluations > 15 {
					t.Errorf("%+v: want the strong Wolfe conditions in 15 evaluations", done)
				}
			})
		}
	}
}
