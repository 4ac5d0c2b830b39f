//go:build unix

package dataset

import (
	"archive/zip"
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"clgrad/network"
	"clgrad/network/must"
)

// A pipe is read to its end, and a context ends the wait for its writer and for more.
func TestLoadPipe(t *testing.T) {
	path := filepath.Join(t.TempDir(), "pipe")
	if err := syscall.Mkfifo(path, 0o644); err != nil {
		t.Skip(err)
	}
	for name, content := range map[string][]byte{"raw": []byte("label,a\nx,1\ny,2\n"), "gzip": gzipped([]byte("label,a\nx,1\ny,2\n"))} {
		go os.WriteFile(path, content, 0)
		set, err := Load(t.Context(), path, Options{})
		if err != nil || set.Train.Rows != 2 || set.Name != "pipe" {
			t.Errorf("%s: %+v, %v", name, set, err)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if _, err := Load(ctx, path, Options{}); err == nil || !strings.HasPrefix(err.Error(), path+": loading was stopped") {
		t.Errorf("without a writer: %v", err)
	}
	w, err := os.OpenFile(path, os.O_RDWR, 0)
	must.OK(t, err)
	defer w.Close()
	ctx, cancel = context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if _, err := Load(ctx, path, Options{}); err == nil || !strings.HasPrefix(err.Error(), path+": loading was stopped") {
		t.Errorf("with a writer that writes nothing: %v", err)
	}
}

// Of a ZIP file the only member is read.
func TestLoadZip(t *testing.T) {
	const table = "label,a\nx,1\ny,2\n"
	for _, test := range []struct {
		members map[string]string
		want    string
	}{
		{map[string]string{"t.csv": table, "__MACOSX/._t.csv": "x"}, ""},
		{map[string]string{"t.csv.gz": string(gzipped([]byte(table)))}, ""},
		{map[string]string{"d/": ""}, "standard input: is a ZIP file without a file in it: a CSV file is expected"},
		{map[string]string{"a.csv": table, "b.csv": table}, "standard input: is a ZIP file of 2 files, "},
		{map[string]string{"a.bin": "\x00\x01"}, "standard input: a.bin: is no CSV file: one is expected in a ZIP file"},
	} {
		var b bytes.Buffer
		w := zip.NewWriter(&b)
		for name, content := range test.members {
			f, err := w.Create(name)
			must.OK(t, err)
			f.Write([]byte(content))
		}
		w.Close()
		set, err := Load(t.Context(), StandardInput, Options{Input: &b})
		switch {
		case test.want == "" && (err != nil || set.Train.Rows != 2 || set.Name != "standard input"):
			t.Errorf("%q: %+v, %v", test.members, set, err)
		case test.want != "" && (err == nil || !strings.HasPrefix(err.Error(), test.want)):
			t.Errorf("%q: got %v, want %s", test.members, err, test.want)
		}
	}
}

// Data of a small unit is scaled as the same data of a larger one, which is said.
func TestFitSmall(t *testing.T) {
	small := Set{Name: "small", Train: network.Samples{Rows: 2, Features: 2, Floats: []float32{1e-9, 1, 3e-9, 2}}, Shape: []int{2}}
	got, err := small.Preprocess(Feature)
	must.OK(t, err)
	if x := got.Train.Scaling.Apply(float64(small.Train.Floats[0]), 0); x > -0.9999 || x < -1 {
		t.Errorf("the smaller value is scaled to %v, -1 is expected", x)
	}
	want := "small: 1 of 2 deviations are below ε = 1e-05: there 1e-05 times the deviation is added to it, and not ε"
	if remark := got.ScalingRemark(Feature); remark != want {
		t.Errorf("said: %s", remark)
	}
	if got, _ = small.Preprocess(Max); got.ScalingRemark(Max) != "" {
		t.Error("something is said of max")
	}
}
