package run

import (
	"fmt"

	"clgrad/cmd/clgrad/recipe"
	"clgrad/network"
	"clgrad/network/checkpoint"
)

// Early stopping evaluates the validation set every pace.every iterations. A last line
// beside these is no evaluation, so that a run that is given more iterations has the
// evaluations of one that had them from the start.

// bestShown is what the summary says of the best parameters.
type bestShown struct {
	Iteration      int            `json:"iteration"`
	Epoch          float64        `json:"epoch,omitempty"` // where batches are smaller than the data
	ValidationLoss network.Number `json:"validation_loss"`
}

// stopping returns when early stopping ends a run, with an evaluation every so many iterations.
func stopping(r recipe.Recipe, every int) network.EarlyStopping {
	return network.EarlyStopping{Every: every, Patience: int(r.Patience)}
}

// exhausted reports whether early stopping ends the run here.
func (r *run) exhausted() bool {
	best := 0
	if r.best != nil {
		best = r.best.Iteration
	}
	return r.EarlyStopping && stopping(r.Recipe, r.pace.every).Ended(r.trainer.Done(), best)
}

// keepBest keeps the parameters if the line is an evaluation with the lowest loss so far.
func (r *run) keepBest(l Line) error {
	if !r.EarlyStopping || l.Iteration%r.pace.every != 0 || l.ValidationLoss == nil {
		return nil
	}
	loss := float64(*l.ValidationLoss)
	if r.best != nil && loss >= r.best.Loss {
		return nil
	}
	theta, err := r.trainer.Parameters()
	if err != nil {
		return err
	}
	r.best = &checkpoint.Best{Parameters: theta, Iteration: l.Iteration, Loss: loss}
	return nil
}

// recallLoss finds the loss of the best parameters among the lines: a finished model does
// not have it.
func (r *run) recallLoss() {
	for _, l := range r.lines {
		if l.Iteration == r.best.Iteration && l.ValidationLoss != nil {
			r.best.Loss = float64(*l.ValidationLoss)
		}
	}
}

// summarizeStopping adds what came of early stopping to the summary.
func (r *run) summarizeStopping() {
	if !r.EarlyStopping {
		return
	}
	s := &r.summary
	s.StoppedEarly = r.done < r.pace.total && r.converged == ""
	end := "it was not needed"
	if s.StoppedEarly {
		end = fmt.Sprintf("at %s, %d evaluations after the best", r.pace.at(r.done), r.Patience)
	}
	if r.best == nil {
		what := "no evaluation had a finite loss"
		if r.done < r.pace.every {
			what = fmt.Sprintf("no evaluation took place, there is one after every %d iterations", r.pace.every)
		}
		s.stopping = fmt.Sprintf("%s; %s; these are the last parameters", end, what)
		return
	}
	s.Best = &bestShown{Iteration: r.best.Iteration, ValidationLoss: network.Number(r.best.Loss)}
	if r.pace.mini() {
		s.Best.Epoch = r.pace.epoch(r.best.Iteration)
	}
	s.stopping = fmt.Sprintf("%s; these are the parameters of %s, with the lowest validation loss, %.4f", end, r.pace.at(r.best.Iteration), r.best.Loss)
}
