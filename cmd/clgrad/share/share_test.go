package share

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"clgrad/cpu"
	"clgrad/network"
)

func TestSixteenths(t *testing.T) {
	for _, c := range []struct {
		speeds []float64
		want   []int
	}{
		{[]float64{1, 1}, []int{8, 8}},
		{[]float64{1.1, 1}, []int{8, 8}},
		{[]float64{1.3, 1}, []int{9, 7}},
		{[]float64{1e6, 1}, []int{15, 1}},
		{[]float64{1, 1e6, 1}, []int{1, 14, 1}},
		{[]float64{1, 1, 1}, []int{6, 5, 5}},
		{slices.Repeat([]float64{2}, 16), slices.Repeat([]int{1}, 16)},
	} {
		got := Sixteenths(c.speeds)
		slices.Sort(got)
		slices.Sort(c.want) // of equal speeds any may have one more
		if !slices.Equal(got, c.want) {
			t.Errorf("speeds %v: shares %v, want %v", c.speeds, got, c.want)
		}
	}
	rapid.Check(t, func(r *rapid.T) {
		speeds := rapid.SliceOfN(rapid.Float64Range(1e-3, 1e9), 2, Most).Draw(r, "speeds")
		sum, all := 0, 0.
		shares := Sixteenths(speeds)
		for i, n := range shares {
			if sum += n; n < 1 {
				r.Fatalf("shares %v", shares)
			}
			all += speeds[i]
		}
		if sum != whole {
			r.Fatalf("shares %v are %d parts", shares, sum)
		}
		for i, n := range shares { // nobody has more than the next sixteenth of its part
			if part := whole * speeds[i] / all; n > 1 && float64(n) > part+1 {
				r.Fatalf("shares %v of speeds %v", shares, speeds)
			}
		}
	})
}

// Speeds are measured once for the same devices, network and batches, and again for others.
func TestMeasuredOnce(t *testing.T) {
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	t.Setenv("HOME", t.TempDir())
	plan := network.Plan{Sizes: []int{4, 3}, BatchRows: 10, Shards: []network.ShardPlan{{Backend: "a", Device: "A"}, {Backend: "b", Device: "B"}}}
	measured := 0
	ask := func(p network.Plan) ([]int, bool) {
		t.Helper()
		shares, known, problem, err := Shares(p, func() ([]float64, error) {
			measured++
			return []float64{3, float64(measured)}, nil
		})
		if err != nil || problem != nil {
			t.Fatal(err, problem)
		}
		return shares, known
	}
	first, known := ask(plan)
	if known || measured != 1 || !slices.Equal(first, []int{12, 4}) {
		t.Errorf("first shares are %v, known %v, measured %d times", first, known, measured)
	}
	if again, known := ask(plan); !known || measured != 1 || !slices.Equal(again, first) {
		t.Errorf("second shares are %v, known %v, measured %d times", again, known, measured)
	}
	for i, other := range []func(*network.Plan){
		func(p *network.Plan) { p.BatchRows = 11 },
		func(p *network.Plan) { p.Sizes = []int{4, 5, 3} },
		func(p *network.Plan) { p.Shards[1].Driver = "newer" },
		func(p *network.Plan) { p.Shards[0].Build = "other kernels" },
		func(p *network.Plan) { p.Shards[0].Settings = []byte(`{"tuned": 1}`) },
	} {
		p := plan
		p.Shards = slices.Clone(plan.Shards)
		other(&p)
		if _, known := ask(p); known {
			t.Errorf("change %d: shares of another plan are taken", i)
		}
	}
	broken := errors.New("broken")
	if _, _, _, err := Shares(network.Plan{Shards: plan.Shards}, func() ([]float64, error) { return nil, broken }); !errors.Is(err, broken) {
		t.Errorf("error %v", err)
	}
}

func TestBackends(t *testing.T) {
	b := Backends{cpu.New[float32](), cpu.New[float64]()}
	if info := b.Info(); info.Backend != "cpu,cpu64" || !strings.Contains(info.Device, ", ") || strings.Contains(info.Driver, ",") {
		t.Errorf("info %+v", info)
	}
	plan := network.Plan{Shards: []network.ShardPlan{{Backend: "cpu", Device: "A", Rows: 3}, {Backend: "cpu64", Device: "B", Rows: 4}, {Backend: "x", Device: "C", Rows: 5}}}
	if got, want := Rows(plan), "3 on cpu (A), 4 on cpu64 (B) and 5 on x (C)"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	if got, want := Words([]int{9, 6, 1}, plan), "9/16 on cpu (A), 6/16 on cpu64 (B) and 1/16 on x (C)"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	if err := b.Close(); err != nil {
		t.Error(err)
	}
}
