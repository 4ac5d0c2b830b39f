package network

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"gonum.org/v1/gonum/floats"
)

// ErrConverged reports a descent by L-BFGS that ended before its last iteration, because
// there is no lower loss to be found: its text says how that showed, in the words of
// [LBFGSStop]. That is a success. The parameters are those after iteration Done().
var ErrConverged = errors.New("converged")

// checkLBFGS reports what L-BFGS cannot do.
func (t *Trainer) checkLBFGS(d Descent) error {
	switch {
	case t.plan.Batches() > 1:
		return fmt.Errorf("optimizer %s with batches of %d of %d rows: it needs all rows in one batch", LBFGS, t.plan.BatchRows, t.plan.Rows)
	case d.Schedule.Shape != "" && d.Schedule.Shape != Constant || d.Schedule.Warmup > 0:
		return fmt.Errorf("optimizer %s with a schedule of the learning rate: its line search finds the step, a constant rate is expected", LBFGS)
	case len(t.shards) < len(t.plan.Shards):
		return fmt.Errorf("optimizer %s with shards in several processes: one process is expected", LBFGS)
	}
	return nil
}

// descendLBFGS is Descend of L-BFGS.
func (t *Trainer) descendLBFGS(ctx context.Context, d Descent, report func(Iteration) error) error {
	begin := time.Now()
	o := LBFGSOptions{HistorySize: d.Rule.HistorySize, LearningRate: d.LearningRate}
	var seen []Record // of the evaluations of an iteration
	f := t.objective(ctx, d.Rule.WeightDecay, &seen)
	for t.done < d.Iterations {
		s := t.state.lbfgs
		if s != nil && s.Stop != "" {
			return fmt.Errorf("after iteration %d: %w: %s", t.done, ErrConverged, s.Stop)
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		seen = nil
		if t.state.point == nil {
			switch err := t.startLBFGS(o, f); {
			case errors.Is(err, ErrNonFiniteStart):
				return &NonFiniteError{Iteration: t.done + 1, LearningRate: d.LearningRate}
			case err != nil:
				return err
			}
			t.state.point = &seen[0]
			continue
		}
		done, err := o.Step(s, f)
		if t.invalid != nil {
			return err
		}
		// The last trial need not be the new point, and an interrupt leaves any trial.
		if err := t.setTrial(s.Theta); err != nil {
			return err
		}
		if err != nil {
			return err
		}
		if done.Accepted == 0 {
			continue // s.Stop says why
		}
		before := t.state.point
		t.state.point = &seen[done.Accepted-1]
		t.done++
		now := time.Now()
		took := now.Sub(begin)
		begin = now
		if err := report(Iteration{t.done, before.Loss, before.Correct, t.plan.Rows, took}); err != nil {
			return err
		}
	}
	return nil
}

// startLBFGS evaluates the present parameters: for a new state, or for a state that was
// set, which does not hold all that an iteration reports.
func (t *Trainer) startLBFGS(o LBFGSOptions, f Objective) error {
	theta, err := t.Parameters()
	if err != nil {
		return err
	}
	here, err := o.Start(theta, f)
	if err != nil {
		return err
	}
	s := t.state.lbfgs
	if s == nil {
		t.state.lbfgs = here
		return nil
	}
	if s.Loss != here.Loss || !slices.Equal(s.Gradient, here.Gradient) {
		return fmt.Errorf("state of %s has loss %v where it is %v here, or another gradient: the same data, device and weight decay are expected",
			LBFGS, s.Loss, here.Loss)
	}
	return o.Check(s, t.layout.Len)
}

// objective returns the loss of the data plus λ/2·‖θ‖², λ being the weight decay, and adds to
// seen what each evaluation found in the data: the mean loss and the correct rows.
func (t *Trainer) objective(ctx context.Context, decay float64, seen *[]Record) Objective {
	f := Objective{Roundoff: t.roundoff}
	if t.roundoff > 0x1p-53 {
		f.Round = func(theta []float64) {
			for i, v := range theta {
				theta[i] = float64(float32(v))
			}
		}
	}
	f.Evaluate = func(theta, gradient []float64) (float64, error) {
		if err := ctx.Err(); err != nil {
			return 0, err
		}
		if err := t.setTrial(theta); err != nil {
			return 0, err
		}
		loss, correct, err := t.Evaluate(gradient)
		if err != nil {
			t.invalid = ErrUnsettled
			return 0, fmt.Errorf("iteration %d: %w", t.done+1, err)
		}
		*seen = append(*seen, Record{loss, correct})
		if decay > 0 {
			loss += decay / 2 * floats.Dot(theta, theta)
			floats.AddScaled(gradient, decay, theta)
		}
		return loss, nil
	}
	return f
}

// setTrial sets θ on every shard.
func (t *Trainer) setTrial(theta []float64) error {
	if err := t.each(func(_ int, s *shard) error { return s.setTheta(theta) }); err != nil {
		t.invalid = ErrUnsettled
		return fmt.Errorf("iteration %d: %w", t.done+1, err)
	}
	return nil
}
