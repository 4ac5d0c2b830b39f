// Package onnx writes trained networks as ONNX files (https://onnx.ai), which other
// runtimes compute.
//
// The graph takes raw features and has the model's scaling in it:
//
//	features (N × inputs, float32) → Sub, Mul → Gemm → Relu → Gemm → … → logits → Softmax → probabilities
//
// with any number of rows N. Its outputs are probabilities and logits, both N × classes,
// float32. Initializers are named as the tensors of a safetensors file, 0.weight, outputs ×
// inputs, and 0.bias, and so on (see package checkpoint). Operators are those of opset 13.
//
// A model scales in float64, x = (v − shift)·factor; the graph has float32 alone, for the
// many runtimes without float64. So that no more is lost than the rounding of a product,
// shift is the sum of two float32: Sub takes the larger, and where it is not 0 a second Sub
// the rest. A part of the scaling that changes nothing is left out.
//
// The metadata of the file are
//
//	classes     names of the classes, a JSON array (their numbers where they have none)
//	shape       of a sample: [28,28] (optional)
//	columns     names of the features in their order, a JSON array (optional)
//	preprocess  the method that found the scaling: max (optional)
//	scaling     "in the graph", or "unknown"
//
// and inputs, outputs and the file itself have a doc string.
package onnx

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"

	"clgrad/network"
	"clgrad/network/checkpoint"

	"google.golang.org/protobuf/encoding/protowire"
)

// What the file says of its form: version 7 of the format came with opset 13.
const (
	formatVersion = 7
	opset         = 13
)

// maxBytes bounds a file: protobuf has no more.
const maxBytes = math.MaxInt32

// The types of onnx.proto that are used.
const (
	typeFloat    = 1 // TensorProto.DataType
	attributeInt = 2 // AttributeProto.AttributeType
)

// Write writes a model. Equal models give equal bytes. Its parameters are rounded to
// float32. Errors: an inconsistent model; parameters or a scaling beyond float32; a network
// of more than 2 GiB, which the format cannot hold.
func Write(w io.Writer, m checkpoint.Model) error {
	m, err := m.Finished(checkpoint.F32)
	if err != nil {
		return err
	}
	layout, err := network.NewLayout(m.Sizes)
	if err != nil {
		return err
	}
	if len(m.Parameters) != layout.Len {
		return fmt.Errorf("%d parameters where a network %v has %d with padding", len(m.Parameters), m.Sizes, layout.Len)
	}
	if n := 4 * int64(layout.Parameters()); n > maxBytes-1<<24 {
		return fmt.Errorf("network %v takes %.1f GB, an ONNX file holds 2", m.Sizes, float64(n)/1e9)
	}
	if err := m.Scaling.Check(m.Sizes[0]); err != nil {
		return err
	}
	g, err := graph(m, layout)
	if err != nil {
		return err
	}
	var file message
	file.number(1, formatVersion)
	file.text(2, "clgrad")
	file.text(6, fmt.Sprintf("A fully connected network of sizes %s, with ReLU between its layers. %s", sizes(m.Sizes), scalingText(m)))
	file.message(7, g)
	var set message
	set.number(2, opset)
	file.message(8, set)
	props, err := metadata(m)
	if err != nil {
		return err
	}
	for _, p := range props {
		var entry message
		entry.text(1, p[0])
		entry.text(2, p[1])
		file.message(14, entry)
	}
	if len(file) > maxBytes {
		return errors.New("the network takes more than 2 GB, which an ONNX file holds")
	}
	_, err = w.Write(file)
	return err
}

func scalingText(m checkpoint.Model) string {
	switch {
	case m.Layers != nil:
		return "How its features were scaled in training is unknown, and the graph does not scale them."
	case len(m.Scaling.Shift) == 0:
		return "Its features are not scaled."
	}
	return "The graph scales its features: they go in raw, as they stand in the data set."
}

// metadata returns the metadata of the file.
func metadata(m checkpoint.Model) ([][2]string, error) {
	classes := slices.Clone(m.Classes)
	for i := len(classes); i < m.Sizes[len(m.Sizes)-1]; i++ {
		classes = append(classes, strconv.Itoa(i))
	}
	var all [][2]string
	for _, p := range []struct {
		key   string
		value any
		known bool
	}{
		{"classes", classes, true},
		{"shape", m.Shape, m.Shape != nil},
		{"columns", columns(m), columns(m) != nil},
	} {
		if !p.known {
			continue
		}
		text, err := json.Marshal(p.value)
		if err != nil {
			return nil, err
		}
		all = append(all, [2]string{p.key, string(text)})
	}
	if m.Preprocess != "" {
		all = append(all, [2]string{"preprocess", m.Preprocess})
	}
	scaling := "in the graph"
	if m.Layers != nil {
		scaling = "unknown"
	}
	return append(all, [2]string{"scaling", scaling}), nil
}

// columns returns the names of the features, nil where they have none.
func columns(m checkpoint.Model) []string {
	if c := m.Columns; c != nil && c.Names != nil && c.Label >= 1 && c.Label <= len(c.Names) {
		return slices.Delete(slices.Clone(c.Names), c.Label-1, c.Label)
	}
	return nil
}

// graph returns a GraphProto.
func graph(m checkpoint.Model, layout network.Layout) (message, error) {
	var g message
	x := "features"
	shift, rest, factor, err := split(m.Scaling)
	if err != nil {
		return nil, err
	}
	for _, s := range []struct {
		operator, name, result string
		values                 []float32
		neutral                float32
	}{
		{"Sub", "scaling.shift", "centred", shift, 0},
		{"Sub", "scaling.rest", "centred.rest", rest, 0},
		{"Mul", "scaling.factor", "scaled", factor, 1},
	} {
		if slices.ContainsFunc(s.values, func(v float32) bool { return v != s.neutral }) {
			g.message(5, tensor(s.name, []int{len(s.values)}, func(i int) float32 { return s.values[i] }))
			g.message(1, node(s.operator, s.name, []string{x, s.name}, s.result))
			x = s.result
		}
	}
	for l := range layout.Layers() {
		weight, bias := layout.Layer(l)
		w, b := fmt.Sprintf("%d.weight", 2*l), fmt.Sprintf("%d.bias", 2*l)
		inputs := weight.Rows
		g.message(5, tensor(w, []int{weight.Cols, inputs}, func(k int) float32 {
			return float32(weight.Row(m.Parameters, k%inputs)[k/inputs])
		}))
		g.message(5, tensor(b, []int{bias.Cols}, func(k int) float32 { return float32(bias.Row(m.Parameters, 0)[k]) }))
		result := fmt.Sprintf("layer.%d", 2*l)
		if l == layout.Layers()-1 {
			result = "logits"
		}
		g.message(1, node("Gemm", fmt.Sprint(2*l), []string{x, w, b}, result, attribute{"transB", 1}))
		x = result
		if l < layout.Layers()-1 {
			result = fmt.Sprintf("layer.%d", 2*l+1)
			g.message(1, node("Relu", fmt.Sprint(2*l+1), []string{x}, result))
			x = result
		}
	}
	g.message(1, node("Softmax", "softmax", []string{x}, "probabilities", attribute{"axis", -1}))
	g.text(2, "clgrad")
	what := "Raw features, as they stand in the data set"
	if m.Layers != nil {
		what = "Features, scaled as in training"
	}
	if len(m.Shape) > 1 {
		what += fmt.Sprintf(", samples of %s row by row", sizes(m.Shape))
	}
	classes := m.Sizes[len(m.Sizes)-1]
	g.message(11, value("features", m.Sizes[0], what+"."))
	g.message(12, value("probabilities", classes, "Probability of each class, the softmax of the logits."))
	g.message(12, value("logits", classes, "Logits: the outputs of the last layer."))
	return g, nil
}

// split returns a scaling in float32: (v − shift − rest)·factor.
func split(s network.Scaling) (shift, rest, factor []float32, err error) {
	for j, v := range s.Shift {
		f := s.Factor[j]
		shift = append(shift, float32(v))
		rest = append(rest, float32(v-float64(float32(v))))
		factor = append(factor, float32(f))
		if g := float64(factor[j]); g-g != 0 || float64(shift[j])-float64(shift[j]) != 0 || f != 0 && math.Abs(g) < 0x1p-126 {
			return nil, nil, nil, fmt.Errorf("scaling of input %d has shift %v and factor %v, which float32 cannot hold", j, v, f)
		}
	}
	return shift, rest, factor, nil
}

// sizes returns numbers as 28×28.
func sizes(all []int) string {
	texts := make([]string, len(all))
	for i, n := range all {
		texts[i] = strconv.Itoa(n)
	}
	return strings.Join(texts, "×")
}

// A message is one of Protocol Buffers, as it is written. Its fields are those of onnx.proto
// (https://github.com/onnx/onnx/blob/main/onnx/onnx.proto).
type message []byte

func (m *message) number(field protowire.Number, v int64) {
	*m = protowire.AppendVarint(protowire.AppendTag(*m, field, protowire.VarintType), uint64(v))
}

func (m *message) text(field protowire.Number, s string) {
	*m = protowire.AppendString(protowire.AppendTag(*m, field, protowire.BytesType), s)
}

func (m *message) message(field protowire.Number, inner message) {
	*m = protowire.AppendBytes(protowire.AppendTag(*m, field, protowire.BytesType), inner)
}

// tensor returns a TensorProto, whose k-th value in row-major order is value(k).
func tensor(name string, shape []int, value func(k int) float32) (t message) {
	n := 1
	for _, d := range shape {
		t.number(1, int64(d))
		n *= d
	}
	t.number(2, typeFloat)
	t.text(8, name)
	raw := make(message, 0, 4*n)
	for k := range n {
		raw = binary.LittleEndian.AppendUint32(raw, math.Float32bits(value(k)))
	}
	t.message(9, raw)
	return t
}

// An attribute is one of a node.
type attribute struct {
	name  string
	value int64
}

// node returns a NodeProto.
func node(operator, name string, inputs []string, output string, attributes ...attribute) (n message) {
	for _, in := range inputs {
		n.text(1, in)
	}
	n.text(2, output)
	n.text(3, name)
	n.text(4, operator)
	for _, a := range attributes {
		var p message
		p.text(1, a.name)
		p.number(3, a.value)
		p.number(20, attributeInt)
		n.message(5, p)
	}
	return n
}

// value returns a ValueInfoProto of a matrix with any number of rows.
func value(name string, columns int, doc string) (v message) {
	var rows, width, shape, of, kind message
	rows.text(2, "N")
	width.number(1, int64(columns))
	shape.message(1, rows)
	shape.message(1, width)
	of.number(1, typeFloat)
	of.message(2, shape)
	kind.message(1, of)
	v.text(1, name)
	v.message(2, kind)
	v.text(3, doc)
	return v
}
