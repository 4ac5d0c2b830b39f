package dataset

import (
	"bytes"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// maxClasses bounds the classes of labels that are read: a column with more
// different values holds measurements.
const maxClasses = 1 << 16

// labels are the labels of a table's rows.
type labels struct {
	known map[string]int32 // the number of a class that was given, or of a label by its first row
	given bool
	names []string // by these numbers
	rows  []int32
}

func newLabels(classes []string) labels {
	l := labels{known: make(map[string]int32), given: classes != nil}
	for i, name := range classes {
		l.known[name] = int32(i)
	}
	l.names = classes
	return l
}

// add takes a row's label, or says what is wrong with it.
func (l *labels) add(field []byte) (problem string) {
	n, ok := l.known[string(field)] // without a copy
	if !ok {
		field = bytes.TrimSpace(field)
		n, ok = l.known[string(field)]
	}
	if !ok && l.given {
		var number string
		if number, _, ok = numericClass(string(field)); ok {
			n, ok = l.known[number]
		}
	}
	switch {
	case ok:
	case len(field) == 0:
		return "is empty where a label is expected"
	case l.given:
		return fmt.Sprintf("%.80q is no class: %s are", field, list(l.names))
	case !utf8.Valid(field):
		return fmt.Sprintf("%.80q is not UTF-8", field)
	case len(l.names) == maxClasses:
		return fmt.Sprintf("%.80q comes after %d other labels, which is the limit: is this the column of the labels?", field, maxClasses)
	default:
		n = int32(len(l.names))
		name := string(field) // the row's memory is used again
		l.known[name] = n
		l.names = append(l.names, name)
	}
	l.rows = append(l.rows, n)
	return ""
}

// counts returns the number of rows of each name.
func (l *labels) counts() []int {
	counts := make([]int, len(l.names))
	for _, n := range l.rows {
		counts[n]++
	}
	return counts
}

// finish returns the rows' classes and their names. joined are two spellings of a number
// that are one class, nil where there are none.
func (l *labels) finish(given []string) (rows []int32, names, joined []string) {
	if given != nil {
		return l.rows, given, nil
	}
	type class struct {
		name  string
		value float64
	}
	classes, numeric := make([]class, len(l.names)), true
	for i, name := range l.names {
		number, value, ok := numericClass(name)
		classes[i] = class{number, value}
		numeric = numeric && ok
	}
	if !numeric {
		for i, name := range l.names {
			classes[i] = class{name, 0}
		}
	}
	spelled := make(map[string]string, len(classes))
	for i, c := range classes {
		if other, twice := spelled[c.name]; twice && joined == nil {
			joined = []string{other, l.names[i]}
		}
		spelled[c.name] = l.names[i]
	}
	sorted := slices.Clone(classes)
	slices.SortFunc(sorted, func(a, b class) int {
		switch {
		case a.value < b.value:
			return -1
		case a.value > b.value:
			return 1
		case len(a.name) != len(b.name) && numeric:
			return len(a.name) - len(b.name)
		}
		return strings.Compare(a.name, b.name)
	})
	sorted = slices.Compact(sorted)
	index := make(map[string]int32, len(sorted))
	names = make([]string, len(sorted))
	for i, c := range sorted {
		index[c.name], names[i] = int32(i), c.name
	}
	for i, n := range l.rows {
		l.rows[i] = index[classes[n].name]
	}
	return l.rows, names, joined
}

// numericClass returns the one spelling of a label that is a plain decimal number, and its
// value. Whole numbers of 64 bits keep all their digits; longer ones are text.
func numericClass(text string) (spelling string, value float64, ok bool) {
	if n, err := strconv.ParseInt(text, 10, 64); err == nil {
		return strconv.FormatInt(n, 10), float64(n), true
	}
	v, ok := parseDecimal([]byte(text))
	if !ok || v-v != 0 || strings.Trim(text, "+-0123456789") == "" {
		return "", 0, false
	}
	form := byte('f')
	if a := math.Abs(v); a != 0 && (a < 1e-6 || a >= 1e21) {
		form = 'e'
	}
	return strconv.FormatFloat(v+0, form, -1, 64), v, true
}
