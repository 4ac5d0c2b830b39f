package text

import (
	"strings"

	"github.com/rivo/uniseg"
)

// Width returns how many columns of a terminal a line of text takes.
func Width(s string) int { return uniseg.StringWidth(s) }

// fitting returns how many bytes at the start of a text fit in so many columns, in whole characters.
func fitting(s string, columns int) (bytes int) {
	for rest, state, used := s, -1, 0; rest != ""; {
		var character string
		var width int
		character, rest, width, state = uniseg.FirstGraphemeClusterInString(rest, state)
		if used += width; used > columns {
			break
		}
		bytes += len(character)
	}
	return bytes
}

// Cut returns a text that takes at most so many columns: what there is no room for gives way to
// an ellipsis.
func Cut(s string, columns int) string {
	switch {
	case columns <= 0:
		return ""
	case Width(s) <= columns:
		return s
	}
	return s[:fitting(s, columns-1)] + "…"
}

// Pad returns a text followed by as many blanks as it needs to take so many columns.
func Pad(s string, columns int) string { return s + strings.Repeat(" ", max(0, columns-Width(s))) }

// Wrap breaks a text into lines of at most so many columns, between words where that is possible.
// With 0 columns there is no limit.
func Wrap(s string, columns int) (lines []string) {
	if columns <= 0 {
		return []string{s}
	}
	columns = max(columns, 2) // for any character
	line := ""
	for word := range strings.FieldsSeq(s) {
		if line != "" && Width(line)+1+Width(word) > columns {
			lines, line = append(lines, line), ""
		}
		if line != "" {
			line += " "
		}
		line += word
		for Width(line) > columns { // a word that is longer than a line
			n := fitting(line, columns)
			lines, line = append(lines, line[:n]), line[n:]
		}
	}
	return append(lines, line)
}
