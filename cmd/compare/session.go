package main

import (
	"fmt"
	"math"
	"runtime"
)

// A session is what the tables of mini-batches share.
type session struct {
	options
	ours, torch, sklearn *learner
	chosen               map[*learner]choice // for the first goal, once searched
}

func newSession(o options) *session {
	all := variant{name: fmt.Sprintf("%d threads", runtime.NumCPU())}
	if wide() {
		all = variant{all.name + ", SkylakeX kernels", []string{skylake}}
	}
	return &session{
		options: o, ours: clgradLearner(o), torch: peerLearner(o, "PyTorch", "torch", threads()),
		sklearn: peerLearner(o, "scikit-learn", "sklearn", []variant{all}), chosen: map[*learner]choice{},
	}
}

// leaveOut takes a learner out that cannot be run; clgrad has to.
func (s *session) leaveOut(l *learner, err error) error {
	if l == s.ours {
		return err
	}
	note("%s is left out: %v", l.name, err)
	l.out = true
	return nil
}

// ratio says how much faster clgrad is, of two medians of the same rounds. A peer that did
// not get there within a limit takes longer than that.
func ratio(ours, peer, limit float64) string {
	switch {
	case math.IsInf(ours, 1):
		return ""
	case math.IsInf(peer, 1):
		return fmt.Sprintf("over %.1f× as fast", limit/ours)
	}
	return fmt.Sprintf("%.1f× as fast", peer/ours)
}

// seconds writes a time, or that it is over a limit.
func seconds(v, limit float64) string {
	if math.IsInf(v, 1) {
		return fmt.Sprintf("not within %g s", limit)
	}
	return fmt.Sprintf("%.3g", v)
}

// network names layers as in 784-128-10.
func network(layers []int) (name string) {
	for i, n := range layers {
		if i > 0 {
			name += "-"
		}
		name += fmt.Sprint(n)
	}
	return name
}
