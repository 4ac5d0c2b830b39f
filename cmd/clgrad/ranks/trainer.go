package ranks

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"clgrad/network"
	"clgrad/network/mpi"
)

// A Trainer is rank 0's trainer. What needs the others it has them do too. It can do all that a
// [network.Trainer] can, and belongs to one goroutine.
type Trainer struct {
	*network.Trainer // for what rank 0 does alone
	group            *Group
	ctx              context.Context
	own              *member
	done             int // iterations, while the trainer is settled
}

// Prepare has every rank take its rows and makes rank 0's trainer. The plan is an outline
// with a shard a rank ([network.NewOutline]). It returns the whole plan, and rank 0's backends,
// which are the caller's to close.
func (g *Group) Prepare(ctx context.Context, samples network.Samples, outline network.Plan, device Device) ([]network.Backend, *Trainer, network.Plan, error) {
	outline.Shards = slices.Clone(outline.Shards)
	for i := range outline.Shards {
		outline.Shards[i].Rank = i
	}
	return g.prepare(ctx, samples, outline, false, device)
}

// Continue is Prepare with a whole plan, that of a run which is gone on with.
func (g *Group) Continue(ctx context.Context, samples network.Samples, plan network.Plan) ([]network.Backend, *Trainer, error) {
	all, t, _, err := g.prepare(ctx, samples, plan, true, Device{})
	return all, t, err
}

func (g *Group) prepare(ctx context.Context, samples network.Samples, plan network.Plan, whole bool, device Device) ([]network.Backend, *Trainer, network.Plan, error) {
	p := prepare{Plan: plan, Whole: whole, Device: device, Scaling: samples.Scaling, Floats: samples.Floats != nil}
	p.Plan.Permutation = nil
	part, err := samples, error(nil)
	if g.Size() > 1 { // else a trainer orders them
		part, err = plan.Part(samples, p.slice(0))
	}
	if err != nil {
		return nil, nil, plan, err
	}
	t := &Trainer{group: g, ctx: ctx}
	err = g.within(ctx, func() error {
		if err := g.tellAll(command{Do: toPrepare, Prepare: p, Done: samples.Features}); err != nil {
			return err
		}
		for rank := 1; rank < g.Size(); rank++ {
			rows, err := plan.Part(samples, p.slice(rank))
			if err != nil {
				return err
			}
			b := encode(rows)
			if err := mpi.SendBytes(g.world, rank, []byte(digest(b))); err != nil {
				return err
			}
			if err := mpi.SendBytes(g.world, rank, b); err != nil {
				return err
			}
		}
		var err error
		t.own, err = g.join(p, part, nil)
		return err
	})
	if err != nil {
		return nil, nil, plan, err
	}
	t.Trainer = t.own.Trainer
	t.own.plan.Permutation = plan.Permutation
	g.opts.Note("%s", g.backends(t.own.plan))
	return t.own.backends, t, t.own.plan, nil
}

// received makes a rank's trainer of what rank 0 sends.
func (g *Group) received(c command) (*member, error) {
	sent, err := mpi.ReceiveBytes(g.world, 0)
	if err != nil {
		return nil, err
	}
	b, err := mpi.ReceiveBytes(g.world, 0)
	if err != nil {
		return nil, err
	}
	part, failed := decode(b, c.Done, c.Prepare.Floats)
	part.Scaling = c.Prepare.Scaling
	if failed == nil && digest(b) != string(sent) {
		failed = fmt.Errorf("the rows that arrived have digest %.16s where rank 0 sent %.16s", digest(b), sent)
	}
	return g.join(c.Prepare, part, failed)
}

// all has every rank do what the command says, and rank 0 does f.
func (t *Trainer) all(c command, f func() error) error {
	return t.group.within(t.ctx, func() error {
		if err := t.group.tellAll(c); err != nil {
			return err
		}
		return f()
	})
}

// Descend is that of [network.Trainer].
func (t *Trainer) Descend(ctx context.Context, d network.Descent, report func(network.Iteration) error) error {
	if t.group.lost != nil {
		return t.group.lost
	}
	if t.Trainer.Done() == d.Iterations {
		return nil
	}
	// Behind the end of waiting nothing may be reported any more.
	var lock sync.Mutex
	over := false
	guarded := func(i network.Iteration) error {
		lock.Lock()
		defer lock.Unlock()
		if over {
			return ErrNoAnswer
		}
		if report == nil {
			return nil
		}
		return report(i)
	}
	t.done = t.Trainer.Done()
	err := t.all(command{Do: toDescend, Descent: d}, func() error { return t.Trainer.Descend(ctx, d, guarded) })
	lock.Lock()
	over = true
	lock.Unlock()
	if errors.Is(err, network.ErrStopped) {
		// A signal to all ranks may reach another one first.
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(t.group.opts.Grace):
		}
	}
	return err
}

// Done is that of [network.Trainer].
func (t *Trainer) Done() int {
	if t.group.lost != nil {
		return t.done
	}
	return t.Trainer.Done()
}

// Settled is that of [network.Trainer]. Without the others nothing is known of the parameters.
func (t *Trainer) Settled() bool { return t.group.lost == nil && t.Trainer.Settled() }

// State is that of [network.Trainer].
func (t *Trainer) State() (s network.State, err error) {
	err = t.all(command{Do: toState}, func() (err error) {
		s, err = t.Trainer.State()
		return err
	})
	return s, err
}

// ScoreTraining is that of [network.Trainer].
func (t *Trainer) ScoreTraining() (loss, accuracy float64, err error) {
	err = t.all(command{Do: toScore}, func() (err error) {
		loss, accuracy, err = t.Trainer.ScoreTraining()
		return err
	})
	return loss, accuracy, err
}

// Evaluate is that of [network.Trainer].
func (t *Trainer) Evaluate(gradient []float64) (loss float64, correct int, err error) {
	err = t.all(command{Do: toEvaluate}, func() (err error) {
		loss, correct, err = t.Trainer.Evaluate(gradient)
		return err
	})
	return loss, correct, err
}

// SetParameters is that of [network.Trainer].
func (t *Trainer) SetParameters(theta []float64, done int) error {
	if n := t.Layout().Len; len(theta) != n {
		return fmt.Errorf("%d parameters given where the layout has %d", len(theta), n)
	}
	return t.all(command{Do: toSet, Done: done}, func() error {
		if err := t.group.vector(theta); err != nil {
			return err
		}
		return t.own.reducer.Agree(t.Trainer.SetParameters(theta, done))
	})
}

// SetState is that of [network.Trainer].
func (t *Trainer) SetState(s network.State) error {
	if err := s.Check(t.Layout().Len, t.Done()); err != nil {
		return err
	}
	c := command{Do: toSetState, State: s, Vectors: len(s.Vectors)}
	c.State.Vectors = nil
	return t.all(c, func() error {
		for _, v := range s.Vectors {
			if err := t.group.vector(v); err != nil {
				return err
			}
		}
		return t.own.reducer.Agree(t.Trainer.SetState(s))
	})
}

// Close is that of [network.Trainer], for rank 0.
func (t *Trainer) Close() error {
	if t.group.lost != nil {
		return nil // it may still be waiting
	}
	return t.Trainer.Close()
}

// End ends the other ranks, which is the last thing that rank 0 does with them. Where they do
// not answer any more nobody is waited for: the launcher ends them. So it does when it has sent a
// signal, and the end of MPI is then not waited for either.
func (g *Group) End(ctx context.Context) error {
	if g.lost != nil {
		return nil
	}
	err := g.within(ctx, func() error {
		if err := g.tellAll(command{Do: toEnd}); err != nil {
			return err
		}
		return g.world.Close()
	})
	if errors.Is(err, ErrNoAnswer) {
		return nil
	}
	return err
}

// Follow is what a rank other than 0 does: what that tells it, until its end. It returns nil
// whatever the run came to, which rank 0 says, unless it lost the others.
func (g *Group) Follow(ctx context.Context) (err error) {
	var m *member
	defer func() { err = errors.Join(err, m.close()) }()
	for {
		c, err := g.hear()
		if err != nil {
			return err
		}
		if m == nil && c.Do != toPrepare && c.Do != toEnd {
			return fmt.Errorf("rank 0 asks to %s before there is a network", c.Do)
		}
		// Rank 0 gets the errors too.
		switch c.Do {
		case toPrepare:
			m, _ = g.received(c)
		case toDescend:
			_ = m.Descend(ctx, c.Descent, nil)
		case toScore:
			_, _, _ = m.ScoreTraining()
		case toEvaluate:
			_, _, _ = m.Evaluate(make([]float64, m.Layout().Len))
		case toState:
			_, _ = m.State()
		case toSet:
			theta := make([]float64, m.Layout().Len)
			if err := g.vector(theta); err != nil {
				return err
			}
			_ = m.reducer.Agree(m.SetParameters(theta, c.Done))
		case toSetState:
			s := c.State
			for range c.Vectors {
				v := make([]float64, m.Layout().Len)
				if err := g.vector(v); err != nil {
					return err
				}
				s.Vectors = append(s.Vectors, v)
			}
			_ = m.reducer.Agree(m.SetState(s))
		case toEnd:
			return g.world.Close()
		default:
			return fmt.Errorf("rank 0 asks to %q", c.Do)
		}
	}
}
