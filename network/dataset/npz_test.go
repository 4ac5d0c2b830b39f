package dataset

import (
	"archive/zip"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"clgrad/network"

	"github.com/google/go-cmp/cmp"
	"github.com/sbinet/npyio/npz"
)

// npyHeader returns a header of version 1 as NumPy writes it.
func npyHeader(descr string, fortran bool, shape ...int) []byte {
	var dims []string
	for _, d := range shape {
		dims = append(dims, fmt.Sprint(d))
	}
	tuple := strings.Join(dims, ", ")
	if len(shape) == 1 {
		tuple += ","
	}
	order := map[bool]string{true: "True", false: "False"}[fortran]
	text := fmt.Sprintf("{'descr': '%s', 'fortran_order': %s, 'shape': (%s), }", descr, order, tuple)
	text += strings.Repeat(" ", 63-(10+len(text))%64) + "\n"
	return append(binary.LittleEndian.AppendUint16([]byte("\x93NUMPY\x01\x00"), uint16(len(text))), text...)
}

// npyFile returns an array: values are written as binary.Write does, in the
// order of bytes that descr says.
func npyFile(descr string, shape []int, values any) []byte {
	b := bytes.NewBuffer(npyHeader(descr, false, shape...))
	order := binary.ByteOrder(binary.LittleEndian)
	if descr[0] == '>' {
		order = binary.BigEndian
	}
	if err := binary.Write(b, order, values); err != nil {
		panic(err)
	}
	return b.Bytes()
}

// An entry is a file of an archive.
type entry struct {
	name    string
	content []byte
}

// archive returns a zip file, stored or deflated.
func archive(method uint16, entries ...entry) []byte {
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	for _, e := range entries {
		f, err := w.CreateHeader(&zip.FileHeader{Name: e.name, Method: method})
		if err != nil {
			panic(err)
		}
		f.Write(e.content)
	}
	w.Close()
	return b.Bytes()
}

// lying returns a zip file whose one array has other sizes than its entry says.
func lying(name string, content []byte, size uint64) []byte {
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	f, err := w.CreateRaw(&zip.FileHeader{Name: name, CompressedSize64: uint64(len(content)), UncompressedSize64: size, CRC32: crc32.ChecksumIEEE(content)})
	if err != nil {
		panic(err)
	}
	f.Write(content)
	w.Close()
	return b.Bytes()
}

// toyArrays are the toy set's arrays.
func toyArrays() []entry {
	files := toyFiles()
	return []entry{
		{"x_train.npy", npyFile("|u1", []int{3, 2, 3}, files[trainImages][16:])},
		{"y_train.npy", npyFile("|u1", []int{3}, files[trainLabels][8:])},
		{"x_test.npy", npyFile("|u1", []int{2, 2, 3}, files[testImages][16:])},
		{"y_test.npy", npyFile("|u1", []int{2}, files[testLabels][8:])},
	}
}

func readArchive(file []byte) (Set, error) {
	return readNPZ(bytes.NewReader(file), "file", int64(len(file)))
}

// NPZ and IDX files of the same data are the same set, to the digest.
func TestLoadNPZ(t *testing.T) {
	want := toySet("toy.npz")
	entries := append(toyArrays(), entry{"other.npy", []byte("whatever")})
	for _, method := range []uint16{zip.Store, zip.Deflate} {
		dir := writeDir(t, map[string][]byte{"toy.npz": archive(method, entries...)})
		got, err := Load(t.Context(), filepath.Join(dir, "toy.npz"), Options{})
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Error(d)
		}
	}
}

// What npyio's own writer makes of Go's slices is read back.
func TestNPZOfNpyio(t *testing.T) {
	path := filepath.Join(t.TempDir(), "set.npz")
	w, err := npz.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, array := range []struct {
		name  string
		value any
	}{{"x_train", [2][2]float64{{0.5, -1}, {2, 1e-3}}}, {"y_train", []int64{1, 0}}} {
		if err := w.Write(array.name+".npy", array.value); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	got, err := Load(t.Context(), path, Options{})
	if err != nil {
		t.Fatal(err)
	}
	want := network.Samples{Rows: 2, Features: 2, Floats: []float32{0.5, -1, 2, 1e-3}, Labels: []int32{1, 0}}
	if d := cmp.Diff(want, got.Train); d != "" || got.Test.Rows != 0 || got.Classes != 2 {
		t.Errorf("%s%+v", d, got)
	}
}

// Elements of every type, and of both orders of bytes, are their values.
func TestNPZTypes(t *testing.T) {
	for _, test := range []struct {
		descr  string
		values any
		want   []float32
	}{
		{"|i1", []int8{-128, 127}, []float32{-128, 127}},
		{"<u2", []uint16{65535, 1}, []float32{65535, 1}},
		{">i2", []int16{-32768, 258}, []float32{-32768, 258}},
		{"<i4", []int32{-2147483648, 7}, []float32{-2147483648, 7}},
		{">u4", []uint32{4294967295, 7}, []float32{4294967296, 7}},
		{"<i8", []int64{-9223372036854775808, 7}, []float32{-9223372036854775808, 7}},
		{"<u8", []uint64{18446744073709551615, 7}, []float32{18446744073709551616, 7}},
		{"<f4", []float32{0.25, -3e38}, []float32{0.25, -3e38}},
		{">f4", []float32{0.25, 1e-45}, []float32{0.25, 1e-45}},
		{"<f8", []float64{0.1, -1e-300}, []float32{0.1, 0}},
		{">f8", []float64{0.1, 1e38}, []float32{0.1, 1e38}},
	} {
		file := archive(zip.Deflate, entry{"x_train.npy", npyFile(test.descr, []int{2, 1}, test.values)},
			entry{"y_train.npy", npyFile("<i4", []int{2, 1}, []int32{1, 0})})
		got, err := readArchive(file)
		if err != nil {
			t.Errorf("%s: %v", test.descr, err)
			continue
		}
		for i, want := range test.want {
			if got.Train.Floats[i] != want {
				t.Errorf("%s: element %d is %v, want %v", test.descr, i, got.Train.Floats[i], want)
			}
		}
		// As labels: those that are classes.
		if test.descr[1] == 'f' {
			continue
		}
		for _, y := range []int32{0, 1, 100} {
			labels := bytes.NewBuffer(npyHeader(test.descr, false, 2))
			width := int(test.descr[2] - '0')
			for _, v := range []int32{0, y} {
				b := binary.LittleEndian.AppendUint64(nil, uint64(v))
				if test.descr[0] == '>' {
					b = binary.BigEndian.AppendUint64(nil, uint64(v))[8-width:]
				}
				labels.Write(b[:width])
			}
			file := archive(zip.Store, entry{"x_train.npy", npyFile("|u1", []int{2, 1}, []uint8{1, 2})}, entry{"y_train.npy", labels.Bytes()})
			if got, err := readArchive(file); y > 0 && (err != nil || got.Train.Labels[1] != y) {
				t.Errorf("%s: label %d is %v, %v", test.descr, y, got.Train.Labels, err)
			}
		}
	}
}

func TestNPZDamage(t *testing.T) {
	toy := toyArrays()
	// with replaces arrays of the toy set.
	with := func(entries ...entry) []byte {
		all := toyArrays()
		for _, e := range entries {
			for i := range all {
				if all[i].name == e.name {
					all[i] = e
				}
			}
		}
		return archive(zip.Deflate, all...)
	}
	x := func(content []byte) []byte { return with(entry{"x_train.npy", content}) }
	y := func(content []byte) []byte { return with(entry{"y_train.npy", content}) }
	raw := func(text string) []byte {
		return append(binary.LittleEndian.AppendUint16([]byte("\x93NUMPY\x01\x00"), uint16(len(text))), text...)
	}
	good := toy[0].content
	stored := archive(zip.Store, toy...)
	flipped := bytes.Clone(stored)
	flipped[bytes.Index(flipped, good)+len(good)-1] ^= 1
	for _, test := range []struct {
		name string
		file []byte
		want string
	}{
		{"empty", nil, "file: is no readable NPZ file: zip: not a valid zip file"},
		{"cut short", stored[:len(stored)-30], "file: is no readable NPZ file: zip: not a valid zip file"},
		{"nothing in it", archive(zip.Store), "file: has no array x_train: there are "},
		{"others in it", archive(zip.Store, entry{"a.npy", nil}, entry{"b", nil}), `file: has no array x_train: there are "a", "b"`},
		{"no labels", archive(zip.Store, toy[0], toy[2], toy[3]), `file: has no array y_train: there are "x_train", "x_test", "y_test"`},
		{"no test labels", archive(zip.Store, toy[:3]...), `file: has no array y_test: there are "x_train", "y_train", "x_test"`},
		{"no test images", archive(zip.Store, toy[0], toy[1], toy[3]), `file: has no array x_test: there are "x_train", "y_train", "y_test"`},
		{"twice", archive(zip.Store, toy[0], toy[0]), "file: holds x_train twice"},
		{"other bytes", flipped, "file: x_train: has another checksum than the archive says: the file is damaged"},
		{"no header", x(nil), "file: x_train: ends within its header: an NPY array is expected"},
		{"text", x([]byte("hello, world")), "file: x_train: does not begin as an NPY array"},
		{"version 3", x([]byte("\x93NUMPY\x03\x00\x00\x00\x00\x00")), "file: x_train: has version 3 of the NPY format where 1 or 2 is expected"},
		{"within version 2", x([]byte("\x93NUMPY\x02\x00\x00\x00\x00")), "file: x_train: ends within its header: an NPY array is expected"},
		{"huge header", x([]byte("\x93NUMPY\x02\x00\xff\xff\xff\xff")), "file: x_train: announces a header of 4294967295 bytes where at most 65536 are expected"},
		{"within the header", x(good[:40]), "file: x_train: ends within its header: an NPY array is expected"},
		{"empty header", x(raw("")), "file: x_train: has a header that cannot be read"},
		{"no line end", x(raw("{'descr': '<f4', 'fortran_order': False, 'shape': (1, 1), }")), "file: x_train: has a header that cannot be read"},
		{"other order", x(raw("{'shape': (1, 1), 'fortran_order': False, 'descr': '<f4', }\n")), "file: x_train: has a header that cannot be read"},
		{"no shape", x(raw("{'descr': '<f4', 'fortran_order': False, }\n")), "file: x_train: has a header that cannot be read: npy: invalid dictionary format"},
		{"words in the shape", x(raw("{'descr': '<f4', 'fortran_order': False, 'shape': (a, b), }\n")), "file: x_train: has a header that cannot be read: "},
		{"half precision", x(npyHeader("<f2", false, 3, 2)), `file: x_train: has elements of type "<f2" where integers of 8 to 64 bits, float32 or float64 are expected`},
		{"text elements", x(npyHeader("<U5", false, 3, 2)), `file: x_train: has elements of type "<U5" where`},
		{"objects", x(npyHeader("|O", false, 3, 2)), `file: x_train: has elements of type "|O" where`},
		{"no order of bytes", x(npyHeader("|f4", false, 3, 2)), `file: x_train: has elements of type "|f4" where`},
		{"Fortran order", x(npyHeader("<f4", true, 3, 2)), "file: x_train: is in Fortran order where C order is expected (numpy.ascontiguousarray makes it so)"},
		{"scalar", x(npyHeader("<f4", false)), "file: x_train: is a single value where rows are expected"},
		{"no rows", x(npyHeader("<f4", false, 0, 2)), "file: x_train: dimension 1 is 0 where at least 1 is expected"},
		{"negative", x(npyHeader("<f4", false, 3, -2)), "file: x_train: dimension 2 is -2 where at least 1 is expected"},
		{"overflow", x(npyHeader("<f4", false, 1<<31, 1<<31, 4)), "file: x_train: has 128 bytes in the archive, which is not what its header of 128 and 4 for each element of shape 2147483648×2147483648×4 need"},
		{"truncated", x(good[:len(good)-1]), "file: x_train: has 145 bytes in the archive, which is not what its header of 128 and 1 for each element of shape 3×2×3 need"},
		{"trailing", x(append(bytes.Clone(good), 0)), "file: x_train: has 147 bytes in the archive, which is not what"},
		{"images of one dimension", x(npyFile("|u1", []int{3}, []uint8{1, 2, 3})), "file: x_train: has shape 3 where rows of features, 2 dimensions or more, are expected"},
		{"NaN", x(npyFile("<f4", []int{3, 2}, []float32{1, 2, 3, 4, float32(math.NaN()), 6})), "file: x_train: row 3, feature 1 is NaN where a finite float32 is expected"},
		{"beyond float32", x(npyFile("<f8", []int{3, 2}, []float64{1, -1e39, 3, 4, 5, 6})), "file: x_train: row 1, feature 2 is -1e+39 where a finite float32 is expected"},
		{"other sample", x(npyFile("|u1", []int{3, 6}, make([]uint8, 18))), "file: x_test: has samples of shape 2×3 where 6 is expected, as in file: x_train"},
		{"labels of two columns", y(npyFile("|u1", []int{3, 2}, make([]uint8, 6))), "file: y_train: has shape 3×2 where one label a row is expected"},
		{"labels across", y(npyFile("|u1", []int{1, 3}, make([]uint8, 3))), "file: y_train: has shape 1×3 where one label a row is expected"},
		{"float labels", y(npyFile("<f4", []int{3}, []float32{1, 0, 1})), "file: y_train: has elements that are floats where integers are expected, the rows' classes"},
		{"negative label", y(npyFile("<i8", []int{3}, []int64{1, 0, -1})), "file: y_train: row 3 has label -1 where a class of 0 to 65535 is expected"},
		{"large label", y(npyFile("<i8", []int{3}, []int64{1, 65536, 2})), "file: y_train: row 2 has label 65536 where a class of 0 to 65535 is expected"},
		{"too many labels", y(npyFile("|u1", []int{4}, []uint8{1, 0, 1, 0})), "file: y_train: has 4 labels where 3 are expected, one a row of file: x_train"},
		{"one class", with(entry{"y_train.npy", npyFile("|u1", []int{3}, make([]uint8, 3))}, entry{"y_test.npy", npyFile("|u1", []int{2}, make([]uint8, 2))}),
			"file: y_train: has no label but 0, nor has the test set: at least two classes are expected"},
		{"sizes beyond the file", lying("x_train.npy", good, 1<<40), "file: x_train has 1099511627776 bytes, with which the file holds too much for its"},
		{"sizes beyond 64 bits", lying("x_train.npy", good, math.MaxUint64), "file: x_train has 18446744073709551615 bytes, with which the file holds too much for its"},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, err := readArchive(test.file)
			if err == nil || !strings.HasPrefix(err.Error(), test.want) || strings.Contains(err.Error(), "\n") {
				t.Errorf("got %v\nwant %s", err, test.want)
			}
		})
	}
}

// Headers may promise what the file's size could hold in theory; memory must
// follow what arrives all the same.
func TestNPZMemory(t *testing.T) {
	const size = 1 << 20
	for _, descr := range []string{"|u1", "<f8"} {
		width := int(descr[2] - '0')
		header := npyHeader(descr, false, 100, size/width)
		file := lying("x_train.npy", append(header, make([]byte, size)...), uint64(len(header)+100*size))
		var err error
		used := allocated(func() { _, err = readArchive(file) })
		if err == nil {
			t.Fatalf("%s: 100 MiB were read from a file of 1", descr)
		}
		if used > 16*size {
			t.Errorf("%s: %d bytes were allocated for a file of %d", descr, used, len(file))
		}
	}
}

// FuzzNPZ looks for a file that panics, takes more memory than its content
// explains, whose result contradicts itself, or whose error is not one line that
// names it.
func FuzzNPZ(f *testing.F) {
	toy := toyArrays()
	for _, file := range [][]byte{
		nil, archive(zip.Store, toy...), archive(zip.Deflate, toy...), archive(zip.Store, toy[:2]...), archive(zip.Store, toy[:3]...),
		archive(zip.Store, entry{"x_train.npy", npyFile("<f8", []int{2, 1}, []float64{0.1, 2})}, entry{"y_train.npy", npyFile(">i8", []int{2, 1}, []int64{1, 0})}),
		archive(zip.Store, entry{"x_train.npy", npyHeader("<f4", true, 3, 2)}, toy[1]),
		archive(zip.Store, entry{"x_train.npy", npyHeader("<f4", false, 1<<31, 1<<31, 4)}, toy[1]),
		archive(zip.Store, entry{"x_train.npy", []byte("\x93NUMPY\x02\x00\xff\xff\xff\xff")}, toy[1]),
		lying("x_train.npy", toy[0].content, 1<<20),
	} {
		f.Add(file)
	}
	// Arrays alone, so that changes reach their headers and not the checksum.
	f.Fuzz(func(t *testing.T, file []byte) {
		for _, file := range [][]byte{file, archive(zip.Store, entry{"x_train.npy", file}, toy[1]), archive(zip.Store, toy[0], entry{"y_train.npy", file})} {
			var got Set
			var err error
			used := allocated(func() { got, err = readArchive(file) })
			if most := 16*maxUnpacked(int64(len(file))) + 1<<20; used > most {
				t.Errorf("%d bytes were allocated for a file of %d", used, len(file))
			}
			if err != nil {
				if s := err.Error(); !strings.HasPrefix(s, "file: ") || strings.Contains(s, "\n") {
					t.Errorf("error %q is not one line that begins with the file's name", s)
				}
				continue
			}
			if err := got.Train.Check(got.Classes); err != nil {
				t.Error(err)
			}
			if err := checkFinite(got.Train); err != nil {
				t.Error(err)
			}
			n := 1
			for _, d := range got.Shape {
				n *= d
			}
			if n != got.Train.Features || got.Test.Rows > 0 && got.Test.Features != n || got.Classes < 2 {
				t.Errorf("shape %v, %d classes, %+v", got.Shape, got.Classes, got)
			}
		}
	})
}

// An archive has no columns to choose from, and a cancelled load of it ends.
func TestLoadNPZOptions(t *testing.T) {
	path := filepath.Join(t.TempDir(), "set.npz")
	if err := os.WriteFile(path, archive(zip.Store, toyArrays()...), 0o644); err != nil {
		t.Fatal(err)
	}
	want := path + ": knows its labels and its test set: only for a CSV file can a label column or a test file be given"
	if _, err := Load(t.Context(), path, Options{Reading: Reading{Label: "1"}}); err == nil || err.Error() != want {
		t.Errorf("got %v\nwant %s", err, want)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Load(ctx, path, Options{}); err == nil || !strings.HasSuffix(err.Error(), "loading was stopped: context canceled") {
		t.Errorf("a cancelled load returns %v", err)
	}
}

// An NPZ file that was compressed once more is named as that, not as a bad CSV file.
func TestNPZInGzip(t *testing.T) {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	w.Write(archive(zip.Store, entry{"x_train.npy", npyFile("|u1", []int{1, 1}, []uint8{1})}))
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "set.npz.gz")
	if err := os.WriteFile(file, b.Bytes(), 0o666); err != nil {
		t.Fatal(err)
	}
	_, err := Load(context.Background(), file, Options{})
	if want := file + ": holds an NPZ file compressed once more by gzip: unpack it (gunzip)"; err == nil || err.Error() != want {
		t.Errorf("error %v, want %s", err, want)
	}
}
