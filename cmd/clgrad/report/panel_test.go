package report

import (
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"clgrad/network/must"
)

// compared returns a run with a panel of n lines and a table.
func compared(n int) Run {
	p := Panel{ID: "accuracy-seconds", Heading: "Accuracy over time", X: "Seconds", Share: true, Level: Level{0.9, "target 90 %"}}
	for i := range n {
		p.Lines = append(p.Lines, Line{fmt.Sprintf("entry %d", i), []float64{0.5, 1.25, 2}, []float64{0.1, nan, 0.5 + float64(i)/100}})
	}
	return Run{
		Panels: []Panel{p},
		Tables: []Table{{ID: "entries", Heading: "Entries", Columns: []string{"entry", "seconds"}, Rows: [][]string{{"entry <0>", "2"}}, Note: "A note."}},
	}
}

// A panel has all its lines, each with its own colour and dashes, and the level.
func TestPanel(t *testing.T) {
	f, doc := rendered(t, compared(MaxLines))
	if got := strings.Join(doc.ids, " "); got != "result accuracy-seconds entries setup" {
		t.Errorf("parts %q", got)
	}
	for _, want := range []string{"Accuracy over time", "Accuracy, %", "Seconds", "target 90 %", "entry seconds entry <0> 2 A note.", "entry 3: 1 of 3 values are not finite"} {
		if !strings.Contains(doc.text, want) {
			t.Errorf("the page does not have %q: %s", want, doc.text)
		}
	}
	seen := map[string]string{}
	d := newPanel(compared(MaxLines).Panels[0])
	for _, e := range d.entries {
		look := fmt.Sprint(e.line)
		if seen[look] != "" {
			t.Errorf("%s looks as %s does", e.text, seen[look])
		}
		seen[look] = e.text
	}
	if len(seen) != MaxLines+1 || math.Abs(d.Y.Max-93.2) > 1e-9 || d.X.Min != 0.5 || d.X.Max != 2 {
		t.Errorf("%d looks, values up to %g, places %g to %g", len(seen), d.Y.Max, d.X.Min, d.X.Max)
	}
	if len(f.pictures) != 0 {
		t.Errorf("%d pictures", len(f.pictures))
	}
	dir := t.TempDir()
	must.OK(t, Write(dir, compared(2)))
	if files, err := os.ReadDir(dir); err != nil || len(files) != 1 || files[0].Name() != FileName {
		t.Errorf("files %v, %v", files, err)
	}
}

// Whole places have whole ticks, and nothing to draw takes the heading along.
func TestPanelAxes(t *testing.T) {
	r := compared(1)
	p := &r.Panels[0]
	p.Lines[0].X = []float64{1, 2, 3}
	if d := newPanel(*p); d.X.Tick.Marker.Ticks(1, 2)[0].Label != "1" || len(d.X.Tick.Marker.Ticks(1, 2)) != 2 {
		t.Errorf("ticks %v", d.X.Tick.Marker.Ticks(1, 2))
	}
	p.Lines[0].Y = []float64{nan, nan, nan}
	if _, doc := rendered(t, r); strings.Contains(doc.text, p.Heading) {
		t.Error("a panel of nothing is shown")
	}
}

func TestPanelErrors(t *testing.T) {
	for _, test := range []struct {
		spoil func(*Run)
		want  string
	}{
		{func(r *Run) { r.Panels[0].Lines[1].Y = nil }, `chart "Accuracy over time": line "entry 1": 0 values at 3 places`},
		{func(r *Run) { r.Panels[0].Lines[1].X[1] = 0.25 }, `line "entry 1": place 2 is 0.25`},
		{func(r *Run) { r.Panels[0].Lines[0].X[0] = nan }, `line "entry 0": place 1 is NaN`},
		{func(r *Run) { r.Panels[0].Level.Value = nan }, `level "target 90 %" is NaN`},
		{func(r *Run) { *r = compared(MaxLines + 1) }, fmt.Sprintf("%d lines: %d at most", MaxLines+1, MaxLines)},
		{func(r *Run) { r.Tables[0].Rows[0] = []string{"x"} }, `table "Entries": row 1 has 1 cells for 2 columns`},
	} {
		r := compared(2)
		test.spoil(&r)
		dir := filepath.Join(t.TempDir(), "run")
		if err := Write(dir, r); err == nil || !strings.Contains(err.Error(), test.want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("error %v, want one line with %q", err, test.want)
		}
		if _, err := os.Stat(dir); err == nil {
			t.Errorf("%s: something was written", test.want)
		}
	}
}
