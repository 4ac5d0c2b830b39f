package compare

import (
	"fmt"
	"slices"
	"strings"

	"clgrad/network"
)

// A Setting is what an entry differs from others in.
type Setting struct {
	Optimizer    network.Optimizer `json:"optimizer"`
	BatchSize    int               `json:"batch_size"`
	LearningRate float64           `json:"learning_rate"`
	Backend      string            `json:"backend"`
}

// MaxEntries bounds the settings of one comparison: all hold their rows at the same time.
const MaxEntries = 64

// Cross returns every combination of the given values. A batch size of 0 is all rows;
// without learning rates each optimizer has its default. lbfgs is in combinations with all
// rows alone. Equal combinations, as of all and of their number, are one. With 0 rows, where
// they are not known yet, what depends on them is not looked at.
func Cross(optimizers []network.Optimizer, batchSizes []int, rates []float64, backends []string, rows int) ([]Setting, error) {
	if n := len(optimizers) * len(batchSizes) * max(1, len(rates)) * len(backends); n > MaxEntries {
		return nil, fmt.Errorf("%d combinations of optimizer, batch size, learning rate and backend: %d at most are possible", n, MaxEntries)
	}
	if rows > 0 && slices.Contains(optimizers, network.LBFGS) && !slices.Contains(batchSizes, 0) && !slices.Contains(batchSizes, rows) {
		return nil, fmt.Errorf("optimizer %s takes all rows: the batch size all is expected, alone or beside others", network.LBFGS)
	}
	var all []Setting
	for _, backend := range backends {
		for _, o := range optimizers {
			of := rates
			if len(of) == 0 {
				of = []float64{network.DefaultLearningRate(o)}
			}
			for _, size := range batchSizes {
				if size == 0 {
					size = rows
				}
				if rows > 0 && size > rows {
					return nil, fmt.Errorf("batches of %d rows: the training set has %d", size, rows)
				}
				if o == network.LBFGS && size < rows {
					continue
				}
				for _, rate := range of {
					if s := (Setting{o, size, rate, backend}); !slices.Contains(all, s) {
						all = append(all, s)
					}
				}
			}
		}
	}
	return all, nil
}

// names returns a name for each setting: its optimizer, and what else differs. rows are
// those of the training set.
func names(all []Setting, rows int) []string {
	sizes, backends := map[int]bool{}, map[string]bool{}
	rates := map[network.Optimizer]map[float64]bool{}
	severalRates := false
	for _, s := range all {
		sizes[s.BatchSize], backends[s.Backend] = true, true
		if rates[s.Optimizer] == nil {
			rates[s.Optimizer] = map[float64]bool{}
		}
		rates[s.Optimizer][s.LearningRate] = true
		severalRates = severalRates || len(rates[s.Optimizer]) > 1
	}
	var names []string
	for _, s := range all {
		parts := []string{string(s.Optimizer)}
		if len(sizes) > 1 && s.BatchSize == rows {
			parts = append(parts, "all rows")
		} else if len(sizes) > 1 {
			parts = append(parts, fmt.Sprintf("batch %d", s.BatchSize))
		}
		if severalRates {
			parts = append(parts, fmt.Sprintf("lr %g", s.LearningRate))
		}
		if len(backends) > 1 {
			parts = append(parts, s.Backend)
		}
		names = append(names, strings.Join(parts, ", "))
	}
	return names
}
