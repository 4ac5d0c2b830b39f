//go:build linux

package mapped

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"clgrad/network/must"
)

// open maps a new file of n bytes.
func open(t *testing.T, n int) (m *File, path string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "file")
	must.Write(t, bytes.Repeat([]byte{7}, n), path)
	f, err := os.Open(path)
	must.OK(t, err)
	defer f.Close()
	m, err = Map(f, path)
	must.OK(t, err)
	return m, path
}

var total int // keeps the compiler from leaving sums out

func sum(data []byte) (n int) {
	for _, v := range data {
		n += int(v)
	}
	total = n
	return n
}

// Pages are given back soon after they were touched, so a pass holds few of them.
func TestReleased(t *testing.T) {
	m, path := open(t, 64<<20)
	if got := sum(m.Data); got != 7*len(m.Data) {
		t.Fatalf("sum %d", got)
	}
	deadline := time.Now().Add(10 * time.Second)
	for resident(t, path) > 0 {
		if time.Now().After(deadline) {
			t.Fatalf("%d kB are resident long after the last touch", resident(t, path))
		}
		time.Sleep(time.Millisecond)
	}
	if got := sum(m.Data); got != 7*len(m.Data) {
		t.Fatalf("sum %d after the release", got)
	}
}

// resident returns the resident kB of the map of a file.
func resident(t *testing.T, path string) (kb int) {
	t.Helper()
	text, err := os.ReadFile("/proc/self/smaps")
	must.OK(t, err)
	inside := false
	for line := range strings.Lines(string(text)) {
		switch {
		case strings.Contains(line, "-") && strings.Contains(line, path):
			inside = true
		case inside && strings.HasPrefix(line, "Rss:"):
			for _, c := range strings.Fields(line)[1] {
				kb = 10*kb + int(c-'0')
			}
			return kb
		}
	}
	t.Fatalf("%s is not mapped", path)
	return 0
}

// A file that is cut short is an error that names it, on this goroutine and on one that it
// waits for; other panics stay.
func TestCutShort(t *testing.T) {
	m, path := open(t, 1<<20)
	must.OK(t, os.Truncate(path, 4096))
	for name, f := range map[string]func() error{
		"here": func() error { sum(m.Data); return nil },
		"copy": func() error { copy(make([]byte, len(m.Data)), m.Data); return nil },
		"goroutine": func() error {
			var wait sync.WaitGroup
			var err error
			wait.Go(func() { err = Guard(func() error { sum(m.Data); return nil }) })
			wait.Wait()
			Must(err)
			return nil
		},
	} {
		if err := Guard(f); err == nil || !strings.HasPrefix(err.Error(), path+": cannot be read at byte ") {
			t.Errorf("%s: %v", name, err)
		}
	}
	func() {
		defer func() {
			if r := recover(); r != "other" {
				t.Errorf("panic %v", r)
			}
		}()
		Guard(func() error { panic("other") })
	}()
}

// A file that was changed or replaced is said to be, and one that was not is not.
func TestChanged(t *testing.T) {
	m, path := open(t, 4096)
	if err := CheckUnchanged(m.Data[17:]); err != nil {
		t.Errorf("unchanged: %v", err)
	}
	later := time.Now().Add(time.Second)
	must.OK(t, os.Chtimes(path, later, later))
	if err := CheckUnchanged(m.Data[17:]); !errors.Is(err, ErrChanged) || !strings.HasPrefix(err.Error(), path) {
		t.Errorf("changed: %v", err)
	}
	must.OK(t, os.Remove(path))
	if err := CheckUnchanged(make([]byte, 3)); err != nil {
		t.Errorf("other memory: %v", err)
	}
	if err := CheckUnchanged(m.Data[17:]); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("removed: %v", err)
	}
}
