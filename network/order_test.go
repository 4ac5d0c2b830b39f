package network_test

import (
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"clgrad/cpu"
	"clgrad/network"
	"clgrad/network/dataset"
	"clgrad/network/must"
)

// strokes returns labelled bytes: each class has features of its own, which are not 0
// in most of its rows, and few others. Class classOf(i) is that of row i.
func strokes(rows, features, classes int, seed uint64, classOf func(int) int) network.Samples {
	random := rand.New(rand.NewPCG(seed, 2))
	s := network.Samples{Rows: rows, Features: features, Bytes: make([]uint8, rows*features), Labels: make([]int32, rows),
		Scaling: network.Scaling{Shift: []float64{0}, Factor: []float64{1. / 255}}}
	for i := range rows {
		y := classOf(i)
		s.Labels[i] = int32(y)
		for j := range features {
			if share := random.Float64(); j*classes/features == y && share < 0.8 || share < 0.05 {
				s.Bytes[i*features+j] = uint8(1 + random.IntN(255))
			}
		}
	}
	return s
}

// sortedBy returns a classOf that has the classes one after the other.
func sortedBy(rows, classes int) func(int) int { return func(i int) int { return i * classes / rows } }

// mixed returns a classOf that takes turns.
func mixed(classes int) func(int) int { return func(i int) int { return i % classes } }

func permutation(t testing.TB, o network.Order, s network.Samples, batchRows int, seed uint64) []int32 {
	t.Helper()
	order, err := o.Permutation(s, batchRows, seed)
	must.OK(t, err)
	return order
}

// counting returns 0 … n−1.
func counting(n int) []int32 {
	order := make([]int32, n)
	for i := range order {
		order[i] = int32(i)
	}
	return order
}

// share returns the share of (group, feature) pairs in which a row has no 0, for groups
// of the given number of rows in this order.
func share(s network.Samples, order []int32, rows int) float64 {
	pairs, groups := 0, 0
	for ; len(order) > 0; order = order[min(rows, len(order)):] {
		groups++
		for j := range s.Features {
			if slices.ContainsFunc(order[:min(rows, len(order))], func(i int32) bool { return s.Bytes[int(i)*s.Features+j] != 0 }) {
				pairs++
			}
		}
	}
	return float64(pairs) / float64(groups*s.Features)
}

// Every order has each row once, and the same ones on any number of processors.
func TestOrderIsPermutation(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(0))
	rapid.Check(t, func(r *rapid.T) {
		rows := rapid.OneOf(rapid.SampledFrom([]int{1, 5, 11, 12, 13, 24, 120, 121}), rapid.IntRange(1, 600)).Draw(r, "rows")
		features := rapid.OneOf(rapid.SampledFrom([]int{1, 7, 8, 63, 64, 65, 130}), rapid.IntRange(1, 40)).Draw(r, "features")
		classes := rapid.IntRange(1, 4).Draw(r, "classes")
		s := strokes(rows, features, classes, rapid.Uint64().Draw(r, "data"), mixed(classes))
		if rapid.IntRange(0, 9).Draw(r, "empty") == 0 {
			clear(s.Bytes)
		}
		batchRows := rapid.IntRange(1, rows).Draw(r, "batch rows")
		o := rapid.SampledFrom([]network.Order{network.Given, network.Random, network.Similar, network.Spread}).Draw(r, "order")
		seed := rapid.Uint64().Draw(r, "seed")
		before := slices.Clone(s.Bytes)
		runtime.GOMAXPROCS(1)
		order := permutation(t, o, s, batchRows, seed)
		runtime.GOMAXPROCS(5)
		if again := permutation(t, o, s, batchRows, seed); !slices.Equal(order, again) {
			r.Fatalf("order is %v, and %v with more processors", order, again)
		}
		if o == network.Given && order != nil {
			r.Fatalf("the given order is %v", order)
		}
		if sorted := slices.Sorted(slices.Values(order)); order != nil && !slices.Equal(sorted, counting(rows)) {
			r.Fatalf("%v is no permutation of %d rows", order, rows)
		}
		if !slices.Equal(before, s.Bytes) {
			r.Fatal("the samples changed")
		}
	})
}

// Orders that were stored are found again on every machine and by every later program.
func TestOrderIsFixed(t *testing.T) {
	b := cpu.New[float64]()
	defer b.Close()
	s := strokes(5003, 70, 5, 1, mixed(5)) // enough rows for halves side by side
	for _, c := range []struct {
		order     network.Order
		batchRows int
		digest    string
	}{
		{network.Given, 100, ""},
		{network.Random, 100, "e35dd66876effef5"},
		{network.Similar, 100, "1e53719ad676ac04"},
		{network.Similar, 5003, "9d87ee327af4a733"},
		{network.Spread, 5003, "2ba86678ec03ad43"},
	} {
		plan, err := network.NewOrderedPlan([]int{70, 5}, s, c.batchRows, c.order, 3, b)
		must.OK(t, err)
		if plan.OrderDigest != c.digest || plan.Order != c.order || plan.Seed != 3 {
			t.Errorf("order %q, batches of %d rows: plan has order %q, digest %q and seed %d, want %q", c.order, c.batchRows, plan.Order, plan.OrderDigest, plan.Seed, c.digest)
		}
	}
}

func TestRandomOrder(t *testing.T) {
	s := blobs(1000, 2, 2, 1)
	one, two := permutation(t, network.Random, s, 10, 1), permutation(t, network.Random, s, 10, 2)
	if slices.Equal(one, two) || slices.Equal(one, counting(1000)) {
		t.Error("the seed decides nothing")
	}
}

// Groups of similar rows are of one class each, however the classes stand in the data,
// and have fewer features than the given order leaves.
func TestSimilarGroups(t *testing.T) {
	const classes = 3
	for name, rows := range map[string]int{"two groups": 24, "a leaf": 108, "levels": 3600} {
		for _, classOf := range []func(int) int{mixed(classes), sortedBy(rows, classes)} {
			s := strokes(rows, 90, classes, 4, classOf)
			order := permutation(t, network.Similar, s, rows, 0)
			pure := 0
			for g := 0; g < rows; g += 12 {
				same := 0
				for _, i := range order[g : g+12] {
					if s.Labels[i] == s.Labels[order[g]] {
						same++
					}
				}
				if same == 12 {
					pure++
				}
			}
			// A half may end within a class.
			if most := rows / 12; pure < most*3/4 && rows > 24 {
				t.Errorf("%s: %d of %d groups are of one class", name, pure, most)
			}
			for _, r := range []int{6, 12} {
				if given, similar := share(s, counting(rows), r), share(s, order, r); !(similar < given) {
					t.Errorf("%s, groups of %d: %.3f of the pairs are left where the given order leaves %.3f", name, r, similar, given)
				}
			}
		}
	}
}

// Rows that do not differ stay where they are.
func TestSimilarTies(t *testing.T) {
	for _, rows := range []int{1, 5, 12, 13, 500} {
		s := network.Samples{Rows: rows, Features: 9, Bytes: make([]uint8, rows*9)}
		for i := range s.Bytes {
			if i%9 < 4 {
				s.Bytes[i] = uint8(1 + i%200) // values differ, which counts nothing
			}
		}
		if order := permutation(t, network.Similar, s, rows, 0); !slices.Equal(order, counting(rows)) {
			t.Errorf("%d rows alike are in the order %v", rows, order)
		}
	}
}

// Rows stay within their window, and a window without zeros stays as it is.
func TestSimilarWindows(t *testing.T) {
	const window = 65520
	s := strokes(2*window+100, 8, 2, 5, mixed(2))
	for i := range s.Bytes[:window*8] {
		s.Bytes[i] |= 1
	}
	order := permutation(t, network.Similar, s, s.Rows, 0)
	if !slices.Equal(order[:window], counting(window)) {
		t.Error("a window without zeros has another order")
	}
	for w, rows := range [][]int32{order[window : 2*window], order[2*window:]} {
		first := int32((w + 1) * window)
		sorted := slices.Sorted(slices.Values(rows))
		if sorted[0] != first || int(sorted[len(rows)-1]) != int(first)+len(rows)-1 {
			t.Errorf("window %d has rows %d … %d", w+1, sorted[0], sorted[len(rows)-1])
		}
		if slices.Equal(sorted, rows) {
			t.Errorf("window %d has the given order", w+1)
		}
	}
}

// Nothing moves where nothing can be skipped, and the plan says so.
func TestSimilarWithoutZeros(t *testing.T) {
	dense := strokes(100, 8, 2, 5, mixed(2))
	for i := range dense.Bytes {
		dense.Bytes[i] |= 1
	}
	b := cpu.New[float64]()
	defer b.Close()
	for name, s := range map[string]network.Samples{"floats": blobs(100, 8, 2, 5), "dense": dense} {
		plan, err := network.NewOrderedPlan([]int{8, 2}, s, 100, network.Similar, 0, b)
		if err != nil || plan.Order != network.Given || plan.OrderDigest != "" || plan.Permutation != nil {
			t.Errorf("%s: order %q, digest %q, %d rows, %v", name, plan.Order, plan.OrderDigest, len(plan.Permutation), err)
		}
	}
}

// Each batch has as many whole groups of similar rows as fit, from all over the data.
func TestSimilarBatches(t *testing.T) {
	s := strokes(1003, 90, 3, 4, mixed(3))
	full := permutation(t, network.Similar, s, s.Rows, 1)
	groupOf := make([]int, s.Rows)
	for i, row := range full {
		groupOf[row] = i / 12
	}
	for _, batchRows := range []int{5, 12, 60, 100, 128, 1002} {
		order := permutation(t, network.Similar, s, batchRows, 1)
		for b := 0; b+batchRows <= s.Rows; b += batchRows {
			for g := b; g+12 <= b+batchRows; g += 12 {
				for _, row := range order[g : g+12] {
					if groupOf[row] != groupOf[order[g]] {
						t.Fatalf("batches of %d: rows %v are of several groups", batchRows, order[g:g+12])
					}
				}
			}
		}
		if other := permutation(t, network.Similar, s, batchRows, 2); slices.Equal(order, other) {
			t.Errorf("batches of %d: the seed decides nothing", batchRows)
		}
	}
	// Neighbours in the full batch are of one class; batches are not.
	order := permutation(t, network.Similar, s, 60, 1)
	for b := 0; b+60 <= s.Rows; b += 60 {
		classes := map[int32]bool{}
		for _, row := range order[b : b+60] {
			classes[s.Labels[row]] = true
		}
		if len(classes) == 1 {
			t.Errorf("the batch of rows %v has one class", order[b:b+60])
		}
	}
}

// ordered returns the samples in another order.
func ordered(s network.Samples, order []int32) network.Samples {
	o := s
	o.Bytes, o.Floats, o.Labels = nil, nil, nil
	for _, i := range order {
		row := s.Slice(int(i), 1)
		o.Bytes, o.Floats, o.Labels = append(o.Bytes, row.Bytes...), append(o.Floats, row.Floats...), append(o.Labels, row.Labels...)
	}
	return o
}

// orderedTrainer returns a trainer with initial parameters over the plan for an order,
// and the plan as a file has it.
func orderedTrainer(t *testing.T, l network.Layout, s network.Samples, batchRows int, o network.Order, change func(*network.Plan), backends ...network.Backend) *network.Trainer {
	t.Helper()
	plan, err := network.NewOrderedPlan(l.Sizes, s, batchRows, o, 5, backends...)
	must.OK(t, err)
	for i := range plan.Shards {
		plan.Shards[i].BlockRows = min(plan.Shards[i].BlockRows, 7)
	}
	plan.Shuffle = true
	if change != nil {
		change(&plan)
	}
	tr, err := network.NewTrainer(l, s, plan, backends, nil)
	must.OK(t, err)
	must.OK(t, tr.SetParameters(initial(t, l, network.He, 1), 0))
	return tr
}

// storedOrders has a plan's way through a file.
func storedOrders(t *testing.T) func(*network.Plan) {
	return func(p *network.Plan) {
		text, err := json.Marshal(p)
		must.OK(t, err)
		*p = network.Plan{}
		must.OK(t, json.Unmarshal(text, p))
		if p.Permutation != nil {
			t.Fatal("a stored plan has its permutation")
		}
	}
}

// Batch b has the rows that the permutation says: training is, to the bit, that on
// samples which stand in this order. So is it with the plan as a file has it, and with a
// permutation that is not the plan's.
func TestTrainInOrder(t *testing.T) {
	l := layout(t, 30, 6, 3)
	open := func(shards int) (all []network.Backend) {
		for range shards {
			b := cpu.New[float64]()
			t.Cleanup(func() { b.Close() })
			all = append(all, b)
		}
		return all
	}
	foreign := func(p *network.Plan) { p.Permutation = counting(p.Rows) }
	for name, s := range map[string]network.Samples{"bytes": strokes(203, 30, 3, 4, mixed(3)), "floats": blobs(203, 30, 3, 4)} {
		for _, o := range []network.Order{network.Random, network.Similar, network.Spread} {
			for _, batchRows := range []int{40, 203} {
				for _, shards := range []int{1, 2} {
					order := permutation(t, o, s, batchRows, 5)
					if order == nil {
						order = counting(s.Rows)
					}
					want := train(t, orderedTrainer(t, l, ordered(s, order), batchRows, network.Given, nil, open(shards)...), 12)
					for what, change := range map[string]func(*network.Plan){"new": nil, "stored": storedOrders(t), "foreign": foreign} {
						got := train(t, orderedTrainer(t, l, s, batchRows, o, change, open(shards)...), 12)
						if d := cmp.Diff(want.iterations, got.iterations) + cmp.Diff(want.theta, got.theta); d != "" {
							t.Errorf("%s, order %q, batches of %d on %d shards, %s plan:\n%s", name, o, batchRows, shards, what, d)
						}
					}
				}
			}
		}
	}
}

// The full batch has the same loss and gradient in any order, but for rounding; what is
// predicted keeps its own order.
func TestOrderKeepsLoss(t *testing.T) {
	l, s := layout(t, 30, 6, 3), strokes(500, 30, 3, 4, mixed(3))
	b := cpu.New[float64]()
	defer b.Close()
	results := map[network.Order][]float64{}
	logits := map[network.Order][]float64{}
	for _, o := range []network.Order{network.Given, network.Random, network.Similar, network.Spread} {
		tr := orderedTrainer(t, l, s, s.Rows, o, nil, b)
		g := make([]float64, l.Len)
		loss, correct, err := tr.Evaluate(g)
		must.OK(t, err)
		results[o] = append(g, loss, float64(correct))
		logits[o], err = tr.Logits(s)
		must.OK(t, err)
		must.OK(t, tr.Close())
		for i, v := range results[o] {
			if want := results[network.Given][i]; math.Abs(v-want) > 1e-14*max(1, math.Abs(want)) {
				t.Errorf("order %q: result %d is %v, in the given order %v", o, i, v, want)
			}
		}
		if d := cmp.Diff(logits[network.Given], logits[o]); d != "" {
			t.Errorf("order %q: the logits are others:\n%s", o, d)
		}
	}
}

// watched remembers the samples for which it was asked for a plan.
type watched struct {
	network.Backend
	asked network.Samples
}

func (w *watched) Propose(sizes []int, s network.Samples, batchRows int) (network.ShardPlan, error) {
	w.asked = s
	return w.Backend.Propose(sizes, s, batchRows)
}

// Every backend proposes with the rows as they are loaded, and all have one order.
func TestProposeInOrder(t *testing.T) {
	s := strokes(203, 30, 3, 4, mixed(3))
	single, double := &watched{Backend: cpu.New[float32]()}, &watched{Backend: cpu.New[float64]()}
	defer single.Close()
	defer double.Close()
	for _, o := range []network.Order{network.Given, network.Random, network.Similar, network.Spread} {
		var digests []string
		for _, backends := range [][]network.Backend{{single}, {double}, {single, double}} {
			plan, err := network.NewOrderedPlan([]int{30, 3}, s, 100, o, 5, backends...)
			must.OK(t, err)
			digests = append(digests, plan.OrderDigest)
			want := s
			if plan.Permutation != nil {
				want = ordered(s, plan.Permutation)
			}
			for _, b := range backends {
				if d := cmp.Diff(want, b.(*watched).asked.Flat()); d != "" {
					t.Errorf("order %q: the backend was asked for other samples:\n%s", o, d)
				}
			}
		}
		if digests[0] != digests[1] || digests[1] != digests[2] {
			t.Errorf("order %q: backends have the digests %q", o, digests)
		}
	}
}

func TestOrderErrors(t *testing.T) {
	l, s := layout(t, 30, 3), strokes(203, 30, 3, 4, mixed(3))
	b := cpu.New[float64]()
	defer b.Close()
	oneLine := func(what string, err error, want string) {
		t.Helper()
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: error %v, want one line with %q", what, err, want)
		}
	}
	const unknown = `order of rows "sorted" is unknown: "", "random", "similar" or "spread" is expected`
	_, err := network.NewOrderedPlan(l.Sizes, s, 40, "sorted", 1, b)
	oneLine("plan", err, unknown)
	_, err = network.Similar.Permutation(s, 0, 1)
	oneLine("batches", err, "batches of 0 rows")
	_, err = network.Random.Permutation(network.Samples{}, 1, 1)
	oneLine("no samples", err, "no samples")

	other := s
	other.Bytes = slices.Clone(s.Bytes)
	for j := range 30 {
		other.Bytes[j] ^= 255 // the first row has other features
	}
	for _, c := range []struct {
		name    string
		samples network.Samples
		change  func(*network.Plan)
		want    string
	}{
		{"order", s, func(p *network.Plan) { p.Order = "sorted" }, unknown},
		{"data", other, storedOrders(t), `plan's order of rows "similar" has digest`},
		{"digest", s, func(p *network.Plan) { p.OrderDigest = "0123456789abcdef" }, `digest "0123456789abcdef"`},
		{"seed", s, func(p *network.Plan) { p.Seed++; p.Permutation = nil }, "the plan was made for other data"},
		{"no order", s, func(p *network.Plan) { p.Order, p.Permutation = network.Given, nil }, `of this data is ""`},
		{"short permutation", s, func(p *network.Plan) { p.Seed++; p.Permutation = p.Permutation[1:] }, "the plan was made for other data"},
	} {
		plan, err := network.NewOrderedPlan(l.Sizes, s, 40, network.Similar, 1, b)
		must.OK(t, err)
		c.change(&plan)
		tr, err := network.NewTrainer(l, c.samples, plan, []network.Backend{b}, nil)
		if err == nil {
			tr.Close()
		}
		oneLine(c.name, err, c.want)
	}
}

// What is left of MNIST's (group, feature) pairs, and how long the order takes.
//
//	go test ./network -run '^$' -bench Order -benchtime 5x
func BenchmarkOrder(b *testing.B) {
	set, err := dataset.Load(b.Context(), "mnist", dataset.Options{Offline: true})
	if err != nil {
		b.Skipf("MNIST is not in the cache: %v", err)
	}
	s := set.Train
	for _, c := range []struct {
		name      string
		order     network.Order
		batchRows int
	}{
		{"given", network.Given, s.Rows},
		{"random", network.Random, s.Rows},
		{"similar", network.Similar, s.Rows},
		{"similar-128", network.Similar, 128},
	} {
		b.Run(c.name, func(b *testing.B) {
			var order []int32
			for b.Loop() {
				order = permutation(b, c.order, s, c.batchRows, 1)
			}
			if order == nil {
				order = counting(s.Rows)
			}
			for _, rows := range []int{4, 6, 8, 12} {
				// As batches are packed, each from its first row on.
				left, groups := 0.0, 0
				for first := 0; first < s.Rows; first += c.batchRows {
					batch := order[first:min(first+c.batchRows, s.Rows)]
					n := (len(batch) + rows - 1) / rows
					left += float64(n) * share(s, batch, rows)
					groups += n
				}
				b.ReportMetric(left/float64(groups), fmt.Sprintf("share-%d", rows))
			}
		})
	}
}
