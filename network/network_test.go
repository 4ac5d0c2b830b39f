package network_test

import (
	"context"
	"errors"
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"clgrad/cpu"
	"clgrad/network"
	"clgrad/network/must"
)

// blobs returns labelled float samples: one Gaussian cloud a class.
func blobs(rows, features, classes int, seed uint64) network.Samples {
	random := rand.New(rand.NewPCG(seed, 1))
	centres := make([]float32, classes*features)
	for i := range centres {
		centres[i] = float32(random.NormFloat64())
	}
	s := network.Samples{Rows: rows, Features: features, Floats: make([]float32, rows*features), Labels: make([]int32, rows)}
	for i := range rows {
		y := random.IntN(classes)
		s.Labels[i] = int32(y)
		for j := range features {
			s.Floats[i*features+j] = centres[y*features+j] + 0.5*float32(random.NormFloat64())
		}
	}
	return s
}

func layout(t *testing.T, sizes ...int) network.Layout {
	t.Helper()
	l, err := network.NewLayout(sizes)
	must.OK(t, err)
	return l
}

func initial(t *testing.T, l network.Layout, init network.Init, seed uint64) []float64 {
	t.Helper()
	theta, err := l.Initial(init, seed)
	must.OK(t, err)
	return theta
}

// trainer returns a trainer over one float64 shard a range, in blocks of
// blockRows.
func trainer(t *testing.T, l network.Layout, s network.Samples, blockRows int, ranges ...int) *network.Trainer {
	t.Helper()
	var backends []network.Backend
	plan := network.Plan{Sizes: l.Sizes, Rows: s.Rows, BatchRows: s.Rows}
	first := 0
	for _, rows := range ranges {
		b := cpu.New[float64]()
		t.Cleanup(func() { b.Close() })
		backends = append(backends, b)
		shard, err := b.Propose(l.Sizes, s, rows)
		must.OK(t, err)
		shard.First, shard.Rows, shard.BlockRows, shard.ScoreRows = first, rows, min(rows, blockRows), blockRows
		plan.Shards = append(plan.Shards, shard)
		first += rows
	}
	tr, err := network.NewTrainer(l, s, plan, backends, nil)
	must.OK(t, err)
	t.Cleanup(func() {
		if err := tr.Close(); err != nil {
			t.Error(err)
		}
	})
	return tr
}

func descend(t *testing.T, tr *network.Trainer, iterations int, every int) (all []network.Iteration) {
	t.Helper()
	err := tr.Descend(context.Background(), network.Descent{Iterations: iterations, LearningRate: 0.2, Every: every},
		func(i network.Iteration) error {
			i.Elapsed = 0
			all = append(all, i)
			return nil
		})
	must.OK(t, err)
	return all
}

// Every iteration is reported once and in order, however rarely results are
// read, and with the same numbers.
func TestReportsEveryIteration(t *testing.T) {
	l, s := layout(t, 5, 7, 3), blobs(90, 5, 3, 1)
	var want []network.Iteration
	for _, every := range []int{1, 7, 0} {
		tr := trainer(t, l, s, 40, 90)
		must.OK(t, tr.SetParameters(initial(t, l, network.He, 1), 0))
		got := descend(t, tr, 150, every) // more than two windows
		if len(got) != 150 || got[0].Number != 1 || got[149].Number != 150 {
			t.Fatalf("every %d: %d iterations reported", every, len(got))
		}
		if want == nil {
			want = got
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("every %d differs from every 1:\n%s", every, d)
		}
		if tr.Done() != 150 {
			t.Errorf("Done() = %d", tr.Done())
		}
	}
	if want[149].Loss > want[0].Loss/3 {
		t.Errorf("loss went from %g to %g only", want[0].Loss, want[149].Loss)
	}
}

// The gradient of Evaluate is that of its loss, whatever the blocks and shards;
// parameters stay as they are.
func TestEvaluateGradient(t *testing.T) {
	l, s := layout(t, 6, 9, 4, 3), blobs(50, 6, 3, 2)
	theta := initial(t, l, network.He, 3)
	for _, ranges := range [][]int{{50}, {20, 30}, {1, 48, 1}} {
		tr := trainer(t, l, s, 17, ranges...)
		must.OK(t, tr.SetParameters(theta, 0))
		g, unused := make([]float64, l.Len), make([]float64, l.Len)
		if _, _, err := tr.Evaluate(g); err != nil {
			t.Fatal(err)
		}
		at, err := tr.Parameters()
		must.OK(t, err)
		if d := cmp.Diff(theta, at); d != "" {
			t.Fatalf("Evaluate moved the parameters:\n%s", d)
		}
		random := rand.New(rand.NewPCG(1, 2))
		for range 40 {
			layer := random.IntN(l.Layers())
			w, b := l.Layer(layer)
			span := w
			if random.IntN(3) == 0 {
				span = b
			}
			k := span.Offset + random.IntN(span.Rows)*span.Stride + random.IntN(span.Cols)
			const h = 1e-6
			loss := func(v float64) float64 {
				moved := append([]float64(nil), theta...)
				moved[k] = v
				must.OK(t, tr.SetParameters(moved, 0))
				loss, _, err := tr.Evaluate(unused)
				must.OK(t, err)
				return loss
			}
			want := (loss(theta[k]+h) - loss(theta[k]-h)) / (2 * h)
			if math.Abs(g[k]-want) > 1e-7 {
				t.Errorf("shards %v: ∂loss/∂θ[%d] = %g, central difference %g", ranges, k, g[k], want)
			}
		}
	}
}

// A run over several shards is the run over one, up to rounding; repeated, it is
// equal to the bit.
func TestShardsAgree(t *testing.T) {
	l, s := layout(t, 8, 11, 4), blobs(101, 8, 4, 5)
	run := func(ranges ...int) ([]network.Iteration, []float64) {
		tr := trainer(t, l, s, 16, ranges...)
		must.OK(t, tr.SetParameters(initial(t, l, network.He, 1), 0))
		all := descend(t, tr, 60, 10)
		theta, err := tr.Parameters()
		must.OK(t, err)
		return all, theta
	}
	one, oneTheta := run(101)
	three, threeTheta := run(40, 60, 1)
	for i := range one {
		if math.Abs(one[i].Loss-three[i].Loss) > 1e-12 || one[i].Correct != three[i].Correct {
			t.Fatalf("iteration %d: one shard %+v, three %+v", i+1, one[i], three[i])
		}
	}
	for i := range oneTheta {
		if math.Abs(oneTheta[i]-threeTheta[i]) > 1e-12 {
			t.Fatalf("parameter %d: %g and %g", i, oneTheta[i], threeTheta[i])
		}
	}
	again, againTheta := run(40, 60, 1)
	if d := cmp.Diff(three, again) + cmp.Diff(threeTheta, againTheta); d != "" {
		t.Errorf("the same run twice differs:\n%s", d)
	}
}

// A run that was interrupted and goes on ends where one run ends.
func TestGoOn(t *testing.T) {
	l, s := layout(t, 5, 6, 3), blobs(60, 5, 3, 7)
	start := initial(t, l, network.He, 1)
	whole := trainer(t, l, s, 32, 60)
	must.OK(t, whole.SetParameters(start, 0))
	want := descend(t, whole, 30, 0)

	tr := trainer(t, l, s, 32, 60)
	must.OK(t, tr.SetParameters(start, 0))
	ctx, cancel := context.WithCancel(context.Background())
	var got []network.Iteration
	note := func(i network.Iteration) error {
		i.Elapsed = 0
		got = append(got, i)
		if i.Number == 12 {
			cancel()
		}
		return nil
	}
	d := network.Descent{Iterations: 30, LearningRate: 0.2, Every: 1}
	if err := tr.Descend(ctx, d, note); !errors.Is(err, context.Canceled) {
		t.Fatalf("a cancelled run returned %v", err)
	}
	if tr.Done() != 12 {
		t.Fatalf("Done() = %d after cancelling at 12", tr.Done())
	}
	theta, err := tr.Parameters()
	must.OK(t, err)
	other := trainer(t, l, s, 32, 60)
	must.OK(t, other.SetParameters(theta, tr.Done()))
	must.OK(t, other.Descend(context.Background(), d, note))
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("the resumed run differs:\n%s", d)
	}
}

// A run that leaves the finite numbers stops, names the iteration and reports
// nothing from it on; new parameters make the trainer usable again.
func TestNonFinite(t *testing.T) {
	l, s := layout(t, 5, 6, 3), blobs(60, 5, 3, 7)
	tr := trainer(t, l, s, 32, 60)
	must.OK(t, tr.SetParameters(initial(t, l, network.He, 1), 0))
	var last int
	note := func(i network.Iteration) error {
		last = i.Number
		if math.IsNaN(i.Loss) || math.IsInf(i.Loss, 0) {
			t.Errorf("iteration %d reported with loss %g", i.Number, i.Loss)
		}
		return nil
	}
	err := tr.Descend(context.Background(), network.Descent{Iterations: 1000, LearningRate: 1e300}, note)
	var bad *network.NonFiniteError
	if !errors.As(err, &bad) {
		t.Fatalf("learning rate 1e300: %v", err)
	}
	if bad.Iteration != last+1 || !strings.Contains(err.Error(), "lower the learning rate") {
		t.Errorf("%v, after iteration %d", err, last)
	}
	if _, err := tr.Parameters(); !errors.Is(err, network.ErrUnsettled) {
		t.Errorf("parameters after a failed descent: %v", err)
	}
	must.OK(t, tr.SetParameters(initial(t, l, network.He, 1), 0))
	descend(t, tr, 5, 1)
	if _, err := tr.Parameters(); err != nil {
		t.Errorf("parameters of a descent that went well: %v", err)
	}
}

// wrapped is a backend whose executors are changed.
type wrapped struct {
	network.Backend
	change func(network.Executor) network.Executor
}

func (b wrapped) Prepare(sizes []int, p network.ShardPlan) (network.Executor, error) {
	x, err := b.Backend.Prepare(sizes, p)
	if err != nil {
		return nil, err
	}
	return b.change(x), nil
}

var errBroken = errors.New("broken")

// faulty is an executor of which a call fails after so many of its kind have gone well;
// none does where the number is nil or negative.
type faulty struct {
	network.Executor
	buffers, writes, losses, updates *int
}

func countdown(left *int) error {
	if left != nil {
		if *left--; *left == -1 {
			return errBroken
		}
	}
	return nil
}

func (x faulty) NewBuffer(n int) (network.Buffer, error) {
	if err := countdown(x.buffers); err != nil {
		return nil, err
	}
	return x.Executor.NewBuffer(n)
}

func (x faulty) Write(dst network.Buffer, offset int, src []float64) error {
	if err := countdown(x.writes); err != nil {
		return err
	}
	return x.Executor.Write(dst, offset, src)
}

func (x faulty) SoftmaxCrossEntropy(z network.Matrix, y network.Block, m int, r network.Recorder, record int) error {
	if err := countdown(x.losses); err != nil {
		return err
	}
	return x.Executor.SoftmaxCrossEntropy(z, y, m, r, record)
}

func (x faulty) Update(u network.Update, theta, g network.Vector, state []network.Vector, r network.Recorder) error {
	if err := countdown(x.updates); err != nil {
		return err
	}
	return x.Executor.Update(u, theta, g, state, r)
}

// Where a backend fails between two reports, the parameters have moved on from
// the last iteration that is known, and nobody may take them for it.
func TestBackendFails(t *testing.T) {
	l, s := layout(t, 5, 6, 3), blobs(60, 5, 3, 7)
	inner := cpu.New[float64]()
	defer inner.Close()
	b := wrapped{inner, func(x network.Executor) network.Executor { return faulty{Executor: x, updates: new(13)} }}
	plan, err := network.NewPlan(l.Sizes, s, s.Rows, b)
	must.OK(t, err)
	tr, err := network.NewTrainer(l, s, plan, []network.Backend{b}, nil)
	must.OK(t, err)
	defer tr.Close()
	must.OK(t, tr.SetParameters(initial(t, l, network.He, 1), 0))
	d := network.Descent{Iterations: 30, LearningRate: 0.2, Every: 10}
	must.OK(t, tr.Descend(context.Background(), network.Descent{Iterations: 10, LearningRate: 0.2}, nil))
	err = tr.Descend(context.Background(), d, nil)
	if !errors.Is(err, errBroken) || !strings.Contains(err.Error(), "iteration 14") || tr.Done() != 10 {
		t.Errorf("%v, Done() = %d", err, tr.Done())
	}
	unusable(t, tr, network.ErrUnsettled)
	if err := tr.Descend(context.Background(), d, nil); !errors.Is(err, network.ErrUnsettled) {
		t.Errorf("going on: %v", err)
	}
}

// unusable checks that nothing takes the trainer's parameters for those of an
// iteration.
func unusable(t *testing.T, tr *network.Trainer, want error) {
	t.Helper()
	_, parameters := tr.Parameters()
	_, _, evaluate := tr.Evaluate(make([]float64, tr.Layout().Len))
	_, _, score := tr.Score(blobs(3, 5, 3, 7))
	_, logits := tr.Logits(blobs(3, 5, 3, 7))
	_, _, training := tr.ScoreTraining()
	_, scorer := tr.Scorer(blobs(3, 5, 3, 7))
	for what, err := range map[string]error{
		"parameters": parameters, "evaluate": evaluate, "score": score, "logits": logits, "training": training, "scorer": scorer,
		"descend": tr.Descend(context.Background(), network.Descent{Iterations: 1000, LearningRate: 1}, nil),
	} {
		if !errors.Is(err, want) {
			t.Errorf("%s: %v where %v is expected", what, err, want)
		}
	}
	if tr.Settled() {
		t.Error("the trainer is settled")
	}
}

// A network without parameters is not trained from zeros, a failed setting of
// parameters leaves none, and a closed trainer says so.
func TestNoParameters(t *testing.T) {
	l, s := layout(t, 5, 6, 3), blobs(60, 5, 3, 7)
	writes := -1 // of the second backend, until one fails
	var backends []network.Backend
	for i := range 2 {
		b := cpu.New[float64]()
		defer b.Close()
		backends = append(backends, wrapped{b, func(x network.Executor) network.Executor {
			if i == 0 {
				return x
			}
			return faulty{Executor: x, writes: &writes}
		}})
	}
	plan, err := network.NewPlan(l.Sizes, s, s.Rows, backends...)
	must.OK(t, err)
	tr, err := network.NewTrainer(l, s, plan, backends, nil)
	must.OK(t, err)
	unusable(t, tr, network.ErrNoParameters)
	theta := initial(t, l, network.He, 1)
	must.OK(t, tr.SetParameters(theta, 0))
	descend(t, tr, 3, 0)
	writes = 0
	if err := tr.SetParameters(theta, 0); !errors.Is(err, errBroken) {
		t.Errorf("a write that fails: %v", err)
	}
	unusable(t, tr, network.ErrUnsettled)
	must.OK(t, tr.SetParameters(theta, 0))
	descend(t, tr, 3, 0)
	for range 2 {
		if err := tr.Close(); err != nil {
			t.Error(err)
		}
	}
	if err := tr.SetParameters(theta, 0); !errors.Is(err, network.ErrClosed) {
		t.Errorf("after Close: %v", err)
	}
	if _, err := tr.Parameters(); !errors.Is(err, network.ErrClosed) {
		t.Errorf("after Close: %v", err)
	}
}

func TestTrainerRefuses(t *testing.T) {
	l, s := layout(t, 5, 6, 3), blobs(60, 5, 3, 7)
	b := cpu.New[float64]()
	defer b.Close()
	good, err := network.NewPlan(l.Sizes, s, s.Rows, b)
	must.OK(t, err)
	plan := func(change func(*network.ShardPlan)) network.Plan {
		p := good
		p.Shards = []network.ShardPlan{good.Shards[0]}
		change(&p.Shards[0])
		return p
	}
	batches := func(rows int) network.Plan {
		p := good
		p.BatchRows = rows
		return p
	}
	label := s
	label.Labels = append([]int32(nil), s.Labels...)
	label.Labels[7] = 3
	unlabelled := s
	unlabelled.Labels = nil
	scaled := s
	scaled.Scaling = network.Scaling{Shift: []float64{1, 2}, Factor: []float64{1, 2}}
	for _, c := range []struct {
		name    string
		samples network.Samples
		plan    network.Plan
		want    string
	}{
		{"label", label, good, "row 8 has label 3: labels 0 to 2 are expected"},
		{"no labels", unlabelled, good, "no labels"},
		{"no rows", network.Samples{Features: 5, Floats: []float32{}}, good, "no samples"},
		{"features", blobs(60, 4, 3, 1), good, "4 features where the network has 5 inputs"},
		{"scaling", scaled, good, "2 shifts"},
		{"rows", blobs(61, 5, 3, 1), good, "plan is for 60 samples where the data has 61"},
		{"device", s, plan(func(p *network.ShardPlan) { p.Device = "other" }), `plan is for device "other"`},
		{"block rows", s, plan(func(p *network.ShardPlan) { p.BlockRows = 0 }), "blocks of 0"},
		{"too many block rows", s, plan(func(p *network.ShardPlan) { p.BlockRows = 1 << 60 }), "blocks of 1152921504606846976 rows: 1 to 60 are expected"},
		{"score rows", s, plan(func(p *network.ShardPlan) { p.ScoreRows = 1 << 60 }), "scores blocks of 1152921504606846976 rows"},
		{"shard rows", s, plan(func(p *network.ShardPlan) { p.Rows = 59; p.BlockRows = 1 }), "plan covers 59 rows of batches of 60"},
		{"no batch rows", s, batches(0), "batches of 0 rows: 1 to 60 are expected"},
		{"batch rows", s, batches(61), "batches of 61 rows"},
		{"slice", s, batches(30), "shard 0 has 60 rows of a batch from row 0 on"},
		{"build", s, plan(func(p *network.ShardPlan) { p.Build = "sparc" }), `plan is for build "sparc"`},
		{"driver", s, plan(func(p *network.ShardPlan) { p.Driver = "BLAS 0" }), `plan is for driver "BLAS 0"`},
		{"first", s, plan(func(p *network.ShardPlan) { p.First = 1 }), "rows from 0 on are expected"},
		{"sizes", s, network.Plan{Sizes: []int{5, 7, 3}, Shards: good.Shards}, "plan is for a network [5 7 3]"},
		{"shards", s, network.Plan{Sizes: good.Sizes, Rows: 60, BatchRows: 60}, "no shards"},
		{"settings", s, plan(func(p *network.ShardPlan) { p.Settings = []byte(`{"splits":0}`) }), "0 splits"},
	} {
		tr, err := network.NewTrainer(l, c.samples, c.plan, []network.Backend{b}, nil)
		if err == nil {
			tr.Close()
		}
		if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: error %v, want one line with %q", c.name, err, c.want)
		}
	}
	two, err := network.NewPlan(l.Sizes, s, s.Rows, b, b)
	must.OK(t, err)
	for want, backends := range map[string][]network.Backend{
		"shards 0 and 1 have one backend": {b, b}, "2 shards for 1 backends": {b}, "shard 1 has no backend": {b, nil},
	} {
		if _, err := network.NewTrainer(l, s, two, backends, nil); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v: error %v", want, err)
		}
	}
	for _, rows := range []int{0, 1, 61} { // for two backends
		if _, err := network.NewPlan(l.Sizes, s, rows, b, b); err == nil || !strings.Contains(err.Error(), "2 to 60 are possible") {
			t.Errorf("batches of %d rows: %v", rows, err)
		}
	}
	wrong := s
	wrong.Rows = 61
	if _, err := network.NewPlan(l.Sizes, wrong, 60, b); err == nil || !strings.Contains(err.Error(), "61 rows of 5 features") {
		t.Errorf("samples with too few values: %v", err)
	}
	tr := trainer(t, l, s, 32, 60)
	must.OK(t, tr.SetParameters(initial(t, l, network.He, 1), 0))
	for _, rate := range []float64{0, -1, math.NaN(), math.Inf(1)} {
		if err := tr.Descend(context.Background(), network.Descent{Iterations: 1, LearningRate: rate}, nil); err == nil {
			t.Errorf("learning rate %g was accepted", rate)
		}
	}
}

// Initial values depend on sizes, distribution and seed alone, are float32, have
// the distribution's deviation, and leave biases and padding zero.
func TestInitial(t *testing.T) {
	l := layout(t, 300, 50, 10)
	for _, c := range []struct {
		init      network.Init
		deviation float64
	}{{network.Normal, 0.01}, {network.He, math.Sqrt(2.0 / 300)}} {
		theta := initial(t, l, c.init, 1)
		if d := cmp.Diff(theta, initial(t, l, c.init, 1)); d != "" {
			t.Errorf("%s: the same seed gives other values", c.init)
		}
		if cmp.Equal(theta, initial(t, l, c.init, 2)) {
			t.Errorf("%s: another seed gives the same values", c.init)
		}
		covered := make([]bool, l.Len)
		for i := range l.Layers() {
			w, b := l.Layer(i)
			sum, squares := 0.0, 0.0
			for r := range w.Rows {
				for j, v := range w.Row(theta, r) {
					covered[w.Offset+r*w.Stride+j] = true
					if v != float64(float32(v)) {
						t.Fatalf("%s: %g is not a float32", c.init, v)
					}
					sum += v
					squares += v * v
				}
			}
			if n := float64(w.Rows * w.Cols); i == 0 {
				if d := math.Sqrt(squares / n); math.Abs(d/c.deviation-1) > 0.03 || math.Abs(sum/n) > 0.03*c.deviation {
					t.Errorf("%s: mean %g, deviation %g, want 0, %g", c.init, sum/n, d, c.deviation)
				}
			}
			for _, v := range b.Row(theta, 0) {
				if v != 0 {
					t.Errorf("%s: bias %g", c.init, v)
				}
			}
		}
		for i, v := range theta {
			if !covered[i] && v != 0 {
				t.Fatalf("%s: padding %d is %g", c.init, i, v)
			}
		}
	}
	if _, err := l.Initial("uniform", 1); err == nil || !strings.Contains(err.Error(), "uniform") {
		t.Errorf("unknown distribution: %v", err)
	}
}

func TestLayout(t *testing.T) {
	l := layout(t, 3, 17, 2)
	w0, b0 := l.Layer(0)
	w1, b1 := l.Layer(1)
	want := []network.Span{{0, 3, 17, 48}, {144, 1, 17, 48}, {192, 17, 2, 16}, {464, 1, 2, 16}}
	if d := cmp.Diff(want, []network.Span{w0, b0, w1, b1}); d != "" {
		t.Error(d)
	}
	if l.Len != 480 || l.Parameters() != 3*17+17+17*2+2 {
		t.Errorf("length %d, %d parameters", l.Len, l.Parameters())
	}
	// 2·60000·(784·128·2 + 128·10·3), the floor that the project's tables state.
	if f := layout(t, 784, 128, 10).Flops(60000); f != 24545280000 {
		t.Errorf("%.0f floating-point operations for 784-128-10", f)
	}
	for _, sizes := range [][]int{nil, {3}, {3, 0}, {-1, 2}, {1 << 20, 1 << 20}, {1 << 40, 2}} {
		if _, err := network.NewLayout(sizes); err == nil {
			t.Errorf("sizes %v were accepted", sizes)
		}
	}
}

// A model scores and predicts what its trainer trained, in any blocks.
func TestModel(t *testing.T) {
	l, s := layout(t, 5, 12, 3), blobs(90, 5, 3, 1)
	tr := trainer(t, l, s, 40, 90)
	must.OK(t, tr.SetParameters(initial(t, l, network.He, 1), 0))
	descend(t, tr, 100, 0)
	theta, err := tr.Parameters()
	must.OK(t, err)
	wantLoss, wantAccuracy, err := tr.ScoreTraining()
	must.OK(t, err)
	b := cpu.New[float64]()
	defer b.Close()
	plan, err := b.Propose(l.Sizes, s, s.Rows)
	must.OK(t, err)
	plan.ScoreRows = 7
	m, err := network.NewModel(b, l, theta, plan)
	must.OK(t, err)
	defer m.Close()
	loss, accuracy, err := m.Score(s)
	if err != nil || math.Abs(loss-wantLoss) > 1e-12 || accuracy != wantAccuracy {
		t.Errorf("model scores %g, %g, %v; its trainer %g, %g", loss, accuracy, err, wantLoss, wantAccuracy)
	}
	classes, err := m.Predict(s)
	must.OK(t, err)
	correct := 0
	for i, c := range classes {
		if c == int(s.Labels[i]) {
			correct++
		}
	}
	if float64(correct)/90 != accuracy || accuracy < 0.9 {
		t.Errorf("%d of 90 predictions are right, accuracy %g", correct, accuracy)
	}
	s.Labels = nil
	if _, _, err := m.Score(s); !errors.Is(err, network.ErrNoLabels) {
		t.Errorf("score without labels: %v", err)
	}
	if _, err := m.Predict(s); err != nil {
		t.Errorf("predict without labels: %v", err)
	}
}

// Scoring other samples between the pieces of a descent finds what Score finds,
// and leaves the descent its bits.
func TestScorer(t *testing.T) {
	l, s := layout(t, 5, 6, 3), blobs(60, 5, 3, 7)
	other := s.Slice(3, 17)
	whole, pieces := trainer(t, l, s, 32, 60), trainer(t, l, s, 32, 60)
	for _, tr := range []*network.Trainer{whole, pieces} {
		must.OK(t, tr.SetParameters(initial(t, l, network.He, 1), 0))
	}
	want := descend(t, whole, 150, 0)
	scorer, err := pieces.Scorer(other)
	must.OK(t, err)
	defer scorer.Close()
	var got []network.Iteration
	last := math.Inf(1)
	for done := 70; done <= 150; done += 40 {
		got = append(got, descend(t, pieces, done, 0)...)
		loss, accuracy, err := scorer.Score()
		must.OK(t, err)
		if l, a, err := pieces.Score(other); l != loss || a != accuracy || err != nil {
			t.Errorf("after %d iterations the scorer finds %g, %g; Score %g, %g, %v", done, loss, accuracy, l, a, err)
		}
		if !(loss < last) {
			t.Errorf("after %d iterations the loss is %g, before that %g: the parameters are not the present ones", done, loss, last)
		}
		last = loss
	}
	if len(got) != 150 {
		t.Fatalf("%d iterations", len(got))
	}
	for i := range want {
		if got[i].Loss != want[i].Loss || got[i].Number != want[i].Number {
			t.Fatalf("iteration %d: loss %g in pieces, %g in one", i+1, got[i].Loss, want[i].Loss)
		}
	}
	other.Labels = nil
	if _, err := pieces.Scorer(other); !errors.Is(err, network.ErrNoLabels) {
		t.Errorf("a scorer without labels: %v", err)
	}
}

// The tables of ScaledRows hold what Scaling.Apply computes.
func TestScaledRows(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 3))
	s := network.Samples{Rows: 9, Features: 40, Bytes: make([]byte, 360)}
	for i := range s.Bytes {
		s.Bytes[i] = byte(random.Uint32())
	}
	column := network.Scaling{Shift: make([]float64, 40), Factor: make([]float64, 40)}
	for j := range 40 {
		column.Shift[j], column.Factor[j] = random.NormFloat64(), random.NormFloat64()
	}
	for _, scaling := range []network.Scaling{{}, {Shift: []float64{33.3}, Factor: []float64{1.0 / 255}}, column} {
		s.Scaling = scaling
		rows, row := s.ScaledRows(), make([]float32, 40)
		for i := range s.Rows {
			rows(i, row)
			for j, got := range row {
				if want := scaling.Apply(float64(s.Bytes[i*40+j]), j); got != want {
					t.Fatalf("row %d, column %d: %g, want %g", i, j, got, want)
				}
			}
		}
	}
}
