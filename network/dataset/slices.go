package dataset

import (
	"fmt"
	"slices"
	"strconv"

	"clgrad/network"
)

// A Value is a feature in a Go slice. Bytes are held as they are, and are 8-bit data to
// preprocessing; other values are held as float32.
type Value interface {
	uint8 | int | float32 | float64
}

// A Label is the label of a row in a Go slice: the name of a class, or a whole number.
type Label interface {
	string | int | int32 | int64 | uint8
}

// FromRows returns a set without a file: its training set has the given rows, of as many
// features each, and a label a row. Labels that are nil ([]int(nil)) make a set of rows to be
// predicted, without classes. Rows are copied.
//
// The classes are the labels that occur. Whole numbers are in the order of their values,
// and their names are left out where they are 0, 1, 2, …; strings are in the order of [Load]'s
// CSV files, by their values if all are numbers. The set is raw: see [Set.Split] and
// [Set.Preprocess]. Name and Shape may be changed.
//
// Errors, which name the row, counted from 1: no rows, rows without features or of
// different lengths, values that are no finite float32, more or fewer labels than rows, and
// labels that are all alike.
func FromRows[V Value, L Label](rows [][]V, labels []L) (Set, error) {
	if len(rows) == 0 {
		return Set{}, network.ErrNoSamples
	}
	features := len(rows[0])
	for i, row := range rows {
		if len(row) != features {
			return Set{}, fmt.Errorf("row %d has %d features where %d are expected, as in row 1", i+1, len(row), features)
		}
	}
	return FromFlat(slices.Concat(rows...), features, labels)
}

// FromFlat is [FromRows] of rows that stand one behind the other in a slice, each of so many
// features. Slices of uint8 and float32 become part of the set, they are not copied.
func FromFlat[V Value, L Label](values []V, features int, labels []L) (Set, error) {
	switch {
	case features < 1:
		return Set{}, fmt.Errorf("rows of %d features: at least 1 is expected", features)
	case len(values) == 0:
		return Set{}, network.ErrNoSamples
	case len(values)%features != 0:
		return Set{}, fmt.Errorf("%d values are not whole rows of %d features", len(values), features)
	}
	set := Set{Name: "rows", Shape: []int{features}}
	set.Train = network.Samples{Rows: len(values) / features, Features: features}
	switch v := any(values).(type) {
	case []uint8:
		set.Train.Bytes = v
	case []float32:
		set.Train.Floats = v
	default:
		set.Train.Floats = make([]float32, len(values))
		for i, v := range values {
			set.Train.Floats[i] = float32(v)
		}
	}
	for i, v := range set.Train.Floats {
		if v-v != 0 { // NaN for ±Inf and NaN
			return Set{}, fmt.Errorf("row %d, feature %d is %v where a finite float32 is expected", i/features+1, i%features+1, values[i])
		}
	}
	if labels != nil {
		if len(labels) != set.Train.Rows {
			return Set{}, fmt.Errorf("%d labels for %d rows: one a row is expected", len(labels), set.Train.Rows)
		}
		var err error
		if set.Train.Labels, set.ClassNames, set.Classes, err = classesOf(labels); err != nil {
			return Set{}, err
		}
	}
	set.Digest = Digest(set.Shape, set.Train, set.Test)
	return set, nil
}

// WithTest returns a set with the given rows as its test set, in the place of the one that it
// may have. Rows have the features of the training set, and labels its classes: by their names, so
// that a test set need not have rows of all classes. It belongs in front of
// [Set.Split] and [Set.Preprocess]. Errors name the row, counted from 1.
func WithTest[V Value, L Label](s Set, rows [][]V, labels []L) (Set, error) {
	test, err := FromRows(rows, []string(nil))
	switch {
	case err != nil:
		return Set{}, fmt.Errorf("test set: %w", err)
	case test.Train.Features != s.Train.Features:
		return Set{}, fmt.Errorf("test set: has %d features where the training set has %d", test.Train.Features, s.Train.Features)
	case len(labels) != len(rows):
		return Set{}, fmt.Errorf("test set: %d labels for %d rows: one a row is expected", len(labels), len(rows))
	}
	names := s.ClassNames
	for i := 0; s.ClassNames == nil && i < s.Classes; i++ {
		names = append(names, strconv.Itoa(i))
	}
	classes := newLabels(names)
	for i, label := range labels {
		if problem := classes.add(fmt.Append(nil, label)); problem != "" {
			return Set{}, fmt.Errorf("test set: row %d: the label %s", i+1, problem)
		}
	}
	s.Test, s.Test.Labels, s.Test.Scaling = test.Train, classes.rows, s.Train.Scaling
	s.Digest = Digest(s.Shape, s.Train, s.Test)
	return s, nil
}

// classesOf returns the classes of labels, their names and how many there are.
func classesOf[L Label](labels []L) (classes []int32, names []string, count int, err error) {
	switch l := any(labels).(type) {
	case []string:
		classes, names, err = namedClasses(l)
		count = len(names)
	case []int:
		classes, names, count, err = wholeClasses(l)
	case []int32:
		classes, names, count, err = wholeClasses(l)
	case []int64:
		classes, names, count, err = wholeClasses(l)
	case []uint8:
		classes, names, count, err = wholeClasses(l)
	}
	if err == nil && count < 2 {
		err = fmt.Errorf("every row has the label %v: at least two classes are expected", labels[0])
	}
	return classes, names, count, err
}

// namedClasses is classesOf for strings.
func namedClasses(text []string) ([]int32, []string, error) {
	all := newLabels(nil)
	for i, name := range text {
		if problem := all.add([]byte(name)); problem != "" {
			return nil, nil, fmt.Errorf("row %d: the label %s", i+1, problem)
		}
	}
	classes, names, _ := all.finish(nil)
	return classes, names, nil
}

// wholeClasses is classesOf for whole numbers.
func wholeClasses[L int | int32 | int64 | uint8](numbers []L) ([]int32, []string, int, error) {
	wide := make([]int64, len(numbers))
	for i, y := range numbers {
		wide[i] = int64(y)
	}
	values, err := distinct(wide)
	if err != nil {
		return nil, nil, 0, err
	}
	n := learnedClasses(values)
	classes := make([]int32, len(wide))
	for i, y := range wide {
		classes[i] = n.class[y]
	}
	return classes, n.names, n.count, nil
}
