// Package must ends a test at an error that it is not about.
package must

import (
	"os"
	"path/filepath"
)

// T is what is needed of a *testing.T, *testing.B, *testing.F or *rapid.T.
type T interface {
	Helper()
	Fatal(args ...any)
}

// OK ends the test if there is an error.
func OK(t T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// Read returns what a file holds, whose path is joined of parts.
func Read(t T, path ...string) string {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(path...))
	OK(t, err)
	return string(content)
}

// Write writes a file, whose path is joined of parts, and the folders above it that are
// missing. It returns the path.
func Write[C string | []byte](t T, content C, path ...string) string {
	t.Helper()
	name := filepath.Join(path...)
	OK(t, os.MkdirAll(filepath.Dir(name), 0o777))
	OK(t, os.WriteFile(name, []byte(content), 0o666))
	return name
}
