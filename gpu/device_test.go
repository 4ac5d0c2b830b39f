package gpu

import (
	"context"
	"errors"
	"fmt"
	"os"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"clgrad/kernels"
	"clgrad/network"
	"clgrad/network/backendtest"
	"clgrad/network/backendtest/gotest"
)

// usableDevices returns the OpenCL devices of this machine. Where there is none
// the test is skipped, or fails if REQUIRE_OPENCL is 1.
func usableDevices(t *testing.T) (usable []Device) {
	t.Helper()
	devices, err := Devices()
	if err != nil && !errors.Is(err, ErrNoDevice) {
		t.Fatal(err)
	}
	for _, d := range devices {
		if d.Problem == "" {
			usable = append(usable, d)
		}
	}
	if len(usable) == 0 {
		if os.Getenv("REQUIRE_OPENCL") == "1" {
			t.Fatalf("REQUIRE_OPENCL=1 and there is no OpenCL device: %v, %s", err, list(devices))
		}
		t.Skipf("no OpenCL device: %v, %s", err, list(devices))
	}
	return usable
}

// opener opens a device with the given tiles instead of the default ones.
func opener(d Device, c kernels.Config, source func(kernels.Program) string) func() (network.Backend, error) {
	return func() (network.Backend, error) {
		b, err := Open(d, Options{Untested: true, source: source})
		if err != nil {
			return nil, err
		}
		b.config = fitConfig(c, d.limits())
		return b, nil
	}
}

// configs are the kernels that the suite is run with: each class's defaults on
// every device, the specification, and tiles with other edges.
func configs(d Device) map[string]kernels.Config {
	odd := kernels.Default(kernels.CPU, 3, 16)
	odd.Forward = kernels.Tile{Variant: kernels.Register, ItemRows: 5, ItemCols: 48, Width: 16}
	odd.InputGradient = kernels.Tile{Variant: kernels.Register, ItemRows: 3, ItemCols: 24, Width: 8}
	odd.WeightGradient = kernels.Tile{Variant: kernels.Register, ItemRows: 3, ItemCols: 12, Width: 4, Depth: 7, Splits: 5}
	odd.Packed = &kernels.Tile{Variant: kernels.Packed, ItemRows: 3, ItemCols: 24, Width: 8, Splits: 3}
	odd.SoftmaxRows, odd.RecordGroup = 3, 4
	odd.Step = &kernels.StepTile{Rows: 3, Packed: 1, DenseRows: 6, Dense: 2, Gradient: 3, RowItems: 3, Ranges: 5}
	narrow := kernels.Default(kernels.GPU, 1, 16)
	narrow.Forward = kernels.Tile{Variant: kernels.LocalMemory, ItemRows: 2, ItemCols: 3, GroupRows: 4, GroupCols: 8, Depth: 5}
	narrow.InputGradient = kernels.Tile{Variant: kernels.LocalMemory, ItemRows: 1, ItemCols: 4, GroupRows: 8, GroupCols: 2, Depth: 16}
	narrow.WeightGradient = kernels.Tile{Variant: kernels.LocalMemory, ItemRows: 4, ItemCols: 1, GroupRows: 2, GroupCols: 16, Depth: 9, Splits: 3}
	all := map[string]kernels.Config{
		"register":      kernels.Default(kernels.CPU, max(2, d.ComputeUnits), 16),
		"local":         kernels.Default(kernels.GPU, max(2, d.ComputeUnits), 16),
		"specification": kernels.Specification(),
		"odd-register":  odd,
		"odd-local":     narrow,
	}
	for _, p := range kernels.Precisions()[1:] {
		c := kernels.Default(kernels.GPU, d.ComputeUnits, 16).At(p, false)
		// One warp below another, so that drivers and simulators come to an end; TestTryTensor
		// has the default tiles.
		for _, tile := range []*kernels.Tile{&c.Forward, &c.InputGradient, &c.WeightGradient} {
			tile.ItemRows, tile.ItemCols, tile.GroupRows, tile.GroupCols = 16, 8, 2, 1
		}
		c.WeightGradient.Splits = 3
		all["odd-"+string(p)] = c
	}
	return all
}

// Every device passes the conformance suite with its defaults, in full, and with
// all other kernels.
func TestConformance(t *testing.T) {
	t.Parallel()
	for _, d := range usableDevices(t) {
		t.Run(d.ID()+"/default", func(t *testing.T) {
			t.Parallel()
			c := kernels.Default(d.Class(), d.ComputeUnits, d.lanes())
			judgesSteps(t, c, gotest.Run(t, opener(d, c, nil)))
		})
		for name, c := range configs(d) {
			if reflect.DeepEqual(c, kernels.Default(d.Class(), d.ComputeUnits, d.lanes())) {
				continue // done in full
			}
			t.Run(d.ID()+"/"+name, func(t *testing.T) {
				t.Parallel()
				judgesSteps(t, c, gotest.Run(t, opener(d, c, nil), backendtest.Quick()))
			})
		}
	}
}

// judgesSteps checks that whole iterations were judged where the tiles have them.
func judgesSteps(t *testing.T, c kernels.Config, report backendtest.Report) {
	t.Helper()
	for _, o := range report.Operations {
		if want := c.Step != nil || c.Fused; o.Operation == "steps" && (o.Absent == "") != want {
			t.Errorf("whole iterations were judged: %v, where the tiles have them: %v", !want, want)
		}
	}
}

// train runs some iterations on a device and returns losses and parameters.
func train(t *testing.T, d Device, s network.Samples, blockRows, iterations int) (losses, theta []float64) {
	t.Helper()
	b, err := Open(d, Options{Untested: true})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	b.config.Fused = false // a plan has it where there is room for it
	l, err := network.NewLayout([]int{s.Features, 33, 17, 3})
	if err != nil {
		t.Fatal(err)
	}
	plan, err := network.NewPlan(l.Sizes, s, s.Rows, b)
	if err != nil {
		t.Fatal(err)
	}
	plan.Shards[0].BlockRows = blockRows
	tr, err := network.NewTrainer(l, s, plan, []network.Backend{b}, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer tr.Close()
	start, err := l.Initial(network.He, 1)
	if err != nil {
		t.Fatal(err)
	}
	if err := tr.SetParameters(start, 0); err != nil {
		t.Fatal(err)
	}
	if err := tr.Descend(context.Background(), network.Descent{Iterations: iterations, LearningRate: 0.1},
		func(i network.Iteration) error {
			losses = append(losses, i.Loss)
			return nil
		}); err != nil {
		t.Fatal(err)
	}
	if theta, err = tr.Parameters(); err != nil {
		t.Fatal(err)
	}
	return losses, theta
}

// noise returns labelled bytes that differ from row to row.
func noise(rows, features int) network.Samples {
	s := network.Samples{
		Rows: rows, Features: features, Bytes: make([]byte, rows*features), Labels: make([]int32, rows),
		Scaling: network.Scaling{Shift: []float64{127}, Factor: []float64{1.0 / 255}},
	}
	for i := range s.Bytes {
		s.Bytes[i] = byte(i * i >> 3)
	}
	for i := range s.Labels {
		s.Labels[i] = int32(s.Bytes[i*features]) % 3
	}
	return s
}

// sparse returns noise of which most is 0 and stays 0.
func sparse(rows, features int) network.Samples {
	s := noise(rows, features)
	for i := range s.Bytes {
		if i%features > 0 && (i*7919>>4)%12 > 0 {
			s.Bytes[i] = 0
		}
	}
	s.Scaling.Shift[0] = 0
	return s
}

// The input's division into buffers is invisible: a device that must hold it in
// many gives the same bits, and so does a second run.
func TestInputInSeveralBuffers(t *testing.T) {
	t.Parallel()
	for what, s := range map[string]network.Samples{"dense": noise(1000, 50), "sparse": sparse(6400, 50), "bytes": sparse(2000, 50)} {
		for _, d := range usableDevices(t) {
			d.ComputeUnits = 2 // and two splits
			block := 64
			if what == "bytes" {
				d.Type = "GPU" // whose defaults run anywhere
				block = 200
			}
			losses, theta := train(t, d, s, block, 20)
			if losses[19] >= losses[0] {
				t.Errorf("%s, %s: loss went from %g to %g", d.ID(), what, losses[0], losses[19])
			}
			small := d
			small.MaxBuffer = 3 * 64 * 64 * 4 // three blocks of 64 rows × 64 floats
			switch what {
			case "sparse":
				small.MaxBuffer = 56000 // activations and derivatives of a block; the packed input and its index need more
			case "bytes":
				small.MaxBuffer = 62000 // activations of a block, and four splits; the input has 128000
			}
			for which, other := range map[string]Device{"smaller buffers": small, "a second run": d} {
				l, th := train(t, other, s, block, 20)
				if diff := cmp.Diff(losses, l) + cmp.Diff(theta, th); diff != "" {
					t.Errorf("%s, %s: %s give other bits:\n%s", d.ID(), what, which, diff)
				}
			}
		}
	}
}

// Packed input is chosen by what it leaves out, needs several chunks where
// buffers are small, and gives the bits of dense input where splits are equal.
func TestPackedInput(t *testing.T) {
	d := fakeDevice
	for _, c := range []struct {
		name    string
		samples network.Samples
		packed  bool
	}{
		{"sparse", sparse(1000, 50), true},
		{"full", func() network.Samples {
			s := noise(1000, 50)
			s.Scaling.Shift[0] = 0
			return s
		}(), false},
		{"shifted", noise(1000, 50), false},
		{"floats", network.Samples{Rows: 3, Features: 2, Floats: make([]float32, 6)}, false},
	} {
		b, err := open(newFake(), d, Options{Untested: true})
		if err != nil {
			t.Fatal(err)
		}
		plan, err := network.NewPlan([]int{c.samples.Features, 3}, c.samples, c.samples.Rows, b)
		if err != nil {
			t.Fatal(err)
		}
		if packed := strings.Contains(string(plan.Shards[0].Settings), `"packed":`); packed != c.packed {
			t.Errorf("%s: packed is %v: %s", c.name, packed, plan.Shards[0].Settings)
		}
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	}

	d.MaxBuffer = 4000
	b, err := open(newFake(), d, Options{Untested: true})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	e := b.executor(b.config, nil, network.ShardPlan{})
	blocks := make([]int, 16)
	for i := range blocks {
		blocks[i] = min(64, 1000-64*i)
	}
	x, err := e.Load(sparse(1000, 50), blocks)
	if err != nil {
		t.Fatal(err)
	}
	p := x.(*input).packed
	if p == nil || len(p.chunks) < 3 || p.chunkOf[15] != len(p.chunks)-1 || p.groupOf[0] != 0 {
		t.Errorf("%+v", p)
	}
	if _, err := e.Load(sparse(1000, 50), []int{1000}); err == nil || !strings.Contains(err.Error(), "the device's largest buffer is 4000") {
		t.Errorf("a block that no buffer holds: %v", err)
	}
}

// Over packed and over dense input the sums are the same, term by term.
func TestPackedEqualsDense(t *testing.T) {
	t.Parallel()
	s := sparse(1000, 50)
	for _, device := range usableDevices(t) {
		packed := kernels.Default(kernels.CPU, 1, 16)
		dense := packed
		dense.Packed = nil
		var results [2][]float64
		for i, c := range []kernels.Config{packed, dense} {
			b, err := opener(device, c, nil)()
			if err != nil {
				t.Fatal(err)
			}
			results[i] = firstLayer(t, b, s)
			if err := b.Close(); err != nil {
				t.Error(err)
			}
		}
		if diff := cmp.Diff(results[0], results[1]); diff != "" {
			t.Errorf("%s: packed and dense differ:\n%s", device.ID(), diff)
		}
	}
}

// firstLayer returns the outputs and the gradient of a first layer of 20 units.
func firstLayer(t *testing.T, b network.Backend, s network.Samples) []float64 {
	t.Helper()
	l, err := network.NewLayout([]int{s.Features, 20})
	if err != nil {
		t.Fatal(err)
	}
	start, err := l.Initial(network.He, 1)
	if err != nil {
		t.Fatal(err)
	}
	plan, err := b.Propose(l.Sizes, s, s.Rows)
	if err != nil {
		t.Fatal(err)
	}
	e, err := b.Prepare(l.Sizes, plan)
	if err != nil {
		t.Fatal(err)
	}
	x, err := e.Load(s, []int{s.Rows})
	if err != nil {
		t.Fatal(err)
	}
	var buffers []network.Buffer
	for _, n := range []int{l.Len, l.Len, s.Rows * 32} {
		f, err := e.NewBuffer(n)
		if err != nil {
			t.Fatal(err)
		}
		buffers = append(buffers, f)
	}
	w, bias := l.Layer(0)
	h, rows := network.Matrix{Buffer: buffers[2], Rows: s.Rows, Cols: 20, Stride: 32}, network.Rows{Block: network.Block{Input: x}}
	all := make([]float64, l.Len+s.Rows*32)
	for _, err := range []error{
		e.Write(buffers[0], 0, start),
		e.Forward(rows, w.In(buffers[0]), bias.In(buffers[0]), network.Identity, h),
		e.WeightGradient(rows, h, false, w.In(buffers[1]), bias.In(buffers[1])),
		e.Read(buffers[1], 0, all[:l.Len]),
		e.Read(buffers[2], 0, all[l.Len:]),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	return all
}

// Profiling tells the device's time of every operation of an iteration, each as often as it
// was enqueued, and forgets what came before.
func TestProfile(t *testing.T) {
	t.Parallel()
	for _, d := range usableDevices(t) {
		b, err := Open(d, Options{Untested: true})
		if err != nil {
			t.Fatal(err)
		}
		defer b.Close()
		s := noise(500, 50)
		l, err := network.NewLayout([]int{50, 20, 3})
		if err != nil {
			t.Fatal(err)
		}
		plan, err := network.NewPlan(l.Sizes, s, s.Rows, b)
		if err != nil {
			t.Fatal(err)
		}
		plan.Shards[0].BlockRows = 200 // three blocks
		tr, err := network.NewTrainer(l, s, plan, []network.Backend{b}, nil)
		if err != nil {
			t.Fatal(err)
		}
		start, err := l.Initial(network.He, 1)
		if err == nil {
			err = tr.SetParameters(start, 0)
		}
		for n := range 2 {
			if err == nil {
				err = b.StartProfile()
			}
			if err == nil {
				err = tr.Descend(t.Context(), network.Descent{Iterations: tr.Done() + 1 + n, LearningRate: 0.1}, nil)
			}
			if err != nil {
				t.Fatal(err)
			}
			times, err := b.Profile()
			if err != nil {
				t.Fatal(err)
			}
			found := map[string]network.OperationTime{}
			for _, o := range times {
				found[o.Operation] = o
			}
			for _, w := range l.Work(s.Rows, 4) {
				want := 3 * (1 + n)
				if w.Operation == network.OpUpdate {
					want = 1 + n
				}
				if o := found[w.Operation]; o.Launches != want || o.Total <= 0 || o.Total > time.Minute {
					t.Errorf("%s: %+v where %d launches are expected", w.Operation, o, want)
				}
			}
		}
		if err := tr.Close(); err != nil {
			t.Error(err)
		}
	}
}

// A program that does not compile is reported with its file, its options and
// the compiler's own words.
func TestBuildError(t *testing.T) {
	t.Parallel()
	source := func(p kernels.Program) string { return p.Source() + undeclared }
	for _, d := range usableDevices(t) {
		err := lifeOf(must(openCL()), d, tiny(), false, source)
		for _, want := range []string{"opencl:" + d.ID(), "build matmul_", "-DITEM_ROWS=", "undeclared"} {
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%s: error %q does not name %q", d.ID(), err, want)
			}
		}
	}
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// The suite finds kernels that are wrong in the ways in which kernels go wrong,
// and names the operation. Each change is made to the source that the devices
// compile.
func TestBrokenKernels(t *testing.T) {
	t.Parallel()
	// Small tiles, which fit narrow and wide layers alike: every other program is one more to
	// compile.
	register := kernels.Default(kernels.CPU, 2, 16)
	register.Forward = kernels.Tile{Variant: kernels.Register, ItemRows: 4, ItemCols: 16, Width: 16}
	register.InputGradient = register.Forward
	register.WeightGradient = kernels.Tile{Variant: kernels.Register, ItemRows: 4, ItemCols: 16, Width: 16, Depth: 256, Splits: 2}
	register.Packed = &kernels.Tile{Variant: kernels.Packed, ItemRows: 4, ItemCols: 16, Width: 16, Splits: 2}
	shallow := register // steps of a few rows, so that small shapes have several
	shallow.WeightGradient.Depth = 4
	local := kernels.Default(kernels.GPU, 2, 16)
	local.Forward = kernels.Tile{Variant: kernels.LocalMemory, ItemRows: 4, ItemCols: 4, GroupRows: 4, GroupCols: 4, Depth: 16}
	local.InputGradient, local.WeightGradient = local.Forward, local.Forward
	local.WeightGradient.Splits = 4
	local.RecordGroup = 64
	splits := local // several of few rows
	splits.WeightGradient.Depth = 4
	tensor := configs(usableDevices(t)[0])["odd-bf16x3"]
	whole := register
	whole.Step = &kernels.StepTile{Rows: 2, Packed: 1, DenseRows: 4, Dense: 1, Gradient: 1, RowItems: 2, Ranges: 3}
	const round = "float __attribute__((overloadable)) BF16(float x) { return as_float((as_uint(x) + 0x7fffu + ((as_uint(x) >> 16) & 1u)) & 0xffff0000u); }\n" +
		"float16 __attribute__((overloadable)) BF16(float16 x) { return as_float16((as_uint16(x) + 0x7fffu + ((as_uint16(x) >> 16) & 1u)) & 0xffff0000u); }\n"
	for _, c := range []struct {
		name      string
		config    kernels.Config
		file      string
		old, new  string
		operation string
	}{
		{"dropped term, register", register, "matmul_register.cl",
			"k < K; k++", "k < K - 1; k++", "forward"},
		{"dropped term, gradient", register, "gradient_register.cl",
			"r < rows; r++) {\n                        vector", "r < rows - 1; r++) {\n                        vector", "weight-gradient"},
		{"dropped term, local", local, "matmul_local.cl",
			"low + A_TERM < end,", "low + A_TERM < end - (A_RUN < 4 || end % 4 == 1),", "forward"},
		{"wrong edge tile, rows", register, "matmul_register.cl",
			"const int row = min(own_row, M - ITEM_ROWS);", "const int row = min(own_row, M - ITEM_ROWS) & ~1;", "forward"},
		{"wrong edge tile, features", register, "gradient_register.cl",
			"if (row + j >= own_row && col + v * WIDTH >= own_col)", "if (row + j >= own_row && col + v * WIDTH > own_col)", "weight-gradient"},
		{"half done rows, bias", shallow, "gradient_register.cl",
			"                    if (row + j >= own_row)\n                        last", "                        last", "weight-gradient"},
		{"edge of the batch", local, "matmul_local.cl",
			"row0 + A_ROW < M &&", "row0 + A_ROW < M - 1 &&", "forward"},
		{"bfloat16 inputs, register", register, "matmul_register.cl",
			"const vector x = a[(ulong)i * lda + k];", "const vector x = BF16(a[(ulong)i * lda + k]);", "forward"},
		{"bfloat16 inputs, gradient", register, "gradient_register.cl",
			"const vector dj = d[j];", "const vector dj = BF16(d[j]);", "weight-gradient"},
		{"bfloat16 inputs, local", local, "matmul_local.cl",
			"fma(x[i], y[j], sum[i][j])", "fma(BF16(x[i]), y[j], sum[i][j])", "forward"},
		{"missing barrier after loading", local, "matmul_local.cl",
			"        barrier(CLK_LOCAL_MEM_FENCE);\n        FETCH(begin", "        FETCH(begin", "forward"},
		{"missing barrier in the sum of losses", local, "reduce.cl",
			"        barrier(CLK_LOCAL_MEM_FENCE);\n", "", "softmax-cross-entropy"},
		{"smallest terms missing, tensor", tensor, "matmul_tensor.cl",
			"for (int order = TERMS - 1;", "for (int order = TERMS - 2;", "forward"},
		{"edge of the sum, tensor", tensor, "matmul_tensor.cl",
			"(k) + r < end, to + 4 * r)", "(k) + r < end - 1, to + 4 * r)", "weight-gradient"},
		{"bias of the first term, tensor", tensor, "matmul_tensor.cl",
			"bias += first_of(bs[(p * TILE_COLS", "bias += first_of(bs[(0 * TILE_COLS", "weight-gradient"},
		{"dropped term, packed", register, "packed_register.cl",
			"const ulong end = starts[group_at + g + 1];\n    for (ulong q = starts[group_at + g]; q < end; q++) {\n        global const",
			"const ulong end = starts[group_at + g + 1];\n    for (ulong q = starts[group_at + g] + 1; q < end; q++) {\n        global const",
			"forward-input"},
		{"last group of the batch, packed", register, "packed_register.cl",
			"row < B ? LOAD", "row + 1 < B ? LOAD", "weight-gradient-input"},
		{"stale row, packed", register, "packed_register.cl",
			"STORE((vector)0.0f, v, part + (ulong)i * ITEM_COLS);", ";", "weight-gradient-input"},
		{"bfloat16 values, packed", register, "packed_register.cl",
			"sum[v] = fma(x, d[i][v], sum[v]);", "sum[v] = fma(x, BF16(d[i][v]), sum[v]);", "weight-gradient-input"},
		{"weights without their factors", register, "affine.cl",
			"affine[i].x * v", "v", "forward-input"},
		{"weights without their factors, bytes", local, "affine.cl",
			"affine[i].x * w[", "w[", "forward-input"},
		{"shift of some features missing, bytes", local, "affine.cl",
			"for (int i = y; i < n;", "for (int i = y; i < n - 1;", "forward-input"},
		{"edge of the batch, bytes", local, "common.cl",
			"convert_float4(*(global const uchar4 *)(from))", "convert_float4(*(global const uchar4 *)((from) + 1))", "weight-gradient-input"},
		{"shift of one feature missing", register, "affine.cl",
			"sum = fma(affine[i].y, v, sum);", "sum = fma(i == 2 ? 0.0f : affine[i].y, v, sum);", "forward-input"},
		{"gradient of the shift with the first split's bias", register, "packed_register.cl",
			"for (int s = 0; s < splits; s++)\n#pragma", "for (int s = 0; s < 1; s++)\n#pragma", "weight-gradient-input"},
		{"gradient without its factors", register, "packed_register.cl",
			"fma(a.x, sum, a.y * d[v])", "fma(a.y, d[v], sum)", "weight-gradient-input"},
		{"one split missing, packed", register, "packed_register.cl",
			"for (int s = 1; s < splits; s++)", "for (int s = 2; s < splits; s++)", "weight-gradient-input"},
		{"gradient overwritten, packed", register, "packed_register.cl",
			"if (add)", "if (add > 1)", "weight-gradient-input"},
		{"gradient of the shift with the first split's bias, bytes", local, "affine.cl",
			"d += part[s * size + (ulong)n * panel];", "d += s ? 0.0f : part[n * panel];", "weight-gradient-input"},
		{"gradient without its factors, bytes", local, "affine.cl",
			"fma(affine[i].x, sum, affine[i].y * d)", "fma(affine[i].y, d, sum)", "weight-gradient-input"},
		{"mask of the derivative", register, "matmul_register.cl",
			"mask > 0.0f", "mask >= 0.0f", "input-gradient"},
		{"ReLU hides NaN", register, "matmul_register.cl",
			"s = select(s, (vector)0.0f, s < 0.0f);", "s = fmax(s, (vector)0.0f);", "forward"},
		{"tie to the highest class", register, "softmax.cl",
			"const int2 a2 = min(a4.lo, a4.hi);\n            best = min(best, min(a2.x, a2.y));",
			"const int2 a2 = min(a4.lo, a4.hi);\n            best = min(a2.x, a2.y) < p ? p - 1 : best;", "softmax-cross-entropy"},
		{"padding of the softmax", register, "softmax.cl",
			"select((float16)0.0f, exp(v - top), lane + j < p)", "exp(v - top)", "softmax-cross-entropy"},
		{"one split missing", register, "reduce.cl",
			"s < splits; s++", "s < splits - 1; s++", "weight-gradient"},
		{"gradient overwritten", register, "reduce.cl",
			"*to = add ? *to + sum : sum;", "*to = sum;", "weight-gradient"},
		{"gradient not replaced", register, "reduce.cl",
			"*to = add ? *to + sum : sum;", "*to += sum;", "weight-gradient"},
		{"last non-finite iteration", register, "update.cl",
			"atomic_cmpxchg(recorder, 0, iteration)", "atomic_xchg(recorder, iteration)", "update"},
		{"last feature, whole iterations", whole, "step_register.cl",
			"end = (range + 1) * N0 / RANGES;", "end = min((range + 1) * N0 / RANGES, N0 - 1);", "steps"},
		{"last range of inputs, whole iterations", whole, "step_register.cl",
			"end = (range + 1) * tiles / RANGES * DENSE_ROWS;", "end = (range + (range < RANGES - 1)) * tiles / RANGES * DENSE_ROWS;", "steps"},
		{"tile beyond the inputs, whole iterations", whole, "step_register.cl",
			"if (j >= n)", "if (j > n)", "steps"},
		{"bias skipped, whole iterations", whole, "step_register.cl",
			"if (range == 0)                                                                        \\\n            TILED(step_bias, v)(B, D(l, 0)",
			"if (range < 0)                                                                        \\\n            TILED(step_bias, v)(B, D(l, 0)", "steps"},
		{"transposed weights of before, whole iterations", whole, "step_register.cl",
			"wt[(ulong)(v * WIDTH + c) * ldwt + j] = y.s[c];", ";", "steps"},
		{"feature without entries, whole iterations", whole, "step_register.cl",
			"#if RULE == GD\n        if (q == last && decay == 0.0f)", "#if RULE != SUM\n        if (q == last)", "steps"},
		{"loss of the last rows, whole iterations", whole, "step_register.cl",
			"for (int s = 0; s < parts; s++)", "for (int s = 0; s < parts - 1; s++)", "steps"},
		{"dropped term, whole iterations", whole, "step_register.cl",
			"for (; q < last; q++)", "for (; q + 1 < last; q++)", "steps"},
		{"bfloat16 values, whole iterations", whole, "step_register.cl",
			"sum[v] = fma(x, LOAD(v, row), sum[v]);", "sum[v] = fma(x, BF16(LOAD(v, row)), sum[v]);", "steps"},
		{"tie to the highest class, whole iterations", whole, "step_register.cl",
			"((x == label) & (class < y))", "((x == label) & (class > y))", "steps"},
		{"dropped term, small batches", local, "step_local.cl",
			"for (int k = 0; k < INPUTS; k++)\n            sum", "for (int k = 0; k < INPUTS - 1; k++)\n            sum", "steps"},
		{"bfloat16 derivatives, small batches", local, "step_local.cl",
			"sum = fma(zs[i * CLASSES + j], ws[k", "sum = fma(BF16(zs[i * CLASSES + j]), ws[k", "steps"},
		{"mask of the derivative, small batches", local, "step_local.cl",
			"xs[i * (INPUTS + 1) + k] > 0.0f ? sum", "xs[i * (INPUTS + 1) + k] >= 0.0f ? sum", "steps"},
		{"tie to the highest class, small batches", local, "step_local.cl",
			"if (z[j] > z[best])", "if (z[j] >= z[best])", "steps"},
		{"loss of the last rows, small batches", local, "step_local.cl",
			"i < losses; i += GROUP_SIZE", "i < losses - 1; i += GROUP_SIZE", "steps"},
		{"missing barrier in the sum of losses, small batches", local, "step_local.cl",
			"            barrier(CLK_LOCAL_MEM_FENCE);\n            if (t < half_size)", "            if (t < half_size)", "steps"},
		{"one split missing, small batches", splits, "step_local.cl",
			"for (int s = 1; s < parts; s++)\n        g +=", "for (int s = 2; s < parts; s++)\n        g +=", "steps"},
		{"weights without their factors, small batches", local, "step_local.cl",
			"g *= affine[i].x;", "", "steps"},
		{"scaled weights of before, small batches", local, "step_local.cl",
			"scaled[at] = affine[i].x * x;", ";", "steps"},
		{"last non-finite iteration, small batches", local, "step_local.cl",
			"atomic_cmpxchg(recorder, 0, iteration)", "atomic_xchg(recorder, iteration)", "steps"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			d := usableDevices(t)[0]
			source := func(p kernels.Program) string {
				text := p.Source()
				if p.File != c.file && c.file != "common.cl" {
					return text
				}
				if n := strings.Count(text, c.old); n != 1 {
					panic(fmt.Sprintf("%s holds the text to be changed %d times:\n%s", c.file, n, c.old))
				}
				return round + strings.Replace(text, c.old, c.new, 1)
			}
			size := backendtest.Quick()
			if c.operation == "steps" {
				size = backendtest.Tiny() // each of its networks and rules is a program to compile
			}
			report, err := backendtest.Check(opener(d, c.config, source), size, backendtest.Only(c.operation))
			if err == nil {
				t.Fatal("the suite passes")
			}
			// A kernel that does not build or run shows nothing of the gates.
			gates, numbers := map[string]int{}, 0
			for _, f := range report.Operations[0].Failures {
				gates[f.Gate]++
				switch f.Gate {
				case "bound", "exact", "naive kernel", "same bits":
					numbers++
				case "around the result":
				default:
					t.Errorf("no gate judged it: %v", f)
				}
			}
			if numbers == 0 {
				t.Errorf("no gate of numbers found it: %v", gates)
			}
			t.Log(gates)
		})
	}
}
