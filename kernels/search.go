package kernels

import "slices"

// maxVectors bounds the vectors of sums of a register tile that a search looks
// at: no CPU has registers for more.
const maxVectors = 40

// Neighbours returns the tiles that differ from t by a step in one or two of its
// parameters and that a device with the given limits can take: where a search
// goes from t. For splits it goes only where t has any.
func (t Tile) Neighbours(l Limits) []Tile {
	var all []Tile
	add := func(change func(*Tile)) {
		n := t
		change(&n)
		if n == t || n.Check(l) != nil || slices.Contains(all, n) {
			return
		}
		if n.Width > 0 && n.ItemRows*n.ItemCols/n.Width > maxVectors {
			return
		}
		if t.Depth > 0 && n.Depth < 1 || t.Splits > 0 && n.Splits < 1 {
			return
		}
		all = append(all, n)
	}
	// Twice or half of each, and as much of one as another loses.
	each := []func(*Tile) *int{
		func(t *Tile) *int { return &t.ItemRows },
		func(t *Tile) *int { return &t.ItemCols },
		func(t *Tile) *int { return &t.GroupRows },
		func(t *Tile) *int { return &t.GroupCols },
		func(t *Tile) *int { return &t.Depth },
		func(t *Tile) *int { return &t.Splits },
	}
	for i, of := range each {
		if *of(&t) == 0 {
			continue
		}
		add(func(t *Tile) { *of(t) *= 2 })
		add(func(t *Tile) { *of(t) /= 2 })
		for _, other := range each[i+1:] {
			if *other(&t) == 0 {
				continue
			}
			add(func(t *Tile) { *of(t) *= 2; *other(t) /= 2 })
			add(func(t *Tile) { *of(t) /= 2; *other(t) *= 2 })
		}
	}
	for _, d := range []int{-2, -1, 1, 2} {
		add(func(t *Tile) { t.ItemRows += d })
	}
	if t.Width > 0 {
		add(func(t *Tile) { t.ItemCols += t.Width })
		add(func(t *Tile) { t.ItemCols -= t.Width })
		for _, w := range []int{4, 8, 16} {
			add(func(t *Tile) { t.Width = w })
		}
	}
	return all
}

// stepRows are the rows of a packed group that a search looks at. They divide the rows of the
// blocks that larger batches are divided into.
var stepRows = []int{1, 2, 3, 4, 6, 8, 12}

// Neighbours returns the tiles that differ from t by a step in one parameter, or in the rows
// and the vectors of a tile: where a search goes from t.
func (t StepTile) Neighbours() []StepTile {
	var all []StepTile
	add := func(n StepTile) {
		sums := max(n.Rows*n.Packed, n.DenseRows*n.Dense, n.Gradient)
		if n != t && n.check() == nil && sums <= maxVectors && !slices.Contains(all, n) {
			all = append(all, n)
		}
	}
	change := func(of func(*StepTile) *int, values ...int) {
		for _, v := range values {
			n := t
			*of(&n) = v
			add(n)
		}
	}
	around := func(v int) []int { return []int{v + 1, v - 1, 2 * v, v / 2} }
	for _, rows := range stepRows {
		if rows == t.Rows || rows > 2*t.Rows || 2*rows < t.Rows {
			continue
		}
		// With as many vectors, and with about as many sums.
		for _, packed := range []int{t.Packed, max(1, t.Rows*t.Packed/rows)} {
			n := t
			n.Rows, n.Packed = rows, packed
			n.DenseRows = max(rows, t.DenseRows-t.DenseRows%rows)
			add(n)
			if n.DenseRows < t.DenseRows {
				n.DenseRows += rows
				add(n)
			}
		}
	}
	change(func(t *StepTile) *int { return &t.Packed }, around(t.Packed)...)
	change(func(t *StepTile) *int { return &t.Gradient }, around(t.Gradient)...)
	half := t.DenseRows/2 - t.DenseRows/2%t.Rows
	change(func(t *StepTile) *int { return &t.DenseRows }, t.DenseRows+t.Rows, t.DenseRows-t.Rows, 2*t.DenseRows, half)
	change(func(t *StepTile) *int { return &t.Dense }, around(t.Dense)...)
	for _, n := range [][2]int{{2 * t.DenseRows, t.Dense / 2}, {half, 2 * t.Dense}} {
		c := t
		c.DenseRows, c.Dense = n[0], n[1]
		add(c)
	}
	change(func(t *StepTile) *int { return &t.RowItems }, 2*t.RowItems, t.RowItems/2)
	change(func(t *StepTile) *int { return &t.Ranges }, 2*t.Ranges, t.Ranges/2)
	return all
}
