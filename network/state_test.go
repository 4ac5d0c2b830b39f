package network_test

import (
	"context"
	"errors"
	"math"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"clgrad/cpu"
	"clgrad/network"
	"clgrad/network/must"
)

// A run of each rule that is interrupted, and goes on in another trainer with the state
// that the first one had, ends with the bits of one that was not.
func TestStateGoesOn(t *testing.T) {
	l, s := layout(t, 5, 6, 3), blobs(53, 5, 3, 7)
	for _, o := range network.Optimizers() {
		if o == network.LBFGS {
			continue // it has no batches: TestLBFGSDescentResumes has it
		}
		d := network.Descent{Iterations: 40, Rule: network.NewRule(o), LearningRate: 0.05}
		d.Schedule = network.Schedule{Shape: network.Cosine, Steps: 50, Warmup: 3}
		run := func(tr *network.Trainer, iterations int) ([]float64, network.State) {
			d := d
			d.Iterations = iterations
			must.OK(t, tr.Descend(context.Background(), d, nil))
			theta, err := tr.Parameters()
			must.OK(t, err)
			state, err := tr.State()
			must.OK(t, err)
			return theta, state
		}
		whole := newTrainer(t, l, s, 10, true, nil, cpu.New[float32]())
		wantTheta, wantState := run(whole, 40)

		theta, state := run(newTrainer(t, l, s, 10, true, nil, cpu.New[float32]()), 17)
		if err := state.Check(l.Len, 17); err != nil || state.Optimizer != o || state.Since != 0 || len(state.Vectors) != d.Rule.States() {
			t.Errorf("%s: its state has %d vectors of %q since %d: %v", o, len(state.Vectors), state.Optimizer, state.Since, err)
		}
		other := newTrainer(t, l, s, 10, true, nil, cpu.New[float32]())
		must.OK(t, other.SetParameters(theta, 17))
		must.OK(t, other.SetState(state))
		gotTheta, gotState := run(other, 40)
		if d := cmp.Diff(wantTheta, gotTheta) + cmp.Diff(wantState, gotState); d != "" {
			t.Errorf("%s: the run that went on differs:\n%s", o, d)
		}
		if d.Rule.States() == 0 {
			continue
		}
		if err := other.SetParameters(theta, 17); err != nil { // without its state
			t.Fatal(err)
		}
		if gotTheta, gotState = run(other, 40); cmp.Equal(wantTheta, gotTheta) || gotState.Since != 17 {
			t.Errorf("%s: without its state, counted since %d, the run ends as with it", o, gotState.Since)
		}
	}
}

// A device that fails where a state is made or set leaves no part of one behind: a descent
// makes it anew, or is refused until there are parameters and state of one iteration.
func TestStateFails(t *testing.T) {
	l, s := layout(t, 5, 6, 3), blobs(53, 5, 3, 7)
	buffers, writes := -1, -1
	b := wrapped{cpu.New[float64](), func(x network.Executor) network.Executor {
		return faulty{Executor: x, buffers: &buffers, writes: &writes}
	}}
	tr := newTrainer(t, l, s, 53, false, nil, b)
	defer tr.Close()
	d := network.Descent{Iterations: 5, Rule: network.NewRule(network.Adam), LearningRate: 0.05}

	for _, buffers = range []int{0, 1} {
		if err := tr.Descend(context.Background(), d, nil); !errors.Is(err, errBroken) || !tr.Settled() {
			t.Errorf("a buffer that cannot be made: %v, settled %v", err, tr.Settled())
		}
	}
	buffers = -1
	must.OK(t, tr.Descend(context.Background(), d, nil))
	state, err := tr.State()
	must.OK(t, err)
	theta, err := tr.Parameters()
	must.OK(t, err)
	for _, fail := range []*int{&buffers, &writes} {
		if *fail = 1; !errors.Is(tr.SetState(state), errBroken) { // at the second vector
			t.Fatal("a state was set on a device that fails")
		}
		unusable(t, tr, network.ErrUnsettled)
		if _, err := tr.State(); !errors.Is(err, network.ErrUnsettled) {
			t.Errorf("state: %v", err)
		}
		*fail = -1
		must.OK(t, tr.SetParameters(theta, 5))
		must.OK(t, tr.SetState(state))
		if again, err := tr.State(); err != nil || !cmp.Equal(state, again) {
			t.Errorf("a state that was set is another, or %v", err)
		}
	}
}

// A state that no run can have is refused in one line that says what is wrong with it.
func TestStateCheck(t *testing.T) {
	two := func(v float64) [][]float64 { return [][]float64{{-1, 0, 2}, {0, v, 1}} }
	for _, c := range []struct {
		state network.State
		want  string // "" where it is one
	}{
		{network.State{}, ""},
		{network.State{Optimizer: network.Adam, Since: 4, Vectors: two(3)}, ""},
		{network.State{Optimizer: network.Momentum, Vectors: [][]float64{{-1, 0, 2}}}, ""},
		{network.State{Vectors: two(1)}, "is unknown"},
		{network.State{Optimizer: network.Adam, Vectors: two(1)[:1]}, "1 vectors where 2"},
		{network.State{Optimizer: network.Adam, Since: 5, Vectors: two(1)}, "since iteration 5"},
		{network.State{Optimizer: network.Momentum, Vectors: [][]float64{{1, 2}}}, "2 elements where the layout has 3"},
		{network.State{Optimizer: network.AdamW, Vectors: two(math.NaN())}, "a finite number is expected"},
		{network.State{Optimizer: network.AdamW, Vectors: two(-1e-9)}, "a mean of squares is expected"},
	} {
		err := c.state.Check(3, 4)
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%+v: %v where %q is expected", c.state, err, c.want)
		}
	}
}

// The shares of a schedule, by its formulas worked out by hand.
func TestSchedule(t *testing.T) {
	half := math.Sqrt(0.5)
	for _, c := range []struct {
		schedule network.Schedule
		want     []float64 // of iterations 1 …
	}{
		{network.Schedule{}, []float64{1, 1, 1}},
		{network.Schedule{Warmup: 4}, []float64{0.25, 0.5, 0.75, 1, 1}},
		{network.Schedule{Shape: network.StepDown, StepSize: 2, Gamma: 0.5}, []float64{1, 1, 0.5, 0.5, 0.25}},
		{network.Schedule{Shape: network.Cosine, Steps: 4}, []float64{1, (1 + half) / 2, 0.5, (1 - half) / 2}},
		{network.Schedule{Shape: network.Cosine, Steps: 4, Warmup: 2}, []float64{0.5, 1, 1, 0.5}},
	} {
		if err := c.schedule.Check(len(c.want)); err != nil {
			t.Errorf("%+v: %v", c.schedule, err)
		}
		for i, want := range c.want {
			if got := c.schedule.Share(i + 1); math.Abs(got-want) > 1e-15 {
				t.Errorf("%+v: share %g of iteration %d where %g is expected", c.schedule, got, i+1, want)
			}
		}
	}
	for want, s := range map[string]network.Schedule{
		"warm-up of -1 steps":   {Warmup: -1},
		"step size":             {Shape: network.StepDown, Gamma: 0.5},
		"gamma":                 {Shape: network.StepDown, StepSize: 1, Gamma: 1.5},
		"more than the 10":      {Shape: network.Cosine, Steps: 10, Warmup: 10},
		"11 iterations":         {Shape: network.Cosine, Steps: 10},
		`schedule "sawtooth" i`: {Shape: "sawtooth"},
	} {
		if err := s.Check(11); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: %v where %q is expected", s, err, want)
		}
	}
}

// A rule without a name is plain descent, and checked as such.
func TestRuleWithoutName(t *testing.T) {
	l, s := layout(t, 5, 6, 3), blobs(53, 5, 3, 7)
	tr := newTrainer(t, l, s, 53, false, nil, cpu.New[float64]())
	defer tr.Close()
	d := network.Descent{Iterations: 3, LearningRate: 0.1, Rule: network.Rule{WeightDecay: -1}}
	if err := tr.Descend(context.Background(), d, nil); err == nil || !strings.Contains(err.Error(), "weight decay is -1") {
		t.Errorf("weight decay -1: %v", err)
	}
	d.Rule.WeightDecay = 0.01
	must.OK(t, tr.Descend(context.Background(), d, nil))
	if state, err := tr.State(); err != nil || state.Optimizer != network.GD {
		t.Errorf("the state is of %q, %v", state.Optimizer, err)
	}
}
