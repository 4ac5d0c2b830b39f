package checkpoint

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"clgrad/network"
	"clgrad/network/dataset"
	"clgrad/network/must"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// toy is a network of 2 inputs, 3 hidden units and 2 classes, whose W₀[i,j] is
// 10·i + j, b₀[j] is 100 + j, W₁[i,j] is −(10·i + j) and b₁[j] is −100 − j.
func toy(t testing.TB) Model {
	t.Helper()
	layout, err := network.NewLayout([]int{2, 3, 2})
	must.OK(t, err)
	v := make([]float64, layout.Len)
	for l, sign := range []float64{1, -1} {
		w, b := layout.Layer(l)
		for i := range w.Rows {
			for j := range w.Row(v, i) {
				w.Row(v, i)[j] = sign * float64(10*i+j)
			}
		}
		for j := range b.Row(v, 0) {
			b.Row(v, 0)[j] = sign * float64(100+j)
		}
	}
	return Model{
		Sizes: []int{2, 3, 2}, Parameters: v, Precision: F32,
		Scaling:    network.Scaling{Shift: []float64{0.5, 1}, Factor: []float64{0.1, 1. / 255}},
		Preprocess: "feature", Shape: []int{1, 2}, Classes: []string{"cat", "dog <é>"},
		Columns: &dataset.Columns{Number: 3, Names: []string{"animal", "<é>", "b"}, Label: 1},
		Run: &Run{
			Setup: []byte(`{"divide":[6,4],"init":"he","lr":0.1,"samples":5,"seed":18446744073709551615}`), Iterations: 100, Data: "mnist", Digest: "beef",
			Plan: &network.Plan{Sizes: []int{2, 3, 2}, Shards: []network.ShardPlan{{
				Backend: "cpu", Device: "a", Driver: "b", Rows: 5, BlockRows: 2, Settings: json.RawMessage(`{"splits":4}`),
			}}},
		},
	}
}

func written(t testing.TB, m Model) []byte {
	t.Helper()
	var b bytes.Buffer
	must.OK(t, Write(&b, m))
	return b.Bytes()
}

func readBytes(file []byte) (Model, error) {
	return Read(bytes.NewReader(file), int64(len(file)), "file")
}

// file returns a safetensors file of a header and values of the given kind.
func file(head string, values ...any) []byte {
	b := binary.LittleEndian.AppendUint64(nil, uint64(len(head)))
	b = append(b, head...)
	for _, v := range values {
		b, _ = binary.Append(b, binary.LittleEndian, v)
	}
	return b
}

// summed returns a file of a header, in which SUM stands for the file's own sum, and values.
func summed(head string, values ...any) []byte {
	zeros := strings.Repeat("0", 64)
	head = strings.Replace(head, "SUM", zeros, 1)
	head += strings.Repeat(" ", (8-len(head)%8)%8)
	f := file(head, values...)
	return bytes.Replace(f, []byte(zeros), fmt.Appendf(nil, "%x", sha256.Sum256(f)), 1)
}

// withoutSum returns a header without the sum.
func withoutSum(head string) string { return strings.Replace(head, `"clgrad.sha256":"SUM",`, "", 1) }

// pair returns the vector of a network of one weight and one bias.
func pair(t testing.TB) func(weight, bias float64) []float64 {
	layout, err := network.NewLayout([]int{1, 1})
	must.OK(t, err)
	return func(weight, bias float64) []float64 {
		v := make([]float64, layout.Len)
		w, b := layout.Layer(0)
		v[w.Offset], v[b.Offset] = weight, bias
		return v
	}
}

// The bytes themselves, by hand: other programs read these files.
func TestWriteBytes(t *testing.T) {
	m := toy(t)
	m.Shape, m.Classes, m.Columns, m.Run = nil, nil, nil, nil
	head := `{"__metadata__":{"clgrad.preprocess":"feature",` +
		`"clgrad.scaling":"{\"shift\":[0.5,1],\"factor\":[0.1,0.00392156862745098]}",` +
		`"clgrad.sha256":"SUM",` +
		`"clgrad.sizes":"[2,3,2]","clgrad.version":"2"},` +
		`"0.weight":{"dtype":"F32","shape":[3,2],"data_offsets":[0,24]},` +
		`"0.bias":{"dtype":"F32","shape":[3],"data_offsets":[24,36]},` +
		`"2.weight":{"dtype":"F32","shape":[2,3],"data_offsets":[36,60]},` +
		`"2.bias":{"dtype":"F32","shape":[2],"data_offsets":[60,68]}}`
	// −0 is what −(10·0 + 0) gives.
	want := summed(head, []float32{0, 10, 1, 11, 2, 12, 100, 101, 102, negativeZero, -10, -20, -1, -11, -21, -100, -101})
	if got := written(t, m); !bytes.Equal(got, want) {
		t.Errorf("got\n%q\nwant\n%q", got, want)
	}
}

func TestRoundTrip(t *testing.T) {
	for name, change := range map[string]func(*Model){
		"all":        func(*Model) {},
		"F64":        func(m *Model) { m.Precision = F64; m.Parameters[0] = 0.1 },
		"bare":       func(m *Model) { *m = Model{Sizes: m.Sizes, Parameters: m.Parameters, Precision: F32} },
		"no plan":    func(m *Model) { m.Run.Plan = nil },
		"one factor": func(m *Model) { m.Scaling = network.Scaling{Shift: []float64{0}, Factor: []float64{1. / 255}} },
	} {
		m := toy(t)
		change(&m)
		file := written(t, m)
		got, err := readBytes(file)
		if err != nil {
			t.Errorf("%s: %v", name, err)
		} else if d := cmp.Diff(m, got); d != "" {
			t.Errorf("%s: %s", name, d)
		} else if !bytes.Equal(file, written(t, got)) {
			t.Errorf("%s: written again the bytes differ", name)
		}
		if n := binary.LittleEndian.Uint64(file); n%8 != 0 {
			t.Errorf("%s: tensors begin at byte %d, which is not aligned", name, 8+n)
		}
	}
}

// Every finite value survives with all its bits, in its place.
func TestRoundTripValues(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		sizes := rapid.SliceOfN(rapid.IntRange(1, 20), 2, 4).Draw(t, "sizes")
		layout, err := network.NewLayout(sizes)
		must.OK(t, err)
		m := Model{Sizes: sizes, Parameters: make([]float64, layout.Len), Precision: rapid.SampledFrom([]Precision{F32, F64}).Draw(t, "precision")}
		for i := range layout.Layers() {
			w, b := layout.Layer(i)
			for _, s := range []network.Span{w, b} {
				for r := range s.Rows {
					for j := range s.Row(m.Parameters, r) {
						v := rapid.Float64().Draw(t, "v")
						if m.Precision == F32 {
							v = float64(rapid.Float32().Draw(t, "v32"))
						}
						if finite(v) {
							s.Row(m.Parameters, r)[j] = v
						}
					}
				}
			}
		}
		var b bytes.Buffer
		must.OK(t, Write(&b, m))
		got, err := readBytes(b.Bytes())
		must.OK(t, err)
		for i, v := range m.Parameters {
			if math.Float64bits(got.Parameters[i]) != math.Float64bits(v) {
				t.Fatalf("parameter %d of %v was %v and is %v", i, sizes, v, got.Parameters[i])
			}
		}
	})
}

// A refusal is a change of a model with which it cannot be written.
type refusal struct {
	name   string
	change func(*Model)
	want   string
}

// checkRefusals reports changes with which a model is written, or refused for another reason.
func checkRefusals(t *testing.T, model func() Model, all []refusal) {
	t.Helper()
	for _, test := range all {
		t.Run(test.name, func(t *testing.T) {
			m := model()
			test.change(&m)
			var b bytes.Buffer
			err := Write(&b, m)
			if err == nil || !strings.HasPrefix(err.Error(), "model cannot be written: "+test.want) || b.Len() > 0 {
				t.Errorf("got %v and %d bytes\nwant %s", err, b.Len(), test.want)
			}
		})
	}
}

func TestWriteErrors(t *testing.T) {
	checkRefusals(t, func() Model { return toy(t) }, []refusal{
		{"no sizes", func(m *Model) { m.Sizes = nil }, "a network needs at least its inputs and its classes"},
		{"depth", func(m *Model) { m.Sizes = make([]int, 10_002) }, "a network of 10001 layers: up to 10000 are possible"},
		{"parameters", func(m *Model) { m.Parameters = m.Parameters[1:] }, "111 parameters where a network [2 3 2] has 112 with padding"},
		{"precision", func(m *Model) { m.Precision = "F16" }, `precision "F16" is unknown: F32 or F64 is expected`},
		{"no float32", func(m *Model) { m.Parameters[17] = 0.1 }, "0.weight[1,1] is 0.1, which is no float32: precision F64 is needed"},
		{"beyond float32", func(m *Model) { m.Parameters[0] = 1e300 }, "0.weight[0,0] is 1e+300, which is no float32"},
		{"NaN", func(m *Model) { m.Parameters[34] = math.NaN() }, "0.bias[2] is NaN where a finite number is expected"},
		{"infinite", func(m *Model) { m.Precision = F64; m.Parameters[1] = math.Inf(1) }, "0.weight[1,0] is +Inf"},
		{"scaling", func(m *Model) { m.Scaling.Shift = make([]float64, 3) }, "scaling has 3 shifts and 2 factors for 2 features"},
		{"scaling length", func(m *Model) { m.Scaling = network.Scaling{Shift: make([]float64, 3), Factor: make([]float64, 3)} }, "scaling has 3 shifts and 3 factors for 2 features"},
		{"scaling value", func(m *Model) { m.Scaling.Factor[1] = math.Inf(1) }, "scaling of input 1 has shift 1 and factor +Inf"},
		{"shape", func(m *Model) { m.Shape = []int{2, 2} }, "shape [2 2] does not fit 2 inputs"},
		{"shape of zero", func(m *Model) { m.Shape = []int{0, 2} }, "shape [0 2] does not fit 2 inputs"},
		{"short shape", func(m *Model) { m.Shape = []int{1} }, "shape [1] does not fit 2 inputs"},
		{"classes", func(m *Model) { m.Classes = []string{"a"} }, "1 names of classes where the network has 2 classes"},
		{"columns", func(m *Model) { m.Columns.Number = 4 }, "4 columns with 3 names and the labels in column 1 where the network has 2 inputs"},
		{"names of columns", func(m *Model) { m.Columns.Names = m.Columns.Names[1:] }, "3 columns with 2 names and the labels in column 1 where the network has 2 inputs"},
		{"label column", func(m *Model) { m.Columns.Label = 4 }, "3 columns with 3 names and the labels in column 4 where the network has 2 inputs"},
		{"column name", func(m *Model) { m.Columns.Names[1] = "\xff" }, `name "\xff" is not UTF-8`},
		{"class name", func(m *Model) { m.Classes[1] = "\xff" }, `name "\xff" is not UTF-8`},
		{"setup", func(m *Model) { m.Run.Setup = []byte(`{"lr":NaN}`) }, `the run's setup is "{\"lr\":NaN}" where a JSON object is expected`},
		{"kind of setup", func(m *Model) { m.Run.Setup = []byte(`[1]`) }, `the run's setup is "[1]" where a JSON object is expected`},
		{"iterations", func(m *Model) { m.Run.Iterations = -1 }, "-1 iterations: at least 0 are expected"},
		{"plan", func(m *Model) { m.Run.Plan.Sizes = []int{2, 2} }, "the run's plan is for a network [2 2], not [2 3 2]"},
		{"settings", func(m *Model) { m.Run.Plan.Shards[0].Settings = json.RawMessage("{") }, "clgrad.run: json: "},
	})
}

// A full disk is reported wherever in the file it strikes.
func TestWriteFails(t *testing.T) {
	m := toy(t)
	size := len(written(t, m))
	for _, room := range []int{0, 5, 100, size - 1} {
		if err := Write(&full{room}, m); err != os.ErrClosed {
			t.Errorf("with room for %d of %d bytes: got %v", room, size, err)
		}
	}
}

// full is a disk with room for some bytes.
type full struct{ room int }

func (f *full) Write(p []byte) (int, error) {
	if len(p) > f.room {
		n := f.room
		f.room = 0
		return n, os.ErrClosed
	}
	f.room -= len(p)
	return len(p), nil
}

func TestSaveAndLoad(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, FileName)
	m := toy(t)
	must.OK(t, Save(path, m))
	for _, from := range []string{path, dir} {
		got, err := Load(from)
		if err != nil {
			t.Errorf("%s: %v", from, err)
		} else if d := cmp.Diff(m, got); d != "" {
			t.Errorf("%s: %s", from, d)
		}
	}

	// A model that cannot be written leaves the last good one, and nothing else.
	bad := toy(t)
	bad.Parameters[0] = math.NaN()
	if err := Save(path, bad); err == nil || !strings.HasPrefix(err.Error(), path+": model cannot be written: 0.weight[0,0] is NaN") {
		t.Errorf("got %v", err)
	}
	if got, err := Load(path); err != nil || !cmp.Equal(m, got) {
		t.Errorf("the last good model is lost: %v", err)
	}
	m.Run.Iterations++
	if err := Save(path, m); err != nil {
		t.Error(err)
	}
	if got, err := Load(path); err != nil || got.Run.Iterations != 101 {
		t.Errorf("the file was not replaced: %v", err)
	}
	if entries, err := os.ReadDir(dir); err != nil || len(entries) != 1 {
		t.Errorf("the directory holds %v, %v, want the model alone", entries, err)
	}
}

func TestSaveErrors(t *testing.T) {
	dir := t.TempDir()
	if err := Save(dir, toy(t)); err == nil || err.Error() != dir+": is a directory where the name of a file is expected" {
		t.Errorf("got %v", err)
	}
	path := filepath.Join(dir, "missing", FileName)
	if err := Save(path, toy(t)); err == nil || !strings.HasPrefix(err.Error(), path+": ") {
		t.Errorf("got %v", err)
	}
}

func TestLoadErrors(t *testing.T) {
	dir := t.TempDir()
	must.OK(t, os.Mkdir(filepath.Join(dir, "run"), 0o755))
	must.OK(t, os.MkdirAll(filepath.Join(dir, "odd", FileName), 0o755))
	text := filepath.Join(dir, "text")
	must.Write(t, "no model at all", text)
	const missing = ": not found: a safetensors file, or a run directory with model.safetensors, is expected"
	for path, want := range map[string]string{
		dir + "/none":    dir + "/none" + missing,
		dir + "/run":     dir + "/run/" + FileName + missing,
		dir + "/odd":     dir + "/odd/" + FileName + ": is no regular file",
		text + "/inside": text + "/inside: ",
		text:             text + ": announces a header of ",
	} {
		if _, err := Load(path); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%s: got %v, want %s", path, err, want)
		}
	}
}

// What a model says of its training rows is read as it was written, and nonsense is refused.
func TestProfile(t *testing.T) {
	image := &dataset.Range{Min: 1, Mean: 2, Max: 3}
	m := Model{Sizes: []int{4, 2}, Precision: F32, Parameters: make([]float64, layoutOf(t, 4, 2).Len),
		Profile: &dataset.Profile{Lowest: *image, Highest: *image, Magnitude: *image, Border: image, Row: image, Column: image, Pictures: true}}
	var b bytes.Buffer
	must.OK(t, Write(&b, m))
	got, err := Read(bytes.NewReader(b.Bytes()), int64(b.Len()), "m")
	if err != nil || !cmp.Equal(got.Profile, m.Profile) {
		t.Errorf("%+v, %v", got.Profile, err)
	}
	m.Profile.Highest.Max = 0
	if err := Write(&b, m); err == nil || !strings.Contains(err.Error(), "range of highest from 1 to 0 with mean 2") {
		t.Error(err)
	}
}

func layoutOf(t *testing.T, sizes ...int) network.Layout {
	t.Helper()
	l, err := network.NewLayout(sizes)
	must.OK(t, err)
	return l
}
