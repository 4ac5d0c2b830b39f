package ranks

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"clgrad/cpu"
	"clgrad/network"
	"clgrad/network/mpi"
	"clgrad/network/mpi/mpitest"
	"clgrad/network/must"
)

// points returns samples of three classes.
func points(rows int, floats bool) network.Samples {
	random := rand.New(rand.NewPCG(1, 2))
	s := network.Samples{Rows: rows, Features: 5, Scaling: network.Scaling{Shift: []float64{0.25}, Factor: []float64{0.125}}}
	for range rows {
		y := random.IntN(3)
		s.Labels = append(s.Labels, int32(y))
		for j := range s.Features {
			v := random.IntN(6) + 5*(y*j%3)
			if floats {
				s.Floats = append(s.Floats, float32(v)/3)
			} else {
				s.Bytes = append(s.Bytes, uint8(v))
			}
		}
	}
	return s
}

// options are those of a rank with so many backends.
func options(shards int, note func(string, ...any)) Options {
	return Options{
		Propose: func(_ Device, sizes []int, part network.Samples, batchRows int) (all []network.Backend, plans []network.ShardPlan, err error) {
			for i := range shards {
				b := cpu.New[float32]()
				first, end := i*batchRows/shards, (i+1)*batchRows/shards
				p, err := b.Propose(sizes, part, end-first)
				if err != nil {
					return nil, nil, err
				}
				p.First, p.Rows = first, end-first
				all, plans = append(all, b), append(plans, p)
			}
			return all, plans, nil
		},
		Open:  func(string) (network.Backend, error) { return cpu.New[float32](), nil },
		Notes: func() []string { return nil },
		Note:  note,
		Grace: 200 * time.Millisecond,
	}
}

// world runs lead as rank 0 of n, with so many backends a rank, and returns what the others
// came to.
func world(t *testing.T, n, shards int, lead func(g *Group)) (others []error) {
	t.Helper()
	var all sync.WaitGroup
	others = make([]error, n)
	for _, w := range mpitest.Worlds(n) {
		all.Go(func() {
			g, err := Join(w, Hello{Host: "here"}, options(shards, t.Logf))
			switch {
			case err != nil:
				t.Error(err)
			case w.Rank() > 0:
				others[w.Rank()] = g.Follow(context.Background())
			default:
				lead(g)
			}
		})
	}
	all.Wait()
	return others
}

// result is what a run came to.
type result struct {
	iterations []network.Iteration
	theta      []float64
	state      network.State
	loss       float64
}

func (r result) String() string {
	return fmt.Sprintf("%v %v %v %v", r.iterations, r.theta, r.state, r.loss)
}

type trainer interface {
	SetParameters(theta []float64, done int) error
	Descend(context.Context, network.Descent, func(network.Iteration) error) error
	Parameters() ([]float64, error)
	State() (network.State, error)
	SetState(network.State) error
	ScoreTraining() (float64, float64, error)
	Evaluate([]float64) (float64, int, error)
}

// follow descends to an iteration and returns what came of it.
func (r *result) follow(t *testing.T, tr trainer, to int) {
	t.Helper()
	err := tr.Descend(context.Background(), network.Descent{Iterations: to, Rule: network.NewRule(network.Adam), LearningRate: 0.01}, func(i network.Iteration) error {
		i.Elapsed = 0
		r.iterations = append(r.iterations, i)
		return nil
	})
	must.OK(t, err)
	if r.theta, err = tr.Parameters(); err != nil {
		t.Error(err)
	}
	if r.state, err = tr.State(); err != nil {
		t.Error(err)
	}
	if r.loss, _, err = tr.ScoreTraining(); err != nil {
		t.Error(err)
	}
	if evaluated, _, err := tr.Evaluate(make([]float64, len(r.theta))); err != nil || evaluated < 0.9*r.loss || evaluated > 1.1*r.loss {
		t.Errorf("evaluated %v where the score is %v, %v", evaluated, r.loss, err)
	}
}

// Ranks with one backend or two each are one process whose plan has as many shards, to the bit
// where a rank has one, or is the only one: batches in an epoch's order, short last ones too. A run that goes on on
// its plan from parameters and state has the same bits.
func TestTrains(t *testing.T) {
	for _, floats := range []bool{false, true} {
		s := points(107, floats)
		l, err := network.NewLayout([]int{5, 6, 3})
		must.OK(t, err)
		theta, err := l.Initial(network.He, 1)
		must.OK(t, err)
		for _, c := range []struct{ ranks, shards int }{{1, 1}, {1, 2}, {2, 1}, {3, 1}, {2, 2}} {
			for _, batchRows := range []int{20, s.Rows} {
				outline, err := network.NewOutline(l.Sizes, s, batchRows, network.Random, 3, c.ranks)
				must.OK(t, err)
				outline.Shuffle = true
				var got, again result
				var plan network.Plan
				var half result
				for _, err := range world(t, c.ranks, c.shards, func(g *Group) {
					defer func() {
						if err := g.End(context.Background()); err != nil {
							t.Error(err)
						}
					}()
					_, tr, p, err := g.Prepare(context.Background(), s, outline, Device{})
					if err != nil {
						t.Error(err)
						return
					}
					plan = p
					if err := tr.SetParameters(theta, 0); err != nil {
						t.Error(err)
					}
					half.follow(t, tr, 17)
					got = half
					got.iterations = slices.Clone(half.iterations)
					got.follow(t, tr, 40)
				}) {
					if err != nil {
						t.Error(err)
					}
				}
				if n := plan.Ranks(); n != c.ranks || len(plan.Shards) != c.ranks*c.shards {
					t.Fatalf("the plan has %d ranks, %d shards", n, len(plan.Shards))
				}
				// One process, with all shards.
				var backends []network.Backend
				for range plan.Shards {
					backends = append(backends, cpu.New[float32]())
				}
				for i := range plan.Shards {
					plan.Shards[i].Rank = 0
				}
				tr, err := network.NewTrainer(l, s, plan, backends, nil)
				must.OK(t, err)
				must.OK(t, tr.SetParameters(theta, 0))
				var want result
				want.follow(t, tr, 17)
				want.follow(t, tr, 40)
				tr.Close()
				if equal := want.String() == got.String(); (c.shards == 1 || c.ranks == 1) && !equal {
					t.Errorf("%d ranks, batches of %d: loss %v, want %v, or other parameters", c.ranks, batchRows, got.loss, want.loss)
				}
				for i, w := range want.iterations {
					if g := got.iterations[i]; g.Loss < 0.99999*w.Loss || g.Loss > 1.00001*w.Loss || g.Rows != w.Rows || g.Number != w.Number {
						t.Fatalf("%d ranks of %d, batches of %d: %+v, want %+v", c.ranks, c.shards, batchRows, g, w)
					}
				}
				for i := range plan.Shards {
					plan.Shards[i].Rank = i / c.shards
				}
				world(t, c.ranks, c.shards, func(g *Group) {
					defer g.End(context.Background())
					_, tr, err := g.Continue(context.Background(), s, plan)
					if err == nil {
						err = errors.Join(tr.SetParameters(half.theta, 17), tr.SetState(half.state))
					}
					if err != nil {
						t.Error(err)
						return
					}
					again.iterations = slices.Clone(half.iterations)
					again.follow(t, tr, 40)
				})
				if again.String() != got.String() {
					t.Errorf("%d ranks of %d, batches of %d: gone on with, loss %v, want %v, or other parameters", c.ranks, c.shards, batchRows, again.loss, got.loss)
				}
			}
		}
	}
}

// A rank that cannot take part, or another program, or other flags, is an error of all.
func TestFits(t *testing.T) {
	for _, c := range []struct {
		second Hello
		want   string
	}{
		{Hello{Host: "b", Program: "clgrad 2", Flags: map[string]string{"lr": "0.5"}}, "rank 1 (b) is clgrad 2 where rank 0 is clgrad 1: the same program is expected on all machines"},
		{Hello{Host: "b", Program: "clgrad 1", Flags: map[string]string{"lr": "0.1"}}, "rank 1 (b) has --lr 0.1 where rank 0 has 0.5: all flags but --backend have to be the same on all ranks"},
		{Hello{Host: "b", Program: "clgrad 1"}, "rank 1 (b) has --lr none where rank 0 has 0.5: all flags but --backend have to be the same on all ranks"},
		{Hello{Host: "b", Program: "clgrad 1", Flags: map[string]string{"lr": "0.5", "log_every": "3"}}, "rank 1 (b) has --log-every 3 where rank 0 has none: all flags but --backend have to be the same on all ranks"},
		{Hello{Host: "b", Program: "clgrad 1", Problem: "no device", Notes: []string{"passed over: d"}}, "rank 1 (b): no device"},
	} {
		var all sync.WaitGroup
		for _, w := range mpitest.Worlds(2) {
			all.Go(func() {
				var said bytes.Buffer
				o := options(1, func(format string, args ...any) { fmt.Fprintf(&said, format, args...) })
				me := Hello{Host: "a", Program: "clgrad 1", Flags: map[string]string{"lr": "0.5"}}
				if w.Rank() == 1 {
					me = c.second
				}
				if _, err := Join(w, me, o); err == nil || err.Error() != c.want {
					t.Errorf("rank %d: %v, want %s", w.Rank(), err, c.want)
				}
				want := ""
				if w.Rank() == 0 && c.second.Notes != nil {
					want = "rank 1 (b): passed over: d"
				}
				if said.String() != want {
					t.Errorf("rank %d says %q, want %q", w.Rank(), said.String(), want)
				}
			})
		}
		all.Wait()
	}
}

// A rank that finds no device for its plan is an error of all, and then there is an end.
func TestPrepareFails(t *testing.T) {
	s := points(40, false)
	outline, err := network.NewOutline([]int{5, 3}, s, 40, network.Given, 0, 3)
	must.OK(t, err)
	var all sync.WaitGroup
	for _, w := range mpitest.Worlds(3) {
		all.Go(func() {
			o := options(1, t.Logf)
			if w.Rank() == 2 {
				o.Propose = func(Device, []int, network.Samples, int) ([]network.Backend, []network.ShardPlan, error) {
					return nil, nil, errors.New("no room")
				}
			}
			g, err := Join(w, Hello{Host: "here"}, o)
			if err != nil {
				t.Error(err)
				return
			}
			if w.Rank() > 0 {
				if err := g.Follow(context.Background()); err != nil {
					t.Error(err)
				}
				return
			}
			if _, _, _, err := g.Prepare(context.Background(), s, outline, Device{}); err == nil || err.Error() != "rank 2 (here): no room" {
				t.Error(err)
			}
			if err := g.End(context.Background()); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
}

// Rank 0 waits for a rank that does not answer only until it is to stop and for the grace
// behind that. Nothing of what it then returns to its caller changes any more.
func TestNoAnswer(t *testing.T) {
	s := points(40, false)
	outline, err := network.NewOutline([]int{5, 3}, s, 40, network.Given, 0, 2)
	must.OK(t, err)
	worlds := mpitest.Worlds(2)
	ctx, stop := context.WithCancelCause(context.Background())
	dead := make(chan struct{})
	defer close(dead)
	go func() {
		g, err := Join(worlds[1], Hello{}, options(1, t.Logf))
		if err != nil {
			t.Error(err)
			return
		}
		calls := 0
		g.world = silent{worlds[1], func() {
			if calls++; calls > 30 {
				stop(errors.New("killed"))
				<-dead
			}
		}}
		g.Follow(context.Background())
	}()
	g, err := Join(worlds[0], Hello{}, options(1, t.Logf))
	must.OK(t, err)
	_, tr, _, err := g.Prepare(ctx, s, outline, Device{})
	must.OK(t, err)
	must.OK(t, tr.SetParameters(make([]float64, tr.Layout().Len), 0))
	n := 0
	err = tr.Descend(ctx, network.Descent{Iterations: 1000, LearningRate: 0.1}, func(network.Iteration) error { n++; return nil })
	if !errors.Is(err, ErrNoAnswer) || tr.Settled() || tr.Done() != 0 {
		t.Errorf("%v, settled %v, %d done", err, tr.Settled(), tr.Done())
	}
	if _, err := tr.State(); !errors.Is(err, ErrNoAnswer) {
		t.Error(err)
	}
	if err := errors.Join(tr.Close(), g.End(ctx)); err != nil {
		t.Error(err)
	}
	if n == 1000 || strings.Contains(fmt.Sprint(err), "\n") {
		t.Errorf("%d iterations, %v", n, err)
	}
}

// silent is a World whose process is told before it exchanges gradients.
type silent struct {
	mpi.World
	before func()
}

func (w silent) Alltoall(send []uint32, sendAt []int, recv []uint32, recvAt []int) error {
	w.before()
	return w.World.Alltoall(send, sendAt, recv, recvAt)
}
