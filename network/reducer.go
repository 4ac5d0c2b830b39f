package network

import "fmt"

// A Reducer makes the gradients of all shards equal to their sum. It adds in a
// fixed order, so that equal parts give equal bits.
type Reducer interface {
	// Reduce replaces every part by the sum of all. It may leave parts as they
	// are where there is one.
	Reduce(parts []Part) error
}

// A Part is one shard's flat gradient on its backend.
type Part struct {
	Backend  Backend
	Gradient Buffer
}

// HostReducer adds gradients in the host's memory, in float64, in the order of
// the shards. With one shard it does nothing.
type HostReducer struct {
	sum, part []float64
}

// Reduce reads every part, adds, and writes the sum back.
func (r *HostReducer) Reduce(parts []Part) error {
	if len(parts) < 2 {
		return nil
	}
	if n := parts[0].Gradient.Len(); len(r.sum) != n {
		r.sum, r.part = make([]float64, n), make([]float64, n)
	}
	clear(r.sum)
	for i, p := range parts {
		if err := p.Backend.Read(p.Gradient, 0, r.part); err != nil {
			return fmt.Errorf("gradient of shard %d: %w", i, err)
		}
		for j, v := range r.part {
			r.sum[j] += v
		}
	}
	for i, p := range parts {
		if err := p.Backend.Write(p.Gradient, 0, r.sum); err != nil {
			return fmt.Errorf("gradient of shard %d: %w", i, err)
		}
	}
	return nil
}
