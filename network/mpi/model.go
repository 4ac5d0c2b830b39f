package mpi

import "math"

// A Model predicts the time of a training step on several ranks. What goes into it is
// measured; the package's documentation has the formula and what it comes to.
type Model struct {
	Parameters int     // P
	Bytes      int     // of an element that is exchanged, 4 or 8
	Fixed      float64 // seconds of a step that depend neither on rows nor on ranks
	Row        float64 // seconds of a row of the batch on one rank
	Element    float64 // seconds that a rank handles an element on the host: reading, converting, adding, writing
	Latency    float64 // α, seconds of a message
	Bandwidth  float64 // β, bytes a second that a rank sends, and receives at the same time
}

// Traffic returns the bytes that a rank sends in a step, and receives:
//
//	2 · Bytes · P · (N−1)/N
func (m Model) Traffic(ranks int) float64 {
	return 2 * float64(m.Bytes) * float64(m.Parameters) * float64(ranks-1) / float64(ranks)
}

// Exchange returns the seconds of a step's exchange:
//
//	2·(N−1)·α + Traffic/β + P·Element, and 0 for one rank
func (m Model) Exchange(ranks int) float64 {
	if ranks == 1 {
		return 0
	}
	return 2*float64(ranks-1)*m.Latency + m.Traffic(ranks)/m.Bandwidth + float64(m.Parameters)*m.Element
}

// Step returns the seconds of a step over a batch:
//
//	Fixed + Row·⌈batchRows/N⌉ + Exchange
func (m Model) Step(ranks, batchRows int) float64 {
	return m.Fixed + m.Row*math.Ceil(float64(batchRows)/float64(ranks)) + m.Exchange(ranks)
}

// Speedup returns how many times as fast as one rank so many are.
func (m Model) Speedup(ranks, batchRows int) float64 {
	return m.Step(1, batchRows) / m.Step(ranks, batchRows)
}

// Best returns the number of ranks, at most the given one and the rows, with the shortest step.
func (m Model) Best(most, batchRows int) int {
	best := 1
	for n := 2; n <= min(most, batchRows); n++ {
		if m.Step(n, batchRows) < m.Step(best, batchRows) {
			best = n
		}
	}
	return best
}
