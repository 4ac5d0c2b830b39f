package driver

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"clgrad/network/must"
)

// register makes a folder with a file for each library and points the loader to
// it.
func register(t *testing.T, libraries ...string) {
	t.Helper()
	dir := t.TempDir()
	for i, l := range libraries {
		must.Write(t, l+"\n", dir, string(rune('a'+i))+".icd")
	}
	t.Setenv("OCL_ICD_VENDORS", dir)
	t.Setenv("OCL_ICD_FILENAMES", "")
}

func TestInstalled(t *testing.T) {
	register(t, "libpocl.so.2.10.0", "/opt/libother.so.1")
	dir := os.Getenv("OCL_ICD_VENDORS")
	must.Write(t, "libnone.so", dir, "no driver.txt")
	for place, want := range map[string]string{
		dir:                             "libpocl.so.2.10.0 /opt/libother.so.1",
		filepath.Join(dir, "b.icd"):     "/opt/libother.so.1",
		"libone.so":                     "libone.so",
		filepath.Join(dir, "no folder"): filepath.Join(dir, "no folder"),
	} {
		t.Setenv("OCL_ICD_VENDORS", place)
		if got := strings.Join(Installed(), " "); got != want {
			t.Errorf("%s: %s", place, got)
		}
	}
	t.Setenv("OCL_ICD_FILENAMES", "/a.so")
	t.Setenv("OCL_ICD_VENDORS", "libone.so")
	if got := strings.Join(Installed(), " "); got != "/a.so libone.so" {
		t.Errorf("with OCL_ICD_FILENAMES: %s", got)
	}
}

// What is known to make PoCL abort is a problem in one line, and where PoCL is
// not installed nothing is.
func TestCheck(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("PoCL's rules on Linux")
	}
	bin := t.TempDir()
	must.OK(t, os.WriteFile(filepath.Join(bin, "ld"), []byte("#!/bin/sh\n"), 0o777))
	file := filepath.Join(bin, "ld")
	good := filepath.Join(t.TempDir(), "deep", "cache")
	for _, c := range []struct {
		name, cache, xdg, path string
		want                   string
	}{
		{name: "good", cache: good, path: bin},
		{name: "empty", cache: "", path: bin, want: "POCL_CACHE_DIR is set and empty: unset it"},
		{name: "under a file", cache: filepath.Join(file, "x"), path: bin, want: filepath.Join(file, "x") + ", which cannot be written (not a directory): set POCL_CACHE_DIR"},
		{name: "a file", cache: file, path: bin, want: file + ", which cannot be written"},
		{name: "default", cache: "unset", xdg: t.TempDir(), path: bin},
		{name: "default under a file", cache: "unset", xdg: file, path: bin, want: filepath.Join(file, "pocl", "kcache") + ", which cannot be written"},
		{name: "no linker", cache: good, path: good, want: "the linker ld is expected on the PATH"},
	} {
		if c.name == "no linker" {
			for _, pattern := range []string{"/usr/lib/llvm-*/bin/ld", "/usr/*-linux-*/bin/ld"} {
				if found, _ := filepath.Glob(pattern); len(found) > 0 {
					t.Logf("there is %s: PoCL finds it whatever the PATH is", found[0])
					c.want = ""
				}
			}
		}
		t.Run(c.name, func(t *testing.T) {
			t.Setenv("POCL_CACHE_DIR", c.cache)
			if c.cache == "unset" {
				os.Unsetenv("POCL_CACHE_DIR")
			}
			t.Setenv("XDG_CACHE_HOME", c.xdg)
			t.Setenv("PATH", c.path)
			t.Setenv("POCL_PATH_LD", "")
			all, err := Check([]string{"libpocl.so.2"})
			if c.want == "" && (err != nil || all) || c.want != "" && (err == nil || !all || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "\n")) {
				t.Errorf("%v, %v where %q is expected", all, err, c.want)
			}
			if all, again := Check([]string{"libpocl.so.2", "libother.so"}); all || (again == nil) != (err == nil) {
				t.Errorf("beside another driver: %v, %v", all, again)
			}
			if all, err := Check([]string{"libother.so"}); all || err != nil {
				t.Errorf("without PoCL: %v, %v", all, err)
			}
		})
	}
	if left, _ := filepath.Glob(filepath.Join(good, "*")); len(left) > 0 {
		t.Errorf("left: %v", left)
	}
}

// Other drivers and other settings have other passes.
func TestFingerprint(t *testing.T) {
	t.Setenv("POCL_DEVICES", "")
	first := Fingerprint([]string{"a", "b"})
	if first != Fingerprint([]string{"a", "b"}) || first == Fingerprint([]string{"ab"}) {
		t.Error("it is not of the drivers")
	}
	t.Setenv("POCL_DEVICES", "basic")
	if first == Fingerprint([]string{"a", "b"}) {
		t.Error("it is not of the settings")
	}
}

// die is what a death of the process leaves: its files, without its lock.
func die(t *testing.T, m *Mark) {
	t.Helper()
	must.OK(t, m.lock.Unlock())
}

func enter(t *testing.T, dir string) *Mark {
	t.Helper()
	m, err := Enter(dir)
	must.OK(t, err)
	return m
}

// What a process that died was using is suspect until it was tried; what one that
// lives or left is using is not.
func TestMarks(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "[new]")
	lives, left, died := enter(t, dir), enter(t, dir), enter(t, dir)
	for name, m := range map[string]*Mark{"a": lives, "b": left, "c": died} {
		for range 2 {
			must.OK(t, m.Use(name))
		}
	}
	must.OK(t, died.Use("list"))
	must.OK(t, left.Leave())
	die(t, died)
	for range 2 {
		m := enter(t, dir)
		for name, want := range map[string]bool{"a": false, "b": false, "c": true, "list": true} {
			if m.Suspect(name) != want {
				t.Errorf("%s: suspect is %v", name, !want)
			}
		}
		must.OK(t, m.Leave())
	}
	must.OK(t, lives.Clear("c"))
	if err := lives.Clear("c"); err != nil || lives.Suspect("c") || !lives.Suspect("list") {
		t.Errorf("cleared: %v", err)
	}
	must.OK(t, errors.Join(lives.Clear("list"), lives.Leave()))
	if all, err := os.ReadDir(dir); err != nil || len(all) > 0 {
		t.Errorf("left: %v, %v", all, err)
	}
}

// A process that is about to begin is let alone, and one that died as it began is
// cleaned up.
func TestMarkBegins(t *testing.T) {
	dir := t.TempDir()
	begins := enter(t, dir)
	die(t, begins)
	file := begins.path(running)
	enter(t, dir)
	if _, err := os.Stat(file); err != nil {
		t.Error(err)
	}
	old := time.Now().Add(-time.Hour)
	must.OK(t, os.Chtimes(file, old, old))
	enter(t, dir)
	if _, err := os.Stat(file); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("%v", err)
	}
}

// A process that dies, fails or hangs costs one line with the reason.
func TestRun(t *testing.T) {
	sh, err := exec.LookPath("sh")
	if err != nil {
		t.Skip(err)
	}
	for script, want := range map[string]string{
		"echo noise; echo reply":                             "reply",
		"echo first; echo 'lib.c:5: wrong.' >&2; kill -6 $$": "ended the process: lib.c:5: wrong",
		"kill -9 $$": "ended the process: signal: killed",
		"exit 3":     "ended the process: exit status 3",
		"head -c 3000000 /dev/zero >&2; echo >&2; echo ouch >&2; exit 1": "ended the process: ouch",
		"exec sleep 60": "did not come back within 1s",
	} {
		line, err := Run(t.Context(), exec.Command(sh, "-c", script), time.Second)
		got := string(line)
		if err != nil {
			got = err.Error()
		}
		if strings.Contains(script, "echo first") && string(line) != "first" {
			t.Errorf("%s: last line %q", script, line)
		}
		if got != want || (err != nil) != errors.Is(err, ErrDied) {
			t.Errorf("%s: %q, %v where %q is expected", script, line, err, want)
		}
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	stopped := errors.New("stopped")
	cancel(stopped)
	if _, err := Run(ctx, exec.Command(sh, "-c", "exec sleep 60"), time.Minute); !errors.Is(err, stopped) || errors.Is(err, ErrDied) {
		t.Errorf("cancelled: %v", err)
	}
	if _, err := Run(t.Context(), exec.Command(filepath.Join(t.TempDir(), "none")), time.Minute); err == nil || errors.Is(err, ErrDied) {
		t.Errorf("no such program: %v", err)
	}
}

func TestReason(t *testing.T) {
	for notes, want := range map[string]string{
		"": "end",
		"3 warnings generated.\nx: Assertion `a' failed.\nSIGABRT: abort\nPC=0x7f\n\ngoroutine 1": "x: Assertion `a' failed",
		"SIGSEGV: segmentation violation\nPC=0":                                                   "SIGSEGV: segmentation violation",
		"error: Executable \"ld\" doesn't exist!\nerror: linker command failed with exit code 1 (use -v)\n1 warning generated.\nFinal linking of kernel x failed.\n": `error: Executable "ld" doesn't exist!`,
		"dlopen failed\nnote: missing symbols\n": "dlopen failed",
		"\x1b[31mred\t!":                         " [31mred !",
		strings.Repeat("é", 400):                 strings.Repeat("é", 300) + "…",
	} {
		if got := reason(notes, "end"); got != want {
			t.Errorf("%q: %q where %q is expected", notes, got, want)
		}
	}
}
