package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/schollz/progressbar/v3"

	"clgrad/gpu"
	"clgrad/network"
	"clgrad/network/checkpoint"
	"clgrad/network/dataset"
)

// modelFlags are the flags that say what is trained on what.
type modelFlags struct {
	Data       string             `default:"mnist" help:"Data set: a name (clgrad data list) or a directory of IDX files."`
	Layers     hiddenLayers       `default:"128" help:"Sizes of the hidden layers, as in 500,150; none for no hidden layer."`
	Preprocess dataset.Preprocess `default:"max" enum:"max,standard,feature,column,none" help:"Scaling of the features: ${enum}. standard takes one mean and deviation over all, feature one a feature, column one a column of the image."`
	Init       network.Init       `default:"normal" enum:"normal,he" help:"Initial weights: ${enum}."`
	Seed       uint64             `default:"1" help:"Seed of the initial weights."`
	LR         learningRate       `name:"lr" default:"0.1" help:"Learning rate."`
}

type trainCommand struct {
	modelFlags
	Iterations count       `default:"100" help:"Iterations of descent over the whole training set."`
	Backend    backendName `default:"auto" help:"auto, cpu, cpu64, opencl, opencl:P.D or opencl:NAME."`
	LogEvery   count       `default:"10" help:"Report every this many iterations."`
	Out        string      `placeholder:"DIR" help:"Save the model in this directory, which is made if need be."`
	JSON       bool        `name:"json" help:"One JSON object a line."`
}

// Help is shown by clgrad train --help.
func (trainCommand) Help() string {
	return "Examples: clgrad train --layers 500,150 --iterations 1000 --out run1; clgrad train --preprocess standard --backend cpu --json"
}

// hiddenLayers is a list of sizes, as in "500,150"; "none" or "" is empty.
type hiddenLayers []int

// UnmarshalText parses a list of positive sizes.
func (h *hiddenLayers) UnmarshalText(text []byte) error {
	*h = nil
	s := strings.TrimSpace(string(text))
	if s == "" || s == "none" {
		return nil
	}
	for _, part := range strings.Split(s, ",") {
		n, err := strconv.Atoi(strings.TrimSpace(part))
		if err != nil || n < 1 {
			return fmt.Errorf("layers %q: sizes of hidden layers separated by commas are expected, as in 500,150, or none", s)
		}
		*h = append(*h, n)
	}
	return nil
}

// count is a positive number.
type count int

// UnmarshalText parses a positive number.
func (c *count) UnmarshalText(text []byte) error {
	n, err := strconv.Atoi(string(text))
	if err != nil || n < 1 {
		return fmt.Errorf("%q: a whole number of at least 1 is expected", text)
	}
	*c = count(n)
	return nil
}

// learningRate is a positive finite number.
type learningRate float64

// UnmarshalText parses a positive finite number.
func (l *learningRate) UnmarshalText(text []byte) error {
	v, err := strconv.ParseFloat(string(text), 64)
	if err != nil || !(v > 0) || v > maxRate {
		return fmt.Errorf("%q: a learning rate above 0 is expected", text)
	}
	*l = learningRate(v)
	return nil
}

// maxRate is the largest float32: backends scale by the rate in their precision.
const maxRate = 0x1p127 * (1 + (1 - 0x1p-23))

// load returns the data set, scaled, and the layout of the network on it.
func (f modelFlags) load(a *app) (set dataset.Set, l network.Layout, err error) {
	if set, err = dataset.Load(a, f.Data, a.dataOptions()); err != nil {
		return set, l, err
	}
	if set, err = set.Preprocess(f.Preprocess); err != nil {
		return set, l, err
	}
	l, err = network.NewLayout(slices.Concat([]int{set.Train.Features}, f.Layers, []int{set.Classes}))
	return set, l, err
}

// start returns a trainer with initial parameters, on one backend.
func (f modelFlags) start(set dataset.Set, l network.Layout, b network.Backend) (*network.Trainer, network.Plan, error) {
	plan, err := network.SingleShard(b, l.Sizes, set.Train)
	if err != nil {
		return nil, plan, err
	}
	theta, err := l.Initial(f.Init, f.Seed)
	if err != nil {
		return nil, plan, err
	}
	t, err := network.NewTrainer(l, set.Train, plan, []network.Backend{b})
	if err != nil {
		return nil, plan, err
	}
	if err := t.SetParameters(theta, 0); err != nil {
		return nil, plan, errors.Join(err, t.Close())
	}
	return t, plan, nil
}

// iterationLine is one iteration of --json.
type iterationLine struct {
	Iteration     int            `json:"iteration"`
	Loss          network.Number `json:"loss"`
	TrainAccuracy network.Number `json:"train_accuracy"`
}

// summary is the last line of --json: the final parameters on the whole training
// and test set.
type summary struct {
	Summary       bool           `json:"summary"`
	Backend       string         `json:"backend"`
	Device        string         `json:"device"`
	Layers        []int          `json:"layers"`
	Iterations    int            `json:"iterations"`
	Loss          network.Number `json:"loss"`
	TrainAccuracy network.Number `json:"train_accuracy"`
	TestLoss      network.Number `json:"test_loss"`
	TestAccuracy  network.Number `json:"test_accuracy"`
	// Seconds is the time of the descent, without loading and scoring.
	Seconds float64 `json:"seconds"`
	// Median is of the times from the end of one iteration to the end of the
	// next, without the first; of the first where it is the only one.
	Median  float64 `json:"median_iteration_seconds"`
	PeakRSS int64   `json:"peak_rss_bytes"`
	Model   string  `json:"model,omitempty"` // the file that was saved
}

// Run trains, scores and saves.
func (c trainCommand) Run(a *app) (err error) {
	if err := c.prepareOut(); err != nil {
		return err
	}
	set, l, err := c.load(a)
	if err != nil {
		return err
	}
	b, err := c.Backend.open(a, gpu.Options{})
	if err != nil {
		return err
	}
	defer closing(&err, b)
	t, plan, err := c.start(set, l, b)
	if err != nil {
		return err
	}
	defer closing(&err, t)

	begin := time.Now()
	times, stopped := c.descend(a, t, set.Train.Rows)
	seconds := time.Since(begin).Seconds()
	if stopped != nil && a.Err() == nil {
		return stopped
	}
	// An interrupted run is worth as much as it came to.
	file, err := c.save(t, plan, set, b.Info())
	if err != nil {
		return errors.Join(err, stopped)
	}
	if stopped != nil {
		what := "nothing is saved without --out"
		if file != "" {
			what = "saved in " + file
		}
		a.note("stopped after iteration %d: %s", t.Done(), what)
		return stopped
	}
	loss, accuracy, err := t.ScoreTraining()
	if err != nil {
		return err
	}
	testLoss, testAccuracy, err := t.Score(set.Test)
	if err != nil {
		return err
	}
	info := b.Info()
	return c.show(a, summary{
		Summary: true, Backend: info.Backend, Device: info.Device, Layers: l.Sizes, Iterations: t.Done(),
		Loss: network.Number(loss), TrainAccuracy: network.Number(accuracy),
		TestLoss: network.Number(testLoss), TestAccuracy: network.Number(testAccuracy),
		Seconds: seconds, Median: medianIteration(times), PeakRSS: peakRSS(), Model: file,
	}, times)
}

// prepareOut makes the output directory, before any work is done that it could
// lose.
func (c trainCommand) prepareOut() error {
	if c.Out == "" {
		return nil
	}
	file := filepath.Join(c.Out, checkpoint.FileName)
	if _, err := os.Lstat(file); err == nil {
		return fmt.Errorf("%s is there already: choose another directory for --out", file)
	}
	if err := os.MkdirAll(c.Out, 0o777); err != nil {
		return fmt.Errorf("--out: %w", err)
	}
	probe, err := os.CreateTemp(c.Out, ".probe")
	if err != nil {
		return fmt.Errorf("--out: %w", err)
	}
	return errors.Join(probe.Close(), os.Remove(probe.Name()))
}

// descend runs the iterations, reports them, and returns their times.
func (c trainCommand) descend(a *app, t *network.Trainer, samples int) (times []time.Duration, err error) {
	var bar *progressbar.ProgressBar
	if a.terminal {
		bar = progressbar.NewOptions(int(c.Iterations), progressbar.OptionSetWriter(a.err),
			progressbar.OptionSetDescription("training"), progressbar.OptionShowCount(), progressbar.OptionShowIts(),
			progressbar.OptionSetItsString("it"), progressbar.OptionClearOnFinish(), progressbar.OptionThrottle(100*time.Millisecond))
		defer bar.Exit()
	}
	d := network.Descent{Iterations: int(c.Iterations), LearningRate: float64(c.LR), Every: int(c.LogEvery)}
	err = t.Descend(a, d, func(i network.Iteration) error {
		times = append(times, i.Elapsed)
		if bar != nil {
			bar.Add(1)
		}
		if i.Number%int(c.LogEvery) != 0 && i.Number != int(c.Iterations) {
			return nil
		}
		if bar != nil {
			bar.Clear()
		}
		accuracy := float64(i.Correct) / float64(samples)
		if c.JSON {
			return json.NewEncoder(a.out).Encode(iterationLine{i.Number, network.Number(i.Loss), network.Number(accuracy)})
		}
		_, err := fmt.Fprintf(a.out, "Iteration %d, Loss: %.4f, Accuracy: %.2f %%\n", i.Number, i.Loss, 100*accuracy)
		return err
	})
	return times, err
}

// save writes the model and returns its file, "" without --out.
func (c trainCommand) save(t *network.Trainer, plan network.Plan, set dataset.Set, info network.Info) (string, error) {
	if c.Out == "" {
		return "", nil
	}
	theta, err := t.Parameters()
	if err != nil {
		return "", err
	}
	precision := checkpoint.F32
	if info.Roundoff < 0x1p-24 {
		precision = checkpoint.F64
	}
	file := filepath.Join(c.Out, checkpoint.FileName)
	return file, checkpoint.Save(file, checkpoint.Model{
		Sizes: t.Layout().Sizes, Parameters: theta, Precision: precision,
		Scaling: set.Train.Scaling, Preprocess: string(c.Preprocess), Shape: set.Shape,
		Run: &checkpoint.Run{
			Init: c.Init, Seed: c.Seed, LearningRate: float64(c.LR), Iterations: t.Done(),
			Data: set.Name, Digest: set.Digest, Plan: &plan,
		},
	})
}

// show writes the summary.
func (c trainCommand) show(a *app, s summary, times []time.Duration) error {
	if c.JSON {
		return json.NewEncoder(a.out).Encode(s)
	}
	fmt.Fprintf(a.out, "Training set: loss %.4f, accuracy %.2f %%\n", float64(s.Loss), 100*float64(s.TrainAccuracy))
	fmt.Fprintf(a.out, "Test set: loss %.4f, accuracy %.2f %%\n", float64(s.TestLoss), 100*float64(s.TestAccuracy))
	fmt.Fprintf(a.out, "Time: %.1f s for %d iterations, the first %.3f s, then %.4f s each (median)\n",
		s.Seconds, s.Iterations, times[0].Seconds(), s.Median)
	if s.PeakRSS > 0 {
		fmt.Fprintf(a.out, "Peak memory: %.0f MB\n", float64(s.PeakRSS)/1e6)
	}
	if s.Model != "" {
		fmt.Fprintf(a.out, "Model: %s\n", s.Model)
	}
	return nil
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
