package backendtest

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"text/tabwriter"

	"clgrad/network"
)

// A Report says how a backend did.
type Report struct {
	Info       network.Info `json:"info"`
	Quick      bool         `json:"quick"` // small shapes only
	Operations []Operation  `json:"operations"`
	Seconds    float64      `json:"seconds"`
}

// An Operation is the part of a Report about one family of operations. The
// statistics are those of the ratio error/bound over all elements that a bound
// judges: 0 is exact, up to 1 passes.
type Operation struct {
	Operation string         `json:"operation"`
	Cases     int            `json:"cases"`
	Elements  int            `json:"elements"`       // judged by a bound
	Exact     int            `json:"exact_elements"` // judged by equality
	Average   network.Number `json:"average"`
	P90       network.Number `json:"p90"`
	P99       network.Number `json:"p99"`
	Max       network.Number `json:"max"`
	Naive     network.Number `json:"naive"` // largest ratio of an error to that of the naive kernel; up to 4 passes, 0 if not compared
	Passed    bool           `json:"passed"`
	Failures  []Failure      `json:"failures"`
	Seconds   float64        `json:"seconds"`

	// Absent says what the backend lacks where the family is about an ability that it does
	// not have. There is nothing to judge then.
	Absent string `json:"absent,omitempty"`
}

// A Failure is one gate that one case did not pass. Element, Got, Want and
// Ratio describe the worst element where the gate judges elements.
type Failure struct {
	Operation string         `json:"operation"`
	Shape     string         `json:"shape"` // shape and kind of the case
	Gate      string         `json:"gate"`
	Element   string         `json:"element,omitempty"`
	Got       network.Number `json:"got"`
	Want      network.Number `json:"want"`
	Ratio     network.Number `json:"ratio"` // error/bound
	Detail    string         `json:"detail"`
}

// Error returns the failure in one line.
func (f Failure) Error() string {
	parts := []string{f.Operation}
	if f.Shape != "" {
		parts[0] += " " + f.Shape
	}
	return strings.ReplaceAll(strings.Join(append(parts, f.Gate, f.Detail), ": "), "\n", "; ")
}

// Passed reports whether every operation passed.
func (r Report) Passed() bool {
	return !slices.ContainsFunc(r.Operations, func(o Operation) bool { return !o.Passed })
}

// String returns the report as a table, one line an operation.
func (r Report) String() string {
	var text strings.Builder
	text.WriteString(r.Head())
	columns, rows := r.Table()
	w := tabwriter.NewWriter(&text, 0, 0, 2, ' ', tabwriter.AlignRight)
	for _, row := range append([][]string{columns}, rows...) {
		fmt.Fprintln(w, strings.Join(row, "\t")+"\t")
	}
	w.Flush()
	return text.String()
}

// Head returns what the report is about, in a line or two.
func (r Report) Head() string {
	head := fmt.Sprintf("%s: %s (%s), u = 2^%.0f\n", r.Info.Backend, r.Info.Device, r.Info.Driver, math.Log2(r.Info.Roundoff))
	if d := r.Info.OperandRoundoff; d > 0 {
		head += fmt.Sprintf("operands of products: u = 2^%.0f\n", math.Log2(d))
	}
	return head
}

// Table returns the columns and rows of the report's table, a row for each family of operations.
func (r Report) Table() (columns []string, rows [][]string) {
	columns = []string{"operation", "cases", "exact", "bounded", "average", "90 %", "99 %", "max", "× naive", "seconds", "result"}
	for _, o := range r.Operations {
		result := "ok"
		switch {
		case !o.Passed:
			result = fmt.Sprintf("%d FAILED", len(o.Failures))
		case o.Absent != "":
			result = o.Absent
		}
		row := []string{o.Operation, fmt.Sprint(o.Cases), fmt.Sprint(o.Exact), fmt.Sprint(o.Elements)}
		for _, ratio := range []network.Number{o.Average, o.P90, o.P99, o.Max, o.Naive} {
			row = append(row, fmt.Sprintf("%.2g", float64(ratio)))
		}
		rows = append(rows, append(row, fmt.Sprintf("%.1f", o.Seconds), result))
	}
	return columns, rows
}

// statistics fills in the average, quantiles and maximum of the ratios, which
// it sorts. The q-quantile is the least ratio that a part q of all do not
// exceed.
func (o *Operation) statistics(ratios []float32) {
	o.Elements = len(ratios)
	if len(ratios) == 0 {
		return
	}
	slices.Sort(ratios)
	sum := 0.0
	for _, r := range ratios {
		sum += float64(r)
	}
	quantile := func(q float64) network.Number {
		return network.Number(ratios[max(0, int(math.Ceil(q*float64(len(ratios))))-1)])
	}
	o.Average = network.Number(sum / float64(len(ratios)))
	o.P90, o.P99, o.Max = quantile(0.90), quantile(0.99), quantile(1)
}
