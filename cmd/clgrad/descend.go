package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/schollz/progressbar/v3"

	"clgrad/network"
)

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

// A trace is what is known of a run's iterations.
type trace struct {
	loss, accuracy []float64 // of every iteration
	times          []time.Duration
	seconds        float64 // of descent
	lines          []iterationLine
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

// descend runs the iterations that are not done yet, reports them and keeps
// checkpoints. Between two lines it may score the validation and the test set,
// which takes about a third of what an iteration over as many rows does. What is
// reported of an iteration does not depend on where the run was interrupted.
func (c trainCommand) descend(a *app, t *network.Trainer, b network.Backend, r *trained, dir *runDir) (err error) {
	var bar *progressbar.ProgressBar
	if a.terminal {
		bar = progressbar.NewOptions(int(c.Iterations), progressbar.OptionSetWriter(a.err),
			progressbar.OptionSetDescription("training"), progressbar.OptionShowCount(), progressbar.OptionShowIts(),
			progressbar.OptionSetItsString("it"), progressbar.OptionClearOnFinish(), progressbar.OptionThrottle(100*time.Millisecond))
		bar.Add(t.Done())
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
	lines := (iterations-1)/every + 1
	scoreEvery := (lines + evaluations - 1) / evaluations
	for t.Done() < iterations {
		next := iterations
		for _, n := range []int{every, int(c.CheckpointEvery)} {
			if n > 0 {
				next = t.Done() + min(next-t.Done(), n-t.Done()%n)
			}
		}
		stopped := t.Descend(a, network.Descent{Iterations: next, LearningRate: float64(c.LR)}, func(i network.Iteration) error {
			accuracy := float64(i.Correct) / float64(r.set.Train.Rows)
			r.trace.add(i, accuracy)
			dir.iteration(i, accuracy)
			if bar != nil {
				bar.Add(1)
			}
			return nil
		})
		if errors.Is(stopped, context.Canceled) {
			stopped = context.Cause(a) // which says why
		}
		// What stopped the run at the end of the last of these iterations takes
		// nothing from them.
		if stopped != nil && !(t.Settled() && t.Done() == next) {
			return stopped
		}
		if next%every == 0 || next == iterations {
			last := len(r.trace.loss) - 1
			line := iterationLine{
				Iteration: next, Loss: network.Number(r.trace.loss[last]), TrainAccuracy: network.Number(r.trace.accuracy[last]),
				Seconds: r.trace.seconds,
			}
			if len(r.trace.lines)%scoreEvery == 0 || next == iterations {
				if err := c.scoreLine(a, &line, t, b, r, validation, test); err != nil {
					return errors.Join(stopped, err)
				}
			}
			r.trace.lines = append(r.trace.lines, line)
			if bar != nil {
				bar.Clear()
			}
			if err := errors.Join(dir.line(line), c.showLine(a, line)); err != nil {
				return errors.Join(stopped, err)
			}
		}
		if c.CheckpointEvery > 0 && next%int(c.CheckpointEvery) == 0 {
			if err := c.checkpoint(t, r, dir); err != nil {
				return errors.Join(stopped, err)
			}
		}
		if stopped != nil {
			return stopped
		}
	}
	return nil
}

// scoreLine adds what is known of other samples. A set without a finite result is left
// out, and said once.
func (c trainCommand) scoreLine(a *app, l *iterationLine, t *network.Trainer, b network.Backend, r *trained, validation, test *network.Scorer) error {
	for _, part := range []struct {
		name           string
		scorer         *network.Scorer
		samples        network.Samples
		loss, accuracy **network.Number
	}{
		{"validation set", validation, r.set.Validation, &l.ValidationLoss, &l.ValidationAccuracy},
		{"test set", test, r.set.Test, &l.TestLoss, &l.TestAccuracy},
	} {
		if part.scorer == nil {
			continue
		}
		loss, accuracy, err := part.scorer.Score()
		if err != nil {
			return err
		}
		if finite(loss) {
			*part.loss, *part.accuracy = number(loss), number(accuracy)
			continue
		}
		if r.warned[part.name] {
			continue
		}
		r.warned[part.name] = true
		theta, err := t.Parameters()
		if err != nil {
			return err
		}
		err = c.checkScore(b, r, theta, part.name, part.samples, loss)
		if _, ok := err.(*notFiniteError); !ok {
			return err
		}
		a.note("iteration %d: loss and accuracy are left out: %v", l.Iteration, err)
	}
	return nil
}

// showLine writes one iteration.
func (c trainCommand) showLine(a *app, line iterationLine) error {
	if c.JSON {
		return json.NewEncoder(a.out).Encode(line)
	}
	_, err := fmt.Fprintf(a.out, "Iteration %d, Loss: %.4f, Accuracy: %.2f %%\n", line.Iteration, float64(line.Loss), 100*float64(line.TrainAccuracy))
	return err
}
