package checkpoint

import (
	"bytes"
	"math"
	"path/filepath"
	"strings"
	"testing"

	"clgrad/network"

	"github.com/google/go-cmp/cmp"
)

// midway is the toy in the middle of a run: with the state of an optimizer, whose k-th
// vector is 1/2ᵏ times the parameters, the second without their signs, and with the best
// parameters, their negatives.
func midway(t testing.TB, o network.Optimizer) Model {
	m := toy(t)
	scaled := func(factor float64) []float64 {
		v := make([]float64, len(m.Parameters))
		for i, x := range m.Parameters {
			v[i] = factor * x
		}
		return v
	}
	m.State = network.State{Optimizer: o, Since: 7}
	for k := range network.NewRule(o).States() {
		v := scaled(math.Ldexp(1, -k-1))
		for i := range v {
			if k == 1 {
				v[i] = math.Abs(v[i])
			}
		}
		m.State.Vectors = append(m.State.Vectors, v)
	}
	if o == network.LBFGS {
		// Each y is s/3, so that the curvature is positive. None of them is a float32.
		m.State.LBFGS = &network.LBFGSState{
			Iteration: 93, Evaluations: 120, Loss: 0.1, Stop: network.SmallGain, Theta: m.Parameters,
			Gradient: scaled(1. / 3), S: [][]float64{scaled(0.1), scaled(0.7)}, Y: [][]float64{scaled(0.1 / 3), scaled(0.7 / 3)},
		}
	}
	m.Best = &Best{Parameters: scaled(-1), Iteration: 60, Loss: 0.1}
	return m
}

func TestStateRoundTrip(t *testing.T) {
	for _, o := range append(network.Optimizers(), "") {
		for name, change := range map[string]func(*Model){
			"F32":     func(*Model) {},
			"no best": func(m *Model) { m.Best = nil },
			"F64": func(m *Model) {
				m.Precision = F64
				m.Best.Parameters[0] = 0.1
				for _, v := range m.State.Vectors {
					v[1] = 1. / 3
				}
			},
			"start": func(m *Model) {
				m.Run.Iterations, m.State.Since, m.Best.Iteration = 0, 0, 0
				if s := m.State.LBFGS; s != nil {
					s.Iteration, s.Stop, s.S, s.Y = 0, "", nil, nil
				}
			},
			"before the first evaluation": func(m *Model) { m.State.Since, m.State.LBFGS = m.Run.Iterations, nil },
		} {
			m := midway(t, o)
			change(&m)
			if o == "" {
				m.State = network.State{}
			}
			file := written(t, m)
			got, err := readBytes(file)
			if err != nil {
				t.Errorf("%s, %s: %v", o, name, err)
			} else if d := cmp.Diff(m, got); d != "" {
				t.Errorf("%s, %s: %s", o, name, d)
			} else if !bytes.Equal(file, written(t, got)) {
				t.Errorf("%s, %s: written again the bytes differ", o, name)
			}
		}
	}
}

// stateHeader is the header of a network of one weight and one bias with the state of
// Adam and the best parameters.
const stateHeader = `{"__metadata__":{` +
	`"clgrad.best":"{\"iteration\":2,\"loss\":0.5}",` +
	`"clgrad.optimizer":"{\"optimizer\":\"adam\",\"since\":1}",` +
	`"clgrad.run":"{\"iterations\":3,\"data\":\"\",\"digest\":\"\"}",` +
	`"clgrad.scaling":"{\"shift\":[],\"factor\":[]}",` +
	`"clgrad.sha256":"SUM",` +
	`"clgrad.sizes":"[1,1]","clgrad.version":"3"},` +
	`"0.weight":{"dtype":"F32","shape":[1,1],"data_offsets":[0,4]},` +
	`"0.bias":{"dtype":"F32","shape":[1],"data_offsets":[4,8]},` +
	`"optimizer.0.0.weight":{"dtype":"F32","shape":[1,1],"data_offsets":[8,12]},` +
	`"optimizer.0.0.bias":{"dtype":"F32","shape":[1],"data_offsets":[12,16]},` +
	`"optimizer.1.0.weight":{"dtype":"F32","shape":[1,1],"data_offsets":[16,20]},` +
	`"optimizer.1.0.bias":{"dtype":"F32","shape":[1],"data_offsets":[20,24]},` +
	`"best.0.weight":{"dtype":"F32","shape":[1,1],"data_offsets":[24,28]},` +
	`"best.0.bias":{"dtype":"F32","shape":[1],"data_offsets":[28,32]}}`

// stateModel is the model of stateHeader and the values 1, 2, …, 8.
func stateModel(t testing.TB) Model {
	flat := pair(t)
	return Model{
		Sizes: []int{1, 1}, Parameters: flat(1, 2), Precision: F32, Run: &Run{Iterations: 3},
		State: network.State{Optimizer: network.Adam, Since: 1, Vectors: [][]float64{flat(3, 4), flat(5, 6)}},
		Best:  &Best{Parameters: flat(7, 8), Iteration: 2, Loss: 0.5},
	}
}

var stateValues = []float32{1, 2, 3, 4, 5, 6, 7, 8}

// The bytes themselves, by hand, as those of a file without a state in [TestWriteBytes].
func TestWriteStateBytes(t *testing.T) {
	want := summed(stateHeader, stateValues)
	if got := written(t, stateModel(t)); !bytes.Equal(got, want) {
		t.Errorf("got\n%q\nwant\n%q", got, want)
	}
}

func TestWriteStateErrors(t *testing.T) {
	checkRefusals(t, func() Model { return midway(t, network.Adam) }, []refusal{
		{"state without a run", func(m *Model) { m.Run, m.Best = nil, nil }, "a state without its run is no checkpoint"},
		{"best without a run", func(m *Model) { m.Run, m.State = nil, network.State{} }, "a state without its run is no checkpoint"},
		{"optimizer", func(m *Model) { m.State.Optimizer = "magic" }, `optimizer "magic" is unknown`},
		{"vectors of no optimizer", func(m *Model) { m.State.Optimizer = "" }, `optimizer "" is unknown`},
		{"vectors", func(m *Model) { m.State.Vectors = m.State.Vectors[1:] }, "state of adam has 1 vectors where 2 are expected"},
		{"length", func(m *Model) { m.State.Vectors[1] = m.State.Vectors[1][1:] }, "vector 2 of the state of adam has 111 elements where the layout has 112"},
		{"since", func(m *Model) { m.State.Since = 101 }, "state of adam since iteration 101 where 100 are done"},
		{"NaN", func(m *Model) { m.State.Vectors[0][34] = math.NaN() }, "vector 1 of the state of adam: element 34 is NaN: a finite number is expected"},
		{"mean of squares", func(m *Model) { m.State.Vectors[1][34] = -0.5 }, "vector 2 of the state of adam: element 34 is -0.5: a mean of squares is expected, 0 or more"},
		{"no float32", func(m *Model) { m.State.Vectors[1][17] = 0.1 }, "optimizer.1.0.weight[1,1] is 0.1, which is no float32: precision F64 is needed"},
		{"best parameters", func(m *Model) { m.Best.Parameters = nil }, "0 best parameters where a network [2 3 2] has 112 with padding"},
		{"best value", func(m *Model) { m.Best.Parameters[0] = math.Inf(1) }, "best.0.weight[0,0] is +Inf where a finite number is expected"},
		{"best iteration", func(m *Model) { m.Best.Iteration = 101 }, "best parameters of iteration 101 where 100 are done"},
		{"negative iteration", func(m *Model) { m.Best.Iteration = -1 }, "best parameters of iteration -1 where 100 are done"},
		{"best loss", func(m *Model) { m.Best.Loss = math.Inf(1) }, "best parameters have loss +Inf: a finite number is expected"},
	})
}

func TestReadStateDamage(t *testing.T) {
	sound := withoutSum(stateHeader)
	if m, err := readBytes(file(sound, stateValues)); err != nil {
		t.Fatal(err)
	} else if d := cmp.Diff(stateModel(t), m); d != "" {
		t.Fatal(d)
	}
	const (
		optimizer = `"clgrad.optimizer":"{\"optimizer\":\"adam\",\"since\":1}",`
		best      = `"clgrad.best":"{\"iteration\":2,\"loss\":0.5}",`
		weight    = `"optimizer.1.0.weight":{"dtype":"F32","shape":[1,1]`
		bias      = `"best.0.bias":{"dtype":"F32","shape":[1]`
	)
	checkDamages(t, sound, []damage{
		{"newer version and unknown tensors", `"clgrad.version":"3"},"0.weight"`, `"clgrad.version":"4"},"weight"`, `has clgrad.version "4" where "3" is expected: a newer clgrad may read it`},
		{"older version", `version":"3"`, `version":"2"`, `tensor "optimizer.0.0.weight" has no place in a network [1 1]`},
		{"no version", `"clgrad.version":"3"`, `"format":"pt"`, `tensor "optimizer.0.0.weight" is of an optimizer: those of the network alone are expected`},
		{"no optimizer", optimizer, ``, `tensor "optimizer.0.0.weight" has no place in a network [1 1]`},
		{"no best", best, ``, `tensor "best.0.weight" has no place in a network [1 1]`},
		{"no run", `"clgrad.run":"{\"iterations\":3,\"data\":\"\",\"digest\":\"\"}",`, ``, "a state without its run is no checkpoint"},
		{"run too short", `\"iterations\":3`, `\"iterations\":0`, "state of adam since iteration 1 where 0 are done"},
		{"unknown optimizer", `\"adam\"`, `\"magic\"`, `clgrad.optimizer: optimizer "magic" is unknown`},
		{"null", `"{\"optimizer\":\"adam\",\"since\":1}"`, `"null"`, `clgrad.optimizer: optimizer "" is unknown`},
		{"fewer vectors", `\"adam\"`, `\"momentum\"`, "state of momentum has 2 vectors where 1 are expected"},
		{"no vectors", `\"adam\"`, `\"gd\"`, "state of gd has 2 vectors where 0 are expected"},
		{"unknown key", `\"since\":1`, `\"since\":1,\"a\":0`, `clgrad.optimizer: "/a" is not known`},
		{"key twice", `\"since\":1`, `\"since\":1,\"since\":1`, `clgrad.optimizer: jsontext: duplicate object member name "since"`},
		{"fraction", `\"since\":1`, `\"since\":1.5`, `clgrad.optimizer: "/since": number 1.5 where int is expected`},
		{"best list", `"{\"iteration\":2,\"loss\":0.5}"`, `"[]"`, `clgrad.best: "": array where object is expected`},
		{"best iteration", `\"iteration\":2`, `\"iteration\":4`, "best parameters of iteration 4 where 3 are done"},
		{"best loss", `\"loss\":0.5`, `\"loss\":1e999`, `clgrad.best: "/loss": number 1e999 where float64 is expected`},
		{"gap in the vectors", `"optimizer.1.0.weight"`, `"optimizer.2.0.weight"`, `tensor "optimizer.2.0.weight" has no place in a network [1 1]`},
		{"no bias", `"optimizer.1.0.bias"`, `"optimizer.1.0.b"`, "has no tensor optimizer.1.0.bias, which a run of a network [1 1] has"},
		{"shape", weight, strings.Replace(weight, "[1,1]", "[1]", 1), "tensor optimizer.1.0.weight has shape [1] where [1 1] is expected"},
		{"shape of best", bias, strings.Replace(bias, "[1]", "[1,1]", 1), "tensor best.0.bias has shape [1 1] where [1] is expected"},
		{"overlap", "[24,28]", "[20,24]", `tensor "optimizer.1.0.bias" begins at byte 20, before another ends at 24`},
		{"precision", `"best.0.weight":{"dtype":"F32"`, `"best.0.weight":{"dtype":"F64"`, `tensor "best.0.weight" has 4 bytes, which is not what F64 of shape [1 1] needs`},
	}, stateValues)
	for i, name := range []string{2: "optimizer.0.0.weight[0,0]", 5: "optimizer.1.0.bias[0]", 7: "best.0.bias[0]"} {
		if name == "" {
			continue
		}
		values := append([]float32{}, stateValues...)
		values[i] = float32(math.NaN())
		_, err := readBytes(file(sound, values))
		if want := "file: " + name + " is NaN where a finite number is expected"; err == nil || err.Error() != want {
			t.Errorf("got %v, want %s", err, want)
		}
	}
}

// Files of the versions before, as their programs wrote them, are the toy.
func TestReadOlderVersions(t *testing.T) {
	for version, setup := range map[string]string{
		"1": `{"init":"he","seed":18446744073709551615,"lr":0.1,"divide":[6,4],"samples":5}`,
		"2": `{"divide":[6,4],"init":"he","lr":0.1,"samples":5,"seed":18446744073709551615}`,
	} {
		got, err := Load(filepath.Join("testdata", "version"+version+".safetensors"))
		if err != nil {
			t.Error(err)
			continue
		}
		want := toy(t)
		want.Run.Setup = []byte(setup)
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("version %s: %s", version, d)
		}
	}
}
