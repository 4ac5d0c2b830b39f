package main

import (
	"fmt"
	"math"
	"runtime"
	"strconv"
	"strings"
)

// A session is what the tables share.
type session struct {
	options
	ours, sklearn *learner
	torch         []*learner          // PyTorch's ways
	chosen        map[*learner]choice // for the first goal, once searched
	peers         peers
}

func newSession(o options) *session {
	s := &session{options: o, ours: clgradLearner(o), chosen: map[*learner]choice{}, peers: peers{o.python, o.data, map[string]*peer{}}}
	all := variant{name: fmt.Sprintf("%d threads", runtime.NumCPU())}
	if wide() {
		all = variant{all.name + ", SkylakeX kernels", []string{skylake}}
	}
	s.sklearn = s.peerLearner("scikit-learn", "sklearn", []variant{all})
	if !o.gpu {
		s.torch = []*learner{s.peerLearner("PyTorch", "torch", threads())}
		return s
	}
	for _, x := range []struct {
		name, engine string
		like         int
	}{
		{"eager PyTorch", "torch-cuda", -1},
		{"CUDA-graph PyTorch", "torch-cuda-graph", -1},
		{"compiled PyTorch", "torch-cuda-compile", 0},
		{"compiled CUDA-graph PyTorch", "torch-cuda-compile-graph", 1},
	} {
		l := s.peerLearner(x.name, x.engine, []variant{{}})
		if x.like >= 0 {
			l.like = s.torch[x.like]
		}
		s.torch = append(s.torch, l)
	}
	return s
}

// startPeers starts the processes of PyTorch's ways on a GPU, side by side.
func (s *session) startPeers() {
	if s.gpu {
		for _, l := range s.torch {
			s.peers.get(s.learner, l.engine, nil) // an error comes back when it is asked
		}
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

// join writes sizes of layers with a separator between them, as 784-128-10.
func join(sizes []int, separator string) string {
	var words []string
	for _, n := range sizes {
		words = append(words, strconv.Itoa(n))
	}
	return strings.Join(words, separator)
}

// hidden writes the sizes of the hidden layers as flags have them.
func hidden(layers []int) string { return join(layers[1:len(layers)-1], ",") }
