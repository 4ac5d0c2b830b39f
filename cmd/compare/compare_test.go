package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os/exec"
	"strings"
	"testing"
)

// at returns a trial with accuracies after seconds.
func at(points ...[2]float64) (t trial) {
	var b strings.Builder
	for _, p := range points {
		fmt.Fprintf(&b, `,{"seconds":%g,"accuracy":%g}`, p[0], p[1])
	}
	if err := json.Unmarshal([]byte(`{"version":"1.0","epochs":[`+strings.TrimPrefix(b.String(), ",")+`]}`), &t); err != nil {
		panic(err)
	}
	return t
}

func TestTrial(t *testing.T) {
	x := at([2]float64{1, 0.9}, [2]float64{3, 0.97}, [2]float64{4, 0.96})
	if seconds, epochs := x.to(0.97); seconds != 3 || epochs != 2 {
		t.Errorf("97 %% after %g s, %g epochs", seconds, epochs)
	}
	if seconds, _ := x.to(0.98); !math.IsInf(seconds, 1) {
		t.Errorf("98 %% after %g s", seconds)
	}
	if got := x.epoch(); got != 1 {
		t.Errorf("%g s an epoch", got)
	}
	inf := math.Inf(1)
	for _, c := range []struct {
		v    []float64
		want float64
	}{{nil, inf}, {[]float64{2, inf, 1}, 2}, {[]float64{1, inf}, inf}, {[]float64{4, 1}, 2.5}} {
		if got := middle(c.v); got != c.want {
			t.Errorf("median of %v is %g, want %g", c.v, got, c.want)
		}
	}
	for _, c := range []struct {
		ours, peer float64
		want       string
	}{{0.5, 3, "6.0× as fast"}, {2, inf, "over 30.0× as fast"}, {inf, 3, ""}, {inf, inf, ""}} {
		if got := ratio(c.ours, c.peer, 60); got != c.want {
			t.Errorf("ratio of %g and %g: %q, want %q", c.ours, c.peer, got, c.want)
		}
	}
}

// The first pass takes the setting and the variant that came to the target first, gives none
// more time than the best one took, and takes the most accurate where none came there. Only
// the best settings of the first variant are tried in the others.
func TestBest(t *testing.T) {
	target := 0.97
	var settings []setting
	for batch := range 5 {
		settings = append(settings, setting{Batch: batch + 1, Target: &target, Limit: 60})
	}
	var tried []string
	l := &learner{name: "x", variants: []variant{{name: "one"}, {name: "two"}}}
	l.try = func(v variant, all []setting) (trials []trial, err error) {
		for _, s := range all {
			tried = append(tried, fmt.Sprintf("%s %d %g", v.name, s.Batch, s.Limit))
			if v.name == "two" {
				trials = append(trials, at([2]float64{float64(s.Batch), 0.975}))
			} else {
				trials = append(trials, at([2]float64{2, 0.9}, [2]float64{20 - float64(s.Batch), 0.97 + float64(s.Batch)/1000}))
			}
		}
		return trials, nil
	}
	best, seconds, err := l.best(settings)
	want := "one 1 60, one 2 60, one 3 60, one 4 60, one 5 60, two 5 15, two 4 15, two 3 15"
	if got := strings.Join(tried, ", "); err != nil || best.name != "two" || best.Batch != 3 || best.Limit != 60 || seconds != 3 || got != want {
		t.Errorf("%v after %g s, %v; tried %s", best, seconds, err, got)
	}
	target = 0.99
	if best, seconds, err := l.best(settings); err != nil || best.name != "one" || best.Batch != 5 || !math.IsInf(seconds, 1) {
		t.Errorf("%v after %g s, %v", best, seconds, err)
	}
	l.try = func(variant, []setting) ([]trial, error) { return nil, errors.New("no module named x") }
	if _, _, err := l.best(settings); err == nil || err.Error() != "x: no module named x" {
		t.Error(err)
	}
}

// What does not exist is an error of one line with what the command said last.
func TestOutput(t *testing.T) {
	_, _, err := output(exec.Command("sh", "-c", "echo first >&2; echo last >&2; exit 3"))
	if err == nil || err.Error() != "exit status 3: last" {
		t.Error(err)
	}
	out, seconds, err := output(exec.Command("echo", "good"))
	if err != nil || string(out) != "good\n" || seconds <= 0 {
		t.Errorf("%q after %g s, %v", out, seconds, err)
	}
}

func TestCheck(t *testing.T) {
	good := options{rounds: 3, iterations: 6, seeds: 3, limit: 60, tables: tables}
	if err := good.check(); err != nil {
		t.Error(err)
	}
	for _, c := range []struct {
		spoil func(*options)
		want  string
	}{
		{func(o *options) { o.iterations = 1 }, "2 to 1000000 are possible"},
		{func(o *options) { o.seeds = 0 }, "0 seeds of 60 seconds"},
		{func(o *options) { o.limit = math.NaN() }, "3 seeds of NaN seconds"},
		{func(o *options) { o.tables = []string{"time"} }, `table "time" is unknown: one of iterations, epochs, accuracy, start`},
		{func(o *options) { o.gpu = true }, `table "epochs": on a GPU there is none but iterations`},
	} {
		o := good
		c.spoil(&o)
		if err := o.check(); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("error %v, want %q", err, c.want)
		}
	}
}

func TestSettingNames(t *testing.T) {
	for _, c := range []struct {
		of   choice
		want string
	}{
		{choice{variant{name: "1 thread"}, setting{Optimizer: "sgd", LR: 0.5, Batch: 64}}, "SGD 0.5, batch 64, 1 thread"},
		{choice{variant{}, setting{Optimizer: "lbfgs"}}, "L-BFGS, all rows"},
		{choice{variant{}, setting{Optimizer: "lbfgs", History: 30}}, "L-BFGS of 30 pairs, all rows"},
	} {
		if got := c.of.String(); got != c.want {
			t.Errorf("%q, want %q", got, c.want)
		}
	}
	if all := usual(); len(all) != 12 || all[0].String() != "SGD 0.5, batch 64" || all[8].String() != "Adam 0.001, batch 256" {
		t.Errorf("%v", all)
	}
}
