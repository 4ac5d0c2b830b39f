//go:build unix

package dataset

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"clgrad/network/must"
)

// Opening a pipe for reading would wait for a writer for ever.
func TestLoadDirPipe(t *testing.T) {
	files := toyDir()
	dir := writeDir(t, files)
	path := filepath.Join(dir, partNames[testImages])
	must.OK(t, os.Remove(path))
	if err := syscall.Mkfifo(path, 0o644); err != nil {
		t.Skip(err)
	}
	_, err := Load(context.Background(), dir, Options{})
	if err == nil || !strings.HasPrefix(err.Error(), path+": is no regular file") {
		t.Errorf("got %v, want an error that names the pipe", err)
	}
}
