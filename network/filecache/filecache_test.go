package filecache

import (
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"clgrad/network"
	"clgrad/network/must"
)

// put keeps a file.
func put(t *testing.T, d Dir, key, content string) network.File {
	t.Helper()
	n, err := d.Create(key)
	must.OK(t, err)
	defer n.Close()
	if _, err := io.WriteString(n, content); err != nil {
		t.Fatal(err)
	}
	f, err := n.Commit()
	must.OK(t, err)
	t.Cleanup(func() { f.Close() })
	return f
}

func names(t *testing.T, d Dir) string {
	t.Helper()
	entries, err := os.ReadDir(d.Path)
	must.OK(t, err)
	var all []string
	for _, e := range entries {
		all = append(all, e.Name())
	}
	return strings.Join(all, " ")
}

// What was committed is found under its key, what was given up leaves nothing.
func TestFiles(t *testing.T) {
	d := Dir{Path: filepath.Join(t.TempDir(), "new", "dir"), Limit: 100}
	if f, err := d.Open("a"); f != nil || err != nil {
		t.Fatalf("before: %v, %v", f, err)
	}
	put(t, d, "a", "content")
	f, err := d.Open("a")
	if err != nil || f == nil {
		t.Fatal(f, err)
	}
	defer f.Close()
	content := make([]byte, f.Size())
	if _, err := f.ReadAt(content, 0); err != nil || string(content) != "content" {
		t.Errorf("%q, %v", content, err)
	}
	n, err := d.Create("b")
	must.OK(t, err)
	if err := n.Close(); err != nil {
		t.Error(err)
	}
	if got := names(t, d); got != "a.blocks" {
		t.Errorf("files %s", got)
	}
}

// The oldest go where all are too many, and what a process left that ended; the new one may be
// larger than the limit.
func TestLimit(t *testing.T) {
	d := Dir{Path: t.TempDir(), Limit: 25}
	for i, key := range []string{"a", "b", "c"} {
		put(t, d, key, strings.Repeat("x", 10))
		then := time.Now().Add(time.Duration(i-10) * time.Hour)
		must.OK(t, os.Chtimes(d.name(key), then, then))
	}
	left := filepath.Join(d.Path, "e.1.part")
	must.Write(t, "", left)
	then := time.Now().Add(-2 * staleAfter)
	must.OK(t, os.Chtimes(left, then, then))
	put(t, d, "d", strings.Repeat("x", 1000))
	if got := names(t, d); got != "b.blocks c.blocks d.blocks" {
		t.Errorf("files %s", got)
	}
}

// A file that was cut or written to is said to be changed; one that took its place is not
// removed.
func TestCheck(t *testing.T) {
	d := Dir{Path: t.TempDir(), Limit: 100}
	f := put(t, d, "a", "content")
	if err := f.Check(); err != nil {
		t.Error(err)
	}
	must.OK(t, os.Truncate(d.name("a"), 3))
	if err := f.Check(); err == nil || !strings.Contains(err.Error(), "a.blocks: was changed") {
		t.Errorf("cut: %v", err)
	}
	other := put(t, d, "a", "another")
	if err := f.Remove(); err != nil {
		t.Error(err)
	}
	if got := names(t, d); got != "a.blocks" {
		t.Errorf("files %q", got)
	}
	if err := other.Remove(); err != nil {
		t.Error(err)
	}
	if got := names(t, d); got != "" {
		t.Errorf("files %q", got)
	}
}
