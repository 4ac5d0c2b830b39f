package main

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"

	"clgrad/cpu"
	"clgrad/gpu"
	"clgrad/kernels"
	"clgrad/network"
	"clgrad/network/checkpoint"
	"clgrad/network/dataset"
	"clgrad/network/must"
)

// clgrad runs a command line in this process.
func clgrad(t *testing.T, args ...string) (status int, out, err string) {
	t.Helper()
	return clgradIn(t.Context(), args...)
}

func clgradIn(ctx context.Context, args ...string) (status int, out, err string) {
	var o, e bytes.Buffer
	a := &app{Context: ctx, out: &o, err: &e}
	status = a.run(args)
	return status, o.String(), e.String()
}

// good is clgrad for a command that has to succeed; it returns its output.
func good(t *testing.T, args ...string) string {
	t.Helper()
	status, out, err := clgrad(t, args...)
	if status != success {
		t.Fatalf("clgrad %s: status %d\n%s", strings.Join(args, " "), status, err)
	}
	return out
}

// says reports a command that does not end with a status, or does not say something.
func says(t *testing.T, status int, want string, args ...string) {
	t.Helper()
	if got, _, notes := clgrad(t, args...); got != status || !strings.Contains(notes, want) {
		t.Errorf("clgrad %s: status %d, %s\nwant %d and %q", strings.Join(args, " "), got, notes, status, want)
	}
}

var mnist = sync.OnceValues(func() (dataset.Set, error) {
	return dataset.Load(context.Background(), "mnist", dataset.Options{})
})

// images writes a directory of IDX files: the first rows of MNIST, in training
// and test set.
func images(t *testing.T, rows, testRows int) string {
	t.Helper()
	set, err := mnist()
	must.OK(t, err)
	dir := t.TempDir()
	write := func(prefix string, s network.Samples, n int) {
		s = s.Slice(0, n)
		header := func(kind byte, dims ...uint32) []byte {
			b := []byte{0, 0, 8, kind}
			for _, d := range dims {
				b = binary.BigEndian.AppendUint32(b, d)
			}
			return b
		}
		labels := header(1, uint32(n))
		for _, y := range s.Labels {
			labels = append(labels, byte(y))
		}
		for name, data := range map[string][]byte{
			prefix + "-images-idx3-ubyte": append(header(3, uint32(n), 28, 28), s.Bytes...),
			prefix + "-labels-idx1-ubyte": labels,
		} {
			must.Write(t, data, dir, name)
		}
	}
	write("train", set.Train, rows)
	write("t10k", set.Test, testRows)
	return dir
}

// backends returns the names of all backends that can be used here. Where there
// is no OpenCL device it says so, and fails if REQUIRE_OPENCL is 1.
func backends(t *testing.T) (names []string) {
	t.Helper()
	var notes bytes.Buffer
	for _, n := range allBackends(&app{err: &notes}) {
		names = append(names, string(n))
	}
	if len(names) == 2 {
		if os.Getenv("REQUIRE_OPENCL") == "1" {
			t.Fatalf("REQUIRE_OPENCL=1: %s", notes.String())
		}
		t.Logf("the CPU's backends only: %s", notes.String())
	}
	return names
}

// lines decodes the output of train --json.
func lines(t *testing.T, out string) (iterations []iterationLine, s summary) {
	t.Helper()
	all := strings.Split(strings.TrimSpace(out), "\n")
	for _, line := range all[:len(all)-1] {
		var i iterationLine
		if err := json.Unmarshal([]byte(line), &i); err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		iterations = append(iterations, i)
	}
	if err := json.Unmarshal([]byte(all[len(all)-1]), &s); err != nil || !s.Summary {
		t.Fatalf("last line %s: %v", all[len(all)-1], err)
	}
	return iterations, s
}

// Every backend trains real digits to the same losses, saves a model, and eval
// finds what train found.
func TestTrainEverywhere(t *testing.T) {
	dir := images(t, 1000, 500)
	var first []iterationLine
	for _, name := range backends(t) {
		run := filepath.Join(t.TempDir(), "run")
		out := good(t, "train", "--data", dir, "--layers", "32", "--preprocess", "standard", "--init", "normal", "--lr", "0.1", "--iterations", "53",
			"--log-every", "25", "--backend", name, "--json", "--out", run)
		iterations, s := lines(t, out)
		if len(iterations) != 3 || iterations[0].Iteration != 25 || iterations[1].Iteration != 50 || iterations[2].Iteration != 53 {
			t.Fatalf("%s: iterations %v: multiples of 25 and the last are expected", name, iterations)
		}
		if first == nil {
			first = iterations
		}
		if got, want := float64(iterations[1].Loss), float64(first[1].Loss); math.Abs(got/want-1) > 1e-4 {
			t.Errorf("%s: loss %g at iteration 50, %g on the CPU", name, got, want)
		}
		if iterations[2].Loss >= iterations[0].Loss || s.Iterations != 53 || s.TestAccuracy < 0.3 || s.Backend != name ||
			s.Median <= 0 || s.Seconds <= 0 || s.Device == "" || len(s.Layers) != 3 {
			t.Errorf("%s: %s", name, out)
		}
		var e evaluation
		must.OK(t, json.Unmarshal([]byte(good(t, "eval", run, "--data", dir, "--backend", name, "--json")), &e))
		// train has the rows of a full batch in an order of its own, which changes the order of
		// the losses' float64 sum. On a device it also changes a row's place in a tile: compilers
		// contract products and sums into FMAs in a whole tile and not in a short one, or the
		// other way round, which rounds float32 logits differently.
		bound := 1e-13
		if strings.HasPrefix(name, "opencl") {
			bound = 1e-6
		}
		if math.Abs(float64(e.Loss/s.Loss)-1) > bound || e.TrainAccuracy != s.TrainAccuracy || e.TestLoss != s.TestLoss || e.TestAccuracy != s.TestAccuracy {
			t.Errorf("%s: train found %+v, eval %+v", name, s, e)
		}
	}
}

// A plain run ends with one line that names the next thing to try. Where the run is
// kept, or a program reads, there is none.
func TestNext(t *testing.T) {
	data := write(t, "flowers.csv", flowers(1, 20))
	train := []string{"train", "--data", data, "--label", "species", "--backend", "cpu", "--iterations", "2"}
	const end = " --out run1 keeps the run and writes a report\n"
	status, _, err := clgrad(t, train...)
	if want := "clgrad: next: clgrad " + strings.Join(train, " ") + end; status != success || err != want {
		t.Errorf("status %d, standard error\n%swhere\n%sis expected", status, err, want)
	}
	for _, more := range [][]string{{"--json"}, {"--out", filepath.Join(t.TempDir(), "run")}} {
		status, _, err := clgrad(t, append(train, more...)...)
		if status != success || strings.Contains(err, "next:") {
			t.Errorf("%v: status %d, standard error %q", more, status, err)
		}
	}
}

// Two equal runs write equal files.
func TestEqualRuns(t *testing.T) {
	dir := images(t, 500, 100)
	for _, name := range backends(t) {
		var files [2][]byte
		for i := range files {
			run := t.TempDir()
			good(t, "train", "--data", dir, "--layers", "20,10", "--iterations", "20", "--backend", name, "--out", run)
			var err error
			files[i], err = os.ReadFile(filepath.Join(run, checkpoint.FileName))
			must.OK(t, err)
		}
		if !bytes.Equal(files[0], files[1]) {
			t.Errorf("%s: two equal runs wrote different models", name)
		}
	}
}

// The logits computed by plain loops over the file's bytes, as any other reader
// of the format would, are those that a backend computes.
func TestSavedModelElsewhere(t *testing.T) {
	dir, run := images(t, 500, 40), t.TempDir()
	good(t, "train", "--data", dir, "--layers", "16,12", "--init", "he", "--preprocess", "feature", "--iterations", "30",
		"--backend", "cpu", "--out", run)
	file, err := os.ReadFile(filepath.Join(run, checkpoint.FileName))
	must.OK(t, err)
	headerLen := binary.LittleEndian.Uint64(file)
	var header map[string]json.RawMessage
	must.OK(t, json.Unmarshal(file[8:8+headerLen], &header))
	tensor := func(name string) (shape []int, at func(i int) float64) {
		var d struct {
			DType   string `json:"dtype"`
			Shape   []int  `json:"shape"`
			Offsets [2]int `json:"data_offsets"`
		}
		if err := json.Unmarshal(header[name], &d); err != nil || d.DType != "F32" {
			t.Fatalf("tensor %s: %s, %v", name, header[name], err)
		}
		data := file[8+int(headerLen)+d.Offsets[0] : 8+int(headerLen)+d.Offsets[1]]
		return d.Shape, func(i int) float64 {
			return float64(math.Float32frombits(binary.LittleEndian.Uint32(data[4*i:])))
		}
	}
	set, err := dataset.Load(t.Context(), dir, dataset.Options{})
	must.OK(t, err)
	model, err := checkpoint.Load(run)
	must.OK(t, err)
	set.Test.Scaling = model.Scaling

	layout, err := network.NewLayout(model.Sizes)
	must.OK(t, err)
	b := cpu.New[float64]()
	defer b.Close()
	plan, err := b.Propose(layout.Sizes, set.Test, set.Test.Rows)
	must.OK(t, err)
	plan.ScoreRows = 16
	m, err := network.NewModel(b, layout, model.Parameters, plan)
	must.OK(t, err)
	defer m.Close()
	got, err := m.Logits(set.Test)
	must.OK(t, err)

	row, rows := make([]float32, 784), set.Test.ScaledRows()
	for i := range set.Test.Rows {
		rows(i, row)
		h := make([]float64, 784)
		for j, v := range row {
			h[j] = float64(v)
		}
		for layer := 0; layer < 3; layer++ {
			// PyTorch: y = x·Aᵀ + b, A being out×in, at the even places of Sequential.
			shape, weight := tensor(fmt.Sprintf("%d.weight", 2*layer))
			_, bias := tensor(fmt.Sprintf("%d.bias", 2*layer))
			out := make([]float64, shape[0])
			for o := range out {
				sum := bias(o)
				for k := 0; k < shape[1]; k++ {
					sum += weight(o*shape[1]+k) * h[k]
				}
				if layer < 2 && sum < 0 {
					sum = 0
				}
				out[o] = sum
			}
			h = out
		}
		for j, want := range h {
			if math.Abs(got[i*10+j]-want) > 1e-12*(1+math.Abs(want)) {
				t.Fatalf("row %d, class %d: logit %g, by hand %g", i, j, got[i*10+j], want)
			}
		}
	}
}

// What a user gets wrong is one line on standard error, nothing on standard
// output, and the right status.
func TestErrors(t *testing.T) {
	dir := images(t, 20, 10)
	used := t.TempDir()
	good(t, "train", "--data", dir, "--iterations", "1", "--backend", "cpu", "--out", used)
	plainFile := filepath.Join(t.TempDir(), "file")
	must.Write(t, "no model", plainFile)
	badRecipe := filepath.Join(t.TempDir(), "bad.json")
	must.Write(t, "{\n \"version\": 1,\n \"lr\": \"fast\"\n}", badRecipe)
	for _, c := range []struct {
		args   string
		status int
		want   string
	}{
		{"fly", usage, "fly"},
		{"train --fly", usage, "--fly"},
		{"train --layers 5,x", usage, "500,150"},
		{"train --layers 0", usage, "500,150"},
		{"train --layers=", usage, "or none"},
		{"train --divide=", usage, "or none"},
		{"train --iterations 1000000001", usage, "at most 1000000000"},
		{"train --keep-checkpoints 1000000001", usage, "at most 1000000000"},
		{"bench --rows 1000000000000000", usage, "at most 1000000000"},
		{"tune --seconds 10000000000", usage, "at most 86400, a day"},
		{"train --iterations 0", usage, "at least 1"},
		{"train --log-every=-1", usage, "at least 1"},
		{"train --out --json", usage, "--out"},
		{"train --lr 0", usage, "above 0"},
		{"train --lr nan", usage, "above 0"},
		{"train --lr 1e39", usage, "to 3.4e+38"},
		{"train --lr 1e-50", usage, "from 1.4e-45"},
		{"train --seed -1", usage, "seed"},
		{"train --backend cuda", usage, "opencl:P.D"},
		{"train --backend cpu:0", usage, "opencl:P.D"},
		{"train --preprocess min", usage, "standard"},
		{"train --init zero", usage, "normal"},
		{"train --recipe fly", usage, "best or a file is expected"},
		{"train --recipe " + badRecipe, failure, badRecipe + ":3:8: key \"lr\": a string where a number is expected"},
		{"train --recipe chang --lr 0", usage, "above 0"},
		{"train --divide 5", usage, "42000,28000"},
		{"train --predictions xml", usage, "table, kaggle"},
		{"train --passes 2", usage, "at most 1"},
		{"train --data " + dir + " --predictions table", usage, "give a directory"},
		{"train --data " + dir + " --divide 20,20 --backend cpu", failure, "the set has 30 rows"},
		{"train --data " + dir + " --predict nowhere --out " + t.TempDir() + "/run", failure, "nowhere"},
		{"predict " + used, usage, "data"},
		{"predict nowhere --data " + dir, failure, "nowhere"},
		{"predict " + used + " --data nowhere", failure, "nowhere"},
		{"predict " + used + " --data " + dir + " --kaggle --json", usage, "kaggle"},
		{"predict " + used + " --data " + dir + " --kaggle --probabilities", usage, "give one of them"},
		{"predict " + used + " --data " + dir + " --backend cpu --out nowhere/file", failure, "nowhere/file"},
		{"train --predict rows.csv", usage, "--predict: nothing is kept without --out"},
		{"bench --data " + dir + " --precision bf16 --backend cpu", failure, "no backend here computes at --precision bf16"},
		{"train --precision tf32 --backend cpu64", usage, "the CPU backends have one precision"},
		{"check --precision tf32 --backend cpu", usage, "the CPU backends have one precision"},
		{"tune --precision bf16x3", usage, "only the kernels of float32 are tuned"},
		{"train --precision half", usage, "bf16x3"},
		{"bench --json --format benchstat", usage, "--format"},
		{"recipes fly", usage, "one of assignment, nn-class, "},
		{"eval", usage, "model"},
		{"train --data " + dir + " --backend opencl:97.3", failure, "no OpenCL device"},
		{"train --data nowhere", failure, "mnist, fashion-mnist, a directory of IDX files, a folder of pictures, a CSV or an NPZ file is expected"},
		{"train --data " + plainFile, failure, plainFile + `: has no column "label" for the labels`},
		{"train --data " + dir + " --label 1", failure, dir + ": is a directory of IDX files, which has no use for a label column"},
		{"train --data mnist --test " + plainFile, failure, "mnist: is a named set, which has no use for a test file"},
		{"train --label --json", usage, "--label"},
		{"train --validation 1", usage, "less than 1"},
		{"train --validation -0.1", usage, "less than 1"},
		{"train --validation x", usage, "less than 1"},
		{"eval " + used + " --data " + plainFile, failure, plainFile + `: has no column "label" for the labels`},
		{"train --data " + dir + " --out " + used, failure, "is there already"},
		{"train --data " + dir + " --out " + plainFile, failure, "--out"},
		{"train --data " + dir + " --backend cpu --lr 1e38 --iterations 9", failure, "lower the learning rate"},
		{"eval nowhere", failure, "nowhere"},
		{"eval " + plainFile, failure, plainFile},
		{"eval " + used + "/model.safetensors", failure, "give --data"},
		{"check --operation fly --backend cpu", usage, "weight-gradient"},
		{"bench --data nowhere", failure, "nowhere"},
		{"data verify fly", usage, "mnist is expected"},
		{"data fetch fly", usage, "mnist is expected"},
		{"check --backend opencl:97.3", failure, "no OpenCL device"},
	} {
		status, out, err := clgrad(t, strings.Fields(c.args)...)
		if status != c.status || !strings.Contains(err, c.want) || strings.Count(err, "\n") != 1 || out != "" {
			t.Errorf("clgrad %s: status %d, output %q, error %q; want status %d and one line with %q",
				c.args, status, out, err, c.status, c.want)
		}
	}
}

// auto falls back to the CPU in sight of the user, and a named device does not.
func TestAuto(t *testing.T) {
	dir := images(t, 20, 10)
	status, out, notes := clgrad(t, "train", "--data", dir, "--iterations", "1", "--json")
	_, s := lines(t, out)
	devices, err := gpu.Devices()
	switch {
	case status != success:
		t.Errorf("status %d: %s", status, notes)
	case err != nil && (s.Backend != "cpu" || !strings.Contains(notes, "computing on the CPU: no OpenCL device")):
		t.Errorf("without a device: %s, %q", s.Backend, notes)
	case err == nil && (!strings.HasPrefix(s.Backend, "opencl:") || !strings.Contains(notes, "computing on "+s.Backend)):
		t.Errorf("with %d devices: %s, %q", len(devices), s.Backend, notes)
	}
	if err == nil {
		return
	}
	if status, _, notes := clgrad(t, "train", "--data", dir, "--backend", "opencl"); status != failure || !errors.Is(err, gpu.ErrNoDevice) {
		t.Errorf("a named device that is missing: status %d, %q", status, notes)
	}
}

// A signal ends a run at the end of an iteration, with what it came to saved.
func TestSignal(t *testing.T) {
	dir, run := images(t, 200, 10), t.TempDir()
	ctx, cancel := context.WithCancelCause(t.Context())
	var out bytes.Buffer
	a := &app{Context: ctx, err: &bytes.Buffer{}, out: writer(func(p []byte) (int, error) {
		if strings.Contains(string(p), "Iteration 5,") {
			cancel(signalError{syscall.SIGTERM})
		}
		return out.Write(p)
	})}
	status := a.run([]string{"train", "--data", dir, "--backend", "cpu", "--iterations", "100000", "--log-every", "5", "--out", run})
	notes := a.err.(*bytes.Buffer).String()
	if status != 143 || !strings.Contains(notes, "iteration 5 is saved in "+run) {
		t.Errorf("status %d, %q", status, notes)
	}
	if m, _, _, err := checkpoint.LoadRun(run); err != nil || m.Run.Iterations != 5 {
		t.Errorf("model after the signal: %+v, %v", m.Run, err)
	}
}

// What a run came to is saved where its output cannot be written, and before the
// first iteration there is nothing to save and the directory stays usable.
func TestOutSurvives(t *testing.T) {
	dir, run := images(t, 200, 10), t.TempDir()
	args := []string{"train", "--data", dir, "--backend", "cpu", "--iterations", "4", "--log-every", "2", "--out", run}
	full := writer(func([]byte) (int, error) { return 0, errors.New("no space left") })
	a := &app{Context: t.Context(), err: &bytes.Buffer{}, out: full}
	status := a.run(args)
	notes := a.err.(*bytes.Buffer).String()
	if status != failure || !strings.Contains(notes, "no space left") || !strings.Contains(notes, "iteration 2 is saved in "+run) {
		t.Errorf("status %d, %q", status, notes)
	}
	if m, _, _, err := checkpoint.LoadRun(run); err != nil || m.Run.Iterations != 2 {
		t.Errorf("%+v, %v", m.Run, err)
	}

	args[len(args)-1] = t.TempDir()
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(signalError{syscall.SIGINT})
	if status, _, notes := clgradIn(ctx, args...); status != 130 || strings.Count(notes, "\n") != 1 {
		t.Errorf("stopped at once: status %d, %q", status, notes)
	}
	good(t, args...)
}

// A signal ends check, eval and bench as it ends train: before they begin, and half way.
func TestSignalElsewhere(t *testing.T) {
	dir, run := images(t, 200, 10), t.TempDir()
	good(t, "train", "--data", dir, "--backend", "cpu", "--iterations", "1", "--out", run)
	for _, args := range [][]string{
		{"check", "--backend", "cpu", "--quick", "--operation", "update"}, {"eval", run, "--data", dir, "--backend", "cpu"},
		{"bench", "--data", dir, "--backend", "cpu", "--iterations", "4", "--no-peaks"},
	} {
		const many = 1 << 30
		whole := &countdown{t.Context(), many, nil}
		if status, _, notes := clgradIn(whole, args...); status != success {
			t.Fatalf("%v: status %d, %s", args, status, notes)
		}
		asked := many - whole.left
		for _, n := range []int{0, asked / 2} {
			ctx, cancel := context.WithCancelCause(t.Context())
			if status, out, _ := clgradIn(&countdown{ctx, n, cancel}, args...); status != 130 || out != "" {
				t.Errorf("%v, at question %d of %d: status %d, %q", args, n, asked, status, out)
			}
			cancel(nil)
		}
		if asked < 5 {
			t.Errorf("%v: the context is asked %d times only: nothing is stopped half way", args, asked)
		}
	}
}

func TestDevices(t *testing.T) {
	var r devicesReport
	must.OK(t, json.Unmarshal([]byte(good(t, "devices", "--json")), &r))
	if len(r.CPU) != 2 || (len(r.OpenCL) == 0) != (r.Problem != "") {
		t.Errorf("%+v", r)
	}
	for _, name := range backends(t) {
		if table := good(t, "devices"); !strings.Contains(table, "\n"+name+" ") {
			t.Errorf("no row for %s in:\n%s", name, table)
		}
	}
}

func TestCheck(t *testing.T) {
	table := good(t, "check", "--backend", "cpu", "--quick", "--operation", "update", "--operation", "input-gradient")
	for _, want := range []string{"update", "input-gradient", "99 %", "ok"} {
		if !strings.Contains(table, want) {
			t.Errorf("no %q in:\n%s", want, table)
		}
	}
	var r struct {
		Operations []struct{ Passed bool }
	}
	if err := json.Unmarshal([]byte(good(t, "check", "--backend", "cpu64", "--quick", "--operation", "recorder", "--json")), &r); err != nil ||
		len(r.Operations) != 1 || !r.Operations[0].Passed {
		t.Errorf("%+v, %v", r, err)
	}
}

func TestData(t *testing.T) {
	for _, args := range [][]string{{"data", "fetch", "mnist"}, {"data", "verify", "mnist"}, {"data", "list"}} {
		out := good(t, args...)
		first, others, _ := strings.Cut(out, "fashion-mnist: ")
		if !strings.Contains(first, "train-images-idx3-ubyte.gz") || strings.Count(first, " ok") != 4 || (others != "") != (args[1] == "list") {
			t.Errorf("%v:\n%s", args, out)
		}
	}
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	status, out, notes := clgrad(t, "data", "verify", "mnist", "--json")
	if status != failure || !strings.Contains(out, `"ok":false`) || !strings.Contains(notes, "clgrad data fetch mnist") {
		t.Errorf("an empty cache: status %d\n%s%s", status, out, notes)
	}
}

// Help is a result, and no failure.
func TestHelp(t *testing.T) {
	for _, args := range [][]string{nil, {"--help"}, {"train", "--help"}} {
		if out := good(t, args...); !strings.Contains(out, "Usage: clgrad") {
			t.Errorf("%v: %q", args, out)
		}
	}
	if out := good(t, "--version"); !strings.HasPrefix(out, "clgrad ") || !strings.Contains(out, runtime.Version()) || strings.Count(out, "\n") != 1 {
		t.Errorf("--version: %q", out)
	}
}

// The table of tune has whole iterations as a row.
func TestTuneTable(t *testing.T) {
	step := kernels.StepTile{Rows: 2, Packed: 2, DenseRows: 6, Dense: 1, Gradient: 4, RowItems: 2, Ranges: 4}
	faster := step
	faster.Ranges = 8
	tile := kernels.Tile{Variant: kernels.NaiveVariant}
	var out bytes.Buffer
	var notes bytes.Buffer
	must.OK(t, showTuning(&app{out: &out, err: &notes}, gpu.Device{Name: "fake"}, "a file", []gpu.TunedShape{
		{Shape: "step 784x128x10", Rows: 504, DefaultStep: &step, BestStep: &faster, DefaultSeconds: 0.002, Seconds: 0.001, Tried: 3, Rejected: []string{"step:bad: why"}},
		{Shape: "forward 128x10", Rows: 8192, Default: tile, Best: tile, DefaultSeconds: 0.001, Seconds: 0.001, Tried: 1, Untried: 7},
	}))
	if got := notes.String(); !strings.Contains(got, "no time for candidates next to the best: 7 of forward 128x10 (--seconds N searches longer)") {
		t.Errorf("of what there was no time for it says %q", got)
	}
	want := `operation        rows  default                ms a block  best                   ms a block  faster  tried  rejected
step 784x128x10  504   step:2x32,6x16,64i2r4  2.000       step:2x32,6x16,64i2r8  1.000       2.00×   3      1
forward 128x10   8192  naive                  1.000       the same               1.000       1.00×   1      0
rejected for step 784x128x10: step:bad: why
Kept for opencl:0.0, fake, in a file
`
	if out.String() != want {
		t.Errorf("the table is\n%s\nwant\n%s", out.String(), want)
	}
}

// What tune finds is used by later runs; what is no tuning is ignored and said
// so.
func TestTune(t *testing.T) {
	names := backends(t)
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	says(t, usage, "--backend cpu: an OpenCL device is expected", "tune", "--backend", "cpu")
	if len(names) == 2 {
		return // backends has said why
	}
	dir := images(t, 300, 50)
	var r tuneReport
	must.OK(t, json.Unmarshal([]byte(good(t, "tune", "--data", dir, "--layers", "20", "--seconds", "2", "--backend", names[2], "--json")), &r))
	if len(r.Shapes) < 4 || filepath.Ext(r.File) != ".json" {
		t.Errorf("%+v", r)
	}
	says(t, usage, "--batch-size 301: the training set has 300 rows", "tune", "--data", dir, "--layers", "20", "--batch-size", "301", "--backend", names[2])
	train := []string{"train", "--data", dir, "--layers", "20", "--iterations", "2", "--backend", names[2]}
	// A tile that no default is shows in the plan.
	tile := regexp.MustCompile(`"forward 20x10": \{[^}]*\}`)
	tuned := must.Read(t, r.File)
	if !tile.MatchString(tuned) {
		t.Fatalf("no tile for the last layer in %s", tuned)
	}
	// So does one of whole iterations.
	const own = `{"rows":2,"packed":1,"dense_rows":10,"dense":1,"gradient":2,"row_items":3,"ranges":5}`
	step := regexp.MustCompile(`"step 784x20x10": \{[^}]*\}`)
	devices, err := gpu.Devices()
	must.OK(t, err)
	whole := devices[0].Class() == kernels.CPU
	if step.MatchString(tuned) != whole || (r.Shapes[0].Shape == "step 784x20x10" && r.Shapes[0].BestStep != nil) != whole {
		t.Errorf("tuned %+v, in the file:\n%s", r.Shapes[0], tuned)
	}
	tuned = step.ReplaceAllString(tuned, `"step 784x20x10": `+own)
	must.Write(t, tile.ReplaceAllString(tuned, `"forward 20x10": {"variant": "naive"}`), r.File)
	run := filepath.Join(t.TempDir(), "run")
	if status, _, notes := clgrad(t, append(train, "--out", run)...); status != success || strings.Contains(notes, "tuning") {
		t.Errorf("a good tuning: status %d, %s", status, notes)
	}
	if m, err := checkpoint.Load(run); err != nil || !strings.Contains(string(m.Run.Plan.Shards[0].Settings), `"forward 20x10":{"variant":"naive"}`) {
		t.Errorf("the tuning is not in the plan: %+v, %v", m.Run, err)
	} else if strings.Contains(string(m.Run.Plan.Shards[0].Settings), `"step":`+own) != whole {
		t.Errorf("the tile of whole iterations is not in the plan: %s", m.Run.Plan.Shards[0].Settings)
	}
	must.Write(t, "{", r.File)
	status, _, notes := clgrad(t, train...)
	if status != success || !strings.Contains(notes, "is ignored (clgrad tune makes another tuning): "+r.File+": is not what is known of a device") || strings.Count(notes, "ignored") != 1 {
		t.Errorf("status %d, %s", status, notes)
	}
}
