// Package score is what a network makes of a set: loss and accuracy, predictions, and
// the error where they are not finite.
package score

import (
	"context"
	"fmt"
	"io"
	"math"

	"clgrad/network"
	"clgrad/network/dataset"
)

// HeldOut is how a network does on rows that it was not trained on. Figures of a set
// that there is not are NaN, null in JSON.
type HeldOut struct {
	ValidationLoss     network.Number `json:"validation_loss"`
	ValidationAccuracy network.Number `json:"validation_accuracy"`
	TestLoss           network.Number `json:"test_loss"`
	TestAccuracy       network.Number `json:"test_accuracy"`
}

// A Func returns the mean loss and the share of correct rows of a set. name
// stands in errors.
type Func func(name string, samples network.Samples) (loss, accuracy float64, err error)

// OfHeldOut scores the validation and the test set.
func OfHeldOut(ctx context.Context, set dataset.Set, score Func) (h HeldOut, err error) {
	for _, part := range []struct {
		name           string
		samples        network.Samples
		loss, accuracy *network.Number
	}{{"validation set", set.Validation, &h.ValidationLoss, &h.ValidationAccuracy}, {"test set", set.Test, &h.TestLoss, &h.TestAccuracy}} {
		loss, accuracy := math.NaN(), math.NaN()
		if part.samples.Rows > 0 {
			if err := ctx.Err(); err != nil {
				return h, err
			}
			if loss, accuracy, err = score(part.name, part.samples); err != nil {
				return h, err
			}
		}
		*part.loss, *part.accuracy = network.Number(loss), network.Number(accuracy)
	}
	return h, nil
}

// Show writes a line for each set that there is.
func (h HeldOut) Show(w io.Writer) (err error) {
	for _, part := range []struct {
		name           string
		loss, accuracy network.Number
	}{{"Validation", h.ValidationLoss, h.ValidationAccuracy}, {"Test", h.TestLoss, h.TestAccuracy}} {
		if !math.IsNaN(float64(part.accuracy)) {
			_, err = fmt.Fprintf(w, "%s set: loss %.4f, accuracy %.2f %%\n", part.name, float64(part.loss), 100*float64(part.accuracy))
		}
	}
	return err
}

// A NotFiniteError reports a set for which a network has no finite result. Whatever
// scores or predicts ends in it, or says it where a run goes on.
type NotFiniteError struct {
	of  string // the set
	row int    // its first such row, from 1; 0 where only the sum of the losses is not finite
}

func (e *NotFiniteError) Error() string {
	if e.row == 0 {
		return e.of + ": the sum of its losses is not finite: its values are beyond what the network was trained on"
	}
	return fmt.Sprintf("%s: row %d: the network's outputs are not finite, or too far apart for a finite loss: its parameters or its scaling do not fit the values of this row", e.of, e.row)
}

// CheckLogits reports the first row of row-major logits that is not finite, or whose
// loss is not a finite float32 where there are labels.
func CheckLogits(of string, logits []float64, classes int, labels []int32) error {
	for i := range len(logits) / classes {
		z := logits[i*classes : (i+1)*classes]
		most := math.Inf(-1)
		for _, v := range z {
			if !Finite(v) {
				return &NotFiniteError{of, i + 1}
			}
			most = max(most, v)
		}
		if labels != nil && int(labels[i]) < classes && most-z[labels[i]] > math.MaxFloat32 {
			return &NotFiniteError{of, i + 1}
		}
	}
	return nil
}

// CheckLoss reports a loss that is not finite, by the row that makes it so. logits
// are had only then.
func CheckLoss(of string, loss float64, logits func() ([]float64, error), classes int, labels []int32) error {
	if Finite(loss) {
		return nil
	}
	z, err := logits()
	if err != nil {
		return err
	}
	if err := CheckLogits(of, z, classes, labels); err != nil {
		return err
	}
	return &NotFiniteError{of: of}
}

// Finite reports whether a number is neither NaN nor infinite.
func Finite(v float64) bool { return !math.IsNaN(v) && !math.IsInf(v, 0) }
