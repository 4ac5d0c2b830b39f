package classifier

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"clgrad/network"
	"clgrad/network/dataset"
)

// Options say what network is trained, and how. What is left out has the default of the
// command clgrad train, which is said here.
type Options struct {
	// Hidden are the sizes of the hidden layers, as in []int{500, 150}. nil is one layer of
	// 128 units, an empty slice is none.
	Hidden []int

	// Rule is the optimizer with its hyper-parameters, as network.NewRule(network.Adam).
	// Default: plain gradient descent.
	Rule network.Rule
	// LearningRate is by default that of [network.DefaultLearningRate].
	LearningRate float64
	// WeightDecay takes the place of Rule.WeightDecay where it is not 0.
	WeightDecay float64
	// Schedule is that of the learning rate. Cosine without Steps ends with the last iteration,
	// StepDown without Gamma has 0.1. Default: constant.
	Schedule network.Schedule

	// BatchSize is the number of rows of a batch. Default: all rows (full-batch descent).
	BatchSize int
	// Iterations are updates of the parameters, Epochs passes over the training set: one of
	// them may be given. Default: 100 iterations.
	Iterations, Epochs int

	// Preprocess is the scaling of the features, which is fitted on the training rows, saved
	// with the model and applied to all rows that come later. Default: dataset.Max, or the
	// scaling that the set has already (see [dataset.Given]).
	Preprocess dataset.Preprocess
	// Init is the distribution of the initial weights. Default: network.He.
	Init network.Init
	// Seed decides the initial weights, the order of the rows and which are held back. The
	// same seed, data and backend give the same bits. 0 is 1.
	Seed uint64

	// Validation is the share of the training rows to hold back, of each class alike, as 0.1.
	// Default: 0, with EarlyStopping 0.1. A set that has validation rows of its own needs none.
	Validation float64
	// EarlyStopping evaluates the validation rows after every Every iterations, ends when
	// their loss was not lower for Patience evaluations, and keeps the parameters of the lowest.
	EarlyStopping bool
	// Patience is a number of evaluations. Default: 10.
	Patience int

	// Callback is told how far the training is, after every Every iterations and after the last.
	// With [ErrStop] it ends the training early and well, with another error as one that failed.
	// In both cases what was learned stays.
	Callback func(Progress) error
	// Every is a number of iterations. Default: 10, with a BatchSize an epoch.
	Every int
}

// ErrStop is returned by [Options].Callback to end the training, which then is a success.
var ErrStop = errors.New("stop the training")

// Progress is what is known after an iteration.
type Progress struct {
	Iteration int     // number of updates so far
	Epoch     float64 // passes over the training set so far

	// Loss and Accuracy are those of the forward passes of training, before each update: of
	// this iteration, or means over the iterations of the last epoch where a batch is not all rows.
	Loss, Accuracy float64
	// ValidationLoss and ValidationAccuracy are those of the validation rows under the
	// parameters of now, NaN where there are no such rows.
	ValidationLoss, ValidationAccuracy float64

	Elapsed time.Duration // of the iterations so far
}

// String is a line as the command clgrad train prints it, which begins with the epoch where
// it ends one of several batches.
func (p Progress) String() string {
	at := fmt.Sprintf("iteration %d", p.Iteration)
	if p.Epoch < float64(p.Iteration) && p.Epoch == math.Trunc(p.Epoch) {
		at = fmt.Sprintf("epoch %.0f", p.Epoch)
	}
	text := at + fmt.Sprintf(", loss %.4f, accuracy %.2f %%", p.Loss, 100*p.Accuracy)
	if !math.IsNaN(p.ValidationLoss) {
		text += fmt.Sprintf(", validation loss %.4f, accuracy %.2f %%", p.ValidationLoss, 100*p.ValidationAccuracy)
	}
	return text
}

// wrong reports the value of an option.
func wrong(option, format string, args ...any) error {
	return fmt.Errorf("classifier: option %s: %w", option, fmt.Errorf(format, args...))
}

// complete returns the options with their defaults, or reports what is out of its range or
// contradicts itself.
func (o Options) complete() (Options, error) {
	if o.Hidden == nil {
		o.Hidden = []int{128}
	}
	o.Hidden = slices.Clone(o.Hidden)
	if o.Rule.Optimizer == "" {
		o.Rule.Optimizer = network.GD
	}
	if o.WeightDecay != 0 {
		o.Rule.WeightDecay = o.WeightDecay
	}
	lbfgs := o.Rule.Optimizer == network.LBFGS
	for _, n := range o.Hidden {
		if n < 1 {
			return o, wrong("Hidden", "a layer of %d units: 1 or more are expected", n)
		}
	}
	for _, n := range []struct {
		name  string
		value int
	}{{"BatchSize", o.BatchSize}, {"Iterations", o.Iterations}, {"Epochs", o.Epochs}, {"Patience", o.Patience}, {"Every", o.Every}} {
		if n.value < 0 || n.value > most {
			return o, wrong(n.name, "%d: a number from 1 to %d is expected, or 0 for the default", n.value, most)
		}
	}
	switch err := o.Rule.Check(); {
	case o.WeightDecay != 0 && err != nil && (network.Rule{Optimizer: network.GD, WeightDecay: o.WeightDecay}).Check() != nil:
		return o, wrong("WeightDecay", "%w", err)
	case err != nil:
		return o, wrong("Rule", "%w (network.NewRule has the defaults of each optimizer)", err)
	case !(o.LearningRate >= 0) || math.IsInf(o.LearningRate, 0):
		return o, wrong("LearningRate", "%g: a positive number is expected", o.LearningRate)
	case o.Iterations > 0 && o.Epochs > 0:
		return o, wrong("Epochs", "Iterations are given too: one of them is expected")
	case lbfgs && o.BatchSize > 0:
		return o, wrong("BatchSize", "the optimizer %s takes all rows: no batches are expected", network.LBFGS)
	case lbfgs && (o.Schedule.Shape != "" && o.Schedule.Shape != network.Constant || o.Schedule.Warmup > 0):
		return o, wrong("Schedule", "the optimizer %s finds its steps by line searches: none is expected", network.LBFGS)
	case !(o.Validation >= 0 && o.Validation < 1):
		return o, wrong("Validation", "%g: a share from 0 up to, but not, 1 is expected", o.Validation)
	case o.Patience > 0 && !o.EarlyStopping:
		return o, wrong("Patience", "it belongs to EarlyStopping, which is not asked for")
	}
	if o.Preprocess != "" {
		if _, err := dataset.ParsePreprocess(string(o.Preprocess)); err != nil {
			return o, wrong("Preprocess", "%w", err)
		}
	}
	if o.Init = cmp.Or(o.Init, network.He); o.Init != network.He && o.Init != network.Normal {
		return o, wrong("Init", "%q is unknown: %s or %s is expected", o.Init, network.Normal, network.He)
	}
	if o.Iterations == 0 && o.Epochs == 0 {
		o.Iterations = 100
	}
	if o.EarlyStopping {
		o.Patience = cmp.Or(o.Patience, 10)
	}
	o.LearningRate = cmp.Or(o.LearningRate, network.DefaultLearningRate(o.Rule.Optimizer))
	o.Seed = cmp.Or(o.Seed, 1)
	return o, nil
}

// most is the largest number of anything that is counted: a kernel has 32 bits for an iteration.
const most = 1_000_000_000

// settle turns what complete options say of epochs into iterations, for a training set of so many rows.
func (o Options) settle(rows int) (Options, error) {
	if o.BatchSize > rows {
		return o, wrong("BatchSize", "batches of %d rows where the training set has %d", o.BatchSize, rows)
	}
	if o.BatchSize == 0 {
		o.BatchSize = rows
	}
	batches := (rows + o.BatchSize - 1) / o.BatchSize
	if o.Epochs > most/batches {
		return o, wrong("Epochs", "%d of %d iterations each: %d iterations at most are possible", o.Epochs, batches, most)
	}
	if o.Epochs > 0 {
		o.Iterations = o.Epochs * batches
	}
	switch {
	case o.Every > 0:
	case batches > 1:
		o.Every = batches
	default:
		o.Every = 10
	}
	switch o.Schedule.Shape {
	case network.Cosine:
		o.Schedule.Steps = cmp.Or(o.Schedule.Steps, o.Iterations)
	case network.StepDown:
		o.Schedule.Gamma = cmp.Or(o.Schedule.Gamma, 0.1)
	}
	if err := o.Schedule.Check(o.Iterations); err != nil {
		return o, wrong("Schedule", "%w", err)
	}
	return o, nil
}
