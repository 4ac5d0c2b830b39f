package catalog

import (
	"bytes"
	"encoding/json"
	"math"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"clgrad/cmd/clgrad/run"
	"clgrad/network/must"
)

func readAll(t *testing.T, paths ...string) (runs []Run) {
	t.Helper()
	for _, path := range paths {
		r, ok := Read(path)
		if !ok {
			t.Fatalf("%s is no run", path)
		}
		runs = append(runs, r)
	}
	return runs
}

// What differs is listed with all values, what is equal is counted, and differences of results
// are from the first run.
func TestCompare(t *testing.T) {
	some(t)
	d, err := Compare(readAll(t, "a", "b", "c"))
	must.OK(t, err)
	var names []string
	for _, s := range d.Settings {
		names = append(names, s.Name)
		if s.Name == "--lr" && string(bytes.Join(asBytes(s.Values), []byte(" "))) != "0.001 0.5 0.25" {
			t.Errorf("--lr is %s", s.Values)
		}
	}
	want := []string{"--batch-size", "--beta1", "--beta2", "--data", "--epsilon", "--iterations", "--layers", "--log-every", "--lr", "--optimizer"}
	if !slices.Equal(names, want) {
		t.Errorf("settings %q, want %q", names, want)
	}
	all, err := d.Runs[0].settings()
	must.OK(t, err)
	for _, name := range []string{"--seed", "data: digest", "data: features", "plan: device", "plan: settings.tile"} {
		if all[name] == nil {
			t.Errorf("no setting %s in %v", name, all)
		}
	}
	for _, r := range d.Results {
		switch {
		case r.Name == "test_accuracy" && (r.Values[1] != 0.97 || r.Differences[0] != 0 || math.Abs(float64(r.Differences[1])-0.07) > 1e-9 || r.difference(1) != "+7.00 points" || r.difference(2) != "−10.00 points"):
			t.Errorf("test accuracy %v, differences %v: %s, %s", r.Values, r.Differences, r.difference(1), r.difference(2))
		case r.Name == "best_validation_accuracy" && r.difference(1) != dash:
			t.Errorf("a has no validation set, the difference is %s", r.difference(1))
		}
	}
	same, err := Compare(readAll(t, "a", "a"))
	if err != nil || len(same.Settings) != 0 || same.Equal != len(all) {
		t.Errorf("%d settings of a differ from its own, %d of %d are equal, error %v", len(same.Settings), same.Equal, len(all), err)
	}
	var b strings.Builder
	if err := same.Show(&b, 0); err != nil || !strings.Contains(b.String(), "settings are equal") || !strings.Contains(b.String(), "test accuracy") {
		t.Errorf("%s, error %v", b.String(), err)
	}
	if _, err := json.Marshal(d); err != nil {
		t.Error(err)
	}
}

func asBytes(values []json.RawMessage) (all [][]byte) {
	for _, v := range values {
		all = append(all, v)
	}
	return all
}

// Names are short where folders have much in common, and tell runs apart.
func TestDiffNames(t *testing.T) {
	for _, c := range []struct{ paths, want []string }{
		{[]string{"a", "b"}, []string{"a", "b"}},
		{[]string{"x/a", "x/b/"}, []string{"a", "b"}},
		{[]string{"/x/y/a", "/x/z/b"}, []string{"y/a", "z/b"}},
		{[]string{"/x/a", "/y/a"}, []string{"/x/a", "/y/a"}},
		{[]string{"x/a", "b"}, []string{"x/a", "b"}},
		{[]string{"x", "x/a"}, []string{"x", "x/a"}},
		{[]string{"xa/r", "x/r"}, []string{"xa/r", "x/r"}},
		{[]string{".", "../b"}, []string{".", "../b"}},
	} {
		var d Diff
		for _, p := range c.paths {
			d.Runs = append(d.Runs, Run{Path: filepath.FromSlash(p)})
		}
		var names []string
		for _, n := range d.names() {
			names = append(names, filepath.ToSlash(n))
		}
		if !slices.Equal(names, c.want) {
			t.Errorf("%q: %q, want %q", c.paths, names, c.want)
		}
	}
}

// The page has the tables and a chart a measure and axis, and no script. What of a run is
// damaged is said in it.
func TestDiffPage(t *testing.T) {
	some(t)
	must.Write(t, "damaged\n", "c", run.IterationsFile)
	d, err := Compare(readAll(t, "a", "b", "c"))
	must.OK(t, err)
	var b bytes.Buffer
	problems, err := d.WritePage(&b, "clgrad runs diff a b <c>")
	if err != nil || len(problems) != 1 {
		t.Fatal(problems, err)
	}
	page := b.String()
	for _, want := range []string{pageMark, `id="loss-iterations"`, `id="accuracy-seconds"`, "a, training", "c, validation", "b, test accuracy", "7.00 points", "&lt;c&gt;",
		"Curves of c end early: c" + string(filepath.Separator) + "iterations.csv: line 1: ", "--optimizer", "other settings are equal"} {
		if !strings.Contains(page, want) {
			t.Errorf("the page has no %s", want)
		}
	}
	if strings.Contains(page, "<script") || strings.Contains(page, "accuracy-epochs") { // an epoch is an iteration in all of them
		t.Error("the page has a script, or charts by epochs")
	}
	file := filepath.Join(t.TempDir(), "page.html")
	if err := CheckPage(file); err != nil {
		t.Errorf("nothing is there: %v", err)
	}
	for content, ok := range map[string]bool{page: true, "": true, "<!DOCTYPE html>\n": false, "notes": false} {
		must.Write(t, content, file)
		if err := CheckPage(file); (err == nil) != ok {
			t.Errorf("%.20q: %v", content, err)
		}
	}
	// More runs than there are colours have a curve each, of what the network was not trained on.
	d, err = Compare(readAll(t, "a", "b", "c", "a", "b", "c"))
	must.OK(t, err)
	report, _ := d.page("")
	if n := len(report.Panels[0].Lines); n != 6 || report.Panels[0].Lines[1].Name != "b, test" {
		t.Errorf("%d lines, %q", n, report.Panels[0].Lines[1].Name)
	}
}
