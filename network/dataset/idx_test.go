package dataset

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// idx returns an IDX file of bytes with the given dimensions and elements.
func idx(shape []int, data ...uint8) []byte {
	file := []byte{0, 0, typeUint8, byte(len(shape))}
	for _, d := range shape {
		file = binary.BigEndian.AppendUint32(file, uint32(d))
	}
	return append(file, data...)
}

// gzipped returns content compressed by gzip.
func gzipped(content []byte) []byte {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	w.Write(content)
	w.Close()
	return b.Bytes()
}

func readIDX(file []byte) (Array, error) {
	return ReadIDX(bytes.NewReader(file), "file", int64(len(file)))
}

// checkOneLine reports an error that is not one line that names the file.
func checkOneLine(t *testing.T, err error) {
	t.Helper()
	if s := err.Error(); !strings.HasPrefix(s, "file: ") || strings.Contains(s, "\n") {
		t.Errorf("error %q is not one line that begins with the file's name", s)
	}
}

func TestReadIDX(t *testing.T) {
	for _, want := range []Array{
		{[]int{3}, []uint8{7, 0, 255}},
		{[]int{1, 1}, []uint8{31}},
		{[]int{2, 1, 3}, []uint8{1, 2, 3, 4, 5, 6}},
		{[]int{1, 2, 2, 2}, []uint8{1, 2, 3, 4, 5, 6, 7, 8}},
	} {
		raw := idx(want.Shape, want.Data...)
		half := len(raw) / 2
		for form, file := range map[string][]byte{
			"raw":          raw,
			"gzip":         gzipped(raw),
			"gzip members": append(gzipped(raw[:half]), gzipped(raw[half:])...),
		} {
			got, err := readIDX(file)
			if err != nil {
				t.Errorf("%s of %v: %v", form, want.Shape, err)
			} else if d := cmp.Diff(want, got); d != "" {
				t.Errorf("%s of %v: %s", form, want.Shape, d)
			}
		}
	}
}

// Large compressed files take the path on which memory grows with the data.
func TestReadIDXGrows(t *testing.T) {
	want := Array{[]int{1000, 300}, bytes.Repeat([]uint8{1, 2, 3}, 100000)}
	got, err := readIDX(gzipped(idx(want.Shape, want.Data...)))
	if err != nil || !slices.Equal(want.Shape, got.Shape) || !bytes.Equal(want.Data, got.Data) {
		t.Errorf("a file that compresses well does not survive: %v", err)
	}
}

func TestReadIDXDamage(t *testing.T) {
	good := idx([]int{2, 2}, 1, 2, 3, 4)
	zipped := gzipped(good)
	flip := func(file []byte, at int) []byte {
		file = bytes.Clone(file)
		file[at] ^= 0xff
		return file
	}
	for _, test := range []struct {
		name string
		file []byte
		want string
	}{
		{"empty", nil, "file: is empty: an IDX file is expected"},
		{"one byte", good[:1], "file: ends after 1 bytes where an IDX header of 4 is expected"},
		{"within the magic", good[:3], "file: ends after 3 bytes where an IDX header of 4 is expected"},
		{"within the dimensions", good[:9], "file: ends after 9 bytes where an IDX header of 12 is expected"},
		{"text", []byte("hello, world"), "file: begins with bytes 0x68 0x65 where an IDX file has 0x00 0x00"},
		{"second byte", flip(good, 1), "file: begins with bytes 0x00 0xff where an IDX file has 0x00 0x00"},
		{"float elements", []byte{0, 0, 0x0d, 1, 0, 0, 0, 1, 0, 0, 0, 0}, "file: has elements of type 0x0d (float32) where 0x08 (uint8) is expected"},
		{"unknown elements", flip(good, 2), "file: has elements of type 0xf7 (unknown) where 0x08 (uint8) is expected"},
		{"rank 0", idx(nil), "file: has 0 dimensions where 1 to 4 are expected"},
		{"rank 5", idx([]int{1, 1, 1, 1, 1}, 1), "file: has 5 dimensions where 1 to 4 are expected"},
		{"no rows", idx([]int{0, 2}), "file: dimension 1 is 0 where at least 1 is expected"},
		{"no columns", idx([]int{2, 0}), "file: dimension 2 is 0 where at least 1 is expected"},
		{"overflow", idx([]int{1 << 31, 1 << 31, 1 << 31, 1 << 31}, 1), "file: dimensions 2147483648×2147483648×2147483648×2147483648 are more than any file can hold"},
		// 2³²·2³² wraps to 0 in 64 bits, 2³²−1 squared does not.
		{"wrap", idx([]int{1 << 31, 1 << 31, 4}), "file: dimensions 2147483648×2147483648×4 are more than any file can hold"},
		{"beyond int64", idx([]int{1<<32 - 1, 1<<32 - 1}), "file: dimensions 4294967295×4294967295 are more than a file of 12 bytes can hold"},
		{"truncated", good[:15], "file: has 15 bytes where dimensions 2×2 need 16"},
		{"trailing", append(bytes.Clone(good), 0), "file: has 17 bytes where dimensions 2×2 need 16"},

		{"gzip header alone", zipped[:2], "file: ends within its gzip data: the file is cut short"},
		{"gzip header damaged", flip(zipped, 2), "file: damaged gzip data: gzip: invalid header"},
		{"gzip cut in data", zipped[:len(zipped)-12], "file: ends within its gzip data: the file is cut short"},
		{"gzip cut in checksum", zipped[:len(zipped)-5], "file: ends within its gzip data: the file is cut short"},
		{"gzip checksum", flip(zipped, len(zipped)-8), "file: damaged gzip data: gzip: invalid checksum"},
		{"gzip length", flip(zipped, len(zipped)-1), "file: damaged gzip data: gzip: invalid checksum"},
		{"gzip garbage behind", append(bytes.Clone(zipped), "garbage after it"...), "file: damaged gzip data: gzip: invalid header"},
		{"gzip of nothing", gzipped(nil), "file: ends after 0 bytes where an IDX header of 4 is expected"},
		{"gzip truncated inside", gzipped(good[:15]), "file: ends after 3 of the 4 elements of its dimensions 2×2"},
		{"gzip trailing inside", gzipped(append(bytes.Clone(good), 0)), "file: goes on after the 4 elements of its dimensions 2×2"},
		{"gzip beyond its ratio", gzipped(idx([]int{60000, 28, 28}, 1)), "file: dimensions 60000×28×28 are more than a file of"},
		{"gzip in gzip", gzipped(zipped), "file: begins with bytes 0x1f 0x8b where an IDX file has 0x00 0x00"},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, err := readIDX(test.file)
			if err == nil || !strings.HasPrefix(err.Error(), test.want) {
				t.Errorf("got %v\nwant %s", err, test.want)
			}
		})
	}
}

// A header may promise what its file's size could hold in theory; memory must
// follow what arrives all the same.
func TestReadIDXMemory(t *testing.T) {
	const size = 1 << 20
	file := gzipped(idx([]int{200, 1000, 1000}, make([]uint8, 4096)...))
	file = append(file, make([]byte, size-len(file))...) // zeros are no gzip member
	var err error
	used := allocated(func() { _, err = readIDX(file) })
	if err == nil {
		t.Fatal("2·10⁸ elements were read from a file that has 4096")
	}
	if used > 16*size {
		t.Errorf("%d bytes were allocated for a file of %d", used, size)
	}
}

// failing is a reader that breaks after some bytes.
type failing struct{ data io.Reader }

func (f failing) Read(p []byte) (int, error) {
	n, err := f.data.Read(p)
	if err == io.EOF {
		err = io.ErrClosedPipe
	}
	return n, err
}

// A medium that fails is not reported as a file that is cut short.
func TestReadIDXFailingReader(t *testing.T) {
	good := idx([]int{2, 2}, 1, 2, 3, 4)
	for n := range len(good) + 1 {
		_, err := ReadIDX(failing{bytes.NewReader(good[:n])}, "file", int64(len(good)))
		if err == nil || !strings.HasPrefix(err.Error(), "file: ") || !strings.Contains(err.Error(), io.ErrClosedPipe.Error()) {
			t.Errorf("after %d bytes: got %v, want the reader's own error", n, err)
		}
	}
}

func TestReadIDXRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		shape := rapid.SliceOfN(rapid.IntRange(1, 5), 1, maxRank).Draw(t, "shape")
		n := 1
		for _, d := range shape {
			n *= d
		}
		want := Array{shape, rapid.SliceOfN(rapid.Uint8(), n, n).Draw(t, "data")}
		file := idx(want.Shape, want.Data...)
		if rapid.Bool().Draw(t, "gzip") {
			file = gzipped(file)
		}
		got, err := readIDX(file)
		if err != nil || !cmp.Equal(want, got) {
			t.Fatalf("got %v, %v, want %v", got, err, want)
		}
	})
}

// FuzzIDX looks for a file that panics, whose result contradicts itself, or
// whose error is not one line that names it.
func FuzzIDX(f *testing.F) {
	good := idx([]int{2, 2}, 1, 2, 3, 4)
	zipped := gzipped(good)
	for _, seed := range [][]byte{
		nil, good, zipped, good[:9], zipped[:20], idx([]int{1}, 9), idx([]int{1, 1, 2, 1}, 8, 9),
		idx([]int{0, 1}), idx([]int{1 << 31, 1 << 31, 4}), gzipped(idx([]int{60000, 28, 28}, 1)),
		append(bytes.Clone(zipped), zipped...),
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, file []byte) {
		got, err := readIDX(file)
		if err != nil {
			checkOneLine(t, err)
			return
		}
		if len(got.Shape) < 1 || len(got.Shape) > maxRank || !ShapeHolds(got.Shape, len(got.Data)) {
			t.Errorf("shape %v with %d elements", got.Shape, len(got.Data))
		}
		again, err := readIDX(idx(got.Shape, got.Data...))
		if err != nil || !cmp.Equal(again, got) {
			t.Errorf("written again it reads %v, %v instead of %v", again, err, got)
		}
	})
}
