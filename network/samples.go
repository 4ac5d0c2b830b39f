package network

import (
	"errors"
	"fmt"
	"slices"
)

// Samples are labelled rows of features, with the affine scaling under which a
// network sees them. Exactly one of Bytes and Floats holds the features,
// row-major, Rows×Features. They may be those of a file that is mapped into memory
// (package mapped).
//
// What [Samples.Select] returns has the Bytes or Floats that it selects from, and an Index.
// [Samples.Row] and [Samples.FloatRow] return the features of a row of any samples.
type Samples struct {
	Rows     int
	Features int
	Bytes    []uint8
	Floats   []float32
	Labels   []int32 // one class index a row; nil where they are unknown
	Scaling  Scaling

	// Index says where the features of row i are: in row Index[i] of Bytes or Floats, or in
	// row i where it is nil. Labels are in order.
	Index []int32
}

// A Scaling maps a raw feature value v of column j to
//
//	x = (v − Shift[j]) · Factor[j]
//
// computed in float64 and rounded once to float32, on every backend alike. Both
// slices have one element for all columns, or one a column; a Scaling without
// elements leaves values as they are.
type Scaling struct {
	Shift  []float64 `json:"shift"`
	Factor []float64 `json:"factor"`
}

// Apply returns the scaled value of v in column j.
func (s Scaling) Apply(v float64, j int) float32 {
	shift, factor := s.At(j)
	return float32((v - shift) * factor)
}

// At returns the shift and the factor of feature j.
func (s Scaling) At(j int) (shift, factor float64) {
	switch len(s.Shift) {
	case 0:
		return 0, 1
	case 1:
		j = 0
	}
	return s.Shift[j], s.Factor[j]
}

// Check reports a Scaling of the wrong length.
func (s Scaling) Check(features int) error {
	if n := len(s.Shift); len(s.Factor) != n || n > 1 && n != features {
		return fmt.Errorf("scaling has %d shifts and %d factors for %d features: 0, 1 or %[3]d of each are expected",
			len(s.Shift), len(s.Factor), features)
	}
	return nil
}

// ErrNoSamples reports a set without rows.
var ErrNoSamples = errors.New("no samples: at least one row is needed")

// ErrNoLabels reports a loss over samples that have no labels.
var ErrNoLabels = errors.New("the samples have no labels")

// Check reports what is inconsistent. classes is the number of classes that
// labels may name; 0 leaves labels unchecked.
func (s Samples) Check(classes int) error {
	if s.Rows < 1 {
		return ErrNoSamples
	}
	if s.Features < 1 {
		return errors.New("samples without features: at least one column is needed")
	}
	if (s.Bytes == nil) == (s.Floats == nil) {
		return errors.New("samples need their features either as bytes or as floats")
	}
	n := len(s.Bytes) + len(s.Floats)
	if s.Index != nil && len(s.Index) == s.Rows && n%s.Features == 0 {
		n = s.Rows * s.Features
	}
	if n/s.Features != s.Rows || n%s.Features != 0 {
		return fmt.Errorf("samples hold %d values where %d rows of %d features are expected", n, s.Rows, s.Features)
	}
	if s.Labels != nil && len(s.Labels) != s.Rows {
		return fmt.Errorf("samples have %d labels for %d rows", len(s.Labels), s.Rows)
	}
	if classes > 0 {
		for i, y := range s.Labels {
			if y < 0 || int(y) >= classes {
				return fmt.Errorf("row %d has label %d: labels 0 to %d are expected", i+1, y, classes-1)
			}
		}
	}
	return s.Scaling.Check(s.Features)
}

// Kind returns the samples without the memory of their features and labels, which are empty then
// where there are any: what is to be known of samples once they are loaded.
func (s Samples) Kind() Samples {
	s.Index = nil
	if s.Bytes != nil {
		s.Bytes = []uint8{}
	}
	if s.Floats != nil {
		s.Floats = []float32{}
	}
	if s.Labels != nil {
		s.Labels = []int32{}
	}
	return s
}

// place returns where the features of row i begin.
func (s Samples) place(i int) int {
	if s.Index != nil {
		i = int(s.Index[i])
	}
	return i * s.Features
}

// Row returns the features of row i of samples that have Bytes, sharing memory.
func (s Samples) Row(i int) []uint8 {
	at := s.place(i)
	return s.Bytes[at : at+s.Features]
}

// FloatRow returns the features of row i of samples that have Floats, sharing memory.
func (s Samples) FloatRow(i int) []float32 {
	at := s.place(i)
	return s.Floats[at : at+s.Features]
}

// Slice returns the samples first … first+rows−1, sharing memory.
func (s Samples) Slice(first, rows int) Samples {
	part := s
	part.Rows = rows
	switch {
	case s.Index != nil:
		part.Index = s.Index[first : first+rows]
	case s.Bytes != nil:
		part.Bytes = s.Bytes[first*s.Features : (first+rows)*s.Features]
	default:
		part.Floats = s.Floats[first*s.Features : (first+rows)*s.Features]
	}
	if s.Labels != nil {
		part.Labels = s.Labels[first : first+rows]
	}
	return part
}

// Select returns the rows of the given numbers, in that order. They share the memory of the
// features, which may be larger than the machine's; labels are copied.
func (s Samples) Select(rows []int32) Samples {
	part := s
	part.Rows, part.Index, part.Labels = len(rows), slices.Clone(rows), nil
	if s.Index != nil {
		for i, row := range rows {
			part.Index[i] = s.Index[row]
		}
	}
	if s.Labels != nil {
		part.Labels = make([]int32, len(rows))
		for i, row := range rows {
			part.Labels[i] = s.Labels[row]
		}
	}
	return part
}

// Flat returns the samples with their features in the order of the rows, copied where they
// are not.
func (s Samples) Flat() Samples {
	if s.Index == nil {
		return s
	}
	flat := s
	flat.Index, flat.Bytes, flat.Floats = nil, nil, nil
	if s.Bytes != nil {
		flat.Bytes = make([]uint8, 0, s.Rows*s.Features)
		for i := range s.Rows {
			flat.Bytes = append(flat.Bytes, s.Row(i)...)
		}
		return flat
	}
	flat.Floats = make([]float32, 0, s.Rows*s.Features)
	for i := range s.Rows {
		flat.Floats = append(flat.Floats, s.FloatRow(i)...)
	}
	return flat
}

// gather returns the rows first … first+n−1 of each range, one range after the other, of the
// samples in another order: row order[i] in the place of row i. nil is the given order.
func (s Samples) gather(order []int32, ranges [][2]int) Samples {
	if order == nil && len(ranges) == 1 {
		return s.Slice(ranges[0][0], ranges[0][1])
	}
	n := 0
	for _, r := range ranges {
		n += r[1]
	}
	rows := make([]int32, 0, n)
	for _, r := range ranges {
		if order != nil {
			rows = append(rows, order[r[0]:r[0]+r[1]]...)
			continue
		}
		for i := range r[1] {
			rows = append(rows, int32(r[0]+i))
		}
	}
	return s.Select(rows)
}

// maxTable bounds the precomputed values of RowScaler, in elements.
const maxTable = 1 << 21

// ScaledRows returns a function that writes the scaled features of row i to dst,
// as a network sees them: Scaling.Apply of each raw value. It may be called from
// several goroutines.
func (s Samples) ScaledRows() func(i int, dst []float32) {
	scaled := s.RowScaler()
	return func(i int, dst []float32) { scaled(s, i, dst) }
}

// RowScaler returns the function of ScaledRows for any samples with this number of features and
// this scaling, which like these have Bytes or Floats.
func (s Samples) RowScaler() func(of Samples, i int, dst []float32) {
	columns := max(1, len(s.Scaling.Shift)) // that differ in their scaling
	if s.Bytes == nil || 256*columns > maxTable {
		return Samples.computedRow
	}
	// A byte has 256 values: all results are known beforehand.
	table := make([]float32, 256*columns)
	for i := range table {
		table[i] = s.Scaling.Apply(float64(i%256), i/256)
	}
	if columns == 1 {
		return func(of Samples, i int, dst []float32) {
			for j, v := range of.Row(i) {
				dst[j] = table[v]
			}
		}
	}
	return func(of Samples, i int, dst []float32) {
		for j, v := range of.Row(i) {
			dst[j] = table[j<<8|int(v)]
		}
	}
}

// computedRow scales a row without tables.
func (s Samples) computedRow(i int, dst []float32) {
	if s.Bytes != nil {
		for j, v := range s.Row(i) {
			dst[j] = s.Scaling.Apply(float64(v), j)
		}
		return
	}
	for j, v := range s.FloatRow(i) {
		dst[j] = s.Scaling.Apply(float64(v), j)
	}
}
