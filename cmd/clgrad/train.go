package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"time"

	"github.com/alecthomas/kong"
	"github.com/schollz/progressbar/v3"

	"clgrad/cmd/clgrad/recipe"
	"clgrad/cmd/clgrad/report"
	"clgrad/gpu"
	"clgrad/network"
	"clgrad/network/checkpoint"
	"clgrad/network/dataset"
)

// modelFlags are the flags that say what is trained on what.
type modelFlags struct{ recipe.Setup }

type trainCommand struct {
	From string `name:"recipe" placeholder:"NAME|FILE" help:"Take what the flags do not say from a built-in recipe (clgrad recipes), a file of that form, or the directory of a run."`
	recipe.Recipe
	Out  recipe.Path `placeholder:"DIR" help:"Keep the run in this directory, which is made if need be: configuration, model, metrics and report. With --recipe it is runs/TIME-NAME if not given; otherwise nothing is kept without it."`
	JSON bool        `name:"json" help:"One JSON object a line."`
}

// Help is shown by clgrad train --help.
func (trainCommand) Help() string {
	return "Examples: clgrad train --layers 500,150 --iterations 1000 --out run1; clgrad train --recipe biswas --seed 2; clgrad train --recipe run1/config.json; clgrad train --preprocess standard --backend cpu --json"
}

// BeforeResolve has the values of the recipe stand in for the flags that are not
// given.
func (c *trainCommand) BeforeResolve(ctx *kong.Context) error {
	given := map[string]bool{}
	for _, p := range ctx.Path {
		if p.Flag != nil {
			given[p.Flag.Name] = true
			if p.Flag.Name == "recipe" {
				c.From, _ = ctx.FlagValue(p.Flag).(string)
			}
		}
	}
	if !given["recipe"] {
		return nil
	}
	file, err := recipe.Load(c.From)
	if err != nil {
		return err
	}
	c.Origin = file.Origin
	ctx.AddResolver(kong.ResolverFunc(func(_ *kong.Context, _ *kong.Path, flag *kong.Flag) (any, error) {
		text, ok := file.Value(flag.Name)
		if !ok || given["data"] && recipe.OfData(flag.Name) {
			return nil, nil
		}
		return text, nil
	}))
	return nil
}

// load returns the data set, scaled, and the layout of the network on it.
func (f modelFlags) load(a *app) (set dataset.Set, l network.Layout, err error) {
	if set, err = f.raw(a, nil); err != nil {
		return set, l, err
	}
	if set, err = set.Preprocess(f.Preprocess); err != nil {
		return set, l, err
	}
	l, err = network.NewLayout(slices.Concat([]int{set.Train.Features}, f.Layers, []int{set.Classes}))
	return set, l, err
}

// raw returns the data set with its parts as the flags want them, not scaled.
// classes are the names that labels may have, nil where the data decides.
func (f modelFlags) raw(a *app, classes []string) (set dataset.Set, err error) {
	o := a.dataOptions()
	o.Label, o.Test, o.Classes = string(f.Label), string(f.Test), classes
	if set, err = dataset.Load(a, string(f.Data), o); err != nil {
		return set, err
	}
	if len(f.Divide) == 2 {
		if set, err = set.Divide(f.Divide[0], f.Divide[1], f.Seed); err != nil {
			return set, fmt.Errorf("--divide: %w", err)
		}
	}
	if f.Samples > 0 {
		set = set.First(int(f.Samples))
	}
	if f.Validation > 0 {
		if set, err = set.Split(float64(f.Validation), f.Seed); err != nil {
			return set, fmt.Errorf("--validation: %w", err)
		}
	}
	return set, nil
}

// start returns a trainer with initial parameters, on one backend.
func (f modelFlags) start(set dataset.Set, l network.Layout, b network.Backend) (*network.Trainer, network.Plan, error) {
	plan, err := network.SingleShard(b, l.Sizes, set.Train)
	if err != nil {
		return nil, plan, err
	}
	// The trainer first: it finds out whether the network fits the device.
	t, err := network.NewTrainer(l, set.Train, plan, []network.Backend{b})
	if err != nil {
		return nil, plan, err
	}
	theta, err := l.Initial(f.Init, f.Seed)
	if err == nil {
		err = t.SetParameters(theta, 0)
	}
	if err != nil {
		return nil, plan, errors.Join(err, t.Close())
	}
	return t, plan, nil
}

// iterationLine is one iteration of --json and of the metrics. Loss and training
// accuracy are those of its forward pass; what is known of other samples is
// after its update.
type iterationLine struct {
	Iteration          int             `json:"iteration"`
	Loss               network.Number  `json:"loss"`
	TrainAccuracy      network.Number  `json:"train_accuracy"`
	ValidationLoss     *network.Number `json:"validation_loss,omitempty"`
	ValidationAccuracy *network.Number `json:"validation_accuracy,omitempty"`
	TestLoss           *network.Number `json:"test_loss,omitempty"`
	TestAccuracy       *network.Number `json:"test_accuracy,omitempty"`
	Seconds            float64         `json:"seconds"` // of descent so far
}

// summary is the last line of --json: the final parameters on the whole training,
// validation and test set. Numbers of a set that there is not are null.
type summary struct {
	Summary       bool           `json:"summary"`
	Backend       string         `json:"backend"`
	Device        string         `json:"device"`
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

// heldOut is how a network does on rows that it was not trained on.
type heldOut struct {
	ValidationLoss     network.Number `json:"validation_loss"`
	ValidationAccuracy network.Number `json:"validation_accuracy"`
	TestLoss           network.Number `json:"test_loss"`
	TestAccuracy       network.Number `json:"test_accuracy"`
}

// scoreHeldOut scores the validation and the test set.
func scoreHeldOut(a *app, set dataset.Set, score func(network.Samples) (loss, accuracy float64, err error)) (h heldOut, err error) {
	for _, part := range []struct {
		samples        network.Samples
		loss, accuracy *network.Number
	}{{set.Validation, &h.ValidationLoss, &h.ValidationAccuracy}, {set.Test, &h.TestLoss, &h.TestAccuracy}} {
		loss, accuracy := math.NaN(), math.NaN()
		if part.samples.Rows > 0 {
			if err := a.Err(); err != nil {
				return h, err
			}
			if loss, accuracy, err = score(part.samples); err != nil {
				return h, err
			}
		}
		*part.loss, *part.accuracy = network.Number(loss), network.Number(accuracy)
	}
	return h, nil
}

// show writes a line for each set that there is.
func (h heldOut) show(a *app) (err error) {
	for _, part := range []struct {
		name           string
		loss, accuracy network.Number
	}{{"Validation", h.ValidationLoss, h.ValidationAccuracy}, {"Test", h.TestLoss, h.TestAccuracy}} {
		if !math.IsNaN(float64(part.accuracy)) {
			_, err = fmt.Fprintf(a.out, "%s set: loss %.4f, accuracy %.2f %%\n", part.name, float64(part.loss), 100*float64(part.accuracy))
		}
	}
	return err
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

// A trained is what a run came to.
type trained struct {
	set       dataset.Set
	plan      network.Plan
	info      network.Info
	layout    network.Layout
	trace     trace
	theta     []float64
	rows      network.Samples // to be predicted
	logits    []float64       // of what is shown
	rowLogits []float64       // of rows
	summary   summary
}

// Run trains, scores and saves.
func (c trainCommand) Run(a *app) (err error) {
	if c.Rows != "" && c.Predict == "" {
		c.Predict = recipe.Table
	}
	var dir *runDir
	if out := c.out(time.Now()); out != "" {
		if dir, err = claim(out, c.Recipe); err != nil {
			return err
		}
		defer closing(&err, dir)
	} else if c.Predict != "" {
		return errors.New("--predictions: nothing is kept without --out: give a directory")
	}
	set, l, err := modelFlags{c.Setup}.load(a)
	if err != nil {
		return err
	}
	_, rows := shown(set)
	if c.Rows != "" {
		if rows, err = loadRows(a, c.Rows, c.Label, classNames(set.ClassNames, set.Classes)); err != nil {
			return fmt.Errorf("--predict: %w", err)
		}
		if rows.Features != set.Train.Features {
			return fmt.Errorf("--predict: %s has %d features where %s has %d", c.Rows, rows.Features, set.Name, set.Train.Features)
		}
		rows.Scaling = set.Train.Scaling
	}
	if err := a.Err(); err != nil {
		return err
	}
	b, err := backendName(c.Backend).open(a, gpu.Options{})
	if err != nil {
		return err
	}
	defer closing(&err, b)
	t, plan, err := modelFlags{c.Setup}.start(set, l, b)
	if err != nil {
		return err
	}
	defer closing(&err, t)

	r := trained{set: set, rows: rows, plan: plan, info: b.Info(), layout: l}
	stopped := c.descend(a, t, &r, dir)
	if !t.Settled() {
		return stopped
	}
	// An interrupted run is worth as much as it came to.
	file, err := c.save(t, &r, dir)
	if err != nil {
		return errors.Join(stopped, err)
	}
	if stopped != nil {
		what := "nothing is saved without --out"
		switch {
		case file != "":
			what = "saved in " + file
		case dir != nil:
			what = "nothing to save"
		}
		a.note("stopped after iteration %d: %s", t.Done(), what)
		return stopped
	}
	r.summary.Model = file
	if err := c.examine(a, t, b, &r, dir); err != nil {
		return err
	}
	if err := c.finish(a, &r, dir); err != nil {
		return err
	}
	return c.show(a, r)
}

// A trace is what is known of a run's iterations.
type trace struct {
	loss, accuracy []float64 // of every iteration
	times          []time.Duration
	seconds        float64 // of descent
	lines          []iterationLine
}

// evaluations bounds how often a run is scored on other samples on its way.
const evaluations = 100

// descend runs the iterations and reports them. Between two lines it may score
// the validation and the test set, which takes about a third of what an
// iteration over as many rows does.
func (c trainCommand) descend(a *app, t *network.Trainer, r *trained, dir *runDir) (err error) {
	var bar *progressbar.ProgressBar
	if a.terminal {
		bar = progressbar.NewOptions(int(c.Iterations), progressbar.OptionSetWriter(a.err),
			progressbar.OptionSetDescription("training"), progressbar.OptionShowCount(), progressbar.OptionShowIts(),
			progressbar.OptionSetItsString("it"), progressbar.OptionClearOnFinish(), progressbar.OptionThrottle(100*time.Millisecond))
		defer bar.Clear()
	}
	iterations, every := int(c.Iterations), int(c.LogEvery)
	var validation, test *network.Scorer
	if dir != nil {
		for _, part := range []struct {
			scorer  **network.Scorer
			samples network.Samples
		}{{&validation, r.set.Validation}, {&test, r.set.Test}} {
			if part.samples.Rows == 0 {
				continue
			}
			if *part.scorer, err = t.Scorer(part.samples); err != nil {
				return err
			}
			defer closing(&err, *part.scorer)
		}
	}
	lines := (iterations + every - 1) / every
	scoreEvery := (lines + evaluations - 1) / evaluations
	for t.Done() < iterations {
		next := iterations
		if left := every - t.Done()%every; left < iterations-t.Done() {
			next = t.Done() + left
		}
		err := t.Descend(a, network.Descent{Iterations: next, LearningRate: float64(c.LR)}, func(i network.Iteration) error {
			r.trace.times = append(r.trace.times, i.Elapsed)
			r.trace.seconds += i.Elapsed.Seconds()
			r.trace.loss = append(r.trace.loss, i.Loss)
			r.trace.accuracy = append(r.trace.accuracy, float64(i.Correct)/float64(r.set.Train.Rows))
			if bar != nil {
				bar.Add(1)
			}
			return nil
		})
		if err != nil {
			return err
		}
		last := len(r.trace.loss) - 1
		line := iterationLine{
			Iteration: next, Loss: network.Number(r.trace.loss[last]), TrainAccuracy: network.Number(r.trace.accuracy[last]),
			Seconds: r.trace.seconds,
		}
		if len(r.trace.lines)%scoreEvery == 0 || next == iterations {
			if line.ValidationLoss, line.ValidationAccuracy, err = scored(validation); err != nil {
				return err
			}
			if line.TestLoss, line.TestAccuracy, err = scored(test); err != nil {
				return err
			}
		}
		r.trace.lines = append(r.trace.lines, line)
		if bar != nil {
			bar.Clear()
		}
		if err := errors.Join(dir.record(line), c.showLine(a, line)); err != nil {
			return err
		}
	}
	return nil
}

// scored returns what a scorer finds, nil where there is none.
func scored(s *network.Scorer) (loss, accuracy *network.Number, err error) {
	if s == nil {
		return nil, nil, nil
	}
	l, a, err := s.Score()
	return number(l), number(a), err
}

// shown returns the samples whose predictions say most about the network, and
// what they are: the test set, or what there is in its place.
func shown(set dataset.Set) (name string, samples network.Samples) {
	switch {
	case set.Test.Rows > 0:
		return "test set", set.Test
	case set.Validation.Rows > 0:
		return "validation set", set.Validation
	}
	return "training set", set.Train
}

func number(v float64) *network.Number {
	n := network.Number(v)
	return &n
}

// showLine writes one iteration.
func (c trainCommand) showLine(a *app, line iterationLine) error {
	if c.JSON {
		return json.NewEncoder(a.out).Encode(line)
	}
	_, err := fmt.Fprintf(a.out, "Iteration %d, Loss: %.4f, Accuracy: %.2f %%\n", line.Iteration, float64(line.Loss), 100*float64(line.TrainAccuracy))
	return err
}

// save takes the parameters and writes the model into the run's directory. It
// returns its file, "" where there is none.
func (c trainCommand) save(t *network.Trainer, r *trained, dir *runDir) (file string, err error) {
	if t.Done() == 0 {
		return "", nil
	}
	if r.theta, err = t.Parameters(); err != nil || dir == nil {
		return "", err
	}
	precision := checkpoint.F32
	if r.info.Roundoff < 0x1p-24 {
		precision = checkpoint.F64
	}
	return dir.save(checkpoint.Model{
		Sizes: r.layout.Sizes, Parameters: r.theta, Precision: precision,
		Scaling: r.set.Train.Scaling, Preprocess: string(c.Preprocess), Shape: r.set.Shape, Classes: r.set.ClassNames,
		Run: &checkpoint.Run{
			Init: c.Init, Seed: c.Seed, LearningRate: float64(c.LR), Iterations: t.Done(),
			Data: r.set.Name, Directory: !r.set.Named, Validation: float64(c.Validation), Digest: r.set.Digest, Plan: &r.plan,
		},
	})
}

// examine scores the final parameters, and finds what the recipe asks for.
func (c trainCommand) examine(a *app, t *network.Trainer, b network.Backend, r *trained, dir *runDir) (err error) {
	loss, accuracy, err := t.ScoreTraining()
	if err != nil {
		return err
	}
	s := &r.summary
	*s = summary{
		Summary: true, Backend: r.info.Backend, Device: r.info.Device, Layers: r.layout.Sizes, Iterations: t.Done(),
		Loss: network.Number(loss), TrainAccuracy: network.Number(accuracy),
		Seconds: r.trace.seconds, Median: medianIteration(r.trace.times), Model: s.Model, Recipe: string(c.Name),
	}
	if s.heldOut, err = scoreHeldOut(a, r.set, t.Score); err != nil {
		return err
	}
	if c.Passes > 0 {
		s.Passes = &passed{Accuracy: float64(c.Passes)}
		if i := slices.IndexFunc(r.trace.accuracy, func(v float64) bool { return v >= float64(c.Passes) }); i >= 0 {
			i++
			s.Passes.Iteration = &i
		}
	}
	if c.UnscaledTest && r.set.Test.Rows > 0 {
		raw := r.set.Test
		raw.Scaling = network.Scaling{}
		_, accuracy, err := t.Score(raw)
		if err != nil {
			return err
		}
		s.UnscaledTest = number(accuracy)
	}
	if c.Reference != nil {
		if x, ok := report.Compare(r.lossCurve(), referenceCurve(*c.Reference, s.Iterations), true); ok {
			s.Reference = &compared{c.Reference.Name, x.Shift, network.Number(x.Distance), x.Iteration}
		}
	}
	if dir == nil && !a.screen {
		return nil
	}
	blockRows := r.plan.Shards[0].BlockRows
	_, samples := shown(r.set)
	if r.logits, err = logitsOn(b, r.layout, r.theta, blockRows, samples); err != nil {
		return err
	}
	r.rowLogits = r.logits
	if c.Rows != "" {
		r.rowLogits, err = logitsOn(b, r.layout, r.theta, blockRows, r.rows)
	}
	return err
}

// finish writes predictions, report and the last line of the metrics.
func (c trainCommand) finish(a *app, r *trained, dir *runDir) error {
	r.summary.PeakRSS = peakRSS()
	if dir == nil {
		return nil
	}
	p := predictions{r.rows.Labels, r.rowLogits, r.layout.Sizes[len(r.layout.Sizes)-1], r.set.ClassNames}
	switch name := ""; c.Predict {
	case recipe.Table:
		name = dir.file("predictions.csv")
		if err := replaceFile(name, func(w io.Writer) error { return p.writeTable(w, false) }); err != nil {
			return err
		}
		r.summary.Predictions = name
	case recipe.Kaggle:
		name = dir.file("submission.csv")
		if err := replaceFile(name, p.writeKaggle); err != nil {
			return err
		}
		r.summary.Predictions = name
	}
	if err := report.Write(dir.path, c.gather(a, r, dir)); err != nil {
		return err
	}
	r.summary.Report = dir.file(report.FileName)
	return json.NewEncoder(dir.lines).Encode(r.summary)
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
		_, samples := shown(r.set)
		fmt.Fprint(a.out, textSamples(samples, r.set.Shape, c.captions(r, samples)))
	}
	fmt.Fprintf(a.out, "Training set: loss %.4f, accuracy %.2f %%\n", float64(s.Loss), 100*float64(s.TrainAccuracy))
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
	fmt.Fprintf(a.out, "Time: %.1f s for %d iterations, the first %.3f s, then %.4f s each (median)\n",
		s.Seconds, s.Iterations, r.trace.times[0].Seconds(), s.Median)
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
