package network

import (
	"errors"
	"fmt"
	"time"
)

// Share returns the plan with its batches divided anew, into a slice for each backend: rows
// in proportion to shares, and at least one. s are the samples that the plan was made for.
func (p Plan) Share(s Samples, shares []int, backends ...Backend) (Plan, error) {
	if len(shares) != len(backends) {
		return Plan{}, fmt.Errorf("%d shares for %d backends", len(shares), len(backends))
	}
	for _, n := range shares {
		if n < 1 || n > maxShare {
			return Plan{}, fmt.Errorf("share %d: 1 to %d are possible", n, maxShare)
		}
	}
	if p.BatchRows < len(backends) {
		return Plan{}, fmt.Errorf("batches of %d rows for %d devices: a row for each is expected", p.BatchRows, len(backends))
	}
	order, err := p.permutation(s)
	if err != nil {
		return Plan{}, err
	}
	p.Shards = nil
	first := 0
	for _, end := range divide(p.BatchRows, shares) {
		p.Shards = append(p.Shards, ShardPlan{First: first, Rows: end - first})
		first = end
	}
	return p.propose(s.gather(order, [][2]int{{0, s.Rows}}), backends)
}

// maxShare bounds a share, so that products with it are in range.
const maxShare = 1 << 20

// divide returns where the slices of so many rows end.
func divide(rows int, shares []int) (ends []int) {
	total := 0
	for _, n := range shares {
		total += n
	}
	sum, last := 0, 0
	for i, n := range shares {
		sum += n
		last = min(max(rows*sum/total, last+1), rows-(len(shares)-1-i))
		ends = append(ends, last)
	}
	return ends
}

// speedRows bounds the rows that a backend's speed is measured on.
const speedRows = 1 << 14

// Speeds measures how many rows a second each backend takes, where all have equal slices of
// the plan's first batch: through its loss and gradient, until the gradient is on the host.
// They take turns, so that none waits for another, and the fastest turn counts. s are the
// samples that the plan was made for, theta any parameters of the network.
func Speeds(layout Layout, s Samples, plan Plan, theta []float64, backends ...Backend) (speeds []float64, err error) {
	order, err := plan.permutation(s)
	if err != nil {
		return nil, err
	}
	part := s.gather(order, [][2]int{{0, min(plan.BatchRows, speedRows*len(backends))}})
	if plan, err = NewPlan(layout.Sizes, part, part.Rows, backends...); err != nil {
		return nil, err
	}
	t, err := NewTrainer(layout, part, plan, backends, nil)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, t.Close()) }()
	if err := t.SetParameters(theta, 0); err != nil {
		return nil, err
	}
	return t.speeds()
}

// A backend has at least leastTurns turns, and more until they have taken speedTime
// together, up to mostTurns.
const (
	leastTurns = 5
	mostTurns  = 200
	speedTime  = 300 * time.Millisecond
)

// speeds is Speeds of a trainer's shards, on the plan's first batch.
func (t *Trainer) speeds() ([]float64, error) {
	gradient := make([]float64, t.layout.Len)
	least, sum := make([]time.Duration, len(t.shards)), make([]time.Duration, len(t.shards))
	turn := func(i int) (took time.Duration, err error) {
		err = t.workers[i].start(func() error {
			s, began := t.shards[i], time.Now()
			if err := s.batch(0, t.plan.batchLen(0), 0); err != nil {
				return err
			}
			err := s.exec.Read(s.gradient, 0, gradient)
			took = max(time.Since(began), 1)
			return err
		})()
		return took, err
	}
	for n := range mostTurns + 1 {
		left := false
		for i := range t.shards {
			if n > leastTurns && sum[i] >= speedTime {
				continue
			}
			left = true
			took, err := turn(i)
			if err != nil {
				return nil, err
			}
			if n == 0 {
				continue // drivers compile
			}
			if sum[i] += took; least[i] == 0 || took < least[i] {
				least[i] = took
			}
		}
		if !left {
			break
		}
	}
	var speeds []float64
	for i, s := range t.plan.Shards {
		speeds = append(speeds, float64(s.Rows)/least[i].Seconds())
	}
	return speeds, nil
}
