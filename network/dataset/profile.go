package dataset

import (
	"fmt"
	"math"

	"clgrad/network"
)

// A Profile says in which ranges the rows of a training set lie, by a few numbers of each
// row. Rows that come later and lie outside are not like those that a network was trained
// on. Rows whose values are all equal have no part in it.
type Profile struct {
	Lowest    Range `json:"lowest"`    // a row's smallest raw value
	Highest   Range `json:"highest"`   // its largest
	Magnitude Range `json:"magnitude"` // its largest absolute value

	// Of images: the mean raw value of the pixels at the four edges, and the centre of
	// mass, Σ v·i / Σ v over the image's rows i and Σ v·j / Σ v over its columns j, counted
	// from 0, with v a pixel's value less the image's smallest.
	Border *Range `json:"border,omitempty"`
	Row    *Range `json:"row,omitempty"`
	Column *Range `json:"column,omitempty"`

	// Pictures says that the rows were pictures, of which nothing was changed but the size.
	Pictures bool `json:"pictures,omitempty"`
}

// A Range is the smallest, the mean and the largest of a number, over all rows.
type Range struct {
	Min  float64 `json:"min"`
	Mean float64 `json:"mean"`
	Max  float64 `json:"max"`
}

// Check reports ranges that no rows have.
func (p *Profile) Check() error {
	for _, r := range []struct {
		name string
		*Range
	}{{"lowest", &p.Lowest}, {"highest", &p.Highest}, {"magnitude", &p.Magnitude}, {"border", p.Border}, {"row", p.Row}, {"column", p.Column}} {
		if r.Range != nil && !(r.Min <= r.Mean && r.Mean <= r.Max && r.Max-r.Min < math.Inf(1)) {
			return fmt.Errorf("range of %s from %v to %v with mean %v", r.name, r.Min, r.Max, r.Mean)
		}
	}
	if (p.Border == nil) != (p.Row == nil) || (p.Border == nil) != (p.Column == nil) {
		return fmt.Errorf("only some of border, row and column")
	}
	return nil
}

// Profile returns that of the training set, nil where no row has two different values.
func (s Set) Profile() *Profile {
	rows := describe(s.Train, s.Shape)
	if len(rows) == 0 {
		return nil
	}
	over := func(of func(description) float64) Range {
		r := Range{Min: math.Inf(1), Max: math.Inf(-1)}
		for _, row := range rows {
			v := of(row)
			r.Min, r.Max = min(r.Min, v), max(r.Max, v)
			r.Mean += v
		}
		r.Mean = min(r.Max, max(r.Min, r.Mean/float64(len(rows))))
		return r
	}
	p := &Profile{
		Lowest:    over(func(d description) float64 { return d.lowest }),
		Highest:   over(func(d description) float64 { return d.highest }),
		Magnitude: over(description.magnitude),
		Pictures:  s.Pictures,
	}
	if _, _, _, ok := imageSides(s.Shape, s.Train.Features); ok {
		border, row, column := over(func(d description) float64 { return d.border }),
			over(func(d description) float64 { return d.row }), over(func(d description) float64 { return d.column })
		p.Border, p.Row, p.Column = &border, &row, &column
	}
	return p
}

// A description is what a profile is made of, for one row.
type description struct {
	lowest, highest     float64
	border, row, column float64 // of an image
}

func (d description) magnitude() float64 { return max(math.Abs(d.lowest), math.Abs(d.highest)) }

// imageSides returns the rows, columns and channels of images of a shape, and whether
// samples of so many features are such images.
func imageSides(shape []int, features int) (h, w, c int, ok bool) {
	switch len(shape) {
	case 2:
		h, w, c = shape[0], shape[1], 1
	case 3:
		h, w, c = shape[0], shape[1], shape[2]
	default:
		return 0, 0, 0, false
	}
	return h, w, c, ShapeHolds(shape, features)
}

// describe describes all rows whose values are not all equal.
func describe(s network.Samples, shape []int) []description {
	all := make([]description, s.Rows)
	network.Parallel(s.Rows, 256, func(lo, hi int) {
		for i := lo; i < hi; i++ {
			if s.Bytes != nil {
				all[i] = describeRow(s.Row(i), shape)
			} else {
				all[i] = describeRow(s.FloatRow(i), shape)
			}
		}
	})
	n := 0
	for _, d := range all {
		if d.lowest < d.highest { // not of NaN
			all[n] = d
			n++
		}
	}
	return all[:n]
}

func describeRow[T uint8 | float32](row []T, shape []int) (d description) {
	low, high := row[0], row[0]
	for _, v := range row {
		low, high = min(low, v), max(high, v)
	}
	d.lowest, d.highest = float64(low), float64(high)
	h, w, c, ok := imageSides(shape, len(row))
	if !ok || !(low < high) {
		return d
	}
	var mass, down, right, border float64
	for i := range h {
		var line float64
		for j := range w {
			var pixel float64
			for _, v := range row[(i*w+j)*c : (i*w+j+1)*c] {
				pixel += float64(v)
			}
			if i == 0 || i == h-1 || j == 0 || j == w-1 {
				border += pixel
			}
			pixel -= float64(c) * d.lowest
			line += pixel
			right += pixel * float64(j)
		}
		mass += line
		down += line * float64(i)
	}
	edge := h*w - max(0, h-2)*max(0, w-2)
	d.border, d.row, d.column = border/float64(edge*c), down/mass, right/mass
	return d
}

// inverted reports whether an image with such a border is like those of the training set
// once light and dark are exchanged, and is not as it is.
func (p *Profile) inverted(border float64) bool {
	least, most := p.Lowest.Min, p.Highest.Max
	margin := (most - least) / 20
	within := func(v float64) bool { return v >= p.Border.Min-margin && v <= p.Border.Max+margin }
	return !within(border) && within(least+most-border)
}

// How far rows may lie outside before something is said.
const (
	otherScale  = 10       // times the largest value of the training set, or a part of the smallest
	uncentred   = 1. / 10  // of all rows
	centreSlack = 1. / 28. // of the image's side, beyond the training set's range
)

// Misfit says in one line in what rows of the given shape are not like those of the
// training set, and what to do, or returns "":
//
//	scale     all values are less than a tenth of the smallest of the training set's
//	          magnitudes, or most rows have a magnitude of more than ten times its largest
//	polarity  of most images the border is too light or too dark, and would not be if light and
//	          dark were exchanged
//	centre    more than a tenth of the images have their centre of mass outside of the
//	          training set's range by more than 1/28 of a side
//
// Rows whose values are all equal are not looked at.
func (p *Profile) Misfit(s network.Samples, shape []int) string {
	if p == nil || s.Rows == 0 {
		return ""
	}
	rows := describe(s, shape)
	n := len(rows)
	if n == 0 {
		return ""
	}
	most, tooLarge, inverted, off := 0.0, 0, 0, 0
	h, w, _, image := imageSides(shape, s.Features)
	image = image && p.Border != nil
	var where description
	for _, d := range rows {
		most = max(most, d.magnitude())
		if d.magnitude() > otherScale*p.Magnitude.Max {
			tooLarge++
		}
		if image && p.inverted(d.border) {
			inverted++
		}
		outside := func(v float64, r Range, side int) bool {
			slack := centreSlack * float64(side)
			return v < r.Min-slack || v > r.Max+slack
		}
		if image && (outside(d.row, *p.Row, h) || outside(d.column, *p.Column, w)) {
			if off++; off == 1 {
				where = d
			}
		}
	}
	eight := p.Lowest.Min >= 0 && p.Highest.Max > 1 && p.Highest.Max <= byteMax // as of 8-bit pixels
	switch {
	case otherScale*most < p.Magnitude.Min && eight && most <= 1:
		return fmt.Sprintf("has values up to %.4g where the training set has values up to %.4g: multiply them by 255, the model scales them itself", most, p.Highest.Max)
	case otherScale*most < p.Magnitude.Min:
		return fmt.Sprintf("has values up to %.4g where each row of the training set has one of %.4g or more: give values in the training set's units, the model scales them itself", most, p.Magnitude.Min)
	case 2*tooLarge > n && p.Magnitude.Max <= 1 && most <= byteMax:
		return fmt.Sprintf("has values up to %.4g where the training set has values up to %.4g: divide them by 255, as those of the training set were", most, p.Magnitude.Max)
	case 2*tooLarge > n:
		return fmt.Sprintf("has values up to %.4g where the training set has values up to %.4g: give values in the training set's units, scaled as those were", most, p.Magnitude.Max)
	case 2*inverted > n:
		least, most := p.Lowest.Min, p.Highest.Max
		return fmt.Sprintf("looks inverted: %d of %d images have dark and light exchanged against the training set: give %.4g − v in place of each value v", inverted, n, least+most)
	case float64(off) > uncentred*float64(n):
		return fmt.Sprintf("looks uncentred: %d of %d images have their centre of mass where none of the training set has it (the first at row %.1f, column %.1f; there rows %.1f to %.1f, columns %.1f to %.1f): centre them as the training set's are",
			off, n, where.row, where.column, p.Row.Min, p.Row.Max, p.Column.Min, p.Column.Max)
	}
	return ""
}
