package backendtest

import (
	"fmt"
	"math"

	"clgrad/network"
)

// A fixture is a network with its data, as the suite and a backend both train it.
type fixture struct {
	layout    network.Layout
	samples   network.Samples
	x         dense     // the scaled features
	theta     []float64 // initial parameters
	blockRows int
	delta     float64 // roundoff of a backend's operands, for what is unsure
}

// newFixture draws samples around one centre a class, so that there is something
// to learn, and parameters with biases that are not zero.
func newFixture(name string, sizes []int, rows, blockRows int) fixture {
	r := source(name)
	layout, err := network.NewLayout(sizes)
	if err != nil {
		panic(err)
	}
	n, classes := sizes[0], sizes[len(sizes)-1]
	centres := newDense(classes, n)
	for i := range centres.v {
		centres.v[i] = r.NormFloat64()
	}
	f := fixture{layout: layout, blockRows: blockRows}
	f.samples = network.Samples{Rows: rows, Features: n, Floats: make([]float32, rows*n), Labels: make([]int32, rows)}
	for i := range rows {
		y := r.IntN(classes)
		f.samples.Labels[i] = int32(y)
		for j, c := range centres.row(y) {
			f.samples.Floats[i*n+j] = float32(c + r.NormFloat64())
		}
	}
	f.x = scaled(f.samples)
	if f.theta, err = layout.Initial(network.He, 7); err != nil {
		panic(err)
	}
	for i := range layout.Layers() {
		_, b := layout.Layer(i)
		for j := range b.Row(f.theta, 0) {
			b.Row(f.theta, 0)[j] = float64(float32(0.1 * r.NormFloat64()))
		}
	}
	return f
}

// A step is one evaluation in float64.
type step struct {
	loss     float64 // mean over the samples
	correct  int
	unsure   int       // rows whose two largest logits are so close that another precision may order them otherwise
	nearest  float64   // least distance of a hidden sum from 0, where ReLU has its kink
	gradient []float64 // laid out as theta
}

// unsureMargin is the distance of logits below which a row counts as unsure; with
// operands of fewer bits it is unsureErrors of their roundoffs, where that is more.
const (
	unsureMargin = 1e-3
	unsureErrors = 16
)

// evaluate computes loss and gradient from the formulas, a loop for each.
func (f fixture) evaluate(theta []float64) step {
	s := step{gradient: make([]float64, len(theta)), nearest: math.Inf(1)}
	layers := f.layout.Layers()
	h := make([][]float64, layers+1)
	for i := range f.x.rows {
		h[0] = f.x.row(i)
		for l := range layers {
			w, b := f.layout.Layer(l)
			out := append([]float64(nil), b.Row(theta, 0)...)
			for k, v := range h[l] {
				for j, weight := range w.Row(theta, k) {
					out[j] += v * weight
				}
			}
			if l < layers-1 {
				for j, v := range out {
					s.nearest = min(s.nearest, math.Abs(v))
					out[j] = max(0, v)
				}
			}
			h[l+1] = out
		}
		dz := s.softmax(h[layers], int(f.samples.Labels[i]), f.x.rows, max(unsureMargin, unsureErrors*f.delta))
		for l := layers - 1; l >= 0; l-- {
			w, b := f.layout.Layer(l)
			dx := make([]float64, w.Rows)
			for j, d := range dz {
				b.Row(s.gradient, 0)[j] += d
			}
			for k, v := range h[l] {
				weights, gradient := w.Row(theta, k), w.Row(s.gradient, k)
				sum := 0.0
				for j, d := range dz {
					gradient[j] += v * d
					sum += weights[j] * d
				}
				if v > 0 {
					dx[k] = sum
				}
			}
			dz = dx
		}
	}
	s.loss /= float64(f.x.rows)
	return s
}

// softmax adds a row to the step and returns the derivative of the mean loss
// over m rows by its logits. margin is the distance below which they are unsure.
func (s *step) softmax(z []float64, label, m int, margin float64) []float64 {
	best, second := 0, math.Inf(-1)
	for j, v := range z {
		if v > z[best] {
			best = j
		}
	}
	sum := 0.0
	for j, v := range z {
		sum += math.Exp(v - z[best])
		if j != best {
			second = max(second, v)
		}
	}
	if best == label {
		s.correct++
	}
	if z[best]-second < margin {
		s.unsure++
	}
	s.loss += math.Log(sum) + z[best] - z[label]
	dz := make([]float64, len(z))
	for j, v := range z {
		dz[j] = (math.Exp(v-z[best])/sum - indicator(j == label)) / float64(m)
	}
	return dz
}

// isParameter reports whether element i of the flat vector is no padding.
func (f fixture) isParameter(i int) bool {
	for l := range f.layout.Layers() {
		w, b := f.layout.Layer(l)
		for _, s := range []network.Span{w, b} {
			if at := i - s.Offset; at >= 0 && at < s.Rows*s.Stride {
				return at%s.Stride < s.Cols
			}
		}
	}
	return false
}

// parameter names an element of the flat vector.
func (f fixture) parameter(i int) string {
	for l := range f.layout.Layers() {
		w, b := f.layout.Layer(l)
		if at := i - w.Offset; at >= 0 && at < w.Rows*w.Stride {
			return fmt.Sprintf("W%d element (%d, %d)", l+1, at/w.Stride, at%w.Stride)
		}
		if at := i - b.Offset; at >= 0 && at < b.Stride {
			return fmt.Sprintf("b%d element %d", l+1, at)
		}
	}
	return fmt.Sprintf("element %d", i)
}
