package dataset

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// A numbering gives labels that are whole numbers their classes. The rule is that of
// tables: the classes are the labels that the training set has, in the order of their
// values. Their names are these values, or none where they are 0, 1, 2, ….
type numbering struct {
	class map[int64]int32
	names []string // nil where they are 0, 1, 2, …
	count int
	given bool // by Options.Classes
}

// numbering returns that of the training set, the first of the pairs, or that of
// Options.Classes. It says so where the classes are not 0, 1, 2, ….
func (l library) numbering(pairs []pair) (numbering, error) {
	labels := pairs[0].labels
	switch {
	case l.Classes != nil:
		return givenClasses(l.Classes), nil
	case labels.file == "":
		return numbering{}, nil
	}
	values, problem := distinct(labels.labels)
	if problem != nil {
		return numbering{}, fmt.Errorf("%s: %w", labels.file, problem)
	}
	if labels.oneHot > 0 {
		if absent := absentAmong(values, 0, int64(labels.oneHot)-1); absent != "" {
			l.logf("%s: no row has label %s: the %d columns are the classes nevertheless", labels.file, absent, labels.oneHot)
		}
		values = values[:0]
		for i := range labels.oneHot {
			values = append(values, int64(i))
		}
	}
	n := learnedClasses(values)
	if n.count < 2 && !l.Unlabelled {
		for _, p := range pairs[1:] { // which may have what is missing
			if _, err := l.number(p.labels, n); err != nil {
				return numbering{}, err
			}
		}
		return numbering{}, fmt.Errorf("%s: has no label but %d, nor has the test set: at least two classes are expected", labels.file, values[0])
	}
	if n.names != nil {
		words := absentLabels(values, min(0, values[0]))
		if words == "" { // some are below 0
			words = fmt.Sprintf("the %d classes are the labels that occur, %s", n.count, wholeNumbers(values))
		}
		l.logf("%s: %s", labels.file, words)
	}
	return n, nil
}

// absentClasses says of classes whose names are whole numbers in their order which ones between
// them no row has, or returns "".
func absentClasses(classes []string) string {
	var values []int64
	for _, class := range classes {
		v, err := strconv.ParseInt(class, 10, 64)
		if err != nil || len(values) > 0 && v <= values[len(values)-1] {
			return ""
		}
		values = append(values, v)
	}
	if len(values) == 0 {
		return ""
	}
	return absentLabels(values, values[0])
}

// absentLabels says which labels from a first one on are not among sorted values, or
// returns "".
func absentLabels(values []int64, first int64) string {
	absent := absentAmong(values, first, values[len(values)-1])
	if absent == "" {
		return ""
	}
	return fmt.Sprintf("no row has label %s: the %d classes are the labels that occur, %s", absent, len(values), wholeNumbers(values))
}

// number returns the classes of labels, nil where there are none or, where labels are
// not needed, where one has no class.
func (l library) number(labels part, n numbering) ([]int32, error) {
	if labels.file == "" {
		return nil, nil
	}
	classes := make([]int32, len(labels.labels))
	for i, y := range labels.labels {
		class, ok := n.class[y]
		switch {
		case ok:
		case n.given && l.Unlabelled:
			l.logf("%s: row %d has label %d, which is no class: %s are: the labels are left out", labels.file, i+1, y, n)
			return nil, nil
		case n.given:
			return nil, fmt.Errorf("%s: row %d has label %d, which is no class: %s are", labels.file, i+1, y, n)
		default:
			return nil, fmt.Errorf("%s: row %d has label %d, which no row of the training set has: its classes are %s", labels.file, i+1, y, n)
		}
		classes[i] = class
	}
	return classes, nil
}

// String lists the labels that have a class.
func (n numbering) String() string {
	return wholeNumbers(slices.Sorted(maps.Keys(n.class)))
}

// distinct returns the different labels in the order of their values.
func distinct(labels []int64) ([]int64, error) {
	known := make(map[int64]bool)
	for i, y := range labels {
		if known[y] {
			continue
		}
		if len(known) == maxClasses {
			return nil, fmt.Errorf("row %d has label %d after %d others, which is the limit: are these labels?", i+1, y, maxClasses)
		}
		known[y] = true
	}
	return slices.Sorted(maps.Keys(known)), nil
}

// learnedClasses returns the numbering of sorted labels.
func learnedClasses(values []int64) numbering {
	n := numbering{class: make(map[int64]int32, len(values)), count: len(values)}
	complete := true
	for i, y := range values {
		n.class[y] = int32(i)
		n.names = append(n.names, strconv.FormatInt(y, 10))
		complete = complete && y == int64(i)
	}
	if complete {
		n.names = nil
	}
	return n
}

// givenClasses returns the numbering of classes with names: a label is the class that
// has it for a name, or for a number where no name is a whole number.
func givenClasses(names []string) numbering {
	n := numbering{class: make(map[int64]int32, len(names)), names: names, count: len(names), given: true}
	for i, name := range names {
		spelling, value, ok := numericClass(name)
		y := int64(value)
		if !ok || float64(y) != value {
			continue
		}
		if _, taken := n.class[y]; !taken || spelling == name {
			n.class[y] = int32(i)
		}
	}
	if len(n.class) == 0 {
		for i := range names {
			n.class[int64(i)] = int32(i)
		}
		return n
	}
	for i, name := range names {
		if name != strconv.Itoa(i) {
			return n
		}
	}
	n.names = nil
	return n
}

// absentAmong lists the numbers of first to last that sorted values leave out, as in 0 to
// 2, 5; "" is none.
func absentAmong(values []int64, first, last int64) string {
	var gaps [][2]int64
	for _, v := range values {
		if v > first {
			gaps = append(gaps, [2]int64{first, v - 1})
		}
		first = v + 1
	}
	if n := len(values); n == 0 || values[n-1] < last {
		gaps = append(gaps, [2]int64{first, last})
	}
	return numberRanges(gaps)
}

// wholeNumbers lists sorted numbers, as in 0 to 9, 11.
func wholeNumbers(values []int64) string {
	var ranges [][2]int64
	for _, v := range values {
		if n := len(ranges); n > 0 && ranges[n-1][1] == v-1 {
			ranges[n-1][1] = v
			continue
		}
		ranges = append(ranges, [2]int64{v, v})
	}
	return numberRanges(ranges)
}

// numberRanges lists the first ranges of many.
func numberRanges(ranges [][2]int64) string {
	const most = 8
	var words []string
	for _, r := range ranges[:min(most, len(ranges))] {
		switch {
		case r[0] == r[1]:
			words = append(words, strconv.FormatInt(r[0], 10))
		case r[0]+1 == r[1]:
			words = append(words, strconv.FormatInt(r[0], 10), strconv.FormatInt(r[1], 10))
		default:
			words = append(words, fmt.Sprintf("%d to %d", r[0], r[1]))
		}
	}
	if len(ranges) > most {
		words = append(words, "…")
	}
	return strings.Join(words, ", ")
}
