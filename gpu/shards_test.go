package gpu

import (
	"context"
	"math"
	"testing"

	"github.com/google/go-cmp/cmp"

	"clgrad/cpu"
	"clgrad/network"
)

// Shards on a device and on the CPU, in float32 and in float64, come to what one shard
// comes to, up to rounding, also where the last batch is short and reaches one of them
// alone; and to the same bits in a second run.
func TestShards(t *testing.T) {
	t.Parallel()
	host := func() network.Backend { return cpu.New[float32]() }
	double := func() network.Backend { return cpu.New[float64]() }
	for _, d := range usableDevices(t) {
		device := func() network.Backend {
			b, err := Open(d, Options{})
			if err != nil {
				t.Fatal(err)
			}
			return b
		}
		for name, s := range map[string]network.Samples{"dense": noise(101, 20), "sparse": sparse(101, 20)} {
			for _, batchRows := range []int{30, 33} { // a last batch of 11 rows, and of 2
				one := descendOn(t, s, batchRows, double)
				for what, backends := range map[string][]func() network.Backend{
					"CPU, device and CPU in float64":   {host, device, double},
					"the device twice, CPU in float64": {device, device, double},
				} {
					if batchRows == 33 && name == "dense" {
						continue // devices take their time to start
					}
					many := descendOn(t, s, batchRows, backends...)
					what = d.ID() + ", " + name + ": " + what
					if len(many.losses) != len(one.losses) {
						t.Fatalf("%s, batches of %d: %d iterations", what, batchRows, len(many.losses))
					}
					for i, loss := range many.losses {
						if !(math.Abs(loss-one.losses[i]) <= 1e-5) {
							t.Errorf("%s, batches of %d: loss %g at iteration %d where one shard has %g", what, batchRows, loss, i+1, one.losses[i])
						}
					}
					for i, v := range many.theta {
						if !(math.Abs(v-one.theta[i]) <= 1e-5) {
							t.Fatalf("%s, batches of %d: parameter %d is %g where one shard has %g", what, batchRows, i, v, one.theta[i])
						}
					}
					again := descendOn(t, s, batchRows, backends...)
					if diff := cmp.Diff(many.losses, again.losses) + cmp.Diff(many.theta, again.theta); diff != "" {
						t.Errorf("%s, batches of %d: a second run differs:\n%s", what, batchRows, diff)
					}
				}
			}
		}
	}
}

// A descended is what a descent came to.
type descended struct{ losses, theta []float64 }

// descendOn runs three epochs in shuffled batches, with a shard on each backend.
func descendOn(t *testing.T, s network.Samples, batchRows int, opens ...func() network.Backend) (d descended) {
	t.Helper()
	l, err := network.NewLayout([]int{s.Features, 9, 3})
	if err != nil {
		t.Fatal(err)
	}
	var backends []network.Backend
	for _, open := range opens {
		b := open()
		defer b.Close()
		backends = append(backends, b)
	}
	plan, err := network.NewPlan(l.Sizes, s, batchRows, backends...)
	if err != nil {
		t.Fatal(err)
	}
	plan.Shuffle, plan.Seed = true, 3
	for i := range plan.Shards {
		plan.Shards[i].BlockRows = min(plan.Shards[i].BlockRows, 7)
	}
	tr, err := network.NewTrainer(l, s, plan, backends, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer tr.Close()
	start, err := l.Initial(network.He, 1)
	if err != nil {
		t.Fatal(err)
	}
	if err := tr.SetParameters(start, 0); err != nil {
		t.Fatal(err)
	}
	batches := (s.Rows + batchRows - 1) / batchRows
	if err := tr.Descend(context.Background(), network.Descent{Iterations: 3 * batches, LearningRate: 0.1},
		func(i network.Iteration) error {
			d.losses = append(d.losses, i.Loss)
			return nil
		}); err != nil {
		t.Fatal(err)
	}
	if d.theta, err = tr.Parameters(); err != nil {
		t.Fatal(err)
	}
	return d
}
