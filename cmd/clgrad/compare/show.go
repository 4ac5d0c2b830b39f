package compare

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"slices"

	"clgrad/cmd/clgrad/report"
	"clgrad/cmd/clgrad/text"
	"clgrad/network"
)

// WriteJSON writes the report as one JSON object.
func (r Report) WriteJSON(w io.Writer) error { return json.NewEncoder(w).Encode(r) }

// excluded says what the seconds are of.
func (r Report) excluded() string {
	if r.Cold {
		return "Seconds are of training, with what drivers compile at first. Left out are loading, and taking the accuracy after each epoch."
	}
	return "Seconds are of training. Left out are loading, one epoch of warm-up before the first, in which drivers compile, and taking the accuracy after each epoch."
}

// cell returns a number for a table, a dash where it is unknown.
func cell(v network.Number, show func(float64) string) string {
	if math.IsNaN(float64(v)) {
		return "–"
	}
	return show(float64(v))
}

func decimals(n int) func(float64) string {
	return func(v float64) string { return fmt.Sprintf("%.*f", n, v) }
}

// percent writes a share of a target, as in 97 %.
func percent(share float64) string { return fmt.Sprintf("%.4g %%", 100*share) }

// table returns the columns and rows of the table.
func (r Report) table() (columns []string, rows [][]string) {
	columns = []string{"entry", "lr", "epochs", "s an epoch", "loss", "accuracy", "best"}
	if r.Target > 0 {
		columns = append(columns, "s to "+percent(r.Target), "epochs to it", "runs that reach it")
	}
	for _, x := range r.Entries {
		epochs := 0
		for _, run := range x.Runs {
			epochs = max(epochs, len(run.Epochs))
		}
		row := []string{
			x.Name, fmt.Sprint(x.LearningRate), fmt.Sprint(epochs), cell(x.EpochSeconds, text.Digits), cell(x.Loss, decimals(4)),
			cell(x.Accuracy, text.Percent), cell(x.Best, text.Percent),
		}
		if r.Target > 0 {
			row = append(row, cell(x.TargetSeconds, decimals(3)), cell(x.TargetEpochs, func(v float64) string { return fmt.Sprint(v) }),
				fmt.Sprintf("%d of %d", x.Reached, len(x.Runs)))
		}
		rows = append(rows, row)
	}
	return columns, rows
}

// subject says what was trained on what.
func (r Report) subject() string {
	s := fmt.Sprintf("%s, %d rows, layers %v, accuracy on the %s of %d rows", r.Data, r.Rows, r.Layers, r.Of, r.OfRows)
	if r.HistorySize > 0 {
		s += fmt.Sprintf(", lbfgs with a history of %d pairs", r.HistorySize)
	}
	return s
}

// medians says what the figures of the table are.
func (r Report) medians() string {
	what := "Losses are means over the last epoch, accuracies those after it; best is the highest after any."
	if r.Seeds > 1 {
		what += fmt.Sprintf(" Figures are medians over %d runs with seeds of their own.", r.Seeds)
	}
	return what
}

// Show writes the table, for a terminal of so many columns, 0 for none.
func (r Report) Show(out io.Writer, columns int) error {
	fmt.Fprintln(out, r.subject())
	names, rows := r.table()
	if err := (text.Table{Columns: names, Rows: rows, Right: []bool{true}}).Write(out, columns); err != nil {
		return err
	}
	devices := map[string]bool{}
	for _, x := range r.Entries {
		if !devices[x.Backend] {
			devices[x.Backend] = true
			fmt.Fprintf(out, "%s: %s\n", x.Backend, x.Device)
		}
	}
	_, err := fmt.Fprintf(out, "%s\n%s\n", r.medians(), r.excluded())
	return err
}

// Page returns what report.html shows: the table, and curves of each entry's first run.
func (r Report) Page(command string) report.Run {
	columns, rows := r.table()
	page := report.Run{
		Title:    "Comparison on " + r.Data,
		Tables:   []report.Table{{ID: "entries", Heading: "Entries", Columns: columns, Rows: rows, Note: r.medians() + " " + r.excluded()}},
		Settings: []report.Figure{{Name: "data", Value: r.subject()}},
		Command:  command,
	}
	for _, x := range r.Entries {
		if f := (report.Figure{Name: x.Backend, Value: x.Device}); !slices.Contains(page.Settings, f) {
			page.Settings = append(page.Settings, f)
		}
		for _, run := range x.Runs {
			if why := cmp.Or(run.Problem, run.Converged); why != "" {
				page.Notes = append(page.Notes, fmt.Sprintf("%s, seed %d, ends: %s.", x.Name, run.Seed, why))
			}
		}
	}
	var drawn []Entry
	for _, x := range r.Entries {
		if len(x.Runs) > 0 && len(x.Runs[0].Epochs) > 0 {
			drawn = append(drawn, x)
		}
	}
	if n := len(drawn); n > report.MaxLines {
		slices.SortStableFunc(drawn, func(a, b Entry) int { return cmp.Compare(b.Runs[0].best(), a.Runs[0].best()) })
		drawn = drawn[:report.MaxLines]
		page.Notes = append(page.Notes, fmt.Sprintf("Charts show the %d of %d entries with the highest accuracy.", report.MaxLines, n))
	}
	if r.Seeds > 1 && len(drawn) > 0 {
		page.Notes = append(page.Notes, fmt.Sprintf("Curves are of each entry's first run, with seed %d.", drawn[0].Runs[0].Seed))
	}
	page.Panels = []report.Panel{
		panel(drawn, "accuracy", "epochs"), panel(drawn, "accuracy", "seconds"), panel(drawn, "loss", "epochs"), panel(drawn, "loss", "seconds"),
	}
	if r.Target > 0 {
		for i := range 2 {
			page.Panels[i].Level = report.Level{Value: r.Target, Text: "target, " + percent(r.Target)}
		}
	}
	return page
}

// panel returns the chart of accuracy or loss over epochs or seconds.
func panel(entries []Entry, of, over string) report.Panel {
	p := report.Panel{ID: of + "-" + over, Heading: "Training loss over " + over, X: "Epochs", Share: of == "accuracy"}
	if p.Share {
		p.Heading = "Accuracy over " + over
	}
	if over == "seconds" {
		p.X = "Seconds of training"
	}
	for _, x := range entries {
		line := report.Line{Name: x.Name}
		for _, e := range x.Runs[0].Epochs {
			at, value := float64(e.Epoch), float64(e.Loss)
			if over == "seconds" {
				at = e.Seconds
			}
			if p.Share {
				value = float64(e.Accuracy)
			}
			line.X, line.Y = append(line.X, at), append(line.Y, value)
		}
		p.Lines = append(p.Lines, line)
	}
	return p
}
