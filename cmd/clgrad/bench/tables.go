package bench

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"runtime"
	"slices"
	"strings"
	"text/tabwriter"

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

// Write writes the report. cpu is the name of the processor, for benchstat.
func (r Report) Write(w io.Writer, f Format, cpu string) error {
	switch f {
	case JSON:
		return json.NewEncoder(w).Encode(r)
	case Benchstat:
		return r.benchstat(w, cpu)
	}
	return r.show(w)
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

// network returns the layers in one word.
func (r Report) network() string {
	return strings.Trim(strings.ReplaceAll(fmt.Sprint(r.Layers), " ", "-"), "[]")
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
		of := fmt.Sprintf("/layers=%s/rows=%d/backend=%s/precision=%s", r.network(), x.Samples, x.Backend, x.Precision)
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
func (r Report) show(out io.Writer) error {
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
	errs := []error{r.showIterations(out, with), r.showDevices(out, with)}
	if len(rows) > 1 {
		errs = append(errs, showScaling(out, with))
	}
	for _, x := range with {
		errs = append(errs, x.showProfile(out))
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
func (r Report) showIterations(out io.Writer, with []Result) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	epoch := ""
	if slices.ContainsFunc(with, func(x Result) bool { return x.Batches > 1 }) {
		epoch = "\tepoch s"
	}
	fmt.Fprintf(w, "backend\trows\tmedian s\tquartiles s%s\tGFLOP/s\tof peak\tGB/s\tof peak\tspeed\tloss\t\n", epoch)
	base := map[int]float64{}
	above := false
	for _, x := range with {
		if base[x.Samples] == 0 {
			base[x.Samples] = x.Median
		}
		if epoch != "" {
			epoch = "\t" + text.Digits(x.Epoch)
		}
		fmt.Fprintf(w, "%s\t%d\t%s\t%s–%s%s\t%.1f\t%s\t%.1f\t%s\t%.2f×\t%.4f\t\n",
			x.label(), x.Samples, text.Digits(x.Median), text.Digits(x.Q1), text.Digits(x.Q3), epoch, x.GFlops, cell("%.0f %%", 100*x.ShareFlops),
			x.GBytes, cell("%.0f %%", 100*x.ShareBytes), base[x.Samples]/x.Median, float64(x.Loss))
		above = above || x.ShareFlops > 0
	}
	if err := w.Flush(); err != nil {
		return err
	}
	if above {
		fmt.Fprintln(out, "Products that skip zeros of the data count as dense ones, and operands that a cache holds as read: both can exceed the peak.")
	}
	return nil
}

// showDevices writes what the devices come to, and how they begin.
func (r Report) showDevices(out io.Writer, with []Result) error {
	fmt.Fprintln(out)
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "backend\trows\tpeak GFLOP/s\tpeak GB/s\tdata s\topen s\tload s\tfirst s\tto first s\tmemory MB\tbuffers MB\t")
	for _, x := range with {
		fmt.Fprintf(w, "%s\t%d\t%s\t%s\t%.2f\t%.2f\t%.2f\t%.2f\t%.2f\t%s\t%s\t\n",
			x.label(), x.Samples, cell("%.1f", x.PeakGFlops), cell("%.1f", x.PeakGBytes),
			r.DataSeconds, x.Open, x.Load, x.First, x.ToFirst, cell("%.0f", float64(x.Resident)/1e6), cell("%.0f", float64(x.Held)/1e6))
	}
	if err := w.Flush(); err != nil {
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
func showScaling(out io.Writer, with []Result) error {
	fmt.Fprintln(out)
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "backend\trows\tµs a row\trows ×\tmedian ×\tof a row\tleast ×\tof a row\t")
	first := map[string]Result{}
	for _, x := range with {
		if first[x.Backend].Samples == 0 {
			first[x.Backend] = x
		}
		f := first[x.Backend]
		rows, median, least := float64(x.Samples)/float64(f.Samples), x.Epoch/f.Epoch, x.least()/f.least()
		fmt.Fprintf(w, "%s\t%d\t%s\t%.2f\t%.2f\t%+.1f %%\t%.2f\t%+.1f %%\t\n",
			x.label(), x.Samples, text.Digits(1e6*x.Epoch/float64(x.Samples)), rows, median, 100*(median/rows-1), least, 100*(least/rows-1))
	}
	return w.Flush()
}

// least returns the time of an epoch at the pace of the fastest turn.
func (x Result) least() float64 { return x.Min * float64(x.Batches) }

// showProfile writes the operations of an iteration.
func (x Result) showProfile(out io.Writer) error {
	if len(x.Profile) == 0 {
		return nil
	}
	fmt.Fprintf(out, "\n%s, an iteration of %d rows in %s s:\n", x.label(), x.BatchSize, text.Digits(x.Median))
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "operation\tlaunches\tmedian ms\tquartiles ms\tshare\tGFLOP/s\tof peak\tGB/s\tof peak")
	for _, o := range x.Profile {
		fmt.Fprintf(w, "%s\t%.0f\t%.3f\t%.3f–%.3f\t%.1f %%\t%s\t%s\t%s\t%s\n",
			o.Operation, o.Launches, 1e3*o.Median, 1e3*o.Q1, 1e3*o.Q3, 100*o.Share, cell("%.1f", o.GFlops),
			cell("%.0f %%", 100*o.ShareFlops), cell("%.1f", o.GBytes), cell("%.0f %%", 100*o.ShareBytes))
	}
	if x.Rest == 0 {
		return w.Flush()
	}
	fmt.Fprintf(w, "not in operations\t\t%.3f\t\t%.1f %%\n", 1e3*x.Rest, 100*x.Rest/x.Median)
	return w.Flush()
}
