package run

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strings"
	"time"

	"clgrad/cmd/clgrad/score"
	"clgrad/network"
)

// Line is one iteration of --json and of the metrics. Loss and training
// accuracy are means over the rows of the iterations of the last epoch, each of its forward
// pass; in the first epoch of those since the start. What is known of other samples is
// after the iteration's update.
type Line struct {
	Iteration          int             `json:"iteration"`
	Epoch              float64         `json:"epoch,omitempty"` // where batches are smaller than the data
	Loss               network.Number  `json:"loss"`
	TrainAccuracy      network.Number  `json:"train_accuracy"`
	ValidationLoss     *network.Number `json:"validation_loss,omitempty"`
	ValidationAccuracy *network.Number `json:"validation_accuracy,omitempty"`
	TestLoss           *network.Number `json:"test_loss,omitempty"`
	TestAccuracy       *network.Number `json:"test_accuracy,omitempty"`
	Seconds            float64         `json:"seconds"` // of descent so far
}

// A trace is what is known of a run's iterations.
type trace struct {
	loss, accuracy []float64 // of every iteration
	times          []time.Duration
	seconds        float64 // of descent
	lines          []Line
}

// add adds an iteration.
func (t *trace) add(i network.Iteration, accuracy float64) {
	t.times = append(t.times, i.Elapsed)
	t.seconds += i.Elapsed.Seconds()
	t.loss = append(t.loss, i.Loss)
	t.accuracy = append(t.accuracy, accuracy)
}

// evaluations bounds how often a run is scored on other samples on its way.
const evaluations = 100

// loop runs the iterations that are not done yet, reports them and keeps checkpoints.
// Between two lines it may score the validation and the test set, which takes about a
// third of what an iteration over as many rows does. What is reported of an iteration
// does not depend on where the run was interrupted.
func (r *run) loop() (err error) {
	others, err := r.openOthers()
	if err != nil {
		return err
	}
	for _, o := range others {
		defer func() { err = errors.Join(err, o.scorer.Close()) }()
	}
	bar, end := r.showProgress()
	defer end()
	observers := []observer{bar}
	if r.watched != nil {
		observers = append(observers, r.watched)
	}
	iterations, every := r.pace.total, r.pace.every
	count := (iterations-1)/every + 1
	scoreEvery := (count + evaluations - 1) / evaluations
	for r.trainer.Done() < iterations && !r.exhausted() && r.converged == "" {
		next := iterations
		for _, n := range []int{every, int(r.CheckpointEvery)} {
			if n > 0 {
				next = r.trainer.Done() + min(next-r.trainer.Done(), n-r.trainer.Done()%n)
			}
		}
		next = min(next, r.trainer.Done()+max(1, r.untilCheckpoint()), r.trainer.Done()+max(1, r.untilPrediction()))
		stopped := r.trainer.Descend(r.ctx, r.descent(next), func(i network.Iteration) error {
			accuracy := float64(i.Correct) / float64(i.Rows)
			r.trace.add(i, accuracy)
			r.batchRows = append(r.batchRows, i.Rows)
			r.dir.iteration(i, accuracy)
			for _, o := range observers {
				o.iteration(i, accuracy)
			}
			r.interim()
			return nil
		})
		if errors.Is(stopped, context.Canceled) {
			stopped = context.Cause(r.ctx) // which says why
		}
		if err := r.takeConverged(); err != nil {
			return errors.Join(stopped, err)
		}
		if r.converged != "" {
			next, stopped = r.trainer.Done(), nil
		}
		// What stopped the run at the end of the last of these iterations takes
		// nothing from them.
		if stopped != nil && !(r.trainer.Settled() && r.trainer.Done() == next) {
			return stopped
		}
		if len(r.lines) < r.pace.logged(next) {
			line := Line{
				Iteration: next, Loss: network.Number(r.pace.lastEpoch(r.loss, r.batchRows)),
				TrainAccuracy: network.Number(r.pace.lastEpoch(r.accuracy, r.batchRows)), Seconds: r.seconds,
			}
			if r.pace.mini() {
				line.Epoch = r.pace.epoch(next)
			}
			if err := r.scoreLine(&line, others, len(r.lines)%scoreEvery == 0 || next == r.pace.last()); err != nil {
				return errors.Join(stopped, err)
			}
			if err := r.keepBest(line); err != nil {
				return errors.Join(stopped, err)
			}
			r.lines = append(r.lines, line)
			for _, o := range observers {
				o.line(line)
			}
			if err := errors.Join(r.dir.line(line), r.showLine(line)); err != nil {
				return errors.Join(stopped, err)
			}
		}
		r.predictWatched()
		if r.CheckpointEvery > 0 && next%int(r.CheckpointEvery) == 0 || r.untilCheckpoint() == 0 {
			if err := r.checkpoint(); err != nil {
				return errors.Join(stopped, err)
			}
		}
		if stopped != nil {
			return stopped
		}
	}
	return nil
}

// untilCheckpoint returns about how many iterations are left until a checkpoint is due by the
// time, math.MaxInt32 where none ever is.
func (r *run) untilCheckpoint() int {
	if r.opts.Ranks == nil || r.dir == nil || r.CheckpointEvery > 0 {
		return math.MaxInt32
	}
	return r.iterationsWithin(r.opts.Ranks.CheckpointTime - time.Since(r.kept))
}

// iterationsWithin returns about how many iterations a time has room for, at least 1 where there is
// any time left.
func (r *run) iterationsWithin(left time.Duration) int {
	switch n := len(r.times); {
	case left <= 0:
		return 0
	case n == 0:
		return 1
	default:
		return max(1, int(min(left.Seconds()/max(r.times[n-1].Seconds(), 1e-9), math.MaxInt32)))
	}
}

// descent is that of the recipe, to an iteration.
func (r *run) descent(last int) network.Descent {
	return network.Descent{Iterations: last, Rule: r.Rule(), LearningRate: float64(r.LR), Schedule: r.Rates()}
}

// An otherSet is one that the network is scored on, on the way.
type otherSet struct {
	name    string
	samples network.Samples
	scorer  *network.Scorer
	to      func(*Line) (loss, accuracy **network.Number)
	warned  bool // that it has no finite result
}

const validationSet = "validation set"

// openOthers loads the validation and the test set where they are.
func (r *run) openOthers() (all []*otherSet, err error) {
	for _, o := range []*otherSet{
		{name: validationSet, samples: r.set.Validation, to: func(l *Line) (_, _ **network.Number) { return &l.ValidationLoss, &l.ValidationAccuracy }},
		{name: "test set", samples: r.set.Test, to: func(l *Line) (_, _ **network.Number) { return &l.TestLoss, &l.TestAccuracy }},
	} {
		if o.samples.Rows == 0 {
			continue
		}
		if o.scorer, err = r.trainer.Scorer(o.samples); err != nil {
			for _, o := range all {
				err = errors.Join(err, o.scorer.Close())
			}
			return nil, err
		}
		all = append(all, o)
	}
	return all, nil
}

// always reports whether every line has what is known of a set.
func (r *run) always(o *otherSet) bool { return r.EarlyStopping && o.name == validationSet }

// scoreLine adds what is known of other samples: of all sets, or of those that every
// line has. A set without a finite result is left out, and said once.
func (r *run) scoreLine(l *Line, others []*otherSet, all bool) error {
	for _, o := range others {
		if !all && !r.always(o) {
			continue
		}
		loss, accuracy, err := o.scorer.Score()
		if err != nil {
			return err
		}
		if score.Finite(loss) {
			toLoss, toAccuracy := o.to(l)
			*toLoss, *toAccuracy = number(loss), number(accuracy)
			continue
		}
		if o.warned {
			continue
		}
		o.warned = true
		err = r.checkLoss(o.name, o.samples, loss)
		if _, ok := err.(*network.NonFiniteResultError); !ok {
			return err
		}
		r.opts.Note("iteration %d: loss and accuracy are left out: %v", l.Iteration, err)
	}
	return nil
}

// showLine writes one iteration.
func (r *run) showLine(l Line) error {
	if r.opts.JSON {
		return json.NewEncoder(r.opts.Out).Encode(l)
	}
	at := r.pace.at(l.Iteration)
	words := fmt.Sprintf("%s, Loss: %.4f, Accuracy: %.2f %%", strings.ToUpper(at[:1])+at[1:], float64(l.Loss), 100*float64(l.TrainAccuracy))
	if l.ValidationLoss != nil {
		loss, accuracy := float64(*l.ValidationLoss), 100*float64(*l.ValidationAccuracy)
		long := fmt.Sprintf("%s, Validation loss: %.4f, Accuracy: %.2f %%", words, loss, accuracy)
		if columns := r.opts.columns(); columns > 0 && len(long) > columns { // on two lines
			long = fmt.Sprintf("%s\n%*sValidation loss: %.4f, Accuracy: %.2f %%", words, len(at)+len(", "), "", loss, accuracy)
		}
		words = long
	}
	_, err := fmt.Fprintln(r.opts.Out, words)
	return err
}
