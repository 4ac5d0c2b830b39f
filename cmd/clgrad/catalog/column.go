package catalog

import (
	"cmp"
	"fmt"
	"math"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"clgrad/cmd/clgrad/run"
	"clgrad/cmd/clgrad/text"
	"clgrad/network"
)

// A Column is one of the list, and what runs are sorted and chosen by.
type Column struct {
	Name string
	Help string
	// text is what the column compares as text, "" where it is unknown. A column of numbers
	// has number in its place.
	text   func(r Run) string
	number func(r Run) float64
	show   func(r Run) string              // what the table has, where it is not text
	parse  func(s string) (float64, error) // a number as a user writes it
	// highest says that the highest number comes first in a list sorted by the column.
	highest bool
}

// beganLayout is how the list writes when a run began.
const beganLayout = "2006-01-02 15:04"

// pathColumn is the first column.
const pathColumn = "run"

// Columns are all columns, in the order of the table.
var Columns = []Column{
	{Name: pathColumn, Help: "the directory", text: func(r Run) string { return filepath.ToSlash(r.Path) }, show: func(r Run) string { return r.Path }},
	{Name: "began", Help: "when it began: the time of its oldest file", highest: true,
		number: func(r Run) float64 { return float64(r.Began.UnixMilli()) / 1000 },
		show:   func(r Run) string { return r.Began.Local().Format(beganLayout) }, parse: parseTime},
	{Name: "state", Help: "finished, running, interrupted or damaged", text: func(r Run) string { return string(r.State) }, show: Run.stateWords},
	{Name: "data", Help: "the data set", text: func(r Run) string { return r.Data }},
	{Name: "network", Help: "inputs, hidden layers and classes, as in 784-128-10", text: Run.networkText},
	{Name: "optimizer", Help: "the optimizer", text: func(r Run) string { return r.Optimizer }},
	figure("lr", "the learning rate", false, func(r Run) network.Number { return r.LR }, shortest),
	{Name: "batch", Help: "rows of a batch, empty for all", number: func(r Run) float64 { return count(r.BatchSize) },
		show: func(r Run) string { return countText(r.BatchSize) }},
	{Name: "iterations", Help: "iterations that are done", number: func(r Run) float64 { return float64(r.Iterations) },
		show: func(r Run) string { return strconv.Itoa(r.Iterations) }, highest: true},
	figure("epochs", "epochs that are done", true, func(r Run) network.Number { return r.Epochs }, twoDecimals),
	figure("test", "accuracy on the test set", true, func(r Run) network.Number { return r.TestAccuracy }, text.Percent),
	figure("validation", "the best accuracy on the validation set", true, func(r Run) network.Number { return r.BestValidation }, text.Percent),
	figure("train", "accuracy on the training set", true, func(r Run) network.Number { return r.TrainAccuracy }, text.Percent),
	figure("loss", "loss on the training set", false, func(r Run) network.Number { return r.Loss }, fourDecimals),
	figure("seconds", "time of the descent, in seconds", false, func(r Run) network.Number { return r.Seconds }, threeDigits),
	{Name: "backend", Help: "what computed, as --backend names it", text: Run.backendText},
	{Name: "device", Help: "its name", text: func(r Run) string { return r.Device }},
	{Name: "recipe", Help: "the recipe", text: func(r Run) string { return r.Recipe }},
}

// importance has the columns that a narrow screen keeps longest first.
var importance = []string{pathColumn, "state", "test", "data", "network", "optimizer", "began", "validation", "iterations", "loss",
	"lr", "batch", "seconds", "train", "backend", "epochs", "device", "recipe"}

// figure returns a column of numbers, some of which are not known.
func figure(name, help string, highest bool, value func(r Run) network.Number, write func(float64) string) Column {
	show := func(r Run) string { return written(float64(value(r)), write) }
	return Column{Name: name, Help: help, number: of(value), show: show, highest: highest}
}

// of returns the value of a column of numbers.
func of(value func(r Run) network.Number) func(Run) float64 {
	return func(r Run) float64 { return float64(value(r)) }
}

// written writes a number, "" where it is not known.
func written(v float64, write func(float64) string) string {
	if math.IsNaN(v) {
		return ""
	}
	return write(v)
}

func shortest(v float64) string     { return strconv.FormatFloat(v, 'g', -1, 64) }
func fourDecimals(v float64) string { return strconv.FormatFloat(v, 'f', 4, 64) }

// twoDecimals writes a number with at most two decimals.
func twoDecimals(v float64) string { return shortest(math.Round(100*v) / 100) }

// threeDigits writes a number with three digits or more, without an exponent.
func threeDigits(v float64) string {
	if v <= 0 || v >= 100 {
		return strconv.FormatFloat(v, 'f', 0, 64)
	}
	return strconv.FormatFloat(v, 'f', min(6, 2-int(math.Floor(math.Log10(v)))), 64)
}

func count(n *int) float64 {
	if n == nil {
		return math.NaN()
	}
	return float64(*n)
}

func countText(n *int) string { return written(count(n), shortest) }

// stateWords says how a run stands, and where it is.
func (r Run) stateWords() string {
	if r.State != run.Running && r.State != run.Interrupted {
		return string(r.State)
	}
	words := fmt.Sprintf("%s at %d", r.State, r.Iterations)
	if r.Asked != nil {
		words += fmt.Sprintf(" of %d", *r.Asked)
	}
	return words
}

// networkText writes the sizes of the layers. Before there is a checkpoint only those of hidden
// layers are known.
func (r Run) networkText() string {
	c := r.inspection.Recipe
	switch {
	case r.Network != nil || c == nil:
		return text.Sizes(r.Network)
	case len(c.Layers) == 0:
		return "?-?"
	}
	return "?-" + text.Sizes(c.Layers) + "-?"
}

// backendText names the backend, and the number of processes that have one each.
func (r Run) backendText() string {
	if r.Ranks == nil {
		return r.Backend
	}
	return fmt.Sprintf("%s, %d ranks", r.Backend, *r.Ranks)
}

// ColumnsHelp describes the columns, a line each, and which of them a narrow screen keeps.
func ColumnsHelp() string {
	var b strings.Builder
	for _, c := range Columns {
		fmt.Fprintf(&b, "  %-11s %s\n", c.Name, c.Help)
	}
	fmt.Fprintf(&b, "\nA terminal that is too narrow for all of them shows those that fit, chosen in this order: %s.", strings.Join(importance, ", "))
	return b.String()
}

// FindColumn returns the column of a name.
func FindColumn(name string) (Column, error) {
	i := slices.IndexFunc(Columns, func(c Column) bool { return c.Name == strings.ToLower(name) })
	if i < 0 {
		all := ColumnNames()
		return Column{}, fmt.Errorf("column %.80q is unknown: one of %s is expected%s", name, strings.Join(all, ", "), text.Suggest(name, all...))
	}
	return Columns[i], nil
}

// ColumnNames returns the names of the columns, in the order of the table.
func ColumnNames() (all []string) {
	for _, c := range Columns {
		all = append(all, c.Name)
	}
	return all
}

// cell returns what a table has for a run.
func (c Column) cell(r Run) string {
	if c.show != nil {
		return c.show(r)
	}
	return c.text(r)
}

// known reports whether a run has a value.
func (c Column) known(r Run) bool {
	if c.number != nil {
		return !math.IsNaN(c.number(r))
	}
	return c.text(r) != ""
}

// Sort sorts runs by a column: accuracies, times of beginning and numbers of iterations from the
// highest, all else from the lowest, or the other way. Runs without a value come last, and
// equal ones stay as they are.
func Sort(runs []Run, by Column, reverse bool) {
	slices.SortStableFunc(runs, func(a, b Run) int {
		switch knownA, knownB := by.known(a), by.known(b); {
		case !knownA && !knownB:
			return 0
		case !knownA:
			return 1
		case !knownB:
			return -1
		}
		order := 0
		if by.number != nil {
			order = cmp.Compare(by.number(a), by.number(b))
		} else {
			order = cmp.Compare(by.text(a), by.text(b))
		}
		if by.highest != reverse {
			return -order
		}
		return order
	})
}
