package recipe

import "errors"

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
