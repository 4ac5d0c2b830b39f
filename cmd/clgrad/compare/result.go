package compare

import (
	"math"
	"slices"

	"clgrad/network"
)

// A Report is the output of --json. Seconds are of training: loading, the warm-up and
// scoring are in none of them but their own.
type Report struct {
	Data        string  `json:"data"`
	Layers      []int   `json:"layers"`
	Rows        int     `json:"rows"`                         // of the training set
	Of          string  `json:"accuracy_of"`                  // the set that losses and accuracies are of
	OfRows      int     `json:"accuracy_rows"`                // its rows
	Epochs      int     `json:"epochs"`                       // of a run at most
	TimeLimit   float64 `json:"time_limit_seconds,omitempty"` // of a run
	Target      float64 `json:"target,omitempty"`             // accuracy at which a run ends
	Cold        bool    `json:"cold,omitempty"`               // without warm-up: seconds have what drivers compile
	Seeds       int     `json:"seeds"`                        // runs of an entry
	HistorySize int     `json:"history_size,omitempty"`       // of lbfgs, where it is not its default
	Entries     []Entry `json:"entries"`
}

// An Entry is a setting with its runs. Its figures are medians over those runs that ended,
// or over all where none did; null is unknown. A run that did not reach the target counts
// as one that takes longer than any: where those are half of the runs, the time is null.
type Entry struct {
	Name string `json:"name"`
	Setting
	Device string `json:"device"`

	EpochSeconds  network.Number `json:"epoch_seconds"` // over all epochs of all runs
	Loss          network.Number `json:"loss"`          // mean over the last epoch, of its forward passes
	Accuracy      network.Number `json:"accuracy"`      // after the last epoch
	Best          network.Number `json:"best_accuracy"` // after any epoch
	Reached       int            `json:"reached"`       // runs that reached the target
	TargetSeconds network.Number `json:"target_seconds"`
	TargetEpochs  network.Number `json:"target_epochs"`

	Runs []Run `json:"runs"`
}

// A Run is an entry with one seed.
type Run struct {
	Seed      uint64  `json:"seed"`
	Ended     bool    `json:"ended"`               // not cut short
	Problem   string  `json:"problem,omitempty"`   // why it failed
	Converged string  `json:"converged,omitempty"` // where L-BFGS ended it, and why
	Reached   int     `json:"reached_epoch"`       // at which it reached the target, 0 for none
	Load      float64 `json:"load_seconds"`        // bringing the rows to the device
	Warmup    float64 `json:"warmup_seconds"`      // an epoch before the first
	Epochs    []Epoch `json:"epochs"`
}

// An Epoch is what is known after one.
type Epoch struct {
	Epoch       int            `json:"epoch"`
	Seconds     float64        `json:"seconds"` // of training, from the start of the run
	Loss        network.Number `json:"loss"`    // mean over the epoch, of its forward passes
	HeldOutLoss network.Number `json:"held_out_loss"`
	Accuracy    network.Number `json:"accuracy"`
}

// newReport returns a report of entries without runs.
func newReport(o Options, of string, rows int) Report {
	r := Report{
		Data: o.Set.Name, Layers: o.Layout.Sizes, Rows: o.Set.Train.Rows, Of: of, OfRows: rows,
		Epochs: o.Epochs, TimeLimit: o.TimeLimit, Target: o.Target, Cold: o.Cold, Seeds: o.Seeds, HistorySize: o.HistorySize,
	}
	for i, name := range names(o.Settings, r.Rows) {
		r.Entries = append(r.Entries, Entry{Name: name, Setting: o.Settings[i]})
	}
	for i := range r.Entries {
		r.Entries[i].finish()
	}
	return r
}

// finish computes the figures of all entries.
func (r *Report) finish() {
	for i := range r.Entries {
		r.Entries[i].finish()
	}
}

func (x *Entry) finish() {
	var epoch, loss, accuracy, best, seconds, epochs []float64
	x.Reached = 0
	anyEnded := slices.ContainsFunc(x.Runs, func(r Run) bool { return r.Ended })
	for _, run := range x.Runs {
		before := 0.
		for _, e := range run.Epochs {
			epoch = append(epoch, e.Seconds-before)
			before = e.Seconds
		}
		if n := len(run.Epochs); n > 0 && (run.Ended || !anyEnded) {
			last := run.Epochs[n-1]
			loss, accuracy = append(loss, float64(last.Loss)), append(accuracy, float64(last.Accuracy))
			best = append(best, run.best())
		}
		switch {
		case run.Reached > 0:
			x.Reached++
			seconds, epochs = append(seconds, run.Epochs[run.Reached-1].Seconds), append(epochs, float64(run.Reached))
		case run.Ended:
			seconds, epochs = append(seconds, math.Inf(1)), append(epochs, math.Inf(1))
		}
	}
	x.EpochSeconds, x.Loss, x.Accuracy, x.Best = median(epoch), median(loss), median(accuracy), median(best)
	x.TargetSeconds, x.TargetEpochs = median(seconds), median(epochs)
}

// best returns the highest accuracy of a run.
func (r Run) best() float64 {
	best := math.NaN()
	for _, e := range r.Epochs {
		if v := float64(e.Accuracy); !(v <= best) && !math.IsNaN(v) {
			best = v
		}
	}
	return best
}

// median returns the middle of v, the mean of two where their number is even; NaN, which is
// unknown, where v is empty, has a NaN, or its middle is not finite.
func median(v []float64) network.Number {
	if len(v) == 0 || slices.ContainsFunc(v, math.IsNaN) {
		return network.Number(math.NaN())
	}
	sorted := slices.Sorted(slices.Values(v))
	m := (sorted[(len(v)-1)/2] + sorted[len(v)/2]) / 2
	if math.IsInf(m, 0) {
		return network.Number(math.NaN())
	}
	return network.Number(m)
}

// Known reports whether there is an epoch that the report knows.
func (r Report) Known() bool {
	return slices.ContainsFunc(r.Entries, func(x Entry) bool {
		return slices.ContainsFunc(x.Runs, func(r Run) bool { return len(r.Epochs) > 0 })
	})
}
