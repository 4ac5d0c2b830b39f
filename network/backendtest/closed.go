package backendtest

import (
	"errors"
	"fmt"

	"clgrad/network"
)

// closed checks that whatever is used after it was closed, or after its executor or
// backend was, is network.ErrClosed, and that closing twice does nothing.
func closed(s *session) {
	samples := network.Samples{Rows: 4, Features: 3, Bytes: make([]uint8, 12), Labels: make([]int32, 4)}
	for _, what := range []string{"buffer", "input", "recorder", "executor", "backend"} {
		s.try("use of a closed "+what, func() {
			b, err := s.open()
			if !s.ok(what, "open", err) {
				return
			}
			defer b.Close()
			x, err := prepare(b)
			if !s.ok(what, "prepare", err) {
				return
			}
			e := newEnv(x, b.Info())
			defer e.closeAll(func(error) {})
			v, in, r := e.buffer(1024), e.load(samples, 4), e.recorder(1)
			if !s.ok(what, "error", e.err) {
				return
			}
			m := func(at, rows, cols int) network.Matrix {
				return network.Matrix{Buffer: v, Offset: 16 * at, Rows: rows, Cols: cols, Stride: network.AlignUp(cols)}
			}
			rows, h, w, bias := network.Rows{Block: network.Block{Input: in}}, m(0, 4, 2), m(8, 3, 2), m(16, 1, 2)
			layer, dx := network.Rows{Matrix: m(20, 4, 3)}, m(24, 4, 3)
			whole := network.Whole(v)
			uses := map[string]func() error{
				"buffer: write":           func() error { return x.Write(v, 0, []float64{1}) },
				"buffer: read":            func() error { return x.Read(v, 0, make([]float64, 1)) },
				"buffer: clear":           func() error { return x.Clear(v) },
				"buffer: forward":         func() error { return x.Forward(layer, w, bias, network.ReLU, h) },
				"buffer: weight gradient": func() error { return x.WeightGradient(layer, h, false, w, bias) },
				"buffer: input gradient":  func() error { return x.InputGradient(h, w, dx, dx) },
				"buffer: update":          func() error { return x.Update(descent(1, 1), whole, whole, nil, r) },
				"input: forward":          func() error { return x.Forward(rows, w, bias, network.ReLU, h) },
				"input: weight gradient":  func() error { return x.WeightGradient(rows, h, false, w, bias) },
				"input: softmax":          func() error { return x.SoftmaxCrossEntropy(h, rows.Block, 4, r, 0) },
				"recorder: softmax":       func() error { return x.SoftmaxCrossEntropy(h, rows.Block, 4, r, 0) },
				"recorder: update":        func() error { return x.Update(descent(1, 1), whole, whole, nil, r) },
				"recorder: read":          func() error { _, err := x.ReadRecords(r, 0, make([]network.Record, 1)); return err },
				"executor: create buffer": func() error { _, err := x.NewBuffer(1); return err },
				"executor: load":          func() error { _, err := x.Load(samples, []int{4}); return err },
				"executor: new recorder":  func() error { _, err := x.NewRecorder(1); return err },
				"backend: propose":        func() error { _, err := b.Propose([]int{3, 2}, samples, 4); return err },
				"backend: prepare":        func() error { _, err := b.Prepare([]int{3, 2}, network.ShardPlan{}); return err },
			}
			if in, ok := in.(network.RefillableInput); ok && in.Refillable() {
				uses["input: refill"] = func() error { return in.Refill(samples) }
			}
			// What is closed takes all that is made of it along.
			along := map[string][]string{"executor": {"buffer", "input", "recorder"}, "backend": {"buffer", "input", "recorder", "executor"}}
			closers := map[string]interface{ Close() error }{"buffer": v, "input": in, "recorder": r, "executor": x, "backend": b}
			for range 2 {
				s.ok(what, "close", closers[what].Close())
			}
			for _, kind := range append(along[what], what) {
				for name, use := range uses {
					if len(name) <= len(kind) || name[:len(kind)+1] != kind+":" {
						continue
					}
					s.exact++
					if err := use(); !errors.Is(err, network.ErrClosed) {
						s.fail(fmt.Sprintf("%s, after the %s was closed", name, what), gateExact, "the error is %v where %v is expected", err, network.ErrClosed)
					}
				}
			}
		})
	}
}
