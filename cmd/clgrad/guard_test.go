package main

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"clgrad/cmd/clgrad/store"
	"clgrad/gpu"
)

// scripted is a guard whose child is a shell script, and the number of times that
// it is started.
func scripted(t *testing.T, script string) (*guard, *int) {
	t.Helper()
	sh, err := exec.LookPath("sh")
	if err != nil {
		t.Skip(err)
	}
	started := 0
	g := &guard{child: func() (*exec.Cmd, error) {
		started++
		return exec.Command(sh, "-c", script), nil
	}}
	t.Cleanup(g.leave)
	return g, &started
}

// A driver that ends the process as it lists its devices costs one line, is asked
// once a process, and again by the next one; what passes is not asked again.
func TestGuardList(t *testing.T) {
	if err := gpu.Built(); err != nil {
		t.Skip(err)
	}
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	t.Setenv("OCL_ICD_VENDORS", "libnothing.so")
	var notes bytes.Buffer
	a := &app{Context: t.Context(), err: &notes}
	for range 2 {
		g, started := scripted(t, "echo 'lib.c:7: broken.' >&2; kill -6 $$")
		for range 2 {
			_, _, err := g.devices(a)
			if want := "no OpenCL device: asked for its devices, a driver (libnothing.so) ended the process: lib.c:7: broken; remove the driver, or use --backend cpu"; !errors.Is(err, gpu.ErrNoDevice) || err.Error() != want {
				t.Errorf("got  %v\nwant %s", err, want)
			}
		}
		if *started != 1 {
			t.Errorf("started %d times", *started)
		}
		g.leave()
	}
	for i, want := range []int{1, 0} {
		g, started := scripted(t, "echo noise; echo '{}'")
		g.devices(a) // there are none
		if *started != want {
			t.Errorf("process %d: started %d times where %d are expected", i, *started, want)
		}
		g.leave()
	}
	if notes.Len() > 0 {
		t.Errorf("said: %s", notes.String())
	}
}

// A device is tested until it passes, for each request and after a process died of
// it; what its test added is kept.
func TestGuardDevice(t *testing.T) {
	if err := gpu.Built(); err != nil {
		t.Skip(err)
	}
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	t.Setenv("OCL_ICD_VENDORS", "libnothing.so")
	t.Setenv("CUDA_CACHE_PATH", "/kernels")
	a := &app{Context: t.Context(), err: &bytes.Buffer{}}
	d := gpu.Device{Platform: 3, Index: 1, Name: "Fast", PlatformName: "NVIDIA CUDA", Driver: "9"}
	key := strings.Repeat("ab", 32)
	dies := func(*guard) {
		// What is left of a process that died.
		if err := os.WriteFile(filepath.Join(os.Getenv("XDG_CACHE_HOME"), "clgrad", "drivers", store.Name(d)+".suspect"), nil, 0o666); err != nil {
			t.Fatal(err)
		}
	}
	for i, c := range []struct {
		script  string
		request testRequest
		before  func(*guard)
		started int
		want    string
	}{
		{script: "kill -9 $$", started: 1, want: "opencl:3.1: driver 9 (NVIDIA CUDA) of device Fast ended the process: signal: killed; remove its kernel cache /kernels, or use --backend cpu"},
		{script: `echo '{"error":"no compiler"}'`, started: 1, want: "no compiler"},
		{script: "echo noise", started: 1, want: `clgrad driver-test: a reply is expected where there is "noise": `},
		{script: `echo '{"passed":["` + key + `"]}'`, started: 1},
		{script: "kill -9 $$"},
		{script: "kill -9 $$", request: testRequest{Precision: "bf16"}, started: 1, want: "ended the process"},
		{script: "kill -9 $$", before: dies, started: 1, want: "ended the process"},
		{script: "kill -9 $$", started: 1, want: "ended the process"},
		{script: "echo '{}'", started: 1},
		{script: "kill -9 $$"},
	} {
		g, started := scripted(t, "case $0 in *'\"device\":\"\"'*) echo '{}';; *) "+c.script+";; esac")
		g.devices(a) // lists without a word, the first time by a child
		if c.before != nil {
			c.before(g)
		}
		*started = 0
		err := g.trust(a, d, c.request)
		if *started != c.started || (err != nil) != (c.want != "") || err != nil && !strings.HasPrefix(err.Error(), c.want) && !strings.Contains(err.Error(), " "+c.want) {
			t.Errorf("case %d: started %d times, error %v; %d times and %q are expected", i, *started, err, c.started, c.want)
		}
		if passed := g.store(a, d).Passed(key); passed != (i > 2) {
			t.Errorf("case %d: what the test added has passed: %v", i, passed)
		}
		g.leave()
	}
}
