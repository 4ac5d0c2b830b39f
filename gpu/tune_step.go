package gpu

import (
	"context"
	"errors"
	"time"

	"clgrad/kernels"
	"clgrad/network"
)

// A stepSearch goes from tile to tile of a network's whole iterations.
type stepSearch struct {
	api      api
	device   Device
	source   func(kernels.Program) string
	untested bool
	sizes    []int
	samples  network.Samples // of the blocks
	rows     int             // of a block
	config   kernels.Config  // of the plan
	deadline time.Time
	tried    func(kernels.StepTile)
}

// stepBlocks is how many blocks of the samples a search takes: their rows differ, and together
// they do not stay in a core's caches.
const stepBlocks = 8

func newStepSearch(a api, d Device, sizes []int, s network.Samples, plan network.ShardPlan, c kernels.Config, o TuneOptions) *stepSearch {
	n := min(stepBlocks, s.Rows/plan.BlockRows)
	return &stepSearch{
		api: a, device: d, source: o.source, untested: o.Untested, sizes: sizes,
		samples: s.Slice(0, n*plan.BlockRows), rows: plan.BlockRows, config: c,
	}
}

func (s *stepSearch) key() string { return kernels.StepKey(s.sizes) }

func (s *stepSearch) run(ctx context.Context) (TunedShape, error) {
	standard := *s.config.Step
	best, found, err := search[kernels.StepTile]{
		shape: s.key(), standard: standard, try: s.try, deadline: s.deadline, tried: s.tried,
		fit: func(t kernels.StepTile) kernels.StepTile {
			if t == standard { // it may be launched as it is
				return t
			}
			return t.Fit(s.sizes)
		},
		neighbours: kernels.StepTile.Neighbours,
	}.run(ctx)
	found.Rows, found.DefaultStep, found.BestStep = s.rows, &standard, &best
	return found, err
}

// try returns a trial with a tile that has given the right numbers.
func (s *stepSearch) try(tile kernels.StepTile) (_ *trial, err error) {
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
	c.Step, c.Packed = &tile, tile.Tile(*c.Packed)
	e := b.executor(c, nil, network.ShardPlan{})
	if !s.untested {
		if err := (stepTest{sizes: s.sizes, rows: s.rows, rule: network.GD}).run(e, false); err != nil {
			return nil, err
		}
	}
	t := &trial{b: b, step: &stepTrial{}}
	return t, t.step.prepare(e, s.sizes, s.samples, s.rows)
}

// A stepTrial computes gradients of blocks, and updates by gradient descent. The learning rate
// is 0, so that every call computes with the same parameters.
type stepTrial struct {
	steps    network.Steps
	blocks   []network.Block
	theta, g network.Buffer
	r        network.Recorder
	update   network.Update
}

// prepare loads samples in blocks of so many rows each.
func (t *stepTrial) prepare(e *executor, sizes []int, s network.Samples, rows int) error {
	layout, err := network.NewLayout(sizes)
	if err != nil {
		return err
	}
	start, err := layout.Initial(network.He, 1)
	if err != nil {
		return err
	}
	if t.theta, err = e.NewBuffer(layout.Len); err != nil {
		return err
	}
	if err := e.Write(t.theta, 0, start); err != nil {
		return err
	}
	if t.g, err = e.NewBuffer(layout.Len); err != nil {
		return err
	}
	if t.r, err = e.NewRecorder(1); err != nil {
		return err
	}
	blocks := make([]int, s.Rows/rows)
	for i := range blocks {
		blocks[i] = rows
	}
	x, err := e.Load(s, blocks)
	if err != nil {
		return err
	}
	for i := range blocks {
		t.blocks = append(t.blocks, network.Block{Input: x, Index: i})
	}
	if t.steps, err = e.NewSteps(layout, s, x); err != nil {
		return err
	}
	t.update = network.Update{Rule: network.NewRule(network.GD), Step: 1, Iteration: 1}
	return t.steps.Begin(t.theta)
}

// run enqueues a gradient of a block and an update.
func (t *stepTrial) run(call int) error {
	b := t.blocks[call%len(t.blocks)]
	if err := t.steps.Evaluate(b, b.Rows(), t.theta, t.g, false, t.r, 0); err != nil {
		return err
	}
	return t.steps.Step(t.update, b, t.theta, nil, t.r, 0)
}
