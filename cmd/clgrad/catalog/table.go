package catalog

import (
	"io"
	"path/filepath"
	"slices"
	"strings"

	"clgrad/cmd/clgrad/text"
)

// A table is one whose long cells are shortened: paths lose their beginnings, other text its end.
type table struct {
	text.Table
	names bool // the columns are called by paths
}

// gap is what stands between columns.
const gap = "  "

// total returns how wide a table of such columns is.
func total(widths []int) int {
	sum := len(gap) * max(0, len(widths)-1)
	for _, w := range widths {
		sum += w
	}
	return sum
}

// narrowest is what is left of a column at least.
const narrowest = 6

// fit shortens the cells of the widest columns until the table is so wide. 0 is any width.
func (t table) fit(width int) {
	widths := t.Widths()
	for width > 0 && total(widths) > width {
		widest := slices.Index(widths, slices.Max(widths))
		if widths[widest] <= narrowest {
			break
		}
		widths[widest]--
	}
	for i, w := range widths {
		t.Columns[i] = shorten(t.Columns[i], w, t.names && i > 0)
		for _, row := range t.Rows {
			row[i] = shorten(row[i], w, isPath(row[i]))
		}
	}
}

// isPath reports whether text looks like the path of a file. It says most at its end.
func isPath(s string) bool { return strings.ContainsRune(s, filepath.Separator) }

// shorten returns text that is at most n columns wide: its end, or else its beginning.
func shorten(s string, n int, end bool) string {
	if !end {
		return text.Cut(s, n)
	}
	for r := []rune(s); text.Width(s) > n && len(r) > 0; r = r[1:] {
		s = "…" + string(r[1:])
	}
	return s
}

// Show writes a table of runs. With a width, that of a screen, columns without any value are
// left out, and of the others the less important ones that do not fit; long names are
// shortened. It returns how many columns did not fit. With the width 0 all columns are written
// in full.
func Show(w io.Writer, runs []Run, width int) (left int, err error) {
	columns := Columns
	if width > 0 {
		known := slices.DeleteFunc(slices.Clone(Columns), func(c Column) bool { return !slices.ContainsFunc(runs, c.known) })
		columns = fitting(known, tableOf(runs, known).Widths(), width)
		left = len(known) - len(columns)
	}
	t := tableOf(runs, columns)
	t.fit(width)
	return left, t.Write(w, 0)
}

// fitting returns the columns, of some widths, that fit a screen, the most important ones first.
// The first two of these always do, and a path counts with a third of the screen at most.
func fitting(columns []Column, widths []int, width int) (some []Column) {
	fits, used := map[string]bool{}, 0
	for _, name := range importance {
		i := slices.IndexFunc(columns, func(c Column) bool { return c.Name == name })
		if i < 0 {
			continue
		}
		need := widths[i] + len(gap)
		if name == pathColumn {
			need = min(widths[i], max(16, width/3)) // the first one has no gap before it
		}
		if used+need <= width || len(fits) < 2 {
			fits[name] = true
			used += need
		}
	}
	for _, c := range columns {
		if fits[c.Name] {
			some = append(some, c)
		}
	}
	return some
}

// tableOf returns the table of some columns.
func tableOf(runs []Run, columns []Column) table {
	var t table
	for _, c := range columns {
		t.Columns, t.Right = append(t.Columns, strings.ToUpper(c.Name)), append(t.Right, c.number != nil && c.Name != "began")
	}
	for _, r := range runs {
		var row []string
		for _, c := range columns {
			row = append(row, text.Printable(c.cell(r)))
		}
		t.Row(row...)
	}
	return t
}
