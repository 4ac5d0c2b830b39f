package onnx_test

import (
	"bytes"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"clgrad/cpu"
	"clgrad/network"
	"clgrad/network/checkpoint"
	"clgrad/network/checkpoint/onnx"
	"clgrad/network/dataset"
	"clgrad/network/must"
)

// A fixture is a model, raw rows, and the logits that clgrad computes of them.
type fixture struct {
	name   string
	model  checkpoint.Model
	raw    []float32 // rows × inputs
	logits []float64
}

// rows is the number of rows of a fixture.
const rows = 7

// fixtures are models of 0 to 2 hidden layers on bytes and on floats that are far from 0,
// scaled by every method.
func fixtures(t *testing.T) (all []fixture) {
	t.Helper()
	for _, method := range []dataset.Preprocess{dataset.Max, dataset.Standard, dataset.Feature, dataset.Column, dataset.None} {
		for hidden := range 3 {
			for _, kind := range []string{"bytes", "floats"} {
				random := rand.New(rand.NewPCG(uint64(hidden), 1))
				samples := network.Samples{Rows: rows, Features: 12}
				raw := make([]float32, rows*samples.Features)
				for i := range raw {
					raw[i] = float32(random.IntN(256))
					if kind == "floats" { // whose deviation is a thousandth of their mean
						raw[i] = 1000 + float32(random.NormFloat64())
					}
				}
				if kind == "bytes" {
					for _, v := range raw {
						samples.Bytes = append(samples.Bytes, uint8(v))
					}
				} else {
					samples.Floats = raw
				}
				shape := []int{3, 4}
				scaling, err := dataset.Fit(method, samples, shape)
				must.OK(t, err)
				samples.Scaling = scaling
				layers := slices.Concat([]int{12}, []int{9, 5}[:hidden], []int{3})
				layout, err := network.NewLayout(layers)
				must.OK(t, err)
				theta, err := layout.Initial(network.He, 3)
				must.OK(t, err)
				for l := range layout.Layers() { // biases are 0 at first
					_, b := layout.Layer(l)
					for j := range b.Row(theta, 0) {
						b.Row(theta, 0)[j] = float64(float32(random.NormFloat64()))
					}
				}
				m := checkpoint.Model{
					Sizes: layers, Parameters: theta, Precision: checkpoint.F32, Scaling: scaling, Preprocess: string(method),
					Shape: shape, Classes: []string{"cat", "é", "10"},
				}
				all = append(all, fixture{fmt.Sprintf("%s of %s, %d hidden layers", method, kind, hidden), m, raw, logits(t, m, samples)})
			}
		}
	}
	return all
}

// logits computes in float64, but for the input, which is scaled in float64 and rounded.
func logits(t *testing.T, m checkpoint.Model, samples network.Samples) []float64 {
	t.Helper()
	l, err := network.NewLayout(m.Sizes)
	must.OK(t, err)
	b := cpu.New[float64]()
	plan, err := network.NewPlan(m.Sizes, samples, samples.Rows, b)
	must.OK(t, err)
	model, err := network.NewModel(b, l, m.Parameters, plan.Shards[0])
	must.OK(t, err)
	defer model.Close()
	values, err := model.Logits(samples)
	must.OK(t, err)
	return values
}

// compare reports values that are not those expected, within the tolerance times the
// largest logit.
func compare(t *testing.T, f fixture, logits, probabilities []float64) {
	t.Helper()
	const tolerance = 1e-5
	most := 1.0
	for _, v := range f.logits {
		most = max(most, math.Abs(v))
	}
	worst := 0.0
	if len(logits) != len(f.logits) || len(probabilities) != len(f.logits) {
		t.Fatalf("%d logits and %d probabilities where %d are expected", len(logits), len(probabilities), len(f.logits))
	}
	classes := len(f.logits) / rows
	for i, want := range f.logits {
		worst = max(worst, math.Abs(logits[i]-want)/most)
		row := f.logits[i/classes*classes:][:classes]
		sum := 0.0
		for _, v := range row {
			sum += math.Exp(v - want)
		}
		if math.Abs(probabilities[i]-1/sum) > tolerance*most {
			t.Errorf("%s: probability %d is %v, want %v", f.name, i, probabilities[i], 1/sum)
		}
	}
	if !(worst <= tolerance) {
		t.Errorf("%s: logits are off by %.3g of the largest, %.0e is allowed", f.name, worst, tolerance)
	}
}

func written(t *testing.T, m checkpoint.Model) []byte {
	t.Helper()
	var b bytes.Buffer
	must.OK(t, onnx.Write(&b, m))
	return b.Bytes()
}

// What the file says, computed in float64 by an interpreter that knows nothing of this
// package, are the model's logits and probabilities.
func TestGraph(t *testing.T) {
	for _, f := range fixtures(t) {
		p, err := parse(written(t, f.model))
		if err != nil {
			t.Fatalf("%s: %v", f.name, err)
		}
		values, err := p.compute(f.raw)
		if err != nil {
			t.Fatalf("%s: %v", f.name, err)
		}
		compare(t, f, values["logits"].data, values["probabilities"].data)
	}
}

// The form of a file: what a runtime and a reader find in it.
func TestForm(t *testing.T) {
	m := fixtures(t)[11].model // standard, floats, 2 hidden layers
	m.Columns = &dataset.Columns{Number: 13, Label: 2, Names: strings.Split("a,label,b,c,d,e,f,g,h,i,j,k,l", ",")}
	file := written(t, m)
	if !bytes.Equal(file, written(t, m)) {
		t.Error("equal models give different bytes")
	}
	p, err := parse(file)
	must.OK(t, err)
	var operators []string
	for _, n := range p.nodes {
		operators = append(operators, n.operator)
	}
	if got, want := strings.Join(operators, " "), "Sub Sub Mul Gemm Relu Gemm Relu Gemm Softmax"; got != want {
		t.Errorf("operators %s, want %s", got, want)
	}
	if p.version != 7 || p.opset != 13 || p.producer != "clgrad" || p.name != "clgrad" {
		t.Errorf("version %d, opset %d, producer %q, graph %q", p.version, p.opset, p.producer, p.name)
	}
	if got, want := fmt.Sprint(p.inputs, p.outputs), "[features N×12] [probabilities N×3 logits N×3]"; got != want {
		t.Errorf("inputs and outputs %s, want %s", got, want)
	}
	if want := "A fully connected network of sizes 12×9×5×3, with ReLU between its layers. The graph scales its features: they go in raw, as they stand in the data set."; p.doc != want {
		t.Errorf("doc string %q", p.doc)
	}
	want := map[string]string{
		"classes": `["cat","é","10"]`, "shape": "[3,4]", "preprocess": "standard", "scaling": "in the graph",
		"columns": `["a","b","c","d","e","f","g","h","i","j","k","l"]`,
	}
	if fmt.Sprint(p.metadata) != fmt.Sprint(want) {
		t.Errorf("metadata %v, want %v", p.metadata, want)
	}
	for name, shape := range map[string]string{"0.weight": "[9 12]", "0.bias": "[9]", "4.weight": "[3 5]", "scaling.shift": "[1]"} {
		if got := fmt.Sprint(p.initializers[name].shape); got != shape {
			t.Errorf("%s has shape %s, want %s", name, got, shape)
		}
	}

	// What changes nothing is not there, and what is unknown is said.
	m.Scaling, m.Classes, m.Preprocess, m.Shape, m.Columns = network.Scaling{Shift: []float64{0}, Factor: []float64{1. / 255}}, nil, "", nil, nil
	if p, err = parse(written(t, m)); err != nil || p.nodes[0].operator != "Mul" || p.metadata["classes"] != `["0","1","2"]` {
		t.Errorf("a scaling without shift: %v, %v", p, err)
	}
	m.Scaling, m.Layers = network.Scaling{}, []checkpoint.LayerTensors{{Weight: "a"}, {Weight: "b"}, {Weight: "c"}}
	if p, err = parse(written(t, m)); err != nil || p.nodes[0].operator != "Gemm" || p.metadata["scaling"] != "unknown" || !strings.Contains(p.doc, "is unknown") {
		t.Errorf("an unknown scaling: %v, %v", p, err)
	}
}

// What float32 cannot hold is an error that says what.
func TestErrors(t *testing.T) {
	m := fixtures(t)[3].model
	m.Precision = checkpoint.F64
	for _, test := range []struct {
		change func()
		want   string
	}{
		{func() { m.Parameters = slices.Clone(m.Parameters); m.Parameters[1] = 1e39 }, "0.weight[1,0] is beyond float32: precision F64 is needed"},
		{func() { m.Parameters[1] = 1; m.Scaling = network.Scaling{Shift: []float64{1e39}, Factor: []float64{1}} }, "scaling of input 0 has shift 1e+39 and factor 1, which float32 cannot hold"},
		{func() { m.Scaling = network.Scaling{Shift: []float64{0}, Factor: []float64{1e-40}} }, "scaling of input 0 has shift 0 and factor 1e-40, which float32 cannot hold"},
		{func() { m.Scaling = network.Scaling{Shift: []float64{0, 1}, Factor: []float64{1, 1}} }, "scaling has 2 shifts and 2 factors for 12 features: 0, 1 or 12 of each are expected"},
		{func() {
			m.Sizes = []int{1 << 15, 1 << 14, 1}
			m.Scaling = network.Scaling{}
			m.Shape = nil
			m.Precision = checkpoint.F32
		}, "parameters where a network [32768 16384 1] has"},
	} {
		test.change()
		var b bytes.Buffer
		if err := onnx.Write(&b, m); err == nil || !strings.Contains(err.Error(), test.want) || b.Len() > 0 {
			t.Errorf("got %v, want %s", err, test.want)
		}
	}
}
