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
				o := network.LBFGSOptions{LearningRate: first / min(1, -slope), C1: c.c1, C2: c.c2} // the first trial is there
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

// Trials whose losses and slopes are set, from loss f0 and slope −1 along the first
// axis, show which trial is taken, and how many it took.
func TestLineSearchTrials(t *testing.T) {
	for name, c := range map[string]struct {
		o                     network.LBFGSOptions
		f0, roundoff          float64
		trials                [][2]float64 // loss, slope
		evaluations, accepted int
		x                     float64
	}{
		"the first is lower than the last": {network.LBFGSOptions{MaxEvaluations: 2}, 0, 0, [][2]float64{{-10, -1}, {-5, -1}}, 2, 1, 1},
		"the first is lower than one between": {network.LBFGSOptions{MaxEvaluations: 3}, 0, 0,
			[][2]float64{{-10, -1}, {-5, 5}, {-7, -3}}, 3, 1, 1},
		"less than the roundoff to gain": {network.LBFGSOptions{}, 1e6, 1e-6, [][2]float64{{2e6, 1}}, 1, 0, 0},
		"a cubic without a minimum":      {network.LBFGSOptions{C1: 0.8, C2: 0.9}, 0, 0, [][2]float64{{-0.5, -1}, {-0.6, 0.1}}, 2, 2, 0.5},
	} {
		t.Run(name, func(t *testing.T) {
			next := append([][2]float64{{c.f0, -1}}, c.trials...)
			f := network.Objective{Roundoff: c.roundoff, Evaluate: func(x, g []float64) (float64, error) {
				if len(next) == 0 {
					t.Fatalf("a further trial, at %g", x[0])
				}
				loss := next[0][0]
				g[0], next = next[0][1], next[1:]
				return loss, nil
			}}
			s := start(t, c.o, f, []float64{0})
			if done := step(t, c.o, f, s); done.Evaluations != c.evaluations || done.Accepted != c.accepted || s.Theta[0] != c.x {
				t.Errorf("%+v at %g, want trial %d of %d, at %g", done, s.Theta[0], c.accepted, c.evaluations, c.x)
			}
		})
	}
}

// A step up, behind which φ falls again, draws every cubic towards the near end of the interval.
func TestLineSearchPlateau(t *testing.T) {
	f := network.Objective{Evaluate: func(x, g []float64) (float64, error) {
		part := 1 / (1 + math.Exp(40*(0.9-x[0])))
		g[0] = 40e6*part*(1-part) - 1
		return 1e6*part - x[0], nil
	}}
	o := network.LBFGSOptions{LearningRate: 3}
	s := start(t, o, f, []float64{0})
	if done := step(t, o, f, s); !done.Wolfe || done.Evaluations > 10 {
		t.Errorf("%+v: want the strong Wolfe conditions in 10 evaluations", done)
	}
}

// Trials that rounding leaves at the point before are not worth an evaluation.
func TestLineSearchRounded(t *testing.T) {
	f := square
	f.Round = func(x []float64) { x[0] = math.Round(x[0]) }
	o := network.LBFGSOptions{LearningRate: 0.01}
	s := start(t, o, f, []float64{4})
	if done := step(t, o, f, s); done.Accepted != 1 || s.Theta[0] != 3 {
		t.Errorf("short trials: %+v at %g, want trial 1 at 3", done, s.Theta[0])
	}

	f.Evaluate = func(x, g []float64) (float64, error) {
		g[0] = 1
		return math.Abs(x[0] - 4), nil
	}
	s = start(t, network.LBFGSOptions{}, f, []float64{4})
	if done := step(t, network.LBFGSOptions{}, f, s); done.Evaluations != 1 || s.Stop != network.NoProgress {
		t.Errorf("no other point is near: %+v, stop %q, want the end after one evaluation", done, s.Stop)
	}
}
