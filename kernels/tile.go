package kernels

import "fmt"

// A Variant is a way to compute a matrix product.
type Variant string

// The variants.
const (
	NaiveVariant Variant = "naive"    // one output a work-item
	Register     Variant = "register" // a tile in the registers of one work-item, for CPUs
	LocalMemory  Variant = "local"    // tiles of the operands in local memory, for GPUs
	Tensor       Variant = "tensor"   // fragments of tensor cores, at a reduced precision
	Packed       Variant = "packed"   // the first layer over packed input, for CPUs
)

// A Tile holds the parameters of one matrix product. The kernel sources say what
// each means; those that a variant does not use are zero.
type Tile struct {
	Variant   Variant `json:"variant"`
	ItemRows  int     `json:"item_rows,omitempty"`  // results of a work-item, or of a warp (tensor): rows
	ItemCols  int     `json:"item_cols,omitempty"`  // and columns
	GroupRows int     `json:"group_rows,omitempty"` // work-items, or warps, of a work-group: along rows (local, tensor)
	GroupCols int     `json:"group_cols,omitempty"` // and along columns (local, tensor)
	Width     int     `json:"width,omitempty"`      // elements of a vector (register)
	Depth     int     `json:"depth,omitempty"`      // terms, or rows of a block, taken at a time
	Splits    int     `json:"splits,omitempty"`     // parts of the sum (weight gradient)

	Precision Precision `json:"precision,omitempty"` // of the operands (tensor)
	PTX       bool      `json:"ptx,omitempty"`       // by mma.sync (tensor)
}

// warpSize is the number of work-items that multiply a fragment together.
const warpSize = 32

// String describes the tile in one word, for profiles and reports.
func (t Tile) String() string {
	switch t.Variant {
	case Register:
		s := fmt.Sprintf("register:%dx%dv%d", t.ItemRows, t.ItemCols, t.Width)
		if t.Splits > 0 {
			s += fmt.Sprintf("d%ds%d", t.Depth, t.Splits)
		}
		return s
	case Packed:
		return fmt.Sprintf("packed:%dx%dv%ds%d", t.ItemRows, t.ItemCols, t.Width, t.Splits)
	case LocalMemory:
		s := fmt.Sprintf("local:%dx%d@%dx%dd%d", t.ItemRows, t.ItemCols, t.GroupRows, t.GroupCols, t.Depth)
		if t.Splits > 0 {
			s += fmt.Sprintf("s%d", t.Splits)
		}
		return s
	case Tensor:
		s := fmt.Sprintf("tensor:%s:%dx%d@%dx%dd%d", t.Precision, t.ItemRows, t.ItemCols, t.GroupRows, t.GroupCols, t.Depth)
		if t.Splits > 0 {
			s += fmt.Sprintf("s%d", t.Splits)
		}
		if !t.PTX {
			s += ":loops"
		}
		return s
	}
	return string(t.Variant)
}

// Limits are what a device can take.
type Limits struct {
	WorkGroup   int   // work-items of a work-group
	LocalMemory int64 // bytes
}

// Group returns a work-group of want work-items, halved until the device takes it.
func (l Limits) Group(want int) int {
	for want > l.WorkGroup && want > 1 {
		want /= 2
	}
	return want
}

// Check reports why a device with the given limits cannot be asked for the tile.
func (t Tile) Check(l Limits) error {
	between := func(what string, v, low, high int) error {
		if v < low || v > high {
			return fmt.Errorf("tile %s: %s is %d: %d to %d are possible", t, what, v, low, high)
		}
		return nil
	}
	var err error
	and := func(what string, v, low, high int) {
		if err == nil {
			err = between(what, v, low, high)
		}
	}
	and("splits", t.Splits, 0, 4096)
	switch t.Variant {
	case NaiveVariant:
	case Register, Packed:
		if t.Width != 4 && t.Width != 8 && t.Width != 16 {
			return fmt.Errorf("tile %s: width is %d: 4, 8 or 16 are possible", t, t.Width)
		}
		and("item rows", t.ItemRows, 1, 32)
		and("item columns", t.ItemCols, t.Width, 16*t.Width)
		// gradient_register.cl keeps this many rows of a panel on the stack.
		and("depth", t.Depth, 0, 512)
		if err == nil && t.ItemCols%t.Width != 0 {
			return fmt.Errorf("tile %s: item columns are no multiple of the width", t)
		}
	case LocalMemory:
		and("item rows", t.ItemRows, 1, 32)
		and("item columns", t.ItemCols, 1, 32)
		and("group rows", t.GroupRows, 1, 1024)
		and("group columns", t.GroupCols, 1, 1024)
		and("depth", t.Depth, 1, 128)
		if err != nil {
			return err
		}
		and("work-group", t.GroupRows*t.GroupCols, 1, l.WorkGroup)
	case Tensor:
		and("item rows", t.ItemRows, 16, 128)
		and("item columns", t.ItemCols, 8, 128)
		and("group rows", t.GroupRows, 1, 32)
		and("group columns", t.GroupCols, 1, 32)
		and("depth", t.Depth, 8, 64)
		if err != nil {
			return err
		}
		if e := t.Precision.Check(); e != nil || t.Precision == Float32 {
			return fmt.Errorf("tile %s: precision %q: %s, %s or %s is expected", t, string(t.Precision), TF32, BF16, BF16x3)
		}
		if t.ItemRows%16 != 0 || t.ItemCols%8 != 0 || t.Depth%8 != 0 {
			return fmt.Errorf("tile %s: item rows are no multiple of 16, or item columns or depth none of 8", t)
		}
		// The bias gradient is summed by a work-item a column.
		and("columns of a work-group", t.ItemCols*t.GroupCols, 8, warpSize*t.GroupRows*t.GroupCols)
		and("work-group", warpSize*t.GroupRows*t.GroupCols, 1, l.WorkGroup)
	default:
		return fmt.Errorf("variant %q is unknown: %s, %s, %s, %s or %s is expected", t.Variant, NaiveVariant, Register, LocalMemory, Tensor, Packed)
	}
	if err == nil && t.Grouped() && t.localBytes() > l.LocalMemory {
		return fmt.Errorf("tile %s: needs %d bytes of local memory, the device has %d", t, t.localBytes(), l.LocalMemory)
	}
	return err
}

// localBytes returns the local memory that matmul_local.cl or matmul_tensor.cl takes.
func (t Tile) localBytes() int64 {
	if t.Variant == Tensor {
		_, terms := t.Precision.element()
		words := terms * (t.ItemRows*t.GroupRows + t.ItemCols*t.GroupCols) * (t.Depth + 4)
		if !t.PTX {
			words += t.GroupRows * t.GroupCols * (16 + 8) * 8
		}
		return 4 * int64(words)
	}
	pitch := func(n int) int { return (n+3)/4*4 + 4 }
	return 4 * int64(t.Depth) * int64(pitch(t.ItemRows*t.GroupRows)+pitch(t.ItemCols*t.GroupCols))
}

// options returns the -D options of the fields that are set.
func (t Tile) options() string {
	s := fmt.Sprintf("-DITEM_ROWS=%d -DITEM_COLS=%d", t.ItemRows, t.ItemCols)
	for _, d := range []struct {
		name  string
		value int
	}{{"GROUP_ROWS", t.GroupRows}, {"GROUP_COLS", t.GroupCols}, {"WIDTH", t.Width}, {"DEPTH", t.Depth}} {
		if d.value > 0 {
			s += fmt.Sprintf(" -D%s=%d", d.name, d.value)
		}
	}
	if t.Variant == Tensor {
		element, terms := t.Precision.element()
		s += fmt.Sprintf(" -DELEMENT=%s -DTERMS=%d", element, terms)
		if t.PTX {
			s += " -DPTX"
		}
	}
	return s
}

// Grid returns the global and the local size of a product with m rows and n columns
// of outputs, its sum in splits parts: of the variants that work in groups.
func (t Tile) Grid(m, n, splits int) (global, local []int) {
	local = []int{t.GroupCols, t.GroupRows, 1}
	if t.Variant == Tensor {
		local = []int{warpSize * t.GroupRows * t.GroupCols, 1, 1}
	}
	count := func(n, size int) int { return (n + size - 1) / size }
	return []int{
		count(n, t.ItemCols*t.GroupCols) * local[0], count(m, t.ItemRows*t.GroupRows) * local[1], splits,
	}, local
}

// Spread returns a tile that works in groups, for a product with m rows and n columns of
// outputs on a device with so many compute units. As long as there are fewer work-groups than
// units, it halves the larger side of the tile, first what a work-item, or a warp, has of it. A
// batch of 1024 rows and 128 outputs has 8 groups of 128×128 and 128 of 32×32: with the former
// most units of a GPU have nothing to do.
func (t Tile) Spread(m, n, units int) Tile {
	itemRows, itemCols, group := 4, 4, 8 // what is kept: runs of 4, and two warps
	if t.Variant == Tensor {
		itemRows, itemCols, group = 16, 8, 1 // fragments of 16×8
	}
	halve := func(item *int, leastItem int, groups *int) bool {
		switch {
		case *item%(2*leastItem) == 0:
			*item /= 2
		case *groups%(2*group) == 0:
			*groups /= 2
		default:
			return false
		}
		return true
	}
	for t.Groups(m, n) < units {
		rows := func() bool { return halve(&t.ItemRows, itemRows, &t.GroupRows) }
		cols := func() bool { return halve(&t.ItemCols, itemCols, &t.GroupCols) }
		if t.ItemRows*t.GroupRows < t.ItemCols*t.GroupCols {
			rows, cols = cols, rows
		}
		if !rows() && !cols() {
			break
		}
	}
	return t
}

// Groups returns how many work-groups cover a result with m rows and n columns.
func (t Tile) Groups(m, n int) int {
	global, local := t.Grid(m, n, 1)
	return global[0] / local[0] * (global[1] / local[1])
}

// Grouped reports a variant that works in groups, over tiles in local memory.
func (t Tile) Grouped() bool { return t.Variant == LocalMemory || t.Variant == Tensor }

// FitColumns returns the tile with the most columns, up to its own, that divide
// n, which is padded to the width.
func (t Tile) FitColumns(n int) Tile {
	for t.ItemCols = min(t.ItemCols, n); n%t.ItemCols != 0; {
		t.ItemCols -= t.Width
	}
	return t
}

// maxItemRows bounds how tall Fit makes a register tile: more rows than this
// leave no registers for the operands.
const maxItemRows = 16

// Fit returns the tile for a product with m rows and n columns of outputs, n
// padded to the width. Where a register tile is wider than the result it becomes
// narrower and taller, so that as many sums are on their way as before; where it
// is taller than the result, the kernel of one row serves. A local or tensor tile
// becomes narrower as long as half of its columns would do.
func (t Tile) Fit(m, n int) Tile {
	if t.Grouped() {
		return t.narrowGroup(n)
	}
	if t.Variant != Register {
		return t
	}
	if t = t.narrow(n); m < t.ItemRows {
		t.ItemRows = 1
	}
	return t
}

// FitAll is Fit for products whose m is a layer's and not a block's: the rows are
// divided evenly, into as few tiles as before.
func (t Tile) FitAll(m, n int) Tile {
	t = t.narrow(n)
	tiles := (m + t.ItemRows - 1) / t.ItemRows
	t.ItemRows = (m + tiles - 1) / tiles
	return t
}

// narrow makes a tile that is wider than n narrower and taller.
func (t Tile) narrow(n int) Tile {
	if n < t.ItemCols {
		t.ItemRows = max(t.ItemRows, min(maxItemRows, t.ItemRows*t.ItemCols/n))
		t.ItemCols = n
	}
	return t
}

// narrowGroup halves the columns of a local or tensor tile while half of them would do
// for n, and for a least width: first those of a work-item or a warp, as long as it keeps
// enough of them, then work-items or warps go from beside each other to below each other.
func (t Tile) narrowGroup(n int) Tile {
	least, rows, cols, unitRows, unitCols := 16, 4, 4, 1, 1 // what is kept: runs of 4
	if t.Variant == Tensor {
		least, rows, cols, unitRows, unitCols = 8, 16, 16, 16, 8 // fragments of 16×8
	}
	for t.ItemCols*t.GroupCols >= 2*max(n, least) {
		even := t.ItemCols%(2*unitCols) == 0
		switch {
		case t.ItemCols > cols && even:
			t.ItemCols /= 2
		case t.GroupCols%2 == 0:
			t.GroupCols /= 2
			t.GroupRows *= 2
			if t.ItemRows > rows && t.ItemRows%(2*unitRows) == 0 {
				t.ItemRows /= 2 // local memory holds as much as before
			}
		case t.Variant == Tensor && even:
			t.ItemCols /= 2
		default:
			return t
		}
	}
	return t
}
