package cpu

import (
	"errors"
	"slices"
	"testing"

	"clgrad/network"
	"clgrad/network/must"
)

var (
	_ network.Prober      = (*Backend[float32])(nil)
	_ network.MemoryMeter = (*Backend[float64])(nil)
	_ network.Profiler    = (*Backend[float64])(nil)
)

func TestProbe(t *testing.T) {
	t.Run("float32", testProbe[float32])
	t.Run("float64", testProbe[float64])
}

// What a probe says it did is what it did.
func testProbe[T Float](t *testing.T) {
	b := New[T]()
	defer b.Close()
	b.memory = 256 << 20 // for small buffers: 16 MiB each
	work, took, err := b.Probe(network.Arithmetic, 1)
	if err != nil || took <= 0 || work != 2*probeSize*probeSize*probeSize {
		t.Fatalf("arithmetic: %g, %v", work, err)
	}
	if v := b.probes[network.Arithmetic][3*probeSize*probeSize-1]; v != probeSize/4 {
		t.Errorf("the last product is %g: %d is expected", v, probeSize/4)
	}
	if _, _, err := b.Probe(network.Bandwidth, 1); err != nil {
		t.Fatal(err)
	}
	memory := b.probes[network.Bandwidth]
	n := len(memory) / 2
	for i := range n {
		memory[i] = T(i % 1000003)
	}
	if work, _, err = b.Probe(network.Bandwidth, 3); err != nil || work != 3*2*16<<20 {
		t.Errorf("bandwidth: %g bytes, %v: 3 copies of 16 MiB are expected", work, err)
	}
	if !slices.Equal(memory[:n], memory[n:]) {
		t.Error("the copy differs")
	}
	if want := int64(32<<20 + 3*probeSize*probeSize*b.width()); b.MemoryHeld() != want {
		t.Errorf("%d bytes held, %d are expected", b.MemoryHeld(), want)
	}
	if _, _, err := b.Probe(2, 1); err == nil {
		t.Error("a third peak is no error")
	}
}

// The profile counts the operations of an iteration, and nothing without profiling.
func TestProfile(t *testing.T) {
	for _, profiling := range []bool{false, true} {
		b := New[float32]()
		if profiling {
			must.OK(t, b.StartProfile())
		}
		s := network.Samples{Rows: 5, Features: 6, Bytes: make([]byte, 30), Labels: make([]int32, 5)}
		layout, err := network.NewLayout([]int{6, 4, 3})
		must.OK(t, err)
		plan, err := network.NewPlan(layout.Sizes, s, s.Rows, b)
		must.OK(t, err)
		plan.Shards[0].BlockRows = 2
		trainer, err := network.NewTrainer(layout, s, plan, []network.Backend{b}, nil)
		must.OK(t, err)
		theta, err := layout.Initial(network.He, 1)
		must.OK(t, err)
		must.OK(t, trainer.SetParameters(theta, 0))
		for turn := range 2 {
			must.OK(t, trainer.Descend(t.Context(), network.Descent{Iterations: 2 * (turn + 1), LearningRate: 0.1}, nil))
			times, err := b.Profile()
			must.OK(t, err)
			launches := map[string]int{}
			for _, o := range times {
				launches[o.Operation] = o.Launches
				if o.Total <= 0 {
					t.Errorf("%s took %v", o.Operation, o.Total)
				}
			}
			work := layout.Work(s.Rows, 4)
			if !profiling {
				work = nil
			}
			if len(launches) != len(work) {
				t.Errorf("profiling %v: %v", profiling, launches)
			}
			for _, w := range work {
				want := 6 // three blocks in two iterations
				if w.Operation == network.OpUpdate {
					want = 2
				}
				if launches[w.Operation] != want {
					t.Errorf("%s: %d launches, %d are expected", w.Operation, launches[w.Operation], want)
				}
			}
		}
		must.OK(t, b.Close())
		if _, err := b.Profile(); !errors.Is(err, network.ErrClosed) {
			t.Errorf("profile of a closed backend: %v", err)
		}
	}
}
