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
	"path/filepath"
	"strings"
	"testing"

	"clgrad/network"
	"clgrad/network/must"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
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

// classNames returns the names of a set's classes, their numbers where they have none.
func classNames(s Set) []string {
	if s.ClassNames != nil {
		return s.ClassNames
	}
	names := make([]string, s.Classes)
	for i := range names {
		names[i] = fmt.Sprint(i)
	}
	return names
}

func readArchive(file []byte) (Set, error) {
	return library{}.readNPZ(bytes.NewReader(file), "file", int64(len(file)))
}

// NPZ and IDX files of the same data are the same set, to the digest.
func TestLoadNPZ(t *testing.T) {
	want := toySet("toy.npz")
	entries := append(toyArrays(), entry{"other.npy", []byte("whatever")})
	for _, method := range []uint16{zip.Store, zip.Deflate} {
		dir := writeDir(t, map[string][]byte{"toy.npz": archive(method, entries...)})
		got, err := Load(t.Context(), filepath.Join(dir, "toy.npz"), Options{})
		must.OK(t, err)
		if d := cmp.Diff(want, got); d != "" {
			t.Error(d)
		}
	}
}

// What npyio's own writer makes of Go's slices is read back.
func TestNPZOfNpyio(t *testing.T) {
	path := filepath.Join(t.TempDir(), "set.npz")
	w, err := npz.Create(path)
	must.OK(t, err)
	for _, array := range []struct {
		name  string
		value any
	}{{"x_train", [2][2]float64{{0.5, -1}, {2, 1e-3}}}, {"y_train", []int64{1, 0}}} {
		must.OK(t, w.Write(array.name+".npy", array.value))
	}
	must.OK(t, w.Close())
	got, err := Load(t.Context(), path, Options{})
	must.OK(t, err)
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
		{"<f2", []uint16{0x3c00, 0xc500}, []float32{1, -5}},
		{"<f2", []uint16{0x0001, 0x03ff}, []float32{1. / (1 << 24), 1023. / (1 << 24)}},
		{">f2", []uint16{0x3555, 0x7bff}, []float32{0.333251953125, 65504}},
		{">f2", []uint16{0x8000, 0x0400}, []float32{0, 1. / (1 << 14)}},
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
		// As labels.
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
			got, err := readArchive(file)
			if y > 0 && (err != nil || got.Train.Labels[1] != 1 || classNames(got)[1] != fmt.Sprint(y)) {
				t.Errorf("%s: label %d is %v of %v, %v", test.descr, y, got.Train.Labels, got.ClassNames, err)
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
		{"nothing in it", archive(zip.Store), "file: has no array: x_train and y_train are expected"},
		{"others in it", archive(zip.Store, entry{"a.npy", nil}, entry{"b", nil}), `file: has no array x_train: there are "a" (no array that can be read), "b" (no array that can be read): Reading.Arrays says which are which, as in Reading.Arrays x=NAME,y=NAME`},
		{"no labels", archive(zip.Store, toy[0], toy[2], toy[3]), `file: has no array y_train: there are "x_train" (3×2×3, uint8), "x_test" (2×2×3, uint8), "y_test" (2, uint8): Reading.Arrays says which are which, as in Reading.Arrays x=x_train,y=NAME`},
		{"no test labels", archive(zip.Store, toy[:3]...), `file: has no array y_test: there are "x_train" (3×2×3, uint8), "y_train" (3, uint8), "x_test" (2×2×3, uint8): Reading.Arrays x=x_train,y=y_train does without`},
		{"no test images", archive(zip.Store, toy[0], toy[1], toy[3]), `file: has no array x_test: there are "x_train" (3×2×3, uint8), "y_train" (3, uint8), "y_test" (2, uint8): Reading.Arrays x=x_train,y=y_train does without`},
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
		{"other names", archive(zip.Store, entry{"digits.npy", good}, entry{"sizes.npy", npyFile("<f2", []int{2}, []uint16{1, 2})}, entry{"kinds.npy", npyFile("|b1", []int{3}, []uint8{1, 0, 1})}),
			`file: has no array x_train: there are "digits" (3×2×3, uint8), "sizes" (2, float16), "kinds" (3, bool): Reading.Arrays says which are which, as in Reading.Arrays x=digits,y=kinds`},
		{"names that cannot be typed", archive(zip.Store, entry{"a\nb.npy", good}, entry{"k.npy", npyFile("|b1", []int{3}, []uint8{1, 0, 1})}),
			`file: has no array x_train: there are "a\nb" (3×2×3, uint8), "k" (3, bool): Reading.Arrays says which are which, as in Reading.Arrays x=NAME,y=NAME`},
		{"twice in folders", archive(zip.Store, entry{"a/x_train.npy", good}, entry{"b/x_train.npy", good}), "file: holds x_train twice"},
		{"complex elements", x(npyHeader("<c8", false, 3, 2)), `file: x_train: has elements of type "<c8" where bool, integers of 8 to 64 bits or floats of 16 to 64 are expected`},
		{"text elements", x(npyHeader("<U5", false, 3, 2)), `file: x_train: has elements of type "<U5" where`},
		{"objects", x(npyHeader("|O", false, 3, 2)), `file: x_train: has elements of type "|O" where`},
		{"no order of bytes", x(npyHeader("|f4", false, 3, 2)), `file: x_train: has elements of type "|f4" where`},
		{"NaN in Fortran order", x(append(npyHeader("<f2", true, 3, 2), 0, 0, 0, 0, 0, 0, 0, 0, 1, 0x7e, 0, 0)), "file: x_train: row 2, feature 2 is NaN where a finite float32 is expected"},
		{"infinite half", x(npyFile("<f2", []int{3, 2}, []uint16{0, 0, 0, 0, 0xfc00, 0})), "file: x_train: row 3, feature 1 is -Inf where a finite float32 is expected"},
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
		{"labels that are fractions", y(npyFile("<f4", []int{3}, []float32{1, 0.5, 1})), "file: y_train: row 2 has label 0.5 where a whole number of at most 2⁵³ is expected, its class"},
		{"labels that are no numbers", y(npyFile("<f8", []int{3}, []float64{1, 0, math.NaN()})), "file: y_train: row 3 has label NaN where a whole number"},
		{"huge labels", y(npyFile("<u8", []int{3}, []uint64{1, 0, 1 << 63})), "file: y_train: row 3 has label 9.223372036854776e+18 where a whole number"},
		{"two ones in a row", y(npyFile("|u1", []int{3, 2}, []uint8{1, 0, 1, 1, 0, 1})), "file: y_train: has shape 3×2 where one label a row is expected, or one 1 a row and 0 elsewhere, which row 2 has not"},
		{"shares", y(npyFile("<f4", []int{3, 2}, []float32{1, 0, 0.5, 0.5, 0, 1})), "file: y_train: has shape 3×2 where one label a row is expected, or one 1 a row and 0 elsewhere, which row 2 has not"},
		{"labels of three dimensions", y(npyFile("|u1", []int{3, 2, 1}, []uint8{1, 0, 1, 0, 0, 1})), "file: y_train: has shape 3×2×1 where one label a row is expected"},
		{"label of the test set alone", with(entry{"y_test.npy", npyFile("|u1", []int{2}, []uint8{1, 3})}), "file: y_test: row 2 has label 3, which no row of the training set has: its classes are 0 to 2"},
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

// The cases of files that people have, each of which has one meaning.
func TestNPZCases(t *testing.T) {
	plain, err := Load(t.Context(), "testdata/arrays/chan.npz", Options{})
	must.OK(t, err)
	for _, test := range []struct {
		name   string
		o      Options
		change func(s *Set) // plain to what is expected
		log    string
	}{
		{name: "py2long.npz"},
		{name: "floatlabels.npz"},
		{name: "onehot.npz"},
		{name: "folder.npz"},
		{name: "fortran.npz"},
		{name: "arr0.npz", change: func(s *Set) { s.Test = network.Samples{} },
			log: "testdata/arrays/arr0.npz: arr_0 is taken for the features and arr_1 for the labels: Reading.Arrays x=arr_1,y=arr_0 exchanges them"},
		{name: "arr0.npz", o: Options{Reading: Reading{Arrays: map[string]string{"x": "arr_0", "y": "arr_1"}}}, change: func(s *Set) { s.Test = network.Samples{} }},
		{name: "medmnist.npz", change: func(s *Set) { s.Validation = s.Test }},
		{name: "gap.npz", change: func(s *Set) { s.ClassNames = []string{"3", "8"} },
			log: "testdata/arrays/gap.npz: y_train: no row has label 0 to 2, 4 to 7: the 2 classes are the labels that occur, 3, 8"},
		{name: "gap.npz", o: Options{Classes: []string{"8", "3"}}, change: func(s *Set) {
			s.ClassNames = []string{"8", "3"}
			s.Train.Labels, s.Test.Labels = []int32{1, 0, 1, 0, 1, 0, 1, 0}, []int32{1, 0, 1, 0}
		}},
		// As a model has them that knows no names of its classes.
		{name: "gap.npz", o: Options{Classes: strings.Split("0123456789", "")}, change: func(s *Set) {
			s.Classes = 10
			s.Train.Labels, s.Test.Labels = []int32{3, 8, 3, 8, 3, 8, 3, 8}, []int32{3, 8, 3, 8}
		}},
		{name: "onehot.npz", o: Options{Classes: []string{"Trouser", "Coat"}}, change: func(s *Set) { s.ClassNames = []string{"Trouser", "Coat"} }},
		{name: "chan.npz", o: Options{Reading: Reading{Shape: []int{2, 8}}}, change: func(s *Set) { s.Shape = []int{2, 8} }},
		{name: "testonly.npz", o: Options{Unlabelled: true, Classes: []string{"0", "1"}}, change: func(s *Set) { s.Test.Labels = nil },
			log: "testdata/arrays/testonly.npz: y_test: row 3 has label 2, which is no class: 0, 1 are: the labels are left out"},
		{name: "xtest.npz", o: Options{Unlabelled: true}, change: func(s *Set) {
			s.Train, s.Test = s.Test, network.Samples{}
			s.Train.Labels, s.Classes = nil, 0
		}},
	} {
		var log []string
		test.o.Log = func(line string) { log = append(log, line) }
		got, err := Load(t.Context(), filepath.Join("testdata", "arrays", test.name), test.o)
		if err != nil {
			t.Errorf("%s: %v", test.name, err)
			continue
		}
		want := plain
		if test.change != nil {
			test.change(&want)
		}
		want.Name, want.Digest, got.Digest = test.name, "", ""
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("%s: %s", test.name, d)
		}
		if strings.Join(log, "\n") != test.log {
			t.Errorf("%s: says %q, want %q", test.name, log, test.log)
		}
	}
}

// The same rows are the same set, whether they stand in a table or in arrays.
func TestGapsOfTablesAndArrays(t *testing.T) {
	table, err := Load(t.Context(), "testdata/arrays/gap.csv", Options{})
	must.OK(t, err)
	arrays, err := Load(t.Context(), "testdata/arrays/gap.npz", Options{Reading: Reading{Arrays: map[string]string{"x": "x_train", "y": "y_train"}}})
	must.OK(t, err)
	arrays.Name, arrays.Columns = table.Name, table.Columns
	if d := cmp.Diff(table, arrays); d != "" {
		t.Error(d)
	}
}

// Values of half precision and truth values are what they are.
func TestNPZValues(t *testing.T) {
	half, err := Load(t.Context(), "testdata/arrays/f16.npz", Options{})
	must.OK(t, err)
	if got, want := half.Train.Floats[:3], []float32{0.0353088379, 0.313720703125, 0.39990234375}; !cmp.Equal(got, want, cmpopts.EquateApprox(0, 1e-9)) {
		t.Errorf("half precision is %v, want %v", got, want)
	}
	truth, err := Load(t.Context(), "testdata/arrays/bool.npz", Options{})
	must.OK(t, err)
	if got, want := truth.Train.Bytes[:8], []uint8{1, 0, 0, 1, 1, 1, 1, 1}; !bytes.Equal(got, want) || truth.Classes != 2 {
		t.Errorf("truth values are %v of %d classes, want %v", got, truth.Classes, want)
	}
}

// One-hot labels have a class a column, in any type and order, and the classes without
// rows are named.
func TestOneHot(t *testing.T) {
	columns := append(npyHeader("|b1", true, 3, 4), 0, 0, 1, 1, 0, 0, 0, 0, 0, 0, 1, 0)
	rows := npyFile(">f4", []int{3, 4}, []float32{0, 1, 0, 0, 0, 0, 0, 1, 1, 0, 0, 0})
	for _, labels := range [][]byte{columns, rows} {
		var log []string
		l := library{Options: Options{Log: func(line string) { log = append(log, line) }}}
		file := archive(zip.Store, entry{"x_train.npy", npyFile("|u1", []int{3, 1}, []uint8{1, 2, 3})}, entry{"y_train.npy", labels})
		got, err := l.readNPZ(bytes.NewReader(file), "file", int64(len(file)))
		if err != nil || !cmp.Equal(got.Train.Labels, []int32{1, 3, 0}) || got.Classes != 4 || got.ClassNames != nil {
			t.Errorf("got labels %v, %d classes %v, %v", got.Train.Labels, got.Classes, got.ClassNames, err)
		}
		if want := "file: y_train: no row has label 2: the 4 columns are the classes nevertheless"; len(log) != 1 || log[0] != want {
			t.Errorf("says %q, want %s", log, want)
		}
	}
}

// Images of one channel have no third dimension, those of several keep it, and rows and
// columns change places where that is asked for.
func TestImageShapes(t *testing.T) {
	for _, test := range []struct {
		file, want []int
		o          Reading
		row        []uint8
		problem    string
	}{
		{file: []int{1, 2, 3, 1}, want: []int{2, 3}, row: []uint8{0, 1, 2, 3, 4, 5}},
		{file: []int{1, 1, 2, 3}, want: []int{2, 3}, row: []uint8{0, 1, 2, 3, 4, 5}},
		{file: []int{1, 1, 2, 3}, want: []int{3, 2}, row: []uint8{0, 3, 1, 4, 2, 5}, o: Reading{Transpose: true}},
		{file: []int{1, 1, 2, 3}, want: []int{1, 2, 3}, row: []uint8{0, 1, 2, 3, 4, 5}, o: Reading{Shape: []int{1, 2, 3}}},
		{file: []int{1, 1, 2, 3}, want: []int{2, 1, 3}, row: []uint8{0, 1, 2, 3, 4, 5}, o: Reading{Shape: []int{1, 2, 3}, Transpose: true}},
		{file: []int{1, 12}, want: []int{3, 2, 2}, row: []uint8{0, 1, 6, 7, 2, 3, 8, 9, 4, 5, 10, 11}, o: Reading{Shape: []int{2, 3, 2}, Transpose: true}},
		{file: []int{1, 2, 2, 3}, want: []int{2, 2, 3}, row: []uint8{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11}},
		{file: []int{1, 12}, o: Reading{Transpose: true}, problem: "file: x: has samples of shape 12: only images of rows and columns can be transposed"},
		{file: []int{1, 12}, o: Reading{Shape: []int{3, 3}}, problem: "file: x: has samples of 12 features, which are not those of shape 3×3"},
	} {
		n := 1
		for _, d := range test.file {
			n *= d
		}
		values := make([]uint8, n)
		for i := range values {
			values[i] = uint8(i)
		}
		file := archive(zip.Store, entry{"x.npy", npyFile("|u1", test.file, values)})
		l := library{Options: Options{Reading: test.o, Unlabelled: true}}
		got, err := l.readNPZ(bytes.NewReader(file), "file", int64(len(file)))
		if test.problem != "" {
			if err == nil || err.Error() != test.problem {
				t.Errorf("%v: got %v, want %s", test.file, err, test.problem)
			}
			continue
		}
		if err != nil || !cmp.Equal(got.Shape, test.want) || !bytes.Equal(got.Train.Bytes, test.row) {
			t.Errorf("%v, %+v: got shape %v, %v, %v", test.file, test.o, got.Shape, got.Train.Bytes, err)
		}
	}
}

// A set whose arrays were in one order of dimensions has the digest that it always had.
func TestDigestOfOneChannel(t *testing.T) {
	got, err := Load(t.Context(), "testdata/arrays/chan.npz", Options{})
	must.OK(t, err)
	if want := Digest([]int{4, 4, 1}, got.Train, got.Test); got.Digest != want {
		t.Errorf("the digest is %s, want %s", got.Digest, want)
	}
	if d := Digest([]int{4, 4}, got.Train, got.Test, got.Test); d == Digest([]int{4, 4}, got.Train, got.Test) {
		t.Error("a validation set of the file's own does not change the digest")
	}
}

// The memory that the caller has bounds what is read.
func TestMaxBytes(t *testing.T) {
	const size = 8*16 + 12*8 + 4*16 + 12*4
	for most, ok := range map[int64]bool{0: true, size: true, size - 1: false} {
		_, err := Load(t.Context(), "testdata/arrays/chan.npz", Options{MaxBytes: most})
		if (err == nil) != ok || err != nil && !strings.HasSuffix(err.Error(), "y_test: shape 4 needs more memory than is left, 47 bytes") {
			t.Errorf("with %d bytes: %v", most, err)
		}
	}
	files := toyDir()
	_, err := Load(t.Context(), writeDir(t, files), Options{MaxBytes: 20})
	if err == nil || !strings.HasSuffix(err.Error(), "train-labels-idx1-ubyte: dimensions 3 are more than the memory has room for, 2 bytes") {
		t.Errorf("IDX files: %v", err)
	}
}

// What is said of how files are read and has no use there is an error, unless a model
// brought it along.
func TestUselessReading(t *testing.T) {
	const file = "testdata/arrays/chan.npz"
	for want, r := range map[string]Reading{
		"columns to ignore":         {Ignore: []string{"id"}},
		"a separator":               {Separator: ';'},
		"a header":                  {Header: HeaderYes},
		"a rule for missing values": {Missing: Drop},
		"numbers as classes":        {Numbers: true},
	} {
		_, err := Load(t.Context(), file, Options{Reading: r})
		if want = file + ": is an NPZ file, which has no use for " + want; err == nil || err.Error() != want {
			t.Errorf("got %v, want %s", err, want)
		}
		if _, err := Load(t.Context(), file, Options{Trained: r}); err != nil {
			t.Error(err)
		}
	}
	got, err := Load(t.Context(), file, Options{Trained: Reading{Shape: []int{2, 8}, Arrays: map[string]string{"x": "images", "y": "labels"}}})
	if err != nil || !cmp.Equal(got.Shape, []int{2, 8}) {
		t.Errorf("as a model's training set was read: shape %v, %v", got.Shape, err)
	}
	_, err = Load(t.Context(), "mnist", Options{Offline: true, Reading: Reading{Transpose: true}})
	if err == nil || err.Error() != "mnist: is a named set, which has no use for transposing" {
		t.Errorf("a named set: %v", err)
	}
}

// What is named and is not there is an error.
func TestNamedArrays(t *testing.T) {
	for want, arrays := range map[string]map[string]string{
		`has no array "images" for x: there are "arr_0" (8×4×4, uint8), "arr_1" (8, uint8)`: {"x": "images", "y": "arr_1"},
		`no array is named for y: there are "arr_0" (8×4×4, uint8), "arr_1" (8, uint8)`:     {"x": "arr_0"},
		`has no array "a" for x_test: there are "arr_0" (8×4×4, uint8), "arr_1" (8, uint8)`: {"x": "arr_0", "y": "arr_1", "x_test": "a", "y_test": "b"},
		"arr_1: has shape 8 where rows of features, 2 dimensions or more, are expected":     {"x": "arr_1", "y": "arr_0"},
	} {
		_, err := Load(t.Context(), "testdata/arrays/arr0.npz", Options{Reading: Reading{Arrays: arrays}})
		if want = "testdata/arrays/arr0.npz: " + want; err == nil || err.Error() != want {
			t.Errorf("%v: got %v\nwant %s", arrays, err, want)
		}
	}
}

// An array without an archive has rows to be predicted and nothing else.
func TestNPY(t *testing.T) {
	path := filepath.Join(t.TempDir(), "rows.npy")
	must.Write(t, npyFile("<f4", []int{2, 1}, []float32{0.5, 2}), path)
	got, err := Load(t.Context(), path, Options{Unlabelled: true, Classes: []string{"a", "b"}})
	if err != nil || !cmp.Equal(got.Train, network.Samples{Rows: 2, Features: 1, Floats: []float32{0.5, 2}}) || got.Name != "rows.npy" {
		t.Errorf("%+v, %v", got, err)
	}
	want := path + ": is one array without labels: an NPZ file with both is expected, as numpy.savez(FILE, x_train=…, y_train=…) writes it"
	if _, err := Load(t.Context(), path, Options{}); err == nil || err.Error() != want {
		t.Errorf("got %v\nwant %s", err, want)
	}
}

// Data that is nearly all 0 may be packed to a thousandth: 10 MB of it are read.
func TestNPZHighRatio(t *testing.T) {
	const rows, features = 1000, 10000
	x := append(npyHeader("|u1", false, rows, features), make([]byte, rows*features)...)
	file := archive(zip.Deflate, entry{"x.npy", x}, entry{"y.npy", append(npyHeader("|u1", false, rows), bytes.Repeat([]byte{0, 1}, rows/2)...)})
	got, err := readArchive(file)
	if err != nil || got.Train.Rows != rows || len(file) > rows*features/400 {
		t.Errorf("%d bytes of %d are %d rows, %v", len(file), rows*features, got.Train.Rows, err)
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
		archive(zip.Store, entry{"a/arr_0.npy", npyFile("<f2", []int{2, 2, 1}, []uint16{1, 2, 3, 4})}, entry{"a/arr_1.npy", npyFile("|b1", []int{2, 2}, []uint8{1, 0, 0, 1})}),
		archive(zip.Store, entry{"train_images.npy", append(npyHeader("|u1", true, 2, 2), 1, 2, 3, 4)}, entry{"train_labels.npy", npyFile("<f8", []int{2, 1}, []float64{-7, 9})},
			entry{"val_images.npy", npyFile("|u1", []int{1, 2}, []uint8{3, 4})}, entry{"val_labels.npy", npyFile("|i1", []int{1}, []int8{9})}),
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
				checkOneLine(t, err)
				continue
			}
			if err := got.Train.Check(got.Classes); err != nil {
				t.Error(err)
			}
			if err := checkFinite(got.Train); err != nil {
				t.Error(err)
			}
			n := got.Train.Features
			if !ShapeHolds(got.Shape, n) || got.Test.Rows > 0 && got.Test.Features != n || got.Classes < 2 || len(classNames(got)) != got.Classes {
				t.Errorf("shape %v, %d classes, %+v", got.Shape, got.Classes, got)
			}
		}
	})
}

// An archive has no columns to choose from, and a cancelled load of it ends.
func TestLoadNPZOptions(t *testing.T) {
	path := filepath.Join(t.TempDir(), "set.npz")
	must.Write(t, archive(zip.Store, toyArrays()...), path)
	want := path + ": is an NPZ file, which has no use for a label column"
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
	must.OK(t, w.Close())
	file := filepath.Join(t.TempDir(), "set.npz.gz")
	must.Write(t, b.Bytes(), file)
	_, err := Load(context.Background(), file, Options{})
	if want := file + ": holds an NPZ file compressed once more by gzip: unpack it (gunzip)"; err == nil || err.Error() != want {
		t.Errorf("error %v, want %s", err, want)
	}
}

// Every number of binary16, by the definition of IEEE 754.
func TestFloat16(t *testing.T) {
	for _, test := range []struct {
		bits uint16
		want float64
	}{
		{0, 0}, {1, 0x1p-24}, {0x03ff, 0x3ffp-24}, {0x0400, 0x1p-14}, {0x3c00, 1}, {0x3c01, 1 + 0x1p-10}, {0x7bff, 65504},
		{0xc000, -2}, {0x3555, 0x1.554p-2}, {0x7c00, math.Inf(1)}, {0xfc00, math.Inf(-1)},
	} {
		if got := Float16(test.bits); got != test.want {
			t.Errorf("%#04x is %v, want %v", test.bits, got, test.want)
		}
	}
	if v := Float16(0x8000); v != 0 || !math.Signbit(v) {
		t.Errorf("negative zero is %v", v)
	}
	if !math.IsNaN(Float16(0x7c01)) {
		t.Error("0x7c01 is a number")
	}
	last := math.Inf(-1)
	for b := range uint16(0x7c01) {
		if v := Float16(b); v <= last {
			t.Fatalf("%#04x is %v, no more than the one before", b, v)
		} else {
			last = v
		}
	}
}
