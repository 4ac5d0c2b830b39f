package bench

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"runtime"
	"slices"
	"strconv"
	"strings"

	"clgrad/cmd/clgrad/text"
)

// A Format is one of a report's.
type Format string

// The formats.
const (
	Table     Format = "table"
	JSON      Format = "json"
	Benchstat Format = "benchstat"
)

// Write writes the report. cpu is the name of the processor, for benchstat. Tables are for a terminal
// of so many columns, 0 for none.
func (r Report) Write(w io.Writer, f Format, cpu string, columns int) error {
	switch f {
	case JSON:
		return json.NewEncoder(w).Encode(r)
	case Benchstat:
		return r.benchstat(w, cpu)
	}
	return r.show(w, columns)
}

// label is what tables call a backend: with its precision where that is reduced.
func (x Result) label() string {
	if x.Precision.Reduced() {
		return x.Backend + " " + string(x.Precision)
	}
	return x.Backend
}

// timed returns the results that have times.
func (r Report) timed() (with []Result) {
	for _, x := range r.Results {
		if x.Problem == "" {
			with = append(with, x)
		}
	}
	return with
}

// benchstat writes Go's benchmark format: a line for every turn, for benchstat to
// make medians and spreads of.
func (r Report) benchstat(out io.Writer, cpu string) error {
	fmt.Fprintf(out, "goos: %s\ngoarch: %s\npkg: clgrad\ncpu: %s\ndata: %s\n", runtime.GOOS, runtime.GOARCH, cpu, r.Data)
	fmt.Fprint(out, "Unit GFLOP/s better=higher\nUnit GB/s better=higher\n")
	var err error
	line := func(benchmark string, n int, seconds, flops, bytes float64) {
		if err != nil {
			return
		}
		_, err = fmt.Fprintf(out, "Benchmark%s %d %.0f ns/op", benchmark, n, 1e9*seconds)
		for _, rate := range []struct {
			work float64
			unit string
		}{{flops, "GFLOP/s"}, {bytes, "GB/s"}} {
			if rate.work > 0 && seconds > 0 {
				fmt.Fprintf(out, " %.4g %s", rate.work/seconds/1e9, rate.unit)
			}
		}
		fmt.Fprintln(out)
	}
	for _, x := range r.timed() {
		of := fmt.Sprintf("/layers=%s/rows=%d/backend=%s/precision=%s", text.Sizes(r.Layers), x.Samples, x.Backend, x.Precision)
		if x.Batches > 1 {
			of += fmt.Sprintf("/batch=%d", x.BatchSize)
		}
		line("ToFirst"+of, 1, x.ToFirst, 0, 0)
		for _, t := range x.Turns {
			line("Iteration"+of, t.Iterations, t.Seconds, x.Flops, x.Bytes)
		}
		for _, o := range x.Profile {
			name := "Operation/operation=" + strings.ReplaceAll(o.Operation, " ", "_") + of
			for _, seconds := range o.times {
				line(name, max(1, int(o.Launches)), seconds/max(1, o.Launches), o.Flops/max(1, o.Launches), o.Bytes/max(1, o.Launches))
			}
		}
	}
	return err
}

// show writes the tables.
func (r Report) show(out io.Writer, columns int) error {
	with := r.timed()
	rows := map[int]bool{}
	for _, x := range with {
		if !rows[x.Samples] {
			rows[x.Samples] = true
			of := ""
			if x.Batches > 1 {
				of = fmt.Sprintf(" of %d rows, %d of them an epoch", x.BatchSize, x.Batches)
			}
			fmt.Fprintf(out, "%s, %d samples, layers %v: %s GFLOP an iteration%s\n", r.Data, x.Samples, r.Layers, flops(x.Flops), of)
		}
	}
	errs := []error{r.showIterations(out, with, columns), r.showDevices(out, with, columns)}
	if len(rows) > 1 {
		errs = append(errs, showScaling(out, with, columns))
	}
	for _, x := range with {
		errs = append(errs, x.showProfile(out, columns))
	}
	return errors.Join(errs...)
}

// flops writes a number of operations in 10⁹.
func flops(n float64) string {
	if n < 1e8 {
		return text.Digits(n / 1e9)
	}
	return fmt.Sprintf("%.2f", n/1e9)
}

// cell returns a number for a table, a dash where it is 0, for unknown.
func cell(format string, v float64) string {
	if v == 0 {
		return "–"
	}
	return fmt.Sprintf(format, v)
}

// showIterations writes the table of times. Each backend is compared with the
// first of as many samples.
func (r Report) showIterations(out io.Writer, with []Result, columns int) error {
	t := text.Table{Right: []bool{true}, Columns: []string{"backend", "rows", "median s", "quartiles s"}}
	epochs := slices.ContainsFunc(with, func(x Result) bool { return x.Batches > 1 })
	if epochs {
		t.Columns = append(t.Columns, "epoch s")
	}
	t.Columns = append(t.Columns, "GFLOP/s", "of peak", "GB/s", "of peak", "speed", "loss")
	base := map[int]float64{}
	above := false
	for _, x := range with {
		if base[x.Samples] == 0 {
			base[x.Samples] = x.Median
		}
		row := []string{x.label(), strconv.Itoa(x.Samples), text.Digits(x.Median), text.Digits(x.Q1) + "–" + text.Digits(x.Q3)}
		if epochs {
			row = append(row, text.Digits(x.Epoch))
		}
		t.Row(append(row, fmt.Sprintf("%.1f", x.GFlops), cell("%.0f %%", 100*x.ShareFlops), fmt.Sprintf("%.1f", x.GBytes), cell("%.0f %%", 100*x.ShareBytes),
			fmt.Sprintf("%.2f×", base[x.Samples]/x.Median), fmt.Sprintf("%.4f", float64(x.Loss)))...)
		above = above || x.ShareFlops > 0
	}
	if err := t.Write(out, columns); err != nil {
		return err
	}
	if above {
		fmt.Fprintln(out, "Products that skip zeros of the data count as dense ones, and operands that a cache holds as read: both can exceed the peak.")
	}
	return nil
}

// showDevices writes what the devices come to, and how they begin.
func (r Report) showDevices(out io.Writer, with []Result, columns int) error {
	fmt.Fprintln(out)
	t := text.Table{Right: []bool{true}, Columns: []string{
		"backend", "rows", "peak GFLOP/s", "peak GB/s", "data s", "open s", "load s", "first s", "to first s", "memory MB", "buffers MB",
	}}
	seconds := func(v float64) string { return fmt.Sprintf("%.2f", v) }
	for _, x := range with {
		t.Row(x.label(), strconv.Itoa(x.Samples), cell("%.1f", x.PeakGFlops), cell("%.1f", x.PeakGBytes), seconds(r.DataSeconds), seconds(x.Open), seconds(x.Load),
			seconds(x.First), seconds(x.ToFirst), cell("%.0f", float64(x.Resident)/1e6), cell("%.0f", float64(x.Held)/1e6))
	}
	if err := t.Write(out, columns); err != nil {
		return err
	}
	if r.PeakRSS > 0 {
		fmt.Fprintf(out, "Peak memory of the process, all backends together: %.0f MB\n", float64(r.PeakRSS)/1e6)
	}
	seen := map[string]bool{}
	for _, x := range with {
		if !seen[x.Backend] {
			seen[x.Backend] = true
			fmt.Fprintf(out, "%s: %s, %s\n", x.Backend, x.Device, x.Driver)
		}
	}
	return nil
}

// showScaling writes how the time of an epoch of each backend grows with the rows: the median,
// and the least of all turns, which other work on the machine disturbed least.
func showScaling(out io.Writer, with []Result, columns int) error {
	fmt.Fprintln(out)
	t := text.Table{Right: []bool{true}, Columns: []string{"backend", "rows", "µs a row", "rows ×", "median ×", "of a row", "least ×", "of a row"}}
	first := map[string]Result{}
	for _, x := range with {
		if first[x.Backend].Samples == 0 {
			first[x.Backend] = x
		}
		f := first[x.Backend]
		rows, median, least := float64(x.Samples)/float64(f.Samples), x.Epoch/f.Epoch, x.least()/f.least()
		times, change := func(v float64) string { return fmt.Sprintf("%.2f", v) }, func(v float64) string { return fmt.Sprintf("%+.1f %%", 100*(v/rows-1)) }
		t.Row(x.label(), strconv.Itoa(x.Samples), text.Digits(1e6*x.Epoch/float64(x.Samples)), times(rows), times(median), change(median), times(least), change(least))
	}
	return t.Write(out, columns)
}

// least returns the time of an epoch at the pace of the fastest turn.
func (x Result) least() float64 { return x.Min * float64(x.Batches) }

// showProfile writes the operations of an iteration.
func (x Result) showProfile(out io.Writer, columns int) error {
	if len(x.Profile) == 0 {
		return nil
	}
	fmt.Fprintf(out, "\n%s, an iteration of %d rows in %s s:\n", x.label(), x.BatchSize, text.Digits(x.Median))
	t := text.Table{Columns: []string{"operation", "launches", "median ms", "quartiles ms", "share", "GFLOP/s", "of peak", "GB/s", "of peak"}}
	ms := func(v float64) string { return fmt.Sprintf("%.3f", 1e3*v) }
	for _, o := range x.Profile {
		t.Row(o.Operation, fmt.Sprintf("%.0f", o.Launches), ms(o.Median), ms(o.Q1)+"–"+ms(o.Q3), fmt.Sprintf("%.1f %%", 100*o.Share), cell("%.1f", o.GFlops),
			cell("%.0f %%", 100*o.ShareFlops), cell("%.1f", o.GBytes), cell("%.0f %%", 100*o.ShareBytes))
	}
	if x.Rest > 0 {
		t.Row("not in operations", "", ms(x.Rest), "", fmt.Sprintf("%.1f %%", 100*x.Rest/x.Median))
	}
	return t.Write(out, columns)
}
