package checkpoint

import (
	"archive/zip"
	"bytes"
	"fmt"
	"io"
	"math"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"clgrad/network"
	"clgrad/network/must"

	"github.com/sbinet/npyio/npy"
)

// An NPZ file has the arrays that WriteNPZ says, as an independent reader finds them.
func TestWriteNPZ(t *testing.T) {
	m := toy(t)
	var b bytes.Buffer
	must.OK(t, WriteNPZ(&b, m))
	z, err := zip.NewReader(bytes.NewReader(b.Bytes()), int64(b.Len()))
	must.OK(t, err)
	var got []string
	for _, f := range z.File {
		r, err := f.Open()
		must.OK(t, err)
		content, err := io.ReadAll(r)
		must.OK(t, err)
		if f.Name == "classes.npy" { // text, which the reader does not know
			got = append(got, strings.TrimSpace(string(content[10:bytes.IndexByte(content, '\n')])))
			if want := "dog <é>"; string(rune32(content[len(content)-4*7:])) != want {
				t.Errorf("class %q, want %q", string(rune32(content[len(content)-4*7:])), want)
			}
			continue
		}
		a, err := npy.NewReader(bytes.NewReader(content))
		if err != nil {
			t.Fatalf("%s: %v", f.Name, err)
		}
		var values any
		if a.Header.Descr.Type == "<f4" {
			var v []float32
			err, values = a.Read(&v), &v
		} else {
			var v []float64
			err, values = a.Read(&v), &v
		}
		if err != nil {
			t.Fatalf("%s: %v", f.Name, err)
		}
		got = append(got, fmt.Sprint(f.Name, a.Header.Descr.Shape, values, a.Header.Descr.Fortran))
	}
	want := []string{
		"0.weight.npy[3 2] &[0 10 1 11 2 12] false", "0.bias.npy[3] &[100 101 102] false",
		"2.weight.npy[2 3] &[-0 -10 -20 -1 -11 -21] false", "2.bias.npy[2] &[-100 -101] false",
		"shift.npy[2] &[0.5 1] false", "factor.npy[2] &[0.1 0.00392156862745098] false",
		"{'descr': '<U7', 'fortran_order': False, 'shape': (2,), }",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}

	// Values start at multiples of 64, and equal models give equal bytes.
	var again bytes.Buffer
	if err := WriteNPZ(&again, m); err != nil || !bytes.Equal(b.Bytes(), again.Bytes()) {
		t.Errorf("equal models give different bytes: %v", err)
	}
	m.Scaling, m.Classes, m.Precision = network.Scaling{}, nil, F64
	again.Reset()
	if err := WriteNPZ(&again, m); err != nil || !bytes.Contains(again.Bytes(), []byte("'<f8'")) || !bytes.Contains(again.Bytes(), []byte("shift")) {
		t.Errorf("without scaling: %v", err)
	}
	m.Layers = []LayerTensors{{"a", ""}, {"b", ""}}
	m.Preprocess, m.Shape, m.Columns, m.Run = "", nil, nil, nil
	again.Reset()
	if err := WriteNPZ(&again, m); err != nil || bytes.Contains(again.Bytes(), []byte("shift")) {
		t.Errorf("of an unknown scaling: %v", err)
	}
	m.Parameters[0] = math.NaN()
	if err := WriteNPZ(io.Discard, m); err == nil || err.Error() != "model cannot be written: 0.weight[0,0] is NaN where a finite number is expected" {
		t.Errorf("got %v", err)
	}
}

// rune32 returns the characters of little-endian UCS-4.
func rune32(b []byte) (all []rune) {
	for ; len(b) >= 4; b = b[4:] {
		all = append(all, rune(b[0])|rune(b[1])<<8|rune(b[2])<<16)
	}
	return all
}

// NumPy itself reads the file without pickle, where there is one.
func TestNumPy(t *testing.T) {
	if err := exec.Command("/usr/bin/python3", "-c", "import numpy").Run(); err != nil {
		t.Skip("no NumPy (cmd/install-deps.sh peers)")
	}
	file := t.TempDir() + "/m.npz"
	var b bytes.Buffer
	must.OK(t, WriteNPZ(&b, toy(t)))
	must.Write(t, b.Bytes(), file)
	out, err := exec.Command("/usr/bin/python3", "-c", `
import sys, numpy
z = numpy.load(sys.argv[1], allow_pickle=False)
x = (numpy.array([[3, 5]], dtype="f4") - z["shift"]) * z["factor"]
h = numpy.maximum(0, x @ z["0.weight"].T + z["0.bias"])
print(z.files, list(z["classes"]), (h @ z["2.weight"].T + z["2.bias"]).round(3).tolist())
`, file).CombinedOutput()
	// Of x = (0.25, 4/255): h = (100.157, 101.423, 102.688).
	want := "['0.weight', '0.bias', '2.weight', '2.bias', 'shift', 'factor', 'classes'] ['cat', 'dog <é>'] [[-3167.99, -3473.258]]\n"
	if err != nil || string(out) != want {
		t.Errorf("got %s, want %s, %v", out, want, err)
	}
}
