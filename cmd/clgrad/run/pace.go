package run

import (
	"fmt"
	"strconv"

	"clgrad/network"
)

// A pace is how the iterations of a run make epochs and lines.
type pace struct {
	total   int // iterations of the run
	end     int // the iteration that it converged at, 0 where it did not
	every   int // a line is for every so many of them, and the last
	batches int // iterations of an epoch
	epochs  bool
}

// logged returns how many lines there are after done iterations.
func (p pace) logged(done int) int {
	if done == p.last() && done%p.every > 0 {
		return done/p.every + 1
	}
	return done / p.every
}

// last returns the last iteration.
func (p pace) last() int {
	if p.end > 0 {
		return p.end
	}
	return p.total
}

// number returns the iteration of the i-th line, counted from 0.
func (p pace) number(i int) int {
	if i >= p.last()/p.every {
		return p.last()
	}
	return (i + 1) * p.every
}

// mini reports whether batches are smaller than the data.
func (p pace) mini() bool { return p.batches > 1 }

// byEpoch reports whether the run is spoken of in epochs.
func (p pace) byEpoch() bool { return p.epochs || p.mini() }

// epoch returns how many epochs an iteration ends.
func (p pace) epoch(iteration int) float64 { return float64(iteration) / float64(p.batches) }

// at says when an iteration was.
func (p pace) at(iteration int) string {
	if p.byEpoch() && iteration%p.batches == 0 {
		return fmt.Sprintf("epoch %d", iteration/p.batches)
	}
	return fmt.Sprintf("iteration %d", iteration)
}

// count says how many iterations there were.
func (p pace) count(iterations int) string {
	switch {
	case p.mini():
		return fmt.Sprintf("%s epochs of %d iterations", p.epochText(iterations), p.batches)
	case p.epochs:
		return fmt.Sprintf("%d epochs", iterations)
	}
	return fmt.Sprintf("%d iterations", iterations)
}

// epochText writes epoch with at most two decimals.
func (p pace) epochText(iterations int) string {
	if iterations%p.batches == 0 {
		return strconv.Itoa(iterations / p.batches)
	}
	return fmt.Sprintf("%.2f", p.epoch(iterations))
}

// lastEpoch returns the mean over the rows of the last epoch's iterations, or of those
// since the start, of values of all iterations so far, which had so many rows.
func (p pace) lastEpoch(values []float64, rows []int) float64 {
	return network.LastEpochMean(values, rows, p.batches)
}

// lastEpochs returns lastEpoch at each iteration, but for rounding.
func (p pace) lastEpochs(values []float64, rows []int) []float64 {
	if !p.mini() {
		return values
	}
	means := make([]float64, len(values))
	sum, n := 0.0, 0
	for i, v := range values {
		sum += float64(rows[i]) * v
		n += rows[i]
		if gone := i - p.batches; gone >= 0 {
			sum -= float64(rows[gone]) * values[gone]
			n -= rows[gone]
		}
		means[i] = sum / float64(n)
	}
	return means
}
