package gpu

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"gonum.org/v1/gonum/stat"

	"clgrad/kernels"
	"clgrad/network"
)

// TuneOptions are choices of [Tune].
type TuneOptions struct {
	// Budget is how long the search may take, 0 for a minute. A compilation that
	// has begun is waited for.
	Budget time.Duration
	// BatchRows are the rows of a batch, 0 for all.
	BatchRows int
	// Options are those of the backends that are opened; with Dense the first layer is
	// tuned for dense input.
	Options
	// Progress, where not nil, is told of every candidate that was looked at.
	Progress func(TuneProgress)
}

// TuneProgress is where a search stands.
type TuneProgress struct {
	Shape string       // kernels.Key or kernels.StepKey
	Tile  fmt.Stringer // the candidate
	Share float64      // of the budget that is spent, 0 to 1
}

// TunedShape is what a search found for one operation and shape, or for the whole
// iterations of a network, whose tiles then are DefaultStep and BestStep.
type TunedShape struct {
	Shape       string            `json:"shape"`
	Rows        int               `json:"rows"` // of a block
	Default     kernels.Tile      `json:"default,omitzero"`
	Best        kernels.Tile      `json:"best,omitzero"`
	DefaultStep *kernels.StepTile `json:"default_step,omitempty"`
	BestStep    *kernels.StepTile `json:"best_step,omitempty"`
	// Seconds of a block: of whole iterations its gradient, and an update by it.
	DefaultSeconds float64 `json:"default_seconds"`
	Seconds        float64 `json:"seconds"`
	Tried          int     `json:"tried"`
	// Untried are the neighbours of the best tile that there was no time for.
	Untried int `json:"untried,omitempty"`
	// Rejected are the candidates that did not build, failed or gave wrong numbers,
	// each with its reason in one line.
	Rejected []string `json:"rejected,omitempty"`
}

// Tiles returns the default and the best tile in short.
func (t TunedShape) Tiles() (standard, best string) {
	if t.BestStep != nil {
		return t.DefaultStep.String(), t.BestStep.String()
	}
	return t.Default.String(), t.Best.String()
}

// worthwhile is how much of the best tile's time another may take to replace it.
const worthwhile = 0.97

// Tune looks for the fastest tile of each operation of a network on a device, on
// the exact shapes that its default plan for these samples has. Rows are taken in the order
// that they are given in, which decides what packed input skips: that of training is
// expected, as of [network.Samples.Ordered]. From the default
// it goes to neighbouring tiles as long as one is faster, alternating the two,
// and all operations share the budget by what is left of it. A candidate has to
// build and run, and on integers, whose sums are exact, a sample of its results has to
// equal that of the host; what does not is rejected.
//
// Where the default plan has whole iterations, half of the budget is for their tile. The
// other half is for the operations of the plan that it would be without them: scoring, but for
// its packed input, which stands in the groups of the whole iterations' tile, and training on
// the same shapes by other scaling or data.
func Tune(ctx context.Context, d Device, sizes []int, s network.Samples, o TuneOptions) (Tuning, []TunedShape, error) {
	a, err := openCL()
	if err != nil {
		return Tuning{}, nil, err
	}
	return tune(ctx, a, d, sizes, s, o)
}

func tune(ctx context.Context, a api, d Device, sizes []int, s network.Samples, o TuneOptions) (Tuning, []TunedShape, error) {
	if o.Budget <= 0 {
		o.Budget = time.Minute
	}
	if o.BatchRows <= 0 {
		o.BatchRows = s.Rows
	}
	if o.BatchRows > s.Rows {
		return Tuning{}, nil, fmt.Errorf("batches of %d rows: the samples have %d", o.BatchRows, s.Rows)
	}
	tasks, step, err := tuneTasks(a, d, sizes, s, o)
	if err != nil {
		return Tuning{}, nil, err
	}
	begin := time.Now()
	tried := func(shape string, tile fmt.Stringer) {
		if o.Progress != nil {
			o.Progress(TuneProgress{shape, tile, min(1, float64(time.Since(begin))/float64(o.Budget))})
		}
	}
	t := Tuning{Device: d.tuned(), Blocks: map[int]Tiles{}}
	var all []TunedShape
	add := func(found TunedShape, tiles Tiles) {
		all = append(all, found)
		t.Blocks[found.Rows] = t.Blocks[found.Rows].with(tiles)
	}
	if step != nil {
		step.deadline, step.tried = begin.Add(o.Budget/2), func(tile kernels.StepTile) { tried(step.key(), tile) }
		found, err := step.run(ctx)
		if err != nil {
			return Tuning{}, nil, err
		}
		add(found, Tiles{Steps: map[string]kernels.StepTile{found.Shape: *found.BestStep}})
	}
	for i, task := range tasks {
		left := o.Budget - time.Since(begin)
		search := tileSearch{
			tuneTask: task, api: a, device: d, source: o.source, untested: o.Untested, deadline: time.Now().Add(left / time.Duration(len(tasks)-i)),
			tried: func(tile kernels.Tile) { tried(task.key(), tile) },
		}
		found, err := search.run(ctx)
		if err != nil {
			return Tuning{}, nil, err
		}
		add(found, Tiles{Shapes: map[string]kernels.Tile{found.Shape: found.Best}})
	}
	return t, all, nil
}

// A tuneTask is one operation on one shape.
type tuneTask struct {
	op     string
	n, p   int
	rows   int
	units  int            // of the device
	first  bool           // the layer is the first
	config kernels.Config // of the plan
	zeros  []uint8        // bytes of the input, where it is packed or kept as bytes
	tile   kernels.Tile   // the default
}

func (t tuneTask) key() string { return kernels.Key(t.op, t.n, t.p) }

// fit returns the tile that is launched for the shape where a given one is asked
// for.
func (t tuneTask) fit(tile kernels.Tile) kernels.Tile {
	switch {
	case tile.Variant == kernels.Packed:
		return tile.FitColumns(network.AlignUp(t.p))
	case tile.Grouped() && t.op == kernels.OpInputGradient:
		return tile.Fit(t.rows, t.n).Spread(t.rows, t.n, t.units)
	case tile.Grouped() && t.op == kernels.OpWeightGradient:
		return tile.Fit(t.n, t.p)
	case tile.Grouped():
		return tile.Fit(t.rows, t.p).Spread(t.rows, t.p, t.units)
	case t.op == kernels.OpForward:
		return tile.Fit(t.rows, network.AlignUp(t.p))
	case t.op == kernels.OpWeightGradient && tile.Variant == kernels.Register:
		return tile.FitAll(t.p, network.AlignUp(t.n))
	case t.op == kernels.OpInputGradient:
		return tile.Fit(t.rows, network.AlignUp(t.n))
	}
	return tile
}

// tuneTasks returns the operations of a network's default plan, those with most
// to compute first. Where the plan has whole iterations it returns the search for their
// tile, and the operations of the plan without them.
func tuneTasks(a api, d Device, sizes []int, s network.Samples, o TuneOptions) (tasks []tuneTask, step *stepSearch, err error) {
	b, err := open(a, d, o.Options)
	if err != nil {
		return nil, nil, err
	}
	defer func() { err = errors.Join(err, b.Close()) }()
	propose := func() (plan network.ShardPlan, c kernels.Config, err error) {
		if plan, err = b.Propose(sizes, s, o.BatchRows); err == nil {
			err = json.Unmarshal(plan.Settings, &c)
		}
		return plan, c, err
	}
	plan, c, err := propose()
	if err == nil && c.Step != nil {
		step = newStepSearch(a, d, sizes, s, plan, c, o)
		b.config.Step = nil
		plan, c, err = propose()
	}
	if err != nil {
		return nil, nil, err
	}
	for i, n := range sizes[:len(sizes)-1] {
		ops := []string{kernels.OpForward, kernels.OpWeightGradient, kernels.OpInputGradient}
		if i == 0 {
			ops = ops[:2]
			if c.Packed != nil {
				ops = []string{kernels.OpPacked}
			}
		}
		for _, op := range ops {
			t := tuneTask{op: op, n: n, p: sizes[i+1], rows: plan.BlockRows, units: d.ComputeUnits, first: i == 0, config: c, tile: c.Tile(op, n, sizes[i+1])}
			if i == 0 && (c.Packed != nil || c.Bytes) {
				t.zeros = s.Bytes[:t.rows*n]
			}
			tasks = append(tasks, t)
		}
	}
	slices.SortStableFunc(tasks, func(x, y tuneTask) int { return y.n*y.p - x.n*x.p })
	return tasks, step, nil
}

// A tileSearch goes from tile to tile of one operation.
type tileSearch struct {
	tuneTask
	api      api
	device   Device
	source   func(kernels.Program) string
	untested bool
	deadline time.Time
	tried    func(kernels.Tile)
}

func (s *tileSearch) run(ctx context.Context) (TunedShape, error) {
	best, found, err := search[kernels.Tile]{
		shape: s.key(), standard: s.tile, fit: s.fit, try: s.try, deadline: s.deadline, tried: s.tried,
		neighbours: func(t kernels.Tile) []kernels.Tile { return s.fit(t).Neighbours(s.device.limits()) },
	}.run(ctx)
	found.Rows, found.Default, found.Best = s.rows, s.tile, best
	return found, err
}

// try returns a trial with a tile that has given the right numbers.
func (s *tileSearch) try(tile kernels.Tile) (_ *trial, err error) {
	b, err := open(s.api, s.device, Options{source: s.source, Untested: true})
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, b.Close())
		}
	}()
	c := s.config
	if s.op == kernels.OpPacked {
		c.Packed = &tile
	}
	c.Shapes = map[string]kernels.Tile{s.key(): tile}
	t := &trial{b: b, layer: layerTest{rows: s.rows, n: s.n, p: s.p, act: network.ReLU, input: s.first, shifted: c.Shifted, zeros: s.zeros}, operations: []string{s.op}}
	if s.op == kernels.OpPacked {
		t.operations = []string{kernels.OpForward, kernels.OpWeightGradient}
	}
	if err := t.layer.prepare(b.executor(c, nil, network.ShardPlan{}), false); err != nil {
		return nil, err
	}
	for _, op := range t.operations {
		if s.untested {
			break
		}
		if err := t.layer.check(op); err != nil {
			return nil, err
		}
	}
	return t, nil
}

// A trial is an operation, or whole iterations, on a backend of its own, so that a
// candidate that breaks its device's context harms no other.
type trial struct {
	b          *Backend
	layer      layerTest
	operations []string
	step       *stepTrial // nil where it is an operation
}

// run enqueues the call with a number: one block.
func (t *trial) run(call int) error {
	if t.step != nil {
		return t.step.run(call)
	}
	for _, op := range t.operations {
		if err := t.layer.run(op); err != nil {
			return err
		}
	}
	return nil
}

// Close frees the backend and all that was made on it.
func (t *trial) Close() error { return t.b.Close() }

// minimalTrial is how long a measurement takes at least. Tests change it.
var minimalTrial = 10 * time.Millisecond

// calibrate returns how many calls take minimalTrial.
func (t *trial) calibrate() (int, error) {
	for n := 1; ; n *= 2 {
		s, err := t.seconds(n)
		if err != nil || s*float64(n) >= minimalTrial.Seconds() || n >= 1<<16 {
			return n, err
		}
	}
}

// seconds returns the time of a call, from that of several.
func (t *trial) seconds(repeat int) (float64, error) {
	begin := time.Now()
	for call := range repeat {
		if err := t.run(call); err != nil {
			return 0, err
		}
	}
	err := t.b.s.finish()
	return time.Since(begin).Seconds() / float64(repeat), err
}

// Rounds of a comparison, and when it is given up: a candidate that takes so much
// longer in the first rounds does not win.
const (
	compareRounds = 7
	finalRounds   = 15
	hopeless      = 1.2
	hopelessFor   = 2
)

// compare times two trials in turns and reports whether the second is worth having,
// by the medians and by the shortest times, and returns the medians of both.
func compare(best, candidate *trial, rounds, repeat int) (won bool, was, is float64, err error) {
	var old, new []float64
	for round := range rounds {
		for _, x := range []struct {
			*trial
			times *[]float64
		}{{best, &old}, {candidate, &new}} {
			s, err := x.seconds(repeat)
			if err != nil {
				return false, 0, 0, err
			}
			*x.times = append(*x.times, s)
		}
		was, is = middle(old), middle(new)
		if round+1 == hopelessFor && is > hopeless*was {
			return false, was, is, nil
		}
	}
	return is < worthwhile*was && slices.Min(new) < worthwhile*slices.Min(old), was, is, nil
}

// middle returns the median of times, the lower of two middle ones.
func middle(times []float64) float64 {
	return stat.Quantile(0.5, stat.Empirical, slices.Sorted(slices.Values(times)), nil)
}
