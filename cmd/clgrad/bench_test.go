package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"golang.org/x/perf/benchfmt"

	"clgrad/cmd/clgrad/bench"
	"clgrad/cmd/clgrad/recipe"
	"clgrad/network"
	"clgrad/network/dataset"
	"clgrad/network/must"
)

// benched runs clgrad bench --json on a directory of data.
func benched(t *testing.T, args ...string) (r bench.Report) {
	t.Helper()
	must.OK(t, json.Unmarshal([]byte(good(t, append([]string{"bench", "--json"}, args...)...)), &r))
	return r
}

// Every backend is timed over the iterations asked for, finds the same loss, and
// says what it comes to at best and what it holds.
func TestBench(t *testing.T) {
	dir := images(t, 200, 10)
	r := benched(t, "--data", dir, "--iterations", "2", "--profile")
	names := backends(t)
	if len(r.Results) != len(names) || r.DataSeconds <= 0 || r.PeakRSS < 0 {
		t.Fatalf("%+v", r)
	}
	for i, x := range r.Results {
		if x.Backend != names[i] || x.Samples != 200 || x.Iterations != 2 || len(x.Turns) != 2 || x.Flops != 2*200*(784*128*2+1280*3) ||
			math.Abs(float64(x.Loss/r.Results[0].Loss)-1) > 1e-4 {
			t.Errorf("%+v", x)
		}
		if x.Min <= 0 || x.Min > x.Q1 || x.Q1 > x.Median || x.Median > x.Q3 || x.Q3 > x.Max {
			t.Errorf("%s: quartiles %g %g %g %g %g are not in order", x.Backend, x.Min, x.Q1, x.Median, x.Q3, x.Max)
		}
		if got, want := x.ToFirst, r.DataSeconds+x.Open+x.Load+x.First; x.First <= 0 || math.Abs(got-want) > 1e-9 {
			t.Errorf("%s: first iteration after %g s, its parts are %g s", x.Backend, got, want)
		}
		if x.PeakGFlops <= 0 || x.PeakGBytes <= 0 || math.Abs(x.ShareFlops*x.PeakGFlops/x.GFlops-1) > 1e-9 ||
			math.Abs(x.ShareBytes*x.PeakGBytes/x.GBytes-1) > 1e-9 {
			t.Errorf("%s: shares %g and %g of peaks %g and %g", x.Backend, x.ShareFlops, x.ShareBytes, x.PeakGFlops, x.PeakGBytes)
		}
		// At least the parameters, their gradient and the hidden activations.
		if least := int64(4 * (2*784*128 + 200*128)); x.Held < least {
			t.Errorf("%s: %d bytes held, at least %d are expected", x.Backend, x.Held, least)
		}
		for _, o := range x.Profile {
			if strings.Contains(o.Operation, "probe") || o.ShareFlops*x.PeakGFlops != 0 && math.Abs(o.ShareFlops*x.PeakGFlops/o.GFlops-1) > 1e-9 {
				t.Errorf("%s: %+v is no part of an iteration or has a wrong share", x.Backend, o)
			}
		}
	}
	if table := good(t, "bench", "--data", dir, "--iterations", "1", "--backend", "cpu64", "--no-peaks"); !strings.Contains(table, "cpu64") ||
		strings.Contains(table, "NaN") || strings.Contains(table, "exceed") {
		t.Error(table)
	}
}

// The profile of every backend has each formula of the network, under the name by
// which its work is known, packed or dense; or the two parts of whole iterations, which are
// of networks of few layers.
func TestBenchProfile(t *testing.T) {
	dir := images(t, 200, 10)
	for _, c := range [][2]string{{"20,12", "--profile"}, {"20,12", "--dense"}, {"20,12,9,8", "--profile"}} {
		form := c[1]
		r := benched(t, "--data", dir, "--layers", c[0], "--iterations", "2", "--no-peaks", "--profile", form)
		for _, x := range r.Results {
			l, err := network.NewLayout(r.Layers)
			must.OK(t, err)
			sum := x.Rest
			work := l.Work(200, 4)
			if slices.ContainsFunc(x.Profile, func(o bench.Operation) bool { return o.Operation == network.OpStepRows }) {
				if c[0] != "20,12" || form == "--dense" || len(x.Profile) != 2 {
					t.Errorf("%s %v: %+v", x.Backend, c, x.Profile)
				}
				work = wholeWork(work)
			}
			for _, w := range work {
				i := slices.IndexFunc(x.Profile, func(o bench.Operation) bool {
					words := strings.Fields(o.Operation) // with or without its form
					return o.Operation == w.Operation || words[0]+" "+words[len(words)-1] == w.Operation
				})
				if i < 0 {
					t.Errorf("%s %s %s: no %s in %+v", x.Backend, form, c[0], w.Operation, x.Profile)
					continue
				}
				if o := x.Profile[i]; o.Flops != w.Flops || o.Bytes <= 0 || o.Launches != 1 || o.Median <= 0 || o.Q1 > o.Median || o.Median > o.Q3 {
					t.Errorf("%s %s: %+v", x.Backend, form, o)
				}
			}
			for _, o := range x.Profile {
				sum += o.Median
			}
			// Operations work one after the other, in the iteration's time.
			if sum > 1.5*x.Max || sum < 0.5*x.Min {
				t.Errorf("%s %s: operations and the rest take %g s of an iteration of %g to %g s", x.Backend, form, sum, x.Min, x.Max)
			}
		}
	}
	if table := good(t, "bench", "--data", dir, "--iterations", "1", "--backend", "cpu", "--no-peaks", "--profile"); !strings.Contains(table, "weight_gradient 784x128") {
		t.Error(table)
	}
}

// wholeWork returns the work of the two parts of whole iterations.
func wholeWork(all []network.Work) []network.Work {
	rows, columns := network.Work{Operation: network.OpStepRows}, network.Work{Operation: network.OpStepColumns}
	for _, w := range all {
		part := &rows
		if strings.HasPrefix(w.Operation, network.OpWeightGradient) || w.Operation == network.OpUpdate {
			part = &columns
		}
		part.Flops += w.Flops
		part.Bytes += w.Bytes
	}
	return []network.Work{rows, columns}
}

// With a batch size an iteration is over one batch, work and profile with it, and as many
// of them as there are batches are an epoch, also where the last batch is shorter.
func TestBenchBatches(t *testing.T) {
	dir := images(t, 200, 10)
	args := []string{"bench", "--data", dir, "--batch-size", "60", "--no-peaks", "--lr", "0.1"}
	r := benched(t, append(args[1:], "--profile")...)
	for _, x := range r.Results {
		if x.Samples != 200 || x.BatchSize != 60 || x.Batches != 4 || x.Iterations != 20 || len(x.Turns) < 5 || x.Flops != 2*60*(784*128*2+1280*3) ||
			math.Abs(x.Epoch/(4*x.Median)-1) > 1e-9 || math.Abs(float64(x.Loss/r.Results[0].Loss)-1) > 1e-3 {
			t.Errorf("%+v", x)
		}
		var flops, seconds float64
		for _, o := range x.Profile {
			flops += o.Flops
			seconds += o.Median
		}
		if flops != x.Flops || seconds <= 0 || seconds > 1.5*x.Max {
			t.Errorf("%s: operations of %g FLOP in %g s, iterations of %g in at most %g: %+v", x.Backend, flops, seconds, x.Flops, x.Max, x.Profile)
		}
		if strings.HasPrefix(x.Backend, "opencl:") && !slices.ContainsFunc(x.Profile, func(o bench.Operation) bool { return o.Operation == network.OpStepColumns }) {
			t.Errorf("%s: no whole iterations in %+v", x.Backend, x.Profile)
		}
	}
	// All rows are one batch, as without the flag.
	whole := benched(t, "--data", dir, "--batch-size", "200", "--no-peaks", "--backend", "cpu")
	if x := whole.Results[0]; x.Batches != 1 || x.Iterations != 10 || x.Epoch != x.Median || x.Flops != 2*200*(784*128*2+1280*3) {
		t.Errorf("%+v", x)
	}
	if x := benched(t, append(args[1:], "--iterations", "3", "--backend", "cpu")...).Results[0]; x.Iterations != 3 {
		t.Errorf("%+v", x)
	}
	table := good(t, append(args, "--backend", "cpu", "--profile", "--rows", "200,400")...)
	for _, want := range []string{"of 60 rows, 4 of them an epoch", "of 60 rows, 7 of them an epoch", "epoch s", "cpu, an iteration of 60 rows", "µs a row"} {
		if !strings.Contains(table, want) {
			t.Errorf("no %q in\n%s", want, table)
		}
	}
	if out := good(t, append(args, "--backend", "cpu", "--format", "benchstat")...); !strings.Contains(out, "/precision=float32/batch=60 ") {
		t.Error(out)
	}
	if status, _, notes := clgrad(t, "bench", "--data", dir, "--batch-size", "201", "--backend", "cpu"); status != failure ||
		!strings.Contains(notes, "--batch-size: batches of 201 rows where there are 200") {
		t.Errorf("status %d, %s", status, notes)
	}
}

// Rows beyond the data are those of the data again: the mean loss and gradient
// over any number of whole passes are those of one.
func TestBenchRows(t *testing.T) {
	dir := images(t, 200, 10)
	r := benched(t, "--data", dir, "--backend", "cpu64", "--iterations", "2", "--no-peaks", "--rows", "100,200,600")
	if len(r.Results) != 3 {
		t.Fatalf("%+v", r)
	}
	for i, rows := range []int{100, 200, 600} {
		if x := r.Results[i]; x.Samples != rows || x.Flops != float64(rows)/100*r.Results[0].Flops {
			t.Errorf("%+v", x)
		}
	}
	if a, b := float64(r.Results[1].Loss), float64(r.Results[2].Loss); math.Abs(a/b-1) > 1e-12 || r.Results[0].Loss == r.Results[1].Loss {
		t.Errorf("losses of 100, 200 and 3 × 200 rows are %g, %g and %g", float64(r.Results[0].Loss), a, b)
	}
	table := good(t, "bench", "--data", dir, "--backend", "cpu", "--iterations", "1", "--no-peaks", "--rows", "200", "--rows", "500")
	if !strings.Contains(table, "µs a row") || !strings.Contains(table, "2.50") {
		t.Error(table)
	}
}

// The benchstat format is read by the library that benchstat reads it with: every
// line is a result, with the keys that tell backends apart.
func TestBenchstat(t *testing.T) {
	dir := images(t, 200, 10)
	out := good(t, "bench", "--data", dir, "--iterations", "4", "--profile", "--no-peaks", "--format", "benchstat")
	var lines, iterations int
	seen := map[string]int{}
	reader := benchfmt.NewReader(strings.NewReader(out), "bench")
	for reader.Scan() {
		switch r := reader.Result().(type) {
		case *benchfmt.Result:
			lines++
			base, parts := r.Name.Parts()
			nsOp, ok := r.Value("sec/op")
			if !ok || nsOp <= 0 || r.GetConfig("pkg") != "clgrad" || r.GetConfig("cpu") == "" || r.GetConfig("goos") == "" {
				t.Errorf("%s: %v, %v", r.Name, r.Values, r.Config)
			}
			if string(base) != "Iteration" {
				continue
			}
			if len(parts) != 4 || string(parts[3]) != "/precision=float32" && string(parts[3]) != "/precision=float64" || string(parts[0]) != "/layers=784-128-10" || string(parts[1]) != "/rows=200" {
				t.Errorf("parts %q", parts)
			}
			seen[strings.TrimPrefix(string(parts[2]), "/backend=")] += r.Iters
			iterations += r.Iters
			if rate, ok := r.Value("GFLOP/s"); !ok || math.Abs(rate*nsOp/(2*200*(784*128*2+1280*3)/1e9)-1) > 1e-3 {
				t.Errorf("%s: %v", r.Name, r.Values)
			}
		case *benchfmt.UnitMetadata:
		default:
			t.Errorf("%T: %v", r, r)
		}
	}
	must.OK(t, reader.Err())
	if want := strings.Count(out, "\nBenchmark"); lines != want || want == 0 {
		t.Errorf("%d of %d lines were read", lines, want)
	}
	for _, name := range backends(t) {
		if seen[name] != 4 {
			t.Errorf("%d iterations of %s, 4 are expected", seen[name], name)
		}
	}
}

// An iteration of the README's networks on MNIST, on every backend, with the input
// packed (where it can be) and dense.
//
//	go test ./cmd/clgrad -run '^$' -bench Iteration -benchtime 10x -count 6
func BenchmarkIteration(b *testing.B) {
	everyBackend(b, func(b *testing.B, c benchCommand, backend network.Backend) {
		for _, layers := range []recipe.Layers{{128}, {500, 150}, {10}} {
			b.Run("layers="+strings.Trim(strings.ReplaceAll(fmt.Sprint(layers), " ", "-"), "[]"), func(b *testing.B) {
				c.Layers = layers
				set, l, err := c.load(&app{Context: b.Context()})
				must.OK(b, err)
				trainer, _, err := c.Start(set, l, set.Train.Rows, nil, backend)
				must.OK(b, err)
				defer trainer.Close()
				descend := func(n int) {
					if err := trainer.Descend(b.Context(), network.Descent{Iterations: trainer.Done() + n, LearningRate: 0.1},
						func(network.Iteration) error { return nil }); err != nil {
						b.Fatal(err)
					}
				}
				descend(1) // drivers compile
				b.ResetTimer()
				descend(b.N)
				b.ReportMetric(l.Flops(set.Train.Rows)*float64(b.N)/b.Elapsed().Seconds()/1e9, "GFLOP/s")
			})
		}
	})
}

// Bringing MNIST's training set to every backend, packed (where it can be) and
// dense.
func BenchmarkLoad(b *testing.B) {
	everyBackend(b, func(b *testing.B, c benchCommand, backend network.Backend) {
		set, l, err := c.load(&app{Context: b.Context()})
		must.OK(b, err)
		plan, err := backend.Propose(l.Sizes, set.Train, set.Train.Rows)
		must.OK(b, err)
		executor, err := backend.Prepare(l.Sizes, plan)
		must.OK(b, err)
		var blocks []int
		for left := set.Train.Rows; left > 0; left -= plan.BlockRows {
			blocks = append(blocks, min(left, plan.BlockRows))
		}
		b.SetBytes(int64(len(set.Train.Bytes)))
		for b.Loop() {
			in, err := executor.Load(set.Train, blocks)
			must.OK(b, err)
			must.OK(b, in.Close())
		}
	})
}

// everyBackend runs a benchmark of every backend that can be used here, OpenCL
// devices with packed and with dense input.
func everyBackend(b *testing.B, f func(*testing.B, benchCommand, network.Backend)) {
	var notes bytes.Buffer
	for _, name := range allBackends(&app{err: &notes}) {
		forms := []string{"dense"}
		if strings.HasPrefix(string(name), "opencl:") {
			forms = []string{"packed", "dense"}
		}
		for _, form := range forms {
			b.Run("backend="+string(name)+"/input="+form, func(b *testing.B) {
				c := benchCommand{
					modelFlags: modelFlags{recipe.Setup{Data: "mnist", Layers: recipe.Layers{128}, Preprocess: dataset.Max, Init: network.Normal, Seed: 1}},
					Dense:      form == "dense",
				}
				backend, err := name.open(&app{Context: b.Context(), err: &notes}, c.options(""))
				must.OK(b, err)
				defer backend.Close()
				f(b, c, backend)
			})
		}
	}
	if notes.Len() > 0 {
		b.Log(notes.String())
	}
}
