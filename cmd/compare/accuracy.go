package main

import (
	"fmt"
	"math"
)

// A goal is an accuracy of a network, with who goes for it.
type goal struct {
	name     string
	target   float64
	layers   []int
	settings []setting // of which each learner takes its best
	peer     *learner
}

// usual are the settings that are tried.
func usual() (all []setting) {
	for _, rule := range []setting{{Optimizer: "sgd", LR: 0.5}, {Optimizer: "nesterov", LR: 0.1}, {Optimizer: "adam", LR: 0.001}, {Optimizer: "sgd", LR: 0.1}} {
		for _, rule.Batch = range []int{64, 128, 256} {
			all = append(all, rule)
		}
	}
	return all
}

// goals returns those of the accuracy table. The first is that of the start table.
func (s *session) goals() []goal {
	return []goal{
		{"97 %", 0.97, []int{784, 128, 10}, usual(), s.torch},
		{"98 %", 0.98, []int{784, 256, 10}, usual(), s.torch},
		{"97 % by L-BFGS", 0.97, []int{784, 128, 10}, []setting{{Optimizer: "lbfgs", History: 30}}, s.sklearn},
	}
}

// tried returns the settings of a goal as they are tried.
func (s *session) tried(g goal, seed int) []setting {
	all := append([]setting(nil), g.settings...)
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
	best, took, err := l.best(all)
	if err == nil {
		note("%s to %s: the best is %s, in seconds: %s", l.name, g.name, best, seconds(took, all[0].Limit))
	}
	best.Limit = s.limit
	return best, err
}

// slow is how many seconds of training a peer may take to be run again with further seeds.
const slow = 30

// accuracyTable writes the table of seconds to an accuracy.
func (s *session) accuracyTable() error {
	type figures struct {
		choice
		seconds, epochs []float64
		out             bool
	}
	goals := s.goals()
	all := make([]map[*learner]*figures, len(goals))
	turn := func(g int, l *learner, f func(*figures) error) error {
		x := all[g][l]
		if l.out || x.out {
			return nil
		}
		err := f(x)
		if err == nil || l == s.ours && goals[g].peer == s.torch {
			return err
		}
		note("%s is left out of %s: %v", l.name, goals[g].name, err)
		x.out = true
		return nil
	}
	for i, g := range goals {
		all[i] = map[*learner]*figures{s.ours: {}, g.peer: {}}
		for _, l := range []*learner{s.ours, g.peer} {
			if err := turn(i, l, func(x *figures) (err error) {
				if x.choice, err = s.choose(l, g); err == nil && i == 0 {
					s.chosen[l] = x.choice
				}
				return err
			}); err != nil {
				return err
			}
		}
	}
	for seed := range s.seeds {
		for i, g := range goals {
			for _, l := range []*learner{s.ours, g.peer} {
				if err := turn(i, l, func(x *figures) error {
					if n := len(x.seconds); n > 0 && x.seconds[n-1] > slow {
						return nil
					}
					x.Seed = seed + 1
					t, err := l.once(x.variant, x.setting)
					took, epochs := t.to(g.target)
					x.seconds, x.epochs = append(x.seconds, took), append(x.epochs, epochs)
					return err
				}); err != nil {
					return err
				}
			}
		}
	}
	fmt.Println("| test accuracy | network | engine | setting | seconds of training | epochs | clgrad is | runs |")
	fmt.Println("|---|---|---|---|---|---|---|---|")
	for i, g := range goals {
		for _, l := range []*learner{s.ours, g.peer} {
			x, faster, epochs := all[i][l], "", ""
			if l.out || x.out {
				continue
			}
			if ours := all[i][s.ours]; l != s.ours && !ours.out {
				faster = ratio(middle(ours.seconds), middle(x.seconds), s.limit)
			}
			if n := middle(x.epochs); !math.IsInf(n, 1) {
				epochs = fmt.Sprint(n)
			}
			fmt.Printf("| %s | %s | %s | %s | %s | %s | %s | %d |\n",
				g.name, network(g.layers), l.label(), x.choice, seconds(middle(x.seconds), s.limit), epochs, faster, len(x.seconds))
		}
	}
	return nil
}
