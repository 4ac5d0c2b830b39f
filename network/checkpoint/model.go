package checkpoint

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"unicode/utf8"

	"clgrad/network"
	"clgrad/network/dataset"
)

// FileName is the name of the model in a run directory.
const FileName = "model.safetensors"

// A Precision is the type of values in a file, in the format's own words.
type Precision string

// The precisions of a [Model].
const (
	F32 Precision = "F32"
	F64 Precision = "F64"
)

// bytes returns the size of a value, 0 for an unknown precision.
func (p Precision) bytes() int {
	switch p {
	case f16, bf16:
		return 2
	case F32:
		return 4
	case F64:
		return 8
	}
	return 0
}

// A Model is a trained network with what is needed to use it and to know where
// it comes from.
type Model struct {
	Sizes      []int     // inputs, hidden layers, classes
	Parameters []float64 // in the order of the Layout of Sizes, padding zero
	Precision  Precision // of all vectors but those of L-BFGS; F32 asks for float32 values

	Scaling    network.Scaling  // of raw features; empty where it is unknown or there is none
	Preprocess string           // the method that found the scaling, "" if unknown
	Shape      []int            // of a sample's features, nil if unknown
	Classes    []string         // the classes' names, nil where they are 0, 1, 2, …
	Columns    *dataset.Columns // of the CSV file of the training set, nil if unknown
	Profile    *dataset.Profile // of the rows of the training set, nil if unknown
	Run        *Run             // how it was trained, nil if unknown

	// Layers are the tensors of a file of others that were taken as the layers, nil for a
	// file with this package's metadata. Where it is set, all below Precision is unknown.
	Layers []LayerTensors

	State network.State // of the optimizer, to go on from here; the zero value is none. It needs a Run
	Best  *Best         // nil where there is none. It needs a Run
}

// String describes the model in a line, as in "784-128-10, 101770 parameters (F32), scaled by
// max, after 100 iterations".
func (m Model) String() string {
	layout, err := network.NewLayout(m.Sizes)
	if err != nil {
		return err.Error()
	}
	text := fmt.Sprintf("%v (%s)", layout, m.Precision)
	if m.Preprocess != "" {
		text += ", scaled by " + m.Preprocess
	}
	if m.Run != nil {
		text += fmt.Sprintf(", after %d iterations", m.Run.Iterations)
	}
	return text
}

// A Run is how a model was trained.
type Run struct {
	// Setup is what was asked for and decides the model, as a JSON object in the words
	// of who asked: for clgrad those of its recipes, without the names of files.
	Setup      json.RawMessage `json:"setup,omitempty"`
	Iterations int             `json:"iterations"` // after which the parameters stood
	// Stopped is how many iterations were done, where the parameters were chosen from
	// those of several iterations; 0 where they are the last.
	Stopped int `json:"stopped,omitempty"`
	// Converged is why L-BFGS ended the run before all iterations that were asked for, ""
	// where it did not.
	Converged network.LBFGSStop `json:"converged,omitempty"`
	Data      string            `json:"data"`                // name of the set
	Directory bool              `json:"directory,omitempty"` // the set was a file or directory of that name, not a named set
	Digest    string            `json:"digest"`              // of the set's samples
	Plan      *network.Plan     `json:"plan,omitempty"`
}

// UnmarshalJSON also reads the form of version 1, which has a key for each of six things
// that were asked for then.
func (r *Run) UnmarshalJSON(text []byte) error {
	type run Run // without this method
	var old struct {
		Init       json.RawMessage `json:"init"`
		Seed       json.RawMessage `json:"seed"`
		LR         json.RawMessage `json:"learning_rate"`
		Divide     json.RawMessage `json:"divide"`
		Samples    json.RawMessage `json:"samples"`
		Validation json.RawMessage `json:"validation"`
	}
	if err := errors.Join(json.Unmarshal(text, (*run)(r)), json.Unmarshal(text, &old)); err != nil {
		return err
	}
	if r.Setup != nil || old.Init == nil {
		return nil
	}
	setup, err := json.Marshal(struct {
		Init       json.RawMessage `json:"init,omitempty"`
		Seed       json.RawMessage `json:"seed,omitempty"`
		LR         json.RawMessage `json:"lr,omitempty"`
		Divide     json.RawMessage `json:"divide,omitempty"`
		Samples    json.RawMessage `json:"samples,omitempty"`
		Validation json.RawMessage `json:"validation,omitempty"`
	}(old))
	r.Setup = setup
	return err
}

// check reports what is inconsistent in a model and returns its layout.
func (m Model) check() (network.Layout, error) {
	layout, err := network.NewLayout(m.Sizes)
	if err != nil {
		return network.Layout{}, err
	}
	if m.Precision != F32 && m.Precision != F64 {
		return network.Layout{}, fmt.Errorf("precision %q is unknown: %s or %s is expected", m.Precision, F32, F64)
	}
	if len(m.Parameters) != layout.Len {
		return network.Layout{}, fmt.Errorf("%d parameters where a network %v has %d with padding",
			len(m.Parameters), m.Sizes, layout.Len)
	}
	if err := m.checkMetadata(); err != nil {
		return network.Layout{}, err
	}
	return layout, m.checkState(layout)
}

// checkMetadata reports what does not fit the network's sizes.
func (m Model) checkMetadata() error {
	inputs, outputs := m.Sizes[0], m.Sizes[len(m.Sizes)-1]
	shift, factor := m.Scaling.Shift, m.Scaling.Factor
	if err := m.Scaling.Check(inputs); err != nil {
		return err
	}
	if m.Layers != nil && (len(shift) > 0 || m.Preprocess != "" || m.Shape != nil || m.Classes != nil || m.Columns != nil || m.Run != nil) {
		return errors.New("a model of others' tensors has only sizes and parameters (without Layers it may have more)")
	}
	for i := range shift {
		if !finite(shift[i]) || !finite(factor[i]) {
			return fmt.Errorf("scaling of input %d has shift %v and factor %v: finite numbers are expected", i, shift[i], factor[i])
		}
	}
	if m.Shape != nil && !dataset.ShapeHolds(m.Shape, inputs) {
		return fmt.Errorf("shape %v does not fit %d inputs", m.Shape, inputs)
	}
	if m.Classes != nil && len(m.Classes) != outputs {
		return fmt.Errorf("%d names of classes where the network has %d classes", len(m.Classes), outputs)
	}
	if m.Profile != nil {
		if err := m.Profile.Check(); err != nil {
			return fmt.Errorf("the training set's features: %w", err)
		}
	}
	texts := append([]string{m.Preprocess}, m.Classes...)
	if c := m.Columns; c != nil {
		if err := c.Check(inputs); err != nil {
			return err
		}
		texts = append(texts, c.Names...)
	}
	// JSON would put U+FFFD in the place of what is not UTF-8.
	for _, s := range texts {
		if !utf8.ValidString(s) {
			return fmt.Errorf("name %q is not UTF-8", s)
		}
	}
	if m.Run == nil {
		return nil
	}
	if text := m.Run.Setup; text != nil && (!json.Valid(text) || text[0] != '{') {
		return fmt.Errorf("the run's setup is %.80q where a JSON object is expected", text)
	}
	if m.Run.Iterations < 0 {
		return fmt.Errorf("%d iterations: at least 0 are expected", m.Run.Iterations)
	}
	if n := m.Run.Stopped; n != 0 && n < m.Run.Iterations {
		return fmt.Errorf("stopped after %d iterations where the parameters are of iteration %d", n, m.Run.Iterations)
	}
	if err := m.Run.Converged.Check(); err != nil {
		return fmt.Errorf("the run has converged: %w", err)
	}
	if p := m.Run.Plan; p != nil && !slices.Equal(p.Sizes, m.Sizes) {
		return fmt.Errorf("the run's plan is for a network %v, not %v", p.Sizes, m.Sizes)
	}
	return nil
}

func finite(v float64) bool { return !math.IsInf(v, 0) && !math.IsNaN(v) }

// A vector is one of a model's flat vectors.
type vector struct {
	prefix    string // of the names of its tensors
	precision Precision
	values    *[]float64
}

// vectors returns those of a model in the order of a file: F64 before F32, so that all
// values are aligned.
func (m *Model) vectors() (all []vector) {
	if s := m.State.LBFGS; s != nil {
		all = append(all, vector{lbfgsPrefix + "gradient.", F64, &s.Gradient})
		for k := range s.S {
			all = append(all, vector{pairPrefix("s", k), F64, &s.S[k]})
		}
		for k := range s.Y {
			all = append(all, vector{pairPrefix("y", k), F64, &s.Y[k]})
		}
	}
	all = append(all, vector{"", m.Precision, &m.Parameters})
	for k := range m.State.Vectors {
		all = append(all, vector{statePrefix(k), m.Precision, &m.State.Vectors[k]})
	}
	if m.Best != nil {
		all = append(all, vector{bestPrefix, m.Precision, &m.Best.Parameters})
	}
	return all
}

// A tensor is one of the matrices of a vector as a file holds it.
type tensor struct {
	name  string
	shape []int        // outputs × inputs, or outputs
	span  network.Span // its place in the vector: inputs × outputs, or 1 × outputs
	vector
}

// tensors returns the tensors of all vectors in the order of a file.
func (m *Model) tensors(layout network.Layout) []tensor {
	var all []tensor
	for _, v := range m.vectors() {
		for i := range layout.Layers() {
			w, b := layout.Layer(i)
			all = append(all,
				tensor{fmt.Sprintf("%s%d.weight", v.prefix, 2*i), []int{w.Cols, w.Rows}, w, v},
				tensor{fmt.Sprintf("%s%d.bias", v.prefix, 2*i), []int{b.Cols}, b, v})
		}
	}
	return all
}

// size returns the number of elements.
func (t tensor) size() int { return t.span.Rows * t.span.Cols }

// place returns where the k-th value of the file's row-major order stands in a
// layout's flat vector.
func (t tensor) place(k int) int {
	output, input := k/t.span.Rows, k%t.span.Rows
	return t.span.Offset + input*t.span.Stride + output
}

// position names the k-th value for messages.
func (t tensor) position(k int) string {
	if len(t.shape) == 1 {
		return fmt.Sprintf("%s[%d]", t.name, k)
	}
	return fmt.Sprintf("%s[%d,%d]", t.name, k/t.shape[1], k%t.shape[1])
}
