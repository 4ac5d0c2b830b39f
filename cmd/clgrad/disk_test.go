//go:build linux

package main

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"clgrad/network/checkpoint"
	"clgrad/network/must"
)

// small mounts a file system of the given size in memory, or says why it may not.
func small(t *testing.T, size string) (dir string, err error) {
	t.Helper()
	dir = t.TempDir()
	if err := syscall.Mount("clgrad", dir, "tmpfs", 0, "size="+size); err != nil {
		return "", err
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, syscall.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	return dir, nil
}

// longRun returns the command line of a run whose files grow at every iteration,
// without its directory.
func longRun(t *testing.T) []string {
	return []string{"train", "--data", write(t, "flowers.csv", flowers(1, 20)), "--label", "species", "--layers", "40,20", "--iterations", "300", "--log-every", "1",
		"--checkpoint-every", "20", "--keep-checkpoints", "1000", "--backend", "cpu", "--out"}
}

// failed reports a process that did not end in status 1 and a line with a text
// about a file of its run.
func failed(t *testing.T, p *process, run, want string) {
	t.Helper()
	status := p.end(t)
	all := strings.Split(strings.TrimSpace(p.err.String()), "\n")
	if last := all[len(all)-1]; status != failure || !strings.Contains(last, want) || !strings.Contains(last, run) {
		t.Errorf("status %d, %s; want a line with %s and %q", status, p.err.String(), run, want)
	}
}

// kept returns after how many iterations the newest checkpoint stands, of which
// none may be damaged.
func kept(t *testing.T, run string) int {
	t.Helper()
	m, _, damaged, err := checkpoint.Newest(run)
	if err != nil || damaged != nil {
		t.Fatalf("%v, %v", damaged, err)
	}
	return m.Run.Iterations
}

// A full disk is said to be full, costs no checkpoint that was there, and with
// room again the run ends as it would have.
func TestFullDisk(t *testing.T) {
	args := longRun(t)
	whole := filepath.Join(t.TempDir(), "whole")
	good(t, append(args, whole)...)
	want := untimed(t, whole)
	for _, c := range []struct {
		name, want string
		run        func(t *testing.T) (p *process, run string, room func())
	}{
		{"file system", "no space left on device", func(t *testing.T) (*process, string, func()) {
			dir, err := small(t, "120k")
			if err != nil {
				t.Skipf("a file system cannot be mounted here (%v): the file-size limit stands in for it", err)
			}
			run := filepath.Join(dir, "run")
			return start(t, append(args, run)...), run, func() {
				must.OK(t, syscall.Mount("clgrad", dir, "tmpfs", syscall.MS_REMOUNT, "size=64m"))
			}
		}},
		{"file-size limit", "file too large", func(t *testing.T) (*process, string, func()) {
			run := filepath.Join(t.TempDir(), "run")
			return startWith(t, []string{"sh", "-c", `ulimit -f 20; exec "$@"`, "sh"}, append(args, run)...), run, func() {}
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			p, run, room := c.run(t)
			failed(t, p, run, c.want)
			if n := kept(t, run); n < 20 || n >= 300 {
				t.Errorf("the newest checkpoint is of iteration %d", n)
			}
			if there(run, checkpoint.Folder, ".*")() {
				t.Error("something half written is left")
			}
			room()
			good(t, "train", "--resume", run)
			sameRun(t, c.name, want, run)
		})
	}
}

// Where nothing can be written a run says so and changes nothing.
func TestReadOnly(t *testing.T) {
	args := longRun(t)
	run := filepath.Join(t.TempDir(), "run")
	mode := func(m os.FileMode) {
		must.OK(t, os.Chmod(run, m))
		must.OK(t, os.Chmod(filepath.Join(run, checkpoint.Folder), m))
	}
	readOnly := func() { mode(0o555) }
	writable := func() { mode(0o777) }
	want := "permission denied"
	if os.Getuid() == 0 { // for whom permissions are none
		dir, err := small(t, "64m")
		if err != nil {
			t.Skipf("permissions do not hold for root, and a file system cannot be mounted here: %v", err)
		}
		run = filepath.Join(dir, "run")
		readOnly = func() {
			must.OK(t, syscall.Mount("clgrad", dir, "tmpfs", syscall.MS_REMOUNT|syscall.MS_RDONLY, ""))
		}
		writable = func() { must.OK(t, syscall.Mount("clgrad", dir, "tmpfs", syscall.MS_REMOUNT, "")) }
		want = "read-only file system"
	}
	p := start(t, append(args, run)...)
	p.until(there(run, checkpoint.Folder, "0000000060.safetensors"))
	p.Process.Kill()
	p.end(t)
	n := kept(t, run)
	readOnly()
	t.Cleanup(writable)
	failed(t, start(t, "train", "--resume", run), run, want)
	failed(t, start(t, append(args, filepath.Join(run, "other"))...), run, want)
	if m := kept(t, run); m != n {
		t.Errorf("the newest checkpoint was of iteration %d, it is of %d", n, m)
	}
	writable()
	good(t, "train", "--resume", run)
	whole := filepath.Join(t.TempDir(), "whole")
	good(t, append(args, whole)...)
	sameRun(t, "after it was read-only", untimed(t, whole), run)
}

// A directory that vanishes ends the run in one line, and is not made anew.
func TestVanished(t *testing.T) {
	args := longRun(t)
	run := filepath.Join(t.TempDir(), "run")
	p := start(t, append(args, run)...)
	p.until(there(run, checkpoint.Folder, "0000000020.safetensors"))
	must.OK(t, os.Rename(run, run+"-elsewhere"))
	failed(t, p, run, "no such file or directory")
	if there(run)() {
		t.Error("the directory is there again")
	}
	// Where it went it is whole.
	good(t, "train", "--resume", run+"-elsewhere")
	whole := filepath.Join(t.TempDir(), "whole")
	good(t, append(args, whole)...)
	sameRun(t, "where it went", untimed(t, whole), run+"-elsewhere")
}
