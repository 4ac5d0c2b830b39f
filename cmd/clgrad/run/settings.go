package run

import (
	"cmp"
	"fmt"
	"strconv"

	"clgrad/cmd/clgrad/report"
	"clgrad/cmd/clgrad/share"
	"clgrad/cmd/clgrad/text"
)

// settings says what is trained, on what and how.
func (r *run) settings() []report.Figure {
	all := []report.Figure{
		{Name: "data", Value: r.set.Title() + ", " + rowCounts(r.set, r.Shifts)},
		{Name: "layers", Value: text.Sizes(r.layout.Sizes)},
		{Name: "preprocessing", Value: r.ScaledBy()},
		{Name: "initial weights", Value: cmp.Or(string(r.From), string(r.Init))},
		{Name: "seed", Value: strconv.FormatUint(r.Seed, 10)},
		{Name: "optimizer", Value: optimizerWords(r.Recipe)},
		{Name: "learning rate", Value: fmt.Sprint(float64(r.LR))},
		{Name: "backend", Value: r.info.Backend},
		{Name: "device", Value: r.info.Device},
		{Name: "driver", Value: r.info.Driver},
	}
	if r.Precision.Reduced() {
		all = append(all, report.Figure{Name: "precision of products", Value: string(r.Precision)})
	}
	if len(r.backends) > 1 {
		all = append(all, report.Figure{Name: "rows of each batch", Value: share.Rows(r.plan)})
	}
	return all
}
