package report

import (
	"cmp"
	"html/template"
	"slices"
	"strconv"

	"clgrad/network"
)

// A sheetPart is samples with their predictions: pictures, or rows of features.
type sheetPart struct {
	ID, Heading string
	Samples     []samplePart
	Features    []string // the columns of a table
	Left        int      // features that the table has no column for
}

type samplePart struct {
	Picture           template.URL
	Row               int // counted from 1
	Actual, Predicted string
	Known, Right      bool // the actual class is known, and is what was predicted
	Confidence        float64
	Values            []string
}

// predictions fills in what is made of a network's outputs.
func (p *page) predictions(f files, o Predictions) error {
	classes := o.classes()
	predicted := network.Predicted(o.Logits, classes)
	confidence := make([]float64, len(predicted))
	for i, probabilities := 0, network.Softmax(o.Logits, classes); i < len(predicted); i++ {
		confidence[i] = probabilities[i*classes+predicted[i]]
	}
	p.Of, p.order = cmp.Or(o.Of, "test set"), displayOrder(p.Classes, classes)

	const most = 20 // samples of a sheet
	var rows []int
	n := min(most, o.Samples.Rows)
	for i := range n {
		rows = append(rows, i*o.Samples.Rows/n)
	}
	sheets := []struct {
		id, heading, file string
		rows              []int
	}{{"samples", "Samples and their predictions", samplesFile, rows}}
	if o.Samples.Labels != nil {
		c, err := newConfusion(o.Samples.Labels, predicted, classes)
		if err != nil {
			return err
		}
		p.scores(c)
		if err := p.confusion(f, c); err != nil {
			return err
		}
		if wrong := confidentMistakes(o.Samples.Labels, predicted, confidence, most); len(wrong) > 0 {
			sheets = slices.Insert(sheets, 0, sheets[0])
			sheets[0].id, sheets[0].heading, sheets[0].file, sheets[0].rows = "mistakes", "The most confident mistakes", mistakesFile, wrong
		}
	}
	for _, s := range sheets {
		sheet, err := p.sheet(f, o, s.file, s.rows, predicted, confidence)
		if err != nil {
			return err
		}
		sheet.ID, sheet.Heading = s.id, s.heading
		p.Sheets = append(p.Sheets, sheet)
	}
	if len(dimensions(p.Shape)) > 1 {
		return nil
	}
	return p.columns(o.Samples)
}

// mostColumns bounds the features that a table of samples shows.
const mostColumns = 12

// sheet returns rows of samples with their predictions.
func (p *page) sheet(f files, o Predictions, file string, rows, predicted []int, confidence []float64) (sheetPart, error) {
	var s sheetPart
	_, _, _, images := sampleShape(p.Shape)
	if !images {
		n := min(mostColumns, o.Samples.Features)
		s.Left = o.Samples.Features - n
		for j := range n {
			s.Features = append(s.Features, p.columnName(j))
		}
	}
	var tiles []tile
	for _, i := range rows {
		part := samplePart{Row: i + 1, Predicted: p.className(predicted[i]), Confidence: confidence[i]}
		lines := []string{"predicted " + part.Predicted, percent(part.Confidence)}
		if o.Samples.Labels != nil {
			y := int(o.Samples.Labels[i])
			part.Known, part.Actual, part.Right = true, p.className(y), y == predicted[i]
			lines = append([]string{"actual " + part.Actual}, lines...)
		}
		if images {
			picture, _ := SamplePicture(o.Samples, i, p.Shape)
			content, err := encode(picture)
			if err != nil {
				return s, err
			}
			part.Picture = pngURL(content)
			tiles = append(tiles, tile{picture, lines})
		} else {
			for j := range s.Features {
				if o.Samples.Bytes != nil {
					part.Values = append(part.Values, strconv.Itoa(int(o.Samples.Row(i)[j])))
				} else {
					v := float64(o.Samples.FloatRow(i)[j])
					if p.Offsets != nil {
						v += p.Offsets[j]
					}
					part.Values = append(part.Values, number(v))
				}
			}
		}
		s.Samples = append(s.Samples, part)
	}
	if !images {
		return s, nil
	}
	return s, f.add(file, func() ([]byte, error) { return tileSheet(tiles) })
}
