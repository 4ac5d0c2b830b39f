package run

import (
	"fmt"

	"clgrad/network"
)

// A run by L-BFGS ends where there is no lower loss to be found, which its state says: a
// checkpoint with such a state is of the last iteration, and behind its line. That state may
// be another than the one after the same iteration before: a search for a lower loss is
// in between.

// takeConverged looks whether the optimizer has come to its end before all iterations are done.
func (r *run) takeConverged() error {
	if r.Rule().Optimizer != network.LBFGS || !r.trainer.Settled() {
		return nil
	}
	s, err := r.trainer.State()
	if err != nil || s.LBFGS == nil || s.LBFGS.Stop == "" || r.trainer.Done() == r.pace.total {
		return err
	}
	r.converge(s.LBFGS.Stop, r.trainer.Done())
	r.changed = true
	return nil
}

// converge ends the run after done iterations.
func (r *run) converge(why network.LBFGSStop, done int) {
	r.converged, r.pace.end = why, done
}

// convergedWords says where the run converged, and why, "" where it did not.
func (r *run) convergedWords() string {
	if r.converged == "" {
		return ""
	}
	return fmt.Sprintf("after %s of %d: %s", r.pace.at(r.done), r.pace.total, r.converged)
}
