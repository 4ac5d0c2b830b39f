package recipe

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"clgrad/network"
	"clgrad/network/dataset"
)

// A Training says how the parameters are updated. What a file or a command line leaves
// out is 0 or nil, until [Recipe.Complete] sets it.
type Training struct {
	From      Path      `json:"from,omitempty" placeholder:"MODEL" help:"Start from the parameters of this model instead of --init: a safetensors file with layers of the same sizes, or the directory of a run. Features are scaled by --preprocess, as in any run."`
	BatchSize Count     `json:"batch_size,omitempty" placeholder:"ROWS" help:"Rows in a batch. Each iteration uses one batch, and each epoch all of them in an order drawn from --seed. Default: all rows."`
	Optimizer Optimizer `json:"optimizer" default:"gd" help:"Optimizer: ${optimizers}. Formulas and defaults are those of PyTorch. lbfgs uses all rows, chooses its steps by line searches, and ends the run when it finds no lower loss."`

	Momentum    *Fraction `json:"momentum,omitempty" placeholder:"MU" of:"optimizer" help:"Momentum, for the optimizers momentum and nesterov. Default: 0.9."`
	Beta1       *Fraction `json:"beta1,omitempty" name:"beta1" placeholder:"BETA" of:"optimizer" help:"Decay rate of the mean of the gradients, for adam and adamw. Default: 0.9."`
	Beta2       *Fraction `json:"beta2,omitempty" name:"beta2" placeholder:"BETA" of:"optimizer" help:"Decay rate of the mean of the squared gradients, for adam and adamw. Default: 0.999."`
	Epsilon     *Decimal  `json:"epsilon,omitempty" placeholder:"EPSILON" of:"optimizer" help:"Term that adam and adamw add to the root of that mean. Default: 1e-8."`
	WeightDecay *Decimal  `json:"weight_decay,omitempty" placeholder:"LAMBDA" of:"optimizer" help:"Weight decay: L2 regularisation, decoupled from the gradient with adamw. Default: 0, 0.01 with adamw."`

	HistorySize Count `json:"history_size,omitempty" placeholder:"N" of:"optimizer" help:"Pairs of steps and changes of the gradient that lbfgs keeps. Default: 10."`

	Schedule      network.Shape `json:"schedule" default:"constant" enum:"constant, step, cosine" help:"Learning rate schedule: ${enum}. step multiplies the rate by --gamma every --step-size iterations. cosine lowers it to 0 at iteration --schedule-steps."`
	ScheduleSteps Count         `json:"schedule_steps,omitempty" placeholder:"N" of:"schedule,iterations,epochs,batch-size,data,samples,validation,divide,shifts" help:"Iteration at which the cosine schedule ends. Default: the last."`
	StepSize      Count         `json:"step_size,omitempty" placeholder:"N" of:"schedule" help:"Number of iterations between the steps of the step schedule."`
	Gamma         Share         `json:"gamma,omitempty" placeholder:"GAMMA" of:"schedule" help:"Factor of each step of the step schedule. Default: 0.1."`
	Warmup        CountOrNone   `json:"warmup,omitempty" default:"0" placeholder:"N" help:"Increase the learning rate linearly over the first N iterations."`

	EarlyStopping bool  `json:"early_stopping,omitempty" help:"Evaluate the validation set every --log-every iterations, stop after --patience evaluations without a lower loss, and keep the parameters with the lowest validation loss."`
	Patience      Count `json:"patience,omitempty" placeholder:"N" of:"early-stopping" help:"Number of evaluations without a lower loss after which --early-stopping stops. Default: 10."`
}

// DefaultRate returns the learning rate of an optimizer where none is given.
func DefaultRate(o network.Optimizer) Rate { return Rate(network.DefaultLearningRate(o)) }

// DefaultRates says those of all optimizers.
func DefaultRates() string {
	var all []string
	for _, o := range network.Optimizers() {
		all = append(all, fmt.Sprintf("%g for %s", DefaultRate(o), o))
	}
	return strings.Join(all, ", ")
}

// Optimizers lists the names of all optimizers.
func Optimizers() string {
	var all []string
	for _, o := range network.Optimizers() {
		all = append(all, string(o))
	}
	return strings.Join(all, ", ")
}

// A KeyError is what is wrong with the value of a key, or of the flag of that name.
type KeyError struct {
	Key     string // with _ for the flag's -
	Problem string
	missing bool // another key may solve it
}

func (e *KeyError) Error() string {
	return "--" + strings.ReplaceAll(e.Key, "_", "-") + ": " + e.Problem
}

func wrong(key, format string, args ...any) error {
	return &KeyError{Key: key, Problem: fmt.Sprintf(format, args...)}
}

// Complete sets what has no fixed default: the iterations, and what depends on the
// optimizer and the schedule. An error is a [KeyError] about what contradicts itself.
func (r *Recipe) Complete() error {
	switch {
	case r.Iterations > 0 && r.Epochs > 0:
		return wrong("epochs", "iterations are given too: one of them is expected")
	case r.Iterations == 0 && r.Epochs == 0:
		r.Iterations = 100
	}
	if r.LogEvery == 0 && r.BatchSize == 0 {
		r.LogEvery = 10
	}
	if r.LR == 0 {
		r.LR = DefaultRate(network.Optimizer(r.Optimizer))
	}
	switch {
	case r.Patience > 0 && !r.EarlyStopping:
		return wrong("patience", "it belongs to early stopping, which is not asked for")
	case r.EarlyStopping && r.Patience == 0:
		r.Patience = 10
	}
	if err := r.completeRule(); err != nil {
		return err
	}
	if err := r.checkLBFGS(); err != nil {
		return err
	}
	if err := r.completeSchedule(); err != nil {
		return err
	}
	switch {
	case r.Schedule == network.StepDown && r.StepSize == 0:
		return &KeyError{"step_size", "is missing: the schedule step needs it", true}
	case r.EarlyStopping && r.Validation == 0 && slices.Contains(dataset.Names(), string(r.Data)): // files may have one
		return &KeyError{"early_stopping", "a validation set is expected: give validation too", true}
	}
	return nil
}

// check is Complete for a file. What is missing there may come from flags.
func (r *Recipe) check() error {
	err := r.Complete()
	if k := (*KeyError)(nil); errors.As(err, &k) && k.missing {
		return nil
	}
	return err
}

// completeRule sets the hyper-parameters that the optimizer has.
func (t *Training) completeRule() error {
	o := network.Optimizer(t.Optimizer)
	momentum, adam := []network.Optimizer{network.Momentum, network.Nesterov}, []network.Optimizer{network.Adam, network.AdamW}
	lbfgs := []network.Optimizer{network.LBFGS}
	rule := network.NewRule(o)
	for _, p := range []struct {
		key     string
		of      []network.Optimizer
		given   bool
		initial func()
	}{
		{"momentum", momentum, t.Momentum != nil, func() { t.Momentum = pointer(Fraction(rule.Momentum)) }},
		{"beta1", adam, t.Beta1 != nil, func() { t.Beta1 = pointer(Fraction(rule.Beta1)) }},
		{"beta2", adam, t.Beta2 != nil, func() { t.Beta2 = pointer(Fraction(rule.Beta2)) }},
		{"epsilon", adam, t.Epsilon != nil, func() { t.Epsilon = pointer(Decimal(rule.Epsilon)) }},
		{"weight_decay", network.Optimizers(), t.WeightDecay != nil, func() { t.WeightDecay = pointer(Decimal(rule.WeightDecay)) }},
		{"history_size", lbfgs, t.HistorySize > 0, func() { t.HistorySize = Count(rule.HistorySize) }},
	} {
		switch has := slices.Contains(p.of, o); {
		case p.given && !has:
			return wrong(p.key, "the optimizer %s has none: it belongs to %s", o, strings.ReplaceAll(strings.Trim(fmt.Sprint(p.of), "[]"), " ", " and "))
		case has && !p.given && (p.key != "weight_decay" || rule.WeightDecay > 0):
			p.initial()
		}
	}
	// Flags have their ranges but for this one.
	if err := t.Rule().Check(); err != nil {
		return wrong("epsilon", "%v", err)
	}
	return nil
}

// checkLBFGS reports what lbfgs does not do.
func (t *Training) checkLBFGS() error {
	switch {
	case network.Optimizer(t.Optimizer) != network.LBFGS:
	case t.BatchSize > 0:
		return wrong("batch_size", "the optimizer %s takes all rows: no batches are expected", network.LBFGS)
	case t.Schedule != "" && t.Schedule != network.Constant:
		return wrong("schedule", "the optimizer %s finds its steps by line searches: %s is expected", network.LBFGS, network.Constant)
	case t.Warmup > 0:
		return wrong("warmup", "the optimizer %s finds its steps by line searches: no warm-up is expected", network.LBFGS)
	}
	return nil
}

func pointer[T any](v T) *T { return &v }

// completeSchedule checks what does not depend on the number of iterations.
func (t *Training) completeSchedule() error {
	for _, p := range []struct {
		key   string
		of    network.Shape
		given bool
	}{
		{"schedule_steps", network.Cosine, t.ScheduleSteps > 0},
		{"step_size", network.StepDown, t.StepSize > 0},
		{"gamma", network.StepDown, t.Gamma > 0},
	} {
		if p.given && t.Schedule != p.of {
			return wrong(p.key, "the schedule %s has none: it belongs to %s", t.Schedule, p.of)
		}
	}
	if t.Schedule == network.StepDown && t.Gamma == 0 {
		t.Gamma = 0.1
	}
	return nil
}

// Rule returns the optimizer with its hyper-parameters, of a complete recipe.
func (t Training) Rule() network.Rule {
	return network.Rule{
		Optimizer: network.Optimizer(t.Optimizer), Momentum: value(t.Momentum), Beta1: value(t.Beta1), Beta2: value(t.Beta2),
		Epsilon: value(t.Epsilon), WeightDecay: value(t.WeightDecay), HistorySize: int(t.HistorySize),
	}
}

func value[T ~float64](p *T) float64 {
	if p == nil {
		return 0
	}
	return float64(*p)
}

// Rates returns the schedule of the learning rate.
func (t Training) Rates() network.Schedule {
	return network.Schedule{
		Shape: t.Schedule, Steps: int(t.ScheduleSteps), StepSize: int(t.StepSize), Gamma: float64(t.Gamma), Warmup: int(t.Warmup),
	}
}

// Batch returns the rows of a batch of a training set.
func (t Training) Batch(rows int) int {
	if t.BatchSize == 0 {
		return rows
	}
	return int(t.BatchSize)
}

// Settle turns what a complete recipe says of epochs into iterations, of which an epoch
// has batches, and sets the end of a cosine schedule that is not given. It returns the
// number of iterations, and after how many of them each line is reported.
func (r *Recipe) Settle(batches int) (iterations, every int, err error) {
	iterations = int(r.Iterations)
	if r.Epochs > 0 {
		if int(r.Epochs) > Most/batches {
			return 0, 0, wrong("epochs", "%d of %d iterations each: %d iterations at most are possible", r.Epochs, batches, Most)
		}
		iterations = int(r.Epochs) * batches
	}
	if r.Schedule == network.Cosine && r.ScheduleSteps == 0 {
		r.ScheduleSteps = Count(iterations)
	}
	if err := r.Rates().Check(iterations); err != nil {
		return 0, 0, wrong("schedule", "%v", err)
	}
	every = int(r.LogEvery)
	if every == 0 {
		if every = batches; batches == 1 {
			every = 10
		}
	}
	return iterations, every, nil
}
