package main

import (
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"clgrad/cmd/clgrad/report"
	"clgrad/network"
)

// summary is the last line of --json: the final parameters on the whole training,
// validation and test set. Numbers of a set that there is not are null.
type summary struct {
	Summary       bool           `json:"summary"`
	Backend       string         `json:"backend"`
	Device        string         `json:"device"`
	Precision     string         `json:"precision,omitempty"` // of products, where it is reduced
	Layers        []int          `json:"layers"`
	Iterations    int            `json:"iterations"`
	Loss          network.Number `json:"loss"`
	TrainAccuracy network.Number `json:"train_accuracy"`
	heldOut
	// Seconds is the time of the descent, without loading and scoring.
	Seconds float64 `json:"seconds"`
	// Median is of the times from the end of one iteration to the end of the
	// next, without the first; of the first where it is the only one.
	Median  float64 `json:"median_iteration_seconds"`
	PeakRSS int64   `json:"peak_rss_bytes"`
	Model   string  `json:"model,omitempty"` // the file that was saved

	// What a recipe asks for.
	Recipe       string          `json:"recipe,omitempty"`
	Passes       *passed         `json:"passes,omitempty"`
	UnscaledTest *network.Number `json:"test_accuracy_unscaled,omitempty"`
	Reference    *compared       `json:"reference,omitempty"`
	Predictions  string          `json:"predictions,omitempty"` // the file
	Report       string          `json:"report,omitempty"`      // the file
}

// passed is the iteration at which the training accuracy first reached a share.
type passed struct {
	Accuracy  float64 `json:"accuracy"`
	Iteration *int    `json:"iteration"` // nil: never
}

// compared is how far the losses are from a recipe's reference.
type compared struct {
	Name     string         `json:"name"`
	Shift    int            `json:"shift_iterations"` // of the reference, to where it is closest
	Distance network.Number `json:"largest_distance"`
	At       int            `json:"at_iteration"`
}

func number(v float64) *network.Number {
	n := network.Number(v)
	return &n
}

// show writes the summary, and on a terminal the curve and some samples before
// it.
func (c trainCommand) show(a *app, r trained) error {
	s := r.summary
	if c.JSON {
		return json.NewEncoder(a.out).Encode(s)
	}
	if a.screen {
		fmt.Fprintf(a.out, "Loss\n%s", textCurve(r.trace.loss))
		if _, samples := heldOutRows(r.set); r.logits != nil {
			fmt.Fprint(a.out, textSamples(samples, r.set.Shape, c.captions(r, samples)))
		}
	}
	if finite(float64(s.Loss)) {
		fmt.Fprintf(a.out, "Training set: loss %.4f, accuracy %.2f %%\n", float64(s.Loss), 100*float64(s.TrainAccuracy))
	}
	s.heldOut.show(a)
	if s.UnscaledTest != nil {
		fmt.Fprintf(a.out, "Test set without scaling: accuracy %.2f %%\n", 100*float64(*s.UnscaledTest))
	}
	if s.Passes != nil {
		fmt.Fprintf(a.out, "Training accuracy of %g %%: %s\n", 100*s.Passes.Accuracy, s.Passes.when())
	}
	if s.Reference != nil {
		fmt.Fprintf(a.out, "Loss against %s: %s\n", s.Reference.Name, s.Reference.text())
	}
	fmt.Fprintf(a.out, "Time: %.1f s for %d iterations, the first %.3f s, then %s s each (median)\n",
		s.Seconds, s.Iterations, r.trace.times[0].Seconds(), digits(s.Median))
	if s.PeakRSS > 0 {
		fmt.Fprintf(a.out, "Peak memory: %.0f MB\n", float64(s.PeakRSS)/1e6)
	}
	for _, f := range []struct{ what, file string }{{"Model", s.Model}, {"Predictions", s.Predictions}, {"Report", s.Report}} {
		if f.file != "" {
			fmt.Fprintf(a.out, "%s: %s\n", f.what, f.file)
		}
	}
	return nil
}

// captions returns what stands below the first samples.
func (c trainCommand) captions(r trained, samples network.Samples) (all [][]string) {
	p := predictions{classes: r.layout.Sizes[len(r.layout.Sizes)-1], names: r.set.ClassNames}
	n := min(5, samples.Rows)
	for i, class := range report.Predicted(r.logits[:n*p.classes], p.classes) {
		all = append(all, []string{"actual " + p.name(int(samples.Labels[i])), "predicted " + p.name(class)})
	}
	return all
}

// medianIteration returns the median of all times but the first, in seconds.
func medianIteration(times []time.Duration) float64 {
	if len(times) > 1 {
		times = times[1:]
	}
	return median(times).Seconds()
}

// median returns the middle of the sorted times, the mean of two where their
// number is even.
func median(times []time.Duration) time.Duration {
	if len(times) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(times))
	n := len(sorted)
	return (sorted[(n-1)/2] + sorted[n/2]) / 2
}
