package report

import (
	"cmp"
	"math"
	"slices"
	"strconv"

	"clgrad/network"
)

// A columnsPart is what the first layer makes of each column of a table.
type columnsPart struct {
	Rows []columnRow // by weight, the heaviest first
	Left int         // columns that are not listed
	Heat *heatPart   // the weights of the first layer, nil where there are too many units
}

type columnRow struct {
	Name   string
	Weight float64 // against the largest, 0 to 1
}

// Percent returns the length of the row's bar in percent.
func (r columnRow) Percent() float64 { return math.Round(1000*r.Weight) / 10 }

const (
	mostWeighed   = 30  // columns whose weights are shown
	mostHeatUnits = 200 // units whose weights are shown a column
)

// columnName returns the name of feature j of a table.
func (r Run) columnName(j int) string {
	if r.Features == nil {
		return strconv.Itoa(j + 1)
	}
	return r.Features[j]
}

// columns fills in the weights of a table's columns. That of column j is
//
//	s[j] · √(Σₖ W[j,k]²)
//
// with the standard deviation s[j] of the scaled column over the samples, and the weights W
// of the first layer: how far a typical change of the column moves that layer's units.
func (p *page) columns(samples network.Samples) error {
	n := samples.Features
	if len(p.FirstLayer) == 0 || len(p.FirstLayer)%n != 0 || samples.Rows < 2 {
		return nil
	}
	units := len(p.FirstLayer) / n
	weights, deviations := make([]float64, n), deviations(samples)
	for j := range n {
		sum := 0.0
		for _, w := range p.FirstLayer[j*units : (j+1)*units] {
			sum += w * w
		}
		weights[j] = deviations[j] * math.Sqrt(sum)
	}
	most := slices.Max(weights)
	if !drawable(most) || most == 0 {
		return nil
	}
	order := make([]int, n)
	for j := range order {
		order[j] = j
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(weights[b], weights[a]) })
	order = order[:min(n, mostWeighed)]
	c := &columnsPart{Left: n - len(order)}
	for _, j := range order {
		c.Rows = append(c.Rows, columnRow{p.columnName(j), weights[j] / most})
	}
	p.Columns = c
	if units > mostHeatUnits {
		return nil
	}
	content, err := encode(columnWeights(p.FirstLayer, order, units))
	c.Heat = &heatPart{
		pngURL(content), "weights of " + strconv.Itoa(len(order)) + " columns in " + strconv.Itoa(units) + " units",
		heatLabels(len(order), mostWeighed, func(i int) string { return p.columnName(order[i]) }),
		heatLabels(units, mostHeatLabels, func(i int) string { return strconv.Itoa(i + 1) }), math.Max(1, math.Min(4, float64(units)/float64(len(order)))),
	}
	return err
}

// mostDeviationRows bounds the samples that standard deviations are taken of.
const mostDeviationRows = 10_000

// deviations returns the standard deviation of each scaled feature.
func deviations(s network.Samples) []float64 {
	rows := min(s.Rows, mostDeviationRows)
	scaled, row := s.ScaledRows(), make([]float32, s.Features)
	mean, squares := make([]float64, s.Features), make([]float64, s.Features)
	for i := range rows { // Welford's recurrence
		scaled(i, row)
		for j, v := range row {
			d := float64(v) - mean[j]
			mean[j] += d / float64(i+1)
			squares[j] += d * (float64(v) - mean[j])
		}
	}
	for j, v := range squares {
		squares[j] = math.Sqrt(v / float64(rows-1))
	}
	return squares
}
