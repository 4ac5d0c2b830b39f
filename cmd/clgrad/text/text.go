// Package text is how commands write things in a line or a few: errors, words for a
// shell, numbers, and on a terminal a curve and some samples.
package text

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"unicode"
)

// OneLine returns an error's text in one line, "" of none.
func OneLine(err error) string {
	if err == nil {
		return ""
	}
	return strings.ReplaceAll(strings.TrimSpace(err.Error()), "\n", "; ")
}

// Printable returns text without what a terminal takes for a command, or that ends a line: names of
// files, columns and classes may hold anything.
func Printable(s string) string {
	return strings.Map(func(c rune) rune {
		switch {
		case strconv.IsPrint(c):
			return c
		case unicode.IsSpace(c):
			return ' '
		}
		return '?'
	}, s)
}

// ShellWord returns a word as a shell would take it.
func ShellWord(w string) string {
	if w == "" || strings.ContainsFunc(w, func(c rune) bool {
		return !unicode.IsLetter(c) && !unicode.IsDigit(c) && !strings.ContainsRune("-_=./,:+%@", c)
	}) {
		return "'" + strings.ReplaceAll(w, "'", `'\''`) + "'"
	}
	return w
}

// Sizes writes the sizes of a network's layers in one word, as in 784-128-10.
func Sizes(sizes []int) string {
	return strings.ReplaceAll(strings.Trim(fmt.Sprint(sizes), "[]"), " ", "-")
}

// Percent writes a share, as in 98.70 %.
func Percent(share float64) string { return fmt.Sprintf("%.2f %%", 100*share) }

// Digits writes a positive number with four decimals, or as many as show three digits
// of it: iterations take from a minute to some hundred microseconds.
func Digits(v float64) string {
	decimals := 4
	if v > 0 {
		decimals = max(decimals, min(12, 2-int(math.Floor(math.Log10(v)))))
	}
	return strconv.FormatFloat(v, 'f', decimals, 64)
}
