package text

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
)

// A Table is rows of cells below the names of their columns. Names may be missing.
type Table struct {
	Columns []string
	Rows    [][]string
	Right   bool // columns are aligned at their right ends
}

// Row adds a row.
func (t *Table) Row(cells ...string) { t.Rows = append(t.Rows, cells) }

// between stands between two columns.
const between = 2

// Write writes the table in at most so many columns of a terminal, 0 for any number. Columns that
// have no room beside the others follow below, behind the first one again, and a cell that is too
// long for a line is broken into several.
func (t Table) Write(w io.Writer, columns int) error {
	rows := t.Rows
	if t.Columns != nil {
		rows = append([][]string{t.Columns}, rows...)
	}
	var widths []int
	for _, row := range rows {
		for i, cell := range row {
			if i == len(widths) {
				widths = append(widths, 0)
			}
			widths[i] = max(widths[i], Width(cell))
		}
	}
	for i, block := range blocks(widths, columns) {
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
		width += between
		if len(block) > 1 && columns > 0 && used+width > columns {
			all = append(all, block)
			block, used = []int{0}, widths[0]+between
		}
		block, used = append(block, i), used+width
	}
	return append(all, block)
}

// write writes some columns of rows.
func (t Table) write(w io.Writer, rows [][]string, block []int, columns int) error {
	flags, end := uint(0), ""
	if t.Right {
		flags, end = tabwriter.AlignRight, "\t"
	}
	room := 0 // for the last of two columns, which alone may be too wide
	if columns > 0 && len(block) == 2 {
		first := 0
		for _, row := range rows {
			first = max(first, Width(row[0]))
		}
		room = max(10, columns-first-2*between)
	}
	tabs := tabwriter.NewWriter(w, 0, 0, between, ' ', flags)
	for _, row := range rows {
		var cells []string
		for _, i := range block {
			if i < len(row) {
				cells = append(cells, row[i])
			}
		}
		more := []string(nil)
		if room > 0 && len(cells) == 2 && Width(cells[1]) > room {
			lines := Wrap(cells[1], room)
			cells[1], more = lines[0], lines[1:]
		}
		fmt.Fprintln(tabs, strings.Join(cells, "\t")+end)
		for _, line := range more {
			fmt.Fprintln(tabs, "\t"+line+end)
		}
	}
	return tabs.Flush()
}
