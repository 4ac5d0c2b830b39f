// Package score is what a network makes of a set: loss and accuracy, and predictions.
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

// Finite reports whether a number is neither NaN nor infinite.
func Finite(v float64) bool { return !math.IsNaN(v) && !math.IsInf(v, 0) }
