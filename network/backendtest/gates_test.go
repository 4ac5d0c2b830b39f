package backendtest

import (
	"strings"
	"testing"

	"clgrad/network"
)

// A gate that is given nothing to judge, or less than there should be, fails the case.
func TestGatesNeedElements(t *testing.T) {
	two, one := []float64{1, 2}, []float64{1}
	for name, judge := range map[string]func(*session){
		"bound":       func(s *session) { s.bounded("case", element, one, values{hi: two}, two) },
		"exact":       func(s *session) { s.equal("case", element, one, two) },
		"naive":       func(s *session) { s.notWorse("case", element, one, values{hi: two}, [][]float64{two}, 1) },
		"same bits":   func(s *session) { s.repeated("case", element, two, one) },
		"no elements": func(s *session) { s.equal("case", element, nil, nil) },
	} {
		s := &session{op: "forward", env: &env{}}
		if judge(s); len(s.failures) != 1 || !strings.Contains(s.failures[0].Detail, "elements where") {
			t.Errorf("%s: %v", name, s.failures)
		}
	}
}

// A family that runs no case has not passed.
func TestFamilyWithoutCases(t *testing.T) {
	families, err := Families(Only("buffer"))
	if err != nil || len(families) != 1 {
		t.Fatalf("%v, %v", families, err)
	}
	empty := families[0]
	empty.check = func(*session) {}
	_, operation := empty.Run(func() (network.Backend, error) { return planner{}, nil })
	if operation.Passed || !strings.Contains(operation.Failures[0].Detail, "no case") {
		t.Errorf("%+v", operation)
	}
}

// A planner is a backend and an executor that can do nothing but begin and end.
type planner struct{ network.Executor }

func (planner) Info() network.Info { return network.Info{Backend: "planner", Roundoff: 0x1p-24} }

func (planner) Propose([]int, network.Samples, int) (network.ShardPlan, error) {
	return network.ShardPlan{}, nil
}

func (p planner) Prepare([]int, network.ShardPlan) (network.Executor, error) { return p, nil }

func (planner) Close() error { return nil }
