package main

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"clgrad/cmd/clgrad/recipe"
	"clgrad/cmd/clgrad/report"
	"clgrad/network"
	"clgrad/network/dataset"
)

// lossCurve returns the losses of all iterations.
func (r *trained) lossCurve() report.Curve { return everyIteration("training set", r.trace.loss) }

func everyIteration(name string, values []float64) report.Curve {
	c := report.Curve{Name: name, Values: values}
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
func (r *trained) lineCurve(name string, of func(iterationLine) *network.Number) report.Curve {
	c := report.Curve{Name: name}
	for _, line := range r.trace.lines {
		if v := of(line); v != nil {
			c.Iterations, c.Values = append(c.Iterations, line.Iteration), append(c.Values, float64(*v))
		}
	}
	return c
}

// reportData returns all that the report shows of a run. kernels are the times of
// operations.
func (c trainCommand) reportData(a *app, r *trained, kernels []report.Kernel, dir *runDir) report.Run {
	s := r.summary
	run := report.Run{
		Title: string(c.Name),
		Results: []report.Figure{
			{Name: "training accuracy", Value: percent(float64(s.TrainAccuracy))},
			{Name: "loss", Value: fmt.Sprintf("%.4f", float64(s.Loss))},
			{Name: "iterations", Value: strconv.Itoa(s.Iterations)},
			{Name: "device", Value: s.Device},
		},
		Loss:     report.Chart{Curves: []report.Curve{r.lossCurve()}},
		Accuracy: report.Chart{Curves: []report.Curve{everyIteration("training set", r.trace.accuracy)}},
		Shape:    r.set.Shape,
		Classes:  r.set.ClassNames,
		Figures: []report.Figure{
			{Name: "time of the descent", Value: fmt.Sprintf("%.1f s", s.Seconds)},
			{Name: "an iteration (median)", Value: digits(s.Median) + " s"},
		},
		Settings: []report.Figure{
			{Name: "data", Value: r.set.Name + ", " + rowCounts(r.set)},
			{Name: "layers", Value: strings.Trim(fmt.Sprint(r.layout.Sizes), "[]")},
			{Name: "preprocessing", Value: string(c.Preprocess)},
			{Name: "initial weights", Value: string(c.Init)},
			{Name: "seed", Value: strconv.FormatUint(c.Seed, 10)},
			{Name: "learning rate", Value: fmt.Sprint(float64(c.LR))},
			{Name: "backend", Value: s.Backend},
			{Name: "device", Value: s.Device},
			{Name: "driver", Value: r.info.Driver},
			{Name: "precision of products", Value: cmp.Or(s.Precision, "that of the backend")},
		},
		FirstLayer: firstLayer(r.layout, r.theta),
		Kernels:    kernels,
		Command:    a.command(),
		Config:     string(dir.config),
	}
	if name, samples := heldOutRows(r.set); r.logits != nil {
		run.Predictions = &report.Predictions{Of: name, Samples: samples, Logits: r.logits}
	}
	if run.Title == "" {
		run.Title = r.set.Name
	}
	if c.Description != "" {
		run.Notes = append(run.Notes, c.Description+".")
	}
	if c.Source != "" {
		run.Notes = append(run.Notes, "After: "+c.Source+".")
	}
	run.Notes = append(run.Notes, c.Notes...)
	for _, part := range []struct {
		name               string
		loss, accuracy     network.Number
		lossOf, accuracyOf func(iterationLine) *network.Number
	}{
		{"validation", s.ValidationLoss, s.ValidationAccuracy,
			func(l iterationLine) *network.Number { return l.ValidationLoss }, func(l iterationLine) *network.Number { return l.ValidationAccuracy }},
		{"test", s.TestLoss, s.TestAccuracy,
			func(l iterationLine) *network.Number { return l.TestLoss }, func(l iterationLine) *network.Number { return l.TestAccuracy }},
	} {
		if math.IsNaN(float64(part.accuracy)) {
			continue
		}
		run.Results = slices.Insert(run.Results, 0, report.Figure{Name: part.name + " accuracy", Value: percent(float64(part.accuracy))})
		run.Figures = append(run.Figures, report.Figure{Name: part.name + " loss", Value: fmt.Sprintf("%.4f", float64(part.loss))})
		run.Loss.Curves = append(run.Loss.Curves, r.lineCurve(part.name+" set", part.lossOf))
		run.Accuracy.Curves = append(run.Accuracy.Curves, r.lineCurve(part.name+" set", part.accuracyOf))
	}
	if s.PeakRSS > 0 {
		run.Figures = append(run.Figures, report.Figure{Name: "peak memory before this report", Value: fmt.Sprintf("%.0f MB", float64(s.PeakRSS)/1e6)})
	}
	if p := s.Passes; p != nil {
		run.Figures = append(run.Figures, report.Figure{Name: "training accuracy of " + percent(p.Accuracy), Value: p.when()})
		if p.Iteration != nil {
			run.Accuracy.Markers = append(run.Accuracy.Markers,
				report.Marker{Iteration: *p.Iteration, Text: percent(p.Accuracy) + " " + p.when()})
		}
	}
	if s.UnscaledTest != nil {
		run.Figures = append(run.Figures,
			report.Figure{Name: "test accuracy without scaling", Value: percent(float64(*s.UnscaledTest))})
	}
	if s.Reference != nil {
		run.Loss.References = append(run.Loss.References,
			report.Reference{Curve: referenceCurve(*c.Reference, s.Iterations), Align: true})
		run.Figures = append(run.Figures, report.Figure{Name: "loss against " + s.Reference.Name, Value: s.Reference.text()})
	}
	return run
}

// rowCounts says how many rows each part of a set has.
func rowCounts(set dataset.Set) string {
	text := fmt.Sprintf("%d rows to train on", set.Train.Rows)
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

// percent writes a share.
func percent(share float64) string { return fmt.Sprintf("%.2f %%", 100*share) }

// when says at which iteration.
func (p passed) when() string {
	if p.Iteration == nil {
		return "is not reached"
	}
	return fmt.Sprintf("at iteration %d", *p.Iteration)
}

// text says how far apart.
func (c compared) text() string {
	return fmt.Sprintf("at most %.4f apart, at iteration %d, with its curve moved by %d iterations", float64(c.Distance), c.At, c.Shift)
}
