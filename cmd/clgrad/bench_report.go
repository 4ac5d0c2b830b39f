package main

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"runtime"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"clgrad/cpu"
	"clgrad/kernels"
	"clgrad/network"
	"clgrad/network/dataset"
)

// benchReport is the output of --json.
type benchReport struct {
	Data   string `json:"data"`
	Layers []int  `json:"layers"`
	// DataSeconds is from the start of the process until the data was read and
	// scaled.
	DataSeconds float64       `json:"data_seconds"`
	PeakRSS     int64         `json:"peak_rss_bytes"` // of the process, through every backend's first iteration
	Results     []benchResult `json:"results"`
	some        bool          // there are times
}

// benchResult is one backend's times, in seconds.
type benchResult struct {
	Backend   string            `json:"backend"`
	Precision kernels.Precision `json:"precision"`
	Device    string            `json:"device"`
	Driver    string            `json:"driver"`
	Samples   int               `json:"samples"`
	Problem   string            `json:"problem,omitempty"` // why there are no times

	// Open, Load and First are what comes before the first iteration ends: opening
	// the device, bringing the samples there, and the iteration, in which drivers
	// compile. ToFirst is all of it from the start of the process, if this were its
	// only backend.
	Open    float64 `json:"open_seconds"`
	Load    float64 `json:"load_seconds"`
	First   float64 `json:"first_iteration_seconds"`
	ToFirst float64 `json:"to_first_iteration_seconds"`
	// Resident is by how much the process grew from before Open through First,
	// Held what the backend made: on most GPUs that is no memory of the process.
	Resident int64 `json:"resident_bytes,omitempty"`
	Held     int64 `json:"held_bytes,omitempty"`

	Turns      []turn         `json:"turns"`
	Iterations int            `json:"iterations"` // of all turns
	Loss       network.Number `json:"loss"`       // of the last iteration
	measured                  // an iteration
	Min        float64        `json:"min_iteration_seconds"`
	Max        float64        `json:"max_iteration_seconds"`

	PeakGFlops float64 `json:"peak_gflops,omitempty"`
	PeakGBytes float64 `json:"peak_gbytes_per_second,omitempty"`
	// Profile is what the operations of an iteration took, with --profile, and
	// Rest what is in none of them: launches, waiting and reading.
	Profile []operationResult `json:"profile,omitempty"`
	Rest    float64           `json:"rest_seconds,omitempty"`
}

// turn is some iterations in a row.
type turn struct {
	Iterations int     `json:"iterations"`
	Seconds    float64 `json:"seconds"` // an iteration
}

// operationResult is an operation's part of an iteration. Where its work is
// not known, for it belongs to no formula of the network, it has no rates.
type operationResult struct {
	Operation string  `json:"operation"`
	Launches  float64 `json:"launches_per_iteration"`
	measured
	Share float64 `json:"share_of_iteration"`
	times []float64
}

// measured is a time, over the turns, with what it comes to.
type measured struct {
	Median float64 `json:"median_iteration_seconds"`
	Q1     float64 `json:"q1_iteration_seconds"` // a quarter of the turns took less
	Q3     float64 `json:"q3_iteration_seconds"` // and a quarter more
	// Work as network.Layout.Work counts it.
	Flops      float64 `json:"flops_per_iteration,omitempty"`
	Bytes      float64 `json:"bytes_per_iteration,omitempty"`
	GFlops     float64 `json:"gflops,omitempty"`
	GBytes     float64 `json:"gbytes_per_second,omitempty"`
	ShareFlops float64 `json:"share_of_peak_gflops,omitempty"`
	ShareBytes float64 `json:"share_of_peak_gbytes,omitempty"`
}

// measure returns the statistics of times that did the given work.
func measure(times []float64, flops, bytes, peakGFlops, peakGBytes float64) measured {
	m := measured{Median: quantile(times, 0.5), Q1: quantile(times, 0.25), Q3: quantile(times, 0.75), Flops: flops, Bytes: bytes}
	share := func(rate, peak float64) float64 {
		if peak > 0 {
			return rate / peak
		}
		return 0
	}
	if m.Median > 0 {
		m.GFlops, m.GBytes = flops/m.Median/1e9, bytes/m.Median/1e9
	}
	m.ShareFlops, m.ShareBytes = share(m.GFlops, peakGFlops), share(m.GBytes, peakGBytes)
	return m
}

// quantile returns the value that the share q of v does not exceed, between two
// values by their distance; 0 of none.
func quantile(v []float64, q float64) float64 {
	if len(v) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(v))
	at := q * float64(len(v)-1)
	low := int(at)
	high := min(low+1, len(v)-1)
	return sorted[low] + (at-math.Floor(at))*(sorted[high]-sorted[low])
}

// enter opens a backend, loads the data into it and runs the first iteration.
func (x *contestant) enter(a *app, c benchCommand, name backendName, set dataset.Set, l network.Layout) (err error) {
	before := residentMemory()
	begin := time.Now()
	lap := func() float64 {
		now := time.Now()
		defer func() { begin = now }()
		return now.Sub(begin).Seconds()
	}
	o := c.options(name)
	x.Precision = cmp.Or(o.Precision, kernels.Float32)
	if x.backend, err = name.open(a, o); err != nil {
		return err
	}
	x.Open = lap()
	info := x.backend.Info()
	x.Backend, x.Device, x.Driver, x.width = info.Backend, info.Device, info.Driver, 4
	if info.Roundoff < 0x1p-24 {
		x.Precision, x.width = "float64", 8
	}
	if x.trainer, _, err = c.start(set, l, x.backend); err != nil {
		return err
	}
	x.Load = lap()
	if _, err = x.turn(a, 1, float64(c.LR)); err != nil {
		return err
	}
	x.First = lap()
	if before > 0 {
		x.Resident = residentMemory() - before
	}
	if m, ok := x.backend.(network.MemoryMeter); ok {
		x.Held = m.MemoryHeld()
	}
	return x.dropProfile()
}

// finish takes all that was measured into the result. all are the contestants,
// of which one has the probes of this one's backend.
func (x *contestant) finish(l network.Layout, all []*contestant) {
	if x.Problem != "" {
		return
	}
	for _, y := range all {
		if y.probes != nil && y.Backend == x.Backend {
			x.PeakGFlops = quantile(y.probes[network.Arithmetic].rates, 0.5) / 1e9
			x.PeakGBytes = quantile(y.probes[network.Bandwidth].rates, 0.5) / 1e9
		}
	}
	work := map[string]network.Work{}
	var flops, bytes float64
	for _, w := range l.Work(x.Samples, x.width) {
		work[w.Operation] = w
		flops += w.Flops
		bytes += w.Bytes
	}
	peak := x.PeakGFlops
	if x.Precision.Reduced() {
		peak = 0 // that of other units
	}
	var times []float64
	for _, t := range x.Turns {
		times = append(times, t.Seconds)
		x.Iterations += t.Iterations
	}
	x.measured = measure(times, flops, bytes, peak, x.PeakGBytes)
	x.Min, x.Max = slices.Min(times), slices.Max(times)
	rest := slices.Clone(times)
	for _, o := range x.operations {
		for i := range min(len(rest), len(o.seconds)) {
			rest[i] -= o.seconds[i]
		}
		w := work[formula(o.operation)]
		x.Profile = append(x.Profile, operationResult{
			Operation: o.operation, Launches: o.launches, times: o.seconds,
			measured: measure(o.seconds, w.Flops, w.Bytes, peak, x.PeakGBytes),
			Share:    quantile(o.seconds, 0.5) / x.Median,
		})
	}
	if len(x.Profile) > 0 {
		x.Rest = quantile(rest, 0.5)
	}
}

// formula returns the name that network.Layout.Work has for an operation of a
// profile: without its form.
func formula(operation string) string {
	words := strings.Fields(operation)
	if len(words) < 3 {
		return operation
	}
	return words[0] + " " + words[len(words)-1]
}

// write writes the report.
func (r benchReport) write(a *app, f benchFormat) error {
	switch f {
	case jsonFormat:
		return json.NewEncoder(a.out).Encode(r)
	case benchstatFormat:
		return r.benchstat(a.out)
	}
	return r.show(a.out)
}

// label is what tables call a backend: with its precision where that is reduced.
func (x benchResult) label() string {
	if x.Precision.Reduced() {
		return x.Backend + " " + string(x.Precision)
	}
	return x.Backend
}

// timed returns the results that have times.
func (r benchReport) timed() (with []benchResult) {
	for _, x := range r.Results {
		if x.Problem == "" {
			with = append(with, x)
		}
	}
	return with
}

// network returns the layers in one word.
func (r benchReport) network() string {
	return strings.Trim(strings.ReplaceAll(fmt.Sprint(r.Layers), " ", "-"), "[]")
}

// benchstat writes Go's benchmark format: a line for every turn, for benchstat to
// make medians and spreads of.
func (r benchReport) benchstat(out io.Writer) error {
	fmt.Fprintf(out, "goos: %s\ngoarch: %s\npkg: clgrad\ncpu: %s\ndata: %s\n", runtime.GOOS, runtime.GOARCH, cpu.New[float32]().Info().Device, r.Data)
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
func (r benchReport) show(out io.Writer) error {
	with := r.timed()
	rows := map[int]bool{}
	for _, x := range with {
		if !rows[x.Samples] {
			rows[x.Samples] = true
			fmt.Fprintf(out, "%s, %d samples, layers %v: %.2f GFLOP an iteration\n", r.Data, x.Samples, r.Layers, x.Flops/1e9)
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

// cell returns a number for a table, a dash where it is 0, for unknown.
func cell(format string, v float64) string {
	if v == 0 {
		return "–"
	}
	return fmt.Sprintf(format, v)
}

// showIterations writes the table of times. Each backend is compared with the
// first of as many samples.
func (r benchReport) showIterations(out io.Writer, with []benchResult) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "backend\trows\tmedian s\tquartiles s\tGFLOP/s\tof peak\tGB/s\tof peak\tspeed\tloss\t")
	base := map[int]float64{}
	above := false
	for _, x := range with {
		if base[x.Samples] == 0 {
			base[x.Samples] = x.Median
		}
		fmt.Fprintf(w, "%s\t%d\t%s\t%s–%s\t%.1f\t%s\t%.1f\t%s\t%.2f×\t%.4f\t\n",
			x.label(), x.Samples, digits(x.Median), digits(x.Q1), digits(x.Q3), x.GFlops, cell("%.0f %%", 100*x.ShareFlops),
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
func (r benchReport) showDevices(out io.Writer, with []benchResult) error {
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

// showScaling writes how the time of each backend grows with the rows: the median,
// and the least of all turns, which other work on the machine disturbed least.
func showScaling(out io.Writer, with []benchResult) error {
	fmt.Fprintln(out)
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "backend\trows\tµs a row\trows ×\tmedian ×\tof a row\tleast ×\tof a row\t")
	first := map[string]benchResult{}
	for _, x := range with {
		if first[x.Backend].Samples == 0 {
			first[x.Backend] = x
		}
		f := first[x.Backend]
		rows, median, least := float64(x.Samples)/float64(f.Samples), x.Median/f.Median, x.Min/f.Min
		fmt.Fprintf(w, "%s\t%d\t%s\t%.2f\t%.2f\t%+.1f %%\t%.2f\t%+.1f %%\t\n",
			x.label(), x.Samples, digits(1e6*x.Median/float64(x.Samples)), rows, median, 100*(median/rows-1), least, 100*(least/rows-1))
	}
	return w.Flush()
}

// showProfile writes the operations of an iteration.
func (x benchResult) showProfile(out io.Writer) error {
	if len(x.Profile) == 0 {
		return nil
	}
	fmt.Fprintf(out, "\n%s, an iteration of %d rows in %s s:\n", x.label(), x.Samples, digits(x.Median))
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "operation\tlaunches\tmedian ms\tquartiles ms\tshare\tGFLOP/s\tof peak\tGB/s\tof peak")
	for _, o := range x.Profile {
		fmt.Fprintf(w, "%s\t%.0f\t%.3f\t%.3f–%.3f\t%.1f %%\t%s\t%s\t%s\t%s\n",
			o.Operation, o.Launches, 1e3*o.Median, 1e3*o.Q1, 1e3*o.Q3, 100*o.Share, cell("%.1f", o.GFlops),
			cell("%.0f %%", 100*o.ShareFlops), cell("%.1f", o.GBytes), cell("%.0f %%", 100*o.ShareBytes))
	}
	fmt.Fprintf(w, "not in operations\t\t%.3f\t\t%.1f %%\n", 1e3*x.Rest, 100*x.Rest/x.Median)
	return w.Flush()
}
