package recipe

import (
	"errors"
	"math"
)

// A Reference is a curve of losses that a document printed: those of iterations
// First, First+Every, …
type Reference struct {
	Name   string    `json:"name"`
	First  Count     `json:"first"`
	Every  Count     `json:"every"`
	Losses []float64 `json:"losses"`
}

// check reports what is missing.
func (r *Reference) check() error {
	if r.Name == "" || r.First == 0 || r.Every == 0 || len(r.Losses) == 0 {
		return errors.New("name, first, every and losses are expected")
	}
	return nil
}

// Iteration returns the iteration of the i-th loss.
func (r Reference) Iteration(i int) int { return int(r.First) + i*int(r.Every) }

// A Comparison is how far a run's losses are from a reference's.
type Comparison struct {
	// Shift is how many iterations later the run is: its loss of iteration
	// i+Shift stands against the reference's of iteration i.
	Shift    int
	Distance float64 // the largest difference
	At       int     // the reference's iteration where it is
	Points   int     // of the reference that the run has a loss for
}

// Compare aligns a run with the reference and returns the largest distance
// between them:
//
//	min over s of max over i of |loss(i+s) − reference(i)|
//
// Networks that start from small weights stay on a plateau for some iterations,
// whose number depends on those weights; beyond it they descend alike. So the
// shift s is free, as long as three quarters of the reference's points that s = 0
// would cover have a counterpart. loss[k] is that of iteration k+1. ok is false where
// no point can be compared.
func (r Reference) Compare(loss []float64) (c Comparison, ok bool) {
	at := func(shift int) (c Comparison) {
		c.Shift = shift
		for i, want := range r.Losses {
			k := r.Iteration(i) + shift - 1
			if k < 0 || k >= len(loss) {
				continue
			}
			c.Points++
			if d := math.Abs(loss[k] - want); d > c.Distance || c.At == 0 {
				c.Distance, c.At = d, r.Iteration(i)
			}
		}
		return c
	}
	plain := at(0)
	if plain.Points == 0 {
		return plain, false
	}
	c = plain
	// Outwards from 0, so that of equal distances the smallest shift is taken.
	for s := 1; s < len(loss); s++ {
		enough := false
		for _, shift := range []int{s, -s} {
			x := at(shift)
			if 4*x.Points < 3*plain.Points {
				continue
			}
			enough = true
			if x.Distance < c.Distance {
				c = x
			}
		}
		if !enough {
			break
		}
	}
	return c, true
}
