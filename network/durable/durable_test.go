package durable

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"clgrad/network/must"
)

// Directories are made with those above them, whether some are there or not; a file in
// their place is an error.
func TestMkdirAll(t *testing.T) {
	base := t.TempDir()
	deep := filepath.Join(base, "a", "b", "c")
	for _, dir := range []string{deep + "/", deep, filepath.Join(base, "a", "other"), base, "."} {
		must.OK(t, MkdirAll(dir))
		if info, err := os.Stat(dir); err != nil || !info.IsDir() {
			t.Errorf("%s: %v, %v", dir, info, err)
		}
	}
	file := filepath.Join(base, "file")
	must.OK(t, WriteFile(file, nil))
	for _, dir := range []string{file, filepath.Join(file, "below")} {
		if err := MkdirAll(dir); err == nil || !strings.Contains(err.Error(), file) {
			t.Errorf("%s: %v", dir, err)
		}
	}
}

func names(t *testing.T, dir string) (all []string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	must.OK(t, err)
	for _, e := range entries {
		all = append(all, e.Name())
	}
	return all
}

// A file is replaced whole, or is what it was; nothing else is left.
func TestWrite(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	for _, content := range []string{"first", "the second", ""} {
		must.OK(t, WriteFile(file, []byte(content)))
		if got, err := os.ReadFile(file); err != nil || string(got) != content {
			t.Errorf("%q, %v where %q was written", got, err, content)
		}
	}
	err := Write(file, func(w io.Writer) error {
		io.WriteString(w, "half of")
		return errors.New("lost")
	})
	if err == nil || err.Error() != file+": lost" {
		t.Errorf("got %v", err)
	}
	if got, err := os.ReadFile(file); err != nil || len(got) > 0 {
		t.Errorf("%q, %v: what was there is expected", got, err)
	}
	if d := cmp.Diff([]string{"file"}, names(t, dir)); d != "" {
		t.Error(d)
	}
}

// Errors are one line about the file, not about its stand-in.
func TestWriteErrors(t *testing.T) {
	dir := t.TempDir()
	if err := WriteFile(dir, nil); err == nil || err.Error() != dir+": is a directory where the name of a file is expected" {
		t.Errorf("got %v", err)
	}
	gone := filepath.Join(dir, "gone", "file")
	if err := WriteFile(gone, nil); !errors.Is(err, os.ErrNotExist) || !strings.HasPrefix(err.Error(), gone+": open: ") {
		t.Errorf("got %v", err)
	}
}

// Sweep takes the stand-ins of the files named and nothing else.
func TestSweep(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"a.txt", ".a.txt1", ".a.txt87123", ".a.txt", ".b.txt5", ".c.bin7", ".c.binary", "a.txt5"} {
		must.Write(t, "", dir, name)
	}
	must.OK(t, Sweep(dir, "a.txt", "*.bin"))
	if d := cmp.Diff([]string{".a.txt", ".b.txt5", ".c.binary", "a.txt", "a.txt5"}, names(t, dir)); d != "" {
		t.Error(d)
	}
	if err := Sweep(filepath.Join(dir, "gone"), "*"); err != nil {
		t.Error(err)
	}
}
