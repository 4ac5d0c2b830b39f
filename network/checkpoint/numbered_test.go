package checkpoint

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"clgrad/network/must"
)

// after is the toy as it stands after some iterations.
func after(t *testing.T, iterations int) Model {
	m := toy(t)
	m.Run.Iterations = iterations
	m.Parameters[0] = float64(float32(iterations))
	return m
}

func saved(t *testing.T, run string, keep int, iterations ...int) {
	t.Helper()
	for _, n := range iterations {
		file, err := SaveNumbered(run, after(t, n), keep)
		if want := filepath.Join(run, Folder, fmt.Sprintf("%010d.safetensors", n)); err != nil || file != want {
			t.Fatalf("saved as %s, %v; want %s", file, err, want)
		}
	}
}

func folder(t *testing.T, run string) (names []string) {
	t.Helper()
	entries, err := os.ReadDir(filepath.Join(run, Folder))
	must.OK(t, err)
	for _, e := range entries {
		names = append(names, strings.TrimSuffix(strings.TrimLeft(e.Name(), "0"), ".safetensors"))
	}
	return names
}

// The newest are kept, by their numbers and not as text, and what is no
// checkpoint stays.
func TestKeep(t *testing.T) {
	run := t.TempDir()
	saved(t, run, 3, 2, 5)
	for _, name := range []string{"notes.txt", "7.safetensors"} {
		must.Write(t, "", run, Folder, name)
	}
	saved(t, run, 3, 9_999_999_999, 10_000_000_000)
	if d := cmp.Diff([]string{"5", "10000000000", "7", "9999999999", "notes.txt"}, folder(t, run)); d != "" {
		t.Error(d)
	}
	m, file, damaged, err := Newest(run)
	if err != nil || m.Run.Iterations != 10_000_000_000 || filepath.Base(file) != "10000000000.safetensors" || damaged != nil {
		t.Errorf("%+v, %s, %v, %v", m.Run, file, damaged, err)
	}
	if d := cmp.Diff(after(t, 10_000_000_000), m); d != "" {
		t.Error(d)
	}
}

// A checkpoint that cannot be written costs none of those that are there.
func TestKeepOnFailure(t *testing.T) {
	run := t.TempDir()
	saved(t, run, 1, 4)
	bad := after(t, 5)
	bad.Parameters[0] = 0.1 // no float32
	if _, err := SaveNumbered(run, bad, 1); err == nil {
		t.Error("no error")
	}
	if d := cmp.Diff([]string{"4"}, folder(t, run)); d != "" {
		t.Error(d)
	}
	if _, err := SaveNumbered(filepath.Join(run, "gone"), after(t, 1), 1); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("got %v", err)
	}
	bad.Run = nil
	if _, err := SaveNumbered(run, bad, 1); err == nil {
		t.Error("no error without a run")
	}
}

// Damaged checkpoints are passed over, and said what is wrong with them.
func TestNewest(t *testing.T) {
	for _, c := range []struct {
		name   string
		damage func(t *testing.T, file string)
		want   string
	}{
		{"cut", func(t *testing.T, file string) {
			must.OK(t, os.Truncate(file, 300))
		}, "announces a header of"},
		{"flipped bit", func(t *testing.T, file string) {
			content, err := os.ReadFile(file)
			must.OK(t, err)
			content[len(content)-30] ^= 1
			must.Write(t, content, file)
		}, "has SHA-256 "},
		{"empty", func(t *testing.T, file string) {
			must.Write(t, "", file)
		}, "has 0 bytes"},
		{"other iteration", func(t *testing.T, file string) {
			must.OK(t, Save(file, after(t, 2)))
		}, "is of iteration 2"},
		{"no run", func(t *testing.T, file string) {
			m := toy(t)
			m.Run = nil
			must.OK(t, Save(file, m))
		}, "does not say how it was trained"},
	} {
		run := t.TempDir()
		saved(t, run, 3, 1, 2, 3)
		newest := filepath.Join(run, Folder, "0000000003.safetensors")
		c.damage(t, newest)
		m, file, damaged, err := Newest(run)
		if err != nil || m.Run.Iterations != 2 || !strings.HasSuffix(file, "0000000002.safetensors") {
			t.Errorf("%s: %s, %v", c.name, file, err)
		}
		if len(damaged) != 1 || !strings.HasPrefix(damaged[0].Error(), newest+": "+c.want) {
			t.Errorf("%s: damaged %v, want %s", c.name, damaged, c.want)
		}
		// A directory without a finished model stands for its newest checkpoint.
		if m, _, _, err := LoadRun(run); err != nil || m.Run.Iterations != 2 {
			t.Errorf("%s: %v", c.name, err)
		}
		// It does not count among those that are kept, and is replaced in time.
		saved(t, run, 1, 2)
		if d := cmp.Diff([]string{"2", "3"}, folder(t, run)); d != "" {
			t.Errorf("%s: %s", c.name, d)
		}
		saved(t, run, 1, 3)
		if m, _, damaged, err := Newest(run); err != nil || damaged != nil || m.Run.Iterations != 3 {
			t.Errorf("%s: %v, %v", c.name, damaged, err)
		}
		if d := cmp.Diff([]string{"3"}, folder(t, run)); d != "" {
			t.Errorf("%s: %s", c.name, d)
		}
	}
	if _, _, _, err := Newest(t.TempDir()); !errors.Is(err, ErrNone) {
		t.Errorf("got %v", err)
	}
}

// What a killed write left is removed with the checkpoints, what is not theirs
// stays.
func TestClear(t *testing.T) {
	run := t.TempDir()
	saved(t, run, 3, 0, 1)
	must.Write(t, "half", run, Folder, ".0000000002.safetensors123")
	notes := filepath.Join(run, Folder, "notes.txt")
	must.Write(t, "", notes)
	must.OK(t, Clear(run))
	if d := cmp.Diff([]string{"notes.txt"}, folder(t, run)); d != "" {
		t.Error(d)
	}
	must.OK(t, errors.Join(os.Remove(notes), Clear(run)))
	if _, err := os.Stat(filepath.Dir(notes)); !os.IsNotExist(err) {
		t.Errorf("the folder is left: %v", err)
	}
	if err := Clear(filepath.Join(run, "gone")); err != nil {
		t.Error(err)
	}
}
