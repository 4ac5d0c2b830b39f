package gpu

import (
	"context"
	"errors"
	"math"
	"strings"
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

// Whatever single call of one of two devices fails, the descent ends with an error that names
// the device, and nothing of either is left unreleased. Where the second fails to compute its
// gradient, the parameters are those of the iteration before.
func TestOneOfTwoFailing(t *testing.T) {
	d := fakeDevice
	d.MaxBuffer = 8192
	second := d
	second.Index = 1
	train := func(a, b api) (settled bool, done int, err error) {
		s := tinyPacked()
		l, err := network.NewLayout([]int{s.Features, 6, 3})
		if err != nil {
			return false, 0, err
		}
		var backends []network.Backend
		for i, a := range []api{a, b} {
			b, e := open(a, []Device{d, second}[i], Options{Untested: true})
			if e != nil {
				return false, 0, e
			}
			defer func() { err = errors.Join(err, b.Close()) }()
			backends = append(backends, b)
		}
		plan, err := network.NewPlan(l.Sizes, s, s.Rows, backends...)
		if err != nil {
			return false, 0, err
		}
		tr, err := network.NewTrainer(l, s, plan, backends, nil)
		if err != nil {
			return false, 0, err
		}
		defer func() { err = errors.Join(err, tr.Close()) }()
		theta, err := l.Initial(network.He, 1)
		if err == nil {
			err = tr.SetParameters(theta, 0)
		}
		if err == nil {
			rule := network.NewRule(network.Adam)
			err = tr.Descend(t.Context(), network.Descent{Iterations: 4, Rule: rule, LearningRate: 1}, nil)
		}
		if tr.Settled() && err != nil {
			if _, e := tr.Parameters(); e != nil {
				return false, tr.Done(), errors.Join(err, e)
			}
			if _, e := tr.State(); e != nil {
				return false, tr.Done(), errors.Join(err, e)
			}
		}
		return tr.Settled(), tr.Done(), err
	}
	for which, name := range []string{"opencl:0.0: ", "opencl:0.1: "} {
		good := [2]*faultyAPI{{api: newFake()}, {api: newFake()}}
		if _, done, err := train(good[0], good[1]); err != nil || done != 4 {
			t.Fatalf("%d iterations, %v", done, err)
		}
		kept := 0
		for i := 1; i <= len(good[which].calls); i++ {
			fakes := [2]*fakeAPI{newFake(), newFake()}
			apis := [2]api{fakes[0], fakes[1]}
			apis[which] = &faultyAPI{api: fakes[which], fail: i}
			settled, done, err := train(apis[0], apis[1])
			call := good[which].calls[i-1]
			if !errors.Is(err, errInjected) || !strings.Contains(err.Error(), name) {
				t.Fatalf("%scall %d, %s, failing: error %v", name, i, call, err)
			}
			if settled && done > 0 && done < 4 {
				kept++
			}
			for _, f := range fakes {
				if len(f.live) > 0 || len(f.bad) > 0 {
					t.Fatalf("%scall %d, %s, failing: not released: %v, wrong: %v", name, i, call, f.live, f.bad)
				}
			}
		}
		if kept == 0 {
			t.Errorf("%sno failure kept the iterations before", name)
		}
		t.Logf("%s%d calls made to fail in turn, %d of them keep the iterations before", name, len(good[which].calls), kept)
	}
}
