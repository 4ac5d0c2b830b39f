package report

import (
	"fmt"
	"io"
)

// WritePage writes the page of a run alone, without files of its pictures. An error is one line;
// nothing is written of a run that contradicts itself.
func WritePage(w io.Writer, r Run) error {
	if err := r.check(); err != nil {
		return fmt.Errorf("report: %w", err)
	}
	files, err := render(r)
	if err != nil {
		return fmt.Errorf("report: %w", err)
	}
	_, err = w.Write(files.page)
	return err
}

// MostOfGroup is how many lines of a group of [Grouped] have colours of their own.
var MostOfGroup = len(colours)

// Grouped returns the lines of a panel so that all of a group have one kind of dash, and the
// k-th of each group have one colour: as the sets of several runs. There are at most
// MostOfGroup lines in a group, and MaxLines in all.
func Grouped(groups ...[]Line) (all []Line) {
	for _, g := range groups {
		all = append(all, g...)
		all = append(all, make([]Line, max(0, MostOfGroup-len(g)))...) // lines without points are not drawn
	}
	return all
}
