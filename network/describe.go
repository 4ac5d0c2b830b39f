package network

import (
	"fmt"
	"strconv"
	"strings"
)

// Values that a program prints describe themselves in one short line.

// sizesText writes a network's sizes, as in 784-128-10. Of many layers the middle is left out.
func sizesText(sizes []int) string {
	const most = 8
	var words []string
	for i, n := range sizes {
		switch {
		case len(sizes) > most && i == most-2:
			words = append(words, "…")
		case len(sizes) > most && i > most-2 && i < len(sizes)-1:
		default:
			words = append(words, strconv.Itoa(n))
		}
	}
	return strings.Join(words, "-")
}

// String describes the layout in a line, as in "784-128-10, 101770 parameters".
func (l Layout) String() string {
	return fmt.Sprintf("%s, %d parameters", sizesText(l.Sizes), l.Parameters())
}

// String describes the backend in a line, as in "cpu, AMD EPYC (2 compute units, 25 GB, gonum v0.17.0)".
// Of a driver with its platform, "platform; driver", only the driver is in it.
func (i Info) String() string {
	text := fmt.Sprintf("%s, %s (%s", i.Backend, i.Device, counted(i.ComputeUnits, "compute unit"))
	if i.Memory > 0 {
		text += fmt.Sprintf(", %.0f GB", float64(i.Memory)/1e9)
	}
	driver := i.Driver
	if _, after, found := strings.Cut(driver, "; "); found {
		driver = after
	}
	return text + ", " + driver + ")"
}

// String describes the plan in a line, as in "784-128-10 on 60000 rows in batches of 100 rows,
// opencl:0.0".
func (p Plan) String() string {
	batches := "all in one batch"
	if p.BatchRows < p.Rows {
		batches = "in batches of " + counted(p.BatchRows, "row")
	}
	var names []string
	for _, s := range p.Shards {
		names = append(names, s.Backend)
	}
	return fmt.Sprintf("%s on %s %s, %s", sizesText(p.Sizes), counted(p.Rows, "row"), batches, strings.Join(names, " and "))
}

// String names the optimizer and its hyper-parameters in a line, as in "nesterov, momentum 0.9".
func (r Rule) String() string {
	text := string(r.Optimizer)
	if text == "" {
		text = string(GD) // as Descend has it
	}
	switch r.Optimizer {
	case Momentum, Nesterov:
		text += fmt.Sprintf(", momentum %g", r.Momentum)
	case Adam, AdamW:
		text += fmt.Sprintf(", beta1 %g, beta2 %g, epsilon %g", r.Beta1, r.Beta2, r.Epsilon)
	case LBFGS:
		text += fmt.Sprintf(", history of %d", r.HistorySize)
	}
	if r.WeightDecay != 0 {
		text += fmt.Sprintf(", weight decay %g", r.WeightDecay)
	}
	return text
}

// String describes the samples in a line, as in "60000 rows of 784 features (bytes)".
func (s Samples) String() string {
	kind := "float32"
	if s.Bytes != nil {
		kind = "bytes"
	}
	if s.Labels == nil {
		kind += ", without labels"
	}
	return fmt.Sprintf("%s of %s (%s)", counted(s.Rows, "row"), counted(s.Features, "feature"), kind)
}

// counted writes a number of things.
func counted(n int, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	return fmt.Sprintf("%d %ss", n, thing)
}
