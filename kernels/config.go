package kernels

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// A Class is the kind of device that defaults are chosen for.
type Class string

// The classes.
const (
	CPU Class = "cpu"
	GPU Class = "gpu"
)

// A Config says how a device computes: the tile of each operation by its shape,
// with a default for shapes that are not listed. It is part of a run's plan.
type Config struct {
	Forward        Tile `json:"forward"`
	WeightGradient Tile `json:"weight_gradient"`
	InputGradient  Tile `json:"input_gradient"`
	// Shapes overrides a tile for one shape: the key is Key's.
	Shapes map[string]Tile `json:"shapes,omitempty"`
	// Packed is the tile of both products of the first layer over packed input;
	// nil keeps the input dense.
	Packed *Tile `json:"packed,omitempty"`
	// Bytes keeps 8-bit input as bytes, with its scaling multiplied into the first layer's
	// weights; its products of both directions then are of variants that work in groups.
	Bytes bool `json:"bytes,omitempty"`
	// Shifted says that the scaling of packed input, or of bytes, does not leave a 0 at 0.
	Shifted bool `json:"shifted,omitempty"`
	// Step is how whole iterations over packed input are computed; nil where they are
	// not, but operation by operation.
	Step *StepTile `json:"step,omitempty"`
	// Fused has iterations be computed in few launches where products work in groups
	// (step_local.cl); false has them be computed operation by operation.
	Fused bool `json:"fused,omitempty"`
	// Rule is an update rule, beside that of plain gradient descent, that the self-test of
	// a plan with these settings covers.
	Rule Rule `json:"rule,omitempty"`
	// SoftmaxRows is how many rows a work-item takes; 0 asks for the naive kernel.
	SoftmaxRows int `json:"softmax_rows"`
	// UpdateItem is how many parameters a work-item updates.
	UpdateItem int `json:"update_item"`
	// RecordGroup is the work-group that adds loss and correct rows.
	RecordGroup int `json:"record_group"`
	// BlockRows is how many rows of the batch are computed at a time.
	BlockRows int `json:"block_rows"`
}

// The names of the operations, in keys and profiles.
const (
	OpForward        = "forward"
	OpWeightGradient = "weight_gradient"
	OpInputGradient  = "input_gradient"
	OpPacked         = "packed" // both products of the first layer over packed input
)

// Key names an operation on a layer with n inputs and p outputs.
func Key(op string, n, p int) string { return fmt.Sprintf("%s %dx%d", op, n, p) }

// Tile returns the tile for an operation on a layer with n inputs and p outputs;
// for OpPacked it has no variant where the input is dense.
func (c Config) Tile(op string, n, p int) Tile {
	if len(c.Shapes) > 0 {
		if t, ok := c.Shapes[Key(op, n, p)]; ok {
			return t
		}
	}
	switch op {
	case OpForward:
		return c.Forward
	case OpWeightGradient:
		return c.WeightGradient
	case OpInputGradient:
		return c.InputGradient
	case OpPacked:
		if c.Packed == nil {
			return Tile{}
		}
		return *c.Packed
	}
	panic("kernels: unknown operation " + op)
}

// checkTile reports why a tile cannot serve an operation on a device.
func checkTile(op string, t Tile, l Limits) error {
	switch op {
	case OpForward, OpWeightGradient, OpInputGradient:
		if t.Variant == Packed {
			return fmt.Errorf("tile %s: variant %s serves packed input only", t, t.Variant)
		}
		if op == OpWeightGradient && t.Variant == Register && t.Depth < 1 {
			return fmt.Errorf("tile %s needs a depth", t)
		}
	case OpPacked:
		if t.Variant != Packed {
			return fmt.Errorf("tile %s for packed input: variant %s is expected", t, Packed)
		}
	default:
		return fmt.Errorf("operation %q is unknown: %s, %s, %s or %s is expected",
			op, OpForward, OpWeightGradient, OpInputGradient, OpPacked)
	}
	return t.Check(l)
}

// CheckFirst reports why c cannot serve a first layer with n inputs and p outputs: over
// bytes its products are of variants that work in groups. Other layers may have any.
func (c Config) CheckFirst(n, p int) error {
	for _, op := range []string{OpForward, OpWeightGradient} {
		if tile := c.Tile(op, n, p); c.Bytes && !tile.Grouped() {
			return fmt.Errorf("%s: tile %s over bytes: variant %s or %s is expected", Key(op, n, p), tile, LocalMemory, Tensor)
		}
	}
	return nil
}

// Check reports why a device with the given limits cannot be asked for c, for layers of
// any shape; see [Config.CheckFirst].
func (c Config) Check(l Limits) error {
	tiles := map[string]Tile{OpForward: c.Forward, OpWeightGradient: c.WeightGradient, OpInputGradient: c.InputGradient}
	if c.Packed != nil {
		tiles[OpPacked] = *c.Packed
	}
	maps.Copy(tiles, c.Shapes)
	for _, key := range slices.Sorted(maps.Keys(tiles)) {
		op, _, _ := strings.Cut(key, " ")
		if err := checkTile(op, tiles[key], l); err != nil {
			return fmt.Errorf("%s: %w", key, err)
		}
	}
	if c.Packed != nil && c.Bytes {
		return fmt.Errorf("input is packed and kept as bytes: one of them is possible")
	}
	if c.Packed != nil && c.Fused {
		return fmt.Errorf("input is packed and iterations are in few launches over dense input: one of them is possible")
	}
	if c.Step != nil {
		if c.Packed == nil {
			return fmt.Errorf("whole iterations are of packed input, and input is not packed")
		}
		if err := c.Step.check(); err != nil {
			return fmt.Errorf("whole iterations: %w", err)
		}
	}
	if c.SoftmaxRows < 0 || c.SoftmaxRows > 1<<20 {
		return fmt.Errorf("softmax rows are %d: 0 to %d are possible", c.SoftmaxRows, 1<<20)
	}
	if c.UpdateItem < 1 || c.UpdateItem > 1<<20 {
		return fmt.Errorf("parameters of a work-item are %d: 1 to %d are possible", c.UpdateItem, 1<<20)
	}
	if c.RecordGroup < 1 || c.RecordGroup > l.WorkGroup || c.RecordGroup&(c.RecordGroup-1) != 0 {
		return fmt.Errorf("record group is %d: a power of two up to %d is expected", c.RecordGroup, l.WorkGroup)
	}
	if c.BlockRows < 1 || c.BlockRows > 1<<24 {
		return fmt.Errorf("block rows are %d: 1 to %d are possible", c.BlockRows, 1<<24)
	}
	return nil
}

// Default returns the configuration for a class of device with the given number
// of compute units, before any tuning. lanes is how many float32 a vector register of a
// CPU holds. Step is that of a wide first layer, see [DefaultStep].
//
// The CPU's were found on two Sapphire Rapids cores with PoCL 3.1, MNIST's 60000
// rows, milliseconds of the first layer's forward + weight gradient an iteration:
//
//	packed tile, blocks    784×128     784×500       784×10
//	6×64, 8192 rows        33 + 39     108 + 133     6.5 + 7.5
//	6×64, 4096 rows        24 + 36     113 + 133     8.8 + 12
//	8×32, 8192 rows        37 + 40     120 + 156     8.2 + 9.4
//	12×32, 8192 rows       38 + 44     162 + 184     8.9 + 13
//
// Larger blocks halve the time of add_partials (16 to 8 ms for 784×500). Before
// partials were stored in panels, 8×32 took 57 ms for the weight gradient of
// 784×128 where it takes 40.
//
// With vectors of 8 elements (AVX2: 16 registers) a tile has at most 12 sums; 6×64 there
// takes 1.5 to 2 times as long (two Zen 3 cores, clgrad tune).
func Default(class Class, units, lanes int) Config {
	if class == CPU {
		c := Config{
			Forward:        Tile{Variant: Register, ItemRows: 6, ItemCols: 64, Width: 16},
			WeightGradient: Tile{Variant: Register, ItemRows: 8, ItemCols: 48, Width: 16, Depth: 256, Splits: units},
			Packed:         &Tile{Variant: Packed, ItemRows: 6, ItemCols: 64, Width: 16, Splits: units},
			SoftmaxRows:    64,
			UpdateItem:     4096,
			RecordGroup:    1,
			BlockRows:      8192,
		}
		if lanes < 16 {
			c.Forward.ItemCols = 16
			c.WeightGradient.ItemRows, c.WeightGradient.ItemCols = 5, 16
			c.Packed.ItemRows, c.Packed.ItemCols = 2, 32
		}
		step := DefaultStep(units, lanes, wideLayer)
		c.Step = &step
		c.InputGradient = c.Forward
		return c
	}
	tile := Tile{Variant: LocalMemory, ItemRows: 8, ItemCols: 8, GroupRows: 16, GroupCols: 16, Depth: 16}
	split := tile
	split.Splits = 32
	return Config{
		Forward: tile, InputGradient: tile, WeightGradient: split,
		Bytes:       true,
		Fused:       true,
		UpdateItem:  1,
		RecordGroup: 1024, // one group adds the rows of a block: few rounds, each as long as memory takes
		BlockRows:   1 << 16,
	}
}

// Specification returns the configuration in which every product is naive.
func Specification() Config {
	naive := Tile{Variant: NaiveVariant}
	return Config{Forward: naive, WeightGradient: naive, InputGradient: naive, UpdateItem: 1, RecordGroup: 1, BlockRows: 4096}
}
