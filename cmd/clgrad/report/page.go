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
	pictures map[string][]byte // by name; nil where none are wanted
}

// add draws a picture, where pictures are wanted.
func (f files) add(name string, draw func() ([]byte, error)) (err error) {
	if f.pictures != nil {
		f.pictures[name], err = draw()
	}
	return err
}

//go:embed page.html
var pageText string

//go:embed page.css
var styleSheet template.CSS

var pageTemplate = template.Must(template.New("page").Funcs(template.FuncMap{
	"share": share, "percent": percent, "number": number,
	"style": func() template.CSS { return styleSheet },
}).Parse(pageText))

// A page is what the template shows.
type page struct {
	Run
	Charts   []chartPart
	Of       string // what the predictions are of
	Matrix   *matrixPart
	Pairs    []pairRow
	Scores   *scoresPart
	Sheets   []sheetPart
	Weights  *weightsPart
	Columns  *columnsPart
	Total    Kernel
	Versions []Figure

	order []int // of the classes as they are shown
}

type chartPart struct {
	ID, Heading string
	Over        string // what its horizontal axis is
	Words       string // what it shows, for those who do not see it
	SVG         template.HTML
	Legend      []legendPart
	Notes       []string
}

// A legendPart is a line of a legend; Look names classes of the style sheet.
type legendPart struct {
	Text, Look string
	Ring       bool
}

type weightsPart struct {
	Picture      template.URL
	Units, Shown int
	Columns      int
	Colours      bool // of red, green and blue weights
}

// render makes the files of a consistent run, with pictures or without.
func render(r Run, pictures bool) (files, error) {
	f := files{}
	if pictures {
		f.pictures = map[string][]byte{}
	}
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
		if err := p.chart(d, c.id, c.heading, "the iterations"); err != nil {
			return f, err
		}
		if err := f.add(c.file, func() ([]byte, error) { return pictureOf(chartWidth, d.height(), pictureMargin, d.draw) }); err != nil {
			return f, err
		}
	}
	for _, panel := range r.Panels {
		if d := newPanel(panel); d != nil {
			if err := p.chart(d, panel.ID, panel.Heading, panel.X); err != nil {
				return f, err
			}
		}
	}
	if r.Predictions != nil {
		if err := p.predictions(f, *r.Predictions); err != nil {
			return f, err
		}
	}
	if err := p.weights(f); err != nil {
		return f, err
	}
	p.kernels()
	var b bytes.Buffer
	if err := pageTemplate.Execute(&b, p); err != nil {
		return f, err
	}
	f.page = b.Bytes()
	return f, nil
}

// chart adds a chart to the page. over is what its horizontal axis is.
func (p *page) chart(d *drawing, id, heading, over string) error {
	svg, err := inline(chartWidth, chartHeight, d.drawPlot)
	part := chartPart{ID: id, Heading: heading, Over: over, Words: d.words(), SVG: template.HTML(svg), Notes: d.notes}
	for _, e := range d.entries {
		part.Legend = append(part.Legend, legendPart{e.text, e.look(), e.ring != nil})
	}
	p.Charts = append(p.Charts, part)
	return err
}

// kernels sorts the operations by their time.
func (p *page) kernels() {
	p.Kernels = slices.Clone(p.Kernels)
	slices.SortStableFunc(p.Kernels, func(a, b Kernel) int { return cmp.Compare(b.Milliseconds, a.Milliseconds) })
	for _, k := range p.Kernels {
		p.Total.Launches += k.Launches
		p.Total.Milliseconds += k.Milliseconds
	}
}

// pictureMargin surrounds charts in files, in points.
const pictureMargin = vg.Length(8)

// className returns the name of class k.
func (r Run) className(k int) string {
	if r.Classes == nil {
		return strconv.Itoa(k)
	}
	return r.Classes[k]
}

// pngURL returns a PNG file as the address of a picture.
func pngURL(content []byte) template.URL {
	return template.URL("data:image/png;base64," + base64.StdEncoding.EncodeToString(content))
}

// weights fills in the pictures of the first layer.
func (p *page) weights(f files) error {
	height, width, channels, images := sampleShape(p.Shape)
	if !images || len(p.FirstLayer) == 0 {
		return nil
	}
	units := len(p.FirstLayer) / (height * width * channels)
	shown := min(units, mostUnits)
	picture := func(scale int) ([]byte, error) {
		return encode(weightsPicture(p.FirstLayer, height, width, channels, units, shown, scale))
	}
	small, err := picture(1)
	if err != nil {
		return err
	}
	p.Weights = &weightsPart{pngURL(small), units, shown, tileColumns(shown), channels == 3}
	return f.add(weightsFile, func() ([]byte, error) { return picture(max(1, 84/max(height, width))) })
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

// LongNames reports whether names of classes have no room above the columns of a confusion
// matrix, unless they are turned.
func (p page) LongNames() bool {
	return p.Matrix != nil && slices.ContainsFunc(p.Matrix.Columns, func(name string) bool { return len([]rune(name)) > 3 })
}

// Portion returns the share of a kernel in the time of all.
func (p page) Portion(k Kernel) float64 { return k.Milliseconds / p.Total.Milliseconds }

// Bar returns the length of a kernel's bar in percent, that of the longest being 100.
func (p page) Bar(k Kernel) float64 {
	if longest := p.Kernels[0].Milliseconds; longest > 0 {
		return math.Round(1000*k.Milliseconds/longest) / 10
	}
	return 0
}

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
