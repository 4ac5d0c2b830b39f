package report

import (
	"cmp"
	"html/template"
	"math"
	"slices"
	"strconv"
)

// A matrixPart is a confusion matrix: a table of counts, or where there are too many classes
// for that a heat map.
type matrixPart struct {
	Columns []string // names
	Rows    []matrixRow
	Dense   bool // the counts have no room on a phone
	Heat    *heatPart
}

type matrixRow struct {
	Name  string
	Cells []matrixCell
}

type matrixCell struct {
	Count   int
	Same    bool
	Opacity float64
}

// A heatPart is a picture of a matrix with names beside some of its rows and columns.
type heatPart struct {
	Picture       template.URL
	Alt           string
	Rows, Columns []heatLabel
	Ratio         float64 // width over height
}

// RowCharacters and ColumnCharacters return how many characters of the names have room.
func (h heatPart) RowCharacters() int    { return longest(h.Rows) }
func (h heatPart) ColumnCharacters() int { return longest(h.Columns) }

func longest(labels []heatLabel) (most int) {
	for _, l := range labels {
		most = max(most, len([]rune(l.Name)))
	}
	return min(most, 16)
}

// A heatLabel is a name, and where it stands, in percent of the side.
type heatLabel struct {
	Name string
	At   float64
}

// mostHeatLabels bounds the names beside a heat map.
const mostHeatLabels = 21

// heatLabels returns at most so many names at equal distances, those of the rows or columns
// that they stand beside.
func heatLabels(n, most int, name func(i int) string) (all []heatLabel) {
	step := 1
	for _, s := range []int{1, 2, 5, 10, 20, 25, 50} {
		if step = s; n <= step*most {
			break
		}
	}
	step = max(step, (n+most-1)/most)
	for i := 0; i < n; i += step {
		all = append(all, heatLabel{name(i), math.Round(1e4*(float64(i)+0.5)/float64(n)) / 100})
	}
	return all
}

// mostDenseClasses is up to how many classes the counts of a confusion matrix have room on
// a phone.
const mostDenseClasses = 12

// confusion fills in the confusion matrix and the pairs of classes that are confused most.
func (p *page) confusion(f files, c *confusion) error {
	paint := paintConfusion(c, p.order, p.className)
	if err := f.add(confusionFile, func() ([]byte, error) { return pictureOf(confusionSide, confusionSide, pictureMargin, paint) }); err != nil {
		return err
	}
	m := &matrixPart{Dense: c.Classes() > mostDenseClasses}
	p.Matrix, p.Pairs = m, p.confusedPairs(c)
	name := func(i int) string { return p.className(p.order[i]) }
	if c.Classes() > mostTableClasses {
		content, err := encode(confusionPicture(c, p.order))
		labels := heatLabels(c.Classes(), mostHeatLabels, name)
		m.Heat = &heatPart{pngURL(content), "confusion matrix of " + strconv.Itoa(c.Classes()) + " classes", labels, labels, 1}
		return err
	}
	for _, i := range p.order {
		row := matrixRow{Name: p.className(i)}
		m.Columns = append(m.Columns, row.Name)
		for _, j := range p.order {
			n := c.At(i, j)
			row.Cells = append(row.Cells, matrixCell{n, i == j, math.Round(100*cellShade(n, c.Support(i))) / 100})
		}
		m.Rows = append(m.Rows, row)
	}
	return nil
}

// A pairRow says how many rows of one class are predicted as another.
type pairRow struct {
	Actual, Predicted string
	Count             int
	Share             float64 // of the rows of Actual
}

// mostPairs bounds the pairs of confused classes that are listed.
const mostPairs = 10

// confusedPairs returns the pairs of classes that are confused most, by the number of rows.
func (p *page) confusedPairs(c *confusion) (rows []pairRow) {
	var pairs [][2]int
	for pair := range c.cells {
		if pair[0] != pair[1] {
			pairs = append(pairs, pair)
		}
	}
	slices.SortFunc(pairs, func(a, b [2]int) int {
		return cmp.Or(cmp.Compare(c.cells[b], c.cells[a]), cmp.Compare(a[0], b[0]), cmp.Compare(a[1], b[1]))
	})
	for _, pair := range pairs[:min(len(pairs), mostPairs)] {
		n := c.cells[pair]
		rows = append(rows, pairRow{p.className(pair[0]), p.className(pair[1]), n, ratio(n, c.Support(pair[0]))})
	}
	return rows
}

// A scoresPart is precision, recall and F1 of the classes.
type scoresPart struct {
	Accuracy float64
	Rows     []scoreRow
	Rest     []scoreRow // of all classes in their order, where Rows are the worst of them
	Macro    scoreRow
	Classes  int
}

type scoreRow struct {
	Name                  string
	Precision, Recall, F1 float64
	Support               int
}

const (
	mostWorst  = 20   // classes that are listed where there are too many for all
	mostScores = 1000 // classes whose scores are in the page at all
)

// scores fills in precision, recall and F1: of all classes in their order, or where there are
// too many of those with the lowest F1, and behind them all in their order.
func (p *page) scores(c *confusion) {
	s := &scoresPart{
		Accuracy: c.Accuracy(),
		Macro:    scoreRow{"macro average", c.Macro(c.Precision), c.Macro(c.Recall), c.Macro(c.F1), c.rows},
		Classes:  c.Classes(),
	}
	for _, k := range p.order {
		s.Rows = append(s.Rows, scoreRow{p.className(k), c.Precision(k), c.Recall(k), c.F1(k), c.Support(k)})
	}
	if len(s.Rows) > mostTableClasses {
		if len(s.Rows) <= mostScores {
			s.Rest = slices.Clone(s.Rows)
		}
		s.Rows = slices.DeleteFunc(s.Rows, func(r scoreRow) bool { return math.IsNaN(r.F1) })
		slices.SortStableFunc(s.Rows, func(a, b scoreRow) int { return cmp.Compare(a.F1, b.F1) })
		s.Rows = s.Rows[:min(mostWorst, len(s.Rows))]
	}
	p.Scores = s
}
