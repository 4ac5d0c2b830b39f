package text

import (
	"fmt"
	"io"
	"strings"
)

// A Table is rows of cells below the names of their columns. Names may be missing.
type Table struct {
	Columns []string
	Rows    [][]string
	// Right says of each column whether it is aligned at its right end, the last one of all
	// columns that follow too.
	Right []bool
}

// Row adds a row.
func (t *Table) Row(cells ...string) { t.Rows = append(t.Rows, cells) }

// between stands between two columns, and before a first one that is aligned at its right end.
const between = "  "

// all returns the rows with the names of the columns.
func (t Table) all() [][]string {
	if t.Columns == nil {
		return t.Rows
	}
	return append([][]string{t.Columns}, t.Rows...)
}

// Widths returns how wide each column is.
func (t Table) Widths() []int { return widthsOf(t.all()) }

func widthsOf(rows [][]string) (widths []int) {
	for _, row := range rows {
		for i, cell := range row {
			if i == len(widths) {
				widths = append(widths, 0)
			}
			widths[i] = max(widths[i], Width(cell))
		}
	}
	return widths
}

// Write writes the table in at most so many columns of a terminal, 0 for any number. Columns that
// have no room beside the others follow below, behind the first one again, and a cell that is too
// long for a line is broken into several.
func (t Table) Write(w io.Writer, columns int) error {
	rows := t.all()
	for i, block := range blocks(widthsOf(rows), columns) {
		if i > 0 {
			if _, err := fmt.Fprintln(w); err != nil {
				return err
			}
		}
		if err := t.write(w, rows, block, columns); err != nil {
			return err
		}
	}
	return nil
}

// blocks divides columns of these widths into those that have room beside each other. All begin
// with the first one.
func blocks(widths []int, columns int) (all [][]int) {
	block, used := []int{}, 0
	for i, width := range widths {
		width += len(between)
		if len(block) > 1 && columns > 0 && used+width > columns {
			all = append(all, block)
			block, used = []int{0}, widths[0]+len(between)
		}
		block, used = append(block, i), used+width
	}
	return append(all, block)
}

// write writes some columns of rows.
func (t Table) write(w io.Writer, rows [][]string, block []int, columns int) error {
	var lines [][]string
	for _, row := range rows {
		var cells []string
		for _, i := range block {
			if i < len(row) {
				cells = append(cells, row[i])
			}
		}
		lines = append(lines, cells)
	}
	if columns > 0 && len(block) == 2 { // the last column alone may be too wide
		lines = wrapLast(lines, max(10, columns-widthsOf(lines)[0]-2*len(between)))
	}
	widths := widthsOf(lines)
	for _, cells := range lines {
		var b strings.Builder
		for i, cell := range cells {
			space := strings.Repeat(" ", widths[i]-Width(cell))
			switch {
			case t.right(block[i]):
				b.WriteString(between + space + cell)
			case i > 0:
				b.WriteString(between + cell + space)
			default:
				b.WriteString(cell + space)
			}
		}
		if _, err := fmt.Fprintln(w, strings.TrimRight(b.String(), " ")); err != nil {
			return err
		}
	}
	return nil
}

// wrapLast breaks the last of two cells into lines of at most so many columns.
func wrapLast(rows [][]string, columns int) (lines [][]string) {
	for _, cells := range rows {
		if len(cells) < 2 || Width(cells[1]) <= columns {
			lines = append(lines, cells)
			continue
		}
		for i, line := range Wrap(cells[1], columns) {
			if i > 0 {
				cells = []string{"", ""}
			}
			lines = append(lines, []string{cells[0], line})
		}
	}
	return lines
}

// right reports whether a column is aligned at its right end.
func (t Table) right(column int) bool {
	n := len(t.Right)
	return n > 0 && t.Right[min(column, n-1)]
}
