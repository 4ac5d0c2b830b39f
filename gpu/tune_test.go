package gpu

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"clgrad/kernels"
)

// On a device, candidates that do not build or give wrong numbers are rejected
// and never win, however fast they are.
func TestTuneRejects(t *testing.T) {
	source := func(p kernels.Program) string {
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
		config := kernels.Default(kernels.CPU, 2, 16)
		task := tuneTask{op: kernels.OpForward, n: 70, p: 64, rows: 1500, config: config, tile: config.Forward}
		search := tileSearch{tuneTask: task, api: a, device: d, source: source, deadline: time.Now().Add(time.Hour), tried: func(kernels.Tile) {}}
		found, err := search.run(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if found.Best.ItemRows != 6 {
			t.Errorf("%s won", found.Best)
		}
		all := strings.Join(found.Rejected, "\n")
		for _, want := range []string{"element (", "where exactly ", "build matmul_register.cl"} {
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
		tiles := tuning.For(s.Rows)
		if _, ok := tiles.Shapes[kernels.Key(first, 50, 20)]; !ok || len(shapes) != len(tiles.Shapes)+len(tiles.Steps) || len(tiles.Shapes) < 4 {
			t.Errorf("tuned %v", tuning)
		}
		if _, ok := tiles.Steps["step 50x20x10"]; ok != (d.Class() == kernels.CPU) || ok && shapes[0].Shape != "step 50x20x10" {
			t.Errorf("tuned whole iterations %v, first %s", tiles.Steps, shapes[0].Shape)
		}
		for _, s := range shapes {
			if !(s.Seconds > 0) || s.Seconds > s.DefaultSeconds {
				t.Errorf("%+v", s)
			}
		}
		own := kernels.Tile{Variant: kernels.NaiveVariant}
		tiles.Shapes[kernels.Key(kernels.OpForward, 20, 10)] = own
		tiles.Shapes[kernels.Key(kernels.OpForward, 7, 7)] = own
		tuning.Blocks[s.Rows] = tiles
		b, err := Open(d, Options{Tuning: tuning})
		if err != nil {
			t.Fatal(err)
		}
		plan, err := b.Propose(sizes, s, s.Rows)
		if err := errors.Join(err, b.Close()); err != nil {
			t.Fatal(err)
		}
		var config kernels.Config
		if err := json.Unmarshal(plan.Settings, &config); err != nil {
			t.Fatal(err)
		}
		if got := config.Tile(kernels.OpForward, 20, 10); got != own {
			t.Errorf("the plan has %s", got)
		}
		if _, ok := config.Shapes[kernels.Key(kernels.OpForward, 7, 7)]; ok {
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
	if _, _, err := tune(ctx, newFake(), fakeDevice, []int{5, 4}, tiny().Slice(0, 5), TuneOptions{Options: Options{Untested: true}}); err == nil {
		t.Error("no error")
	}
}

// A search that ends early says how many candidates it had no time for, one that ends by itself
// none.
func TestTuneUntried(t *testing.T) {
	defer func(old time.Duration) { minimalTrial = old }(minimalTrial)
	minimalTrial = 0
	for _, budget := range []time.Duration{time.Nanosecond, time.Hour} {
		_, shapes, err := tune(t.Context(), newFake(), fakeDevice, []int{100, 3}, tinyPacked(), TuneOptions{Budget: budget, Options: Options{Untested: true}})
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range shapes {
			if short := budget < time.Second; (s.Untried > 0) != short || short && s.Tried > 0 {
				t.Errorf("budget %v: %s: %d tried, %d untried", budget, s.Shape, s.Tried, s.Untried)
			}
		}
	}
}

// Whatever call fails during a search, the search reports it or rejects the
// candidate, and nothing is left unreleased.
func TestTuneFaults(t *testing.T) {
	defer func(old time.Duration) { minimalTrial = old }(minimalTrial)
	minimalTrial = 0
	run := func(a api) ([]TunedShape, error) {
		_, shapes, err := tune(t.Context(), a, fakeDevice, []int{100, 3}, tinyPacked(), TuneOptions{Budget: time.Hour, Options: Options{Untested: true}})
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

// A tuning is refused where it was made for something else, or asks for what the
// device cannot do.
func TestTuningCheck(t *testing.T) {
	shape := kernels.Key(kernels.OpWeightGradient, 784, 128)
	tile := kernels.Tile{Variant: kernels.Register, ItemRows: 6, ItemCols: 64, Width: 16, Depth: 256, Splits: 2}
	const net = "step 784x128x10"
	step := *kernels.Default(kernels.CPU, 2, 16).Step
	good := func() Tuning {
		return Tuning{Device: fakeDevice.tuned(), Blocks: map[int]Tiles{128: {map[string]kernels.Tile{shape: tile}, map[string]kernels.StepTile{net: step}}}}
	}
	if err := good().Check(fakeDevice); err != nil {
		t.Fatal(err)
	}
	for want, change := range map[string]func(*Tuning){
		"was made for another device (":                      func(t *Tuning) { t.Device.Device = "other" },
		"was made for another driver (":                      func(t *Tuning) { t.Device.Driver = "other" },
		"was made for another platform (":                    func(t *Tuning) { t.Device.Platform = "other" },
		"was made for another platform version (":            func(t *Tuning) { t.Device.Version = "other" },
		"was made for another number of compute units (9,":   func(t *Tuning) { t.Device.Units = 9 },
		"was made for another version of the kernels":        func(t *Tuning) { t.Device.Kernels = "0" },
		"tiles for blocks of 0 rows: at least 1":             func(t *Tuning) { t.Blocks[0] = Tiles{} },
		"weight_gradient 784x128: tile":                      func(t *Tuning) { x := tile; x.ItemRows = 600; t.Blocks[128].Shapes[shape] = x },
		"needs a depth":                                      func(t *Tuning) { x := tile; x.Depth = 0; t.Blocks[128].Shapes[shape] = x },
		"weight_gradient 784x128: tile packed:6x64v16s2: va": func(t *Tuning) { x := tile; x.Variant = kernels.Packed; x.Depth = 0; t.Blocks[128].Shapes[shape] = x },
		`variant "magic" is unknown`:                         func(t *Tuning) { x := tile; x.Variant = "magic"; t.Blocks[128].Shapes[shape] = x },
		"an operation, inputs and outputs are expected":      func(t *Tuning) { t.Blocks[128].Shapes["weight_gradient 784"] = tile },
		`operation "weight" is unknown`:                      func(t *Tuning) { t.Blocks[128].Shapes["weight 784x128"] = tile },
		"expected, as in \"forward 784x128\"":                func(t *Tuning) { t.Blocks[128].Shapes["weight_gradient 784x128 "] = tile },
		net + ": whole iterations: dense rows are 7: a":      func(t *Tuning) { x := step; x.DenseRows = 7; t.Blocks[128].Steps[net] = x },
		net + ": packed: tile packed:33x64v16s0: item ":      func(t *Tuning) { x := step; x.Rows, x.DenseRows = 33, 33; t.Blocks[128].Steps[net] = x },
		"whole iterations: row items is 0: 1 to":             func(t *Tuning) { x := step; x.RowItems = 0; t.Blocks[128].Steps[net] = x },
		`step "step 784": a network of 1 to 4 layers is`:     func(t *Tuning) { t.Blocks[128].Steps["step 784"] = step },
		`step "784x10": a network`:                           func(t *Tuning) { t.Blocks[128].Steps["784x10"] = step },
		`step "step 784x0x10": a network`:                    func(t *Tuning) { t.Blocks[128].Steps["step 784x0x10"] = step },
		`step "step 784x010": a network`:                     func(t *Tuning) { t.Blocks[128].Steps["step 784x010"] = step },
		`step "step 6x5x4x3x2x1": a network`:                 func(t *Tuning) { t.Blocks[128].Steps["step 6x5x4x3x2x1"] = step },
		`step "step 784x": a network of 1 to 4 layers`:       func(t *Tuning) { t.Blocks[128].Steps["step 784x"] = step },
		`operation "step" is unknown`:                        func(t *Tuning) { t.Blocks[128].Shapes["step 784x128"] = tile },
	} {
		tuning := good()
		change(&tuning)
		err := tuning.Check(fakeDevice)
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%q: error %v", want, err)
		}
	}
}
