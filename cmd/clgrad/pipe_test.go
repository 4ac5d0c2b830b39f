//go:build unix

package main

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"clgrad/network/must"
)

// A model that was trained on what came through a pipe says that eval needs its data. It
// would wait for another writer for ever.
func TestEvalPipe(t *testing.T) {
	dir := t.TempDir()
	pipe, run := filepath.Join(dir, "pipe"), filepath.Join(dir, "run")
	must.OK(t, syscall.Mkfifo(pipe, 0o600))
	written := make(chan error, 1)
	go func() { written <- os.WriteFile(pipe, []byte("label,a\n0,1\n1,2\n"), 0) }()
	good(t, "train", "--data", pipe, "--layers", "none", "--iterations", "2", "--backend", "cpu", "--out", run)
	must.OK(t, <-written)
	want := run + " was trained on " + pipe + ", of which no copy is kept: give --data\n"
	if status, _, err := clgrad(t, "eval", run, "--backend", "cpu"); status != failure || !strings.HasSuffix(err, want) {
		t.Errorf("status %d, %q, want %q", status, err, want)
	}
}
