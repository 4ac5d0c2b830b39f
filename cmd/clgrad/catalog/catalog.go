// Package catalog finds the directories of runs below a folder, lists what each of them came
// to, and says how some of them differ.
//
// It reads configurations, metrics and the headers of models ([run.Inspect]). It opens no device
// and no data set, and changes nothing.
package catalog

import (
	"math"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"clgrad/cmd/clgrad/run"
	"clgrad/cmd/clgrad/text"
	"clgrad/network"
	"clgrad/network/dataset"
)

// A Run is what the directory of a run says about it, as --json writes it. What is not known is
// "", null or NaN, which JSON has as null.
type Run struct {
	Path    string    `json:"run"`
	Began   time.Time `json:"began"` // when the oldest of its files was written
	State   run.State `json:"state"`
	Problem string    `json:"problem"` // of a damaged run
	Recipe  string    `json:"recipe"`  // the name of the recipe

	Data     string `json:"data"`      // its name
	DataPath string `json:"data_path"` // where it was, "" for a named set
	Digest   string `json:"digest"`    // of its rows

	Network   []int          `json:"network"` // inputs, hidden layers, classes
	Optimizer string         `json:"optimizer"`
	LR        network.Number `json:"lr"`
	BatchSize *int           `json:"batch_size"` // null for all rows

	Iterations int            `json:"iterations"`       // that are done
	Asked      *int           `json:"iterations_asked"` // that the run is to have
	Epochs     network.Number `json:"epochs"`           // that are done

	// A running or interrupted run has the figures of its last logged iteration.
	Loss               network.Number `json:"loss"`
	TrainAccuracy      network.Number `json:"train_accuracy"`
	ValidationLoss     network.Number `json:"validation_loss"`
	ValidationAccuracy network.Number `json:"validation_accuracy"`
	BestValidation     network.Number `json:"best_validation_accuracy"` // of the logged iterations
	TestLoss           network.Number `json:"test_loss"`
	TestAccuracy       network.Number `json:"test_accuracy"`

	Seconds network.Number `json:"seconds"` // of descent
	Median  network.Number `json:"median_iteration_seconds"`
	PeakRSS *int64         `json:"peak_rss_bytes"`

	Backend string `json:"backend"`
	Device  string `json:"device"`
	Ranks   *int   `json:"ranks"`

	inspection run.Inspection
}

// Read reads a directory. ok is false where it is not that of a run.
func Read(path string) (r Run, ok bool) {
	i, ok := run.Inspect(path)
	if !ok {
		return r, false
	}
	nan := network.Number(math.NaN())
	r = Run{
		Path: path, Began: run.Began(path).UTC(), State: i.State, Problem: text.OneLine(i.Damage), Iterations: i.Done(),
		LR: nan, Epochs: nan, Loss: nan, TrainAccuracy: nan, ValidationLoss: nan, ValidationAccuracy: nan,
		BestValidation: i.Metrics.BestValidation, TestLoss: nan, TestAccuracy: nan, Seconds: nan, Median: nan,
		inspection: i,
	}
	r.configured()
	r.planned()
	r.measured()
	return r, true
}

// configured fills in what the configuration says.
func (r *Run) configured() {
	c := r.inspection.Recipe
	if c == nil {
		return
	}
	r.Recipe, r.Optimizer, r.LR = string(c.Name), string(c.Optimizer), network.Number(c.LR)
	if c.BatchSize > 0 {
		r.BatchSize = new(int(c.BatchSize))
	}
	if r.Data = string(c.Data); !slices.Contains(dataset.Names(), r.Data) {
		r.Data, r.DataPath = filepath.Base(r.Data), r.Data
	}
	if c.Iterations > 0 {
		r.Asked = new(int(c.Iterations))
	}
}

// planned fills in what a model or checkpoint says.
func (r *Run) planned() {
	m := r.inspection.Model
	if m == nil {
		return
	}
	plan := m.Run.Plan
	r.Network, r.Digest = m.Sizes, m.Run.Digest
	if r.Data == "" { // the configuration is damaged
		r.Data = m.Run.Data
	}
	r.Epochs = network.Number(float64(r.Iterations) / float64(r.inspection.Batches()))
	if c := r.inspection.Recipe; c != nil && c.Epochs > 0 {
		r.Asked = new(int(c.Epochs) * r.inspection.Batches())
	}
	var backends, devices []string
	for _, s := range plan.Shards {
		backends, devices = append(backends, s.Backend), append(devices, s.Device)
	}
	slices.Sort(devices)
	r.Backend, r.Device = strings.Join(backends, ","), strings.Join(slices.Compact(devices), ", ")
	if n := plan.Ranks(); n > 1 {
		r.Ranks = &n
		r.Backend = strings.Join(slices.Compact(backends), ",")
	}
}

// measured fills in what the metrics say.
func (r *Run) measured() {
	if s := r.inspection.Metrics.Summary; s != nil {
		r.Loss, r.TrainAccuracy = s.Loss, s.TrainAccuracy
		r.ValidationLoss, r.ValidationAccuracy, r.TestLoss, r.TestAccuracy = s.ValidationLoss, s.ValidationAccuracy, s.TestLoss, s.TestAccuracy
		r.Seconds, r.Median = network.Number(s.Seconds), network.Number(s.Median)
		if s.PeakRSS > 0 {
			r.PeakRSS = &s.PeakRSS
		}
		if r.Network == nil { // the model is damaged
			r.Network, r.Backend, r.Device = s.Layers, s.Backend, s.Device
		}
	}
	if l := r.inspection.Metrics.Last; l != nil {
		r.Loss, r.TrainAccuracy, r.Seconds = l.Loss, l.TrainAccuracy, network.Number(l.Seconds)
		for _, v := range []struct {
			to   *network.Number
			from *network.Number
		}{
			{&r.ValidationLoss, l.ValidationLoss}, {&r.ValidationAccuracy, l.ValidationAccuracy},
			{&r.TestLoss, l.TestLoss}, {&r.TestAccuracy, l.TestAccuracy},
		} {
			if v.from != nil {
				*v.to = *v.from
			}
		}
	}
}
