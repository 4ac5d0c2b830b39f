package backendtest

import (
	"fmt"
	"math"

	"clgrad/network"
)

// ruledSteps checks steps of a rule one by one, from parameters and state that the backend
// holds: each is an update by the gradient that Evaluate gives.
func ruledSteps(s *session, name string, sizes []int, r network.Rule) {
	blocks := []int{12, 5, 7}
	t := newStepRun(s, name, newStepFixture(name, sizes, blocks, true), blocks, r)
	now := [][]float64{t.fixture.theta}
	for range t.state {
		now = append(now, make([]float64, t.layout.Len))
	}
	for i, step := range []int{1, 2, 30} {
		t.set(now[0], now[1:])
		_, g := t.evaluate(i, blocks[i], nil)
		u := network.Update{Rule: r, LearningRate: 0.03, Step: step, Iteration: i + 1}
		_, after := t.step(u, i, 0)
		if s.err != nil {
			return
		}
		judgeRule(s, fmt.Sprintf("%s, step %d", name, step), t.parameter, u, now, g, after)
		if i == 1 { // again, from the same numbers
			t.set(now[0], now[1:])
			_, again := t.step(u, i, 0)
			for k := range after {
				s.repeated(fmt.Sprintf("%s, %s", name, vectorNames[k]), t.parameter, after[k], again[k])
			}
		}
		now = after
	}
}

// stepsNotFinite checks that a parameter or a state that is not finite is seen in the step,
// and in the loss where every sum has it, and that the first such iteration is remembered.
// Gradient descent without weight decay may pass over the weights of a feature that is 0 in
// all rows, as nothing changes there.
func stepsNotFinite(s *session, name string, sizes []int, r network.Rule) {
	blocks := []int{12, 5}
	f := newStepFixture(name, sizes, blocks, true)
	w, b := f.layout.Layer(0)
	last, lastBias := f.layout.Layer(f.layout.Layers() - 1)
	type place struct {
		what   string
		vector int // 0 are the parameters
		at     int
		loss   bool // is not finite either
	}
	places := []place{
		{"first bias", 0, b.Offset, true},
		{"last bias", 0, lastBias.Offset + last.Cols - 1, true},
		{"weight of a feature in all rows", 0, w.Offset + alwaysFeature*w.Stride + w.Cols - 1, true},
		{"last weight", 0, last.Offset + (last.Rows-1)*last.Stride + last.Cols - 1, false},
	}
	if r.States() > 0 || r.WeightDecay > 0 {
		places = append(places, place{"weight of a feature in no row", 0, w.Offset + neverFeature*w.Stride, false})
	}
	for k := range r.States() {
		places = append(places,
			place{fmt.Sprintf("state %d of a feature in no row", k+1), 1 + k, w.Offset + neverFeature*w.Stride, false},
			place{fmt.Sprintf("state %d of the last bias", k+1), 1 + k, lastBias.Offset + last.Cols - 1, false})
	}
	for _, p := range places {
		for _, bad := range []float64{math.NaN(), math.Inf(1)} {
			t := newStepRun(s, name, f, blocks, r)
			good := [][]float64{f.theta}
			for range t.state {
				good = append(good, make([]float64, f.layout.Len))
			}
			step := func(iteration, nonFinite int) network.Record {
				record, _ := t.step(network.Update{Rule: r, LearningRate: 0.1, Step: iteration, Iteration: iteration}, iteration%2, nonFinite)
				return record
			}
			t.set(good[0], good[1:])
			step(1, 0)
			spoilt := append([][]float64(nil), good...)
			spoilt[p.vector] = append([]float64(nil), good[p.vector]...)
			spoilt[p.vector][p.at] = bad
			t.set(spoilt[0], spoilt[1:])
			evaluated, _ := t.evaluate(0, 12, nil)
			record := step(2, 2)
			step(3, 2)
			t.set(good[0], good[1:])
			step(4, 2)
			if s.err != nil {
				return
			}
			for _, loss := range []float64{evaluated.Loss, record.Loss} {
				if p.loss && !math.IsNaN(loss) && !math.IsInf(loss, 0) {
					s.fail(name, gateExact, "%s of %v: the loss is %v", p.what, bad, loss)
				}
			}
			s.closeAll(func(err error) { s.ok(name, "close", err) })
		}
	}
}
