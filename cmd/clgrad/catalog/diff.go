package catalog

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"clgrad/cmd/clgrad/text"
	"clgrad/network"
)

// A Diff says how runs differ.
type Diff struct {
	Runs     []Run     `json:"runs"`
	Settings []Setting `json:"settings"` // those that are not the same in all runs
	Equal    int       `json:"equal"`    // how many others are the same in all
	Results  []Result  `json:"results"`  // those that at least one run has
}

// A Setting is a flag of train, or what the run found: data, devices, kernels.
type Setting struct {
	Name   string            `json:"name"`
	Values []json.RawMessage `json:"values"` // of each run, null where it has none
}

// A Result is what the runs came to in one respect.
type Result struct {
	Name        string           `json:"name"` // as in the list of --json
	Values      []network.Number `json:"values"`
	Differences []network.Number `json:"differences"` // from the first run
	heading     string
	write       func(float64) string
	share       bool // whose differences are percentage points
}

// Compare says how runs differ.
func Compare(runs []Run) (Diff, error) {
	d := Diff{Runs: runs, Settings: []Setting{}, Results: []Result{}}
	var all []settings
	names := map[string]bool{}
	for _, r := range runs {
		s, err := r.settings()
		if err != nil {
			return d, fmt.Errorf("%s: %w", r.Path, err)
		}
		all = append(all, s)
		for name := range s {
			names[name] = true
		}
	}
	for _, name := range slices.Sorted(maps.Keys(names)) { // flags, data, plan
		s, equal := Setting{Name: name}, true
		for _, settings := range all {
			s.Values = append(s.Values, settings[name])
			equal = equal && bytes.Equal(settings[name], all[0][name])
		}
		if equal {
			d.Equal++
		} else {
			d.Settings = append(d.Settings, s)
		}
	}
	for _, result := range results {
		known := false
		for i, r := range runs {
			v := result.of(r)
			known = known || !math.IsNaN(v)
			result.Values = append(result.Values, network.Number(v))
			result.Differences = append(result.Differences, result.Values[i]-result.Values[0])
		}
		if known {
			d.Results = append(d.Results, result.Result)
		}
	}
	return d, nil
}

// results are all that runs come to.
var results = []struct {
	Result
	of func(Run) float64
}{
	{Result{Name: "test_accuracy", heading: "test accuracy", write: text.Percent, share: true}, of(func(r Run) network.Number { return r.TestAccuracy })},
	{Result{Name: "test_loss", heading: "test loss", write: fourDecimals}, of(func(r Run) network.Number { return r.TestLoss })},
	{Result{Name: "best_validation_accuracy", heading: "best validation accuracy", write: text.Percent, share: true}, of(func(r Run) network.Number { return r.BestValidation })},
	{Result{Name: "validation_accuracy", heading: "validation accuracy", write: text.Percent, share: true}, of(func(r Run) network.Number { return r.ValidationAccuracy })},
	{Result{Name: "validation_loss", heading: "validation loss", write: fourDecimals}, of(func(r Run) network.Number { return r.ValidationLoss })},
	{Result{Name: "train_accuracy", heading: "training accuracy", write: text.Percent, share: true}, of(func(r Run) network.Number { return r.TrainAccuracy })},
	{Result{Name: "loss", heading: "training loss", write: fourDecimals}, of(func(r Run) network.Number { return r.Loss })},
	{Result{Name: "iterations", heading: "iterations", write: shortest}, func(r Run) float64 { return float64(r.Iterations) }},
	{Result{Name: "epochs", heading: "epochs", write: twoDecimals}, of(func(r Run) network.Number { return r.Epochs })},
	{Result{Name: "seconds", heading: "time of the descent, s", write: threeDigits}, of(func(r Run) network.Number { return r.Seconds })},
	{Result{Name: "median_iteration_seconds", heading: "an iteration (median), s", write: threeDigits}, of(func(r Run) network.Number { return r.Median })},
	{Result{Name: "peak_rss_bytes", heading: "peak memory, MB", write: func(v float64) string { return strconv.FormatFloat(v/1e6, 'f', 0, 64) }},
		func(r Run) float64 {
			if r.PeakRSS == nil {
				return math.NaN()
			}
			return float64(*r.PeakRSS)
		}},
}

// described are keys of a configuration that say what a recipe is about, and change nothing.
var described = []string{"version", "name", "description", "source", "notes", "reference", "based_on", "changes"}

// derived are keys of a plan that follow from data and flags.
var derived = []string{"sizes", "rows", "batch_rows", "order_digest", "shuffle", "seed"}

// settings are what decides what a run does, as compact JSON: flags by their names, data, and
// what the plan says of devices and kernels.
type settings map[string]json.RawMessage

// settings returns those of a run.
func (r Run) settings() (settings, error) {
	all := settings{}
	if c := r.inspection.Recipe; c != nil {
		text, err := c.Encode()
		if err != nil {
			return nil, err
		}
		var flags map[string]json.RawMessage
		if err := json.Unmarshal(text, &flags); err != nil {
			return nil, err
		}
		for key, value := range flags {
			if !slices.Contains(described, key) {
				if err := all.set("--"+strings.ReplaceAll(key, "_", "-"), value); err != nil {
					return nil, err
				}
			}
		}
	}
	m := r.inspection.Model
	if m == nil {
		return all, nil
	}
	for name, value := range map[string]any{
		"data: digest": m.Run.Digest, "data: features": m.Sizes[0], "data: classes": m.Sizes[len(m.Sizes)-1], "data: rows to train on": m.Run.Plan.Rows,
	} {
		text, err := json.Marshal(value)
		if err != nil {
			return nil, err
		}
		all[name] = text
	}
	return all, all.setPlan(*m.Run.Plan)
}

// setPlan sets what a plan says, but for what follows from data and flags.
func (s settings) setPlan(p network.Plan) error {
	text, err := json.Marshal(p)
	if err != nil {
		return err
	}
	var parts map[string]json.RawMessage
	var shards struct{ Shards []map[string]json.RawMessage }
	if err := errors.Join(json.Unmarshal(text, &parts), json.Unmarshal(text, &shards)); err != nil {
		return err
	}
	for _, key := range derived {
		delete(parts, key)
	}
	if len(shards.Shards) == 1 { // no number is needed to tell it from others, and its rows are those of a batch
		delete(parts, "shards")
		maps.Copy(parts, shards.Shards[0])
		delete(parts, "first")
		delete(parts, "rows")
	}
	for key, value := range parts {
		if err := s.setParts("plan: "+key, value); err != nil {
			return err
		}
	}
	return nil
}

// set sets a value.
func (s settings) set(name string, value json.RawMessage) error {
	var b bytes.Buffer
	if err := json.Compact(&b, value); err != nil {
		return err
	}
	s[name] = b.Bytes()
	return nil
}

// setParts sets the values inside an object, or inside a list of objects, by their paths.
func (s settings) setParts(name string, value json.RawMessage) error {
	parts := map[string]json.RawMessage{}
	var list []map[string]json.RawMessage
	switch {
	case json.Unmarshal(value, &list) == nil && len(list) > 0:
		for i := range list {
			text, err := json.Marshal(list[i])
			if err != nil {
				return err
			}
			parts[fmt.Sprintf("%0*d", len(strconv.Itoa(len(list))), i+1)] = text
		}
	case json.Unmarshal(value, &parts) != nil || len(parts) == 0:
		return s.set(name, value)
	}
	for key, part := range parts {
		if err := s.setParts(name+"."+key, part); err != nil {
			return err
		}
	}
	return nil
}

// dash stands for what a run does not have.
const dash = "–"

// A digest is shown by its beginning, which tells it from others.
var digest = regexp.MustCompile(`^[0-9a-f]{64}$`)

const shownDigest = 12

// words writes a setting as a person reads it.
func words(value json.RawMessage) string {
	var s string
	switch {
	case value == nil:
		return dash
	case json.Unmarshal(value, &s) == nil:
		if digest.MatchString(s) {
			return s[:shownDigest] + "…"
		}
		return s
	case value[0] == '[':
		return strings.Trim(strings.ReplaceAll(string(value), ",", ", "), "[]")
	}
	return string(value)
}

// equalWords says how many settings are not shown.
func (d Diff) equalWords() string {
	return fmt.Sprintf("%d other settings are equal.", d.Equal)
}

// names returns the paths of the runs, without the folders that all have in common.
func (d Diff) names() (all []string) {
	const separator = string(filepath.Separator)
	common := filepath.Dir(d.Runs[0].Path) + separator
	for _, r := range d.Runs {
		for !strings.HasPrefix(filepath.Clean(r.Path), common) && common != "" {
			parent := filepath.Dir(strings.TrimSuffix(common, separator)) + separator
			if parent == common || parent == "."+separator {
				parent = ""
			}
			common = parent
		}
	}
	for _, r := range d.Runs {
		all = append(all, text.Printable(strings.TrimPrefix(filepath.Clean(r.Path), common)))
	}
	return all
}

// tables returns what is shown of settings and of results.
func (d Diff) tables() (differing, results table) {
	differing.names, results.names = true, true
	differing.Columns = []string{"setting"}
	results.Columns, results.Right = []string{"result"}, []bool{false, true}
	for i, name := range d.names() {
		differing.Columns, results.Columns = append(differing.Columns, name), append(results.Columns, name)
		if i > 0 {
			results.Columns = append(results.Columns, "difference")
		}
	}
	for _, s := range d.Settings {
		row := []string{text.Printable(s.Name)}
		for _, v := range s.Values {
			row = append(row, text.Printable(words(v)))
		}
		differing.Row(row...)
	}
	row := []string{"state"}
	for i, r := range d.Runs {
		row = append(row, r.stateWords())
		if i > 0 {
			row = append(row, "")
		}
	}
	results.Row(row...)
	for _, result := range d.Results {
		row := []string{result.heading}
		for i, v := range result.Values {
			row = append(row, orDash(written(float64(v), result.write)))
			if i > 0 {
				row = append(row, result.difference(i))
			}
		}
		results.Row(row...)
	}
	return differing, results
}

func orDash(s string) string {
	if s == "" {
		return dash
	}
	return s
}

// difference writes that of a run from the first, with its sign.
func (r Result) difference(i int) string {
	write := r.write
	if r.share {
		write = func(v float64) string { return fmt.Sprintf("%.2f points", 100*v) }
	}
	switch v := float64(r.Differences[i]); {
	case math.IsNaN(v):
		return dash
	case v == 0:
		return "0"
	case v < 0:
		return "−" + write(-v)
	default:
		return "+" + write(v)
	}
}

// Show writes the tables, so wide that they fit a screen. 0 is any width.
func (d Diff) Show(w io.Writer, width int) error {
	differing, results := d.tables()
	if len(differing.Rows) > 0 {
		differing.fit(width)
		if err := differing.Write(w, 0); err != nil {
			return err
		}
		if _, err := fmt.Fprintf(w, "%s\n\n", d.equalWords()); err != nil {
			return err
		}
	} else if _, err := fmt.Fprintf(w, "All %d settings are equal.\n\n", d.Equal); err != nil {
		return err
	}
	results.fit(width)
	return results.Write(w, 0)
}
