package backendtest

import (
	"clgrad/network"
)

// foreign is a buffer of another backend.
type foreign struct{ network.Buffer }

func (foreign) Len() int { return 1 << 20 }

// misuse checks that shapes that do not fit each other, and a buffer of another
// backend, panic instead of computing something.
func misuse(s *session) {
	s.try("calls", func() {
		x := s.load(network.Samples{Rows: 10, Features: 4, Bytes: make([]uint8, 40), Labels: make([]int32, 10)}, 6)
		rec := s.recorder(2)
		buffer, short := s.buffer(4096), s.buffer(16)
		if s.err != nil {
			return
		}
		// Views of one buffer, far enough from each other.
		next := 0
		m := func(rows, cols int) network.Matrix {
			v := network.Matrix{Buffer: buffer, Offset: next, Rows: rows, Cols: cols, Stride: network.AlignUp(cols)}
			next += rows * v.Stride
			return v
		}
		h6, w, b, o6, o5, wide := m(6, 4), m(4, 3), m(1, 3), m(6, 3), m(5, 3), m(6, 5)
		beyond := network.Matrix{Buffer: short, Rows: 6, Cols: 3, Stride: 16}
		other := o6
		other.Buffer = foreign{}
		narrow := o6
		narrow.Stride = 2
		back := s.b
		block := func(i int) network.Rows { return network.Rows{Block: network.Block{Input: x, Index: i}} }
		for _, call := range []struct {
			name string
			run  func() error
		}{
			{"forward: x is wider than W is high", func() error { return back.Forward(network.Rows{Matrix: wide}, w, b, network.ReLU, o6) }},
			{"forward: h has too few rows", func() error { return back.Forward(network.Rows{Matrix: h6}, w, b, network.ReLU, o5) }},
			{"forward: b is wider than W", func() error { return back.Forward(network.Rows{Matrix: h6}, w, m(1, 4), network.ReLU, o6) }},
			{"forward: h reaches beyond its buffer", func() error { return back.Forward(network.Rows{Matrix: h6}, w, b, network.ReLU, beyond) }},
			{"forward: h is of another backend", func() error { return back.Forward(network.Rows{Matrix: h6}, w, b, network.ReLU, other) }},
			{"forward: stride less than the columns", func() error { return back.Forward(network.Rows{Matrix: h6}, w, b, network.ReLU, narrow) }},
			{"forward-input: no such block", func() error { return back.Forward(block(2), w, b, network.ReLU, o6) }},
			{"forward-input: more rows than the last block has", func() error { return back.Forward(block(1), w, b, network.ReLU, o6) }},
			{"forward-input: other features than W", func() error { return back.Forward(block(0), m(5, 3), b, network.ReLU, o6) }},
			{"softmax-cross-entropy: more rows than the last block has", func() error { return back.SoftmaxCrossEntropy(o6, block(1).Block, 10, rec, 0) }},
			{"weight-gradient: dz has too few rows", func() error { return back.WeightGradient(network.Rows{Matrix: h6}, o5, false, w, b) }},
			{"weight-gradient: dW is lower than x is wide", func() error { return back.WeightGradient(network.Rows{Matrix: wide}, o6, false, w, b) }},
			{"weight-gradient-input: more rows than the last block has", func() error { return back.WeightGradient(block(1), o6, false, w, b) }},
			{"input-gradient: dz is wider than W", func() error { return back.InputGradient(h6, w, h6, h6) }},
			{"input-gradient: dx is wider than x", func() error { return back.InputGradient(o6, w, h6, wide) }},
			{"update: lengths differ", func() error {
				return back.Update(descent(0.1, 1), network.Whole(buffer), network.Whole(short), nil, rec)
			}},
			{"update: momentum without its state", func() error {
				return back.Update(network.Update{Rule: network.NewRule(network.Momentum), LearningRate: 1, Step: 1, Iteration: 1}, network.Whole(short), network.Whole(short), nil, rec)
			}},
		} {
			if !panics(call.run) {
				s.fail(call.name, "panic", "the call does not panic")
			}
		}
		for _, call := range []struct {
			name string
			run  func() error
		}{
			{"write: beyond the buffer", func() error { return back.Write(short, 10, make([]float64, 7)) }},
			{"read: beyond the buffer", func() error { return back.Read(short, 10, make([]float64, 7)) }},
			{"softmax-cross-entropy: no such record", func() error { return back.SoftmaxCrossEntropy(o6, block(0).Block, 10, rec, 2) }},
			{"recorder: no such records", func() error { _, err := back.ReadRecords(rec, 1, make([]network.Record, 2)); return err }},
			{"load: labels are missing", func() error {
				_, err := back.Load(network.Samples{Rows: 2, Features: 1, Bytes: make([]uint8, 2), Labels: make([]int32, 1)}, []int{2})
				return err
			}},
			{"load: no rows in a block", func() error {
				_, err := back.Load(network.Samples{Rows: 2, Features: 1, Bytes: make([]uint8, 2)}, []int{0, 2})
				return err
			}},
			{"load: blocks of fewer rows", func() error {
				_, err := back.Load(network.Samples{Rows: 2, Features: 1, Bytes: make([]uint8, 2)}, []int{1})
				return err
			}},
			{"load: blocks of more rows", func() error {
				_, err := back.Load(network.Samples{Rows: 2, Features: 1, Bytes: make([]uint8, 2)}, []int{1, 2})
				return err
			}},
			{"update: beyond the buffer", func() error {
				return back.Update(descent(1, 1), network.Vector{Buffer: short, Offset: 16, Len: 16}, network.Whole(short), nil, rec)
			}},
		} {
			var err error
			if !panics(func() error { err = call.run(); return err }) && err == nil {
				s.fail(call.name, "panic", "the call neither panics nor returns an error")
			}
		}
	})
}

// panics reports whether f does.
func panics(f func() error) (did bool) {
	defer func() { did = recover() != nil }()
	_ = f()
	return false
}
