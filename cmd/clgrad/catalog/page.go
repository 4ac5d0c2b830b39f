package catalog

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"slices"

	"clgrad/cmd/clgrad/report"
	"clgrad/cmd/clgrad/run"
	"clgrad/cmd/clgrad/text"
	"clgrad/network"
)

// pageMark is in the first line of a page of WritePage.
const pageMark = "<!-- clgrad runs diff -->"

// CheckPage reports a file that is there and is not a page of [Diff.WritePage].
func CheckPage(path string) error {
	info, err := os.Stat(path)
	if err != nil || info.Mode().IsRegular() && info.Size() == 0 || !info.Mode().IsRegular() && !info.IsDir() {
		return nil // writing says what else is wrong; a pipe or device is written to
	}
	start := make([]byte, 200)
	if f, err := os.Open(path); err == nil {
		n, _ := io.ReadFull(f, start)
		start = start[:n]
		f.Close()
	}
	if !bytes.Contains(start, []byte(pageMark)) {
		return fmt.Errorf("%s: is there already, and is no page of runs diff: choose another file", path)
	}
	return nil
}

// WritePage writes a page with the tables and the curves. problems are what could not be read
// of curves, which are left out then.
func (d Diff) WritePage(w io.Writer, command string) (problems []error, err error) {
	page, problems := d.page(command)
	var b bytes.Buffer
	if err := report.WritePage(&b, page); err != nil {
		return problems, err
	}
	_, err = w.Write(bytes.Replace(b.Bytes(), []byte("\n"), []byte("\n"+pageMark+"\n"), 1))
	return problems, err
}

// page returns what the page shows.
func (d Diff) page(command string) (page report.Run, problems []error) {
	differing, results := d.tables()
	page = report.Run{
		Title:   fmt.Sprintf("Comparison of %d runs", len(d.Runs)),
		Command: command,
		Tables: []report.Table{
			pageTable("results", "Results", results, "Differences are from the first run."),
			pageTable("settings", "Settings that differ", differing, d.equalWords()),
		},
	}
	if len(differing.Rows) == 0 {
		page.Tables = page.Tables[:1]
		page.Notes = append(page.Notes, fmt.Sprintf("All %d settings are equal.", d.Equal))
	}
	names := d.names()
	for i, r := range d.Runs {
		names[i] = shorten(names[i], longestName, true)
		if of, v := r.heldOut(); v != "" {
			page.Results = append(page.Results, report.Figure{Name: names[i] + ", " + of, Value: v})
		}
		if r.Problem != "" {
			page.Notes = append(page.Notes, fmt.Sprintf("%s is damaged: %s.", r.Path, r.Problem))
		}
	}
	var all []curves
	for i, r := range d.Runs {
		c, err := readCurves(r)
		c.name = names[i]
		if err != nil {
			problems = append(problems, err)
			page.Notes = append(page.Notes, fmt.Sprintf("Curves of %s end early: %s.", r.Path, text.OneLine(err)))
		}
		all = append(all, c)
	}
	if n := len(all); n > report.MaxLines {
		page.Notes = append(page.Notes, fmt.Sprintf("Charts show the first %d of %d runs.", report.MaxLines, n))
		all = all[:report.MaxLines]
	}
	axes := []axis{byIteration, bySeconds}
	if slices.ContainsFunc(d.Runs, func(r Run) bool { return r.inspection.Batches() != d.Runs[0].inspection.Batches() }) {
		axes = []axis{byEpoch, byIteration, bySeconds}
	} else if d.Runs[0].inspection.Batches() > 1 {
		axes = []axis{byEpoch, bySeconds}
	}
	for _, a := range axes {
		page.Panels = append(page.Panels, panel(all, a, false), panel(all, a, true))
	}
	return page, problems
}

// heldOut returns the accuracy that says most about a run, and what it is, "" where none is known.
func (r Run) heldOut() (name, accuracy string) {
	for _, v := range []struct {
		name  string
		value network.Number
	}{{"test accuracy", r.TestAccuracy}, {"validation accuracy", r.ValidationAccuracy}, {"training accuracy", r.TrainAccuracy}} {
		if accuracy := written(float64(v.value), text.Percent); accuracy != "" {
			return v.name, accuracy
		}
	}
	return "", ""
}

// The longest name of a run, and the longest text of a cell, that the page has.
const (
	longestName = 28
	longestCell = 100
)

func pageTable(id, heading string, t table, note string) report.Table {
	for i := range t.Columns {
		t.Columns[i] = shorten(t.Columns[i], longestName, i > 0)
		for _, row := range t.Rows {
			row[i] = shorten(row[i], longestCell, isPath(row[i]))
		}
	}
	return report.Table{Text: !slices.Contains(t.Right, true), ID: id, Heading: heading, Columns: t.Columns, Rows: t.Rows, Note: note}
}

// curves are those of a run.
type curves struct {
	name    string
	batches int
	sets    []setCurve
}

// A setCurve is what is known of a set on the way.
type setCurve struct {
	set                       string
	iterations                []int
	seconds, losses, accuracy []float64
}

func (s *setCurve) add(iteration int, seconds, loss, accuracy float64) {
	s.iterations, s.seconds = append(s.iterations, iteration), append(s.seconds, seconds)
	s.losses, s.accuracy = append(s.losses, loss), append(s.accuracy, accuracy)
}

// readCurves reads the curves of a run, as far as they can be read.
func readCurves(r Run) (curves, error) {
	c := curves{batches: r.inspection.Batches()}
	var plan network.Plan
	if m := r.inspection.Model; m != nil {
		plan = *m.Run.Plan
	}
	h, err := run.ReadHistory(r.Path, plan)
	training, validation, test := setCurve{set: "training"}, setCurve{set: "validation"}, setCurve{set: "test"}
	for i, loss := range h.Loss {
		training.add(i+1, h.Seconds[i], loss, h.Accuracy[i])
	}
	for _, l := range h.Lines {
		if l.ValidationLoss != nil && l.ValidationAccuracy != nil {
			validation.add(l.Iteration, l.Seconds, float64(*l.ValidationLoss), float64(*l.ValidationAccuracy))
		}
		if l.TestLoss != nil && l.TestAccuracy != nil {
			test.add(l.Iteration, l.Seconds, float64(*l.TestLoss), float64(*l.TestAccuracy))
		}
	}
	c.sets = []setCurve{training, validation, test}
	return c, err
}

// An axis is what curves are drawn over.
type axis struct {
	id, over, name string
	at             func(s setCurve, i, batches int) float64
}

var (
	byIteration = axis{"iterations", "iterations", "Iteration", func(s setCurve, i, _ int) float64 { return float64(s.iterations[i]) }}
	byEpoch     = axis{"epochs", "epochs", "Epoch", func(s setCurve, i, batches int) float64 { return float64(s.iterations[i]) / float64(batches) }}
	bySeconds   = axis{"seconds", "seconds", "Seconds of descent", func(s setCurve, i, _ int) float64 { return s.seconds[i] }}
)

// panel returns the chart of losses or accuracies over an axis. Of as many runs as there are
// colours it has all sets. Of more it has one set each: the one that the network was not
// trained on.
func panel(all []curves, a axis, accuracy bool) report.Panel {
	p := report.Panel{ID: "loss-" + a.id, Heading: "Loss over " + a.over, X: a.name}
	if accuracy {
		p = report.Panel{ID: "accuracy-" + a.id, Heading: "Accuracy over " + a.over, X: a.name, Share: true}
	}
	line := func(c curves, s setCurve) report.Line {
		l := report.Line{Name: c.name + ", " + s.set, Y: s.losses}
		if accuracy {
			l.Y = s.accuracy
		}
		for i := range s.iterations {
			l.X = append(l.X, a.at(s, i, c.batches))
		}
		return l
	}
	if len(all) > report.MostOfGroup {
		for _, c := range all {
			shown := c.sets[0]
			for _, s := range c.sets {
				if len(s.iterations) > 0 {
					shown = s
				}
			}
			p.Lines = append(p.Lines, line(c, shown))
		}
		return p
	}
	groups := make([][]report.Line, 3)
	for _, c := range all {
		for i, s := range c.sets {
			groups[i] = append(groups[i], line(c, s))
		}
	}
	p.Lines = report.Grouped(groups...)
	return p
}
