package report

import (
	"cmp"
	"slices"
	"strings"
)

// displayOrder returns the classes in the order in which they are shown: that of the model,
// unless its names are in the order of text, where "class 10" stands before "class 2"; then
// numbers in them count as numbers.
func displayOrder(names []string, classes int) []int {
	order := make([]int, classes)
	for i := range order {
		order[i] = i
	}
	if slices.IsSorted(names) && len(names) == classes {
		slices.SortStableFunc(order, func(a, b int) int { return compareNatural(names[a], names[b]) })
	}
	return order
}

// compareNatural compares texts as package cmp does, but runs of digits by their value.
func compareNatural(a, b string) int {
	for a != "" && b != "" {
		x, y := leadingDigits(a), leadingDigits(b)
		if x == "" || y == "" {
			if a[0] != b[0] {
				return cmp.Compare(a[0], b[0])
			}
			a, b = a[1:], b[1:]
			continue
		}
		a, b = a[len(x):], b[len(y):]
		x, y = strings.TrimLeft(x, "0"), strings.TrimLeft(y, "0")
		if c := cmp.Or(cmp.Compare(len(x), len(y)), cmp.Compare(x, y)); c != 0 {
			return c
		}
	}
	return cmp.Compare(len(a), len(b))
}

// leadingDigits returns the decimal digits that a text begins with.
func leadingDigits(s string) string {
	return s[:len(s)-len(strings.TrimLeft(s, "0123456789"))]
}
