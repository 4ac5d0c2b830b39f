package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
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
	Data       path               `default:"mnist" help:"Data set: a name (clgrad data list), a directory of IDX files, a CSV or an NPZ file."`
	Label      path               `placeholder:"COLUMN" help:"Column of a CSV file that holds the labels, by name or number (label)."`
	Test       path               `placeholder:"FILE" help:"CSV file of the test set, where the data set is a CSV file."`
	Validation fraction           `default:"0" placeholder:"FRACTION" help:"Part of the training set to hold back for validation, as in 0.1, chosen by class and --seed."`
	Layers     hiddenLayers       `default:"128" help:"Sizes of the hidden layers, as in 500,150; none for no hidden layer."`
	Preprocess dataset.Preprocess `default:"max" enum:"max,standard,feature,column,none" help:"Scaling of the features: ${enum}. standard takes one mean and deviation over all, feature one a feature, column one a column of the image."`
	Init       network.Init       `default:"normal" enum:"normal,he" help:"Initial weights: ${enum}."`
	Seed       uint64             `default:"1" help:"Seed of the initial weights and of the choice of validation rows."`
	LR         learningRate       `name:"lr" default:"0.1" help:"Learning rate."`
}

type trainCommand struct {
	modelFlags
	Iterations count       `default:"100" help:"Iterations of descent over the whole training set."`
	Backend    backendName `default:"auto" help:"auto, cpu, cpu64, opencl, opencl:P.D or opencl:NAME."`
	LogEvery   count       `default:"10" help:"Report every this many iterations."`
	Out        path        `placeholder:"DIR" help:"Save the model in this directory, which is made if need be."`
	JSON       bool        `name:"json" help:"One JSON object a line."`
}

// Help is shown by clgrad train --help.
func (trainCommand) Help() string {
	return "Examples: clgrad train --layers 500,150 --iterations 1000 --out run1; clgrad train --preprocess standard --backend cpu --json"
}

// path names a file or directory, a data set or a column.
type path string

// UnmarshalText refuses what is more likely a flag than a name.
func (p *path) UnmarshalText(text []byte) error {
	if s := string(text); s == "" || s[0] == '-' {
		return fmt.Errorf("%q: a name is expected (./%s for one that begins with a dash)", s, s)
	}
	*p = path(text)
	return nil
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

// fraction is a number from 0 up to, but not, 1.
type fraction float64

// UnmarshalText parses a number that is 0 or more and less than 1.
func (f *fraction) UnmarshalText(text []byte) error {
	v, err := strconv.ParseFloat(string(text), 64)
	if err != nil || !(v >= 0 && v < 1) {
		return fmt.Errorf("%q: a fraction of 0 or more and less than 1 is expected", text)
	}
	*f = fraction(v)
	return nil
}

// learningRate is a positive finite float32.
type learningRate float64

// UnmarshalText parses a number that is positive and finite in the precision of
// every backend.
func (l *learningRate) UnmarshalText(text []byte) error {
	v, err := strconv.ParseFloat(string(text), 64)
	if err != nil || !(float32(v) > 0) || v > math.MaxFloat32 {
		return fmt.Errorf("%q: a learning rate above 0 is expected, from %.2g to %.2g", text, math.SmallestNonzeroFloat32, math.MaxFloat32)
	}
	*l = learningRate(v)
	return nil
}

// load returns the data set, split and scaled, and the layout of the network on it.
func (f modelFlags) load(a *app) (set dataset.Set, l network.Layout, err error) {
	o := a.dataOptions()
	o.Label, o.Test = string(f.Label), string(f.Test)
	if set, err = dataset.Load(a, string(f.Data), o); err != nil {
		return set, l, err
	}
	if f.Validation > 0 {
		if set, err = set.Split(float64(f.Validation), f.Seed); err != nil {
			return set, l, err
		}
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

// iterationLine is one iteration of --json.
type iterationLine struct {
	Iteration     int            `json:"iteration"`
	Loss          network.Number `json:"loss"`
	TrainAccuracy network.Number `json:"train_accuracy"`
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

// Run trains, scores and saves.
func (c trainCommand) Run(a *app) (err error) {
	file := ""
	if c.Out != "" {
		release, err := c.claimOut()
		if err != nil {
			return err
		}
		defer func() {
			if file == "" {
				release()
			}
		}()
	}
	set, l, err := c.load(a)
	if err != nil {
		return err
	}
	if err := a.Err(); err != nil {
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
	if !t.Settled() {
		return stopped
	}
	// An interrupted run is worth as much as it came to.
	if file, err = c.save(t, plan, set, b.Info()); err != nil {
		return errors.Join(stopped, err)
	}
	if stopped != nil {
		what := "nothing is saved without --out"
		switch {
		case file != "":
			what = "saved in " + file
		case c.Out != "":
			what = "nothing to save"
		}
		a.note("stopped after iteration %d: %s", t.Done(), what)
		return stopped
	}
	loss, accuracy, err := t.ScoreTraining()
	if err != nil {
		return err
	}
	others, err := scoreHeldOut(a, set, t.Score)
	if err != nil {
		return err
	}
	info := b.Info()
	return c.show(a, summary{
		Summary: true, Backend: info.Backend, Device: info.Device, Layers: l.Sizes, Iterations: t.Done(),
		Loss: network.Number(loss), TrainAccuracy: network.Number(accuracy),
		heldOut: others,
		Seconds: seconds, Median: medianIteration(times), PeakRSS: peakRSS(), Model: file,
	}, times)
}

// runConfig is what a run directory says of the run, in the words of the flags.
type runConfig struct {
	Data       string             `json:"data"`
	Label      string             `json:"label,omitempty"`
	Test       string             `json:"test,omitempty"`
	Validation float64            `json:"validation,omitempty"`
	Layers     []int              `json:"layers"`
	Preprocess dataset.Preprocess `json:"preprocess"`
	Init       network.Init       `json:"init"`
	Seed       uint64             `json:"seed"`
	LR         float64            `json:"lr"`
	Iterations int                `json:"iterations"`
	Backend    string             `json:"backend"`
}

// configName is the file of a run directory that holds its runConfig.
const configName = "config.json"

// claimOut makes the output directory and writes the run's configuration there,
// before any work is done that it could lose. The file is made exclusively, so
// that no two runs write to one directory. release takes the claim back.
func (c trainCommand) claimOut() (release func(), err error) {
	if err := os.MkdirAll(string(c.Out), 0o777); err != nil {
		return nil, fmt.Errorf("--out: %w", err)
	}
	name := filepath.Join(string(c.Out), configName)
	for _, there := range []string{filepath.Join(string(c.Out), checkpoint.FileName), name} {
		if _, err := os.Lstat(there); err == nil {
			return nil, fmt.Errorf("%s is there already: choose another directory for --out", there)
		}
	}
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o666)
	if errors.Is(err, os.ErrExist) {
		return nil, fmt.Errorf("%s is there already: choose another directory for --out", name)
	}
	if err != nil {
		return nil, fmt.Errorf("--out: %w", err)
	}
	release = func() { os.Remove(name) }
	e := json.NewEncoder(f)
	e.SetIndent("", "  ")
	if err := errors.Join(e.Encode(runConfig{
		string(c.Data), string(c.Label), string(c.Test), float64(c.Validation), append([]int{}, c.Layers...), c.Preprocess, c.Init, c.Seed, float64(c.LR), int(c.Iterations), string(c.Backend),
	}), f.Sync(), f.Close()); err != nil {
		release()
		return nil, fmt.Errorf("--out: %w", err)
	}
	return release, nil
}

// descend runs the iterations, reports them, and returns their times.
func (c trainCommand) descend(a *app, t *network.Trainer, samples int) (times []time.Duration, err error) {
	var bar *progressbar.ProgressBar
	if a.terminal {
		bar = progressbar.NewOptions(int(c.Iterations), progressbar.OptionSetWriter(a.err),
			progressbar.OptionSetDescription("training"), progressbar.OptionShowCount(), progressbar.OptionShowIts(),
			progressbar.OptionSetItsString("it"), progressbar.OptionClearOnFinish(), progressbar.OptionThrottle(100*time.Millisecond))
		defer bar.Clear()
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
	if c.Out == "" || t.Done() == 0 {
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
	file := filepath.Join(string(c.Out), checkpoint.FileName)
	err = checkpoint.Save(file, checkpoint.Model{
		Sizes: t.Layout().Sizes, Parameters: theta, Precision: precision,
		Scaling: set.Train.Scaling, Preprocess: string(c.Preprocess), Shape: set.Shape, Classes: set.ClassNames,
		Run: &checkpoint.Run{
			Init: c.Init, Seed: c.Seed, LearningRate: float64(c.LR), Iterations: t.Done(),
			Data: set.Name, Directory: !set.Named, Validation: float64(c.Validation), Digest: set.Digest, Plan: &plan,
		},
	})
	if err != nil {
		return "", err
	}
	return file, nil
}

// show writes the summary.
func (c trainCommand) show(a *app, s summary, times []time.Duration) error {
	if c.JSON {
		return json.NewEncoder(a.out).Encode(s)
	}
	fmt.Fprintf(a.out, "Training set: loss %.4f, accuracy %.2f %%\n", float64(s.Loss), 100*float64(s.TrainAccuracy))
	s.heldOut.show(a)
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
