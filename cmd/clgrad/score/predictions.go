package score

import (
	"encoding/csv"
	"encoding/json"
	"io"
	"strconv"

	"clgrad/cmd/clgrad/report"
	"clgrad/network"
)

// Predictions are a network's outputs for rows.
type Predictions struct {
	Actual  []int32   // labels, nil where they are unknown
	Logits  []float64 // logits, rows×classes
	Classes int
	Names   []string // of the classes, nil where they are 0, 1, 2, …
}

// Name returns what a class is called.
func (p Predictions) Name(class int) string {
	if class < len(p.Names) {
		return p.Names[class]
	}
	return strconv.Itoa(class)
}

// each visits all rows, counted from 1.
func (p Predictions) each(visit func(row, predicted int, probabilities []float64) error) error {
	probabilities := report.Softmax(p.Logits, p.Classes)
	for i, class := range report.Predicted(p.Logits, p.Classes) {
		if err := visit(i+1, class, probabilities[i*p.Classes:(i+1)*p.Classes]); err != nil {
			return err
		}
	}
	return nil
}

// WriteTable writes row, predicted label, actual label where it is known, and
// the probabilities if asked for, as CSV with a header.
func (p Predictions) WriteTable(w io.Writer, withProbabilities bool) error {
	out := csv.NewWriter(w)
	header := []string{"row", "predicted"}
	if p.Actual != nil {
		header = append(header, "actual")
	}
	if withProbabilities {
		for class := range p.Classes {
			header = append(header, "p_"+p.Name(class))
		}
	}
	out.Write(header)
	err := p.each(func(row, predicted int, probabilities []float64) error {
		record := []string{strconv.Itoa(row), p.Name(predicted)}
		if p.Actual != nil {
			record = append(record, p.Name(int(p.Actual[row-1])))
		}
		if withProbabilities {
			for _, v := range probabilities {
				record = append(record, strconv.FormatFloat(v, 'g', 6, 64))
			}
		}
		return out.Write(record)
	})
	if err != nil {
		return err
	}
	out.Flush()
	return out.Error()
}

// WriteKaggle writes ImageId,Label.
func (p Predictions) WriteKaggle(w io.Writer) error {
	out := csv.NewWriter(w)
	out.Write([]string{"ImageId", "Label"})
	err := p.each(func(row, predicted int, _ []float64) error {
		return out.Write([]string{strconv.Itoa(row), p.Name(predicted)})
	})
	if err != nil {
		return err
	}
	out.Flush()
	return out.Error()
}

// PredictionLine is one row of --json.
type PredictionLine struct {
	Row           int              `json:"row"`
	Predicted     string           `json:"predicted"`
	Actual        string           `json:"actual,omitempty"`
	Probabilities []network.Number `json:"probabilities,omitempty"`
}

// WriteLines writes a JSON object for each row.
func (p Predictions) WriteLines(w io.Writer, withProbabilities bool) error {
	e := json.NewEncoder(w)
	return p.each(func(row, predicted int, probabilities []float64) error {
		line := PredictionLine{Row: row, Predicted: p.Name(predicted)}
		if p.Actual != nil {
			line.Actual = p.Name(int(p.Actual[row-1]))
		}
		if withProbabilities {
			for _, v := range probabilities {
				line.Probabilities = append(line.Probabilities, network.Number(v))
			}
		}
		return e.Encode(line)
	})
}
