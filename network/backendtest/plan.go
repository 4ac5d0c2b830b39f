package backendtest

import (
	"encoding/json"
	"fmt"
	"reflect"

	"clgrad/network"
)

// plans checks what a backend says about itself, and that it takes back the
// plan that it proposed, also after a way through a file, and no plan for
// another device.
func plans(s *sheet) {
	s.try("info", func() {
		info := s.b.Info()
		if info.Backend == "" || info.Device == "" {
			s.fail("info", gateExact, fmt.Sprintf("backend is %q, device %q: both need a name", info.Backend, info.Device))
		}
		if info.Roundoff != 0x1p-24 && info.Roundoff != 0x1p-53 {
			s.fail("info", gateExact, fmt.Sprintf("unit roundoff is %v: 2^-24 or 2^-53 is expected", info.Roundoff))
		}
		if d := info.OperandRoundoff; d != 0 && !(d > info.Roundoff && d < 1) {
			s.fail("info", gateExact, fmt.Sprintf("unit roundoff of operands is %v: 0, or more than %v and less than 1 is expected", d, info.Roundoff))
		}
	})
	for _, sizes := range [][]int{{1, 1}, {784, 10}, {784, 128, 10}, {17, 33, 5, 3}} {
		for _, rows := range []int{1, 257, 5000} {
			name := fmt.Sprintf("sizes %v, %d rows", sizes, rows)
			s.try(name, func() { planned(s, name, sizes, rows) })
		}
	}
}

func planned(s *sheet, name string, sizes []int, rows int) {
	r := source(name)
	samples := network.Samples{Rows: rows, Features: sizes[0], Bytes: pixelBytes(r, rows*sizes[0])}
	plan, again := s.plan(sizes, samples), s.plan(sizes, samples)
	if s.err != nil {
		return
	}
	if !reflect.DeepEqual(plan, again) {
		s.fail(name, gateRepeat, fmt.Sprintf("the default plan is %+v, and %+v when asked again", plan, again))
	}
	if plan.First != 0 || plan.Rows != rows {
		s.fail(name, gateExact, fmt.Sprintf("the default plan has %d samples from %d where all %d are expected", plan.Rows, plan.First, rows))
	}
	if plan.BlockRows < 1 {
		s.fail(name, gateExact, fmt.Sprintf("the default plan has blocks of %d rows", plan.BlockRows))
	}
	if err := plan.CheckDevice(s.b.Info()); err != nil {
		s.fail(name, gateExact, "the default plan does not fit Info: "+err.Error())
	}
	text, err := json.Marshal(plan)
	if err != nil {
		s.fail(name, gateExact, "the default plan has no JSON: "+err.Error())
		return
	}
	var stored network.ShardPlan
	if err := json.Unmarshal(text, &stored); err != nil {
		s.fail(name, gateExact, "the default plan does not come back from JSON: "+err.Error())
		return
	}
	s.do(func() error { return s.b.Configure(plan) })
	s.do(func() error { return s.b.Configure(stored) })
	stored.Device += " of another kind"
	if s.err == nil && s.b.Configure(stored) == nil {
		s.fail(name, gateExact, "Configure accepts a plan for another device")
	}
}

// plan returns the default plan for samples, on which a plan may depend.
func (e *env) plan(sizes []int, samples network.Samples) (p network.ShardPlan) {
	e.do(func() (err error) { p, err = e.b.DefaultPlan(sizes, samples); return err })
	return p
}
