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
