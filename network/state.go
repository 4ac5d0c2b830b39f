package network

import (
	"errors"
	"fmt"
	"math"
	"slices"
)

// A State is what an optimizer remembers from one update to the next.
type State struct {
	Optimizer Optimizer
	// Since is the iteration after which it was 0.
	Since int
	// Vectors are as many as the rule has ([Rule.States]), each of the layout's length.
	Vectors [][]float64
	// LBFGS is the state of lbfgs, nil for other optimizers and before its first
	// evaluation. Its Theta are the parameters.
	LBFGS *LBFGSState
}

// Check reports a state, which may come from a file, that is none of n parameters after
// done iterations.
func (s State) Check(n, done int) error {
	if s.Optimizer == "" && len(s.Vectors) == 0 && s.LBFGS == nil {
		return nil
	}
	if err := NewRule(s.Optimizer).Check(); err != nil {
		return err
	}
	if want := NewRule(s.Optimizer).States(); len(s.Vectors) != want {
		return fmt.Errorf("state of %s has %d vectors where %d are expected", s.Optimizer, len(s.Vectors), want)
	}
	if s.Since < 0 || s.Since > done {
		return fmt.Errorf("state of %s since iteration %d where %d are done", s.Optimizer, s.Since, done)
	}
	if s.Optimizer == LBFGS {
		return s.checkLBFGS(n, done)
	}
	if s.LBFGS != nil {
		return fmt.Errorf("state of %s has one of %s too", s.Optimizer, LBFGS)
	}
	for i, v := range s.Vectors {
		if len(v) != n {
			return fmt.Errorf("vector %d of the state of %s has %d elements where the layout has %d", i+1, s.Optimizer, len(v), n)
		}
		squares := i == 1 && (s.Optimizer == Adam || s.Optimizer == AdamW) // v, whose root is taken
		for j, x := range v {
			if math.IsNaN(x) || math.IsInf(x, 0) {
				return fmt.Errorf("vector %d of the state of %s: element %d is %v: a finite number is expected", i+1, s.Optimizer, j, x)
			}
			if squares && x < 0 {
				return fmt.Errorf("vector %d of the state of %s: element %d is %v: a mean of squares is expected, 0 or more", i+1, s.Optimizer, j, x)
			}
		}
	}
	return nil
}

func (s State) checkLBFGS(n, done int) error {
	iterations := 0
	if s.LBFGS != nil {
		iterations = s.LBFGS.Iteration
		if err := s.LBFGS.check(n); err != nil {
			return err
		}
	}
	if iterations != done-s.Since {
		return fmt.Errorf("state of %s has %d iterations since iteration %d where %d are done", LBFGS, iterations, s.Since, done)
	}
	return nil
}

// state is the State of a trainer, on its first shard's device. That of lbfgs is
// on the host.
type state struct {
	optimizer Optimizer
	since     int
	buffers   []Buffer
	lbfgs     *LBFGSState
	// point has the mean loss and the correct rows at the parameters of lbfgs, nil if
	// they are not known.
	point *Record
}

// vectors returns n elements of each vector, from the given one on.
func (s *state) vectors(from, n int) (all []Vector) {
	for _, b := range s.buffers {
		all = append(all, Vector{b, from, n})
	}
	return all
}

// close frees the state's vectors.
func (s state) close() error {
	var errs []error
	for _, b := range s.buffers {
		errs = append(errs, b.Close())
	}
	return errors.Join(errs...)
}

// resetState makes the state of an optimizer that begins after the given iteration. Where
// it fails there is no state, and the next descent makes one.
func (t *Trainer) resetState(o Optimizer, since int) error {
	return t.workers[0].start(func() error {
		old := t.state
		t.state = state{} // no descent may use a part of one
		if err := old.close(); err != nil {
			return fmt.Errorf("state of %s: %w", old.optimizer, err)
		}
		made := state{optimizer: o, since: since}
		for range NewRule(o).States() {
			b, err := t.shards[0].exec.NewBuffer(t.layout.Len)
			if err != nil {
				return fmt.Errorf("state of %s: %w", o, errors.Join(err, made.close()))
			}
			made.buffers = append(made.buffers, b)
		}
		t.state = made
		return nil
	})()
}

// SetState sets the state of an optimizer, rounded to the first shard's precision: after
// [Trainer.SetParameters], to go on from there. A state of lbfgs is not rounded, and one of
// other parameters than the trainer's is an error. Where the device fails, the parameters are
// [ErrUnsettled]: a descent would go on with a part of the state.
func (t *Trainer) SetState(s State) error {
	if err := t.ready(); err != nil {
		return err
	}
	if err := s.Check(t.layout.Len, t.done); err != nil {
		return err
	}
	if s.LBFGS != nil {
		theta, err := t.Parameters()
		if err != nil {
			return err
		}
		if !slices.Equal(theta, s.LBFGS.Theta) {
			return fmt.Errorf("state of %s is of other parameters than those that are set", LBFGS)
		}
	}
	t.invalid = ErrUnsettled
	if err := t.resetState(s.Optimizer, s.Since); err != nil {
		return err
	}
	t.state.lbfgs = s.LBFGS.copied()
	err := t.workers[0].start(func() error {
		for i, v := range s.Vectors {
			if err := t.shards[0].exec.Write(t.state.buffers[i], 0, v); err != nil {
				return fmt.Errorf("set state of %s: %w", s.Optimizer, err)
			}
		}
		return nil
	})()
	if err == nil {
		t.invalid = nil
	}
	return err
}

// State returns the state of the optimizer after iteration Done(), or [ErrUnsettled]. With
// a reducer every process has to ask for it.
func (t *Trainer) State() (s State, err error) {
	if err := t.ready(); err != nil {
		return State{}, err
	}
	s = State{Optimizer: t.state.optimizer, Since: t.state.since, LBFGS: t.state.lbfgs.copied()}
	for _, b := range t.state.buffers {
		v := make([]float64, t.layout.Len)
		failed := t.first(func(shard *shard) error { return shard.exec.Read(b, 0, v) })
		if t.reducer != nil {
			failed = t.reducer.Gather(v, failed)
		}
		if failed != nil {
			return State{}, fmt.Errorf("read state of %s: %w", s.Optimizer, failed)
		}
		s.Vectors = append(s.Vectors, v)
	}
	return s, nil
}
