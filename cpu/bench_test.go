package cpu

import (
	"slices"
	"sync"
	"testing"
	"time"

	"gonum.org/v1/gonum/blas"
	"gonum.org/v1/gonum/blas/blas32"

	"clgrad/network"
	"clgrad/network/dataset"
	"clgrad/network/must"
)

// An iteration of 784-128-10 on MNIST.
//
//	go test ./cpu -run '^$' -bench 'Iteration|GemmOnly' -benchtime 3x -count 10
func BenchmarkIteration(b *testing.B) {
	d := newDescent(b)
	for b.Loop() {
		d.iterate(b)
	}
}

// The matrix products of that iteration, and nothing else.
func BenchmarkGemmOnly(b *testing.B) {
	products := newDescent(b).record(b)
	for b.Loop() {
		products.multiply()
	}
}

// How much longer the iteration takes than its products: the two in turns, the
// ratio of their medians.
//
//	go test ./cpu -run '^$' -bench OverGemm -benchtime 20x
func BenchmarkOverGemm(b *testing.B) {
	d := newDescent(b)
	products := d.record(b)
	var iterations, bare []time.Duration
	for b.Loop() {
		begin := time.Now()
		d.iterate(b)
		middle := time.Now()
		products.multiply()
		iterations = append(iterations, middle.Sub(begin))
		bare = append(bare, time.Since(middle))
	}
	median := func(v []time.Duration) float64 {
		slices.Sort(v)
		return (v[(len(v)-1)/2] + v[len(v)/2]).Seconds() / 2
	}
	b.ReportMetric(median(iterations), "s/iteration")
	b.ReportMetric(median(bare), "s/products")
	b.ReportMetric(median(iterations)/median(bare), "ratio")
}

// A descent of 784-128-10 on MNIST, after one iteration.
type descent struct {
	backend *Backend[float32]
	trainer *network.Trainer
}

func newDescent(b *testing.B) *descent {
	b.Helper()
	set, err := dataset.Load(b.Context(), "mnist", dataset.Options{})
	must.OK(b, err)
	set, err = set.Preprocess(dataset.Max)
	must.OK(b, err)
	l, err := network.NewLayout([]int{set.Train.Features, 128, set.Classes})
	must.OK(b, err)
	d := &descent{backend: New[float32]()}
	plan, err := network.NewPlan(l.Sizes, set.Train, set.Train.Rows, d.backend)
	must.OK(b, err)
	d.trainer, err = network.NewTrainer(l, set.Train, plan, []network.Backend{d.backend}, nil)
	must.OK(b, err)
	theta, err := l.Initial(network.Normal, 1)
	must.OK(b, err)
	must.OK(b, d.trainer.SetParameters(theta, 0))
	d.iterate(b)
	return d
}

func (d *descent) iterate(b *testing.B) {
	b.Helper()
	must.OK(b, d.trainer.Descend(b.Context(), network.Descent{Iterations: d.trainer.Done() + 1, LearningRate: 0.1}, nil))
}

// products are the calls of Sgemm of an iteration, in their order.
type products struct {
	blas.Float32
	lock   sync.Mutex
	calls  []func()
	splits []bool               // which calls are parts of a split sum
	side   int                  // parts of a split sum, side by side
	to     map[result][]float32 // the results of a replay
}

// result tells apart the results that an iteration has memory for: those of every
// block go to the same.
type result struct {
	m, n  int
	beta  float32
	trans blas.Transpose
	part  int // of a split sum
}

// record runs an iteration and returns its products with their operands: the
// zeros in them decide how long gonum takes.
func (d *descent) record(b *testing.B) *products {
	b.Helper()
	p := &products{Float32: blas32.Implementation(), side: defaultSettings().Splits, to: map[result][]float32{}}
	blas32.Use(p)
	defer blas32.Use(p.Float32)
	d.iterate(b)
	return p
}

// Sgemm multiplies and records the call. Results of a replay go to memory of their
// own; so do operands that will be overwritten, which the input is not.
func (p *products) Sgemm(ta, tb blas.Transpose, m, n, k int, alpha float32, a []float32, lda int, b []float32, ldb int, beta float32, c []float32, ldc int) {
	own := a
	if lda != 784 {
		own = slices.Clone(a)
	}
	other := slices.Clone(b)
	p.lock.Lock()
	split := ta == blas.Trans && beta == 0
	key := result{m: m, n: n, beta: beta, trans: tb}
	if split {
		key.part = len(p.calls) % p.side
	}
	to := p.to[key]
	if len(to) < len(c) {
		to = make([]float32, len(c))
		p.to[key] = to
	}
	p.calls = append(p.calls, func() {
		p.Float32.Sgemm(ta, tb, m, n, k, alpha, own, lda, other, ldb, beta, to[:len(c)], ldc)
	})
	p.splits = append(p.splits, split)
	p.lock.Unlock()
	p.Float32.Sgemm(ta, tb, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc)
}

// multiply makes the calls, side by side where weightGradient does.
func (p *products) multiply() {
	for i := 0; i < len(p.calls); {
		if !p.splits[i] {
			p.calls[i]()
			i++
			continue
		}
		network.Parallel(p.side, 1, func(s, _ int) { p.calls[i+s]() })
		i += p.side
	}
}
