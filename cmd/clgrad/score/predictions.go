package score

import (
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"

	"clgrad/cmd/clgrad/text"
	"clgrad/network"
)

// Predictions are a network's outputs for rows.
type Predictions struct {
	Actual  []int32   // labels, nil where they are unknown
	Logits  []float64 // logits, rows×classes
	Classes int
	Names   []string // of the classes, nil where they are 0, 1, 2, …
	Files   []string // of which a row is each, nil where rows have no files of their own
	Top     int      // how many of the most probable classes to write
	All     bool     // write the probabilities of all classes
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
	probabilities := network.Softmax(p.Logits, p.Classes)
	for i, class := range network.Predicted(p.Logits, p.Classes) {
		if err := visit(i+1, class, probabilities[i*p.Classes:(i+1)*p.Classes]); err != nil {
			return err
		}
	}
	return nil
}

// top returns the most probable classes of a row, counted from 1, the first of equals first.
func (p Predictions) top(row, n int) []int {
	return MostProbable(p.Logits[(row-1)*p.Classes:row*p.Classes], n)
}

// MostProbable returns the n classes with the largest logits of a row, or all, the first of equals
// first.
func MostProbable(logits []float64, n int) []int {
	order := make([]int, len(logits))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int {
		switch {
		case logits[a] > logits[b]:
			return -1
		case logits[a] < logits[b]:
			return 1
		}
		return 0
	})
	return order[:min(n, len(order))]
}

func decimal(v float64) string { return strconv.FormatFloat(v, 'g', 6, 64) }

// WriteTable writes row, file where rows have one, predicted label, actual label where it is
// known, and the most probable classes and the probabilities if asked for, as CSV with a
// header.
func (p Predictions) WriteTable(w io.Writer) error {
	out := csv.NewWriter(w)
	header := []string{"row"}
	if p.Files != nil {
		header = append(header, "file")
	}
	header = append(header, "predicted")
	if p.Actual != nil {
		header = append(header, "actual")
	}
	for k := range p.Top {
		header = append(header, fmt.Sprintf("top%d", k+1), fmt.Sprintf("probability%d", k+1))
	}
	if p.All {
		for class := range p.Classes {
			header = append(header, "p_"+p.Name(class))
		}
	}
	out.Write(header)
	err := p.each(func(row, predicted int, probabilities []float64) error {
		record := []string{strconv.Itoa(row)}
		if p.Files != nil {
			record = append(record, p.Files[row-1])
		}
		record = append(record, p.Name(predicted))
		if p.Actual != nil {
			record = append(record, p.Name(int(p.Actual[row-1])))
		}
		if p.Top > 0 {
			for _, class := range p.top(row, p.Top) {
				record = append(record, p.Name(class), decimal(probabilities[class]))
			}
		}
		if p.All {
			for _, v := range probabilities {
				record = append(record, decimal(v))
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
	File          string           `json:"file,omitempty"`
	Predicted     string           `json:"predicted"`
	Actual        string           `json:"actual,omitempty"`
	Top           []ProbableClass  `json:"top,omitempty"`
	Probabilities []network.Number `json:"probabilities,omitempty"`
}

// A ProbableClass is a class and its probability.
type ProbableClass struct {
	Label       string         `json:"label"`
	Probability network.Number `json:"probability"`
}

// WriteLines writes a JSON object for each row.
func (p Predictions) WriteLines(w io.Writer) error {
	e := json.NewEncoder(w)
	return p.each(func(row, predicted int, probabilities []float64) error {
		line := PredictionLine{Row: row, Predicted: p.Name(predicted)}
		if p.Files != nil {
			line.File = p.Files[row-1]
		}
		if p.Actual != nil {
			line.Actual = p.Name(int(p.Actual[row-1]))
		}
		if p.Top > 0 {
			for _, class := range p.top(row, p.Top) {
				line.Top = append(line.Top, ProbableClass{p.Name(class), network.Number(probabilities[class])})
			}
		}
		if p.All {
			for _, v := range probabilities {
				line.Probabilities = append(line.Probabilities, network.Number(v))
			}
		}
		return e.Encode(line)
	})
}

// Draw draws what the network sees of each row, an image of the given shape, above its
// prediction, in so many columns. Larger images and colours are brought to what a terminal shows.
func (p Predictions) Draw(w io.Writer, s network.Samples, shape []int, columns int) error {
	if len(shape) != 2 && len(shape) != 3 || s.Features%(shape[0]*shape[1]) != 0 {
		return errors.New("nobody has said which shape the images have: give --shape, as in 28x28")
	}
	var captions [][]string
	if err := p.each(func(row, predicted int, probabilities []float64) error {
		name := fmt.Sprintf("row %d", row)
		if p.Files != nil {
			if name = p.Files[row-1]; len(name) > 14 {
				letters := []rune(name)
				name = "…" + string(letters[max(0, len(letters)-13):])
			}
		}
		captions = append(captions, []string{name, fmt.Sprintf("%.8s %s", p.Name(predicted), text.Percent(probabilities[predicted]))})
		return nil
	}); err != nil {
		return err
	}
	small, sides := drawable(s, shape)
	abreast := text.Abreast(sides, captions, columns)
	for first := 0; first < small.Rows; first += abreast {
		n := min(small.Rows-first, abreast)
		if _, err := fmt.Fprintln(w, text.Samples(small.Slice(first, n), sides, captions[first:first+n], columns)); err != nil {
			return err
		}
	}
	return nil
}

// drawable returns grey images with sides of at most text.Side pixels: means over channels
// and squares of pixels.
func drawable(s network.Samples, shape []int) (network.Samples, []int) {
	h, w := shape[0], shape[1]
	channels := s.Features / (h * w)
	step := (max(h, w) + text.Side - 1) / text.Side
	sides := []int{(h + step - 1) / step, (w + step - 1) / step}
	out := network.Samples{Rows: s.Rows, Features: sides[0] * sides[1], Floats: make([]float32, s.Rows*sides[0]*sides[1])}
	s.Scaling = network.Scaling{}
	rows, row, count := s.ScaledRows(), make([]float32, s.Features), make([]float32, out.Features)
	for i := range s.Rows {
		rows(i, row)
		to := out.Floats[i*out.Features : (i+1)*out.Features]
		clear(count)
		for j, v := range row {
			at := j/channels/w/step*sides[1] + j/channels%w/step
			to[at] += v
			count[at]++
		}
		for j := range to {
			to[j] /= count[j]
		}
	}
	return out, sides
}
