package run

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"

	"clgrad/cmd/clgrad/measure"
	"clgrad/cmd/clgrad/recipe"
	"clgrad/cmd/clgrad/report"
	"clgrad/cmd/clgrad/text"
	"clgrad/network"
	"clgrad/network/dataset"
)

// lossCurve returns the losses at all iterations, as lines have them.
func (r *run) lossCurve() report.Curve { return r.trainingCurve(r.loss) }

// accuracyCurve returns the training accuracies at all iterations, as lines have them.
func (r *run) accuracyCurve() report.Curve { return r.trainingCurve(r.accuracy) }

func (r *run) trainingCurve(values []float64) report.Curve {
	c := report.Curve{Name: "training set", Values: r.pace.lastEpochs(values, r.batchRows)}
	for i := range values {
		c.Iterations = append(c.Iterations, i+1)
	}
	return c
}

// referenceCurve returns a recipe's reference as far as the run went.
func referenceCurve(r recipe.Reference, iterations int) report.Curve {
	c := report.Curve{Name: r.Name}
	for i, v := range r.Losses {
		if n := r.Iteration(i); n <= iterations {
			c.Iterations, c.Values = append(c.Iterations, n), append(c.Values, v)
		}
	}
	return c
}

// lineCurve returns what the lines have of other samples.
func (r *run) lineCurve(name string, of func(Line) *network.Number) report.Curve {
	c := report.Curve{Name: name}
	for _, line := range r.lines {
		if v := of(line); v != nil {
			c.Iterations, c.Values = append(c.Iterations, line.Iteration), append(c.Values, float64(*v))
		}
	}
	return c
}

// report makes the report of a finished run, and ends its metrics with the summary,
// which has the peak of the memory. Without them --resume makes them.
func (r *run) report() error {
	if err := r.ctx.Err(); err != nil {
		return err
	}
	kernels, err := r.kernelTimes()
	if r.ctx.Err() != nil {
		return r.ctx.Err()
	}
	if err != nil {
		r.opts.Note("the report has no times of operations: %s", text.OneLine(err))
	}
	r.summary.PeakRSS = measure.PeakMemory()
	if err := report.Write(r.dir.path, r.reportData(kernels)); err != nil {
		return err
	}
	r.summary.PeakRSS, r.summary.Report = measure.PeakMemory(), r.dir.name(report.FileName)
	if err := errors.Join(r.dir.add(r.summary), r.dir.sync()); err != nil {
		return err
	}
	return r.dir.tidy(r.CheckpointEvery > 0)
}

// reportData returns all that the report shows of a page. kernels are the times of
// operations.
func (r *run) reportData(kernels []report.Kernel) report.Run {
	s, epoch := r.summary, 0
	if r.pace.byEpoch() {
		epoch = r.pace.batches
	}
	page := report.Run{
		Title: string(r.Name),
		Results: []report.Figure{
			{Name: "training accuracy", Value: text.Percent(float64(s.TrainAccuracy))},
			{Name: "loss", Value: fmt.Sprintf("%.4f", float64(s.Loss))},
			{Name: "iterations", Value: strconv.Itoa(s.Iterations)},
			{Name: "device", Value: s.Device},
		},
		Loss:     report.Chart{Curves: []report.Curve{r.lossCurve()}, Epoch: epoch},
		Accuracy: report.Chart{Curves: []report.Curve{r.accuracyCurve()}, Epoch: epoch},
		Shape:    r.set.Shape,
		Classes:  r.set.ClassNames,
		Figures: []report.Figure{
			{Name: "time of the descent", Value: fmt.Sprintf("%.1f s", s.Seconds)},
			{Name: "an iteration (median)", Value: text.Digits(s.Median) + " s"},
		},
		Settings:   r.settings(),
		FirstLayer: firstLayer(r.layout, r.theta),
		Kernels:    kernels,
		Command:    r.opts.Command,
		Config:     string(r.dir.config),
	}
	if len(r.backends) > 1 {
		page.Notes = append(page.Notes, "Devices compute at the same time, so the times of their operations are not one behind the other.")
	}
	if name, samples := heldOutRows(r.set); r.logits != nil {
		page.Predictions = &report.Predictions{Of: name, Samples: samples, Logits: r.logits}
	}
	if r.pace.byEpoch() {
		page.Results[2] = report.Figure{Name: "epochs", Value: r.pace.epochText(s.Iterations)}
	}
	if r.pace.mini() {
		page.Notes = append(page.Notes, fmt.Sprintf("An epoch has %d iterations. Loss and accuracy of the training set are means over the last epoch's.", epoch))
	}
	if r.Rule().Optimizer == network.LBFGS {
		page.KernelsOf = "an evaluation"
		page.Notes = append(page.Notes, "An iteration of L-BFGS evaluates the loss and its gradient at one point or several.")
	}
	if page.Title == "" {
		page.Title = r.set.Name
	}
	if r.Description != "" {
		page.Notes = append(page.Notes, r.Description+".")
	}
	if r.Source != "" {
		page.Notes = append(page.Notes, "After: "+r.Source+".")
	}
	page.Notes = append(page.Notes, r.Notes...)
	for _, part := range []struct {
		name               string
		loss, accuracy     network.Number
		lossOf, accuracyOf func(Line) *network.Number
	}{
		{"validation", s.ValidationLoss, s.ValidationAccuracy,
			func(l Line) *network.Number { return l.ValidationLoss }, func(l Line) *network.Number { return l.ValidationAccuracy }},
		{"test", s.TestLoss, s.TestAccuracy,
			func(l Line) *network.Number { return l.TestLoss }, func(l Line) *network.Number { return l.TestAccuracy }},
	} {
		if math.IsNaN(float64(part.accuracy)) {
			continue
		}
		page.Results = slices.Insert(page.Results, 0, report.Figure{Name: part.name + " accuracy", Value: text.Percent(float64(part.accuracy))})
		page.Figures = append(page.Figures, report.Figure{Name: part.name + " loss", Value: fmt.Sprintf("%.4f", float64(part.loss))})
		page.Loss.Curves = append(page.Loss.Curves, r.lineCurve(part.name+" set", part.lossOf))
		page.Accuracy.Curves = append(page.Accuracy.Curves, r.lineCurve(part.name+" set", part.accuracyOf))
	}
	if s.PeakRSS > 0 {
		page.Figures = append(page.Figures, report.Figure{Name: "peak memory before this report", Value: fmt.Sprintf("%.0f MB", float64(s.PeakRSS)/1e6)})
	}
	page.Figures = append(page.Figures, s.figures()...)
	if p := s.Passes; p != nil && p.Iteration != nil {
		page.Accuracy.Markers = append(page.Accuracy.Markers, report.Marker{Iteration: *p.Iteration, Text: text.Percent(p.Accuracy) + " " + p.when()})
	}
	if b := s.Best; b != nil {
		page.Loss.Markers = append(page.Loss.Markers, report.Marker{Iteration: b.Iteration, Text: "best, " + r.pace.at(b.Iteration)})
	}
	if s.Reference != nil {
		page.Loss.References = append(page.Loss.References, referenceCurve(*r.Reference, s.Iterations))
	}
	return page
}

// rowCounts says how many rows each part of a set has.
func rowCounts(set dataset.Set, shifts recipe.Pixels) string {
	text := fmt.Sprintf("%d rows to train on", set.Train.Rows)
	if shifts > 0 {
		text += fmt.Sprintf(", with copies shifted by up to %d px", shifts)
	}
	if n := set.Validation.Rows; n > 0 {
		text += fmt.Sprintf(", %d for validation", n)
	}
	if n := set.Test.Rows; n > 0 {
		text += fmt.Sprintf(", %d to test on", n)
	}
	return text
}

// firstLayer returns the weights of the first layer without padding.
func firstLayer(l network.Layout, theta []float64) []float64 {
	w, _ := l.Layer(0)
	all := make([]float64, 0, w.Rows*w.Cols)
	for i := range w.Rows {
		all = append(all, w.Row(theta, i)...)
	}
	return all
}
