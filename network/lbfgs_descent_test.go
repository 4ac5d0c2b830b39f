package network_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"gonum.org/v1/gonum/floats"

	"clgrad/cpu"
	"clgrad/network"
	"clgrad/network/checkpoint"
	"clgrad/network/must"
)

// overlapping is blobs of which every fifth row has a random label, so that no weights
// separate the classes.
func overlapping(rows int) network.Samples {
	s, random := blobs(rows, 5, 3, 7), rand.New(rand.NewPCG(7, 2))
	for i := range s.Labels {
		if random.IntN(5) == 0 {
			s.Labels[i] = int32(random.IntN(3))
		}
	}
	return s
}

// byLBFGS is a descent with weight decay, which gives it an end in float32.
func byLBFGS(iterations int) network.Descent {
	d := network.Descent{Iterations: iterations, LearningRate: 1, Rule: network.NewRule(network.LBFGS)}
	d.Rule.WeightDecay, d.Rule.HistorySize = 1e-2, 5
	return d
}

// A point is where a run stands after an iteration.
type point struct {
	theta []float64
	state network.State
}

func stands(t *testing.T, tr *network.Trainer) (p point) {
	t.Helper()
	var err error
	p.theta, err = tr.Parameters()
	must.OK(t, err)
	p.state, err = tr.State()
	must.OK(t, err)
	return p
}

// follow descends and returns the iterations and where each of them left the trainer.
func follow(t *testing.T, ctx context.Context, tr *network.Trainer, d network.Descent) (all []network.Iteration, after []point, err error) {
	t.Helper()
	err = tr.Descend(ctx, d, func(i network.Iteration) error {
		i.Elapsed = 0
		all, after = append(all, i), append(after, stands(t, tr))
		return nil
	})
	return all, after, err
}

// lbfgsShards are backends that L-BFGS has to do its work on.
var lbfgsShards = map[string]func() []network.Backend{
	"float64": func() []network.Backend { return []network.Backend{cpu.New[float64]()} },
	"float32": func() []network.Backend { return []network.Backend{cpu.New[float32]()} },
	"both":    func() []network.Backend { return []network.Backend{cpu.New[float64](), cpu.New[float32]()} },
}

// An iteration reports what its parameters come to before its step, and lowers the loss with
// the penalty. Without a hidden layer the end is the minimum; with one it is at a kink of
// ReLU, after line searches whose last trial is not the one that is taken.
func TestLBFGSDescent(t *testing.T) {
	s := overlapping(60)
	for name, backends := range lbfgsShards {
		for _, sizes := range [][]int{{5, 6, 3}, {5, 3}} {
			l := layout(t, sizes...)
			t.Run(fmt.Sprint(name, sizes), func(t *testing.T) {
				tr := newTrainer(t, l, s, s.Rows, false, nil, backends()...)
				defer tr.Close()
				d := byLBFGS(1000)
				gradient := make([]float64, l.Len)
				loss, correct, err := tr.Evaluate(gradient)
				must.OK(t, err)
				penalty := func(theta []float64) float64 { return d.Rule.WeightDecay / 2 * floats.Dot(theta, theta) }
				before := loss + penalty(initial(t, l, network.He, 1))
				iterations := 0
				err = tr.Descend(context.Background(), d, func(i network.Iteration) error {
					iterations++
					if i.Number != iterations || i.Number != tr.Done() || i.Loss != loss || i.Correct != correct || i.Rows != s.Rows || i.Elapsed <= 0 {
						t.Errorf("%+v: number %d, loss %v and %d correct rows are expected", i, iterations, loss, correct)
					}
					var err error
					if loss, correct, err = tr.Evaluate(gradient); err != nil {
						return err
					}
					p := stands(t, tr)
					after := loss + penalty(p.theta)
					if after > before || p.state.LBFGS.Loss != after || !slices.Equal(p.theta, p.state.LBFGS.Theta) {
						t.Errorf("iteration %d: from %v to %v, the state has %v", i.Number, before, after, p.state.LBFGS.Loss)
					}
					before = after
					return nil
				})
				if tr.Done() != iterations || !tr.Settled() {
					t.Fatalf("%d iterations reported, %d done, %v", iterations, tr.Done(), err)
				}
				end := stands(t, tr)
				want := fmt.Sprintf("after iteration %d: converged: %s", iterations, end.state.LBFGS.Stop)
				if !errors.Is(err, network.ErrConverged) || err.Error() != want || iterations < 15 {
					t.Errorf("%v, want %s", err, want)
				}
				floats.AddScaled(gradient, d.Rule.WeightDecay, end.theta)
				bound := 3e-4
				if name == "float64" {
					bound = 1e-8
				}
				if g := floats.Norm(gradient, 2); len(sizes) == 2 && g > bound {
					t.Errorf("ends with a gradient of %g, more than %g", g, bound)
				}
				again, _, err := follow(t, context.Background(), tr, d)
				if err == nil || err.Error() != want || len(again) > 0 {
					t.Errorf("going on: %v, %d iterations", err, len(again))
				}
				d.Iterations = iterations
				if err := tr.Descend(context.Background(), d, nil); err != nil {
					t.Errorf("as far as it is: %v", err)
				}
			})
		}
	}
}

// A run that was stored after any iteration, or at its end, goes on to the same bits, from
// the state itself and from a file. Of a long run some iterations are tried.
func TestLBFGSDescentResumes(t *testing.T) {
	s := overlapping(60)
	same := cmp.AllowUnexported(point{})
	for name, backends := range lbfgsShards {
		for iterations, sizes := range map[int][]int{15: {5, 6, 3}, 60: {5, 3}} {
			l, d := layout(t, sizes...), byLBFGS(iterations)
			t.Run(fmt.Sprint(name, sizes), func(t *testing.T) {
				open := func() *network.Trainer { return newTrainer(t, l, s, s.Rows, false, nil, backends()...) }
				tr := open()
				start := stands(t, tr)
				all, after, err := follow(t, context.Background(), tr, d)
				after = append([]point{start}, after...)
				end := stands(t, tr)
				tr.Close()
				if ended := errors.Is(err, network.ErrConverged); len(all) < 15 || ended != (len(sizes) == 2) {
					t.Fatalf("%v after %d iterations", err, len(all))
				}
				for i, p := range after {
					if i > 15 && i < len(after)-3 && i%6 > 0 {
						continue
					}
					for _, form := range []string{"state", "file"} {
						from := p
						if form == "file" {
							from = inFile(t, l, name, i, p)
						}
						tr := open()
						if err := errors.Join(tr.SetParameters(from.theta, i), tr.SetState(from.state)); err != nil {
							t.Fatalf("iteration %d, %s: %v", i, form, err)
						}
						if d := cmp.Diff(p, stands(t, tr), same); d != "" {
							t.Errorf("iteration %d, %s: set (-) and read (+) differ:\n%s", i, form, d)
						}
						rest, _, resumed := follow(t, context.Background(), tr, d)
						if !slices.Equal(all[i:], rest) || fmt.Sprint(err) != fmt.Sprint(resumed) {
							t.Errorf("iteration %d, %s: %v and %v where %v and %v are expected", i, form, rest, resumed, all[i:], err)
						}
						if d := cmp.Diff(end, stands(t, tr), same); d != "" {
							t.Errorf("iteration %d, %s: whole (-) and resumed (+) run end differently:\n%s", i, form, d)
						}
						tr.Close()
					}
				}
			})
		}
	}
}

// inFile returns what a file gives back. Its parameters are float32 where there is a shard of
// float32.
func inFile(t *testing.T, l network.Layout, shards string, done int, p point) point {
	t.Helper()
	precision := checkpoint.F32
	if shards == "float64" {
		precision = checkpoint.F64
	}
	var file bytes.Buffer
	err := checkpoint.Write(&file, checkpoint.Model{
		Sizes: l.Sizes, Parameters: p.theta, Precision: precision, Run: &checkpoint.Run{Iterations: done}, State: p.state,
	})
	must.OK(t, err)
	m, err := checkpoint.Read(&file, int64(file.Len()), "file")
	must.OK(t, err)
	return point{m.Parameters, m.State}
}

// hooked is an executor that calls before each loss.
type hooked struct {
	network.Executor
	before func() error
}

func (h hooked) SoftmaxCrossEntropy(z network.Matrix, y network.Block, m int, r network.Recorder, record int) error {
	if err := h.before(); err != nil {
		return err
	}
	return h.Executor.SoftmaxCrossEntropy(z, y, m, r, record)
}

// hookedTrainer calls before the loss of each block of seven rows, of which an evaluation
// has nine.
func hookedTrainer(t *testing.T, l network.Layout, s network.Samples, before func() error) *network.Trainer {
	t.Helper()
	b := wrapped{cpu.New[float32](), func(x network.Executor) network.Executor { return hooked{x, before} }}
	return newTrainer(t, l, s, s.Rows, false, nil, b)
}

// A run that is interrupted anywhere, in the middle of a line search too, stands after its last
// finished iteration, and goes on to the same bits.
func TestLBFGSDescentInterrupted(t *testing.T) {
	l, s := layout(t, 5, 6, 3), overlapping(60)
	d, losses := byLBFGS(12), 0
	d.LearningRate = 8 // so that line searches take several trials
	tr := hookedTrainer(t, l, s, func() error { losses++; return nil })
	all, after, err := follow(t, context.Background(), tr, d)
	if err != nil || losses < 9*(d.Iterations+3) {
		t.Fatalf("%v; %d losses: line searches of several trials are expected", err, losses)
	}
	middle := 0
	for at := 1; at <= losses; at += 4 {
		ctx, cancel := context.WithCancel(context.Background())
		left := at
		tr := hookedTrainer(t, l, s, func() error {
			if left--; left == 0 {
				cancel()
			}
			return nil
		})
		first, _, err := follow(t, ctx, tr, d)
		done := tr.Done()
		if err == nil && done == d.Iterations {
			continue // in the last evaluation
		}
		if err != context.Canceled || !tr.Settled() || done != len(first) {
			t.Fatalf("loss %d: %v after %d iterations", at, err, done)
		}
		p := stands(t, tr)
		if done > 0 {
			if d := cmp.Diff(after[done-1], p, cmp.AllowUnexported(point{})); d != "" {
				t.Fatalf("loss %d: the state is not that of iteration %d:\n%s", at, done, d)
			}
			if p.state.LBFGS.Evaluations*9 < at {
				middle++ // the work of an iteration is lost
			}
		} else if !slices.Equal(p.theta, initial(t, l, network.He, 1)) {
			t.Fatalf("loss %d: other parameters than at the start", at)
		}
		rest, last, err := follow(t, context.Background(), tr, d)
		if err != nil || !slices.Equal(all, append(first, rest...)) {
			t.Fatalf("loss %d: %v; went on with other iterations", at, err)
		}
		if d := cmp.Diff(after[d.Iterations-1], last[len(last)-1], cmp.AllowUnexported(point{})); d != "" {
			t.Fatalf("loss %d: ends differently:\n%s", at, d)
		}
		cancel()
		tr.Close()
	}
	if middle == 0 {
		t.Error("no iteration was interrupted between two trials")
	}
}

// After a backend's failure the parameters are those of some trial.
func TestLBFGSDescentFails(t *testing.T) {
	l, s := layout(t, 5, 6, 3), overlapping(60)
	for at, want := range map[int]string{5: "iteration 1: ", 60: "iteration 6: "} {
		left := at
		tr := hookedTrainer(t, l, s, func() error {
			if left--; left == 0 {
				return errBroken
			}
			return nil
		})
		err := tr.Descend(context.Background(), byLBFGS(12), nil)
		if !errors.Is(err, errBroken) || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("loss %d: %v, want %s", at, err, want)
		}
		unusable(t, tr, network.ErrUnsettled)
		tr.Close()
	}
}

// owner is a Reducer that gives this process all elements, and can do nothing else.
type owner struct{ network.Reducer }

func (owner) Slice(n int) (from, end int) { return 0, n }

func TestLBFGSDescentRefuses(t *testing.T) {
	l, s := layout(t, 5, 6, 3), overlapping(60)
	tr := newTrainer(t, l, s, s.Rows, false, nil, cpu.New[float64]())
	defer tr.Close()
	small := newTrainer(t, l, s, 30, false, nil, cpu.New[float64]())
	defer small.Close()
	apart := newTrainer(t, l, s, s.Rows, false, owner{}, cpu.New[float64](), nil)
	defer apart.Close()
	for want, c := range map[string]struct {
		tr     *network.Trainer
		change func(*network.Descent)
	}{
		"batches of 30 of 60 rows":     {small, func(*network.Descent) {}},
		"one process is expected":      {apart, func(*network.Descent) {}},
		"a constant rate is expected":  {tr, func(d *network.Descent) { d.Schedule = network.Schedule{Shape: network.Cosine, Steps: 100} }},
		"a constant rate is expected ": {tr, func(d *network.Descent) { d.Schedule.Warmup = 1 }},
		"history size is 0":            {tr, func(d *network.Descent) { d.Rule.HistorySize = 0 }},
		"weight decay is -1":           {tr, func(d *network.Descent) { d.Rule.WeightDecay = -1 }},
		"learning rate 0":              {tr, func(d *network.Descent) { d.LearningRate = 0 }},
	} {
		d := byLBFGS(3)
		c.change(&d)
		err := c.tr.Descend(context.Background(), d, nil)
		if err == nil || !strings.Contains(err.Error(), strings.TrimSpace(want)) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%v, want %s", err, want)
		}
		if c.tr.Done() != 0 || !c.tr.Settled() {
			t.Errorf("%s: %d iterations done", want, c.tr.Done())
		}
	}
}

// A state goes on only from where, and with what, it came to be.
func TestLBFGSDescentState(t *testing.T) {
	l, s := layout(t, 5, 6, 3), overlapping(60)
	tr := newTrainer(t, l, s, s.Rows, false, nil, cpu.New[float64]())
	defer tr.Close()
	d := byLBFGS(8)
	must.OK(t, tr.Descend(context.Background(), d, nil))
	p := stands(t, tr)
	set := func(theta []float64) error {
		must.OK(t, tr.SetParameters(theta, 8))
		if got := stands(t, tr).state; got.LBFGS != nil || got.Optimizer != "" {
			t.Errorf("new parameters have the state %+v", got)
		}
		return tr.SetState(p.state)
	}
	other := slices.Clone(p.theta)
	other[0]++
	if err := set(other); err == nil || !strings.Contains(err.Error(), "is of other parameters than those that are set") {
		t.Errorf("other parameters: %v", err)
	}
	for want, change := range map[string]func(*network.Descent){
		"or another gradient: the same data, device and weight decay": func(d *network.Descent) { d.Rule.WeightDecay = 0 },
		"5 pairs where the history size is 4":                         func(d *network.Descent) { d.Rule.HistorySize = 4 },
	} {
		must.OK(t, set(p.theta))
		d := byLBFGS(12)
		change(&d)
		if err := tr.Descend(context.Background(), d, nil); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %s", err, want)
		}
		if got := stands(t, tr); !cmp.Equal(p, got, cmp.AllowUnexported(point{})) {
			t.Errorf("%s: the state has changed", want)
		}
	}
	// Another optimizer in between ends it.
	d.Iterations, d.Rule, d.LearningRate = 9, network.NewRule(network.Adam), 0.01
	must.OK(t, tr.Descend(context.Background(), d, nil))
	must.OK(t, tr.Descend(context.Background(), byLBFGS(11), nil))
	if got := stands(t, tr).state; got.Since != 9 || got.LBFGS.Iteration != 2 {
		t.Errorf("after another optimizer: since %d, %d iterations", got.Since, got.LBFGS.Iteration)
	}
}

func TestLBFGSDescentNonFinite(t *testing.T) {
	l, s := layout(t, 5, 6, 3), overlapping(60)
	tr := newTrainer(t, l, s, s.Rows, false, nil, cpu.New[float32]())
	defer tr.Close()
	theta := initial(t, l, network.He, 1)
	for i := range theta {
		theta[i] *= 1e30
	}
	must.OK(t, tr.SetParameters(theta, 4))
	var e *network.NonFiniteError
	if err := tr.Descend(context.Background(), byLBFGS(8), nil); !errors.As(err, &e) || e.Iteration != 5 || tr.Done() != 4 || !tr.Settled() {
		t.Errorf("%v, %d iterations done", err, tr.Done())
	}
	if theta, err := tr.Parameters(); err != nil || math.Abs(theta[0]) < 1e20 {
		t.Errorf("parameters %v: %v", theta[0], err)
	}
}
