package gpu

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"clgrad/kernels"
	"clgrad/network"
)

// gpuDevice is a GPU with the limits of a large one.
var gpuDevice = Device{Name: "GPU", Type: "gpu", ComputeUnits: 132, MaxWorkGroup: 1024, LocalMemory: 48 << 10, Memory: 1 << 36, MaxBuffer: 1 << 34}

// An iteration of a small batch takes few launches: of L layers L − 1 forward products, one for
// the last layer, L − 2 input gradients, L weight gradients, and the update.
func TestLaunchesOfSmallBatches(t *testing.T) {
	for _, c := range []struct {
		sizes   []int
		shifted bool
		rows    int
		want    int
	}{
		{[]int{784, 128, 10}, false, 128, 5},
		{[]int{784, 128, 10}, true, 128, 6},             // and the bias of the shifts
		{[]int{784, 500, 150, 10}, false, 1024, 8},      // 2 + 1 + 1 + 3 + 1
		{[]int{784, 3000, 10}, false, 1024, 8},          // the last layer's weights have no room in local memory
		{[]int{784, 10}, false, 64, 5},                  // forward, softmax, its sum, weight gradient, update
		{[]int{784, 100, 100, 100, 10}, true, 4096, 12}, // 1 + 3 + 1 + 2 + 4 + 1
	} {
		config := kernels.Default(kernels.GPU, gpuDevice.ComputeUnits, 16)
		config.Shifted = c.shifted
		seen := &recording{}
		test := &selfTest{device: gpuDevice, source: kernels.Program.Source, config: config, sizes: c.sizes, rows: []int{c.rows}}
		e, err := test.open(seen)
		if err != nil {
			t.Fatal(err)
		}
		step := stepTest{sizes: c.sizes, rows: c.rows, rule: network.GD, shifted: c.shifted}
		if err := step.run(e, true); err != nil {
			t.Fatal(err)
		}
		// Begin multiplies weights by the input's factors; then there is an evaluation and a step.
		if n := len(seen.launches); n != 1+2*c.want {
			t.Errorf("%v, shifted %v: %d launches where %d are expected", c.sizes, c.shifted, n, 1+2*c.want)
		}
		if err := e.s.close(); err != nil {
			t.Error(err)
		}
	}
}

// A plan has few launches for batches that are one block and not too large, on devices whose
// products work in groups.
func TestPlanOfSmallBatches(t *testing.T) {
	s := network.Samples{Rows: 60000, Features: 50, Bytes: make([]uint8, 60000*50), Labels: make([]int32, 60000)}
	for i := range s.Bytes {
		s.Bytes[i] = uint8(i)
	}
	roomy, small := gpuDevice, gpuDevice
	roomy.MaxBuffer, small.MaxBuffer = 256<<10, 100<<10
	naive := map[string]kernels.Tile{kernels.Key(kernels.OpWeightGradient, 20, 10): {Variant: kernels.NaiveVariant}}
	for _, c := range []struct {
		name   string
		device Device
		sizes  []int
		batch  int
		shapes map[string]kernels.Tile
		want   bool
	}{
		{"small", gpuDevice, []int{50, 20, 10}, 128, nil, true},
		{"largest", gpuDevice, []int{50, 20, 10}, maxFusedRows, nil, true},
		{"full", gpuDevice, []int{50, 20, 10}, 60000, nil, false},
		{"five layers", gpuDevice, []int{50, 20, 20, 20, 20, 10}, 128, nil, false},
		{"a gradient without groups", gpuDevice, []int{50, 20, 10}, 128, naive, false},
		{"no room for partial gradients", small, []int{50, 20, 20, 20, 10}, 128, nil, false},
		{"room for all", roomy, []int{50, 20, 20, 20, 10}, 128, nil, true},
		{"CPU", fakeDevice, []int{50, 20, 10}, 128, nil, false},
	} {
		b, err := open(&recording{}, c.device, Options{Untested: true, Tuning: Tuning{Blocks: map[int]Tiles{1: {Shapes: c.shapes}}}})
		if err != nil {
			t.Fatal(err)
		}
		plan, err := b.Propose(c.sizes, s, c.batch)
		if err != nil {
			t.Fatal(err)
		}
		var config kernels.Config
		if err := json.Unmarshal(plan.Settings, &config); err != nil {
			t.Fatal(err)
		}
		if config.Fused != c.want {
			t.Errorf("%s: %v, want %v", c.name, config.Fused, c.want)
		}
		// A plan from a file that asks for what is not possible is an error.
		if config.Fused = true; !c.want && !fusable(config, c.sizes) && config.Packed == nil {
			if plan.Settings, err = json.Marshal(config); err != nil {
				t.Fatal(err)
			}
			if _, err := b.Prepare(c.sizes, plan); err == nil || !strings.Contains(err.Error(), "iterations in few launches: up to 4 layers") {
				t.Errorf("%s: error %v", c.name, err)
			}
		}
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	}
}

// Rows that are fewer than those of a plan's blocks are computed by the blocks' kernels, which
// the self-test has run.
func TestShortBlocksHaveTestedKernels(t *testing.T) {
	var programs []string
	for _, rows := range []int{1, 100, 128, 129, 4096, 5000} {
		seen := &recording{}
		test := &selfTest{device: gpuDevice, source: kernels.Program.Source, config: kernels.Default(kernels.GPU, 132, 16), sizes: []int{784, 128}, rows: []int{128, 4096}}
		e, err := test.open(seen)
		if err != nil {
			t.Fatal(err)
		}
		l := layerTest{rows: rows, n: 784, p: 128, input: true}
		if err := l.prepare(e, true); err != nil {
			t.Fatal(err)
		}
		if err := l.run(kernels.OpForward); err != nil {
			t.Fatal(err)
		}
		last := seen.launches[len(seen.launches)-1]
		programs = append(programs, last[:strings.LastIndex(last, "matmul")])
		if err := e.s.close(); err != nil {
			t.Error(err)
		}
	}
	if programs[1] != programs[0] || programs[2] != programs[0] || programs[3] == programs[0] || programs[4] != programs[3] {
		t.Error("blocks of up to 128 rows, and those of up to 4096, have other kernels than the largest of them")
	}
}

// BenchmarkSmallBatch times an iteration with and without few launches, for devices whose
// products work in groups: go test -run ^$ -bench SmallBatch ./gpu.
func BenchmarkSmallBatch(b *testing.B) {
	devices, err := Devices()
	if err != nil {
		b.Skip(err)
	}
	for _, d := range devices {
		for _, sizes := range [][]int{{784, 128, 10}, {784, 500, 150, 10}} {
			for rows := 64; rows < maxFusedRows; rows *= 4 {
				for _, fused := range []bool{false, true} {
					b.Run(fmt.Sprintf("%s/%v/%d rows/fused %v", d.ID(), sizes, rows, fused), func(b *testing.B) { benchmarkStep(b, d, sizes, rows, fused) })
				}
			}
		}
	}
}

func benchmarkStep(b *testing.B, d Device, sizes []int, rows int, fused bool) {
	config := kernels.Default(kernels.GPU, d.ComputeUnits, 16)
	config.Fused = fused
	backend, err := Open(d, Options{Untested: true})
	if err != nil {
		b.Skip(err)
	}
	defer backend.Close()
	backend.config = fitConfig(config, d.limits())
	test := stepTest{sizes: sizes, rows: rows}
	test.prepare(true)
	plan, err := network.NewPlan(sizes, test.data, rows, backend)
	if err != nil {
		b.Fatal(err)
	}
	layout, err := network.NewLayout(sizes)
	if err != nil {
		b.Fatal(err)
	}
	trainer, err := network.NewTrainer(layout, test.data, plan, []network.Backend{backend}, nil)
	if err != nil {
		b.Fatal(err)
	}
	defer trainer.Close()
	theta, err := layout.Initial(network.He, 1)
	if err == nil {
		err = trainer.SetParameters(theta, 0)
	}
	if err != nil {
		b.Fatal(err)
	}
	descend := func(iterations int) {
		d := network.Descent{Rule: network.NewRule(network.GD), LearningRate: 0.1, Iterations: trainer.Done() + iterations}
		if err := trainer.Descend(b.Context(), d, func(network.Iteration) error { return nil }); err != nil {
			b.Fatal(err)
		}
	}
	descend(1)
	b.ResetTimer()
	descend(b.N)
}
