package run

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"strings"
	"time"

	"clgrad/cmd/clgrad/measure"
	"clgrad/cmd/clgrad/recipe"
	"clgrad/cmd/clgrad/report"
	"clgrad/cmd/clgrad/score"
	"clgrad/cmd/clgrad/share"
	"clgrad/cmd/clgrad/text"
	"clgrad/network"
)

// Summary is the last line of --json: the final parameters on the whole training,
// validation and test set. Numbers of a set that there is not are null.
type Summary struct {
	Summary       bool           `json:"summary"`
	Backend       string         `json:"backend"`
	Device        string         `json:"device"`
	Devices       []deviceRows   `json:"devices,omitempty"`   // of several, in the order of their sums
	Ranks         int            `json:"ranks,omitempty"`     // processes, where there are several; device and memory are rank 0's
	Precision     string         `json:"precision,omitempty"` // of products, where it is reduced
	Layers        []int          `json:"layers"`
	Iterations    int            `json:"iterations"`
	Epochs        float64        `json:"epochs,omitempty"`     // where batches are smaller than the data
	BatchSize     int            `json:"batch_size,omitempty"` // likewise
	Optimizer     string         `json:"optimizer"`
	LR            float64        `json:"lr"`
	Loss          network.Number `json:"loss"`
	TrainAccuracy network.Number `json:"train_accuracy"`
	Shifts        int            `json:"shifts,omitempty"` // of the copies in the training set, in pixels at most
	score.HeldOut
	// Seconds is the time of the descent, without loading and scoring.
	Seconds float64 `json:"seconds"`
	// Median is of the times from the end of one iteration to the end of the
	// next, without the first; of the first where it is the only one.
	Median  float64 `json:"median_iteration_seconds"`
	PeakRSS int64   `json:"peak_rss_bytes"`
	Model   string  `json:"model,omitempty"` // the file that was saved

	Converged string `json:"converged,omitempty"` // why it ended before all iterations
	converged string // the same in words

	// Of early stopping.
	StoppedEarly bool       `json:"stopped_early,omitempty"`
	Best         *bestShown `json:"best,omitempty"`
	stopping     string     // the same in words

	// What a recipe asks for.
	Recipe       string          `json:"recipe,omitempty"`   // that the run is of, unchanged
	BasedOn      string          `json:"based_on,omitempty"` // a recipe that the run is of with Changes
	Changes      []string        `json:"changes,omitempty"`
	Passes       *passed         `json:"passes,omitempty"`
	UnscaledTest *network.Number `json:"test_accuracy_unscaled,omitempty"`
	Reference    *compared       `json:"reference,omitempty"`
	Predictions  string          `json:"predictions,omitempty"` // the file
	Report       string          `json:"report,omitempty"`      // the file
}

// deviceRows is one of several devices that share the rows of each batch.
type deviceRows struct {
	Backend string `json:"backend"`
	Device  string `json:"device"`
	Driver  string `json:"driver"`
	Rows    int    `json:"rows"` // of a batch
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

// summaryStart is how the line of a summary begins.
const summaryStart = `{"summary":true,`

// unknown is a figure of a set that there is not.
var unknown = network.Number(math.NaN())

// parseSummary reads a line that is a summary, nil where it is another one.
func parseSummary(line []byte) (*Summary, error) {
	if !bytes.HasPrefix(line, []byte(summaryStart)) {
		return nil, nil
	}
	s := Summary{HeldOut: score.HeldOut{ValidationLoss: unknown, ValidationAccuracy: unknown, TestLoss: unknown, TestAccuracy: unknown}}
	if err := json.Unmarshal(line, &s); err != nil {
		return nil, err
	}
	return &s, nil
}

func number(v float64) *network.Number {
	n := network.Number(v)
	return &n
}

// show writes the summary, and on a terminal the curve and some samples before
// it.
func (r *run) show() error {
	s, out := r.summary, r.opts.Out
	if advice := r.advice(); advice != "" {
		defer r.opts.Note("%s", advice)
	}
	if r.opts.JSON {
		return json.NewEncoder(out).Encode(s)
	}
	if columns := r.opts.columns(); columns > 0 {
		fmt.Fprintf(out, "Training loss\n%s", text.Curve(r.lossCurve().Values, columns))
		if _, samples := heldOutRows(r.set); r.logits != nil {
			fmt.Fprint(out, text.Samples(samples, r.set.Shape, r.captions(samples), columns))
		}
	}
	if score.Finite(float64(s.Loss)) {
		name := "Training set"
		if s.Shifts > 0 {
			name += " with shifted copies"
		}
		fmt.Fprintf(out, "%s: loss %.4f, accuracy %.2f %%\n", name, float64(s.Loss), 100*float64(s.TrainAccuracy))
	}
	s.HeldOut.Show(out)
	for _, f := range s.figures() {
		fmt.Fprintf(out, "%s: %s\n", f.Name, f.Value)
	}
	if words := optimizerWords(r.Recipe); words != "gd" {
		fmt.Fprintf(out, "Optimizer: %s, learning rate %g\n", words, s.LR)
	}
	if len(s.Devices) > 0 {
		fmt.Fprintf(out, "Rows of each batch: %s\n", share.Rows(r.plan))
	}
	if words := r.Based(); words != "" {
		fmt.Fprintf(out, "Based on: %s\n", words)
	}
	first := "first"
	if r.pace.byEpoch() {
		first = "first iteration"
	}
	if len(r.times) > 0 {
		fmt.Fprintf(out, "Time: %.1f s for %s, the %s %.3f s, then %s s each (median)\n",
			s.Seconds, r.pace.count(s.Iterations), first, r.times[0].Seconds(), text.Digits(s.Median))
	}
	if s.PeakRSS > 0 {
		fmt.Fprintf(out, "Peak memory: %.0f MB\n", float64(s.PeakRSS)/1e6)
	}
	for _, f := range []struct{ what, file string }{{"Model", s.Model}, {"Predictions", s.Predictions}, {"Report", s.Report}} {
		if f.file != "" {
			fmt.Fprintf(out, "%s: %s\n", f.what, f.file)
		}
	}
	if r.dir == nil && r.notFinite == nil {
		r.opts.Info("next: %s --out run1 keeps the run and writes a report", r.opts.Command)
	}
	return nil
}

// optimizerWords says how the parameters are updated, apart from the learning rate:
// "gd" for plain gradient descent over all rows at a constant rate.
func optimizerWords(r recipe.Recipe) string {
	rule, schedule := r.Rule(), r.Rates()
	words := []string{string(rule.Optimizer)}
	add := func(format string, args ...any) { words = append(words, fmt.Sprintf(format, args...)) }
	switch rule.States() {
	case 1:
		add("momentum %g", rule.Momentum)
	case 2:
		add("beta1 %g, beta2 %g, epsilon %g", rule.Beta1, rule.Beta2, rule.Epsilon)
	}
	if rule.HistorySize > 0 {
		add("history of %d pairs", rule.HistorySize)
	}
	if rule.WeightDecay > 0 {
		add("weight decay %g", rule.WeightDecay)
	}
	if r.BatchSize > 0 {
		add("batches of %d rows", r.BatchSize)
	}
	switch schedule.Shape {
	case network.StepDown:
		add("rate times %g every %d iterations", schedule.Gamma, schedule.StepSize)
	case network.Cosine:
		add("cosine schedule of %d iterations", schedule.Steps)
	}
	if schedule.Warmup > 0 {
		add("warm-up of %d iterations", schedule.Warmup)
	}
	return strings.Join(words, ", ")
}

// figures are what a recipe asks for, in words.
func (s Summary) figures() (all []report.Figure) {
	if v := s.UnscaledTest; v != nil && score.Finite(float64(*v)) {
		all = append(all, report.Figure{Name: "Test set without scaling", Value: "accuracy " + text.Percent(float64(*v))})
	}
	if s.converged != "" {
		all = append(all, report.Figure{Name: "Converged", Value: s.converged})
	}
	if s.stopping != "" {
		all = append(all, report.Figure{Name: "Early stopping", Value: s.stopping})
	}
	if p := s.Passes; p != nil {
		all = append(all, report.Figure{Name: fmt.Sprintf("Training accuracy of %g %%", 100*p.Accuracy), Value: p.when()})
	}
	if c := s.Reference; c != nil {
		all = append(all, report.Figure{Name: "Loss against " + c.Name,
			Value: fmt.Sprintf("at most %.4f apart, at iteration %d, with its curve moved by %d iterations", float64(c.Distance), c.At, c.Shift)})
	}
	return all
}

// when says at which iteration.
func (p passed) when() string {
	if p.Iteration == nil {
		return "is not reached"
	}
	return fmt.Sprintf("at iteration %d", *p.Iteration)
}

// captions returns what stands below the first samples.
func (r *run) captions(samples network.Samples) (all [][]string) {
	p := score.Predictions{Classes: r.classes(), Names: r.set.ClassNames}
	n := min(5, samples.Rows)
	for i, class := range network.Predicted(r.logits[:n*p.Classes], p.Classes) {
		all = append(all, []string{"actual " + p.Name(int(samples.Labels[i])), "predicted " + p.Name(class)})
	}
	return all
}

// medianIteration returns the median of all times but the first, in seconds.
func medianIteration(times []time.Duration) float64 {
	if len(times) > 1 {
		times = times[1:]
	}
	var seconds []float64
	for _, t := range times {
		seconds = append(seconds, t.Seconds())
	}
	return measure.Median(seconds)
}
