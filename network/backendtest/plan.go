package backendtest

import (
	"encoding/json"
	"fmt"
	"reflect"

	"clgrad/network"
)

// plans checks what a backend says about itself, and that it prepares the plan that it
// proposed, also after a way through a file, and no plan for another device; and that
// what was prepared changes no proposal.
func plans(s *session) {
	s.try("info", func() {
		info := s.backend.Info()
		if info.Backend == "" || info.Device == "" {
			s.fail("info", gateExact, "backend is %q, device %q: both need a name", info.Backend, info.Device)
		}
		if info.Roundoff != 0x1p-24 && info.Roundoff != 0x1p-53 {
			s.fail("info", gateExact, "unit roundoff is %v: 2^-24 or 2^-53 is expected", info.Roundoff)
		}
		if d := info.OperandRoundoff; d != 0 && !(d > info.Roundoff && d < 1) {
			s.fail("info", gateExact, "unit roundoff of operands is %v: 0, or more than %v and less than 1 is expected", d, info.Roundoff)
		}
	})
	for _, sizes := range [][]int{{1, 1}, {784, 10}, {784, 128, 10}, {17, 33, 5, 3}} {
		for _, rows := range []int{1, 257, 5000} {
			name := fmt.Sprintf("sizes %v, %d rows", sizes, rows)
			s.try(name, func() { planned(s, name, sizes, rows) })
		}
	}
}

func planned(s *session, name string, sizes []int, rows int) {
	r := source(name)
	samples := network.Samples{Rows: rows, Features: sizes[0], Bytes: pixelBytes(r, rows*sizes[0])}
	plan := s.plan(sizes, samples, rows)
	one := s.plan(sizes, samples, 1)
	again := s.plan(sizes, samples, rows)
	if s.err != nil {
		return
	}
	if one.Rows != 1 || one.BlockRows != 1 {
		s.fail(name, gateExact, "the plan for batches of a row has %d rows in blocks of %d", one.Rows, one.BlockRows)
	}
	if !reflect.DeepEqual(plan, again) {
		s.fail(name, gateRepeat, "the plan is %#v, and %#v when asked again", plan, again)
	}
	if plan.First != 0 || plan.Rows != rows {
		s.fail(name, gateExact, "the plan has %d samples from %d where all %d are expected", plan.Rows, plan.First, rows)
	}
	if plan.BlockRows < 1 || plan.BlockRows > rows || plan.ScoreRows < 1 {
		s.fail(name, gateExact, "the plan has blocks of %d rows, and of %d in scoring", plan.BlockRows, plan.ScoreRows)
	}
	if err := plan.CheckDevice(s.backend.Info()); err != nil {
		s.fail(name, gateExact, "the plan does not fit Info: %v", err)
	}
	text, err := json.Marshal(plan)
	if err != nil {
		s.fail(name, gateExact, "the plan has no JSON: %v", err)
		return
	}
	var stored network.ShardPlan
	if err := json.Unmarshal(text, &stored); err != nil {
		s.fail(name, gateExact, "the plan does not come back from JSON: %v", err)
		return
	}
	for _, p := range []network.ShardPlan{plan, stored} {
		s.do(func() error {
			x, err := s.backend.Prepare(sizes, p)
			if err == nil {
				s.made = append(s.made, x)
			}
			return err
		})
	}
	if after := s.plan(sizes, samples, rows); s.err == nil && !reflect.DeepEqual(plan, after) {
		s.fail(name, gateRepeat, "the plan is %#v, and %#v after it was prepared", plan, after)
	}
	stored.Device += " of another kind"
	if s.err != nil {
		return
	}
	if _, err := s.backend.Prepare(sizes, stored); err == nil {
		s.fail(name, gateExact, "Prepare accepts a plan for another device")
	}
	samples.Labels = make([]int32, rows+1)
	if _, err := s.backend.Propose(sizes, samples, rows); err == nil {
		s.fail(name, gateExact, "Propose accepts samples with more labels than rows")
	}
}

// plan returns the proposed plan for samples, on which a plan may depend.
func (s *session) plan(sizes []int, samples network.Samples, batchRows int) (p network.ShardPlan) {
	s.do(func() (err error) { p, err = s.backend.Propose(sizes, samples, batchRows); return err })
	return p
}
