package report

import (
	"bytes"
	"cmp"
	_ "embed"
	"encoding/base64"
	"fmt"
	"html/template"
	"math"
	"runtime/debug"
	"slices"
	"strconv"

	"gonum.org/v1/plot/vg"

	"clgrad/cmd/clgrad/text"
	"clgrad/network"
)

// The names of the pictures.
const (
	lossFile      = "loss.png"
	accuracyFile  = "accuracy.png"
	confusionFile = "confusion.png"
	mistakesFile  = "mistakes.png"
	samplesFile   = "samples.png"
	weightsFile   = "weights.png"
)

var pictureNames = []string{lossFile, accuracyFile, confusionFile, mistakesFile, samplesFile, weightsFile}

// files are the contents of what Write writes.
type files struct {
	page     []byte
	pictures map[string][]byte // by name
}

//go:embed page.html
var pageText string

var pageTemplate = template.Must(template.New("page").Funcs(template.FuncMap{
	"share": share, "percent": percent, "number": number,
}).Parse(pageText))

// A page is what the template shows.
type page struct {
	Run
	Charts    []chartPart
	Of        string // what the predictions are of
	Confusion *confusionPart
	Scores    *scoresPart
	Sheets    []sheetPart
	Weights   *weightsPart
	Total     Kernel
	Versions  []Figure
}

type chartPart struct {
	ID, Heading string
	Over        string // what its horizontal axis is
	SVG         template.HTML
	Notes       []string
}

type confusionPart struct {
	Names []string // of the columns
	Rows  []confusionRow
	SVG   template.HTML // in place of the rows
}

type confusionRow struct {
	Name  string
	Cells []confusionCell
}

type confusionCell struct {
	Count   int
	Same    bool
	Opacity float64
}

type scoresPart struct {
	Accuracy float64
	Rows     []scoreRow
	Macro    scoreRow
	Classes  int // of which Rows has some
}

type scoreRow struct {
	Name                  string
	Precision, Recall, F1 float64
	Support               int
}

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

type weightsPart struct {
	Picture      template.URL
	Units, Shown int
	Columns      int
}

// render makes the files of a consistent run.
func render(r Run) (files, error) {
	f := files{pictures: map[string][]byte{}}
	p := page{Run: r, Versions: versions()}
	for _, c := range []struct {
		Chart
		scale
		id, heading, file string
	}{
		{r.Loss, lossScale, "loss", "Loss", lossFile},
		{r.Accuracy, accuracyScale, "accuracy", "Accuracy", accuracyFile},
	} {
		d := newDrawing(c.Chart, c.scale)
		if d == nil {
			// No point, but perhaps a word on why.
			if notes := c.emptyNotes(); len(notes) > 0 {
				p.Charts = append(p.Charts, chartPart{ID: c.id, Heading: c.heading, Notes: notes})
			}
			continue
		}
		svg, err := inline(chartWidth, d.height(), d.draw)
		if err != nil {
			return f, err
		}
		p.Charts = append(p.Charts, chartPart{c.id, c.heading, "the iterations", template.HTML(svg), d.notes})
		if f.pictures[c.file], err = pictureOf(chartWidth, d.height(), pictureMargin, d.draw); err != nil {
			return f, err
		}
	}
	for _, panel := range r.Panels {
		d := newPanel(panel)
		if d == nil {
			continue
		}
		svg, err := inline(chartWidth, d.height(), d.draw)
		if err != nil {
			return f, err
		}
		p.Charts = append(p.Charts, chartPart{panel.ID, panel.Heading, panel.X, template.HTML(svg), d.notes})
	}
	if r.Predictions != nil {
		if err := p.predictions(f, *r.Predictions); err != nil {
			return f, err
		}
	}
	if err := p.weights(f); err != nil {
		return f, err
	}
	for _, k := range r.Kernels {
		p.Total.Launches += k.Launches
		p.Total.Milliseconds += k.Milliseconds
	}
	var b bytes.Buffer
	if err := pageTemplate.Execute(&b, p); err != nil {
		return f, err
	}
	f.page = b.Bytes()
	return f, nil
}

// pictureMargin surrounds charts in files, in points.
const pictureMargin = vg.Length(8)

// predictions fills in what is made of a network's outputs.
func (p *page) predictions(f files, o Predictions) error {
	classes := o.classes()
	predicted := network.Predicted(o.Logits, classes)
	confidence := make([]float64, len(predicted))
	for i, probabilities := 0, network.Softmax(o.Logits, classes); i < len(predicted); i++ {
		confidence[i] = probabilities[i*classes+predicted[i]]
	}
	p.Of = cmp.Or(o.Of, "test set")

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
	return nil
}

// className returns the name of class k.
func (r Run) className(k int) string {
	if r.Classes == nil {
		return strconv.Itoa(k)
	}
	return r.Classes[k]
}

// mostColumns bounds the features that a table of samples shows.
const mostColumns = 12

// sheet returns rows of samples with their predictions.
func (p *page) sheet(f files, o Predictions, file string, rows, predicted []int, confidence []float64) (sheetPart, error) {
	var s sheetPart
	height, width, images := imageShape(p.Shape)
	if !images {
		n := min(mostColumns, o.Samples.Features)
		s.Left = o.Samples.Features - n
		for j := range n {
			if p.Features != nil {
				s.Features = append(s.Features, p.Features[j])
			} else {
				s.Features = append(s.Features, strconv.Itoa(j+1))
			}
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
			picture := samplePicture(o.Samples, i, height, width)
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
					part.Values = append(part.Values, number(float64(o.Samples.FloatRow(i)[j])))
				}
			}
		}
		s.Samples = append(s.Samples, part)
	}
	if !images {
		return s, nil
	}
	var err error
	f.pictures[file], err = tileSheet(tiles)
	return s, err
}

// pngURL returns a PNG file as the address of a picture.
func pngURL(content []byte) template.URL {
	return template.URL("data:image/png;base64," + base64.StdEncoding.EncodeToString(content))
}

// confusion fills in the confusion matrix.
func (p *page) confusion(f files, c *confusion) error {
	paint := paintConfusion(c, p.className)
	var err error
	if f.pictures[confusionFile], err = pictureOf(confusionSide, confusionSide, pictureMargin, paint); err != nil {
		return err
	}
	p.Confusion = &confusionPart{}
	if c.Classes() > mostTableClasses {
		svg, err := inline(confusionSide, confusionSide, paint)
		p.Confusion.SVG = template.HTML(svg)
		return err
	}
	for i := range c.Classes() {
		p.Confusion.Names = append(p.Confusion.Names, p.className(i))
		row := confusionRow{Name: p.className(i)}
		for j := range c.Classes() {
			n := c.At(i, j)
			row.Cells = append(row.Cells, confusionCell{n, i == j, math.Round(100*cellShade(n, c.Support(i))) / 100})
		}
		p.Confusion.Rows = append(p.Confusion.Rows, row)
	}
	return nil
}

// mostScores bounds the classes whose scores are listed.
const mostScores = 100

// scores fills in precision, recall and F1: of all classes in their order, or of
// those with the lowest F1 where there are too many.
func (p *page) scores(c *confusion) {
	s := &scoresPart{
		Accuracy: c.Accuracy(),
		Macro:    scoreRow{"macro average", c.Macro(c.Precision), c.Macro(c.Recall), c.Macro(c.F1), c.rows},
		Classes:  c.Classes(),
	}
	for k := range c.Classes() {
		s.Rows = append(s.Rows, scoreRow{p.className(k), c.Precision(k), c.Recall(k), c.F1(k), c.Support(k)})
	}
	if len(s.Rows) > mostScores {
		s.Rows = slices.DeleteFunc(s.Rows, func(r scoreRow) bool { return math.IsNaN(r.F1) })
		slices.SortStableFunc(s.Rows, func(a, b scoreRow) int { return cmp.Compare(a.F1, b.F1) })
		s.Rows = s.Rows[:min(mostScores, len(s.Rows))]
	}
	p.Scores = s
}

// weights fills in the pictures of the first layer.
func (p *page) weights(f files) error {
	height, width, images := imageShape(p.Shape)
	if !images || len(p.FirstLayer) == 0 {
		return nil
	}
	units := len(p.FirstLayer) / (height * width)
	shown := min(units, mostUnits)
	picture := func(scale int) ([]byte, error) {
		return encode(weightsPicture(p.FirstLayer, height, width, units, shown, scale))
	}
	small, err := picture(1)
	if err != nil {
		return err
	}
	p.Weights = &weightsPart{pngURL(small), units, shown, tileColumns(shown)}
	f.pictures[weightsFile], err = picture(max(1, 84/max(height, width)))
	return err
}

// versions returns what the program was built of, as far as it knows.
func versions() []Figure {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return nil
	}
	all := []Figure{{"Go", info.GoVersion}}
	settings := map[string]string{}
	for _, s := range info.Settings {
		settings[s.Key] = s.Value
	}
	if revision := settings["vcs.revision"]; revision != "" {
		if settings["vcs.modified"] == "true" {
			revision += ", modified"
		}
		all = append(all, Figure{"clgrad revision", revision})
	}
	return all
}

// Portion returns the share of a kernel in the time of all.
func (p page) Portion(k Kernel) float64 { return k.Milliseconds / p.Total.Milliseconds }

// emptyNotes says why a chart that has curves shows none.
func (c Chart) emptyNotes() []string {
	var notes []string
	for _, curve := range c.Curves {
		if n := len(curve.Values); n > 0 {
			notes = append(notes, fmt.Sprintf("%s: none of %d values is finite.", curve.Name, n))
		}
	}
	return notes
}

// undefined stands for a number that there is none of.
const undefined = "–"

// share writes a share as 0.987.
func share(v float64) string {
	if math.IsNaN(v) {
		return undefined
	}
	return strconv.FormatFloat(v, 'f', 3, 64)
}

// percent writes a share as 98.70 %.
func percent(v float64) string {
	if math.IsNaN(v) {
		return undefined
	}
	return text.Percent(v)
}

// number writes a number in at most four digits.
func number(v float64) string { return strconv.FormatFloat(v, 'g', 4, 64) }
