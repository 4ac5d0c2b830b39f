package classifier

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"clgrad/network"
	"clgrad/network/checkpoint"
	"clgrad/network/dataset"
)

// Fit trains the network anew on the training rows of a set, which keeps its values. It
// holds rows back for validation, fits the scaling on the others, and descends as the options say.
//
// Where ctx is done before the end it returns the error of ctx, after the iterations that are
// under way; what was learned until then stays, as with [ErrStop]. Of L-BFGS there are fewer
// iterations where no lower loss can be found. With another error the classifier is what it was before,
// or has the parameters that were best until then with EarlyStopping. Errors about an
// option begin with its name.
func (c *Classifier) Fit(ctx context.Context, set dataset.Set) (err error) {
	if err := c.ready("fit"); err != nil {
		return err
	}
	t, err := c.start(set)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, t.close()) }()
	stopped := t.run(ctx)
	if errors.Is(stopped, ErrStop) {
		stopped = nil
	}
	learned, err := t.learned()
	if err != nil {
		return errors.Join(stopped, err)
	}
	if learned != nil {
		if err := c.unload(); err != nil {
			return errors.Join(stopped, err)
		}
		c.learned, c.losses = learned, t.losses
		c.loaded = map[kind]loaded{kindOf(t.set.Train): {plan: t.plan.Shards[0]}}
	}
	return stopped
}

// A training is one call of Fit.
type training struct {
	Options  // complete
	set      dataset.Set
	layout   network.Layout
	plan     network.Plan
	roundoff float64         // of the backend
	words    json.RawMessage // Options.setup
	trainer  *network.Trainer
	scorer   *network.Scorer // of the validation rows, nil where they are not looked at

	losses, accuracies []float64 // of each iteration
	rows               []int     // of its batch
	elapsed            time.Duration
	reported           int // iterations
	best               *checkpoint.Best
	converged          network.LBFGSStop
}

// start prepares the set and brings it to the backend.
func (c *Classifier) start(set dataset.Set) (t *training, err error) {
	t = &training{roundoff: c.backend.Info().Roundoff}
	if t.Options, err = c.options.complete(); err != nil {
		return nil, err
	}
	if err := t.prepare(set); err != nil {
		return nil, err
	}
	sizes := slices.Concat([]int{t.set.Train.Features}, t.Hidden, []int{t.set.Classes})
	if t.layout, err = network.NewLayout(sizes); err == nil {
		err = t.layout.CheckMemory()
	}
	if err != nil {
		return nil, wrong("Hidden", "%w", err)
	}
	if t.plan, err = network.NewTrainingPlan(sizes, t.set.Train, t.BatchSize, t.Seed, c.backend); err != nil {
		return nil, fmt.Errorf("classifier: fit: %w", err)
	}
	theta, err := t.layout.Initial(t.Init, t.Seed)
	if err != nil {
		return nil, wrong("Init", "%w", err)
	}
	if t.trainer, err = network.NewTrainer(t.layout, t.set.Train, t.plan, []network.Backend{c.backend}, nil); err != nil {
		return nil, fmt.Errorf("classifier: fit: %w", err)
	}
	err = t.trainer.SetParameters(theta, 0)
	if err == nil && t.set.Validation.Rows > 0 && (t.EarlyStopping || t.Callback != nil) {
		t.scorer, err = t.trainer.Scorer(t.set.Validation)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("classifier: fit: %w", err), t.close())
	}
	return t, nil
}

// prepare divides and scales the set.
func (t *training) prepare(set dataset.Set) (err error) {
	name := "the training set"
	if set.Name != "" {
		name += " of " + set.Name
	}
	switch {
	case set.Train.Rows == 0:
		return fmt.Errorf("classifier: %s: %w", name, network.ErrNoSamples)
	case set.Train.Labels == nil:
		return fmt.Errorf("classifier: %s: %w", name, network.ErrNoLabels)
	case set.Classes < 2:
		return fmt.Errorf("classifier: %s: it has %d classes: two at least are expected", name, set.Classes)
	}
	if set.Gaps { // which are filled in place
		for _, part := range []*network.Samples{&set.Train, &set.Validation, &set.Test} {
			part.Floats = slices.Clone(part.Floats)
		}
	}
	if t.EarlyStopping && t.Validation == 0 && set.Validation.Rows == 0 {
		t.Validation = 0.1
	}
	if t.Validation > 0 {
		if set, err = set.Split(t.Validation, t.Seed); err != nil {
			return wrong("Validation", "%w", err)
		}
	}
	if set, err = set.FillGaps(); err != nil {
		return fmt.Errorf("classifier: %w", err)
	}
	if t.Preprocess == "" && len(set.Train.Scaling.Shift) > 0 {
		set = set.Scale(set.Train.Scaling)
	} else {
		if t.Preprocess == "" {
			t.Preprocess = dataset.Max
		}
		if set, err = set.Preprocess(t.Preprocess); err != nil {
			return fmt.Errorf("classifier: %w", err)
		}
	}
	t.set = set
	if t.words, err = t.setup(); err != nil {
		return err
	}
	t.Options, err = t.settle(set.Train.Rows)
	return err
}

// run descends, to the end or to what stops it.
func (t *training) run(ctx context.Context) error {
	for t.trainer.Done() < t.Iterations && !t.ended() {
		next := min(t.Iterations, t.trainer.Done()+t.Every-t.trainer.Done()%t.Every)
		err := t.trainer.Descend(ctx, network.Descent{Iterations: next, Rule: t.Rule, LearningRate: t.LearningRate, Schedule: t.Schedule}, t.record)
		converged := errors.Is(err, network.ErrConverged)
		if converged {
			if err = t.converge(); err != nil {
				return err
			}
		}
		if err != nil {
			return fmt.Errorf("classifier: fit: %w", err)
		}
		if t.trainer.Done() > t.reported {
			if err := t.report(); err != nil {
				return err
			}
		}
		if converged {
			return nil
		}
	}
	return nil
}

// ended reports whether early stopping ends the training.
func (t *training) ended() bool {
	if !t.EarlyStopping {
		return false
	}
	best := 0
	if t.best != nil {
		best = t.best.Iteration
	}
	return network.EarlyStopping{Every: t.Every, Patience: t.Patience}.Ended(t.trainer.Done(), best)
}

// record keeps what is known of an iteration.
func (t *training) record(i network.Iteration) error {
	t.losses = append(t.losses, i.Loss)
	t.accuracies = append(t.accuracies, float64(i.Correct)/float64(i.Rows))
	t.rows = append(t.rows, i.Rows)
	t.elapsed += i.Elapsed
	return nil
}

// converge finds out why L-BFGS ended.
func (t *training) converge() error {
	s, err := t.trainer.State()
	if err != nil {
		return err
	}
	t.converged = s.LBFGS.Stop
	return nil
}

// report evaluates the validation rows, keeps the parameters where these are the best, and tells
// the callback.
func (t *training) report() error {
	t.reported = t.trainer.Done()
	p := Progress{
		Iteration: t.reported, Epoch: float64(t.reported) / float64(t.plan.Batches()),
		Loss:           network.LastEpochMean(t.losses, t.rows, t.plan.Batches()),
		Accuracy:       network.LastEpochMean(t.accuracies, t.rows, t.plan.Batches()),
		ValidationLoss: math.NaN(), ValidationAccuracy: math.NaN(), Elapsed: t.elapsed,
	}
	if t.scorer != nil {
		var err error
		if p.ValidationLoss, p.ValidationAccuracy, err = t.scorer.Score(); err != nil {
			return fmt.Errorf("classifier: fit: %w", err)
		}
	}
	// A last iteration beside the multiples is no evaluation, as in clgrad train.
	if t.EarlyStopping && t.reported%t.Every == 0 && (t.best == nil || p.ValidationLoss < t.best.Loss) && !math.IsNaN(p.ValidationLoss) && !math.IsInf(p.ValidationLoss, 0) {
		theta, err := t.trainer.Parameters()
		if err != nil {
			return fmt.Errorf("classifier: fit: %w", err)
		}
		t.best = &checkpoint.Best{Parameters: theta, Iteration: t.reported, Loss: p.ValidationLoss}
	}
	if t.Callback == nil {
		return nil
	}
	return t.Callback(p)
}

// learned returns the model, nil where nothing was learned.
func (t *training) learned() (*checkpoint.Model, error) {
	plan := t.plan // a copy: the training with its set is not needed any more
	plan.Permutation = nil
	m := &checkpoint.Model{
		Sizes: t.layout.Sizes, Precision: checkpoint.F32,
		Scaling: t.set.Train.Scaling, Preprocess: string(t.Preprocess), Shape: t.set.Shape, Classes: t.set.ClassNames, Columns: t.set.Columns,
		Run: &checkpoint.Run{
			Setup: t.words, Iterations: t.trainer.Done(), Converged: t.converged,
			Data: t.set.Name, Directory: !t.set.Named, Digest: t.set.Digest, Plan: &plan,
		},
	}
	if t.roundoff < 0x1p-24 {
		m.Precision = checkpoint.F64
	}
	switch {
	case t.best != nil:
		m.Parameters, m.Run.Iterations, m.Run.Stopped = t.best.Parameters, t.best.Iteration, t.trainer.Done()
	case !t.trainer.Settled() || t.trainer.Done() == 0 && t.converged == "":
		return nil, nil
	default:
		theta, err := t.trainer.Parameters()
		if err != nil {
			return nil, fmt.Errorf("classifier: fit: %w", err)
		}
		m.Parameters = theta
	}
	m.Profile = t.set.Profile()
	return m, nil
}

// close frees what the training holds on the backend.
func (t *training) close() (err error) {
	if t.scorer != nil {
		err = t.scorer.Close()
	}
	if t.trainer != nil {
		err = errors.Join(err, t.trainer.Close())
	}
	return err
}
