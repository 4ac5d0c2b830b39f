package kernels

import (
	"fmt"
	"slices"
	"strings"
)

// A StepTile says how step_register.cl computes whole iterations over packed input.
type StepTile struct {
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

// String writes the tile as in 6x2v16: rows, vectors of the dense products.
func (t StepTile) String() string {
	return fmt.Sprintf("packed:%d,dense:%dx%d,gradient:%d,%d items,%d ranges", t.Packed, t.DenseRows, t.Dense, t.Gradient, t.RowItems, t.Ranges)
}

// check reports a tile that cannot go with the tile of packed input.
func (t StepTile) check(packed Tile) error {
	for _, f := range []struct {
		name       string
		value, max int
	}{
		{"packed", t.Packed, 16}, {"dense rows", t.DenseRows, 64}, {"dense", t.Dense, 16}, {"gradient", t.Gradient, 16},
		{"row items", t.RowItems, 1 << 12}, {"ranges", t.Ranges, 1 << 12},
	} {
		if f.value < 1 || f.value > f.max {
			return fmt.Errorf("%s is %d: 1 to %d are possible", f.name, f.value, f.max)
		}
	}
	if packed.ItemRows < 1 || t.DenseRows%packed.ItemRows != 0 {
		return fmt.Errorf("dense rows are %d: a multiple of the %d rows of a packed group is expected", t.DenseRows, packed.ItemRows)
	}
	return nil
}

// Rows returns the program with the kernel step_rows for a network of the given sizes, of at
// most MaxStepLayers layers, on input in groups of itemRows rows.
func (t StepTile) Rows(sizes []int, itemRows int) Program { return t.program(sizes, itemRows, "") }

// Columns returns the program with the kernel step_columns of a rule.
func (t StepTile) Columns(sizes []int, itemRows int, rule Rule) Program {
	return t.program(sizes, itemRows, " -DRULE="+string(rule))
}

func (t StepTile) program(sizes []int, itemRows int, rule string) Program {
	vectors := []int{1, t.Packed, t.Dense, t.Gradient}
	slices.Sort(vectors)
	var options strings.Builder
	fmt.Fprintf(&options, "-DWIDTH=%d -DITEM_ROWS=%d -DPACKED=%d -DDENSE_ROWS=%d -DDENSE=%d -DGRADIENT=%d -DRANGES=%d -DLAYERS=%d%s",
		stepWidth, itemRows, t.Packed, t.DenseRows, t.Dense, t.Gradient, t.Ranges, len(sizes)-1, rule)
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
