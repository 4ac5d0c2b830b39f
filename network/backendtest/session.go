package backendtest

import (
	"context"
	"fmt"

	"clgrad/network"
)

// A session collects what one family finds on one backend.
type session struct {
	*env
	backend  network.Backend
	op       string
	quick    bool
	smallest bool
	ctx      context.Context
	open     func() (network.Backend, error)
	cases    int
	exact    int
	ratios   []float32
	naive    float64
	failures []Failure
	absent   string
}

// operation returns the session's part of the report.
func (s *session) operation() Operation {
	o := Operation{
		Operation: s.op, Cases: s.cases, Exact: s.exact, Naive: network.Number(s.naive),
		Passed: len(s.failures) == 0, Failures: s.failures, Absent: s.absent,
	}
	if o.Failures == nil {
		o.Failures = []Failure{}
	}
	o.statistics(s.ratios)
	return o
}

// fail records a failure that is not about elements.
func (s *session) fail(shape, gate, format string, args ...any) {
	s.failures = append(s.failures, Failure{Operation: s.op, Shape: shape, Gate: gate, Detail: fmt.Sprintf(format, args...)})
}

// ok records an error, if it is one, and reports whether it is none.
func (s *session) ok(shape, gate string, err error) bool {
	if err != nil {
		s.fail(shape, gate, "%v", err)
	}
	return err == nil
}

// failAt records a failure of an element, whose error is so many times its bound.
func (s *session) failAt(shape, gate, element string, got, want, ratio float64, format string, args ...any) {
	s.failures = append(s.failures, Failure{
		Operation: s.op, Shape: shape, Gate: gate, Element: element,
		Got: network.Number(got), Want: network.Number(want), Ratio: network.Number(ratio), Detail: fmt.Sprintf(format, args...),
	})
}

// try runs one case. An error that the backend returned on the way, a panic,
// and what cannot be closed afterwards are failures of the case.
func (s *session) try(shape string, f func()) {
	if s.ctx.Err() != nil {
		return
	}
	s.cases++
	defer s.recovered(shape)
	defer s.closeAll(func(err error) { s.ok(shape, "close", err) })
	f()
	s.ok(shape, "error", s.err)
	s.err = nil
}

// recovered turns a panic into a failure.
func (s *session) recovered(shape string) {
	if r := recover(); r != nil {
		s.fail(shape, "panic", "%v", r)
		if s.env != nil {
			s.err = nil
		}
	}
}
