package network

import (
	"fmt"
	"math"
	"slices"

	"gonum.org/v1/gonum/floats"
)

// Softmax returns the probabilities of row-major logits, rows×classes:
//
//	p[i,j] = exp(z[i,j]) / Σₖ exp(z[i,k])
//
// with the row's largest logit taken off before, so that none overflows. A row
// with a logit that is NaN or +Inf, or of −Inf alone, is NaN.
func Softmax(logits []float64, classes int) []float64 {
	p := make([]float64, 0, len(logits))
	for z := range slices.Chunk(logits, classes) {
		most := floats.Max(z)
		for _, v := range z {
			p = append(p, math.Exp(v-most))
		}
		row := p[len(p)-classes:]
		floats.Scale(1/floats.Sum(row), row)
	}
	return p
}

// Predicted returns the class with the largest value of each row of row-major
// logits or probabilities, the lowest among equals.
func Predicted(values []float64, classes int) []int {
	var best []int
	for row := range slices.Chunk(values, classes) {
		k := 0
		for j, v := range row {
			if v > row[k] {
				k = j
			}
		}
		best = append(best, k)
	}
	return best
}

// A NonFiniteResultError reports a set for which a network has no finite result. Whatever
// scores or predicts ends in it, or says it where a run goes on.
type NonFiniteResultError struct {
	Of  string // the set
	Row int    // its first such row, from 1; 0 where only the sum of the losses is not finite
}

func (e *NonFiniteResultError) Error() string {
	if e.Row == 0 {
		return e.Of + ": the sum of its losses is not finite: its values are beyond what the network was trained on"
	}
	return fmt.Sprintf("%s: row %d: the network's outputs are not finite, or too far apart for a finite loss: its parameters or its scaling do not fit the values of this row", e.Of, e.Row)
}

// CheckLogits reports the first row of row-major logits that is not finite, or whose
// loss is not a finite float32 where there are labels, as a [NonFiniteResultError].
func CheckLogits(of string, logits []float64, classes int, labels []int32) error {
	for i := range len(logits) / classes {
		z := logits[i*classes : (i+1)*classes]
		most := math.Inf(-1)
		for _, v := range z {
			if !finite(v) {
				return &NonFiniteResultError{of, i + 1}
			}
			most = max(most, v)
		}
		if labels != nil && int(labels[i]) < classes && most-z[labels[i]] > math.MaxFloat32 {
			return &NonFiniteResultError{of, i + 1}
		}
	}
	return nil
}

// CheckLoss reports a loss that is not finite as a [NonFiniteResultError], by the row that
// makes it so. logits are had only then.
func CheckLoss(of string, loss float64, logits func() ([]float64, error), classes int, labels []int32) error {
	if finite(loss) {
		return nil
	}
	z, err := logits()
	if err != nil {
		return err
	}
	if err := CheckLogits(of, z, classes, labels); err != nil {
		return err
	}
	return &NonFiniteResultError{Of: of}
}
