package checkpoint

import (
	"bytes"
	"math"
	"strings"
	"testing"

	"clgrad/network"

	"github.com/google/go-cmp/cmp"
)

// lbfgsHeader is the header of a network of one weight and one bias with the state of
// L-BFGS, which has two pairs.
const lbfgsHeader = `{"__metadata__":{` +
	`"clgrad.optimizer":"{\"optimizer\":\"lbfgs\",\"since\":1,\"lbfgs\":{\"iteration\":2,\"evaluations\":5,\"loss\":0.1}}",` +
	`"clgrad.run":"{\"iterations\":3,\"data\":\"\",\"digest\":\"\"}",` +
	`"clgrad.scaling":"{\"shift\":[],\"factor\":[]}",` +
	`"clgrad.sha256":"SUM",` +
	`"clgrad.sizes":"[1,1]","clgrad.version":"3"},` +
	`"lbfgs.gradient.0.weight":{"dtype":"F64","shape":[1,1],"data_offsets":[0,8]},` +
	`"lbfgs.gradient.0.bias":{"dtype":"F64","shape":[1],"data_offsets":[8,16]},` +
	`"lbfgs.s.0.0.weight":{"dtype":"F64","shape":[1,1],"data_offsets":[16,24]},` +
	`"lbfgs.s.0.0.bias":{"dtype":"F64","shape":[1],"data_offsets":[24,32]},` +
	`"lbfgs.s.1.0.weight":{"dtype":"F64","shape":[1,1],"data_offsets":[32,40]},` +
	`"lbfgs.s.1.0.bias":{"dtype":"F64","shape":[1],"data_offsets":[40,48]},` +
	`"lbfgs.y.0.0.weight":{"dtype":"F64","shape":[1,1],"data_offsets":[48,56]},` +
	`"lbfgs.y.0.0.bias":{"dtype":"F64","shape":[1],"data_offsets":[56,64]},` +
	`"lbfgs.y.1.0.weight":{"dtype":"F64","shape":[1,1],"data_offsets":[64,72]},` +
	`"lbfgs.y.1.0.bias":{"dtype":"F64","shape":[1],"data_offsets":[72,80]},` +
	`"0.weight":{"dtype":"F32","shape":[1,1],"data_offsets":[80,84]},` +
	`"0.bias":{"dtype":"F32","shape":[1],"data_offsets":[84,88]}}`

var (
	lbfgsNumbers    = `\"lbfgs\":{\"iteration\":2,\"evaluations\":5,\"loss\":0.1}`
	lbfgsValues     = []float64{0.1, -0.2, 0.3, 0.4, 0.5, -0.6, 0.7, 0.8, 0.9, -1.1}
	lbfgsParameters = []float32{3, 4}
)

// lbfgsModel is the model of lbfgsHeader, lbfgsValues and lbfgsParameters.
func lbfgsModel(t testing.TB) Model {
	flat := pair(t)
	v := lbfgsValues
	return Model{
		Sizes: []int{1, 1}, Parameters: flat(3, 4), Precision: F32, Run: &Run{Iterations: 3},
		State: network.State{Optimizer: network.LBFGS, Since: 1, LBFGS: &network.LBFGSState{
			Iteration: 2, Evaluations: 5, Loss: 0.1, Theta: flat(3, 4), Gradient: flat(v[0], v[1]),
			S: [][]float64{flat(v[2], v[3]), flat(v[4], v[5])}, Y: [][]float64{flat(v[6], v[7]), flat(v[8], v[9])},
		}},
	}
}

// The bytes themselves, by hand.
func TestWriteLBFGSBytes(t *testing.T) {
	want := summed(lbfgsHeader, lbfgsValues, lbfgsParameters)
	if got := written(t, lbfgsModel(t)); !bytes.Equal(got, want) {
		t.Errorf("got\n%q\nwant\n%q", got, want)
	}
}

func TestWriteLBFGSErrors(t *testing.T) {
	checkRefusals(t, func() Model { return lbfgsModel(t) }, []refusal{
		{"other parameters", func(m *Model) { m.Parameters[0] = 5 }, "state of lbfgs is of other parameters than the model's"},
		{"other optimizer", func(m *Model) { m.State.Optimizer = network.GD }, "state of gd has one of lbfgs too"},
		{"vectors", func(m *Model) { m.State.Vectors = [][]float64{m.Parameters} }, "state of lbfgs has 1 vectors where 0 are expected"},
		{"iterations", func(m *Model) { m.State.Since = 2 }, "state of lbfgs has 2 iterations since iteration 2 where 3 are done"},
		{"none", func(m *Model) { m.State.LBFGS = nil }, "state of lbfgs has 0 iterations since iteration 1 where 3 are done"},
		{"evaluations", func(m *Model) { m.State.LBFGS.Evaluations = 2 }, "L-BFGS state: 2 evaluations for 2 iterations"},
		{"length", func(m *Model) { m.State.LBFGS.Gradient = nil }, "L-BFGS state: the gradient has 0 elements"},
		{"NaN", func(m *Model) { m.State.LBFGS.S[1][0] = math.NaN() }, "L-BFGS state: s of pair 2: an element is not finite"},
		{"no float32", func(m *Model) { m.Parameters[0], m.State.LBFGS.Theta[0] = 0.1, 0.1 }, "0.weight[0,0] is 0.1, which is no float32"},
	})
}

func TestReadLBFGSDamage(t *testing.T) {
	sound := withoutSum(lbfgsHeader)
	if m, err := readBytes(file(sound, lbfgsValues, lbfgsParameters)); err != nil {
		t.Fatal(err)
	} else if d := cmp.Diff(lbfgsModel(t), m); d != "" {
		t.Fatal(d)
	}
	const newest = `"lbfgs.s.1.0.weight":{"dtype":"F64","shape":[1,1]`
	checkDamages(t, sound, []damage{
		{"other optimizer", `\"optimizer\":\"lbfgs\"`, `\"optimizer\":\"gd\"`, "state of gd has one of lbfgs too"},
		{"no numbers", `,` + lbfgsNumbers, ``, `tensor "lbfgs.gradient.0.weight" has no place in a network [1 1]`},
		{"null", lbfgsNumbers, `\"lbfgs\":null`, `tensor "lbfgs.gradient.0.weight" has no place in a network [1 1]`},
		{"empty", lbfgsNumbers, `\"lbfgs\":{}`, "L-BFGS state: 2 pairs after 0 iterations"},
		{"unknown number", `\"loss\":0.1`, `\"loss\":0.1,\"oldest\":0`, `clgrad.optimizer: "/lbfgs/oldest" is not known`},
		{"vector in the metadata", `\"loss\":0.1`, `\"loss\":0.1,\"Theta\":[]`, `clgrad.optimizer: "/lbfgs/Theta" is not known`},
		{"fraction", `\"evaluations\":5`, `\"evaluations\":5.5`, `clgrad.optimizer: "/lbfgs/evaluations": number 5.5 where int is expected`},
		{"stop", `\"loss\":0.1`, `\"loss\":0.1,\"stop\":\"tired\"`, `L-BFGS state: stop "tired" is unknown`},
		{"evaluations", `\"evaluations\":5`, `\"evaluations\":2`, "L-BFGS state: 2 evaluations for 2 iterations: at least one more is expected"},
		{"iterations", `\"iteration\":2`, `\"iteration\":3`, "state of lbfgs has 3 iterations since iteration 1 where 3 are done"},
		{"no gradient", `"lbfgs.gradient.0.weight"`, `"lbfgs.g.0.weight"`, "has no tensor lbfgs.gradient.0.weight, which a run of a network [1 1] has"},
		{"no y", `"lbfgs.y.1.0.`, `"lbfgs.y.2.0.`, `tensor "lbfgs.y.2.0.weight" has no place in a network [1 1]`},
		{"no bias", `"lbfgs.y.1.0.bias"`, `"lbfgs.y.1.0.b"`, "has no tensor lbfgs.y.1.0.bias, which a run of a network [1 1] has"},
		{"shape", newest, strings.Replace(newest, "[1,1]", "[1]", 1), "tensor lbfgs.s.1.0.weight has shape [1] where [1 1] is expected"},
		{"float32", `"lbfgs.gradient.0.weight":{"dtype":"F64","shape":[1,1],"data_offsets":[0,8]},"lbfgs.gradient.0.bias":{"dtype":"F64","shape":[1],"data_offsets":[8,16]}`,
			`"lbfgs.gradient.0.weight":{"dtype":"F32","shape":[1,1],"data_offsets":[0,4]},"x":{"dtype":"F32","shape":[1],"data_offsets":[4,8]},"lbfgs.gradient.0.bias":{"dtype":"F64","shape":[1],"data_offsets":[8,16]}`,
			"tensor lbfgs.gradient.0.weight is F32 where F64 is expected"},
	}, lbfgsValues, lbfgsParameters)

	// A network in float64 may not take the place of one in float32, nor a bent pair that of a
	// sound one.
	wide := strings.NewReplacer(`"0.bias":{"dtype":"F32","shape":[1],"data_offsets":[84,88]}`, `"0.bias":{"dtype":"F64","shape":[1],"data_offsets":[84,92]}`).Replace(sound)
	_, err := readBytes(file(wide, lbfgsValues, float32(3), 4.))
	if want := "file: tensor 0.bias is F64 where 0.weight is F32: one precision is expected"; err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
	for i, want := range map[int]string{
		6: "file: L-BFGS state: pair 1 of the history has no positive curvature",
		8: "file: L-BFGS state: pair 2 of the history has no positive curvature",
	} {
		values := append([]float64{}, lbfgsValues...)
		values[i] = -10
		if _, err := readBytes(file(sound, values, lbfgsParameters)); err == nil || err.Error() != want {
			t.Errorf("got %v, want %s", err, want)
		}
	}
	values := append([]float64{}, lbfgsValues...)
	values[3] = math.Inf(1)
	_, err = readBytes(file(sound, values, lbfgsParameters))
	if want := "file: lbfgs.s.0.0.bias[0] is +Inf where a finite number is expected"; err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}

	// Every bit counts, and every byte, but for the name of the sum: without a sum the
	// rest is as it was.
	whole := written(t, lbfgsModel(t))
	for i := range whole {
		flipped := bytes.Clone(whole)
		flipped[i] ^= 1 << (i % 8)
		m, err := readBytes(flipped)
		if err == nil && !cmp.Equal(m, lbfgsModel(t)) || err != nil && strings.Contains(err.Error(), "\n") {
			t.Fatalf("bit %d of byte %d flipped: %v", i%8, i, err)
		}
		if _, err := readBytes(whole[:i]); err == nil || strings.Contains(err.Error(), "\n") {
			t.Fatalf("%d bytes: %v", i, err)
		}
	}
}
