package checkpoint

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"math"
	"runtime"
	"strings"
	"testing"

	"clgrad/network"
	"clgrad/network/must"

	"github.com/google/go-cmp/cmp"
)

// What PyTorch's safetensors.torch.save_file writes of an nn.Sequential: tensors
// in the order of their names, metadata of its own.
const pytorch = `{"__metadata__":{"format":"pt"},` +
	`"0.bias":{"dtype":"F32","shape":[3],"data_offsets":[0,12]},` +
	`"0.weight":{"dtype":"F32","shape":[3,2],"data_offsets":[12,36]},` +
	`"2.bias":{"dtype":"F32","shape":[2],"data_offsets":[36,44]},` +
	`"2.weight":{"dtype":"F32","shape":[2,3],"data_offsets":[44,68]}}   `

var negativeZero = float32(math.Copysign(0, -1))

var pytorchValues = []float32{100, 101, 102, 0, 10, 1, 11, 2, 12, -100, -101, negativeZero, -10, -20, -1, -11, -21}

func TestReadPyTorch(t *testing.T) {
	for name, head := range map[string]string{
		"metadata":    pytorch,
		"no metadata": strings.Replace(pytorch, `"__metadata__":{"format":"pt"},`, "", 1),
		// The order of the header's entries is free, that of the bytes decides.
		"reordered": `{"2.weight":{"data_offsets":[44,68],"shape":[2,3],"dtype":"F32"},` +
			`"0.weight":{"dtype":"F32","shape":[3,2],"data_offsets":[12,36]},` +
			`"0.bias":{"dtype":"F32","shape":[3],"data_offsets":[0,12]},` +
			`"2.bias":{"dtype":"F32","shape":[2],"data_offsets":[36,44]}}`,
	} {
		got, err := readBytes(file(head, pytorchValues))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		want := Model{Sizes: []int{2, 3, 2}, Parameters: toy(t).Parameters, Precision: F32, Layers: []LayerTensors{{"0.weight", "0.bias"}, {"2.weight", "2.bias"}}}
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("%s: %s", name, d)
		}
	}
}

func TestReadDamage(t *testing.T) {
	replace := func(old, new string) []byte {
		if !strings.Contains(pytorch, old) {
			t.Fatalf("no %s in the header", old)
		}
		return file(strings.Replace(pytorch, old, new, 1), pytorchValues)
	}
	// The same of a file with this package's metadata.
	ours := func(old, new string) []byte {
		head := strings.Replace(pytorch, `"format":"pt"`, `"clgrad.version":"2","clgrad.sizes":"[2,3,2]","clgrad.scaling":"{}"`, 1)
		if !strings.Contains(head, old) {
			t.Fatalf("no %s in the header", old)
		}
		return file(strings.ReplaceAll(head, old, new), pytorchValues)
	}
	good := file(pytorch, pytorchValues)
	value := func(i int, v float32) []byte {
		f := bytes.Clone(good)
		binary.LittleEndian.PutUint32(f[8+len(pytorch)+4*i:], math.Float32bits(v))
		return f
	}
	layers := `{"0.weight":{"dtype":"F32","shape":[1,1],"data_offsets":[0,4]},"0.bias":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}}`
	for _, test := range []struct {
		name string
		file []byte
		want string
	}{
		{"empty", nil, "has 0 bytes where a safetensors file has at least 8"},
		{"seven bytes", good[:7], "has 7 bytes where a safetensors file has at least 8"},
		{"length alone", good[:8], fmt.Sprintf("announces a header of %d bytes where 0 are possible: is this a safetensors file?", len(pytorch))},
		{"within the header", good[:50], fmt.Sprintf("announces a header of %d bytes where 42 are possible", len(pytorch))},
		{"largest length", append(bytes.Repeat([]byte{0xff}, 8), good[8:]...), "announces a header of 18446744073709551615 bytes"},
		{"no header", file(""), "its header does not begin with {"},
		{"list", file("[]"), "its header does not begin with {"},
		{"open", file("{"), "its header: jsontext: unexpected EOF after offset 1"},
		{"open within", file(`{"0.weight":{"dtype":`), `its header: jsontext: unexpected EOF within "/0.weight/dtype" after offset 21`},
		{"two objects", file("{}{}"), "its header: jsontext: invalid character '{' after top-level value after offset 2"},
		{"two", file(layers+" x", []float32{1, 2}), "its header: jsontext: invalid character 'x' after top-level value after offset "},
		{"not UTF-8", file("{\"\xff\":1}"), "its header: jsontext: invalid UTF-8 after offset 2"},
		{"no tensors", file("{}"), "has no matrix of outputs × inputs: the layers of a fully connected network are expected, there are none"},
		{"bytes without tensors", file("{}", int32(0)), "has 4 bytes of tensors where its header has 0"},

		{"tensor twice", replace(`"2.bias"`, `"0.bias"`), `its header: jsontext: duplicate object member name "0.bias"`},
		{"key twice", replace(`"dtype":"F32"`, `"dtype":"F32","dtype":"F64"`), `its header: jsontext: duplicate object member name "dtype" within "/0.bias"`},
		{"metadata twice", replace(`"format":"pt"`, `"a":"b","a":"c"`), `its header: jsontext: duplicate object member name "a" within "/__metadata__"`},
		{"metadata number", replace(`"format":"pt"`, `"a":1`), `its header: "/__metadata__/a": number where string is expected`},
		{"metadata null", replace(`"format":"pt"`, `"a":null`), `its header: "__metadata__": "a": null where a string is expected`},
		{"metadata list", replace(`{"format":"pt"}`, `[]`), `its header: "/__metadata__": array where object is expected`},
		{"other case", replace(`"dtype"`, `"DType"`), `its header: "/0.bias/DType" is not known`},
		{"no dtype", replace(`"dtype":"F32",`, ``), `its header: "0.bias": has no dtype`},
		{"no shape", replace(`"shape":[3],`, ``), `its header: "0.bias": has no shape`},
		{"no offsets", replace(`,"data_offsets":[0,12]`, ``), `its header: "0.bias": has 0 data_offsets where 2 are expected`},
		{"three offsets", replace(`[0,12]`, `[0,12,12]`), `its header: "0.bias": has 3 data_offsets where 2 are expected`},
		{"whole numbers", replace(`"F32"`, `"I64"`), `its header: "0.bias": has dtype "I64" where one of F16, BF16, F32, F64 is expected`},
		{"half precision", replace(`"F32"`, `"F16"`), `tensor "0.bias" has 12 bytes, which is not what F16 of shape [3] needs`},
		{"ours of half precision", file(`{"__metadata__":{"clgrad.version":"2","clgrad.sizes":"[1,1]","clgrad.scaling":"{}"},"0.weight":{"dtype":"F16","shape":[1,1],"data_offsets":[0,2]},"0.bias":{"dtype":"F16","shape":[1],"data_offsets":[2,4]}}`, []uint16{0, 0}),
			"tensor 0.weight is F16 where F32 or F64 is expected"},
		{"fraction", replace(`"shape":[3]`, `"shape":[3.5]`), `its header: "/0.bias/shape/0": number 3.5 where int is expected`},
		{"huge number", replace(`"shape":[3]`, `"shape":[99999999999999999999]`), `its header: "/0.bias/shape/0": number 99999999999999999999 where int is expected`},
		{"negative dimension", replace(`"shape":[3]`, `"shape":[-3]`), `its header: "0.bias": has a dimension of -3`},
		{"many dimensions", replace(`"shape":[3]`, `"shape":[1,1,1,1,1,1,1,1,3]`), `its header: "0.bias": has 9 dimensions where at most 8 are expected`},
		{"overflow", replace(`"shape":[3]`, `"shape":[4611686018427387904,4,3]`), `tensor "0.bias" has 12 bytes, which is not what F32 of shape [4611686018427387904 4 3] needs`},
		{"other size", replace(`"shape":[3]`, `"shape":[4]`), `tensor "0.bias" has 12 bytes, which is not what F32 of shape [4] needs`},
		{"mixed size", replace(`"F32"`, `"F64"`), `tensor "0.bias" has 12 bytes, which is not what F64 of shape [3] needs`},
		{"negative offset", replace(`[0,12]`, `[-12,0]`), `tensor "0.bias" is at bytes -12 to 0 of 68`},
		{"reversed offsets", replace(`[12,36]`, `[36,12]`), `tensor "0.weight" is at bytes 36 to 12 of 68`},
		{"beyond the end", replace(`[44,68]`, `[48,72]`), `tensor "2.weight" is at bytes 48 to 72 of 68`},
		{"wrapping offsets", replace(`[0,12]`, `[-9223372036854775808,9223372036854775807]`), `tensor "0.bias" is at bytes -9223372036854775808 to 9223372036854775807 of 68`},
		{"overlap", replace(`[12,36]`, `[8,32]`), `tensor "0.weight" begins at byte 8, before another ends at 12`},
		{"hole", file(strings.NewReplacer("[12,36]", "[16,40]", "[36,44]", "[40,48]", "[44,68]", "[48,72]").Replace(pytorch), pytorchValues, int32(0)),
			`tensor "0.weight" begins at byte 16 where 12 is expected: no tensor has the bytes between`},
		{"values cut", good[:len(good)-4], `tensor "2.weight" is at bytes 44 to 68 of 64`},
		{"values behind", append(bytes.Clone(good), 0, 0, 0, 0), "has 72 bytes of tensors where its header has 68"},

		{"no weight", ours(`"0.weight"`, `"fc.weight"`), `has no tensor 0.weight: those of nn.Sequential(Linear, ReLU, Linear, …) are expected, there is "0.bias"`},
		{"no bias", ours(`"2.bias"`, `"2.b"`), "has no tensor 2.bias, which a network [2 3 2] has"},
		{"gap in the layers", ours(`"2.`, `"4.`), `clgrad.sizes is [2 3 2] where the tensors have [2 3]`},
		{"unknown tensor", ours(`"0.bias"`, `"x":{"dtype":"F32","shape":[0],"data_offsets":[0,0]},"0.bias"`), `tensor "x" has no place in a network [2 3 2]`},
		{"weight of one dimension", ours(`"shape":[3,2]`, `"shape":[6]`), "tensor 0.weight has shape [6] where outputs and inputs are expected"},
		{"bias of two dimensions", ours(`"shape":[3]`, `"shape":[1,3]`), "tensor 0.bias has shape [1 3] where [3] is expected"},
		{"no chain", ours(`"shape":[2,3]`, `"shape":[3,2]`), "tensor 2.weight has 2 inputs where the layer before has 3 outputs"},
		{"no inputs", file(strings.NewReplacer("[1,1]", "[1,0]", "[0,4]", "[0,0]", "[4,8]", "[0,4]").Replace(layers), float32(1)), `tensor "0.weight" has shape [1 0]: a layer has at least one input and one output`},
		{"two precisions", file(strings.NewReplacer(`"F32","shape":[1],"data_offsets":[4,8]`, `"F64","shape":[1],"data_offsets":[4,12]`).Replace(layers), float32(1), 1.0),
			"tensor 0.bias is F64 where 0.weight is F32: one precision is expected"},

		{"NaN", value(7, float32(math.NaN())), "0.weight[2,0] is NaN where a finite number is expected"},
		{"infinite", value(10, float32(math.Inf(-1))), "2.bias[1] is -Inf where a finite number is expected"},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, err := readBytes(test.file)
			if err == nil || !strings.HasPrefix(err.Error(), "file: "+test.want) {
				t.Errorf("got %v\nwant file: %s", err, test.want)
			}
		})
	}
}

// A damage is a change of a header with which a file is refused.
type damage struct{ name, old, new, want string }

// checkDamages reports changes of a header with which a file is read, or refused for another
// reason.
func checkDamages(t *testing.T, header string, all []damage, values ...any) {
	t.Helper()
	for _, test := range all {
		t.Run(test.name, func(t *testing.T) {
			if !strings.Contains(header, test.old) {
				t.Fatalf("no %s in the header", test.old)
			}
			_, err := readBytes(file(strings.ReplaceAll(header, test.old, test.new), values...))
			if err == nil || !strings.HasPrefix(err.Error(), "file: "+test.want) {
				t.Errorf("got %v\nwant file: %s", err, test.want)
			}
		})
	}
}

func TestReadMetadata(t *testing.T) {
	const sound = `"clgrad.version":"1","clgrad.sizes":"[2,3,2]","clgrad.scaling":"{}"`
	for _, test := range []struct{ name, metadata, want string }{
		{"sound", sound, ""},
		{"sum", sound + `,"clgrad.sha256":"0"`, "has SHA-256 "},
		{"no sum", sound + `,"clgrad.sha256":""`, "has SHA-256 "},
		{"key of a later version", sound + `,"clgrad.colour":"blue"`, ""},
		{"others' keys", `"clgrad.sizes":"no version, so not ours"`, ""},
		{"version", strings.Replace(sound, `"1"`, `"4"`, 1), `has clgrad.version "4" where "3" is expected: a newer clgrad may read it`},
		{"no sizes", `"clgrad.version":"1","clgrad.scaling":"{}"`, "has no clgrad.sizes in its metadata"},
		{"no scaling", `"clgrad.version":"1","clgrad.sizes":"[2,3,2]"`, "has no clgrad.scaling in its metadata"},
		{"other sizes", strings.Replace(sound, "[2,3,2]", "[2,4,2]", 1), "clgrad.sizes is [2 4 2] where the tensors have [2 3 2]"},
		{"no JSON", strings.Replace(sound, "[2,3,2]", "2,3,2", 1), "clgrad.sizes: invalid character"},
		{"scaling", strings.Replace(sound, "{}", `{\"shift\":[1,2,3],\"factor\":[1,2,3]}`, 1), "scaling has 3 shifts and 3 factors for 2 features"},
		{"shape", sound + `,"clgrad.shape":"[28,28]"`, "shape [28 28] does not fit 2 inputs"},
		{"classes", sound + `,"clgrad.classes":"[\"a\"]"`, "1 names of classes where the network has 2 classes"},
		{"run", sound + `,"clgrad.run":"{\"iterations\":-1}"`, "-1 iterations"},
		{"stopped", sound + `,"clgrad.run":"{\"iterations\":5,\"stopped\":4}"`, "stopped after 4 iterations where the parameters are of iteration 5"},
		{"converged", sound + `,"clgrad.run":"{\"iterations\":5,\"converged\":\"tired\"}"`, `the run has converged: stop "tired" is unknown`},
		{"plan", sound + `,"clgrad.run":"{\"plan\":{\"sizes\":[1,2]}}"`, "the run's plan is for a network [1 2], not [2 3 2]"},
	} {
		t.Run(test.name, func(t *testing.T) {
			m, err := readBytes(file(strings.Replace(pytorch, `"format":"pt"`, test.metadata, 1), pytorchValues))
			if test.want == "" {
				if err != nil || m.Scaling.Shift != nil || m.Run != nil {
					t.Errorf("got %+v, %v", m, err)
				}
			} else if err == nil || !strings.HasPrefix(err.Error(), "file: "+test.want) {
				t.Errorf("got %v\nwant file: %s", err, test.want)
			}
		})
	}
}

// Each prefix of a file is refused, and each file with bits changed: only where
// they are of the sum's own key is the model as it was.
func TestReadEveryDamage(t *testing.T) {
	for _, m := range []Model{toy(t), stateModel(t)} {
		good := written(t, m)
		for n := range good {
			if _, err := readBytes(good[:n]); err == nil {
				t.Fatalf("the first %d of %d bytes are read as a model", n, len(good))
			}
		}
		for i := range good {
			for _, mask := range []byte{0x01, 0x20, 0x80} { // the next digit, the other case, no ASCII
				bad := bytes.Clone(good)
				bad[i] ^= mask
				got, err := readBytes(bad)
				if err == nil && (!cmp.Equal(got, m) || bytes.Contains(bad, []byte(sumKey))) {
					t.Fatalf("with bits %#x of byte %d changed a model is read", mask, i)
				}
			}
		}
	}
}

// A reader that ends or goes on against its announced size is an error, as when
// a file is written to while it is read.
func TestReadWrongSize(t *testing.T) {
	good := written(t, toy(t))
	for n := range good {
		_, err := Read(bytes.NewReader(good[:n]), int64(len(good)), "file")
		if err == nil || err.Error() != "file: ends early: the file is cut short" {
			t.Fatalf("%d of %d bytes: got %v", n, len(good), err)
		}
	}
	_, err := Read(io.MultiReader(bytes.NewReader(good), strings.NewReader("x")), int64(len(good)), "file")
	if want := fmt.Sprintf("file: goes on after its %d bytes", len(good)); err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}

// A small file must not cost much memory whatever its header says.
func TestReadMemory(t *testing.T) {
	const n = 1 << 40
	// 50 vectors without values, where each would take 256 KiB.
	state := `{"__metadata__":{"clgrad.version":"3","clgrad.sizes":"[2000,1]","clgrad.scaling":"{}","clgrad.optimizer":"{\"optimizer\":\"adam\"}"},` +
		`"0.weight":{"dtype":"F32","shape":[1,2000],"data_offsets":[0,8000]},"0.bias":{"dtype":"F32","shape":[1],"data_offsets":[8000,8004]}`
	for k := range 50 {
		state += fmt.Sprintf(`,"optimizer.%d.0.weight":{"dtype":"F32","shape":[0,0],"data_offsets":[8004,8004]}`, k)
	}
	for name, file := range map[string][]byte{
		"tensor": file(fmt.Sprintf(`{"0.weight":{"dtype":"F32","shape":[%d,1],"data_offsets":[0,%d]}}`, n, 4*n)),
		"empty":  file(fmt.Sprintf(`{"0.weight":{"dtype":"F32","shape":[%d,0],"data_offsets":[0,0]}}`, n)),
		"state":  file(state+"}", make([]float32, 2001)),
	} {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		_, err := readBytes(file)
		runtime.ReadMemStats(&after)
		if err == nil {
			t.Errorf("%s: no error", name)
		}
		if used := after.TotalAlloc - before.TotalAlloc; used > 1<<20 {
			t.Errorf("%s: %d bytes were allocated for a file of %d", name, used, len(file))
		}
	}
}

// A very deep network is refused before its layers are walked over.
func TestReadDepth(t *testing.T) {
	var head strings.Builder
	at := 0
	for i := range 10_001 {
		fmt.Fprintf(&head, `,"%d.weight":{"dtype":"F32","shape":[1,1],"data_offsets":[%d,%d]}`, 2*i, at, at+4)
		at += 4
	}
	_, err := readBytes(file("{"+head.String()[1:]+"}", make([]byte, at)))
	if err == nil || err.Error() != "file: a network of 10001 layers: up to 10000 are possible" {
		t.Errorf("got %v", err)
	}
}

// FuzzModel looks for a file that panics, that is read as an unsound model, or
// that does not survive being written again. Without -fuzzminimizetime=10x most
// of a short run goes into making inputs smaller.
func FuzzModel(f *testing.F) {
	m := toy(f)
	f.Add(written(f, m))
	m.Precision = F64
	f.Add(written(f, m))
	m = stateModel(f)
	f.Add(written(f, m))
	m.Precision = F64
	f.Add(written(f, m))
	m.State, m.Best = network.State{Optimizer: network.GD, Since: 3}, nil
	f.Add(written(f, m))
	m = lbfgsModel(f)
	f.Add(written(f, m))
	m.Precision = F64
	f.Add(written(f, m))
	m.State.Since, m.State.LBFGS = 3, nil
	f.Add(written(f, m))
	f.Add(file(withoutSum(lbfgsHeader), lbfgsValues, lbfgsParameters))
	// Without a sum, which would end most inputs before their state is looked at.
	f.Add(file(withoutSum(stateHeader), stateValues))
	f.Add(file(strings.Replace(pytorch, `"format":"pt"`, `"clgrad.version":"2","clgrad.sizes":"[2,3,2]","clgrad.scaling":"{}","clgrad.run":"{\"iterations\":3,\"setup\":{\"lr\":1}}"`, 1), pytorchValues))
	f.Add(file(strings.Replace(pytorch, `"format":"pt"`, `"clgrad.version":"1","clgrad.sizes":"[2,3,2]","clgrad.scaling":"{}","clgrad.run":"{\"iterations\":3,\"divide\":[2,1]}"`, 1), pytorchValues))
	f.Add(file(pytorch, pytorchValues))
	f.Add(file(`{"0.weight":{"dtype":"F32","shape":[1,1],"data_offsets":[0,4]},"0.bias":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}}`, []float32{1, 2}))
	f.Add(file(strings.Replace(pytorch, "[12,36]", "[8,32]", 1), pytorchValues))
	f.Add(file(`{"0.weight":{"dtype":"F64","shape":[4294967296,4294967296],"data_offsets":[0,0]}}`))
	f.Add(file("{}"))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, file []byte) {
		m, err := readBytes(file)
		if err != nil {
			if s := err.Error(); !strings.HasPrefix(s, "file: ") || strings.Contains(s, "\n") {
				t.Errorf("error %q is not one line that begins with the file's name", s)
			}
			return
		}
		if layout, err := network.NewLayout(m.Sizes); err != nil || len(m.Parameters) != layout.Len {
			t.Fatalf("%d parameters for %v: %v", len(m.Parameters), m.Sizes, err)
		}
		done := 0
		if m.Run != nil {
			done = m.Run.Iterations
		}
		must.OK(t, m.State.Check(len(m.Parameters), done))
		if m.Best != nil && len(m.Best.Parameters) != len(m.Parameters) {
			t.Fatalf("%d best parameters where there are %d", len(m.Best.Parameters), len(m.Parameters))
		}
		first := written(t, m)
		again, err := readBytes(first)
		if err != nil {
			t.Fatalf("written again it is refused: %v", err)
		}
		if !bytes.Equal(first, written(t, again)) {
			t.Error("written twice the bytes differ")
		}
	})
}

// The run of a file of version 1 is read as those of today: what was asked for, which
// had keys of its own there, is a setup in the words of recipes.
func TestReadFirstVersion(t *testing.T) {
	head := strings.Replace(pytorch, `"format":"pt"`, `"clgrad.version":"1","clgrad.sizes":"[2,3,2]","clgrad.scaling":"{}",`+
		`"clgrad.run":"{\"init\":\"he\",\"seed\":18446744073709551615,\"learning_rate\":0.25,\"iterations\":3,\"data\":\"d\",\"directory\":true,\"divide\":[2,1],\"validation\":0.5,\"digest\":\"beef\"}"`, 1)
	m, err := readBytes(file(head, pytorchValues))
	must.OK(t, err)
	want := &Run{
		Setup:      []byte(`{"init":"he","seed":18446744073709551615,"lr":0.25,"divide":[2,1],"validation":0.5}`),
		Iterations: 3, Data: "d", Directory: true, Digest: "beef",
	}
	if d := cmp.Diff(want, m.Run); d != "" {
		t.Error(d)
	}
}
