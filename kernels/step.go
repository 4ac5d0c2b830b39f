package kernels

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// A StepTile says how step_register.cl computes whole iterations over packed input.
type StepTile struct {
	Rows      int `json:"rows"`       // of a packed group
	Packed    int `json:"packed"`     // vectors of a tile of the first layer's forward product
	DenseRows int `json:"dense_rows"` // rows of a tile of the other products
	Dense     int `json:"dense"`      // and its vectors
	Gradient  int `json:"gradient"`   // vectors of a tile of the first layer's gradient
	RowItems  int `json:"row_items"`  // work-items that share the rows
	Ranges    int `json:"ranges"`     // ranges that the inputs of a layer are divided into
}

// stepWidth is the number of elements of the vectors of a StepTile.
const stepWidth = 16

// MaxStepLayers is the largest number of layers of a network of whole iterations.
const MaxStepLayers = 4

// String writes the tile as in step:2x32,6x16,64i2r4: rows and columns of the tiles of packed
// input and of dense products, columns of the gradient's, work-items, ranges.
func (t StepTile) String() string {
	const w = stepWidth
	return fmt.Sprintf("step:%dx%d,%dx%d,%di%dr%d", t.Rows, w*t.Packed, t.DenseRows, w*t.Dense, w*t.Gradient, t.RowItems, t.Ranges)
}

// StepKey names whole iterations of a network of the given sizes, as in "step 784x128x10".
func StepKey(sizes []int) string {
	return "step " + strings.ReplaceAll(strings.Trim(fmt.Sprint(sizes), "[]"), " ", "x")
}

// wideLayer is the number of outputs from which a first layer is a wide one.
const wideLayer = 257

// DefaultStep returns the tile of a CPU with the given number of compute units, and of float32
// in a vector register, for a network whose first layer has so many outputs, before any tuning.
//
// Milliseconds an epoch, or a full batch, on two Zen 4 cores (AVX-512), PoCL 3.1, medians of three
// runs of clgrad compare --batch-size B, in turns:
//
//	rows, columns of       784×128×10               784×500×150×10
//	the gradient's tile    60     128    all        256    all
//	3, 64                  129    84     66         335    366
//	2, 64                  128    85     64         328    388
//	3, 32                  115    89     61         371    413
//	2, 32                  131    80     53         366    451
//
// 128 columns took 1.1 times as long as 64 in batches of 128. Tiles for AVX2 were found on two Zen 3
// cores by clgrad tune.
func DefaultStep(units, lanes, outputs int) StepTile {
	t := StepTile{Rows: 2, Packed: 4, DenseRows: 6, Dense: 4, Gradient: 4, RowItems: units, Ranges: 2 * units}
	switch {
	case lanes < 16:
		t.Packed, t.Dense = 2, 1
	case outputs < wideLayer:
		t.Gradient = 2
	}
	return t
}

// Tile returns the tile of packed input that goes with t, in the place of another.
func (t StepTile) Tile(packed Tile) *Tile {
	packed.ItemRows, packed.ItemCols, packed.Width = t.Rows, t.Packed*stepWidth, stepWidth
	return &packed
}

// Fit returns the tile without the vectors that no layer of a network has room for: where a
// tile has more than a layer, the layer is computed in single vectors.
func (t StepTile) Fit(sizes []int) StepTile {
	vectors := func(n int) int { return (n + stepWidth - 1) / stepWidth }
	t.Packed, t.Gradient = min(t.Packed, vectors(sizes[1])), min(t.Gradient, vectors(sizes[1]))
	t.Dense = min(t.Dense, vectors(slices.Max(sizes[1:])))
	return t
}

// CheckTuned reports why t cannot be the tile of whole iterations of the network that key
// names, on a device with the given limits.
func (t StepTile) CheckTuned(key string, l Limits) error {
	var sizes []int
	for text := range strings.SplitSeq(strings.TrimPrefix(key, "step "), "x") {
		n, _ := strconv.Atoi(text)
		sizes = append(sizes, n)
	}
	if layers := len(sizes) - 1; layers < 1 || layers > MaxStepLayers || slices.Min(sizes) < 1 || StepKey(sizes) != key {
		return fmt.Errorf("step %q: a network of 1 to %d layers is expected, as in %q", key, MaxStepLayers, StepKey([]int{784, 128, 10}))
	}
	c := Specification()
	c.Step, c.Packed = &t, t.Tile(Tile{Variant: Packed})
	if err := c.Check(l); err != nil {
		return fmt.Errorf("%s: %w", key, err)
	}
	return nil
}

// check reports numbers out of their range.
func (t StepTile) check() error {
	for _, f := range []struct {
		name       string
		value, max int
	}{
		{"rows", t.Rows, 64}, {"packed", t.Packed, 16}, {"dense rows", t.DenseRows, 64}, {"dense", t.Dense, 16}, {"gradient", t.Gradient, 16},
		{"row items", t.RowItems, 1 << 12}, {"ranges", t.Ranges, 1 << 12},
	} {
		if f.value < 1 || f.value > f.max {
			return fmt.Errorf("%s is %d: 1 to %d are possible", f.name, f.value, f.max)
		}
	}
	if t.DenseRows%t.Rows != 0 {
		return fmt.Errorf("dense rows are %d: a multiple of the %d rows of a packed group is expected", t.DenseRows, t.Rows)
	}
	return nil
}

// RowsOf returns the program with the kernel step_rows for a network of the given sizes, of at
// most MaxStepLayers layers.
func (t StepTile) RowsOf(sizes []int) Program {
	return t.program(sizes, fmt.Sprintf("-DITEM_ROWS=%d -DPACKED=%d", t.Rows, t.Packed), t.Packed)
}

// ColumnsOf returns the program with the kernel step_columns of a rule.
func (t StepTile) ColumnsOf(sizes []int, rule Rule) Program {
	return t.program(sizes, fmt.Sprintf("-DGRADIENT=%d -DRANGES=%d -DRULE=%s", t.Gradient, t.Ranges, rule), t.Gradient)
}

// program returns a program with own options for the tiles of the first layer, which have
// first vectors. It has no other options, so that a tile that differs in those of the other
// program finds this one in a driver's cache.
func (t StepTile) program(sizes []int, own string, first int) Program {
	vectors := []int{1, first, t.Dense}
	slices.Sort(vectors)
	return Program{
		File: "step_register.cl", Options: fmt.Sprintf("-DWIDTH=%d %s -DDENSE_ROWS=%d -DDENSE=%d", stepWidth, own, t.DenseRows, t.Dense) + networkOptions(sizes),
		Tiles: strings.Trim(strings.ReplaceAll(fmt.Sprint(slices.Compact(vectors)), " ", ","), "[]"),
	}
}

// Tasks returns the number of work-items of step_columns.
func (t StepTile) Tasks(sizes []int) int {
	vectors := (sizes[1] + stepWidth - 1) / stepWidth
	return t.Ranges * ((vectors+t.Gradient-1)/t.Gradient + len(sizes) - 2)
}
