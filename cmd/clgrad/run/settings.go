package run

import (
	"cmp"
	"fmt"
	"strconv"
	"strings"

	"clgrad/cmd/clgrad/report"
	"clgrad/cmd/clgrad/share"
)

// settings says what is trained, on what and how.
func (r *run) settings() []report.Figure {
	precision := "that of the backend"
	if r.Precision.Reduced() {
		precision = string(r.Precision)
	}
	all := []report.Figure{
		{Name: "data", Value: r.set.Name + ", " + rowCounts(r.set, r.Shifts)},
		{Name: "layers", Value: strings.Trim(fmt.Sprint(r.layout.Sizes), "[]")},
		{Name: "preprocessing", Value: r.ScaledBy()},
		{Name: "initial weights", Value: cmp.Or(string(r.From), string(r.Init))},
		{Name: "seed", Value: strconv.FormatUint(r.Seed, 10)},
		{Name: "optimizer", Value: optimizerWords(r.Recipe)},
		{Name: "learning rate", Value: fmt.Sprint(float64(r.LR))},
		{Name: "backend", Value: r.info.Backend},
		{Name: "device", Value: r.info.Device},
		{Name: "driver", Value: r.info.Driver},
		{Name: "precision of products", Value: precision},
	}
	if len(r.backends) > 1 {
		all = append(all, report.Figure{Name: "rows of each batch", Value: share.Rows(r.plan)})
	}
	return all
}
