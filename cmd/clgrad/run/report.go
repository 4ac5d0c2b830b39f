package run

import (
	"errors"
	"fmt"
	"math"
	"path/filepath"
	"strings"
	"time"

	"clgrad/cmd/clgrad/measure"
	"clgrad/cmd/clgrad/recipe"
	"clgrad/cmd/clgrad/report"
	"clgrad/cmd/clgrad/score"
	"clgrad/cmd/clgrad/text"
	"clgrad/network"
	"clgrad/network/checkpoint"
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

// heldOut is what the lines have of the validation or the test set.
type heldOut struct {
	name           string
	loss, accuracy report.Curve
}

// heldOutCurves returns what the lines have of the validation and of the test set, if there
// is anything.
func (r *run) heldOutCurves() (all []heldOut) {
	for _, set := range []struct {
		name           string
		loss, accuracy func(Line) *network.Number
	}{
		{"validation", func(l Line) *network.Number { return l.ValidationLoss }, func(l Line) *network.Number { return l.ValidationAccuracy }},
		{"test", func(l Line) *network.Number { return l.TestLoss }, func(l Line) *network.Number { return l.TestAccuracy }},
	} {
		if loss := r.lineCurve(set.name+" set", set.loss); len(loss.Values) > 0 {
			all = append(all, heldOut{set.name, loss, r.lineCurve(set.name+" set", set.accuracy)})
		}
	}
	return all
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

// reportData returns all that the report of a finished run shows. kernels are the times of
// operations.
func (r *run) reportData(kernels []report.Kernel) report.Run {
	s, page := r.summary, r.describe()
	page.Subtitle = fmt.Sprintf("%s in %s on %s. Began on %s, ended on %s.", r.pace.count(s.Iterations), durationWords(s.Seconds), r.deviceWords(),
		Began(r.dir.path).Format(timeFormat), time.Now().Format(timeFormat))
	page.Figures = []report.Figure{
		{Name: "time of the descent", Value: durationWords(s.Seconds)},
		{Name: "an iteration (median)", Value: text.Digits(s.Median) + " s"},
	}
	for _, part := range []struct {
		name           string
		loss, accuracy network.Number
	}{{"test", s.TestLoss, s.TestAccuracy}, {"validation", s.ValidationLoss, s.ValidationAccuracy}, {"training", s.Loss, s.TrainAccuracy}} {
		loss, accuracy := float64(part.loss), float64(part.accuracy)
		if math.IsNaN(accuracy) {
			continue
		}
		page.Results = append(page.Results,
			report.Figure{Name: part.name + " accuracy", Value: text.Percent(accuracy)}, report.Figure{Name: part.name + " loss", Value: fmt.Sprintf("%.4f", loss)})
		if len(page.Results) == 2 && part.name != "training" && score.Finite(float64(s.Loss)) {
			page.Remarks = append(page.Remarks, gapWords(part.name, float64(s.TrainAccuracy), accuracy, float64(s.Loss), loss))
		}
	}
	if advice := r.advice(); advice != "" {
		page.Remarks = append(page.Remarks, strings.ToUpper(advice[:1])+advice[1:]+".")
	}
	if s.PeakRSS > 0 {
		page.Figures = append(page.Figures, report.Figure{Name: "peak memory before this report", Value: fmt.Sprintf("%.0f MB", float64(s.PeakRSS)/1e6)})
	}
	page.Figures = append(page.Figures, s.figures()...)
	if p := s.Passes; p != nil && p.Iteration != nil {
		page.Accuracy.Markers = append(page.Accuracy.Markers, report.Marker{Iteration: *p.Iteration, Text: text.Percent(p.Accuracy) + " " + p.when()})
	}
	if b := s.Best; b != nil {
		page.Loss.Markers = append(page.Loss.Markers, report.Marker{Iteration: b.Iteration, Text: "the model is of " + r.pace.at(b.Iteration)})
	}
	page.Shape, page.Classes, page.FirstLayer = r.set.Shape, r.set.ClassNames, firstLayer(r.layout, r.theta)
	if c := r.set.Columns; c != nil {
		page.Features, page.Offsets = c.FeatureNames(), c.Offsets
	}
	if name, samples := heldOutRows(r.set); r.logits != nil {
		page.Predictions = &report.Predictions{Of: name, Samples: samples, Logits: r.logits}
	}
	page.Kernels = kernels
	if r.Rule().Optimizer == network.LBFGS {
		page.KernelsOf = "an evaluation"
	}
	if len(s.Devices) > 0 {
		page.Notes = append(page.Notes, "Devices compute at the same time, so the times of their operations are not one behind the other.")
	}
	page.Files = append([]report.File{{Path: checkpoint.FileName, What: "the model, as PyTorch's safetensors reads it"}}, page.Files...)
	if s.Predictions != "" {
		page.Files = append(page.Files, report.File{Path: filepath.Base(s.Predictions), What: "predictions"})
	}
	page.Files = append(page.Files, report.File{Path: report.PicturesDir + "/", What: "the pictures of this page as PNG files"})
	page.Next = r.nextCommands()
	return page
}

// timeFormat is how the report writes a time.
const timeFormat = "2 January 2006, 15:04 MST"

// describe returns what a report shows at any time of a run: what is run, and the curves.
func (r *run) describe() report.Run {
	epoch := 0
	if r.pace.byEpoch() {
		epoch = r.pace.batches
	}
	page := report.Run{
		Title:    r.title(time.Now()),
		Loss:     report.Chart{Curves: []report.Curve{r.lossCurve()}, Epoch: epoch},
		Accuracy: report.Chart{Curves: []report.Curve{r.accuracyCurve()}, Epoch: epoch},
		Settings: r.settings(),
		Command:  r.opts.Command,
		Config:   string(r.dir.config),
		Files: []report.File{
			{Path: recipe.FileName, What: "the configuration: clgrad train --recipe runs it again"},
			{Path: MetricsFile, What: "what was logged, a row for each line"},
			{Path: LinesFile, What: "the same as JSON"},
			{Path: IterationsFile, What: "loss and accuracy of every iteration"},
		},
	}
	if r.pace.mini() {
		page.Notes = append(page.Notes, fmt.Sprintf("An epoch has %d iterations. Loss and accuracy of the training set are means over the last epoch's.", r.pace.batches))
	}
	if r.Rule().Optimizer == network.LBFGS {
		page.Notes = append(page.Notes, "An iteration of L-BFGS evaluates the loss and its gradient at one point or several.")
	}
	if words := r.Based(); words != "" {
		page.Remarks = append(page.Remarks, "Based on "+words+".")
	}
	if r.Description != "" {
		page.Notes = append(page.Notes, r.Description+".")
	}
	if r.Source != "" {
		page.Notes = append(page.Notes, "After: "+r.Source+".")
	}
	page.Notes = append(page.Notes, r.Notes...)
	// The set whose loss says most of when to stop has its best value marked: the first.
	for _, set := range r.heldOutCurves() {
		if page.Loss.Best == "" {
			page.Loss.Best, page.Accuracy.Best = set.loss.Name, set.accuracy.Name
		}
		page.Loss.Curves, page.Accuracy.Curves = append(page.Loss.Curves, set.loss), append(page.Accuracy.Curves, set.accuracy)
	}
	if r.Reference != nil {
		page.Loss.References = append(page.Loss.References, referenceCurve(*r.Reference, len(r.loss)))
	}
	return page
}

// title says what is run on what, and when.
func (r *run) title(now time.Time) string {
	title := text.Sizes(r.layout.Sizes) + " on " + r.set.Title()
	if r.Name != "" {
		title += ", recipe " + string(r.Name)
	}
	return title + ", " + now.Format("2 January 2006")
}

// deviceWords names the devices and their backends.
func (r *run) deviceWords() string {
	words := r.info.Device
	if !strings.Contains(words, r.info.Backend) {
		words += " (" + r.info.Backend + ")"
	}
	if r.opts.Ranks != nil {
		words = fmt.Sprintf("%d processes, rank 0 on %s", r.opts.Ranks.Size, words)
	}
	return words
}

// durationWords writes seconds for a person.
func durationWords(seconds float64) string {
	if seconds < 100 {
		return fmt.Sprintf("%.3g s", seconds)
	}
	return time.Duration(seconds * 1e9).Round(time.Second).String()
}

// gapWords says how far a set is from the training set.
func gapWords(set string, trainAccuracy, accuracy, trainLoss, loss float64) string {
	points := 100 * (accuracy - trainAccuracy)
	words := fmt.Sprintf("Accuracy is %.2f percentage points %s on the %s set than on the training set", math.Abs(points), higher(points), set)
	if math.Abs(points) < 0.005 {
		words = fmt.Sprintf("Accuracy is the same on the %s set and on the training set", set)
	}
	if math.Abs(loss-trainLoss) < 0.00005 {
		return words + ", the loss is the same."
	}
	return fmt.Sprintf("%s, the loss %.4f %s.", words, math.Abs(loss-trainLoss), higher(loss-trainLoss))
}

func higher(difference float64) string {
	if difference < 0 {
		return "lower"
	}
	return "higher"
}

// nextCommands returns command lines for a finished run. They can be copied to any directory.
func (r *run) nextCommands() []report.Figure {
	directory, data := r.dir.quoted(), ""
	switch {
	case dataset.Once(string(r.Data)):
		return []report.Figure{{Name: "Score the model:", Value: "clgrad eval " + directory + " --data FILE"}}
	case r.Test != "":
		data = string(absolute(r.Test))
	default:
		data = string(absolute(r.Data))
	}
	return []report.Figure{
		{Name: "Score the model:", Value: "clgrad eval " + directory},
		{Name: "Predict, with the three most probable classes:", Value: "clgrad predict " + directory + " --data " + text.ShellWord(data) + " --top 3"},
	}
}

// rowCounts says how many rows each part of a set has.
func rowCounts(set dataset.Set, shifts recipe.CountOrNone) string {
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
