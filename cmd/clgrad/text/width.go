package text

import (
	"strings"

	"github.com/rivo/uniseg"
)

// Width returns how many columns of a terminal a line of text takes.
func Width(s string) int { return uniseg.StringWidth(s) }

// Cut returns a text that takes at most so many columns: what there is no room for gives way to
// an ellipsis.
func Cut(s string, columns int) string {
	if Width(s) <= columns {
		return s
	}
	var b strings.Builder
	rest, state := s, -1
	for used := 0; rest != ""; {
		var cluster string
		var width int
		if cluster, rest, width, state = uniseg.FirstGraphemeClusterInString(rest, state); used+width > columns-1 {
			break
		}
		b.WriteString(cluster)
		used += width
	}
	if columns > 0 {
		b.WriteString("…")
	}
	return b.String()
}

// Pad returns a text followed by as many blanks as it needs to take so many columns.
func Pad(s string, columns int) string { return s + strings.Repeat(" ", max(0, columns-Width(s))) }

// Wrap breaks a text into lines of at most so many columns, at blanks where there are some.
// With 0 columns there is no limit.
func Wrap(s string, columns int) (lines []string) {
	if columns <= 0 {
		return []string{s}
	}
	columns = max(columns, 4) // for any character
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
			head := columns
			for Width(line[:head]) > columns || !isStart(line, head) {
				head--
			}
			lines, line = append(lines, line[:head]), line[head:]
		}
	}
	return append(lines, line)
}

// isStart reports whether a character begins at a byte of a text.
func isStart(s string, at int) bool { return at >= len(s) || s[at]&0xC0 != 0x80 }
