package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"clgrad/cmd/clgrad/recipe"
	"clgrad/cmd/clgrad/text"
	"clgrad/gpu"
	"clgrad/kernels"
)

type tuneCommand struct {
	modelFlags
	Backend   backendName    `default:"opencl" help:"The OpenCL device: opencl, opencl:P.D or opencl:NAME."`
	Seconds   recipe.Seconds `default:"60" help:"Time of the search in seconds."`
	BatchSize recipe.Count   `placeholder:"ROWS" help:"Rows in a batch of training, from which the number of rows in a block follows. Default: all rows."`
	Dense     bool           `help:"Tune the first layer for dense input, even where it would be packed."`
	JSON      bool           `name:"json" help:"Print one JSON object."`
}

// Help is shown by clgrad tune --help.
func (tuneCommand) Help() string {
	return "Tuning is optional. The fastest kernels are kept in the user's cache directory, and are used until the driver or the kernels change, by runs that start later: " +
		"those of single operations for layers of the same sizes, those of whole iterations for a network of the same sizes. " +
		"Where several batch sizes were tuned, the nearest counts. " +
		"Results stay within the same error bounds, but their last bits may differ."
}

// tuneReport is the output of --json.
type tuneReport struct {
	File   string           `json:"file"`
	Shapes []gpu.TunedShape `json:"shapes"`
}

// Run searches and keeps what it found.
func (c tuneCommand) Run(a *app) error {
	kind, which, _ := strings.Cut(string(c.Backend), ":")
	if kind != "opencl" {
		return misused("--backend %s: an OpenCL device is expected, the CPU backends have nothing to tune", c.Backend)
	}
	if c.Precision.Reduced() {
		return misused("--precision %s: only the kernels of %s are tuned", c.Precision, kernels.Float32)
	}
	d, _, err := selectDevice(a, which)
	if err != nil {
		return err
	}
	options, err := a.trusting(d, gpu.Options{Dense: c.Dense})
	if err != nil {
		return err
	}
	set, l, err := c.load(a)
	if err != nil {
		return err
	}
	if int(c.BatchSize) > set.Train.Rows {
		return misused("--batch-size %d: the training set has %d rows", c.BatchSize, set.Train.Rows)
	}
	rows, err := c.Ordered(set.Train, recipe.Training{BatchSize: c.BatchSize}.Batch(set.Train.Rows))
	if err != nil {
		return err
	}
	o := gpu.TuneOptions{Budget: time.Duration(c.Seconds) * time.Second, BatchRows: int(c.BatchSize), Options: options}
	bar := a.display.Steps(func(done, total int64) string { return fmt.Sprintf("%d of %d s", done/1000, total/1000) })
	defer bar.End()
	o.Progress = func(p gpu.TuneProgress) {
		bar.At(fmt.Sprintf("trying %s of %s", p.Tile, p.Shape), int64(p.Share*float64(o.Budget.Milliseconds())), o.Budget.Milliseconds())
	}
	found, shapes, err := gpu.Tune(a, d, l.Sizes, rows, o)
	if err != nil {
		return err
	}
	file, err := a.drivers().setTuning(a, d, found)
	if err != nil {
		return err
	}
	if c.JSON {
		return json.NewEncoder(a.out).Encode(tuneReport{file, shapes})
	}
	return showTuning(a, d, file, shapes)
}

func showTuning(a *app, d gpu.Device, file string, shapes []gpu.TunedShape) error {
	t := text.Table{Columns: []string{"operation", "rows", "default", "ms a block", "best", "ms a block", "faster", "tried", "rejected"}}
	for _, s := range shapes {
		standard, best := s.Tiles()
		if best == standard {
			best = "the same"
		}
		t.Row(s.Shape, strconv.Itoa(s.Rows), standard, fmt.Sprintf("%.3f", 1e3*s.DefaultSeconds), best, fmt.Sprintf("%.3f", 1e3*s.Seconds), fmt.Sprintf("%.2f×", s.DefaultSeconds/s.Seconds),
			strconv.Itoa(s.Tried), strconv.Itoa(len(s.Rejected)))
	}
	err := t.Write(a.out, a.width())
	for _, s := range shapes {
		for _, r := range s.Rejected {
			_, e := fmt.Fprintf(a.out, "rejected for %s: %s\n", s.Shape, r)
			err = errors.Join(err, e)
		}
	}
	var left []string
	for _, s := range shapes {
		if s.Untried > 0 {
			left = append(left, fmt.Sprintf("%d of %s", s.Untried, s.Shape))
		}
	}
	if left != nil {
		a.note("there was no time for candidates next to the best: %s (--seconds N searches longer)", strings.Join(left, ", "))
	}
	_, e := fmt.Fprintf(a.out, "Kept for opencl:%s, %s, in %s\n", d.ID(), d.Name, file)
	return errors.Join(err, e)
}
