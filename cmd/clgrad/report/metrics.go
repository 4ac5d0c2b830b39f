package report

import (
	"cmp"
	"fmt"
	"math"
	"slices"
)

// A confusion counts rows by their actual and their predicted class. It takes
// memory for the pairs that occur, not for all.
type confusion struct {
	cells              map[[2]int]int
	actual, predicted  []int // rows of each class
	correct            []int
	rows, correctCount int
}

// newConfusion counts rows. An error names the first row that has a class out of
// range, counted from 1.
func newConfusion(actual []int32, predicted []int, classes int) (*confusion, error) {
	if len(actual) != len(predicted) {
		return nil, fmt.Errorf("%d predictions for %d labels", len(predicted), len(actual))
	}
	c := &confusion{
		cells:  map[[2]int]int{},
		actual: make([]int, classes), predicted: make([]int, classes), correct: make([]int, classes),
		rows: len(actual),
	}
	for i, y := range actual {
		a, p := int(y), predicted[i]
		if a < 0 || a >= classes || p < 0 || p >= classes {
			return nil, fmt.Errorf("row %d has label %d and prediction %d: classes 0 to %d are expected", i+1, a, p, classes-1)
		}
		c.cells[[2]int{a, p}]++
		c.actual[a]++
		c.predicted[p]++
		if a == p {
			c.correct[a]++
			c.correctCount++
		}
	}
	return c, nil
}

// Classes returns the number of classes.
func (c *confusion) Classes() int { return len(c.actual) }

// At returns the number of rows of class actual that were predicted as another
// or the same class.
func (c *confusion) At(actual, predicted int) int { return c.cells[[2]int{actual, predicted}] }

// Support returns the number of rows of class k.
func (c *confusion) Support(k int) int { return c.actual[k] }

// Accuracy returns the share of rows whose prediction is their class, NaN of no
// rows.
func (c *confusion) Accuracy() float64 { return ratio(c.correctCount, c.rows) }

// Precision returns TP/(TP + FP): which share of what was predicted as class k
// is of it. It is NaN where nothing was.
func (c *confusion) Precision(k int) float64 { return ratio(c.correct[k], c.predicted[k]) }

// Recall returns TP/(TP + FN): which share of class k was predicted as it. It is
// NaN where there is no row of the class.
func (c *confusion) Recall(k int) float64 { return ratio(c.correct[k], c.actual[k]) }

// F1 returns 2·TP/(2·TP + FP + FN), the harmonic mean of precision and recall.
// It is NaN where class k is neither there nor predicted.
func (c *confusion) F1(k int) float64 { return ratio(2*c.correct[k], c.actual[k]+c.predicted[k]) }

// Macro returns the mean of a figure over the classes for which it is defined,
// each class counting the same; NaN where there is none.
func (c *confusion) Macro(figure func(k int) float64) float64 {
	sum, n := 0.0, 0
	for k := range c.Classes() {
		if v := figure(k); !math.IsNaN(v) {
			sum += v
			n++
		}
	}
	return sum / float64(n)
}

func ratio(part, whole int) float64 { return float64(part) / float64(whole) }

// confidentMistakes returns up to n rows whose prediction is not their class,
// those first that were predicted with the largest probability, the lower row
// among equals. A probability that is NaN counts as lowest.
func confidentMistakes(actual []int32, predicted []int, probability []float64, n int) []int {
	var rows []int
	for i, k := range predicted {
		if int(actual[i]) != k {
			rows = append(rows, i)
		}
	}
	slices.SortStableFunc(rows, func(a, b int) int { return cmp.Compare(probability[b], probability[a]) })
	return rows[:min(n, len(rows))]
}
