package gpu

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"clgrad/kernels"
)

// On a device, candidates that do not build or give wrong numbers are rejected
// and never win, however fast they are.
func TestTuneRejects(t *testing.T) {
	defer restore(source)
	source = func(p kernels.Program) string {
		text := p.Source()
		switch {
		case p.File == "matmul_register.cl" && strings.Contains(p.Options, "-DITEM_ROWS=5 "):
			return text + "\nkernel void broken(global float *x) { undeclared = 1; }\n"
		case p.File == "matmul_register.cl" && !strings.Contains(p.Options, "-DITEM_ROWS=6 "):
			return strings.Replace(text, "k < K; k++", "k < 1; k++", 1) // fast and wrong
		}
		return text
	}
	for _, d := range usableDevices(t) {
		a := must(openCL())
		task := tuneTask{op: kernels.OpForward, n: 70, p: 64, rows: 1500, tile: kernels.Default(kernels.CPU, 2).Forward}
		search := tileSearch{tuneTask: task, api: a, device: d, deadline: time.Now().Add(20 * time.Second), tried: func(kernels.Tile) {}}
		found, err := search.run(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if found.Best.ItemRows != 6 {
			t.Errorf("%s won", found.Best)
		}
		all := strings.Join(found.Rejected, "\n")
		for _, want := range []string{"wrong numbers: result ", "where exactly ", "build matmul_register.cl"} {
			if !strings.Contains(all, want) {
				t.Errorf("no candidate was rejected with %q:\n%s", want, all)
			}
		}
	}
}

// A whole network is tuned within its budget, every shape of it once, and the
// tiles are those of later plans, whatever the plan before was.
func TestTune(t *testing.T) {
	sizes := []int{50, 20, 10}
	for _, d := range usableDevices(t) {
		s := sparse(1200, 50)
		tuning, shapes, err := Tune(t.Context(), d, sizes, s, TuneOptions{Budget: 3 * time.Second})
		if err != nil {
			t.Fatal(err)
		}
		first := kernels.OpPacked
		if d.Class() != kernels.CPU {
			first = kernels.OpForward
		}
		if _, ok := tuning.Shapes[kernels.Key(first, 50, 20)]; !ok || len(shapes) != len(tuning.Shapes) || len(shapes) < 4 {
			t.Errorf("tuned %v", tuning.Shapes)
		}
		for _, s := range shapes {
			if !(s.Seconds > 0) || s.Seconds > s.DefaultSeconds {
				t.Errorf("%+v", s)
			}
		}
		own := kernels.Tile{Variant: kernels.NaiveVariant}
		tuning.Shapes[kernels.Key(kernels.OpForward, 20, 10)] = own
		tuning.Shapes[kernels.Key(kernels.OpForward, 7, 7)] = own
		b, err := Open(d, Options{Tuning: tuning})
		if err != nil {
			t.Fatal(err)
		}
		plan, err := b.DefaultPlan(sizes, s)
		if err := errors.Join(err, b.Configure(plan), b.Close()); err != nil {
			t.Fatal(err)
		}
		if got := b.config.Tile(kernels.OpForward, 20, 10); got != own {
			t.Errorf("the plan has %s", got)
		}
		if _, ok := b.config.Shapes[kernels.Key(kernels.OpForward, 7, 7)]; ok {
			t.Error("the plan has a shape that the network does not")
		}
	}
}

// A search that is cancelled says so.
func TestTuneCancelled(t *testing.T) {
	defer func(old time.Duration) { minimalTrial = old }(minimalTrial)
	minimalTrial = 0
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, _, err := tune(ctx, newFake(), fakeDevice, []int{5, 4}, tiny().Slice(0, 5), TuneOptions{}); err == nil {
		t.Error("no error")
	}
}

// Whatever call fails during a search, the search reports it or rejects the
// candidate, and nothing is left unreleased.
func TestTuneFaults(t *testing.T) {
	defer func(old time.Duration) { minimalTrial = old }(minimalTrial)
	minimalTrial = 0
	run := func(a api) ([]TunedShape, error) {
		_, shapes, err := tune(t.Context(), a, fakeDevice, []int{100, 3}, tinyPacked(), TuneOptions{Budget: time.Hour})
		return shapes, err
	}
	good := &faultyAPI{api: newFake()}
	if _, err := run(good); err != nil {
		t.Fatal(err)
	}
	step := max(1, len(good.calls)/30)
	reported, rejected := 0, 0
	for i := 1; i <= len(good.calls); i += step {
		fake := newFake()
		shapes, err := run(&faultyAPI{api: fake, fail: i})
		name := good.calls[i-1]
		switch {
		case errors.Is(err, errInjected):
			reported++
		case err != nil:
			t.Fatalf("call %d, %s, failing: error %v", i, name, err)
		default:
			for _, s := range shapes {
				rejected += len(s.Rejected)
			}
		}
		if len(fake.live) > 0 || len(fake.bad) > 0 {
			t.Fatalf("call %d, %s, failing: not released: %v, bad: %v", i, name, fake.live, fake.bad)
		}
	}
	if reported == 0 || rejected == 0 {
		t.Errorf("%d calls were reported, %d candidates rejected", reported, rejected)
	}
	t.Logf("%d calls, every %dth made to fail: %d reported, %d candidates rejected", len(good.calls), step, reported, rejected)
}

func TestTuningFile(t *testing.T) {
	dir := t.TempDir()
	if got, err := LoadTuning(dir, fakeDevice); err != nil || len(got.Shapes) > 0 {
		t.Errorf("no file: %v, %v", got, err)
	}
	tuning := Tuning{fakeDevice.tuned(), map[string]kernels.Tile{
		kernels.Key(kernels.OpForward, 784, 128): {Variant: kernels.NaiveVariant},
		kernels.Key(kernels.OpPacked, 784, 128):  {Variant: kernels.Packed, ItemRows: 6, ItemCols: 64, Width: 16, Splits: 2},
	}}
	file, err := tuning.Save(dir)
	if err != nil {
		t.Fatal(err)
	}
	got, err := LoadTuning(dir, fakeDevice)
	if diff := cmp.Diff(tuning, got); err != nil || diff != "" {
		t.Errorf("%v\n%s", err, diff)
	}
	other := fakeDevice
	other.Driver = "2"
	if _, err := LoadTuning(dir, other); err == nil || !strings.Contains(err.Error(), file+": was made for another driver (") {
		t.Errorf("another driver: %v", err)
	}
	if err := os.WriteFile(file, make([]byte, maxTuning+1), 0o666); err != nil {
		t.Fatal(err)
	}
	if _, err := LoadTuning(dir, fakeDevice); err == nil || !strings.Contains(err.Error(), "a tuning is smaller") {
		t.Errorf("too large: %v", err)
	}
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(file, 0o777); err != nil {
		t.Fatal(err)
	}
	if _, err := LoadTuning(dir, fakeDevice); err == nil || !strings.Contains(err.Error(), filepath.Base(file)) {
		t.Errorf("a directory: %v", err)
	}
}

// tuningText is a good tuning's content.
func tuningText(t testing.TB) string {
	t.Helper()
	dir := t.TempDir()
	file, err := Tuning{fakeDevice.tuned(), map[string]kernels.Tile{
		"weight_gradient 784x128": {Variant: kernels.Register, ItemRows: 6, ItemCols: 64, Width: 16, Depth: 256, Splits: 2},
	}}.Save(dir)
	if err != nil {
		t.Fatal(err)
	}
	content, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}

func TestTuningRefused(t *testing.T) {
	good := tuningText(t)
	if _, err := parseTuning([]byte(good), fakeDevice.tuned(), fakeDevice.limits()); err != nil {
		t.Fatal(err)
	}
	for want, change := range map[string][2]string{
		"is no tuning: unexpected EOF":                       {"}\n}", ""},
		"is no tuning: something follows its end":            {"}\n}", "}\n} {}"},
		`is no tuning: json: unknown field "extra"`:          {`"shapes"`, `"extra": 1, "shapes"`},
		"is no tuning: json: cannot unmarshal":               {`"splits": 2`, `"splits": "2"`},
		"was made for another number of compute units (":     {`"compute_units": 2`, `"compute_units": 9`},
		"was made for another version of the kernels":        {`"kernels": "`, `"kernels": "0`},
		"weight_gradient 784x128: tile":                      {`"item_rows": 6`, `"item_rows": 600`},
		"needs a depth":                                      {`"depth": 256`, `"depth": 0`},
		"an operation, inputs and outputs are expected":      {"784x128", "784"},
		`operation "weight" is unknown`:                      {"weight_gradient 784", "weight 784"},
		`variant "magic" is unknown`:                         {`"register"`, `"magic"`},
		"expected, as in \"forward 784x128\"":                {"784x128", "784x128 "},
		"weight_gradient 784x128: tile packed:6x64v16s2: va": {`"register"`, `"packed"`},
	} {
		text := strings.Replace(good, change[0], change[1], 1)
		if text == good {
			t.Fatalf("%q is not in\n%s", change[0], good)
		}
		_, err := parseTuning([]byte(text), fakeDevice.tuned(), fakeDevice.limits())
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%q: error %v", want, err)
		}
	}
}

// Nothing that a file may hold panics, and what is taken from it can be used.
func FuzzTuning(f *testing.F) {
	f.Add([]byte(tuningText(f)))
	f.Add([]byte("{}"))
	f.Add([]byte(""))
	f.Fuzz(func(t *testing.T, content []byte) {
		tuning, err := parseTuning(content, fakeDevice.tuned(), fakeDevice.limits())
		if err != nil {
			return
		}
		c := kernels.Default(kernels.CPU, 1)
		c.Shapes = tuning.Shapes
		if err := c.Check(fakeDevice.limits()); err != nil {
			t.Error(err)
		}
	})
}
