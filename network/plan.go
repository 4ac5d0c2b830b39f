package network

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
)

// A Plan fixes everything that decides the order in which a run adds its
// numbers. It is made when a run starts and stored with it; the same plan on
// the same device and data gives the same bits.
//
// The training rows are put in an order once. They are divided into batches of BatchRows
// rows in this order, of which the last may be shorter; every batch is one iteration. A
// shard has the same slice of every batch, so that batch b holds the same rows on any
// number of devices.
type Plan struct {
	Sizes     []int `json:"sizes"`      // of the network
	Rows      int   `json:"rows"`       // of the training set
	BatchRows int   `json:"batch_rows"` // Rows for full-batch descent
	// Order is the rule for the order of the rows, and OrderDigest the first 16
	// hexadecimal digits of the SHA-256 of what it gives for the data, row numbers as
	// little-endian int32; it is empty for the given order.
	Order       Order  `json:"order,omitempty"`
	OrderDigest string `json:"order_digest,omitempty"`
	// Permutation is the order, where it is known and not the given one: batch b has
	// the rows Permutation[b·BatchRows], …. It is not stored. A trainer uses it where it
	// has OrderDigest, and finds the order again otherwise.
	Permutation []int32 `json:"-"`
	// Shuffle has every epoch visit the batches in an order of its own, drawn from
	// Seed and the epoch; otherwise it visits them as they stand.
	Shuffle bool        `json:"shuffle,omitempty"`
	Seed    uint64      `json:"seed,omitempty"` // of Order too
	Shards  []ShardPlan `json:"shards"`
}

// A ShardPlan is one backend's part of a Plan.
type ShardPlan struct {
	Backend   string          `json:"backend"`
	Device    string          `json:"device"`
	Driver    string          `json:"driver"`
	Build     string          `json:"build"`      // see [Info]
	First     int             `json:"first"`      // first row of the shard's slice of a batch
	Rows      int             `json:"rows"`       // rows of the slice
	BlockRows int             `json:"block_rows"` // rows of a block in training
	ScoreRows int             `json:"score_rows"` // and in scoring and predicting
	Settings  json.RawMessage `json:"settings"`   // the backend's own choices: kernel variants, splits
	// Input is StreamedInput where large inputs are streamed, empty where all are held. The
	// bits of results do not depend on it.
	Input InputMode `json:"input,omitempty"`

	// Rank is the process that has the shard, where several train together (see [Reducer]).
	Rank int `json:"rank,omitempty"`
}

// maxScoreRows bounds the rows of a block that need not be those of a batch.
const maxScoreRows = 1 << 24

// NewPlan returns the plan that runs batches of batchRows rows of s, in their order, on
// the given backends, in equal slices, each as its backend proposes. For full-batch
// descent batchRows is s.Rows.
func NewPlan(sizes []int, s Samples, batchRows int, backends ...Backend) (Plan, error) {
	return NewOrderedPlan(sizes, s, batchRows, Given, 0, backends...)
}

// NewOrderedPlan is NewPlan with the rows in another order, with which the backends
// propose. The plan has the order Given where the rule moves no rows of these samples. It
// has the seed in any case.
func NewOrderedPlan(sizes []int, s Samples, batchRows int, o Order, seed uint64, backends ...Backend) (Plan, error) {
	p, err := NewOutline(sizes, s, batchRows, o, seed, len(backends))
	if err != nil {
		return Plan{}, err
	}
	return p.propose(s.gather(p.Permutation, [][2]int{{0, s.Rows}}), backends)
}

// propose returns the plan with what each backend proposes for its shard, of which First and
// Rows are known. s are the samples in the plan's order.
func (p Plan) propose(s Samples, backends []Backend) (Plan, error) {
	for i, b := range backends {
		shard, err := b.Propose(p.Sizes, s, p.Shards[i].Rows)
		if err != nil {
			return Plan{}, err
		}
		shard.First, shard.Rows = p.Shards[i].First, p.Shards[i].Rows
		p.Shards[i] = shard
	}
	return p, nil
}

// NewTrainingPlan is NewOrderedPlan in the order that suits such batches ([SuitableOrder]),
// where every epoch visits them in an order of its own.
func NewTrainingPlan(sizes []int, s Samples, batchRows int, seed uint64, backends ...Backend) (Plan, error) {
	p, err := NewOrderedPlan(sizes, s, batchRows, SuitableOrder(s.Rows, batchRows, len(backends)), seed, backends...)
	p.Shuffle = err == nil && p.Batches() > 1
	return p, err
}

// NewOutline is NewOrderedPlan without backends: of its shards, in equal slices, First and
// Rows are known.
func NewOutline(sizes []int, s Samples, batchRows int, o Order, seed uint64, shards int) (Plan, error) {
	if err := s.Check(0); err != nil {
		return Plan{}, err
	}
	if batchRows < shards || batchRows > s.Rows {
		return Plan{}, fmt.Errorf("batches of %d rows: %d to %d are possible, a row for each device and as many as the data has",
			batchRows, max(1, shards), s.Rows)
	}
	order, err := o.Permutation(s, batchRows, seed)
	if err != nil {
		return Plan{}, err
	}
	if order == nil {
		o = Given
	}
	p := Plan{Sizes: sizes, Rows: s.Rows, BatchRows: batchRows, Order: o, OrderDigest: orderDigest(order), Permutation: order, Seed: seed}
	for i := range shards {
		first, end := i*batchRows/shards, (i+1)*batchRows/shards
		p.Shards = append(p.Shards, ShardPlan{First: first, Rows: end - first})
	}
	return p, nil
}

// Ranks returns the number of processes that the plan is for.
func (p Plan) Ranks() int {
	n := 1
	for _, s := range p.Shards {
		n = max(n, s.Rank+1)
	}
	return n
}

// Part returns the rows that slice has, of which First and Rows count, in the order in which a
// shard has them: its slices of all batches, one behind the other. s are all samples.
func (p Plan) Part(s Samples, slice ShardPlan) (Samples, error) {
	order, err := p.permutation(s)
	if err != nil {
		return Samples{}, err
	}
	return s.gather(order, p.ranges(slice, ShardPlan{Rows: p.BatchRows})), nil
}

// ranges returns where the rows of a shard stand among those of a larger slice, which has its
// own slices of all batches one behind the other: as first rows and numbers of rows.
func (p Plan) ranges(s, among ShardPlan) (all [][2]int) {
	at := 0 // where the batch begins
	for b := range p.Batches() {
		from, has := p.slice(among, b)
		first, n := p.slice(s, b)
		first += at - from
		at += has
		if n == 0 {
			continue
		}
		if last := len(all) - 1; last >= 0 && all[last][0]+all[last][1] == first {
			all[last][1] += n
		} else {
			all = append(all, [2]int{first, n})
		}
	}
	return all
}

// partRows returns how many rows a slice has of all batches.
func (p Plan) partRows(s ShardPlan) (rows int) {
	for b := range p.Batches() {
		_, n := p.slice(s, b)
		rows += n
	}
	return rows
}

// permutation returns the order of the rows of samples, nil for the given one.
func (p Plan) permutation(s Samples) ([]int32, error) {
	if known := p.Permutation; known != nil && orderDigest(known) == p.OrderDigest && isPermutation(known, s.Rows) {
		return known, nil
	}
	order, err := p.Order.Permutation(s, p.BatchRows, p.Seed)
	if err != nil {
		return nil, err
	}
	if digest := orderDigest(order); p.OrderDigest != "" && digest != p.OrderDigest {
		return nil, fmt.Errorf("plan's order of rows %q has digest %q, that of this data is %q: the plan was made for other data, or by a program with another rule",
			string(p.Order), p.OrderDigest, digest)
	}
	return order, nil
}

// Batches returns the number of batches, which is that of the iterations of an epoch.
func (p Plan) Batches() int { return (p.Rows + p.BatchRows - 1) / p.BatchRows }

// EpochRows returns the rows of each iteration of an epoch, counted from 0.
func (p Plan) EpochRows(epoch int) []int {
	rows := p.order(epoch)
	for i, b := range rows {
		rows[i] = p.batchLen(b)
	}
	return rows
}

// batchLen returns the number of rows of batch b.
func (p Plan) batchLen(b int) int { return min(p.BatchRows, p.Rows-b*p.BatchRows) }

// slice returns the rows of batch b that the shard has: n rows of the samples from
// first on. A short last batch may have none for it.
func (p Plan) slice(s ShardPlan, b int) (first, n int) {
	from, end := min(s.First, p.batchLen(b)), min(s.First+s.Rows, p.batchLen(b))
	return b*p.BatchRows + from, end - from
}

// order returns the batches of an epoch, counted from 0, as they are visited.
func (p Plan) order(epoch int) []int {
	if p.Shuffle {
		return rand.New(rand.NewPCG(p.Seed, uint64(epoch))).Perm(p.Batches())
	}
	order := make([]int, p.Batches())
	for i := range order {
		order[i] = i
	}
	return order
}

// check reports where a plan, which may come from a file, is none for a network of
// the given sizes on rows rows.
func (p Plan) check(sizes []int, rows int) error {
	if !slices.Equal(p.Sizes, sizes) {
		return fmt.Errorf("plan is for a network %v, not %v", p.Sizes, sizes)
	}
	if p.Rows != rows {
		return fmt.Errorf("plan is for %d samples where the data has %d", p.Rows, rows)
	}
	if p.BatchRows < 1 || p.BatchRows > rows {
		return fmt.Errorf("plan has batches of %d rows: 1 to %d are expected", p.BatchRows, rows)
	}
	if err := p.Order.check(); err != nil {
		return fmt.Errorf("plan: %w", err)
	}
	if len(p.Shards) == 0 {
		return errors.New("plan has no shards")
	}
	next, rank := 0, 0
	for i, s := range p.Shards {
		if s.Rank != rank && (i == 0 || s.Rank != rank+1) {
			return fmt.Errorf("plan's shard %d is of rank %d: %d is expected, or the next", i, s.Rank, rank)
		}
		rank = s.Rank
		if s.First != next || s.Rows < 1 || s.Rows > p.BatchRows-next {
			return fmt.Errorf("plan's shard %d has %d rows of a batch from row %d on: rows from %d on are expected, up to %d",
				i, s.Rows, s.First, next, p.BatchRows-next)
		}
		if s.BlockRows < 1 || s.BlockRows > s.Rows {
			return fmt.Errorf("plan's shard %d has blocks of %d rows: 1 to %d are expected", i, s.BlockRows, s.Rows)
		}
		if s.ScoreRows < 1 || s.ScoreRows > maxScoreRows {
			return fmt.Errorf("plan's shard %d scores blocks of %d rows: 1 to %d are expected", i, s.ScoreRows, maxScoreRows)
		}
		if s.Input != "" && s.Input != StreamedInput {
			return fmt.Errorf("plan's shard %d has input %q: %q or none is expected", i, s.Input, StreamedInput)
		}
		next += s.Rows
	}
	if next != p.BatchRows {
		return fmt.Errorf("plan covers %d rows of batches of %d", next, p.BatchRows)
	}
	return nil
}

// CheckDevice reports where a plan was made for another backend, device, driver or
// build than those described by info.
func (s ShardPlan) CheckDevice(info Info) error {
	for _, f := range []struct{ what, plan, here string }{
		{"backend", s.Backend, info.Backend},
		{"device", s.Device, info.Device},
		{"driver", s.Driver, info.Driver},
		{"build", s.Build, info.Build},
	} {
		if f.plan != f.here {
			return fmt.Errorf("plan is for %s %q, this is %q: the same bits cannot be promised", f.what, f.plan, f.here)
		}
	}
	return nil
}

// Plan returns a plan for the backend that info describes, of which the caller sets
// all but that.
func (info Info) Plan() ShardPlan {
	return ShardPlan{Backend: info.Backend, Device: info.Device, Driver: info.Driver, Build: info.Build}
}
