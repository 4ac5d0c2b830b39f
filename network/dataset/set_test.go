package dataset

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"clgrad/network"
	"clgrad/network/must"

	"github.com/google/go-cmp/cmp"
)

// toyFiles are the four files of a set of 3 + 2 images of 2×3 pixels in 3
// classes, raw, in the order of partNames.
func toyFiles() [4][]byte {
	return [4][]byte{
		idx([]int{3, 2, 3}, 0, 10, 20, 30, 40, 50, 1, 11, 21, 31, 41, 51, 2, 12, 22, 32, 42, 255),
		idx([]int{3}, 0, 2, 1),
		idx([]int{2, 2, 3}, 5, 5, 5, 5, 5, 5, 6, 6, 6, 6, 6, 6),
		idx([]int{2}, 1, 0),
	}
}

func toySet(name string) Set {
	files := toyFiles()
	s := Set{
		Name: name,
		Train: network.Samples{
			Rows: 3, Features: 6, Bytes: files[trainImages][16:], Labels: []int32{0, 2, 1},
		},
		Test: network.Samples{
			Rows: 2, Features: 6, Bytes: files[testImages][16:], Labels: []int32{1, 0},
		},
		Classes: 3,
		Shape:   []int{2, 3},
	}
	// Built by hand as Digest's comment has it.
	u64 := func(n byte) string { return string([]byte{n, 0, 0, 0, 0, 0, 0, 0}) }
	text := "clgrad data 1\n" + u64(2) + u64(2) + u64(3) +
		u64(3) + u64(6) + "B" + string(s.Train.Bytes) + "L\x00\x00\x00\x00\x02\x00\x00\x00\x01\x00\x00\x00" +
		u64(2) + u64(6) + "B" + string(s.Test.Bytes) + "L\x01\x00\x00\x00\x00\x00\x00\x00"
	sum := sha256.Sum256([]byte(text))
	s.Digest = hex.EncodeToString(sum[:])
	return s
}

// toyDir has the toy set's files by their names.
func toyDir() map[string][]byte {
	files := map[string][]byte{}
	for i, content := range toyFiles() {
		files[partNames[i]] = content
	}
	return files
}

// writeDir writes files by name into a new directory named toy, and folders where a name ends
// with a slash.
func writeDir(t *testing.T, files map[string][]byte) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "toy")
	must.OK(t, os.Mkdir(dir, 0o777))
	for name, content := range files {
		if path := filepath.Join(dir, filepath.FromSlash(name)); strings.HasSuffix(name, "/") {
			must.OK(t, os.MkdirAll(path, 0o777))
		} else {
			must.Write(t, content, path)
		}
	}
	return dir
}

func TestLoadDirSpellings(t *testing.T) {
	for _, spelling := range []func(name string, content []byte) (string, []byte){
		func(n string, c []byte) (string, []byte) { return n, c },
		func(n string, c []byte) (string, []byte) { return n + ".gz", gzipped(c) },
		func(n string, c []byte) (string, []byte) { return strings.Replace(n, "-idx", ".idx", 1), c },
		func(n string, c []byte) (string, []byte) {
			return strings.Replace(n, "-idx", ".idx", 1) + ".gz", gzipped(c)
		},
		// The content tells what it is, whatever the name says.
		func(n string, c []byte) (string, []byte) { return n + ".gz", c },
	} {
		files := map[string][]byte{}
		for i, content := range toyFiles() {
			name, content := spelling(partNames[i], content)
			files[name] = content
		}
		got, err := Load(context.Background(), writeDir(t, files), Options{})
		if err != nil {
			t.Errorf("%v: %v", slices.Sorted(maps.Keys(files)), err)
		} else if d := cmp.Diff(toySet("toy"), got); d != "" {
			t.Errorf("%v: %s", slices.Sorted(maps.Keys(files)), d)
		} else if err := got.Train.Check(got.Classes); err != nil {
			t.Errorf("%v: %v", slices.Sorted(maps.Keys(files)), err)
		}
	}
}

// A raw file wins over a compressed one, which may be what it was made from.
func TestLoadDirPrefersRaw(t *testing.T) {
	files := toyDir()
	files[partNames[trainImages]+".gz"] = []byte("no gzip")
	if _, err := Load(context.Background(), writeDir(t, files), Options{}); err != nil {
		t.Error(err)
	}
}

func TestLoadDirErrors(t *testing.T) {
	for _, test := range []struct {
		name   string
		damage func(files map[string][]byte)
		want   string // behind the directory and a slash or colon
	}{
		{"images missing", func(f map[string][]byte) { delete(f, partNames[testImages]) },
			": t10k-images-idx3-ubyte not found, with or without .gz: all of train-images-idx3-ubyte, train-labels-idx1-ubyte, t10k-images-idx3-ubyte, t10k-labels-idx1-ubyte are expected"},
		{"nothing there", func(f map[string][]byte) { clear(f) },
			": has neither pictures in a folder for each class nor train-images-idx3-ubyte, train-labels-idx1-ubyte, t10k-images-idx3-ubyte, t10k-labels-idx1-ubyte, with or without .gz: one of both is expected"},
		{"damaged file", func(f map[string][]byte) { f[partNames[testLabels]] = []byte("text") },
			"/t10k-labels-idx1-ubyte: begins with bytes 0x74 0x65"},
		{"more labels than images", func(f map[string][]byte) { f[partNames[trainLabels]] = idx([]int{4}, 0, 1, 2, 3) },
			"/train-labels-idx1-ubyte: has 4 labels where 3 are expected, one a row of train-images-idx3-ubyte"},
		{"fewer labels than images", func(f map[string][]byte) { f[partNames[testLabels]] = idx([]int{1}, 0) },
			"/t10k-labels-idx1-ubyte: has 1 labels where 2 are expected, one a row of t10k-images-idx3-ubyte"},
		{"two sizes", func(f map[string][]byte) { f[partNames[testImages]] = idx([]int{2, 3, 2}, make([]uint8, 12)...) },
			"/t10k-images-idx3-ubyte: has samples of shape 3×2 where 2×3 is expected, as in train-images-idx3-ubyte"},
		{"labels of two dimensions", func(f map[string][]byte) { f[partNames[trainLabels]] = idx([]int{3, 1}, 0, 1, 2) },
			"/train-labels-idx1-ubyte: has dimensions 3×1 where one dimension of labels is expected"},
		{"labels as images", func(f map[string][]byte) { f[partNames[trainImages]] = idx([]int{3}, 0, 1, 2) },
			"/train-images-idx3-ubyte: has one dimension of 3 where rows of features, 2 dimensions or more, are expected"},
		{"one class", func(f map[string][]byte) {
			f[partNames[trainLabels]] = idx([]int{3}, 0, 0, 0)
			f[partNames[testLabels]] = idx([]int{2}, 0, 0)
		}, "/train-labels-idx1-ubyte: has no label but 0, nor has the test set: at least two classes are expected"},
	} {
		t.Run(test.name, func(t *testing.T) {
			files := toyDir()
			test.damage(files)
			dir := writeDir(t, files)
			_, err := Load(context.Background(), dir, Options{})
			if err == nil || !strings.HasPrefix(err.Error(), dir+test.want) {
				t.Errorf("got %v\nwant %s%s", err, dir, test.want)
			}
		})
	}
}

// Labels of files are read as those of tables are: the classes are those of the training
// set, and another label of the test set is named.
func TestClassesOfBothSets(t *testing.T) {
	files := toyDir()
	files[partNames[testLabels]] = idx([]int{2}, 0, 255)
	dir := writeDir(t, files)
	_, err := Load(context.Background(), dir, Options{})
	if want := dir + "/t10k-labels-idx1-ubyte: row 2 has label 255, which no row of the training set has: its classes are 0 to 2"; err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
	// A model that knows more classes knows this one.
	var classes []string
	for i := range 256 {
		classes = append(classes, fmt.Sprint(i))
	}
	s, err := Load(context.Background(), dir, Options{Classes: classes})
	if err != nil || s.Classes != 256 || s.ClassNames != nil || s.Test.Labels[1] != 255 {
		t.Errorf("got %+v, %v", s, err)
	}
}

// Files of the MNIST family have one meaning under the names that people have them by.
func TestLoadDirCases(t *testing.T) {
	for _, test := range []struct {
		dir    string
		o      Options
		shape  []int
		names  []string
		labels []int32
		first  []uint8
		log    string
	}{
		{dir: "kaggle-archive", shape: []int{4, 4}, labels: []int32{0, 1, 0, 1}, first: []uint8{58, 12, 159, 197}},
		{dir: "emnist-names", shape: []int{4, 4}, names: []string{"1", "2", "3", "4", "5", "6", "7", "26"}, labels: []int32{0, 1, 2, 7}, first: []uint8{58, 12, 159, 197},
			log: "testdata/arrays/emnist-names: EMNIST's files have rows and columns of the images exchanged: Reading.Transpose puts them upright\n" +
				"testdata/arrays/emnist-names/emnist-letters-train-labels-idx1-ubyte.gz: no row has label 0, 8 to 25: the 8 classes are the labels that occur, 1 to 7, 26"},
		{dir: "emnist-names/emnist-letters", o: Options{Reading: Reading{Transpose: true}}, shape: []int{4, 4}, names: []string{"1", "2", "3", "4", "5", "6", "7", "26"},
			labels: []int32{0, 1, 2, 7}, first: []uint8{58, 175, 55, 10},
			log: "testdata/arrays/emnist-names/emnist-letters-train-labels-idx1-ubyte.gz: no row has label 0, 8 to 25: the 8 classes are the labels that occur, 1 to 7, 26"},
	} {
		var log []string
		test.o.Log = func(line string) { log = append(log, line) }
		got, err := Load(t.Context(), "testdata/arrays/"+test.dir, test.o)
		if err != nil {
			t.Error(err)
			continue
		}
		if !cmp.Equal(got.Shape, test.shape) || !cmp.Equal(got.ClassNames, test.names) || !cmp.Equal(got.Test.Labels, test.labels) || !cmp.Equal(got.Test.Bytes[:4], test.first) || got.Train.Rows != 8 {
			t.Errorf("%s: %+v", test.dir, got)
		}
		if strings.Join(log, "\n") != test.log {
			t.Errorf("%s: says %q, want %q", test.dir, log, test.log)
		}
	}
}

// A directory in a file's place without such a file in it is no file, and what is wrong
// with several sets in one directory is said.
func TestLoadDirOfSeveralSets(t *testing.T) {
	files := map[string][]byte{}
	for i, content := range toyFiles() {
		for _, set := range []string{"emnist-digits-", "emnist-letters-"} {
			files[set+strings.Replace(partNames[i], "t10k", "test", 1)] = content
		}
	}
	delete(files, "emnist-letters-test-labels-idx1-ubyte")
	dir := writeDir(t, files)
	must.OK(t, os.Mkdir(filepath.Join(dir, "emnist-letters-test-labels-idx1-ubyte"), 0o755))
	_, err := Load(t.Context(), dir, Options{})
	if want := dir + `: holds the sets "emnist-digits", "emnist-letters": one of them is expected, as in ` + filepath.Join(dir, "emnist-digits"); err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
	_, err = Load(t.Context(), filepath.Join(dir, "emnist-letters"), Options{})
	if want := dir + `: emnist-letters-test-labels-idx1-ubyte not found, with or without .gz: all of emnist-letters-train-images-idx3-ubyte, `; err == nil || !strings.HasPrefix(err.Error(), want) {
		t.Errorf("got %v, want %s", err, want)
	}
	got, err := Load(t.Context(), filepath.Join(dir, "emnist-digits"), Options{})
	if d := cmp.Diff(toySet("emnist-digits"), got); err != nil || d != "" {
		t.Errorf("%v%s", err, d)
	}
}

func TestLoadNoSuchSet(t *testing.T) {
	file := filepath.Join(writeDir(t, map[string][]byte{"file": nil}), "file")
	for name, want := range map[string]string{
		"":                 `data set "" is neither a known name nor a file: mnist, fashion-mnist, a directory of IDX files, a folder of pictures, a CSV or an NPZ file is expected`,
		"minst":            `data set "minst" is neither a known name nor a file: mnist, fashion-mnist, a directory of IDX files, a folder of pictures, a CSV or an NPZ file is expected`,
		file:               file + ": is empty: a CSV file is expected",
		file + "/below":    "stat " + file + "/below: not a directory",
		"mnist\x00":        "stat mnist\x00: invalid argument",
		t.TempDir() + "/x": `is neither a known name nor a file`,
	} {
		_, err := Load(context.Background(), name, Options{Offline: true})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %v, want %s", name, err, want)
		}
	}
}

func TestLoadDirStops(t *testing.T) {
	files := toyDir()
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	dir := writeDir(t, files)
	if _, err := Load(ctx, dir, Options{}); err == nil || err.Error() != dir+": loading was stopped: context canceled" {
		t.Errorf("a cancelled load returns %v", err)
	}
}

// The name stands in configurations and models, which hold no paths.
func TestDirNameHoldsNoPath(t *testing.T) {
	files := toyDir()
	t.Chdir(writeDir(t, files))
	for _, dir := range []string{".", "../toy", "../toy/"} {
		s, err := Load(context.Background(), dir, Options{})
		if err != nil || s.Name != "toy" {
			t.Errorf("%s: got name %q, %v, want toy", dir, s.Name, err)
		}
	}
}

// Whatever a run's result depends on changes the digest, and nothing else does.
func TestDigestTellsSetsApart(t *testing.T) {
	base := network.Samples{Rows: 2, Features: 2, Floats: []float32{1, 2, 3, 4}, Labels: []int32{0, 1}}
	change := func(f func(s *network.Samples)) network.Samples {
		s := base
		f(&s)
		return s
	}
	digests := map[string]string{}
	for name, d := range map[string]string{
		"base":        Digest([]int{2}, base, base),
		"shape":       Digest([]int{2, 1}, base, base),
		"rows":        Digest([]int{2}, change(func(s *network.Samples) { s.Rows, s.Features = 4, 1 }), base),
		"feature":     Digest([]int{2}, change(func(s *network.Samples) { s.Floats = []float32{1, 2, 3, 5} }), base),
		"last sign":   Digest([]int{2}, change(func(s *network.Samples) { s.Floats = []float32{1, 2, 3, -4} }), base),
		"NaN":         Digest([]int{2}, change(func(s *network.Samples) { s.Floats = []float32{1, 2, 3, float32(math.NaN())} }), base),
		"label":       Digest([]int{2}, change(func(s *network.Samples) { s.Labels = []int32{0, 2} }), base),
		"no labels":   Digest([]int{2}, change(func(s *network.Samples) { s.Labels = nil }), base),
		"test set":    Digest([]int{2}, base, change(func(s *network.Samples) { s.Labels = []int32{1, 1} })),
		"byte data":   Digest([]int{2}, change(func(s *network.Samples) { s.Floats, s.Bytes = nil, []uint8{1, 2, 3, 4} }), base),
		"exchanged":   Digest([]int{2}, change(func(s *network.Samples) { s.Labels = []int32{1, 1} }), base),
		"more floats": Digest([]int{2}, network.Samples{Rows: 3000, Features: 2, Floats: make([]float32, 6000), Labels: make([]int32, 3000)}, base),
	} {
		if other, taken := digests[d]; taken {
			t.Errorf("%s and %s have one digest", name, other)
		}
		digests[d] = name
	}
	scaled := change(func(s *network.Samples) { s.Scaling = network.Scaling{Shift: []float64{1}, Factor: []float64{2}} })
	if digests[Digest([]int{2}, scaled, scaled)] != "base" {
		t.Error("scaling changes the digest")
	}
}
