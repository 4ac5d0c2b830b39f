package main

import (
	"fmt"
	"math"
	"slices"
)

// A goal is an accuracy of a network, with who goes for it.
type goal struct {
	name     string
	target   float64
	layers   []int
	settings []setting // of which each learner takes its best
	peers    []*learner
}

// usual are the settings that are tried on a CPU.
func usual() (all []setting) {
	for _, rule := range []setting{{Optimizer: "sgd", LR: 0.5}, {Optimizer: "nesterov", LR: 0.1}, {Optimizer: "adam", LR: 0.001}, {Optimizer: "sgd", LR: 0.1}} {
		for _, rule.Batch = range []int{64, 128, 256} {
			all = append(all, rule)
		}
	}
	return all
}

// large are the settings that are tried on a GPU, which takes larger batches for little more
// time. Larger batches need higher rates: those left out need more epochs than those here.
func large() (all []setting) {
	for _, rule := range []struct {
		setting
		batches []int
	}{
		{setting{Optimizer: "nesterov", LR: 0.2}, []int{256, 512, 1024}},
		{setting{Optimizer: "nesterov", LR: 0.4}, []int{512, 1024, 2048, 4096}},
		{setting{Optimizer: "adam", LR: 0.004}, []int{256, 512, 1024}},
		{setting{Optimizer: "adam", LR: 0.008}, []int{1024, 2048, 4096}},
		{setting{Optimizer: "sgd", LR: 1}, []int{256, 512}},
	} {
		for _, rule.Batch = range rule.batches {
			all = append(all, rule.setting)
		}
	}
	return all
}

// goals returns those of the accuracy table. The first is that of the start table.
func (s *session) goals() []goal {
	if s.gpu {
		return []goal{{"97 %", 0.97, []int{784, 128, 10}, large(), s.torch}, {"98 %", 0.98, []int{784, 256, 10}, large(), s.torch}}
	}
	return []goal{
		{"97 %", 0.97, []int{784, 128, 10}, usual(), s.torch},
		{"98 %", 0.98, []int{784, 256, 10}, usual(), s.torch},
		{"97 % by L-BFGS", 0.97, []int{784, 128, 10}, []setting{{Optimizer: "lbfgs", History: 30}}, []*learner{s.sklearn}},
	}
}

// tried returns the settings of a goal as they are tried.
func (s *session) tried(g goal, seed int) []setting {
	all := slices.Clone(g.settings)
	for i := range all {
		all[i].Layers, all[i].Target, all[i].Limit, all[i].Seed, all[i].Epochs, all[i].Warm = g.layers, &g.target, s.limit, seed, 30, true
		if all[i].Batch == 0 {
			all[i].Epochs = 1000
		}
	}
	return all
}

// passLimit is how many seconds of training a setting has in the first pass.
const passLimit = 20

// choose returns the setting that a learner is fastest at a goal with, by one run of each,
// with a seed that no later run has. Of one setting in one variant there is no choice.
func (s *session) choose(l *learner, g goal) (choice, error) {
	all := s.tried(g, s.seeds+1)
	if l.like != nil {
		if all = l.like.finalists(); len(all) == 0 {
			return choice{}, fmt.Errorf("%s has no settings for it", l.like.name)
		}
	}
	if l != s.ours {
		for i := range all {
			all[i].History = 0
		}
	}
	if len(all) == 1 && len(l.variants) == 1 {
		return choice{l.variants[0], all[0]}, nil
	}
	note("%s to %s: trying %d settings", l.name, g.name, len(all))
	for i := range all {
		all[i].Limit = min(s.limit, passLimit)
	}
	best, err := l.best(all)
	if err == nil {
		note("%s to %s: the best is %s, in seconds: %s", l.name, g.name, best, seconds(best.took, all[0].Limit))
	}
	best.Limit = s.limit
	return best.choice, err
}

// slow is how many seconds of training a peer may take to be run again with further seeds.
const slow = 30

// A race is what a learner came to at a goal.
type race struct {
	choice
	seconds, epochs []float64
	out             bool // it failed
}

// accuracyTable writes the table of seconds to an accuracy.
func (s *session) accuracyTable() error {
	s.startPeers()
	fmt.Println("| test accuracy | network | engine | setting | seconds of training | epochs | clgrad is | runs |")
	fmt.Println("|---|---|---|---|---|---|---|---|")
	for i, g := range s.goals() {
		learners := append([]*learner{s.ours}, g.peers...)
		races, err := s.races(g, learners)
		if err != nil {
			return err
		}
		for _, l := range learners {
			x, faster, epochs := races[l], "", ""
			if l.out || x.out {
				continue
			}
			if i == 0 {
				s.chosen[l] = x.choice
			}
			if ours := races[s.ours]; l != s.ours && !ours.out {
				faster = ratio(middle(ours.seconds), middle(x.seconds), s.limit)
			}
			if n := middle(x.epochs); !math.IsInf(n, 1) {
				epochs = fmt.Sprint(n)
			}
			fmt.Printf("| %s | %s | %s | %s | %s | %s | %s | %d |\n",
				g.name, join(g.layers, "-"), l.label(), x.choice, seconds(middle(x.seconds), s.limit), epochs, faster, len(x.seconds))
		}
	}
	return nil
}

// races chooses a setting for each learner, and has them take turns with seed after seed.
// Only clgrad may not fail, where it is against PyTorch.
func (s *session) races(g goal, learners []*learner) (map[*learner]*race, error) {
	races := map[*learner]*race{}
	turn := func(l *learner, f func(*race) error) error {
		x := races[l]
		if l.out || x.out {
			return nil
		}
		err := f(x)
		if err == nil || l == s.ours && !slices.Contains(learners, s.sklearn) {
			return err
		}
		note("%s is left out of %s: %v", l.name, g.name, err)
		x.out = true
		return nil
	}
	for _, l := range learners {
		races[l] = &race{}
		if err := turn(l, func(x *race) (err error) {
			x.choice, err = s.choose(l, g)
			return err
		}); err != nil {
			return nil, err
		}
	}
	for seed := range s.seeds {
		for _, l := range learners {
			if err := turn(l, func(x *race) error {
				if n := len(x.seconds); n > 0 && x.seconds[n-1] > slow {
					return nil
				}
				x.Seed = seed + 1
				t, err := l.once(x.variant, x.setting)
				took, epochs := t.to(g.target)
				x.seconds, x.epochs = append(x.seconds, took), append(x.epochs, epochs)
				return err
			}); err != nil {
				return nil, err
			}
		}
	}
	return races, nil
}
