package backendtest

import (
	"errors"
	"fmt"
	"slices"

	"clgrad/network"
)

// closedSteps checks that whole iterations are network.ErrClosed after they, or something that
// they need, were closed; and that they need labels.
func closedSteps(s *session, sizes []int) {
	const name = "objects that are closed"
	rule := network.NewRule(network.Momentum)
	f := newStepFixture(name, sizes, []int{5}, true)
	for what, uses := range map[string][]string{
		"steps":      {"begin", "evaluate", "step"},
		"input":      {"new steps", "evaluate", "step"},
		"recorder":   {"evaluate", "step"},
		"parameters": {"begin", "evaluate", "step"},
		"gradient":   {"evaluate"},
		"state":      {"step"},
		"executor":   {"new steps", "begin", "evaluate", "step"},
		"backend":    {"new steps", "begin", "evaluate", "step"},
	} {
		b, x, own := s.backend, s.b, s
		if what == "executor" || what == "backend" {
			var err error
			b, err = s.open()
			if !s.ok(name, "open", err) {
				return
			}
			defer b.Close()
			x, err = prepare(b)
			if !s.ok(name, "prepare", err) {
				return
			}
			own = &session{env: newEnv(x, b.Info())}
		}
		t := newStepRun(own, name, f, []int{5}, rule)
		if !s.ok(name, "error", own.err) {
			return
		}
		block, state := network.Block{Input: t.input}, []network.Vector{network.Whole(t.state[0])}
		calls := map[string]func() error{
			"new steps": func() error { _, err := x.(network.Stepper).NewSteps(f.layout, f.samples, t.input); return err },
			"begin":     func() error { return t.steps.Begin(t.theta) },
			"evaluate":  func() error { return t.steps.Evaluate(block, 5, t.theta, t.g, false, t.rec, 0) },
			"step": func() error {
				return t.steps.Step(network.Update{Rule: rule, LearningRate: 1, Step: 1, Iteration: 1}, block, t.theta, state, t.rec, 0)
			},
		}
		closer := map[string]interface{ Close() error }{
			"steps": t.steps, "input": t.input, "recorder": t.rec, "parameters": t.theta, "gradient": t.g, "state": t.state[0], "executor": x, "backend": b,
		}[what]
		for range 2 {
			s.ok(name, "close", closer.Close())
		}
		for _, use := range uses {
			s.exact++
			if err := calls[use](); !errors.Is(err, network.ErrClosed) {
				s.fail(fmt.Sprintf("%s, after the %s was closed", use, what), gateExact, "the error is %v where %v is expected", err, network.ErrClosed)
			}
		}
	}

	f.samples.Labels = nil
	t := newStepRun(s, name, f, []int{5}, network.NewRule(network.GD))
	if s.err != nil {
		return
	}
	if err := t.steps.Evaluate(network.Block{Input: t.input}, 5, t.theta, t.g, false, t.rec, 0); !errors.Is(err, network.ErrNoLabels) {
		s.fail(name, gateExact, "without labels the error is %v where %v is expected", err, network.ErrNoLabels)
	}
}

// misusedSteps checks that what does not fit panics.
func misusedSteps(s *session, sizes []int) {
	const name = "calls"
	blocks := []int{5, 2}
	f := newStepFixture(name, sizes, blocks, true)
	t := newStepRun(s, name, f, blocks, network.NewRule(network.Momentum))
	other, short := s.load(f.samples, 5), s.buffer(f.layout.Len-network.Align)
	if s.err != nil {
		return
	}
	layout, err := network.NewLayout(append([]int{sizes[0] + 1}, sizes[1:]...))
	if err != nil {
		s.err = err
		return
	}
	gd := network.Update{Rule: network.NewRule(network.GD), LearningRate: 1, Step: 1, Iteration: 1}
	momentum := gd
	momentum.Rule = network.NewRule(network.Momentum)
	state := []network.Vector{network.Whole(t.state[0])}
	block := network.Block{Input: t.input}
	evaluate := func(b network.Block, theta, g network.Buffer, r network.Recorder, record int) func() error {
		return func() error { return t.steps.Evaluate(b, 5, theta, g, false, r, record) }
	}
	step := func(u network.Update, b network.Block, theta network.Buffer, state []network.Vector, record int) func() error {
		return func() error { return t.steps.Step(u, b, theta, state, t.rec, record) }
	}
	for _, call := range []struct {
		name string
		run  func() error
	}{
		{"new steps: input of other features", func() error {
			_, err := s.b.(network.Stepper).NewSteps(layout, f.samples, t.input)
			return err
		}},
		{"begin: parameters of another backend", func() error { return t.steps.Begin(foreign{}) }},
		{"begin: parameters of another length", func() error { return t.steps.Begin(short) }},
		{"evaluate: no such record", evaluate(block, t.theta, t.g, t.rec, stepRecords)},
		{"evaluate: negative record", evaluate(block, t.theta, t.g, t.rec, -1)},
		{"evaluate: no such block", evaluate(network.Block{Input: t.input, Index: 2}, t.theta, t.g, t.rec, 0)},
		{"evaluate: block of another input", evaluate(network.Block{Input: other}, t.theta, t.g, t.rec, 0)},
		{"evaluate: parameters of another backend", evaluate(block, foreign{}, t.g, t.rec, 0)},
		{"evaluate: gradient of another backend", evaluate(block, t.theta, foreign{}, t.rec, 0)},
		{"evaluate: parameters of another length", evaluate(block, short, t.g, t.rec, 0)},
		{"evaluate: gradient of another length", evaluate(block, t.theta, short, t.rec, 0)},
		{"step: no such record", step(gd, block, t.theta, nil, stepRecords)},
		{"step: no such block", step(gd, network.Block{Input: t.input, Index: 2}, t.theta, nil, 0)},
		{"step: block of another input", step(gd, network.Block{Input: other}, t.theta, nil, 0)},
		{"step: parameters of another length", step(gd, block, short, nil, 0)},
		{"step: momentum without its state", step(momentum, block, t.theta, nil, 0)},
		{"step: gd with a state", step(gd, block, t.theta, state, 0)},
		{"step: state of another backend", step(momentum, block, t.theta, []network.Vector{{Buffer: foreign{}, Len: f.layout.Len}}, 0)},
		{"step: state of another length", step(momentum, block, t.theta, []network.Vector{network.Whole(short)}, 0)},
		{"step: part of a state", step(momentum, block, t.theta, []network.Vector{{Buffer: t.state[0], Offset: network.Align, Len: f.layout.Len - network.Align}}, 0)},
	} {
		s.exact++
		if !panics(call.run) {
			s.fail(call.name, "panic", "the call does not panic")
		}
	}
	// What was refused has changed nothing.
	if now := s.read(t.theta); s.err == nil && !slices.Equal(now, f.theta) {
		s.fail(name, gateAround, "the parameters changed")
	}
}
