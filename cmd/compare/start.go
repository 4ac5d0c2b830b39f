package main

import (
	"fmt"
	"math"
)

// startTable writes the table of whole commands to the first goal, with its settings.
func (s *session) startTable() error {
	g := s.goals()[0]
	learners := []*learner{s.ours, s.torch[0]}
	times := map[*learner][]float64{}
	for seed := range s.seeds {
		for _, l := range learners {
			if l.out {
				continue
			}
			c, ok := s.chosen[l]
			var err error
			if !ok {
				if c, err = s.choose(l, g); err == nil {
					s.chosen[l] = c
				}
			}
			if err == nil {
				c.Seed, c.Warm = seed+1, false
				var t trial
				t, err = l.once(c.variant, c.setting)
				if took, _ := t.to(g.target); math.IsInf(took, 1) {
					t.whole = took
				}
				times[l] = append(times[l], t.whole)
			}
			if err != nil {
				if err := s.leaveOut(l, err); err != nil {
					return err
				}
			}
		}
	}
	fmt.Println("| from its start to | network | command | setting | seconds | clgrad is |")
	fmt.Println("|---|---|---|---|---|---|")
	for _, l := range learners {
		if l.out {
			continue
		}
		faster := ""
		if l != s.ours {
			faster = ratio(middle(times[s.ours]), middle(times[l]), s.limit)
		}
		fmt.Printf("| %s | %s | %s | %s | %s | %s |\n",
			g.name, join(g.layers, "-"), l.label(), s.chosen[l], seconds(middle(times[l]), s.limit), faster)
	}
	return nil
}
