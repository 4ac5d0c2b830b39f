package compare

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"clgrad/cmd/clgrad/recipe"
	"clgrad/cmd/clgrad/report"
	"clgrad/cpu"
	"clgrad/network"
	"clgrad/network/dataset"
	"clgrad/network/must"
)

// small returns options for settings of two classes of two features.
func small(t *testing.T, settings ...Setting) Options {
	t.Helper()
	s := network.Samples{Rows: 40, Features: 2}
	for i := range s.Rows {
		y := i % 2
		s.Labels = append(s.Labels, int32(y))
		s.Floats = append(s.Floats, float32(y)+float32(i%5)/10, float32(i%7)/7)
	}
	l, err := network.NewLayout([]int{2, 3, 2})
	must.OK(t, err)
	return Options{
		Setup: recipe.Setup{Init: network.He, Seed: 7}, Set: dataset.Set{Name: "small", Train: s, Test: s.Slice(0, 10), Classes: 2}, Layout: l,
		Settings: settings, Epochs: 3, Seeds: 1,
		Open: func(string) (network.Backend, error) { return cpu.New[float64](), nil },
		Note: t.Logf,
	}
}

// What a signal leaves is what was known before it: whole epochs, and no time to a target
// that a run may still have reached.
func TestStopped(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	o := small(t, Setting{network.GD, 40, 0.5, "cpu64"}, Setting{network.Adam, 8, 0.001, "cpu64"})
	o.Seeds, o.Target = 2, 1
	o.Set.Test.Floats = slices.Clone(o.Set.Test.Floats)
	copy(o.Set.Test.Floats[:2], o.Set.Test.Floats[2:4]) // two equal rows of two classes: none gets all right
	var all int
	o.Progress = func(_ string, done, of int) {
		if all = of; done == 9 { // the second run's second epoch of the second entry
			cancel()
		}
	}
	r, err := Compare(ctx, o)
	if !errors.Is(err, context.Canceled) || all != 12 {
		t.Fatalf("error %v, %d epochs in all", err, all)
	}
	for i, want := range [][]int{{3, 2}, {3, 1}} {
		x := r.Entries[i]
		if len(x.Runs) != 2 || len(x.Runs[0].Epochs) != want[0] || len(x.Runs[1].Epochs) != want[1] || !x.Runs[0].Ended || x.Runs[1].Ended {
			t.Errorf("%+v", x)
		}
		if x.Accuracy != x.Runs[0].Epochs[2].Accuracy || !math.IsNaN(float64(x.TargetSeconds)) || x.Reached != 0 {
			t.Errorf("figures are not those of the run that ended: %+v", x)
		}
	}
	if x := r.Entries[0].Runs; x[0].Seed != 7 || x[1].Seed != 8 || x[0].Epochs[0].Loss == x[1].Epochs[0].Loss {
		t.Errorf("two seeds gave %+v", x)
	}
	text, err := json.Marshal(r)
	if err != nil || !strings.Contains(string(text), `"target_seconds":null`) {
		t.Errorf("%s, %v", text, err)
	}
}

// The same seed gives the same losses: the warm-up leaves nothing behind.
func TestWarmup(t *testing.T) {
	warm := small(t, Setting{network.Nesterov, 7, 0.1, "cpu64"})
	r, err := Compare(t.Context(), warm)
	must.OK(t, err)
	warm.Cold = true
	cold, err := Compare(t.Context(), warm)
	must.OK(t, err)
	if x, y := r.Entries[0].Runs[0], cold.Entries[0].Runs[0]; x.Warmup <= 0 || y.Warmup != 0 || x.Epochs[2].Loss != y.Epochs[2].Loss || r.excluded() == cold.excluded() {
		t.Errorf("warm %+v, cold %+v", x, y)
	}
	o := small(t)
	b := cpu.New[float64]()
	plan, err := network.NewOrderedPlan(o.Layout.Sizes, o.Set.Train, 7, network.Random, 7, b)
	must.OK(t, err)
	plan.Shuffle = true
	trainer, err := network.NewTrainer(o.Layout, o.Set.Train, plan, []network.Backend{b}, nil)
	must.OK(t, err)
	defer trainer.Close()
	theta, err := o.Layout.Initial(network.He, 7)
	must.OK(t, err)
	must.OK(t, trainer.SetParameters(theta, 0))
	must.OK(t, trainer.Descend(t.Context(), network.Descent{Iterations: 18, Rule: network.NewRule(network.Nesterov), LearningRate: 0.1}, nil))
	loss, accuracy, err := trainer.Score(o.Set.Test)
	last := r.Entries[0].Runs[0].Epochs[2]
	if err != nil || float64(last.HeldOutLoss) != loss || float64(last.Accuracy) != accuracy {
		t.Errorf("%+v, where plain training comes to %g and %g, %v", last, loss, accuracy, err)
	}
}

// Settings that no memory holds are refused before any is loaded.
func TestRoom(t *testing.T) {
	o := small(t, slices.Repeat([]Setting{{network.GD, 40, 0.5, "cpu64"}}, MaxEntries)...)
	o.Open = func(string) (network.Backend, error) { return tiny{cpu.New[float64]()}, nil }
	_, err := Compare(t.Context(), o)
	if err == nil || !strings.Contains(err.Error(), "64 settings at a time need 0.0 GB of memory at least") {
		t.Error(err)
	}
}

// tiny is a backend on a machine of one byte less than 64 settings need.
type tiny struct{ network.Backend }

func (b tiny) Info() network.Info {
	info := b.Backend.Info()
	info.Memory = MaxEntries*8*50*2 - 1
	return info
}

func TestMedian(t *testing.T) {
	inf, nan := math.Inf(1), math.NaN()
	for _, c := range []struct {
		v    []float64
		want float64
	}{
		{nil, nan}, {[]float64{3}, 3}, {[]float64{4, 1}, 2.5}, {[]float64{inf, 1, 2}, 2}, {[]float64{inf, 1}, nan},
		{[]float64{inf, 1, inf}, nan}, {[]float64{1, 5, 3, inf}, 4}, {[]float64{1, nan, 2}, nan},
	} {
		if got := float64(median(c.v)); got != c.want && !(math.IsNaN(got) && math.IsNaN(c.want)) {
			t.Errorf("median of %v is %g, want %g", c.v, got, c.want)
		}
	}
}

// A name has what differs.
func TestNames(t *testing.T) {
	cross := func(o []network.Optimizer, sizes []int, rates []float64, backends []string) []string {
		all, err := Cross(o, sizes, rates, backends, 60)
		must.OK(t, err)
		return names(all, 60)
	}
	both := []network.Optimizer{network.GD, network.Adam}
	for _, c := range []struct {
		got  []string
		want string
	}{
		{cross(both, []int{0}, nil, []string{"cpu"}), "gd|adam"},
		{cross(both[:1], []int{0, 60}, nil, []string{"cpu"}), "gd"},
		{cross(both[:1], []int{0, 6}, nil, []string{"cpu", "opencl"}), "gd, all rows, cpu|gd, batch 6, cpu|gd, all rows, opencl|gd, batch 6, opencl"},
		{cross(both, []int{6}, []float64{0.1, 0.5}, []string{"cpu"}), "gd, lr 0.1|gd, lr 0.5|adam, lr 0.1|adam, lr 0.5"},
	} {
		if got := strings.Join(c.got, "|"); got != c.want {
			t.Errorf("names %q, want %q", got, c.want)
		}
	}
	all, err := Cross(both, []int{6}, nil, []string{"cpu"}, 60)
	if err != nil || all[0].LearningRate != 0.5 || all[1].LearningRate != 0.001 {
		t.Errorf("%+v, %v", all, err)
	}
}

// More entries than a chart can tell apart: the best are drawn, and the page says so.
func TestManyEntries(t *testing.T) {
	r := Report{Seeds: 1, Data: "small"}
	for i := range report.MaxLines + 3 {
		r.Entries = append(r.Entries, Entry{Name: fmt.Sprintf("entry %d", i), Runs: []Run{{Epochs: []Epoch{{1, 0.5, 1, 1, network.Number(i) / 100}}}}})
	}
	r.Entries[9].Runs[0].Epochs[0].Accuracy = network.Number(math.NaN())
	page := r.Page("clgrad compare")
	for _, p := range page.Panels {
		if len(p.Lines) != report.MaxLines || p.Lines[0].Name != fmt.Sprintf("entry %d", report.MaxLines+2) ||
			slices.ContainsFunc(p.Lines, func(l report.Line) bool { return l.Name == "entry 9" || l.Name == "entry 0" }) {
			t.Errorf("%s has %+v", p.Heading, p.Lines)
		}
	}
	if len(page.Notes) != 1 || !strings.Contains(page.Notes[0], fmt.Sprintf("the %d of %d entries", report.MaxLines, report.MaxLines+3)) {
		t.Errorf("notes %q", page.Notes)
	}
	if err := report.Write(t.TempDir(), page); err != nil {
		t.Error(err)
	}
}
