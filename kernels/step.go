package kernels

import (
	"fmt"
	"slices"
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

// Tile returns the tile of packed input that goes with t, in the place of another.
func (t StepTile) Tile(packed Tile) *Tile {
	packed.ItemRows, packed.ItemCols, packed.Width = t.Rows, t.Packed*stepWidth, stepWidth
	return &packed
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
func (t StepTile) RowsOf(sizes []int) Program { return t.program(sizes, "") }

// ColumnsOf returns the program with the kernel step_columns of a rule.
func (t StepTile) ColumnsOf(sizes []int, rule Rule) Program {
	return t.program(sizes, " -DRULE="+string(rule))
}

func (t StepTile) program(sizes []int, rule string) Program {
	vectors := []int{1, t.Packed, t.Dense, t.Gradient}
	slices.Sort(vectors)
	var options strings.Builder
	fmt.Fprintf(&options, "-DWIDTH=%d -DITEM_ROWS=%d -DPACKED=%d -DDENSE_ROWS=%d -DDENSE=%d -DGRADIENT=%d -DRANGES=%d -DLAYERS=%d%s",
		stepWidth, t.Rows, t.Packed, t.DenseRows, t.Dense, t.Gradient, t.Ranges, len(sizes)-1, rule)
	for i, n := range sizes {
		fmt.Fprintf(&options, " -DN%d=%d", i, n)
	}
	return Program{
		File: "step_register.cl", Options: options.String(),
		Tiles: strings.Trim(strings.ReplaceAll(fmt.Sprint(slices.Compact(vectors)), " ", ","), "[]"),
	}
}

// Tasks returns the number of work-items of step_columns.
func (t StepTile) Tasks(sizes []int) int {
	vectors := (sizes[1] + stepWidth - 1) / stepWidth
	return t.Ranges * ((vectors+t.Gradient-1)/t.Gradient + len(sizes) - 2)
}
