// Package explain computes on the host, in float64, why a network gives one row its class:
// what each unit and each input adds to the logit of a class.
//
// With x the row as the network sees it (scaled), layers l = 0 … L−1 with weights W_l
// (inputs × outputs) and biases b_l,
//
//	a_0 = x,  z_l = a_l·W_l + b_l,  a_{l+1} = z_l < 0 ? 0 : z_l,  logits = z_{L−1}
//
// A logit is then a sum over the units j of the last hidden layer, and a unit j adds
// its activation times its weight:
//
//	logit_k = Σ_j a_{L−1}[j] · W_{L−1}[j, k] + b_{L−1}[k]        ([Network.Units])
//
// For one row every ReLU either passes its value or gives 0. So what comes out at any unit is
// also a weighted sum of the inputs, with weights v and a bias c of this row:
//
//	z_l[k] = Σ_i x[i] · v[i] + c                                   ([Network.Inputs])
//
// v is the gradient of z_l[k] by x. Of a unit of the first hidden layer it is a column of W_0,
// alike for all rows.
package explain

import (
	"fmt"
	"slices"

	"gonum.org/v1/gonum/floats"

	"clgrad/network"
)

// A Network is a trained network. Its methods may be called by several goroutines at a time.
type Network struct {
	layout network.Layout
	theta  []float64
}

// New returns the network of the given sizes, whose parameters are in the order of the
// [network.Layout] of these. They are shared, not copied.
func New(sizes []int, theta []float64) (*Network, error) {
	l, err := network.NewLayout(sizes)
	if err != nil {
		return nil, err
	}
	if len(theta) != l.Len {
		return nil, fmt.Errorf("%d parameters given where the layout has %d", len(theta), l.Len)
	}
	return &Network{l, theta}, nil
}

// Sizes returns inputs, hidden layers and classes.
func (n *Network) Sizes() []int { return n.layout.Sizes }

// A Pass is what a network computes of one row.
type Pass struct {
	// Activations has x, the outputs of each hidden layer behind ReLU, and the logits: a slice
	// for each of the network's sizes.
	Activations [][]float64
}

// Logits returns the outputs before softmax, one a class.
func (p Pass) Logits() []float64 { return p.Activations[len(p.Activations)-1] }

// Probabilities returns softmax of the logits.
func (p Pass) Probabilities() []float64 { return network.Softmax(p.Logits(), len(p.Logits())) }

// Predicted returns the class with the largest logit, the lowest among equals.
func (p Pass) Predicted() int { return network.Predicted(p.Logits(), len(p.Logits()))[0] }

// Forward computes all layers of a row, which is scaled as the network sees it.
func (n *Network) Forward(x []float32) Pass {
	if len(x) != n.layout.Sizes[0] {
		panic("explain: a row of another length than the network's inputs")
	}
	in := make([]float64, len(x))
	for i, v := range x {
		in[i] = float64(v)
	}
	p := Pass{[][]float64{in}}
	for l := range n.layout.Layers() {
		w, b := n.layout.Layer(l)
		z := slices.Clone(b.Row(n.theta, 0))
		for i, v := range p.Activations[l] {
			if v != 0 {
				floats.AddScaled(z, v, w.Row(n.theta, i))
			}
		}
		if l < n.layout.Layers()-1 {
			for j, v := range z {
				if v < 0 {
					z[j] = 0
				}
			}
		}
		p.Activations = append(p.Activations, z)
	}
	return p
}

// Units returns what each unit of the last hidden layer adds to the logit of a class, and
// the class's bias: together they are the logit. Without a hidden layer the units are the inputs.
func (n *Network) Units(p Pass, class int) (contributions []float64, bias float64) {
	last := n.layout.Layers() - 1
	w, b := n.layout.Layer(last)
	contributions = slices.Clone(p.Activations[last])
	for j := range contributions {
		contributions[j] *= w.Row(n.theta, j)[class]
	}
	return contributions, b.Row(n.theta, 0)[class]
}

// Inputs returns v and c with z = Σ_i x[i]·v[i] + c, where z is what unit k of a layer has
// before ReLU. Layers are counted from 0: the last is that of the classes.
func (n *Network) Inputs(p Pass, layer, k int) (v []float64, c float64) {
	w, b := n.layout.Layer(layer)
	v, c = make([]float64, w.Rows), b.Row(n.theta, 0)[k]
	for i := range v {
		v[i] = w.Row(n.theta, i)[k]
	}
	for l := layer - 1; l >= 0; l-- {
		for j, a := range p.Activations[l+1] {
			if a <= 0 { // ReLU gives 0, whatever the inputs are nearby
				v[j] = 0
			}
		}
		w, b := n.layout.Layer(l)
		c += floats.Dot(v, b.Row(n.theta, 0))
		below := make([]float64, w.Rows)
		for i := range below {
			below[i] = floats.Dot(v, w.Row(n.theta, i))
		}
		v = below
	}
	return v, c
}
