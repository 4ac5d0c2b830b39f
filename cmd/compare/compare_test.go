package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
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
	l.train = func(v variant, s setting) (trial, error) {
		tried = append(tried, fmt.Sprintf("%s %d %g", v.name, s.Batch, s.Limit))
		if v.name == "two" {
			return at([2]float64{float64(s.Batch), 0.975}), nil
		}
		return at([2]float64{2, 0.9}, [2]float64{20 - float64(s.Batch), 0.97 + float64(s.Batch)/1000}), nil
	}
	best, err := l.best(settings)
	want := "one 1 60, one 2 19, one 3 18, one 4 17, one 5 16, two 5 15, two 4 5, two 3 4"
	if got := strings.Join(tried, ", "); err != nil || best.name != "two" || best.Batch != 3 || best.Limit != 60 || best.took != 3 || got != want {
		t.Errorf("%v after %g s, %v; tried %s", best, best.took, err, got)
	}
	target = 0.99
	if best, err := l.best(settings); err != nil || best.name != "one" || best.Batch != 5 || !math.IsInf(best.took, 1) {
		t.Errorf("%v after %g s, %v", best, best.took, err)
	}
	l.train = func(variant, setting) (trial, error) { return trial{}, errors.New("no module named x") }
	if _, err := l.best(settings); err == nil || err.Error() != "x: no module named x" {
		t.Error(err)
	}
}

// A learner that is like another tries the best settings of that one's last choice, and none
// where that one failed.
func TestLike(t *testing.T) {
	var tried []int
	train := func(_ variant, s setting) (trial, error) {
		tried = append(tried, s.Batch)
		return at([2]float64{math.Abs(float64(s.Batch) - 4), 0.975}), nil
	}
	first := &learner{name: "first", variants: []variant{{}}, train: train}
	second := &learner{name: "second", variants: []variant{{}}, train: train, like: first}
	s := &session{options: options{limit: 60, seeds: 1}, ours: &learner{}}
	g := goal{name: "97 %", target: 0.97, layers: []int{784, 128, 10}}
	if _, err := s.choose(second, g); err == nil || err.Error() != "first has no settings for it" {
		t.Error(err)
	}
	for batch := range 6 {
		g.settings = append(g.settings, setting{Batch: batch + 1})
	}
	for _, l := range []*learner{first, second} {
		if c, err := s.choose(l, g); err != nil || c.Batch != 4 {
			t.Errorf("%s chooses %v, %v", l.name, c, err)
		}
	}
	if got := fmt.Sprint(tried); got != "[1 2 3 4 5 6 4 3 5]" {
		t.Errorf("batches tried: %s", got)
	}
}

// A peer answers line by line; of one that ends, the error has what it said last.
func TestPeer(t *testing.T) {
	program := filepath.Join(t.TempDir(), "program")
	if err := os.WriteFile(program, []byte(`while read line; do
	[ "$line" = '"end"' ] && { echo first >&2; echo "no module named $1" >&2; exit 3; }
	[ "$line" = '"odd"' ] && { echo odd; continue; }
	echo "{\"version\":\"$1 $2 $THREADS\"}"
done`), 0o666); err != nil {
		t.Fatal(err)
	}
	start := func() *peer {
		p, err := startPeer("sh", program, "engine", "data", []string{"THREADS=4"})
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	p, answer := start(), trial{}
	for range 2 {
		if err := p.ask(1, &answer); err != nil || answer.Version != "engine data 4" {
			t.Errorf("%+v, %v", answer, err)
		}
	}
	if seconds, err := p.end(); err != nil || seconds <= 0 {
		t.Errorf("%g s, %v", seconds, err)
	}
	if err := start().ask("end", &answer); err == nil || err.Error() != "exit status 3: no module named engine" {
		t.Error(err)
	}
	if err := start().ask("odd", &answer); err == nil || !strings.HasPrefix(err.Error(), `"odd\n": `) {
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
		{func(o *options) { o.gpu = true }, `table "start": on a GPU there are iterations, epochs, accuracy`},
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
	if all := large(); len(all) != 15 || all[6].String() != "Nesterov 0.4, batch 4096" {
		t.Errorf("%v", all)
	}
	if sum, err := flops([]int{784, 128, 10}); err != nil || sum != 60000*2*(2*784*128+3*128*10) {
		t.Errorf("%g operations, %v", sum, err)
	}
}
