package gpu

import (
	"encoding/json"
	"fmt"
	"slices"
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

// Iterations over an input have the update of that input's scaling, whatever the inputs are
// that the same executor had before: scaled values, bytes with factors, and with shifts too.
func TestIterationsOverSeveralInputs(t *testing.T) {
	t.Parallel()
	d := usableDevices(t)[0]
	d.Type, d.ComputeUnits = "GPU", 2
	sizes := []int{50, 20, 3}
	l, err := network.NewLayout(sizes)
	if err != nil {
		t.Fatal(err)
	}
	theta, err := l.Initial(network.He, 1)
	if err != nil {
		t.Fatal(err)
	}
	floats := network.Samples{Rows: 96, Features: 50, Labels: sparse(96, 50).Labels}
	for _, v := range sparse(96, 50).Bytes {
		floats.Floats = append(floats.Floats, float32(v)/255)
	}
	b, err := Open(d, Options{Untested: true})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	plan, err := b.Propose(sizes, sparse(96, 50), 96)
	if err != nil {
		t.Fatal(err)
	}
	gradients := func(inputs ...network.Samples) (all [][]float64) {
		e, err := b.Prepare(sizes, plan)
		if err != nil {
			t.Fatal(err)
		}
		defer e.Close()
		for _, s := range inputs {
			g, err := gradientOf(e, l, s, theta)
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, g)
		}
		return all
	}
	inputs := []network.Samples{floats, sparse(96, 50), noise(96, 50)}
	together := gradients(inputs...)
	for i, s := range inputs {
		if !slices.Equal(gradients(s)[0], together[i]) {
			t.Errorf("input %d: the gradient is another one after those of other inputs", i)
		}
	}
}

// gradientOf returns the gradient of one batch by whole iterations.
func gradientOf(e network.Executor, l network.Layout, s network.Samples, theta []float64) ([]float64, error) {
	x, err := e.Load(s, []int{s.Rows})
	if err != nil {
		return nil, err
	}
	st, err := e.(*executor).NewSteps(l, s, x)
	if err != nil {
		return nil, err
	}
	from, err := e.NewBuffer(l.Len)
	if err != nil {
		return nil, err
	}
	to, err := e.NewBuffer(l.Len)
	if err != nil {
		return nil, err
	}
	r, err := e.NewRecorder(1)
	if err != nil {
		return nil, err
	}
	g := make([]float64, l.Len)
	err = e.Write(from, 0, theta)
	if err == nil {
		err = st.Begin(from)
	}
	if err == nil {
		err = st.Evaluate(network.Block{Input: x}, s.Rows, from, to, false, r, 0)
	}
	if err == nil {
		err = e.Read(to, 0, g)
	}
	return g, err
}

// Iterations in few launches give the parameters that one operation after the other gives, to
// the bit: every sum of theirs has the same order.
func TestFewLaunchesHaveTheSameBits(t *testing.T) {
	t.Parallel()
	d := usableDevices(t)[0]
	if d.Class() != kernels.CPU {
		t.Skip("compilers for GPUs may round the same formula otherwise in another kernel")
	}
	d.Type, d.ComputeUnits = "GPU", 2
	for _, c := range []struct {
		name string
		s    network.Samples
		rows int // of a batch: the last one is short
	}{{"factors", sparse(250, 50), 100}, {"shifts", noise(250, 50), 100}, {"batches of a row", noise(20, 50), 1}} {
		for _, rule := range []network.Optimizer{network.GD, network.Momentum, network.Adam} {
			single, fused := trained(t, d, c.s, c.rows, rule, false), trained(t, d, c.s, c.rows, rule, true)
			if !slices.Equal(single, fused) {
				n := 0
				for i := range single {
					if single[i] != fused[i] {
						n++
					}
				}
				t.Errorf("%s, %s: %d of %d parameters have other bits", c.name, rule, n, len(single))
			}
		}
	}
}

// trained returns the parameters after 20 batches of some rows, in few launches or not.
func trained(t *testing.T, d Device, s network.Samples, rows int, rule network.Optimizer, fused bool) []float64 {
	t.Helper()
	b, err := Open(d, Options{Untested: true})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	b.config.Fused = fused
	l, err := network.NewLayout([]int{s.Features, 33, 17, 3})
	if err != nil {
		t.Fatal(err)
	}
	plan, err := network.NewPlan(l.Sizes, s, rows, b)
	if err != nil {
		t.Fatal(err)
	}
	if is := strings.Contains(string(plan.Shards[0].Settings), `"fused":true`); is != fused {
		t.Fatalf("in few launches: %v, want %v", is, fused)
	}
	trainer, err := network.NewTrainer(l, s, plan, []network.Backend{b}, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer trainer.Close()
	theta, err := l.Initial(network.He, 1)
	if err == nil {
		err = trainer.SetParameters(theta, 0)
	}
	if err == nil {
		descent := network.Descent{Rule: network.NewRule(rule), LearningRate: 0.01, Iterations: 20}
		err = trainer.Descend(t.Context(), descent, func(network.Iteration) error { return nil })
	}
	if err == nil {
		theta, err = trainer.Parameters()
	}
	if err != nil {
		t.Fatal(err)
	}
	return theta
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
