package dataset

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"clgrad/network/must"
)

// images returns the set of a directory of small images.
func images(t *testing.T) Set {
	t.Helper()
	var pixels []byte
	for i := range 5 * 4 * 3 {
		pixels = append(pixels, byte(37*i%256)&^byte(i%3-1))
	}
	dir := writeDir(t, map[string][]byte{
		partNames[trainImages]: idx([]int{5, 4, 3}, pixels...), partNames[trainLabels]: idx([]int{5}, 0, 1, 2, 1, 0),
		partNames[testImages]: idx([]int{1, 4, 3}, pixels[:12]...), partNames[testLabels]: idx([]int{1}, 2),
	})
	s, err := Load(context.Background(), dir, Options{})
	must.OK(t, err)
	return s
}

// The files are the same each time and for ever; the first copy is the set, and labels and the test
// set stay.
func TestEnlarge(t *testing.T) {
	s := images(t)
	for range 2 {
		dir := filepath.Join(t.TempDir(), "large")
		must.OK(t, s.Enlarge(t.Context(), dir, 4, 7))
		got, err := Load(context.Background(), dir, Options{})
		must.OK(t, err)
		if got.Train.Rows != 20 || !bytes.Equal(got.Train.Bytes[:60], s.Train.Bytes) || bytes.Equal(got.Train.Bytes[60:120], s.Train.Bytes) {
			t.Errorf("%d rows, %v", got.Train.Rows, got.Train.Bytes)
		}
		for i, y := range got.Train.Labels {
			if y != s.Train.Labels[i%5] {
				t.Errorf("row %d has label %d", i, y)
			}
		}
		if !bytes.Equal(got.Test.Bytes, s.Test.Bytes) || got.Test.Labels[0] != 2 {
			t.Errorf("test set %v, %v", got.Test.Bytes, got.Test.Labels)
		}
		const want = "6a061e1057b3877f"
		if sum := fmt.Sprintf("%x", sha256.Sum256(got.Train.Bytes))[:16]; sum != want {
			t.Errorf("the images have SHA-256 %s…, want %s", sum, want)
		}
	}
	for times, want := range map[int]string{0: "at least 1", 1 << 31: "more than an IDX file can hold"} {
		if err := s.Enlarge(t.Context(), t.TempDir(), times, 1); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%d times: %v", times, err)
		}
	}
	// What is there stays, and what is not whole goes.
	dir := t.TempDir()
	path := filepath.Join(dir, partNames[testLabels])
	must.Write(t, "mine", path)
	err := s.Enlarge(t.Context(), dir, 2, 1)
	if content, _ := os.ReadFile(path); err == nil || !strings.Contains(err.Error(), "is there already") || string(content) != "mine" {
		t.Errorf("error %v, the file that was there holds %q", err, content)
	}
	stopped, stop := context.WithCancelCause(t.Context())
	stop(io.ErrClosedPipe)
	dir = t.TempDir()
	err = s.Enlarge(stopped, dir, 2, 1)
	if left, _ := os.ReadDir(dir); !errors.Is(err, io.ErrClosedPipe) || len(left) > 0 {
		t.Errorf("stopped: error %v, left %v", err, left)
	}
	s.Test.Rows = 0
	if err := s.Enlarge(t.Context(), t.TempDir(), 2, 1); err == nil || !strings.Contains(err.Error(), "has no test set") {
		t.Error(err)
	}
}

// A large raw file is mapped, with the set that reading gives, and can be transposed; one that is cut
// short while it is in use is an error that names it.
func TestMapped(t *testing.T) {
	dir := t.TempDir()
	must.OK(t, images(t).Enlarge(t.Context(), dir, 200, 3))
	read, err := Load(context.Background(), dir, Options{})
	must.OK(t, err)
	defer func(n int64) { mapFrom = n }(mapFrom)
	mapFrom = 5000
	set, err := Load(context.Background(), dir, Options{})
	must.OK(t, err)
	if set.Digest != read.Digest || !bytes.Equal(set.Train.Bytes, read.Train.Bytes) {
		t.Error("mapped, the set is another one")
	}
	turned, err := Load(context.Background(), dir, Options{Reading: Reading{Transpose: true}})
	if err != nil || turned.Train.Bytes[1] != set.Train.Bytes[3] {
		t.Errorf("a large file is not transposed: %v", err)
	}
	path := filepath.Join(dir, partNames[trainImages])
	content, err := os.ReadFile(path)
	must.OK(t, err)
	for name, c := range map[string]struct {
		content []byte
		want    string
	}{
		"cut":      {content[:len(content)-1], "has 12015 bytes where dimensions 1000×4×3 need 12016"},
		"no IDX":   {bytes.Repeat([]byte{9}, 9000), "begins with bytes 0x09 0x09 where an IDX file has 0x00 0x00"},
		"overflow": {append(idx([]int{1 << 31, 1 << 31, 1 << 31}), make([]byte, 9000)...), "are more than any file can hold"},
	} {
		dir := writeDir(t, map[string][]byte{
			partNames[trainImages]: c.content, partNames[trainLabels]: idx([]int{1}, 1), partNames[testImages]: idx([]int{1, 1}, 1), partNames[testLabels]: idx([]int{1}, 1),
		})
		if _, err := Load(context.Background(), dir, Options{}); err == nil || !strings.Contains(err.Error(), partNames[trainImages]+": ") || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// What has no room in memory is said before it is read.
func TestRoomFor(t *testing.T) {
	for name, c := range map[string]struct {
		file string
		data []byte
		want string
	}{
		"idx": {"train-images-idx3-ubyte.gz", gzipped(idx([]int{20000, 1}, make([]byte, 20000)...)), "are more than the memory has room for, 10000 bytes: a raw file of any size is mapped (gunzip)"},
		"csv": {"rows.csv", []byte("label,a,b,c\n" + strings.Repeat("1,2,3,4.5\n0,1,2,3\n", 5000)), "has more rows than the memory has room for, 10000 bytes: raw IDX files of any size are mapped"},
	} {
		dir := writeDir(t, map[string][]byte{c.file: c.data, partNames[trainLabels]: idx([]int{1}, 1), partNames[testImages]: idx([]int{1, 1}, 1), partNames[testLabels]: idx([]int{1}, 1)})
		if name == "csv" {
			dir = filepath.Join(dir, c.file)
		}
		if _, err := Load(context.Background(), dir, Options{MaxBytes: 10000}); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
