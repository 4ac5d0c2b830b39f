package network_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"testing"

	"clgrad/network"
	"clgrad/network/must"
)

// torchRules is testdata/torch_rules.json, which torch_rules.py beside it writes.
type torchRules struct {
	Torch   string      `json:"torch"`
	Sizes   []int       `json:"sizes"`
	Inputs  []float32   `json:"inputs"`
	Labels  []int32     `json:"labels"`
	Initial []float64   `json:"initial"`
	Cases   []torchCase `json:"cases"`
}

type torchCase struct {
	Optimizer string `json:"optimizer"`
	Options   struct {
		LR          float64     `json:"lr"`
		Momentum    float64     `json:"momentum"`
		Nesterov    bool        `json:"nesterov"`
		Betas       *[2]float64 `json:"betas"`
		Eps         *float64    `json:"eps"`
		WeightDecay *float64    `json:"weight_decay"`
	} `json:"options"`
	Scheduler string `json:"scheduler"`
	Schedule  struct {
		StepSize int     `json:"step_size"`
		Gamma    float64 `json:"gamma"`
		TMax     int     `json:"T_max"`
	} `json:"schedule"`
	Rates      []float64   `json:"rates"`      // of each step
	Parameters [][]float64 `json:"parameters"` // after each step
}

// descent returns the same in our words. What the options do not say is left to
// NewRule, whose defaults are to be PyTorch's.
func (c torchCase) descent(t *testing.T) network.Descent {
	o := c.Options
	var r network.Rule
	switch {
	case c.Optimizer == "SGD" && o.Momentum == 0:
		r = network.NewRule(network.GD)
	case c.Optimizer == "SGD" && o.Nesterov:
		r = network.NewRule(network.Nesterov)
	case c.Optimizer == "SGD":
		r = network.NewRule(network.Momentum)
	case c.Optimizer == "Adam":
		r = network.NewRule(network.Adam)
	case c.Optimizer == "AdamW":
		r = network.NewRule(network.AdamW)
	default:
		t.Fatalf("optimizer %q", c.Optimizer)
	}
	r.Momentum = o.Momentum
	if o.Betas != nil {
		r.Beta1, r.Beta2 = o.Betas[0], o.Betas[1]
	}
	if o.Eps != nil {
		r.Epsilon = *o.Eps
	}
	if o.WeightDecay != nil {
		r.WeightDecay = *o.WeightDecay
	}
	d := network.Descent{Rule: r, LearningRate: o.LR}
	switch c.Scheduler {
	case "":
	case "StepLR":
		d.Schedule = network.Schedule{Shape: network.StepDown, StepSize: c.Schedule.StepSize, Gamma: c.Schedule.Gamma}
	case "CosineAnnealingLR":
		d.Schedule = network.Schedule{Shape: network.Cosine, Steps: c.Schedule.TMax}
	default:
		t.Fatalf("scheduler %q", c.Scheduler)
	}
	return d
}

// fromTorch lays out parameters that stand as PyTorch lists them: for each layer the weight,
// outputs × inputs, and then the bias.
func fromTorch(t *testing.T, l network.Layout, values []float64) []float64 {
	t.Helper()
	if len(values) != l.Parameters() {
		t.Fatalf("%d parameters where %d are expected", len(values), l.Parameters())
	}
	theta := make([]float64, l.Len)
	for i := range l.Layers() {
		w, b := l.Layer(i)
		for output := range w.Cols {
			for input := range w.Rows {
				w.Row(theta, input)[output] = values[output*w.Rows+input]
			}
		}
		values = values[w.Rows*w.Cols:]
		copy(b.Row(theta, 0), values)
		values = values[b.Cols:]
	}
	return theta
}

// Ten steps of every rule, with weight decay and schedules, are PyTorch's own numbers.
func TestRulesOfPyTorch(t *testing.T) {
	text, err := os.ReadFile("testdata/torch_rules.json")
	must.OK(t, err)
	var torch torchRules
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.DisallowUnknownFields()
	must.OK(t, decoder.Decode(&torch))
	const steps = 10
	l := layout(t, torch.Sizes...)
	samples := network.Samples{Rows: len(torch.Labels), Features: torch.Sizes[0], Floats: torch.Inputs, Labels: torch.Labels}
	seen := map[any]bool{}
	for i, c := range torch.Cases {
		d := c.descent(t)
		seen[d.Rule.Optimizer], seen[d.Schedule.Shape] = true, true
		t.Run(fmt.Sprintf("%d %s %s", i+1, d.Rule.Optimizer, c.Scheduler), func(t *testing.T) {
			if len(c.Rates) != steps || len(c.Parameters) != steps {
				t.Fatalf("%d rates and parameters of %d steps", len(c.Rates), len(c.Parameters))
			}
			tr := trainer(t, l, samples, samples.Rows, samples.Rows)
			must.OK(t, tr.SetParameters(fromTorch(t, l, torch.Initial), 0))
			for k := range steps {
				if got := d.LearningRate * d.Schedule.Share(k+1); math.Abs(got-c.Rates[k]) > 1e-15 {
					t.Errorf("the learning rate of step %d is %v where PyTorch's is %v", k+1, got, c.Rates[k])
				}
				d.Iterations = k + 1
				must.OK(t, tr.Descend(t.Context(), d, nil))
				got, err := tr.Parameters()
				must.OK(t, err)
				for j, want := range fromTorch(t, l, c.Parameters[k]) {
					if diff := math.Abs(got[j] - want); !(diff <= 1e-13) {
						t.Fatalf("after step %d element %d is %v where PyTorch's is %v, %.3g off", k+1, j, got[j], want, diff)
					}
				}
			}
		})
	}
	for _, o := range []network.Optimizer{network.GD, network.Momentum, network.Nesterov, network.Adam, network.AdamW} {
		if !seen[o] {
			t.Errorf("no case of %s", o)
		}
	}
	for _, s := range []network.Shape{network.StepDown, network.Cosine} {
		if !seen[s] {
			t.Errorf("no case of the schedule %s", s)
		}
	}
}
