package network_test

import (
	"slices"
	"testing"

	"clgrad/cpu"
	"clgrad/network"
	"clgrad/network/must"
)

// keeping is a backend that keeps the last input that was loaded.
type keeping struct {
	network.Backend
	last network.Input
}

func (k *keeping) Prepare(sizes []int, plan network.ShardPlan) (network.Executor, error) {
	x, err := k.Backend.Prepare(sizes, plan)
	return keepingExecutor{x, k}, err
}

type keepingExecutor struct {
	network.Executor
	k *keeping
}

func (x keepingExecutor) Load(s network.Samples, blocks []int) (_ network.Input, err error) {
	x.k.last, err = x.Executor.Load(s, blocks)
	return x.k.last, err
}

// A predictor gives the logits of its model for any number of rows, also after an error that
// closed its input.
func TestPredictor(t *testing.T) {
	all := blobs(40, 5, 3, 7)
	l := layout(t, 5, 6, 3)
	theta, err := l.Initial(network.He, 1)
	must.OK(t, err)
	b := &keeping{Backend: cpu.New[float32]()}
	defer b.Close()
	plan, err := b.Propose(l.Sizes, all, all.Rows)
	must.OK(t, err)
	m, err := network.NewModel(b, l, theta, plan)
	must.OK(t, err)
	defer m.Close()
	p, err := m.Predictor(all.Slice(0, 8))
	must.OK(t, err)
	input := b.last
	check := func(rows network.Samples) {
		t.Helper()
		want, err := m.Logits(rows)
		must.OK(t, err)
		if got, err := p.Logits(rows); err != nil || !slices.Equal(got, want) {
			t.Errorf("%d rows: logits %v, %v; the model has %v", rows.Rows, got, err, want)
		}
	}
	checkAll := func() {
		for _, n := range []int{1, 8, 3, 40, 17} {
			check(all.Slice(40-n, n))
		}
	}
	checkAll()
	if err := input.Close(); err != nil { // as a device does that has no memory for a refill
		t.Fatal(err)
	}
	if _, err := p.Logits(all); err == nil {
		t.Error("a closed input is filled")
	}
	checkAll()
}
