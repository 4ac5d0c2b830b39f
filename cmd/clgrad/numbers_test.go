package main

import (
	"context"
	"errors"
	"io"
	"math"
	"strings"
	"testing"

	"clgrad/gpu"
	"clgrad/network"
)

// What is odd about samples or rates has one outcome on every backend: the same
// losses, or an error of one line that says the same.
func TestOddNumbers(t *testing.T) {
	bytes := func(rows, features int, of func(i, j int) byte) network.Samples {
		s := network.Samples{Rows: rows, Features: features, Bytes: make([]byte, rows*features), Labels: make([]int32, rows)}
		for i := range s.Bytes {
			s.Bytes[i] = of(i/features, i%features)
		}
		for i := range s.Labels {
			s.Labels[i] = int32(i % 3)
		}
		return s
	}
	ordinary := func() network.Samples { return bytes(7, 20, func(i, j int) byte { return byte(i * j) }) }
	floats := func(special float32) network.Samples {
		s := network.Samples{Rows: 7, Features: 20, Floats: make([]float32, 140), Labels: make([]int32, 7)}
		for i := range s.Floats {
			s.Floats[i] = float32(i%11) - 5
		}
		s.Floats[77] = special
		return s
	}
	scaled := func(s network.Samples, shift, factor float64) network.Samples {
		s.Scaling = network.Scaling{Shift: []float64{shift}, Factor: []float64{factor}}
		return s
	}
	labelled := func(s network.Samples, label int32) network.Samples {
		s.Labels[len(s.Labels)/2] = label
		return s
	}
	constant := bytes(9, 20, func(int, int) byte { return 7 })
	one := bytes(9, 20, func(i, j int) byte { return byte(i * j) })
	clear(one.Labels)
	for _, c := range []struct {
		name    string
		samples network.Samples
		classes int
		rate    float64
		want    string // the error; none where the losses are to be equal
	}{
		{"ordinary", ordinary(), 3, 1e-4, ""},
		{"all features constant", scaled(constant, 0, 1./255), 3, 0.1, ""},
		{"all features constant and standardised", scaled(constant, 7, 1e5), 3, 0.1, ""},
		{"all features zero", bytes(9, 20, func(int, int) byte { return 0 }), 3, 0.1, ""},
		{"one class", one, 1, 1e-4, ""},
		{"one class of three", one, 3, 1e-4, ""},
		{"one row", bytes(1, 20, func(_, j int) byte { return byte(j) }), 3, 1e-4, ""},
		{"one row of one feature", bytes(1, 1, func(int, int) byte { return 3 }), 3, 0.1, ""},
		{"more classes than rows", ordinary(), 100, 1e-4, ""},
		{"exploding rate", floats(2), 3, 1e200, "not finite: lower the learning rate (now 1e+200) or scale the data"},
		{"infinite rate", ordinary(), 3, math.Inf(1), "learning rate +Inf: a positive number is expected"},
		{"rate that is not a number", ordinary(), 3, math.NaN(), "learning rate NaN: a positive number is expected"},
		{"a feature that is not a number", floats(float32(math.NaN())), 3, 0.01, "iteration 1: loss, gradient or parameters are not finite"},
		{"an infinite feature", floats(float32(math.Inf(1))), 3, 0.01, "iteration 1: loss, gradient or parameters are not finite"},
		{"label beyond the classes", labelled(ordinary(), 3), 3, 0.1, "row 4 has label 3: labels 0 to 2 are expected"},
		{"negative label", labelled(ordinary(), -1), 3, 0.1, "row 4 has label -1: labels 0 to 2 are expected"},
		{"no rows", network.Samples{Features: 20, Bytes: []byte{}, Labels: []int32{}}, 3, 0.1, "no samples"},
		{"no features", network.Samples{Rows: 7, Bytes: []byte{}, Labels: make([]int32, 7)}, 3, 0.1, "samples without features"},
		{"no labels", network.Samples{Rows: 7, Features: 20, Bytes: make([]byte, 140)}, 3, 0.1, "no labels"},
		{"scaling to what is not finite", scaled(ordinary(), 0, math.Inf(1)), 3, 0.1, "not finite"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var first []float64
			for _, name := range backends(t) {
				losses, err := oddRun(backendName(name), c.samples, c.classes, c.rate)
				if c.want != "" {
					if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "\n") {
						t.Errorf("%s: losses %v, error %v, want %q in one line", name, losses, err, c.want)
					}
					continue
				}
				if err != nil {
					t.Errorf("%s: %v", name, err)
					continue
				}
				if first == nil {
					first = losses
				}
				for i, loss := range losses {
					if !(math.Abs(loss-first[i]) <= 1e-5*(1+first[i])) {
						t.Errorf("%s: loss %g at iteration %d, %g on the CPU", name, loss, i+1, first[i])
					}
				}
			}
		})
	}
}

// oddRun trains 12 iterations and returns the losses.
func oddRun(name backendName, s network.Samples, classes int, rate float64) (losses []float64, err error) {
	b, err := name.open(&app{Context: context.Background(), err: io.Discard}, gpu.Options{})
	if err != nil {
		return nil, err
	}
	defer closing(&err, b)
	l, err := network.NewLayout([]int{max(1, s.Features), 8, classes})
	if err != nil {
		return nil, err
	}
	plan, err := network.NewPlan(l.Sizes, s, max(1, s.Rows), b)
	if err != nil {
		return nil, err
	}
	t, err := network.NewTrainer(l, s, plan, []network.Backend{b}, nil)
	if err != nil {
		return nil, err
	}
	defer closing(&err, t)
	theta, err := l.Initial(network.He, 1)
	if err != nil {
		return nil, err
	}
	if err := t.SetParameters(theta, 0); err != nil {
		return nil, err
	}
	err = t.Descend(context.Background(), network.Descent{Iterations: 12, LearningRate: rate}, func(i network.Iteration) error {
		losses = append(losses, i.Loss)
		return nil
	})
	if err == nil {
		_, _, err = t.Score(s)
	}
	if errors.Is(err, network.ErrUnsettled) {
		return nil, errors.New("unsettled without an error before")
	}
	return losses, err
}
