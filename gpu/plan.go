package gpu

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"strings"

	"clgrad/kernels"
	"clgrad/network"
)

// fitConfig replaces tiles that a device cannot take by smaller ones, so that
// the defaults run everywhere.
func fitConfig(c kernels.Config, l kernels.Limits) kernels.Config {
	c.RecordGroup = l.Group(c.RecordGroup)
	for _, t := range []*kernels.Tile{&c.Forward, &c.WeightGradient, &c.InputGradient} {
		for t.Check(l) != nil && t.GroupRows > 1 {
			t.GroupRows, t.GroupCols = t.GroupRows/2, t.GroupCols/2
		}
		if t.Check(l) != nil {
			*t = kernels.Tile{Variant: kernels.NaiveVariant}
		}
	}
	c.Bytes = c.Bytes && c.Forward.Grouped() && c.WeightGradient.Grouped()
	return c
}

// blockBytes and partialBytes bound, for each class of device, the activations
// of one block and the partial gradients of one layer. They do not depend on the
// device's memory: drivers report what happens to be free, and a plan made twice
// should be the same plan. Only a device that is too small gets less.
var (
	blockBytes   = map[kernels.Class]int64{kernels.CPU: 64 << 20, kernels.GPU: 1 << 30}
	partialBytes = map[kernels.Class]int64{kernels.CPU: 256 << 20, kernels.GPU: 1 << 30}
)

// Propose proposes the tiles in use and the largest blocks, up to their BlockRows,
// whose activations stay within blockBytes. The input is packed where that leaves out
// enough.
func (b *Backend) Propose(sizes []int, s network.Samples, batchRows int) (network.ShardPlan, error) {
	if err := b.check("propose"); err != nil {
		return network.ShardPlan{}, err
	}
	if _, err := network.NewLayout(sizes); err != nil {
		return network.ShardPlan{}, err
	}
	if err := s.Check(0); err != nil {
		return network.ShardPlan{}, b.s.fail("propose", err)
	}
	base := b.config
	for {
		plan, c := b.outline(base, sizes, s, batchRows)
		if b.passes != nil {
			var failed *Failure
			var err error
			if c, failed, err = b.trusted(c, sizes, plan); err != nil {
				return network.ShardPlan{}, err
			}
			if failed != nil { // other blocks and tiles suit what takes the place of whole iterations
				base.Step, base.Fused = nil, false
				if failed.Operation != opStep {
					base.Packed = nil
				}
				continue
			}
		}
		text, err := json.Marshal(c)
		plan.Settings = text
		return plan, err
	}
}

// outline returns a plan, but for its settings, and those, before any test.
func (b *Backend) outline(c kernels.Config, sizes []int, s network.Samples, batchRows int) (network.ShardPlan, kernels.Config) {
	d := b.s.device
	perRow, widest := int64(0), int64(network.AlignUp(sizes[0]))
	for _, n := range sizes[1:] {
		perRow += 4 * int64(network.Stride(n))
		widest = max(widest, int64(network.Stride(n)))
	}
	fits := func(rows int) int {
		most := min(int64(c.BlockRows), int64(rows), blockBytes[d.Class()]/perRow)
		if m := d.MaxBuffer; m > 0 {
			most = min(most, m/(4*widest))
		}
		return int(max(most, 1))
	}
	plan := b.Info().Plan()
	plan.Rows, plan.BlockRows, plan.ScoreRows = batchRows, fits(batchRows), fits(s.Rows)
	tuned := b.tuning.For(plan.BlockRows)
	c.Shapes = tuned.Shapes
	sparse := func(packed *kernels.Tile) bool {
		return packed != nil && packable(s) && packedDensity(s, packed.ItemRows) <= maxPackedDensity
	}
	// A tuned tile of packed input with other rows is not asked: whole iterations do not use it.
	if !sparse(c.Packed) || !steppable(d.lanes(), s, sizes, batchRows) {
		c.Step = nil
	}
	c = ofNetwork(c, sizes)
	c = b.fullSplits(c, sizes)
	c = b.fewerSplits(c, sizes)
	if c.Step == nil && !sparse(c.Packed) {
		c.Packed = nil
	}
	if c.Step != nil {
		standard := kernels.Default(d.Class(), d.ComputeUnits, d.lanes()).Step
		switch tile, own := tuned.Steps[kernels.StepKey(sizes)]; {
		case own:
			c.Step = &tile
		case standard != nil && *c.Step == *standard:
			tile = kernels.DefaultStep(d.ComputeUnits, d.lanes(), sizes[1])
			c.Step = &tile
		}
		c.Packed = c.Step.Tile(*c.Packed)
		if plan.BlockRows > maxStepRows {
			plan.BlockRows = stepBlockRows
		}
		if m := d.MaxBuffer; m > 0 { // one buffer holds the activations and derivatives of a block
			plan.BlockRows = max(1, min(plan.BlockRows, int(m/(2*perRow))-2*c.Step.DenseRows))
		}
	}
	if c.Packed != nil {
		plan.BlockRows = wholeGroups(plan.BlockRows, batchRows, c.Packed.ItemRows)
		plan.ScoreRows = wholeGroups(plan.ScoreRows, s.Rows, c.Packed.ItemRows)
	}
	c.Bytes = c.Bytes && separable(s)
	c.Fused = c.Fused && batchRows <= min(plan.BlockRows, maxFusedRows) && fusable(c, sizes)
	if m := d.MaxBuffer; c.Fused && m > 0 {
		acts, parts := fusedElements(c, sizes, plan.BlockRows)
		c.Fused = 4*max(acts, parts) <= m
	}
	if b.streamed(c, s) {
		plan.Input = network.StreamedInput
	}
	c.Shifted = (c.Packed != nil || c.Bytes) && shifted(s, c.Packed != nil)
	return plan, c
}

// streamed reports whether an input is to be streamed: where it is asked for, or there is
// not room for it beside what else is needed, a quarter of the memory, or half of it where
// other programs have it too.
func (b *Backend) streamed(c kernels.Config, s network.Samples) bool {
	d := b.s.device
	switch {
	case b.files == nil || b.input == network.ResidentInput:
		return false
	case b.input == network.StreamedInput:
		return true
	}
	room := d.Memory - d.Memory/4
	if d.SharesMemory || d.Class() == kernels.CPU {
		room = d.Memory / 2
		if host := network.HostMemory(); host > 0 {
			room = min(room, host/2)
		}
	}
	return room > 0 && inputBytes(c, s, c.Step != nil) > room
}

// wholeGroups returns a number of rows of a block, at most the given one, so that where
// rows need several blocks all but the last end with a whole group: a group of similar rows
// is not cut.
func wholeGroups(block, rows, group int) int {
	if block < rows && block > group {
		block -= block % group
	}
	return block
}

// trusted returns c, or where kernels of it fail their self-test, with others in their
// place that pass. Where whole iterations have to give way it returns what failed.
func (b *Backend) trusted(c kernels.Config, sizes []int, plan network.ShardPlan) (kernels.Config, *Failure, error) {
	for {
		err := b.verify(c, sizes, plan)
		var failed *Failure
		if !errors.As(err, &failed) {
			return c, nil, err
		}
		what := failed.Operation
		if failed.N > 0 {
			what = network.OperationKey(failed.Operation, failed.N, failed.P)
		}
		d := b.s.device
		if failed.Operation == opStep {
			b.note(fmt.Sprintf("opencl:%s, %s (driver %s): %s give way to one operation after the other: %s", d.ID(), d.Name, d.Driver, opStep, failed.Reason))
			return c, failed, nil
		}
		next, from, to := b.replaced(c, failed)
		if to == "" {
			call := fmt.Sprintf("no kernel of %s computes right on %s (%s, driver %s); the last, %s", what, d.Name, d.PlatformName, d.Driver, from)
			if c.Tile(kernels.OpForward, sizes[0], sizes[1]).Variant == kernels.Tensor {
				call = needs(c.Forward.Precision)
			}
			return c, nil, b.s.fail(call, failed)
		}
		b.note(fmt.Sprintf("opencl:%s, %s (driver %s): kernel %s of %s gives way to %s: %s", d.ID(), d.Name, d.Driver, from, what, to, failed.Reason))
		if next.CheckFirst(sizes[0], sizes[1]) != nil { // another layer has the first one's shape, and its tile
			next.Bytes, next.Shifted = false, false
		}
		if c.Step != nil && next.Step == nil {
			return c, failed, nil
		}
		c = next
	}
}

// verify tests what has not passed yet of a plan with the settings c, in another process
// where there is one for it.
func (b *state) verify(c kernels.Config, sizes []int, plan network.ShardPlan) error {
	t := b.test(c, sizes, plan)
	if b.isolate == nil {
		return t.run()
	}
	t.dryRun = true
	if err := t.run(); !errors.Is(err, errUntested) {
		return err
	}
	text, err := json.Marshal(c)
	if err != nil {
		return err
	}
	plan.Settings = text
	passed, err := b.isolate(sizes, plan)
	b.passes.Add(passed...)
	return err
}

// SelfTest runs the launches of a plan for a network of the given sizes that the
// [Options].Passes do not have, and compares a sample of their results with exact ones.
// The error is a [Failure] where a kernel does not build or run, or is wrong. testing,
// where not nil, is told what is about to be run, for whoever looks on from outside: a
// driver may end the process. Without sizes one kernel of any plan is built and run.
func (b *Backend) SelfTest(sizes []int, plan network.ShardPlan, testing func(Failure)) error {
	if err := b.check("self-test"); err != nil {
		return err
	}
	if sizes == nil {
		if err := b.test(b.config, nil, plan).simplest(); err != nil {
			return b.s.fail("self-test", errors.New(reason(err)))
		}
		return nil
	}
	c, err := b.settings(sizes, plan)
	if err != nil {
		return err
	}
	t := b.test(c, sizes, plan)
	t.testing = testing
	return t.run()
}

// reason returns why something failed in one line: of a build log the first.
func reason(err error) string {
	line, _, _ := strings.Cut(unwrapped(err).Error(), "\n")
	return line
}

// replaced returns c with the next variant in the place of one that failed, and the names
// of both; there is no next one where to is empty. Products go from packed to dense input,
// from bytes to float32, and then from registers to local memory to the naive kernel.
// Another precision is never replaced: it was asked for.
func (b *Backend) replaced(c kernels.Config, f *Failure) (next kernels.Config, from, to string) {
	switch f.Operation {
	case network.OpSoftmax:
		switch {
		case c.SoftmaxRows > 0:
			c.SoftmaxRows = 0
			return c, "register", string(kernels.NaiveVariant)
		case c.RecordGroup > 1:
			c.RecordGroup = 1
			return c, "in groups", "in one work-item"
		}
		return c, string(kernels.NaiveVariant), ""
	case network.OpUpdate:
		if c.UpdateItem > 1 {
			c.UpdateItem = 1
			return c, "register", string(kernels.NaiveVariant)
		}
		return c, string(kernels.NaiveVariant), ""
	}
	tile := c.Tile(f.Operation, f.N, f.P)
	switch {
	case f.First && c.Packed != nil:
		tile, c.Packed, c.Step = *c.Packed, nil, nil
		c.Shifted = false
		return c, tile.String(), "dense input"
	case tile.Variant == kernels.Tensor:
		return c, tile.String(), ""
	case f.First && c.Bytes:
		c.Bytes, c.Shifted = false, false
		return c, tile.String() + " over bytes", "float32 input"
	case tile.Variant == kernels.NaiveVariant:
		return c, tile.String(), ""
	}
	other := kernels.Tile{Variant: kernels.NaiveVariant}
	if tile.Variant == kernels.Register {
		d := b.s.device
		local := fitConfig(kernels.Default(kernels.GPU, d.ComputeUnits, 16), d.limits())
		if other = local.Tile(f.Operation, f.N, f.P); other.Splits > 0 {
			other.Splits = max(1, tile.Splits)
		}
	}
	c.Shapes = maps.Clone(c.Shapes)
	if c.Shapes == nil {
		c.Shapes = map[string]kernels.Tile{}
	}
	c.Shapes[kernels.Key(f.Operation, f.N, f.P)] = other
	return c, tile.String(), other.String()
}

// ofNetwork returns c with the shapes of a network's layers alone, where they have
// other tiles than the default ones, and the packed tile of the first. Bytes are kept where
// the first layer's tiles can read them.
func ofNetwork(c kernels.Config, sizes []int) kernels.Config {
	if c.Packed != nil {
		tile := c.Tile(kernels.OpPacked, sizes[0], sizes[1])
		c.Packed = &tile
	}
	plain := c
	plain.Shapes = nil
	var shapes map[string]kernels.Tile
	for i, n := range sizes[:len(sizes)-1] {
		for _, op := range []string{kernels.OpForward, kernels.OpWeightGradient, kernels.OpInputGradient} {
			key := kernels.Key(op, n, sizes[i+1])
			if tile, ok := c.Shapes[key]; ok && tile != plain.Tile(op, n, sizes[i+1]) {
				if shapes == nil {
					shapes = map[string]kernels.Tile{}
				}
				shapes[key] = tile
			}
		}
	}
	c.Shapes = shapes
	c.Bytes = c.Bytes && c.CheckFirst(sizes[0], sizes[1]) == nil
	return c
}

// groupsPerUnit is how many work-groups of a weight gradient a compute unit gets.
const groupsPerUnit = 2

// fullSplits returns c with as many splits of each layer's weight gradient, where that is
// computed in work-groups and was not tuned, that every compute unit has groupsPerUnit
// of them: a gradient has few tiles, and a last round of few groups leaves units idle.
func (b *Backend) fullSplits(c kernels.Config, sizes []int) kernels.Config {
	c.Shapes = maps.Clone(c.Shapes)
	for i, n := range sizes[:len(sizes)-1] {
		p := sizes[i+1]
		key := kernels.Key(kernels.OpWeightGradient, n, p)
		if _, own := c.Shapes[key]; own || !c.WeightGradient.Grouped() {
			continue
		}
		tile := c.WeightGradient
		tile.Splits = max(1, groupsPerUnit*b.s.device.ComputeUnits/tile.Fit(n, p).Groups(n, p))
		if tile != c.WeightGradient {
			if c.Shapes == nil {
				c.Shapes = map[string]kernels.Tile{}
			}
			c.Shapes[key] = tile
		}
	}
	return c
}

// fewerSplits returns c with fewer splits for the layers whose partial gradients
// would be too large for the device.
func (b *Backend) fewerSplits(c kernels.Config, sizes []int) kernels.Config {
	limit := partialBytes[b.s.device.Class()]
	if m := b.s.device.MaxBuffer; m > 0 {
		limit = min(limit, m)
	}
	c.Shapes = maps.Clone(c.Shapes)
	for i, n := range sizes[:len(sizes)-1] {
		p := sizes[i+1]
		most := max(1, int(limit/(4*int64(network.AlignUp(n)+network.Align)*int64(network.AlignUp(p)))))
		if tile := c.Tile(kernels.OpWeightGradient, n, p); tile.Splits > most {
			tile.Splits = most
			if c.Shapes == nil {
				c.Shapes = map[string]kernels.Tile{}
			}
			c.Shapes[kernels.Key(kernels.OpWeightGradient, n, p)] = tile
		}
		if i == 0 && c.Packed != nil && c.Packed.Splits > most {
			tile := *c.Packed
			tile.Splits = most
			c.Packed = &tile
		}
	}
	return c
}
