package bench

import (
	"slices"
	"strings"

	"clgrad/cmd/clgrad/measure"
	"clgrad/kernels"
	"clgrad/network"
)

// Report is the output of --json.
type Report struct {
	Data   string `json:"data"`
	Layers []int  `json:"layers"`
	// DataSeconds is from the start of the process until the data was read and
	// scaled.
	DataSeconds float64  `json:"data_seconds"`
	PeakRSS     int64    `json:"peak_rss_bytes"` // of the process, through every backend's first iteration
	Results     []Result `json:"results"`
}

// Result is one backend's times, in seconds.
type Result struct {
	Backend   string            `json:"backend"` // or several that compute together, joined by commas
	Precision kernels.Precision `json:"precision"`
	Device    string            `json:"device"`
	Driver    string            `json:"driver"`
	Samples   int               `json:"samples"`
	BatchSize int               `json:"batch_size"`        // rows of an iteration; of the last of an epoch there may be fewer
	Batches   int               `json:"batches"`           // iterations of an epoch
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
	Epoch      float64        `json:"epoch_seconds"` // Batches times the median

	PeakGFlops float64 `json:"peak_gflops,omitempty"`
	PeakGBytes float64 `json:"peak_gbytes_per_second,omitempty"`
	// Profile is what the operations of an iteration took, with --profile, and
	// Rest what is in none of them: launches, waiting and reading.
	Profile []Operation `json:"profile,omitempty"`
	Rest    float64     `json:"rest_seconds,omitempty"`
}

// turn is some iterations in a row.
type turn struct {
	Iterations int     `json:"iterations"`
	Seconds    float64 `json:"seconds"` // an iteration
}

// Operation is an operation's part of an iteration. Where its work is
// not known, for it belongs to no formula of the network, it has no rates.
type Operation struct {
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
	// Work as network.Layout.Work counts it, over BatchSize rows.
	Flops      float64 `json:"flops_per_iteration,omitempty"`
	Bytes      float64 `json:"bytes_per_iteration,omitempty"`
	GFlops     float64 `json:"gflops,omitempty"`
	GBytes     float64 `json:"gbytes_per_second,omitempty"`
	ShareFlops float64 `json:"share_of_peak_gflops,omitempty"`
	ShareBytes float64 `json:"share_of_peak_gbytes,omitempty"`
}

// statistics returns the statistics of times that did the given work.
func statistics(times []float64, flops, bytes, peakGFlops, peakGBytes float64) measured {
	m := measured{Median: measure.Quantile(times, 0.5), Q1: measure.Quantile(times, 0.25), Q3: measure.Quantile(times, 0.75), Flops: flops, Bytes: bytes}
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

// finish takes all that was measured into the result. all are the entries,
// of which one has the probes of this one's backend.
func (x *entry) finish(l network.Layout, all []*entry) {
	if x.Problem != "" {
		return
	}
	for _, y := range all {
		if y.probes != nil && y.Backend == x.Backend {
			x.PeakGFlops, x.PeakGBytes = 0, 0
			for _, probes := range y.probes { // devices at the same time come to all of them
				x.PeakGFlops += measure.Quantile(probes[network.Arithmetic].rates, 0.5) / 1e9
				x.PeakGBytes += measure.Quantile(probes[network.Bandwidth].rates, 0.5) / 1e9
			}
		}
	}
	work := map[string]network.Work{}
	add := func(whole string, w network.Work) {
		sum := work[whole]
		work[whole] = network.Work{Operation: whole, Flops: sum.Flops + w.Flops, Bytes: sum.Bytes + w.Bytes}
	}
	last := len(l.Sizes) - 2
	output := network.OperationKey("", l.Sizes[last], l.Sizes[last+1])
	var flops, bytes float64
	for _, w := range l.Work(x.BatchSize, x.width) {
		work[w.Operation] = w
		op, shape, _ := strings.Cut(w.Operation, " ")
		switch op {
		case network.OpWeightGradient:
			add(network.OpStepColumns, w)
		case network.OpUpdate:
			add(network.OpStepColumns, w)
			add(network.OpStepUpdate, w)
		default:
			add(network.OpStepRows, w)
			if op == network.OpSoftmax || " "+shape == output {
				add(network.OpStepOutput+output, w)
			}
		}
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
	x.measured = statistics(times, flops, bytes, peak, x.PeakGBytes)
	x.Min, x.Max, x.Epoch = slices.Min(times), slices.Max(times), x.Median*float64(x.Batches)
	rest := slices.Clone(times)
	for _, o := range x.operations {
		for i := range min(len(rest), len(o.seconds)) {
			rest[i] -= o.seconds[i]
		}
		w := work[formula(o.operation)]
		x.Profile = append(x.Profile, Operation{
			Operation: o.operation, Launches: o.launches, times: o.seconds,
			measured: statistics(o.seconds, w.Flops, w.Bytes, peak, x.PeakGBytes),
			Share:    measure.Quantile(o.seconds, 0.5) / x.Median,
		})
	}
	if len(x.Profile) > 0 && len(x.backends) == 1 { // those of several run at the same time
		x.Rest = measure.Quantile(rest, 0.5)
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
