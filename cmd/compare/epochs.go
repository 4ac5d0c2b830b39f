package main

import (
	"fmt"
	"math"
)

// epochsTable writes the table of seconds an epoch. In a first pass each peer runs an epoch
// in every variant, and the fastest takes part.
func (s *session) epochsTable() error {
	fmt.Println("| network | training | engine | seconds an epoch | clgrad is |")
	fmt.Println("|---|---|---|---|---|")
	s.startPeers()
	learners := append([]*learner{s.ours}, s.torch...)
	settings, epochs := []setting{
		{Layers: []int{784, 128, 10}, Optimizer: "sgd", LR: 0.5, Batch: 128},
		{Layers: []int{784, 128, 10}, Optimizer: "adam", LR: 0.001, Batch: 128},
		{Layers: []int{784, 500, 150, 10}, Optimizer: "sgd", LR: 0.1, Batch: 256},
	}, 2
	if s.gpu {
		settings, epochs = []setting{
			{Layers: []int{784, 128, 10}, Optimizer: "sgd", LR: 0.5, Batch: 4096},
			{Layers: []int{784, 500, 150, 10}, Optimizer: "sgd", LR: 0.1, Batch: 4096},
		}, 10
	}
	for _, c := range settings {
		c.Warm = true
		times, chosen := map[*learner][]float64{}, map[*learner]variant{}
		for round := range s.rounds + 1 {
			for _, l := range learners {
				if l.out {
					continue
				}
				c.Seed, c.Epochs = round+1, epochs
				variants := []variant{chosen[l]}
				if round == 0 {
					c.Epochs, variants = 1, l.variants
				}
				fastest := math.Inf(1)
				for _, v := range variants {
					c.Limit = min(s.limit, fastest)
					t, err := l.once(v, c)
					if err != nil {
						if err := s.leaveOut(l, err); err != nil {
							return err
						}
						break
					}
					if took := t.epoch(); round > 0 {
						times[l] = append(times[l], took)
					} else if took <= fastest {
						fastest, chosen[l] = took, v
					}
				}
			}
		}
		for _, l := range learners {
			if l.out {
				continue
			}
			faster := ""
			if l != s.ours {
				faster = ratio(middle(times[s.ours]), middle(times[l]), s.limit)
			}
			fmt.Printf("| %s | %s | %s | %s | %s |\n", join(c.Layers, "-"), choice{chosen[l], c}, l.label(), seconds(middle(times[l]), s.limit), faster)
		}
	}
	return nil
}
