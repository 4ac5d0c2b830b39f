package checkpoint_test

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"clgrad/cpu"
	"clgrad/network"
	"clgrad/network/checkpoint"
	"clgrad/network/must"
)

// saved returns the path of a file of testdata/pytorch.py.
func saved(name string) string {
	return filepath.Join("testdata", "pytorch", name+".safetensors")
}

// The files of PyTorch's modules compute what the modules do, under whatever names.
func TestForeign(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("testdata", "pytorch", "logits.json"))
	must.OK(t, err)
	var want struct {
		Rows   [][]float32
		Logits map[string][][]float64
	}
	must.OK(t, json.Unmarshal(text, &want))
	var many []string
	for i := range 12 {
		many = append(many, fmt.Sprintf("%d.weight, %[1]d.bias", 2*i))
	}
	for name, layers := range map[string][]string{
		"named":    {"fc1.weight, fc1.bias", "fc2.weight, fc2.bias"},
		"words":    {"inner.weight, inner.bias", "classifier.weight, classifier.bias"},
		"module":   {"module.fc1.weight, module.fc1.bias", "module.fc2.weight, module.fc2.bias"},
		"compiled": {"_orig_mod.0.weight, _orig_mod.0.bias", "_orig_mod.2.weight, _orig_mod.2.bias"},
		"blocks": {"net.layers.0.linear.weight, net.layers.0.linear.bias", "net.layers.1.linear.weight, net.layers.1.linear.bias",
			"net.layers.2.linear.weight, net.layers.2.linear.bias"},
		"dropout": {"1.weight, 1.bias", "4.weight, 4.bias"},
		"nobias":  {"fc1.weight without bias", "fc2.weight without bias"},
		"many":    many,
		"linear":  {"weight, bias"},
		"f16":     {"0.weight, 0.bias", "2.weight, 2.bias"},
		"bf16":    {"0.weight, 0.bias", "2.weight, 2.bias"},
		"f64":     {"0.weight, 0.bias", "2.weight, 2.bias"},
	} {
		t.Run(name, func(t *testing.T) {
			m, err := checkpoint.Load(saved(name))
			must.OK(t, err)
			var got []string
			for _, l := range m.Layers {
				got = append(got, l.String())
			}
			if !slices.Equal(got, layers) {
				t.Errorf("layers %q, want %q", got, layers)
			}
			if precision := m.Precision; (precision == checkpoint.F64) != (name == "f64") {
				t.Errorf("precision %s", precision)
			}
			samples := network.Samples{Rows: len(want.Rows), Features: m.Sizes[0], Floats: slices.Concat(want.Rows...)}
			for i, v := range logits(t, m, samples) {
				if w := slices.Concat(want.Logits[name]...)[i]; math.Abs(v-w) > 1e-12 {
					t.Errorf("logit %d is %v, PyTorch has %v", i, v, w)
				}
			}

			// Written again it is a file of the usual names, of which no more is known.
			var b bytes.Buffer
			must.OK(t, checkpoint.Write(&b, m))
			if bytes.Contains(b.Bytes(), []byte("clgrad")) {
				t.Error("the file written claims to know its scaling")
			}
			again, err := checkpoint.Read(&b, int64(b.Len()), "again")
			if err != nil || !slices.Equal(again.Parameters, m.Parameters) || again.Layers[0].String() != "0.weight, 0.bias" {
				t.Errorf("written and read again: %v, %v", again, err)
			}
		})
	}
}

// logits computes in float64.
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

// What is no fully connected network, or could be several, is an error that names tensors.
func TestForeignErrors(t *testing.T) {
	for name, want := range map[string]string{
		"conv":      `is no fully connected network: tensor "0.weight" has shape [2 1 3 3] where matrices of outputs × inputs and their biases are expected`,
		"norm":      `is no fully connected network: tensor "1.weight" has shape [4] where matrices of outputs × inputs and their biases are expected`,
		"running":   `is no fully connected network: tensor "running_mean" has shape [4] where matrices of outputs × inputs and their biases are expected`,
		"coder":     `its layers could stand in several orders (numbers in their names would tell): "net.decoder.weight" [3 4], "net.encoder.weight" [4 3]`,
		"optimizer": `tensor "exp_avg.0.weight" is of an optimizer: those of the network alone are expected`,
	} {
		if _, err := checkpoint.Load(saved(name)); err == nil || err.Error() != saved(name)+": "+want {
			t.Errorf("%s: got  %v\nwant %s", name, err, want)
		}
	}
	must.Write(t, "PK\x03\x04 and more", t.TempDir(), "m.pt")
	_, err := checkpoint.Read(strings.NewReader("PK\x03\x04 and more"), 13, "m.pt")
	if want := "m.pt: is a ZIP archive, as of torch.save: a safetensors file is expected, as of safetensors.torch.save_file(net.state_dict(), FILE)"; err == nil || err.Error() != want {
		t.Errorf("got %v", err)
	}
}

// A model of others may not be given what its file would not keep.
func TestForeignWithScaling(t *testing.T) {
	m, err := checkpoint.Load(saved("named"))
	must.OK(t, err)
	m.Scaling = network.Scaling{Shift: []float64{0}, Factor: []float64{0.5}}
	if err := checkpoint.Write(&bytes.Buffer{}, m); err == nil {
		t.Error("no error")
	}
	m.Layers = nil
	if err := checkpoint.Write(&bytes.Buffer{}, m); err != nil {
		t.Error(err)
	}
}

// FuzzForeign looks for a file of others that panics, takes long, or is read as an unsound
// network. The header's text and the values are apart, so that most inputs get as far as the
// names and shapes of tensors.
func FuzzForeign(f *testing.F) {
	files, err := filepath.Glob(saved("*"))
	if err != nil || len(files) == 0 {
		f.Fatal(err)
	}
	for _, name := range files {
		file, err := os.ReadFile(name)
		must.OK(f, err)
		n := 8 + int(file[0]) + int(file[1])<<8
		f.Add(file[8:n], file[n:])
	}
	f.Fuzz(func(t *testing.T, head, values []byte) {
		file := append(binary.LittleEndian.AppendUint64(nil, uint64(len(head))), head...)
		file = append(file, values...)
		m, err := checkpoint.Read(bytes.NewReader(file), int64(len(file)), "file")
		if err != nil {
			if s := err.Error(); !strings.HasPrefix(s, "file: ") || strings.Contains(s, "\n") {
				t.Errorf("error %q is not one line that begins with the file's name", s)
			}
			return
		}
		layout, err := network.NewLayout(m.Sizes)
		if err != nil || len(m.Parameters) != layout.Len {
			t.Fatalf("%d parameters for %v: %v", len(m.Parameters), m.Sizes, err)
		}
		if m.Layers != nil && len(m.Layers) != layout.Layers() {
			t.Fatalf("%d layers have names where there are %d", len(m.Layers), layout.Layers())
		}
		var first bytes.Buffer
		if err := checkpoint.Write(&first, m); err != nil {
			t.Fatalf("it cannot be written: %v", err)
		}
		again, err := checkpoint.Read(bytes.NewReader(first.Bytes()), int64(first.Len()), "again")
		if err != nil || !slices.Equal(again.Parameters, m.Parameters) || again.Precision != m.Precision {
			t.Fatalf("written again it is another network, or refused: %v", err)
		}
	})
}
