package run

import (
	"fmt"
	"math"
	"slices"

	"clgrad/cmd/clgrad/score"
	"clgrad/network"
	"clgrad/network/dataset"
)

// Bounds of what is said about the loss. A false alarm is worse than none: they leave out what
// batches and rounding do.
const (
	rise       = 1.01 // of the loss over all rows
	riseMini   = 1.1  // where the first loss is that of a batch
	peak       = 1.5  // of the loss on its way
	unmoved    = 1e-3 // the change of the loss, in parts of it
	leastSteps = 20   // fewer iterations say nothing
	chance     = 0.95 // of the loss of a guess: a network that is below has learnt something
	deadRows   = 256  // so many are looked at
)

// advice returns a line about a loss that did not fall, with what to try, "" where it fell or
// where there were too few iterations to say.
func (r *run) advice() string {
	final := float64(r.summary.Loss)
	if len(r.loss) < leastSteps || r.converged != "" || !score.Finite(final) {
		return ""
	}
	first, bound := r.loss[0], rise
	if r.pace.mini() {
		bound = riseMini
	}
	curve := r.epochLosses()
	highest, guessing := slices.Max(curve), final >= chance*guessLoss(r.set.Train.Labels, r.classes())
	switch {
	case guessing && r.isDead():
		return "the network predicts the same for all rows, because a hidden layer gives 0 for each of them (its ReLUs are all off): try " + r.smaller("another --seed")
	case final > bound*first:
		return fmt.Sprintf("the loss ended higher than it began, at %.4g after %.4g: try %s", final, first, r.smaller("--preprocess standard"))
	case guessing && highest > peak*first:
		return fmt.Sprintf("the loss rose to %.4g on its way, and ended at %.4g, no better than a guess: try %s", highest, final, r.smaller("--preprocess standard"))
	case guessing && (len(curve) > 1 || !r.pace.mini()) && max(highest, final)-min(slices.Min(curve), final) < unmoved*final:
		return fmt.Sprintf("the loss hardly moved, from %.4f to %.4f: try a larger learning rate, such as --lr %g, more iterations, or another --init", curve[0], final, 10*float64(r.LR))
	}
	return ""
}

// smaller advises a smaller learning rate, or other: scaling instead, where there is none.
func (r *run) smaller(other string) string {
	switch scaled := r.ScaledBy(); {
	case scaled == string(dataset.None):
		other = "--preprocess standard, as the features are not scaled"
	case other == "--preprocess "+scaled:
		other = "another --init"
	}
	return fmt.Sprintf("a smaller learning rate, such as --lr %g, or %s", float64(r.LR)/10, other)
}

// guessLoss returns the loss of predicting each class by its share of the labels.
func guessLoss(labels []int32, classes int) float64 {
	counts := make([]float64, classes)
	for _, l := range labels {
		counts[l]++
	}
	loss := 0.0
	for _, n := range counts {
		if n > 0 {
			p := n / float64(len(labels))
			loss -= p * math.Log(p)
		}
	}
	return loss
}

// epochLosses returns the mean losses of all epochs, because batches differ among themselves, or
// where there is no whole epoch the losses of the iterations.
func (r *run) epochLosses() (means []float64) {
	curve := r.lossCurve().Values
	for i := r.pace.batches - 1; i < len(curve); i += r.pace.batches {
		means = append(means, curve[i])
	}
	if means == nil {
		return curve
	}
	return means
}

// isDead reports whether a network with hidden layers has the same outputs for rows that differ.
func (r *run) isDead() bool {
	if len(r.layout.Sizes) < 3 {
		return false
	}
	_, samples := heldOutRows(r.set)
	logits, err := r.trainer.Logits(samples.Slice(0, min(deadRows, samples.Rows)))
	return err == nil && samples.Rows > 1 && sameRows(logits, r.classes()) && differ(samples)
}

// sameRows reports whether all rows of logits are equal.
func sameRows(logits []float64, classes int) bool {
	for i, v := range logits {
		if v != logits[i%classes] {
			return false
		}
	}
	return true
}

// differ reports whether the first rows of samples are not all the same.
func differ(s network.Samples) bool {
	rows, first, row := s.ScaledRows(), make([]float32, s.Features), make([]float32, s.Features)
	rows(0, first)
	for i := 1; i < min(deadRows, s.Rows); i++ {
		rows(i, row)
		for j, v := range row {
			if v != first[j] {
				return true
			}
		}
	}
	return false
}
