package dataset

import (
	"fmt"

	"clgrad/network"
)

// FillGaps returns the set with a mean in the place of each gap that [Mean] let through,
// in the memory of its samples. They are Columns.Means where these are known, otherwise those
// of the training rows, which are in Columns then. So it belongs behind what chooses the
// training rows ([Set.Divide], [Set.First], [Set.Split]), and in front of all that computes
// with them.
// Error: a column without a value in any training row.
func (s Set) FillGaps() (Set, error) {
	if !s.Gaps {
		return s, nil
	}
	if s.Columns.Means == nil {
		means, err := s.Columns.means(s.Train)
		if err != nil {
			return Set{}, fmt.Errorf("%s: %w", s.Name, err)
		}
		columns := *s.Columns
		columns.Means = means
		s.Columns = &columns
	}
	for _, part := range []network.Samples{s.Train, s.Validation, s.Test} {
		for i, v := range part.Floats {
			if v != v {
				j := i % part.Features
				part.Floats[i] = float32(s.Columns.Means[j] - s.Columns.Offset(j))
			}
		}
	}
	s.Gaps = false
	return s, nil
}

// means returns the mean of each feature's values, of which NaN is none.
func (c Columns) means(s network.Samples) ([]float64, error) {
	sums, counts := make([]float64, s.Features), make([]int, s.Features)
	for i := range s.Rows {
		if s.Bytes != nil {
			for j, v := range s.Row(i) {
				sums[j] += float64(v)
				counts[j]++
			}
			continue
		}
		for j, v := range s.FloatRow(i) {
			if v == v {
				sums[j] += float64(v)
				counts[j]++
			}
		}
	}
	for j, n := range counts {
		if n == 0 {
			return nil, fmt.Errorf("%s: has no value in any row of the training set, and so no mean: Reading.Ignore leaves it out", c.columnOf(j))
		}
		sums[j] = sums[j]/float64(n) + c.Offset(j)
	}
	return sums, nil
}

// Offset returns what is subtracted from a feature's values; 0 where there are no columns.
func (c *Columns) Offset(feature int) float64 {
	if c == nil || c.Offsets == nil {
		return 0
	}
	return c.Offsets[feature]
}

// columnOf names the column of a feature.
func (c Columns) columnOf(feature int) string {
	for i := range c.Number {
		if !c.isFeature(i) {
			continue
		}
		if feature--; feature < 0 {
			if c.Names == nil {
				return fmt.Sprintf("column %d", i+1)
			}
			return fmt.Sprintf("column %d (%.80q)", i+1, c.Names[i])
		}
	}
	return ""
}
