package main

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"clgrad/cmd/clgrad/store"
	"clgrad/gpu"
	"clgrad/network"
	"clgrad/network/must"
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

// A device is tested until it passes, and after a process died of it; what its test added is kept.
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
		must.Write(t, "", os.Getenv("XDG_CACHE_HOME"), "clgrad", "drivers", store.Name(d)+".suspect")
	}
	for i, c := range []struct {
		script  string
		before  func(*guard)
		started int
		want    string
	}{
		{script: "kill -9 $$", started: 1, want: "opencl:3.1: driver 9 (NVIDIA CUDA) of device Fast ended the process: signal: killed; remove its kernel cache /kernels, or use --backend cpu"},
		{script: `echo '{"error":"no compiler"}'`, started: 1, want: "no compiler"},
		{script: "echo noise", started: 1, want: `clgrad driver-test: a reply is expected where there is "noise": `},
		{script: `echo '{"passed":["` + key + `"]}'`, started: 1},
		{script: "kill -9 $$"},
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
		_, err := g.trust(a, d)
		if *started != c.started || (err != nil) != (c.want != "") || err != nil && !strings.HasPrefix(err.Error(), c.want) && !strings.Contains(err.Error(), " "+c.want) {
			t.Errorf("case %d: started %d times, error %v; %d times and %q are expected", i, *started, err, c.started, c.want)
		}
		if passed := g.store(a, d).Passed(key); passed != (i > 2) {
			t.Errorf("case %d: what the test added has passed: %v", i, passed)
		}
		g.leave()
	}
}

// A plan is tested in another process: what passed is kept, kernels that fail or end the
// process may give way to others, and after a process died of the device nothing of
// earlier runs counts.
func TestGuardPlan(t *testing.T) {
	if err := gpu.Built(); err != nil {
		t.Skip(err)
	}
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	t.Setenv("OCL_ICD_VENDORS", "libnothing.so")
	t.Setenv("CUDA_CACHE_PATH", "/kernels")
	a := &app{Context: t.Context(), err: &bytes.Buffer{}}
	d := gpu.Device{Platform: 3, Index: 1, Name: "Fast", PlatformName: "NVIDIA CUDA", Driver: "9"}
	key := strings.Repeat("cd", 16)
	testing := `echo '{"testing":{"operation":"forward","n":784,"p":128,"first":true},"passed":["` + key + `"]}'; `
	for _, c := range []struct {
		name, script string
		passed       bool
		failed       *gpu.Failure // with the beginning of its reason
		want         string       // of another error
	}{
		{"ends the process", testing + "echo 'LLVM ERROR: no' >&2; kill -9 $$", true,
			&gpu.Failure{Operation: "forward", N: 784, P: 128, First: true, Reason: "the driver ended the process: LLVM ERROR: no (if this goes on, remove its kernel cache /kernels)"}, ""},
		{"ends the process at once", "kill -9 $$", false, nil, "opencl:3.1: driver 9 (NVIDIA CUDA) of device Fast ended the process: signal: killed; remove its kernel cache /kernels"},
		{"is wrong", testing + `echo '{"passed":["` + key + `"],"failed":{"operation":"update","reason":"element 3"}}'`, true, &gpu.Failure{Operation: "update", Reason: "element 3"}, ""},
		{"is an error", `echo '{"error":"no memory"}'`, false, nil, "no memory"},
		{"passes", testing + `echo '{"passed":["` + key + `"]}'`, true, nil, ""},
	} {
		g, _ := scripted(t, "case $0 in *plan*) "+c.script+";; *) echo '{}';; esac")
		if _, err := g.trust(a, d); err != nil {
			t.Fatal(err)
		}
		passed, err := g.isolate(a, d)([]int{784, 128, 10}, network.ShardPlan{Backend: "opencl:3.1"})
		if slices.Contains(passed, key) != c.passed {
			t.Errorf("%s: passed %v", c.name, passed)
		}
		var failed *gpu.Failure
		switch errors.As(err, &failed); {
		case c.failed != nil:
			if failed == nil || *failed != *c.failed {
				t.Errorf("%s: %+v, %v", c.name, failed, err)
			}
		case failed != nil || (err != nil) != (c.want != "") || err != nil && !strings.HasPrefix(err.Error(), c.want):
			t.Errorf("%s: error %v, want %q", c.name, err, c.want)
		}
		g.leave()
	}
	for turn, want := range []bool{false, true, false, true} {
		if turn == 2 {
			suspect := filepath.Join(os.Getenv("XDG_CACHE_HOME"), "clgrad", "drivers", store.Name(d)+".suspect")
			must.Write(t, "", suspect)
		}
		g, _ := scripted(t, "echo '{}'")
		known, err := g.trust(a, d)
		must.OK(t, err)
		if got := known.Passed(key); got != want {
			t.Errorf("turn %d: passed is %v", turn, got)
		}
		known.Add(key)
		if !known.Passed(key) {
			t.Errorf("turn %d: what was added has not passed", turn)
		}
		g.leave()
	}
	if notes := a.err.(*bytes.Buffer).String(); notes != "" {
		t.Errorf("said %s", notes)
	}
}

// Passes that cannot be kept are said once, by whichever goroutine finds it; in driver-test,
// which has no guard, it is nobody's matter.
func TestPassesNotKept(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	must.Write(t, "", file)
	s, err := store.Open(filepath.Join(file, "dir"), gpu.Device{Name: "Fast"})
	must.OK(t, err)
	var notes bytes.Buffer
	a := &app{Context: t.Context(), err: &notes}
	g := &guard{said: map[string]bool{}}
	var all sync.WaitGroup
	for i := range 8 {
		p := &passes{g: g, a: a, store: s, here: map[string]bool{}}
		all.Go(func() { p.Add(store.Key(string(rune('a' + i)))) })
	}
	all.Wait()
	if n := strings.Count(notes.String(), "what passed is not kept"); n != 1 {
		t.Errorf("said %d times: %s", n, notes.String())
	}
	known := &passes{a: a, store: s, here: map[string]bool{}}
	if known.Add(store.Key("one")); !known.Passed(store.Key("one")) {
		t.Error("what was added has not passed")
	}
}
