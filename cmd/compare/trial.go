package main

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os/exec"
	"runtime"
	"slices"
	"strings"
)

// A setting is how a network is trained once. learner.py reads the same object.
type setting struct {
	Layers    []int    `json:"layers"`
	Optimizer string   `json:"optimizer"` // sgd, nesterov, adam or lbfgs
	LR        float64  `json:"lr"`
	Batch     int      `json:"batch"` // 0 for all rows
	History   int      `json:"-"`     // pairs that clgrad's L-BFGS keeps, 0 for a peer's own number
	Seed      int      `json:"seed"`
	Epochs    int      `json:"epochs"`
	Target    *float64 `json:"target,omitempty"`
	Limit     float64  `json:"limit"` // seconds of training
	Warm      bool     `json:"warm"`
}

// String names the rule, its rate and the batches.
func (s setting) String() string {
	rule := map[string]string{"sgd": "SGD", "nesterov": "Nesterov", "adam": "Adam", "lbfgs": "L-BFGS"}[s.Optimizer]
	if s.LR > 0 {
		rule += fmt.Sprintf(" %g", s.LR)
	}
	if s.History > 0 {
		rule += fmt.Sprintf(" of %d pairs", s.History)
	}
	if s.Batch == 0 {
		return rule + ", all rows"
	}
	return fmt.Sprintf("%s, batch %d", rule, s.Batch)
}

// A trial is what training by a setting came to.
type trial struct {
	Version string `json:"version"`
	Epochs  []struct {
		Seconds  float64 `json:"seconds"` // of training so far
		Accuracy float64 `json:"accuracy"`
	} `json:"epochs"`
	whole float64 // seconds of the whole process
}

// to returns the seconds and epochs to an accuracy, infinite where it was not reached.
func (t trial) to(target float64) (seconds, epochs float64) {
	for i, e := range t.Epochs {
		if e.Accuracy >= target {
			return e.Seconds, float64(i + 1)
		}
	}
	return math.Inf(1), math.Inf(1)
}

// epoch returns the seconds of an epoch: the median.
func (t trial) epoch() float64 {
	var all []float64
	before := 0.
	for _, e := range t.Epochs {
		all = append(all, e.Seconds-before)
		before = e.Seconds
	}
	return middle(all)
}

// middle returns the median, infinite of nothing. Values may be infinite.
func middle(v []float64) float64 {
	if len(v) == 0 {
		return math.Inf(1)
	}
	s := slices.Sorted(slices.Values(v))
	return (s[(len(s)-1)/2] + s[len(s)/2]) / 2
}

// A variant is an environment that a learner may be faster in.
type variant struct {
	name string
	env  []string
}

// A learner trains by settings.
type learner struct {
	name     string
	variants []variant
	train    func(v variant, s setting) (trial, error)
	engine   string // of learner.py
	version  string // once it has run
	out      bool   // it cannot be run
	// like, where not nil, is a learner whose best settings this one tries, in place of all.
	like  *learner
	tried []result // of the last choice, the best first
}

// label returns the name with the version.
func (l *learner) label() string { return strings.TrimSpace(l.name + " " + l.version) }

// once trains by one setting.
func (l *learner) once(v variant, s setting) (trial, error) {
	t, err := l.train(v, s)
	if err != nil {
		return trial{}, fmt.Errorf("%s: %w", l.name, err)
	}
	l.version = t.Version
	return t, nil
}

// A choice is a setting in a variant.
type choice struct {
	variant
	setting
}

// String names setting and variant.
func (c choice) String() string {
	if c.variant.name == "" {
		return c.setting.String()
	}
	return c.setting.String() + ", " + c.variant.name
}

// A result is what a choice came to: the seconds to the target, infinite where it was not
// reached, and the highest accuracy.
type result struct {
	choice
	took, accuracy float64
}

// finalists is how many settings the first pass tries in every variant, and from those of another learner.
const finalists = 3

// best tries every setting in the first variant, and the settings that came to the target
// first in the others: threads and kernels hardly change how many epochs it takes. It
// returns the one that came there first; where none did, the one with the highest accuracy.
// One that has taken longer than the best before it is ended.
func (l *learner) best(settings []setting) (result, error) {
	l.tried = nil
	limit := math.Inf(1)
	for i, v := range l.variants {
		if i == 1 {
			settings = l.finalists()
		}
		for _, s := range settings {
			c := choice{v, s}
			s.Limit = min(s.Limit, limit)
			t, err := l.once(v, s)
			if err != nil {
				return result{}, err
			}
			r := result{choice: c}
			r.took, _ = t.to(*s.Target)
			for _, e := range t.Epochs {
				r.accuracy = max(r.accuracy, e.Accuracy)
			}
			limit = min(limit, r.took)
			l.tried = append(l.tried, r)
		}
	}
	l.finalists()
	return l.tried[0], nil
}

// finalists sorts what was tried, the best first, and returns the first settings.
func (l *learner) finalists() (all []setting) {
	slices.SortStableFunc(l.tried, func(a, b result) int {
		return cmp.Or(cmp.Compare(a.took, b.took), cmp.Compare(b.accuracy, a.accuracy))
	})
	for _, r := range l.tried[:min(finalists, len(l.tried))] {
		all = append(all, r.setting)
	}
	return all
}

// clgradLearner is clgrad compare, a process for each setting.
func clgradLearner(o options) *learner {
	return &learner{name: "clgrad", variants: []variant{{}}, train: func(_ variant, s setting) (trial, error) { return clgradTrial(o, s) }}
}

func clgradTrial(o options, s setting) (t trial, err error) {
	optimizer, batch := s.Optimizer, "all"
	if optimizer == "sgd" {
		optimizer = "gd"
	}
	if s.Batch > 0 {
		batch = fmt.Sprint(s.Batch)
	}
	args := []string{"compare", "--json", "--backend", o.backend, "--data", o.data, "--layers", hidden(s.Layers),
		"--optimizer", optimizer, "--batch-size", batch, "--seed", fmt.Sprint(s.Seed), "--epochs", fmt.Sprint(s.Epochs), "--time-limit", fmt.Sprint(max(1, math.Ceil(s.Limit)))}
	if s.LR > 0 {
		args = append(args, "--lr", fmt.Sprint(s.LR))
	}
	if s.History > 0 {
		args = append(args, "--history-size", fmt.Sprint(s.History))
	}
	if s.Target != nil {
		args = append(args, "--target", fmt.Sprint(*s.Target))
	}
	if !s.Warm {
		args = append(args, "--cold")
	}
	out, whole, err := output(exec.Command(o.clgrad, args...))
	if err != nil {
		return t, err
	}
	var r struct {
		Entries []struct {
			Runs []trial `json:"runs"`
		} `json:"entries"`
	}
	if err := json.Unmarshal(out, &r); err != nil {
		return t, err
	}
	if len(r.Entries) != 1 || len(r.Entries[0].Runs) != 1 {
		return t, errors.New("clgrad compare has another number of runs than one")
	}
	t = r.Entries[0].Runs[0]
	t.whole = whole
	return t, nil
}

// peerLearner is an engine of learner.py. A process in each variant trains by all settings
// but the cold ones, which have a process each.
func (s *session) peerLearner(name, engine string, variants []variant) *learner {
	l := &learner{name: name, variants: variants, engine: engine}
	l.train = func(v variant, c setting) (t trial, err error) {
		if c.Warm {
			err = s.peers.ask(s.learner, engine, v.env, c, &t)
		} else {
			t.whole, err = s.peers.askOnce(s.learner, engine, v.env, c, &t)
		}
		return t, err
	}
	return l
}

// threads returns variants of one thread and of all processors, each with OpenBLAS's own
// choice of kernels and, where the processor has AVX-512, with those for it.
func threads() (all []variant) {
	for _, n := range slices.Compact([]int{1, runtime.NumCPU()}) {
		name := "1 thread"
		if n > 1 {
			name = fmt.Sprintf("%d threads", n)
		}
		v := variant{name, []string{fmt.Sprintf("OMP_NUM_THREADS=%d", n), fmt.Sprintf("OPENBLAS_NUM_THREADS=%d", n)}}
		all = append(all, v)
		if wide() {
			all = append(all, variant{name + ", SkylakeX kernels", append(slices.Clone(v.env), skylake)})
		}
	}
	return all
}

// skylake tells OpenBLAS to take its kernels for AVX-512.
const skylake = "OPENBLAS_CORETYPE=SkylakeX"
