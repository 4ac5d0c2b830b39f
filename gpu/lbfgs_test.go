package gpu

import (
	"context"
	"math"
	"testing"

	"clgrad/cpu"
	"clgrad/network"
)

// Seven iterations of L-BFGS on a device have the losses that they have in float64 on the
// CPU, up to a relative error of 3e-5: PoCL is off by 4e-6. The CPU in float32 is off by less.
// Later ones need not: a step that a line search interpolates amplifies the roundings before
// it, and with whole iterations the losses part at the eighth.
func TestLBFGS(t *testing.T) {
	t.Parallel()
	const bound, iterations = 3e-5, 7
	run := func(s network.Samples, b network.Backend) (losses []float64) {
		t.Helper()
		defer b.Close()
		l, err := network.NewLayout([]int{s.Features, 9, 3})
		if err != nil {
			t.Fatal(err)
		}
		plan, err := network.NewPlan(l.Sizes, s, s.Rows, b)
		if err != nil {
			t.Fatal(err)
		}
		tr, err := network.NewTrainer(l, s, plan, []network.Backend{b}, nil)
		if err != nil {
			t.Fatal(err)
		}
		defer tr.Close()
		theta, err := l.Initial(network.He, 1)
		if err != nil {
			t.Fatal(err)
		}
		if err := tr.SetParameters(theta, 0); err != nil {
			t.Fatal(err)
		}
		d := network.Descent{Iterations: iterations, LearningRate: 1, Rule: network.NewRule(network.LBFGS)}
		d.Rule.WeightDecay = 1e-3
		if err := tr.Descend(context.Background(), d, func(i network.Iteration) error {
			losses = append(losses, i.Loss)
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		return losses
	}
	for name, s := range map[string]network.Samples{"dense": noise(500, 20), "sparse": sparse(500, 20)} {
		want := run(s, cpu.New[float64]())
		if want[iterations-1] > want[0]*0.95 {
			t.Fatalf("%s: losses %v", name, want)
		}
		near := func(what string, got []float64, bound float64) {
			worst := 0.
			for i := range want {
				worst = max(worst, math.Abs(got[i]-want[i])/want[i])
			}
			t.Logf("%s, %s: %.3g off", what, name, worst)
			if !(worst <= bound) {
				t.Errorf("%s, %s: losses %v where %v are expected", what, name, got, want)
			}
		}
		near("CPU", run(s, cpu.New[float32]()), bound/3)
		for _, d := range usableDevices(t) {
			b, err := Open(d, Options{})
			if err != nil {
				t.Fatal(err)
			}
			near(d.ID(), run(s, b), bound)
		}
	}
}
