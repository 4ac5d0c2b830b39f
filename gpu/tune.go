package gpu

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"clgrad/kernels"
	"clgrad/network"
)

// TuneOptions are choices of [Tune].
type TuneOptions struct {
	// Budget is how long the search may take, 0 for a minute. A compilation that
	// has begun is waited for.
	Budget time.Duration
	// Dense tunes the first layer for dense input.
	Dense bool
	// Progress, where not nil, is told of every candidate that was looked at.
	Progress func(TuneProgress)
}

// TuneProgress is where a search stands.
type TuneProgress struct {
	Shape string       // kernels.Key
	Tile  kernels.Tile // the candidate
	Share float64      // of the budget that is spent, 0 to 1
}

// TunedShape is what a search found for one operation and shape.
type TunedShape struct {
	Shape          string       `json:"shape"`
	Default        kernels.Tile `json:"default"`
	Best           kernels.Tile `json:"best"`
	DefaultSeconds float64      `json:"default_seconds"` // of a block
	Seconds        float64      `json:"seconds"`
	Tried          int          `json:"tried"`
	// Rejected are the candidates that did not build, failed or gave other
	// numbers than the naive kernel, each with its reason in one line.
	Rejected []string `json:"rejected,omitempty"`
}

// worthwhile is how much of the best tile's time another may take to replace it.
const worthwhile = 0.97

// Tune looks for the fastest tile of each operation of a network on a device, on
// the exact shapes that its default plan for these samples has. From the default
// it goes to neighbouring tiles as long as one is faster, alternating the two,
// and all operations share the budget by what is left of it. A candidate has to
// build, run, and give the numbers of the naive kernel to the bit, on integers
// whose sums are exact; what does not is rejected.
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
	tasks, err := tuneTasks(a, d, sizes, s, o.Dense)
	if err != nil {
		return Tuning{}, nil, err
	}
	begin := time.Now()
	t := Tuning{Device: d.tuned(), Shapes: map[string]kernels.Tile{}}
	var all []TunedShape
	for i, task := range tasks {
		left := o.Budget - time.Since(begin)
		search := tileSearch{
			tuneTask: task, api: a, device: d, deadline: time.Now().Add(left / time.Duration(len(tasks)-i)),
			tried: func(tile kernels.Tile) {
				if o.Progress != nil {
					o.Progress(TuneProgress{task.key(), tile, min(1, float64(time.Since(begin))/float64(o.Budget))})
				}
			},
		}
		found, err := search.run(ctx)
		if err != nil {
			return Tuning{}, nil, err
		}
		t.Shapes[found.Shape] = found.Best
		all = append(all, found)
	}
	return t, all, nil
}

// A tuneTask is one operation on one shape.
type tuneTask struct {
	op      string
	n, p    int
	rows    int
	samples network.Samples // of the input, packed or as bytes: small integers where the data is not 0
	tile    kernels.Tile    // the default
}

func (t tuneTask) key() string { return kernels.Key(t.op, t.n, t.p) }

// fit returns the tile that is launched for the shape where a given one is asked
// for.
func (t tuneTask) fit(tile kernels.Tile) kernels.Tile {
	switch {
	case tile.Variant == kernels.Packed:
		return tile.FitColumns(network.AlignUp(t.p))
	case tile.Variant == kernels.LocalMemory && t.op == kernels.OpInputGradient:
		return tile.Fit(t.rows, t.n)
	case tile.Variant == kernels.LocalMemory:
		return tile.Fit(t.rows, t.p)
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
// to compute first.
func tuneTasks(a api, d Device, sizes []int, s network.Samples, dense bool) (tasks []tuneTask, err error) {
	b, err := open(a, d, Options{Dense: dense})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, b.Close()) }()
	plan, err := b.DefaultPlan(sizes, s)
	if err != nil {
		return nil, err
	}
	if err := b.Configure(plan); err != nil {
		return nil, err
	}
	for i, n := range sizes[:len(sizes)-1] {
		ops := []string{kernels.OpForward, kernels.OpWeightGradient, kernels.OpInputGradient}
		if i == 0 {
			ops = ops[:2]
			if b.config.Packed != nil {
				ops = []string{kernels.OpPacked}
			}
		}
		for _, op := range ops {
			t := tuneTask{op: op, n: n, p: sizes[i+1], rows: plan.BlockRows, tile: b.config.Tile(op, n, sizes[i+1])}
			if op == kernels.OpPacked || i == 0 && b.config.Bytes {
				t.samples = smallIntegers(s.Slice(0, min(t.rows, s.Rows)))
				t.rows = t.samples.Rows
			}
			tasks = append(tasks, t)
		}
	}
	slices.SortStableFunc(tasks, func(x, y tuneTask) int { return y.n*y.p - x.n*x.p })
	return tasks, nil
}

// smallIntegers returns samples of bytes with the same zeros, the others being 1
// to 3.
func smallIntegers(s network.Samples) network.Samples {
	small := network.Samples{Rows: s.Rows, Features: s.Features, Bytes: make([]uint8, len(s.Bytes))}
	for i, v := range s.Bytes {
		if v != 0 {
			small.Bytes[i] = 1 + v%3
		}
	}
	return small
}

// A tileSearch goes from tile to tile.
type tileSearch struct {
	tuneTask
	api      api
	device   Device
	deadline time.Time
	tried    func(kernels.Tile)
	want     []float64 // what the naive kernels give
}

func (s *tileSearch) run(ctx context.Context) (found TunedShape, err error) {
	found = TunedShape{Shape: s.key(), Default: s.tile, Best: s.tile}
	naive, err := s.open(func(c *kernels.Config) { *c = kernels.Specification() })
	if err != nil {
		return found, err
	}
	s.want, err = naive.results()
	if err = errors.Join(err, naive.Close()); err != nil {
		return found, err
	}
	standard, err := s.try(s.tile)
	if err != nil {
		return found, fmt.Errorf("%s: the default tile %s: %w", s.key(), s.tile, err)
	}
	best := standard
	defer func() {
		if best != standard {
			err = errors.Join(err, best.Close())
		}
		err = errors.Join(err, standard.Close())
	}()
	repeat, err := best.calibrate()
	if err != nil {
		return found, err
	}
	seen := []kernels.Tile{s.fit(s.tile)}
search:
	for {
		for _, tile := range s.fit(found.Best).Neighbours(s.device.limits()) {
			if err := ctx.Err(); err != nil {
				return found, err
			}
			if !time.Now().Before(s.deadline) {
				break search
			}
			if tile = s.fit(tile); slices.Contains(seen, tile) {
				continue
			}
			seen = append(seen, tile)
			s.tried(tile)
			found.Tried++
			candidate, err := s.try(tile)
			if err == nil {
				var won bool
				if won, _, _, err = duel(best, candidate, duelRounds, repeat); err == nil && won {
					best, candidate = candidate, best
					found.Best = tile
				}
				if candidate != standard {
					err = errors.Join(err, candidate.Close())
				}
				if err == nil && won {
					continue search
				}
			}
			if err != nil {
				line, _, _ := strings.Cut(err.Error(), "\n")
				found.Rejected = append(found.Rejected, fmt.Sprintf("%s: %s", tile, line))
			}
		}
		break
	}
	if best == standard {
		found.DefaultSeconds, err = standard.seconds(repeat)
		found.Seconds = found.DefaultSeconds
		return found, err
	}
	// What won by chance, once in many duels, has to win once more.
	won, was, is, err := duel(standard, best, finalRounds, repeat)
	if err != nil {
		return found, err
	}
	found.DefaultSeconds, found.Seconds = was, is
	if !won {
		found.Best, found.Seconds = found.Default, was
	}
	return found, nil
}

// try returns a trial with a tile that has given the right numbers.
func (s *tileSearch) try(tile kernels.Tile) (*trial, error) {
	t, err := s.open(func(c *kernels.Config) {
		c.Packed, c.Shapes = nil, map[string]kernels.Tile{s.key(): tile}
		if s.op == kernels.OpPacked {
			c.Packed, c.Shapes = &tile, nil
		}
	})
	if err != nil {
		return nil, err
	}
	got, err := t.results()
	if err == nil {
		for i, v := range got {
			if v != s.want[i] {
				err = fmt.Errorf("wrong numbers: result %d is %v where exactly %v is expected", i, v, s.want[i])
				break
			}
		}
	}
	if err != nil {
		return nil, errors.Join(err, t.Close())
	}
	return t, nil
}

// A trial is an operation on a backend of its own, so that a candidate that
// breaks its device's context harms no other.
type trial struct {
	*Backend
	call    func() error // on all rows, for its time
	check   func() error // on the first checkRows, for its numbers
	outputs []network.Matrix
	sums    []network.Matrix // of the outputs, those that calls add to
}

// checkRows is how many rows the numbers of a candidate are judged by: the naive
// kernels take long. They are several steps of a tile's depth, and not a multiple
// of any tile.
const checkRows = 1021

// open prepares the operation on a backend whose default configuration is changed.
func (s *tileSearch) open(change func(*kernels.Config)) (_ *trial, err error) {
	b, err := open(s.api, s.device, Options{})
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, b.Close())
		}
	}()
	change(&b.config)
	seed := uint32(1)
	matrix := func(rows, cols, limit int) (m network.Matrix) {
		if err != nil {
			return m
		}
		seed++
		m = network.Matrix{Rows: rows, Cols: cols, Stride: network.AlignUp(cols)}
		if m.Buffer, err = b.NewBuffer(rows * m.Stride); err == nil && limit > 0 {
			err = fillIntegers(b, m, seed, limit)
		}
		return m
	}
	few := min(s.rows, checkRows)
	w, bias := matrix(s.n, s.p, 2), matrix(1, s.p, 2)
	dw, db := matrix(s.n, s.p, 0), matrix(1, s.p, 0)
	x, dx := network.Matrix{}, network.Matrix{}
	input := s.samples.Rows > 0
	if !input {
		x = matrix(s.rows, s.n, 3)
	}
	if s.op == kernels.OpInputGradient {
		dx = matrix(s.rows, s.n, 0)
	}
	h, dz := matrix(s.rows, s.p, 0), matrix(s.rows, s.p, 1)
	if err != nil {
		return nil, err
	}
	t := &trial{Backend: b}
	// over returns an operation on the first rows of the input or of x.
	over := func(rows int, onInput func(network.Input) error, on func(network.Matrix) error) (func() error, error) {
		if !input {
			return func() error { return on(x.First(rows)) }, nil
		}
		in, err := b.Load(s.samples.Slice(0, rows), rows)
		return func() error { return onInput(in) }, err
	}
	forward := func(rows int) (func() error, error) {
		return over(rows,
			func(in network.Input) error { return b.ForwardInput(in, 0, w, bias, network.ReLU, h.First(rows)) },
			func(x network.Matrix) error { return b.Forward(x, w, bias, network.ReLU, h.First(rows)) })
	}
	gradient := func(rows int) (func() error, error) {
		return over(rows,
			func(in network.Input) error { return b.WeightGradientInput(in, 0, dz.First(rows), dw, db) },
			func(x network.Matrix) error { return b.WeightGradient(x, dz.First(rows), dw, db) })
	}
	both := func(rows int) (func() error, error) {
		f, err := forward(rows)
		if err != nil {
			return nil, err
		}
		g, err := gradient(rows)
		return func() error { return errors.Join(f(), g()) }, err
	}
	prepare := map[string]func(int) (func() error, error){
		kernels.OpForward: forward, kernels.OpWeightGradient: gradient, kernels.OpPacked: both,
	}
	if p := prepare[s.op]; p != nil {
		if t.call, err = p(s.rows); err != nil {
			return nil, err
		}
		if t.check, err = p(few); err != nil {
			return nil, err
		}
	}
	switch s.op {
	case kernels.OpForward:
		t.outputs = []network.Matrix{h.First(few)}
	case kernels.OpWeightGradient:
		t.outputs = []network.Matrix{dw, db}
		t.sums = t.outputs
	case kernels.OpInputGradient:
		t.call = func() error { return b.InputGradient(dz, w, x, dx) }
		t.check = func() error { return b.InputGradient(dz.First(few), w, x.First(few), dx.First(few)) }
		t.outputs = []network.Matrix{dx.First(few)}
	case kernels.OpPacked:
		t.outputs = []network.Matrix{h.First(few), dw, db}
		t.sums = t.outputs[1:]
	}
	return t, nil
}

// fillIntegers writes integers of −limit … limit, by a linear congruence, and
// zeros between the columns and the stride.
func fillIntegers(b *Backend, m network.Matrix, seed uint32, limit int) error {
	const most = 1 << 20 // elements written at a time
	rows := max(1, most/m.Stride)
	values := make([]float64, rows*m.Stride)
	for first := 0; first < m.Rows; first += rows {
		n := min(rows, m.Rows-first)
		for i := range n {
			for j := range m.Cols {
				seed = seed*1664525 + 1013904223
				values[i*m.Stride+j] = float64(int(seed>>16)%(2*limit+1) - limit)
			}
		}
		if err := b.Write(m.Buffer, first*m.Stride, values[:n*m.Stride]); err != nil {
			return err
		}
	}
	return nil
}

// results returns what the operation gives.
func (t *trial) results() (all []float64, err error) {
	for _, m := range t.sums {
		if err := t.Clear(m.Buffer); err != nil {
			return nil, err
		}
	}
	if err := t.check(); err != nil {
		return nil, err
	}
	for _, m := range t.outputs {
		values := make([]float64, m.Rows*m.Stride)
		if err := t.Read(m.Buffer, m.Offset, values); err != nil {
			return nil, err
		}
		all = append(all, values...)
	}
	return all, nil
}

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
	for range repeat {
		if err := t.call(); err != nil {
			return 0, err
		}
	}
	err := t.s.finish()
	return time.Since(begin).Seconds() / float64(repeat), err
}

// Rounds of a duel, and when it is given up: a candidate that takes so much
// longer in the first rounds does not win.
const (
	duelRounds  = 7
	finalRounds = 15
	hopeless    = 1.2
	hopelessFor = 2
)

// duel times two trials in turns and reports whether the second is worth having,
// by the medians and by the shortest times, and returns the medians of both.
func duel(best, candidate *trial, rounds, repeat int) (won bool, was, is float64, err error) {
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

// middle returns the median of an odd number of times, the upper of two middle
// ones otherwise.
func middle(times []float64) float64 {
	return slices.Sorted(slices.Values(times))[len(times)/2]
}

// Merge adds the shapes of an earlier tuning that t does not have.
func (t Tuning) Merge(earlier Tuning) Tuning {
	shapes := maps.Clone(earlier.Shapes)
	if shapes == nil {
		shapes = map[string]kernels.Tile{}
	}
	maps.Copy(shapes, t.Shapes)
	t.Shapes = shapes
	return t
}
