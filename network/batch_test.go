package network_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"clgrad/cpu"
	"clgrad/network"
	"clgrad/network/must"
)

// A run is what a descent over batches came to.
type run struct {
	iterations []network.Iteration
	theta      []float64
}

// newTrainer returns a trainer with initial parameters over batches of batchRows rows,
// in equal slices on the backends.
func newTrainer(t *testing.T, l network.Layout, s network.Samples, batchRows int, shuffle bool, r network.Reducer, backends ...network.Backend) *network.Trainer {
	t.Helper()
	var all []network.Backend // a plan needs them all
	for _, b := range backends {
		if b == nil {
			b = cpu.New[float64]()
		}
		all = append(all, b)
	}
	plan, err := network.NewPlan(l.Sizes, s, batchRows, all...)
	must.OK(t, err)
	plan.Shuffle, plan.Seed = shuffle, 5
	for i := range plan.Shards {
		plan.Shards[i].BlockRows = min(plan.Shards[i].BlockRows, 7)
	}
	tr, err := network.NewTrainer(l, s, plan, backends, r)
	must.OK(t, err)
	must.OK(t, tr.SetParameters(initial(t, l, network.He, 1), 0))
	return tr
}

// train runs iterations and closes the trainer.
func train(t *testing.T, tr *network.Trainer, iterations int) (r run) {
	t.Helper()
	r.iterations = descend(t, tr, iterations, 0)
	var err error
	r.theta, err = tr.Parameters()
	must.OK(t, err)
	if err := tr.Close(); err != nil {
		t.Error(err)
	}
	return r
}

// near reports where two runs differ by more than rounding.
func near(t *testing.T, what string, a, b run, tolerance float64) {
	t.Helper()
	if len(a.iterations) != len(b.iterations) {
		t.Fatalf("%s: %d and %d iterations", what, len(a.iterations), len(b.iterations))
	}
	for i, x := range a.iterations {
		if y := b.iterations[i]; math.Abs(x.Loss-y.Loss) > tolerance || x.Number != y.Number || x.Rows != y.Rows || x.Correct != y.Correct {
			t.Fatalf("%s: iteration %d is %+v, and %+v", what, i+1, x, y)
		}
	}
	for i, v := range a.theta {
		if math.Abs(v-b.theta[i]) > tolerance {
			t.Fatalf("%s: parameter %d is %g, and %g", what, i, v, b.theta[i])
		}
	}
}

// Batches are the rows in their order, the last one short; an epoch visits each of them
// once. A plain loop over trainers of one batch each does the same.
func TestBatches(t *testing.T) {
	l, s := layout(t, 5, 6, 3), blobs(53, 5, 3, 7)
	const batchRows, batches = 10, 6 // the last has 3 rows
	want := run{theta: initial(t, l, network.He, 1)}
	for i := range 3 * batches {
		first := i % batches * batchRows
		part := s.Slice(first, min(batchRows, s.Rows-first))
		tr := newTrainer(t, l, part, part.Rows, false, nil, cpu.New[float64]())
		must.OK(t, tr.SetParameters(want.theta, i))
		one := train(t, tr, i+1)
		want.iterations = append(want.iterations, one.iterations...)
		want.theta = one.theta
	}
	got := train(t, newTrainer(t, l, s, batchRows, false, nil, cpu.New[float64]()), 3*batches)
	if d := cmp.Diff(want.iterations, got.iterations) + cmp.Diff(want.theta, got.theta); d != "" {
		t.Errorf("batches differ from runs over each of them:\n%s", d)
	}
	if rows := got.iterations[5].Rows; rows != 3 {
		t.Errorf("the last batch has %d rows", rows)
	}

	shuffled := train(t, newTrainer(t, l, s, batchRows, true, nil, cpu.New[float64]()), 4*batches)
	var orders [4]string
	for i, it := range shuffled.iterations {
		orders[i/batches] += fmt.Sprint(it.Rows, " ")
	}
	if orders[0] == orders[1] && orders[1] == orders[2] && orders[2] == orders[3] {
		t.Errorf("every epoch has one order: %s", orders[0])
	}
	plan := network.Plan{Rows: s.Rows, BatchRows: batchRows, Shuffle: true, Seed: 5}
	for epoch, order := range orders {
		if rows := strings.Trim(fmt.Sprint(plan.EpochRows(epoch)), "[]") + " "; rows != order {
			t.Errorf("the plan says that the batches of epoch %d have %s rows, they have %s", epoch, rows, order)
		}
	}
	// A run that is interrupted within an epoch goes on with the same batches.
	tr := newTrainer(t, l, s, batchRows, true, nil, cpu.New[float64]())
	half := train(t, tr, 9)
	tr = newTrainer(t, l, s, batchRows, true, nil, cpu.New[float64]())
	must.OK(t, tr.SetParameters(half.theta, 9))
	rest := train(t, tr, 4*batches)
	if d := cmp.Diff(shuffled.theta, rest.theta); d != "" {
		t.Errorf("the run that went on differs:\n%s", d)
	}
}

// A shuffled epoch visits every batch once, in an order of its own: parameters that do not
// move tell the batches apart by their losses.
func TestShuffledEpochs(t *testing.T) {
	l, s := layout(t, 5, 6, 3), blobs(53, 5, 3, 7)
	const epochs, batches = 4, 6
	losses := func(shuffle bool) (of [epochs][]float64) {
		tr := newTrainer(t, l, s, 10, shuffle, nil, cpu.New[float64]())
		defer tr.Close()
		d := network.Descent{Iterations: epochs * batches, LearningRate: 1e-300}
		if err := tr.Descend(context.Background(), d, func(i network.Iteration) error {
			epoch := (i.Number - 1) / batches
			of[epoch] = append(of[epoch], i.Loss)
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		return of
	}
	want := slices.Sorted(slices.Values(losses(false)[0]))
	seen := map[string]bool{}
	for epoch, order := range losses(true) {
		seen[fmt.Sprint(order)] = true
		if d := cmp.Diff(want, slices.Sorted(slices.Values(order))); d != "" || len(slices.Compact(slices.Clone(want))) != batches {
			t.Errorf("epoch %d does not visit each batch once:\n%s", epoch+1, d)
		}
	}
	if len(seen) != epochs {
		t.Errorf("%d epochs have %d orders", epochs, len(seen))
	}
}

// Two shards, each with its slice of every batch, are one, up to rounding; in the short
// last batch the second has a row less, or none. Twice is the same bits.
func TestSlicesOfBatches(t *testing.T) {
	l := layout(t, 5, 6, 3)
	for _, rows := range []int{60, 53, 57, 51} { // a last batch of 20, 13, 17 and 11 rows, or none for the second shard
		s := blobs(rows, 5, 3, 7)
		for _, batchRows := range []int{20, rows} {
			two := func() run {
				return train(t, newTrainer(t, l, s, batchRows, true, nil, cpu.New[float64](), cpu.New[float64]()), 25)
			}
			what := fmt.Sprintf("%d rows in batches of %d", rows, batchRows)
			got := two()
			near(t, what, train(t, newTrainer(t, l, s, batchRows, true, nil, cpu.New[float64]()), 25), got, 1e-12)
			if again := two(); !cmp.Equal(got.theta, again.theta) || !cmp.Equal(got.iterations, again.iterations) {
				t.Errorf("%s: a second run differs", what)
			}
		}
	}
	// A slice that the last batch does not reach.
	s := blobs(45, 5, 3, 7)
	near(t, "no rows for the second shard", train(t, newTrainer(t, l, s, 20, false, nil, cpu.New[float64]()), 9),
		train(t, newTrainer(t, l, s, 20, false, nil, cpu.New[float64](), cpu.New[float64]()), 9), 1e-12)
	// Shards of different precision stay together.
	mixed := train(t, newTrainer(t, l, s, 20, false, nil, cpu.New[float32](), cpu.New[float64]()), 9)
	near(t, "mixed", train(t, newTrainer(t, l, s, 20, false, nil, cpu.New[float64]()), 9), mixed, 1e-5)
}

// lazy is an executor that does its work only when it is waited for.
type lazy struct {
	network.Executor
	queue *[]func() error
}

func (x lazy) later(f func() error) error {
	*x.queue = append(*x.queue, f)
	return nil
}

func (x lazy) wait() error {
	var errs []error
	for _, f := range *x.queue {
		errs = append(errs, f())
	}
	*x.queue = nil
	return errors.Join(errs...)
}

func (x lazy) Read(src network.Buffer, offset int, dst []float64) error {
	return errors.Join(x.wait(), x.Executor.Read(src, offset, dst))
}

func (x lazy) ReadRecords(r network.Recorder, first int, dst []network.Record) (int, error) {
	if err := x.wait(); err != nil {
		return 0, err
	}
	return x.Executor.ReadRecords(r, first, dst)
}

func (x lazy) Write(dst network.Buffer, offset int, src []float64) error {
	return errors.Join(x.wait(), x.Executor.Write(dst, offset, src))
}

func (x lazy) Clear(b network.Buffer) error {
	return x.later(func() error { return x.Executor.Clear(b) })
}

func (x lazy) Forward(r network.Rows, w, b network.Matrix, act network.Activation, h network.Matrix) error {
	return x.later(func() error { return x.Executor.Forward(r, w, b, act, h) })
}

func (x lazy) SoftmaxCrossEntropy(z network.Matrix, y network.Block, m int, r network.Recorder, record int) error {
	return x.later(func() error { return x.Executor.SoftmaxCrossEntropy(z, y, m, r, record) })
}

func (x lazy) WeightGradient(r network.Rows, dz network.Matrix, add bool, dw, db network.Matrix) error {
	return x.later(func() error { return x.Executor.WeightGradient(r, dz, add, dw, db) })
}

func (x lazy) InputGradient(dz, w, y, dx network.Matrix) error {
	return x.later(func() error { return x.Executor.InputGradient(dz, w, y, dx) })
}

func (x lazy) Update(u network.Update, theta, g network.Vector, state []network.Vector, r network.Recorder) error {
	return x.later(func() error { return x.Executor.Update(u, theta, g, state, r) })
}

func lazily() network.Backend {
	return wrapped{cpu.New[float64](), func(x network.Executor) network.Executor { return lazy{x, new([]func() error)} }}
}

// A device that works behind the host gives the same bits: nothing is taken for done,
// or written over, before it was waited for.
func TestAsynchronous(t *testing.T) {
	l, s := layout(t, 5, 6, 3), blobs(53, 5, 3, 7)
	for _, batchRows := range []int{53, 10} {
		for _, n := range []int{1, 2} {
			var eager, behind []network.Backend
			for range n {
				eager, behind = append(eager, cpu.New[float64]()), append(behind, lazily())
			}
			want := newTrainer(t, l, s, batchRows, true, nil, eager...)
			got := newTrainer(t, l, s, batchRows, true, nil, behind...)
			for _, tr := range []*network.Trainer{want, got} {
				descend(t, tr, 70, 0)
			}
			a, _, err := want.Score(s)
			must.OK(t, err)
			b, _, err := got.Score(s)
			if err != nil || a != b {
				t.Errorf("loss %g, and %g, %v", a, b, err)
			}
			x, y := train(t, want, 150), train(t, got, 150)
			if d := cmp.Diff(x.theta, y.theta) + cmp.Diff(x.iterations, y.iterations); d != "" {
				t.Errorf("batches of %d, %d shards:\n%s", batchRows, n, d)
			}
		}
	}
}

// A ring joins trainers on several goroutines of a test, as ranks would be.
type ring struct {
	n       int
	lock    sync.Mutex
	meeting *meeting
}

// A meeting is one exchange: everybody brings something, and gets what all brought.
type meeting struct {
	left   int
	parts  []any
	failed error
	done   chan struct{}
}

// rank is one process of a ring.
type rank struct {
	*ring
	index int
}

func (r rank) meet(part any, failed error) ([]any, error) {
	r.lock.Lock()
	m := r.meeting
	if m == nil {
		m = &meeting{left: r.n, parts: make([]any, r.n), done: make(chan struct{})}
		r.meeting = m
	}
	m.parts[r.index] = part
	m.failed = errors.Join(m.failed, failed)
	if m.left--; m.left == 0 {
		r.meeting = nil
		close(m.done)
	}
	r.lock.Unlock()
	select {
	case <-m.done:
		return m.parts, m.failed
	case <-time.After(10 * time.Second):
		return nil, errors.New("a rank is left waiting")
	}
}

func (r rank) Slice(n int) (from, end int) {
	at := func(i int) int { return i * (n / network.Align) / r.n * network.Align }
	return at(r.index), at(r.index + 1)
}

func (r rank) Sum(parts [][]float64, failed error, sum []float64) error {
	all, err := r.meet(parts, failed)
	if err != nil {
		return err
	}
	var ordered [][]float64
	for _, p := range all {
		ordered = append(ordered, p.([][]float64)...)
	}
	from, end := r.Slice(len(ordered[0]))
	network.AddInOrder(ordered, from, sum[:end-from])
	_, err = r.meet(nil, nil) // until all have added
	return err
}

func (r rank) Gather(theta []float64, failed error) error {
	all, err := r.meet(theta, failed)
	if err != nil {
		return err
	}
	for i, p := range all {
		from, end := rank{r.ring, i}.Slice(len(theta))
		if i != r.index {
			copy(theta[from:end], p.([]float64)[from:end])
		}
	}
	_, err = r.meet(nil, nil)
	return err
}

func (r rank) Join(s network.Status, failed error) (network.Status, error) {
	all, err := r.meet(s, failed)
	if err != nil {
		return s, err
	}
	joined := network.Status{Records: make([]network.Record, len(s.Records)), Next: all[0].(network.Status).Next}
	for _, p := range all {
		s := p.(network.Status)
		for i, x := range s.Records {
			joined.Records[i].Loss += x.Loss
			joined.Records[i].Correct += x.Correct
		}
		joined.Stop = joined.Stop || s.Stop
		if s.NonFinite > 0 && (joined.NonFinite == 0 || s.NonFinite < joined.NonFinite) {
			joined.NonFinite = s.NonFinite
		}
	}
	return joined, nil
}

// joined runs two ranks, the first with one shard and the second with two, and returns
// what each of them came to.
func joined(t *testing.T, l network.Layout, s network.Samples, iterations int, rate float64, change func(i int, tr *network.Trainer) (context.Context, func(network.Iteration) error), second ...network.Backend) (errs [2]error, runs [2]run) {
	t.Helper()
	r := &ring{n: 2}
	var all sync.WaitGroup
	for i, backends := range [][]network.Backend{{cpu.New[float64](), nil, nil}, append([]network.Backend{nil}, second...)} {
		tr := newTrainer(t, l, s, 20, true, rank{r, i}, backends...)
		all.Go(func() {
			ctx, report := change(i, tr)
			errs[i] = tr.Descend(ctx, network.Descent{Iterations: iterations, LearningRate: rate}, func(x network.Iteration) error {
				x.Elapsed = 0
				runs[i].iterations = append(runs[i].iterations, x)
				return report(x)
			})
			runs[i].theta, _ = tr.Parameters()
		})
	}
	all.Wait()
	return errs, runs
}

// Shards in several processes are shards in one, and whatever ends one process ends the
// others: none is left waiting.
func TestJoined(t *testing.T) {
	l, s := layout(t, 5, 6, 3), blobs(53, 5, 3, 7)
	none := func(network.Iteration) error { return nil }
	plain := func(int, *network.Trainer) (context.Context, func(network.Iteration) error) {
		return context.Background(), none
	}
	two := func() []network.Backend { return []network.Backend{cpu.New[float64](), cpu.New[float64]()} }

	errs, runs := joined(t, l, s, 80, 0.2, plain, two()...)
	if errs[0] != nil || errs[1] != nil {
		t.Fatal(errs)
	}
	three := train(t, newTrainer(t, l, s, 20, true, nil, cpu.New[float64](), cpu.New[float64](), cpu.New[float64]()), 80)
	for i, r := range runs {
		near(t, fmt.Sprintf("rank %d", i), three, r, 1e-12)
	}
	if d := cmp.Diff(runs[0].theta, runs[1].theta); d != "" {
		t.Errorf("the ranks' parameters differ:\n%s", d)
	}

	// One rank is told to stop.
	ctx, cancel := context.WithCancel(context.Background())
	errs, runs = joined(t, l, s, 100000, 0.2, func(i int, _ *network.Trainer) (context.Context, func(network.Iteration) error) {
		if i == 0 {
			return context.Background(), none
		}
		return ctx, func(x network.Iteration) error {
			if x.Number == 30 {
				cancel()
			}
			return nil
		}
	}, two()...)
	if !errors.Is(errs[0], network.ErrStopped) || !errors.Is(errs[1], context.Canceled) || len(runs[0].iterations) != len(runs[1].iterations) {
		t.Errorf("a rank that was told to stop: %v after %d and %d iterations", errs, len(runs[0].iterations), len(runs[1].iterations))
	}

	// One rank's device fails, one rank's report does.
	broken := wrapped{cpu.New[float64](), func(x network.Executor) network.Executor { return faulty{Executor: x, losses: new(55)} }}
	errs, _ = joined(t, l, s, 100000, 0.2, plain, broken, cpu.New[float64]())
	if !errors.Is(errs[0], errBroken) || !errors.Is(errs[1], errBroken) {
		t.Errorf("a rank whose device fails: %v", errs)
	}
	// It fails as it takes over the parameters, in the middle of a window or at its end.
	for left := range 12 {
		deaf := wrapped{cpu.New[float64](), func(x network.Executor) network.Executor { return faulty{Executor: x, writes: new(1 + left)} }}
		if errs, _ = joined(t, l, s, 100000, 0.2, plain, cpu.New[float64](), deaf); !errors.Is(errs[0], errBroken) || !errors.Is(errs[1], errBroken) {
			t.Errorf("a rank whose device fails behind an exchange, write %d: %v", left, errs)
		}
	}
	errs, _ = joined(t, l, s, 100000, 0.2, func(i int, _ *network.Trainer) (context.Context, func(network.Iteration) error) {
		return context.Background(), func(x network.Iteration) error {
			if i == 1 && x.Number == 40 {
				return errBroken
			}
			return nil
		}
	}, two()...)
	if !errors.Is(errs[0], errBroken) || !errors.Is(errs[1], errBroken) {
		t.Errorf("a rank whose report fails: %v", errs)
	}

	// A report fails in the window at whose end the other rank asked to stop.
	ctx, cancel = context.WithCancel(context.Background())
	cancel()
	errs, _ = joined(t, l, s, 100000, 0.2, func(i int, _ *network.Trainer) (context.Context, func(network.Iteration) error) {
		if i == 0 {
			return ctx, none
		}
		return context.Background(), func(network.Iteration) error { return errBroken }
	}, two()...)
	if !errors.Is(errs[0], context.Canceled) || errs[1] != errBroken {
		t.Errorf("a rank whose report fails as the other stops: %v", errs)
	}

	// Numbers that are not finite end both at one iteration.
	errs, runs = joined(t, l, s, 1000, 1e300, plain, two()...)
	var a, b *network.NonFiniteError
	if !errors.As(errs[0], &a) || !errors.As(errs[1], &b) || a.Iteration != b.Iteration || len(runs[0].iterations) != a.Iteration-1 {
		t.Errorf("not finite: %v", errs)
	}
}

// What several processes compute of all samples is of all samples, and alike in each.
func TestJoinedEvaluate(t *testing.T) {
	l, s := layout(t, 5, 6, 3), blobs(53, 5, 3, 7)
	type result struct {
		loss, accuracy, mean float64
		correct              int
		gradient             []float64
	}
	evaluate := func(tr *network.Trainer) (r result, err error) {
		r.gradient = make([]float64, l.Len)
		if r.mean, r.correct, err = tr.Evaluate(r.gradient); err != nil {
			return r, err
		}
		r.loss, r.accuracy, err = tr.ScoreTraining()
		return r, err
	}
	one := newTrainer(t, l, s, 20, true, nil, cpu.New[float64](), cpu.New[float64](), cpu.New[float64]())
	defer one.Close()
	want, err := evaluate(one)
	must.OK(t, err)
	each := func(second network.Backend) (results [2]result, errs [2]error) {
		r := &ring{n: 2}
		var all sync.WaitGroup
		for i, backends := range [][]network.Backend{{cpu.New[float64](), nil, nil}, {nil, second, cpu.New[float64]()}} {
			tr := newTrainer(t, l, s, 20, true, rank{r, i}, backends...)
			all.Go(func() {
				results[i], errs[i] = evaluate(tr)
				tr.Close()
			})
		}
		all.Wait()
		return results, errs
	}
	results, errs := each(cpu.New[float64]())
	for i, got := range results {
		if errs[i] != nil {
			t.Fatal(errs[i])
		}
		if d := cmp.Diff(want, got, cmp.AllowUnexported(result{}), cmpopts.EquateApprox(0, 1e-13)); d != "" {
			t.Errorf("rank %d differs from one process:\n%s", i, d)
		}
	}
	if d := cmp.Diff(results[0], results[1], cmp.AllowUnexported(result{})); d != "" {
		t.Errorf("the ranks differ:\n%s", d)
	}
	broken := wrapped{cpu.New[float64](), func(x network.Executor) network.Executor { return faulty{Executor: x, losses: new(0)} }}
	if _, errs = each(broken); !errors.Is(errs[0], errBroken) || !errors.Is(errs[1], errBroken) {
		t.Errorf("a rank whose device fails: %v", errs)
	}
}

// crooked is a reducer whose slices do not begin where vectors can be cut.
type crooked struct{ rank }

func (crooked) Slice(n int) (from, end int) { return 3, n }

func TestSliceIsChecked(t *testing.T) {
	l, s := layout(t, 5, 6, 3), blobs(53, 5, 3, 7)
	b := cpu.New[float64]()
	plan, err := network.NewPlan(l.Sizes, s, s.Rows, b)
	must.OK(t, err)
	_, err = network.NewTrainer(l, s, plan, []network.Backend{b}, crooked{rank{&ring{n: 1}, 0}})
	if err == nil || !strings.Contains(err.Error(), "elements 3 to") {
		t.Errorf("a slice from element 3 on: %v", err)
	}
}
