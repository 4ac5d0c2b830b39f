//go:build unix

package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"clgrad/cmd/clgrad/recipe"
	"clgrad/cmd/clgrad/run"
	"clgrad/cmd/clgrad/share"
	"clgrad/cpu"
	"clgrad/gpu"
	"clgrad/network"
	"clgrad/network/checkpoint"
	"clgrad/network/dataset"
	"clgrad/network/must"
)

// A machine is what environment gives a process: the devices that compute together there.
type machine struct {
	name     string
	env      []string
	backends string   // that compute together
	each     []string // their names
}

// machines returns those that there are here: two PoCL devices of a thread each, and the CPU
// with an OpenCL device.
func machines(t *testing.T) (all []machine) {
	t.Helper()
	devices, err := gpu.Devices()
	if err != nil {
		if os.Getenv("REQUIRE_OPENCL") == "1" {
			t.Fatalf("REQUIRE_OPENCL=1: %v", err)
		}
		t.Skipf("no OpenCL device: neither two PoCL devices nor cpu,opencl:0.0 can be tested: %v", err)
	}
	for _, d := range devices {
		if d.Problem == "" {
			id := "opencl:" + d.ID()
			all = append(all, machine{"cpu," + id, nil, "cpu," + id, []string{"cpu", id}})
			break
		}
	}
	if len(devices) == 1 && devices[0].Problem == "" && devices[0].PlatformName == "Portable Computing Language" {
		all = append(all, machine{"two PoCL devices", []string{"POCL_DEVICES=basic basic"}, "opencl:all", []string{"opencl:0.0", "opencl:0.1"}})
	} else {
		t.Log("two PoCL devices are not tested: PoCL is not the only OpenCL device")
	}
	return all
}

// run runs clgrad as a process of its own and returns its output.
func (m machine) run(t *testing.T, args ...string) (status int, out, notes string) {
	t.Helper()
	p := m.start(t, args...)
	status = p.end(t)
	return status, p.out.String(), p.err.String()
}

func (m machine) start(t *testing.T, args ...string) *process {
	t.Helper()
	return startWith(t, append([]string{"env"}, m.env...), args...)
}

// train is run of a training that has to succeed.
func (m machine) train(t *testing.T, args ...string) ([]iterationLine, summary, string) {
	t.Helper()
	status, out, notes := m.run(t, append([]string{"train", "--json"}, args...)...)
	if status != success {
		t.Fatalf("%s: train %v: status %d: %s", m.name, args, status, notes)
	}
	all, s := lines(t, out)
	return all, s, notes
}

// Devices that share the rows of each batch come to the losses of one device, with every
// optimizer, and to the same bits in a second run.
func TestSeveralDevices(t *testing.T) {
	dir := images(t, 1200, 200)
	cache := t.TempDir()
	t.Setenv("XDG_CACHE_HOME", cache)
	for i, m := range machines(t) {
		for j, c := range []string{
			"--iterations 20 --log-every 1",
			"--optimizer adam --batch-size 100 --iterations 200 --log-every 100",
			"--optimizer lbfgs --iterations 10 --weight-decay 1e-3",
			"--optimizer momentum --batch-size 170 --iterations 20",
			"--optimizer nesterov --batch-size 170 --iterations 20 --schedule cosine --warmup 3",
			"--optimizer adamw --iterations 20",
			"--optimizer nesterov --batch-size 100 --iterations 60 --validation 0.2 --early-stopping --patience 2 --log-every 10",
		} {
			if i == 0 && j > 2 {
				continue // every device takes time to start
			}
			t.Run(m.name+" "+c, func(t *testing.T) {
				args := append(strings.Fields(c), "--data", dir, "--layers", "24")
				want, wanted, _ := m.train(t, append(args, "--backend", m.each[1])...)
				first, second := filepath.Join(t.TempDir(), "first"), filepath.Join(t.TempDir(), "second")
				got, s, notes := m.train(t, append(args, "--backend", m.backends, "--out", first)...)
				if s.Backend != strings.Join(m.each, ",") || len(s.Devices) != 2 || s.Devices[0].Rows < 1 || s.Devices[1].Rows < 1 {
					t.Errorf("summary %+v", s)
				}
				if n := strings.Count(notes, "clgrad: rows of each batch: "); n != 1 || !strings.Contains(notes, "/16 on "+m.each[0]+" (") {
					t.Errorf("the shares are not said once: %s", notes)
				}
				if len(got) != len(want) || s.Iterations != wanted.Iterations {
					t.Fatalf("%d lines, %d iterations where one device has %d, %d", len(got), s.Iterations, len(want), wanted.Iterations)
				}
				for i, line := range got {
					if a, b := float64(line.Loss), float64(want[i].Loss); math.Abs(a/b-1) > 1e-5 {
						t.Errorf("iteration %d: loss %v where one device has %v", line.Iteration, a, b)
					}
				}
				if a, b := float64(s.Loss), float64(wanted.Loss); math.Abs(a/b-1) > 1e-5 {
					t.Errorf("final loss %v where one device has %v", a, b)
				}
				_, _, notes = m.train(t, append(args, "--backend", m.backends, "--out", second)...)
				if !strings.Contains(notes, "measured before") {
					t.Errorf("speeds are measured again: %s", notes)
				}
				if diff := cmp.Diff(untimed(t, first)[checkpoint.FileName], untimed(t, second)[checkpoint.FileName]); diff != "" {
					t.Error("a second run has other bits")
				}
				if page := must.Read(t, first, "report.html"); !strings.Contains(page, "rows of each batch") || !strings.Contains(page, m.each[1]) {
					t.Error("the report does not say how rows are shared")
				}
			})
		}
	}
}

// A run on several devices that was killed ends with the bits of one that was not. Where a
// device is missing it is refused, and goes on by a new plan on others.
func TestSeveralDevicesResume(t *testing.T) {
	dir := images(t, 600, 100)
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	for _, m := range machines(t) {
		t.Run(m.name, func(t *testing.T) {
			args := []string{"--data", dir, "--layers", "24", "--optimizer", "adam", "--batch-size", "70", "--epochs", "40", "--log-every", "20", "--checkpoint-every", "20", "--backend", m.backends}
			whole, killed := filepath.Join(t.TempDir(), "whole"), filepath.Join(t.TempDir(), "killed")
			m.train(t, append(args, "--out", whole)...)
			p := m.start(t, append([]string{"train", "--out", killed}, args...)...)
			p.until(there(killed, checkpoint.Folder, "0*40.safetensors"))
			p.Process.Signal(syscall.SIGKILL)
			p.end(t)
			if there(killed, checkpoint.FileName)() {
				t.Skip("the run was over before it was killed")
			}
			lost := m
			lost.env = []string{"OCL_ICD_VENDORS=" + t.TempDir()}
			status, _, notes := lost.run(t, "train", "--resume", killed)
			if want := "the run needs " + m.each[1] + " ("; status != failure || !strings.Contains(notes, want) || !strings.Contains(notes, "\nclgrad: --resume: the run needs ") || !strings.Contains(notes, "(--new-plan goes on with other bits)") || strings.Count(notes, "\n") != 2 {
				t.Errorf("without the device: status %d: %s", status, notes)
			}
			other := filepath.Join(t.TempDir(), "other")
			if out, err := exec.Command("cp", "-r", killed, other).CombinedOutput(); err != nil {
				t.Fatalf("%v: %s", err, out)
			}
			status, _, notes = m.run(t, "train", "--resume", killed)
			if status != success || !strings.Contains(notes, "as the run began") {
				t.Fatalf("resume: status %d: %s", status, notes)
			}
			if diff := cmp.Diff(untimed(t, whole)[checkpoint.FileName], untimed(t, killed)[checkpoint.FileName]); diff != "" {
				t.Error("the run that was killed ends with other bits")
			}
			for _, c := range []struct {
				args []string
				want string
			}{
				{[]string{"--backend", "cpu"}, "--backend cannot be given with --resume"},
				{[]string{"--new-plan", "--shares", "1,2"}, "--shares cannot be given with --resume"},
			} {
				if status, _, notes := m.run(t, append([]string{"train", "--resume", other}, c.args...)...); status != usage || !strings.Contains(notes, c.want) {
					t.Errorf("%v: status %d: %s", c.args, status, notes)
				}
			}
			status, _, notes = lost.run(t, "train", "--resume", other, "--new-plan", "--backend", "cpu")
			if status != success || !strings.Contains(notes, "goes on by a new plan") {
				t.Fatalf("resume by a new plan: status %d: %s", status, notes)
			}
			if config := must.Read(t, other, "config.json"); !strings.Contains(config, `"backend": "cpu"`) {
				t.Errorf("the configuration has another backend: %s", config)
			}
		})
	}
}

// What cannot be is said in one line, with the name that is meant.
func TestSeveralDevicesWrong(t *testing.T) {
	dir := images(t, 60, 20)
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	all := machines(t)
	m := all[len(all)-1]
	id := strings.TrimPrefix(m.each[1], "opencl:")
	for _, c := range []struct {
		args string
		want string
	}{
		{"train --backend " + m.each[1] + "," + m.each[1], "--backend: backend " + m.each[1] + " is named twice"},
		{"train --backend opencl:all," + m.each[1], "backend " + m.each[1] + ": the device " + m.each[1] + " is named twice, by opencl:all too"},
		{"train --backend cpu,auto", "auto stands alone"},
		{"train --backend cpu,opencl:7.7,opencl:nobody", `backend opencl:7.7: no OpenCL device 7.7: there are `},
		{"train --backend cpu,opencl:7.7,opencl:nobody", `; backend opencl:nobody: no OpenCL device named "nobody": there are `},
		{"train --backend cpu,cuda", `--backend: "cuda": auto, cpu`},
		{"train --backend cpu," + m.each[1] + " --shares 1,2,3", "--shares: 3 numbers for 2 backends (cpu,opencl:" + id + "): one for each is expected"},
		{"train --backend cpu --shares 1,2", "--shares: 2 numbers for 1 backends (cpu)"},
		{"train --backend cpu," + m.each[1] + " --shares 1,x", `--shares: "1,x": a number from 1 to 1000 for each backend is expected`},
		{"train --backend cpu," + m.each[1] + " --batch-size 1", "batches of 1 rows: 2 to 60 are possible"},
		{"train --backend cpu," + m.each[1] + " --precision bf16", "--precision bf16: an OpenCL device is expected"},
		{"predict x --backend cpu,cpu64", `--backend: "cpu,cpu64": one backend is expected`},
		{"eval x --backend opencl:all", `--backend: "opencl:all": one backend is expected`},
		{"tune --backend opencl:all", `one backend is expected`},
	} {
		args := strings.Fields(c.args)
		if args[0] == "train" {
			args = append(args, "--data", dir)
		}
		status, out, notes := m.run(t, args...)
		if status == success || out != "" || !strings.Contains(notes, c.want) || strings.Count(notes, "\n") != 1 {
			t.Errorf("%s: status %d: %s\nwant one line with %s", c.args, status, notes, c.want)
		}
	}
	// Given shares are kept to, and a bench shows what devices come to together.
	_, s, notes := m.train(t, "--data", dir, "--iterations", "2", "--backend", m.backends, "--shares", "1,3")
	if len(s.Devices) != 2 || s.Devices[0].Rows != 15 || s.Devices[1].Rows != 45 || !strings.Contains(notes, "1/4 on ") || !strings.Contains(notes, "(--shares)") {
		t.Errorf("devices %+v, notes %s", s.Devices, notes)
	}
	status, out, notes := m.run(t, "bench", "--data", dir, "--iterations", "5", "--no-peaks", "--profile", "--backend", fmt.Sprintf("%s,%s+%s", m.each[0], m.each[0], m.each[1]))
	if row := "\n" + strings.Repeat(" ", 2) + m.each[0] + "," + m.each[1] + "  "; status != success || !strings.Contains(out, row) || !strings.Contains(out, "\n"+m.each[1]+" ") {
		t.Errorf("bench: status %d\n%s%s", status, out, notes)
	}
}

// A failing is a backend whose products fail once they were asked for so often.
type failing struct {
	network.Backend
	left *int
}

type failingExecutor struct {
	network.Executor
	left *int
}

var errLost = errors.New("the device is lost")

func (f failing) Prepare(sizes []int, plan network.ShardPlan) (network.Executor, error) {
	e, err := f.Backend.Prepare(sizes, plan)
	return failingExecutor{e, f.left}, err
}

func (e failingExecutor) Forward(x network.Rows, w, b network.Matrix, act network.Activation, h network.Matrix) error {
	if *e.left--; *e.left < 0 {
		return errLost
	}
	return e.Executor.Forward(x, w, b, act, h)
}

// A device that fails in the middle of a run ends it with a checkpoint of the iteration before,
// from which it goes on to the bits of a run without the failure. Nothing of it is held.
func TestOneDeviceFails(t *testing.T) {
	dir := images(t, 200, 50)
	train := func(out, resume string, after int) (notes string, err error) {
		var text bytes.Buffer
		a := &app{Context: t.Context(), out: io.Discard, err: &text}
		file, err := recipe.Parse("recipe", []byte(`{"version": 1, "layers": [12], "optimizer": "adam", "iterations": 30, "batch_size": 50, "backend": "cpu"}`))
		must.OK(t, err)
		r := file.Recipe
		r.Data = recipe.Path(dir)
		must.OK(t, r.Complete())
		var all share.Backends
		err = run.Train(a, run.Options{
			Recipe: r, Keep: true, Directory: out, Resume: resume, Patience: lockPatience, Command: "clgrad train", Out: io.Discard, Note: a.note, Info: a.info, Data: a.dataOptions(),
			Start: func(r recipe.Recipe, set dataset.Set, l network.Layout) (share.Backends, run.Trainer, network.Plan, error) {
				all = share.Backends{cpu.New[float32](), cpu.New[float32]()}
				backends := share.Backends{all[0], failing{all[1], &after}}
				tr, plan, err := r.Start(set, l, r.Batch(set.Train.Rows), nil, backends...)
				return backends, tr, plan, err
			},
			Open: func(name string) (network.Backend, error) { return backendName(name).open(a, gpu.Options{}) },
		})
		for i, b := range all {
			if held := b.(network.MemoryMeter).MemoryHeld(); held != 0 {
				t.Errorf("backend %d holds %d bytes", i, held)
			}
			if _, err := b.Propose([]int{3, 2}, network.Samples{Rows: 1, Features: 3, Bytes: make([]byte, 3)}, 1); !errors.Is(err, network.ErrClosed) {
				t.Errorf("backend %d is not closed: %v", i, err)
			}
		}
		return text.String(), err
	}
	whole, broken := filepath.Join(t.TempDir(), "whole"), filepath.Join(t.TempDir(), "broken")
	if notes, err := train(whole, "", math.MaxInt); err != nil {
		t.Fatal(err, notes)
	}
	notes, err := train(broken, "", 2*17+1) // in iteration 18
	if !errors.Is(err, errLost) || !strings.Contains(err.Error(), "iteration 18: ") || !strings.Contains(notes, "iteration 17 is saved in ") {
		t.Fatalf("error %v, notes %s", err, notes)
	}
	if notes, err := train("", broken, 0); err != nil {
		t.Fatal(err, notes)
	}
	if diff := cmp.Diff(untimed(t, whole)[checkpoint.FileName], untimed(t, broken)[checkpoint.FileName]); diff != "" {
		t.Error("the run whose device failed ends with other bits")
	}
}
