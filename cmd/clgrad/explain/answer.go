package explain

import (
	"cmp"
	"slices"

	"gonum.org/v1/gonum/floats"
)

// Shown is how many units, and how many inputs, an [Answer] has at most that raise the logit, and
// how many that lower it.
const Shown = 8

// mostWork bounds the multiplications for the pictures of an answer's units: of larger networks
// they have none.
const mostWork = 1 << 26

// An Answer says of one row which class the network gives it, and what speaks for and against
// one of the classes.
type Answer struct {
	Predicted     int       `json:"predicted"`     // the class with the largest logit
	Probabilities []float64 `json:"probabilities"` // of all classes, in their order
	Logits        []float64 `json:"logits"`

	Class int     `json:"class"` // whose logit the following is about
	Bias  float64 `json:"bias"`  // what it is without any unit

	// Units are those of the last hidden layer with the largest contributions to the logit,
	// first those that raise it most. Those of all units and Bias add up to the logit. nil for
	// a network without hidden layers.
	Units []Unit `json:"units,omitempty"`

	// Others is what the units that are left out add up to.
	Others float64 `json:"others"`

	// Pixels is what each input adds to the logit, for inputs that are an image. Inputs has the
	// largest of these for others, as Units has.
	Pixels *Picture `json:"pixels,omitempty"`
	Inputs []Input  `json:"inputs,omitempty"`
}

// A Unit is one of the last hidden layer.
type Unit struct {
	Unit         int     `json:"unit"`         // counted from 0
	Activation   float64 `json:"activation"`   // for this row
	Weight       float64 `json:"weight"`       // from it to the class
	Contribution float64 `json:"contribution"` // their product

	// Weights is a picture of what the unit looks for: its weights to the inputs, through the
	// layers between (see [Network.Inputs]). nil where the inputs are no image.
	Weights *Picture `json:"weights,omitempty"`
}

// An Input is a feature of the row.
type Input struct {
	Input        int     `json:"input"`        // counted from 0
	Contribution float64 `json:"contribution"` // what it adds to the logit
}

// Explain returns the answer for a row, which is scaled as the network sees it. class is what
// it speaks of, −1 for the predicted class. shape is that of an image, and nil for other rows.
func (n *Network) Explain(x []float32, class int, shape []int) Answer {
	p := n.Forward(x)
	a := Answer{Predicted: p.Predicted(), Probabilities: p.Probabilities(), Logits: p.Logits(), Class: class}
	if class < 0 {
		a.Class = a.Predicted
	}
	contributions, bias := n.Units(p, a.Class)
	a.Bias = bias
	if hidden := n.layout.Layers() - 1; hidden > 0 {
		w, _ := n.layout.Layer(hidden)
		shown := extremes(contributions)
		drawn := n.workOfInputs(hidden-1)*len(shown) <= mostWork
		a.Others = floats.Sum(contributions)
		for _, j := range shown {
			u := Unit{Unit: j, Activation: p.Activations[hidden][j], Weight: w.Row(n.theta, j)[a.Class], Contribution: contributions[j]}
			if drawn && len(shape) > 1 {
				v, _ := n.Inputs(p, hidden-1, j)
				u.Weights = NewPicture(v, shape)
			}
			a.Others -= u.Contribution
			a.Units = append(a.Units, u)
		}
	}
	v, _ := n.Inputs(p, n.layout.Layers()-1, a.Class)
	floats.Mul(v, p.Activations[0])
	if a.Pixels = NewPicture(v, shape); a.Pixels == nil {
		for _, i := range extremes(v) {
			a.Inputs = append(a.Inputs, Input{i, v[i]})
		}
	}
	return a
}

// workOfInputs returns how many multiplications Inputs takes for a unit of a layer.
func (n *Network) workOfInputs(layer int) (work int) {
	for l := range layer {
		work += n.layout.Sizes[l] * n.layout.Sizes[l+1]
	}
	return work + n.layout.Sizes[layer]
}

// extremes returns the places of the largest positive and the largest negative values, at most
// Shown of each, from the largest to the smallest value.
func extremes(values []float64) []int {
	var places []int
	for i, v := range values {
		if v != 0 {
			places = append(places, i)
		}
	}
	slices.SortStableFunc(places, func(a, b int) int { return cmp.Compare(values[b], values[a]) })
	positive := 0
	for positive < len(places) && values[places[positive]] > 0 {
		positive++
	}
	return slices.Concat(places[:min(positive, Shown)], places[max(positive, len(places)-Shown):])
}
