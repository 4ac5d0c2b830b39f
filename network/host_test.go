package network

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	"clgrad/network/must"
)

// The limits are those of the process's own groups and all above them, of both versions of
// control groups; what is no limit is left out.
func TestGroupLimits(t *testing.T) {
	root := t.TempDir()
	write := func(name, text string) {
		t.Helper()
		path := filepath.Join(root, name)
		must.OK(t, os.MkdirAll(filepath.Dir(path), 0o777))
		must.Write(t, text, path)
	}
	write("own", "4:memory:/a/b\n3:cpuset:/c\n0::/x/y\n")
	write("memory/memory.limit_in_bytes", "9223372036854771712\n")
	write("memory/a/memory.limit_in_bytes", "3000\n")
	write("memory/a/b/memory.limit_in_bytes", "5000\n")
	write("x/memory.max", "7000\n")
	write("x/y/memory.max", "max\n")
	write("c/memory.max", "1\n")
	if got, want := groupLimits(filepath.Join(root, "own"), root), []int64{5000, 3000, 7000}; !slices.Equal(got, want) {
		t.Errorf("limits %v, want %v", got, want)
	}
	if got := groupLimits(filepath.Join(root, "none"), root); got != nil {
		t.Errorf("without control groups: %v", got)
	}
}
