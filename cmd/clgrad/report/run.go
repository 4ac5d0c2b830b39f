package report

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"clgrad/network"
	"clgrad/network/durable"
)

// The files that Write makes in its directory.
const (
	FileName    = "report.html"
	PicturesDir = "pictures"
)

// A Run is everything that a report shows. The zero value of a field leaves out
// what it is about.
type Run struct {
	Title    string   // what ran, and when
	Subtitle string   // one line: on what, for how long
	Status   *Status  // of a run that has not ended well, nil of one that has
	Results  []Figure // the headline, what matters most first
	Remarks  []string // paragraphs below the headline
	Notes    []string // paragraphs

	Loss     Chart // values are mean losses in nats
	Accuracy Chart // values are shares of correct rows, 0 to 1

	Panels []Panel // further charts, over other axes
	Tables []Table

	Shape       []int        // of a sample's features: [28 28] are images of 28 rows and columns
	Features    []string     // names of the features, nil where they are numbered from 1
	Offsets     []float64    // of the features, which the samples are without; nil for 0
	Classes     []string     // names of the classes, nil where they are 0, 1, 2, …
	Predictions *Predictions // of a trained network, on samples it was not trained on

	// FirstLayer is the W of the first layer, n×p without padding: weight (i, j)
	// of input i and unit j stands at i·p + j, n being the product of Shape. It
	// is shown as images where Shape is that of one, otherwise by columns.
	FirstLayer []float64

	Kernels   []Kernel // where the time of an iteration goes
	KernelsOf string   // what it is the time of, "" for an iteration
	Figures   []Figure // what else was measured

	Settings []Figure // device, driver, layers, preprocessing, seed, …
	Command  string   // the command line
	Config   string   // the configuration, as its file has it

	Files []File   // of the run, beside the page
	Next  []Figure // command lines to copy, by what they do
}

// A Status says that a run has not come to its end.
type Status struct {
	Short string // "interrupted", for the title
	Text  string // a sentence: "Interrupted at iteration 30 of 100."
	Next  string // the command line that goes on, "" for none
	// Refresh is after how many seconds a page is to be loaded again, 0 for never: that of a
	// run that is under way.
	Refresh int
}

// A File is one that the page refers to.
type File struct {
	Path string // from the directory of the page, with slashes
	What string // it holds
}

// A Table is rows of cells, written as they are to be read.
type Table struct {
	ID, Heading string
	Columns     []string
	Rows        [][]string
	Text        bool // all cells are text, otherwise those of the first column
	Note        string
}

// A Figure is a name and a value, written as it is to be read.
type Figure struct{ Name, Value string }

// A Chart is curves over the iterations of a run.
type Chart struct {
	Curves     []Curve
	References []Curve // from elsewhere, as of a recipe's document: compared with the first of Curves, see Compare
	Markers    []Marker
	Best       string // the name of a curve whose best value is marked: the lowest loss, the highest accuracy
	// Epoch is the iterations of an epoch, where the axis counts epochs.
	Epoch int
}

// A Curve is values at iterations. Values that are not finite are left out of
// charts, which say so.
type Curve struct {
	Name       string
	Iterations []int // rising, from 0 or 1
	Values     []float64
}

// A Marker is an iteration worth a line in a chart.
type Marker struct {
	Iteration int
	Text      string // "85 % at iteration 240"
}

// Predictions are a network's outputs for samples. Labels of the samples may be
// missing; then nothing is shown that needs them.
type Predictions struct {
	Of      string          // "test set"
	Samples network.Samples // raw: the scaling is not applied to what is shown
	Logits  []float64       // outputs before softmax, row-major, Rows×classes
}

// A Kernel is one operation of an iteration, or of what KernelsOf says.
type Kernel struct {
	Operation    string
	Launches     float64 // an iteration
	Milliseconds float64 // an iteration, of all launches together
}

// check reports what contradicts itself in a run.
func (r Run) check() error {
	for _, c := range []struct {
		name string
		Chart
	}{{"loss", r.Loss}, {"accuracy", r.Accuracy}} {
		for _, curve := range slices.Concat(c.Curves, c.References) {
			if err := curve.check(); err != nil {
				return fmt.Errorf("%s curve %q: %w", c.name, curve.Name, err)
			}
		}
		for _, m := range c.Markers {
			if m.Iteration < 0 || m.Iteration > maxIteration {
				return fmt.Errorf("%s marker %q: iteration %d: 0 to %d are possible", c.name, m.Text, m.Iteration, maxIteration)
			}
		}
	}
	for _, p := range r.Panels {
		if err := p.check(); err != nil {
			return fmt.Errorf("chart %q: %w", p.Heading, err)
		}
	}
	for _, t := range r.Tables {
		for i, row := range t.Rows {
			if len(row) != len(t.Columns) {
				return fmt.Errorf("table %q: row %d has %d cells for %d columns", t.Heading, i+1, len(row), len(t.Columns))
			}
		}
	}
	features := 1
	for _, d := range r.Shape {
		if d < 1 || features > 1<<31/d {
			return fmt.Errorf("shape %v: positive dimensions of up to 2³¹ features are expected", r.Shape)
		}
		features *= d
	}
	if len(r.Shape) > 0 && len(r.FirstLayer)%features != 0 {
		return fmt.Errorf("%d weights of the first layer do not fit shape %v", len(r.FirstLayer), r.Shape)
	}
	if r.Predictions == nil {
		return nil
	}
	p := *r.Predictions
	if err := p.check(); err != nil {
		return fmt.Errorf("predictions: %w", err)
	}
	if len(r.Shape) > 0 && features != p.Samples.Features {
		return fmt.Errorf("predictions: samples of %d features do not fit shape %v", p.Samples.Features, r.Shape)
	}
	if r.Features != nil && len(r.Features) != p.Samples.Features {
		return fmt.Errorf("%d names of features where samples have %d features", len(r.Features), p.Samples.Features)
	}
	if r.Offsets != nil && len(r.Offsets) != p.Samples.Features {
		return fmt.Errorf("%d offsets of features where samples have %d features", len(r.Offsets), p.Samples.Features)
	}
	if r.Classes != nil && len(r.Classes) != p.classes() {
		return fmt.Errorf("%d names of classes where the network has %d classes", len(r.Classes), p.classes())
	}
	return nil
}

// maxIteration bounds iterations, so that differences and float64 hold them.
const maxIteration = 1<<31 - 1

func (c Curve) check() error {
	if len(c.Iterations) != len(c.Values) {
		return fmt.Errorf("%d values at %d iterations", len(c.Values), len(c.Iterations))
	}
	for i, n := range c.Iterations {
		if n < 0 || n > maxIteration {
			return fmt.Errorf("iteration %d: 0 to %d are possible", n, maxIteration)
		}
		if i > 0 && n <= c.Iterations[i-1] {
			return fmt.Errorf("iteration %d follows iteration %d: rising iterations are expected", n, c.Iterations[i-1])
		}
	}
	return nil
}

func (p Predictions) check() error {
	if err := p.Samples.Check(0); err != nil {
		return err
	}
	if len(p.Logits) == 0 || len(p.Logits)%p.Samples.Rows != 0 {
		return fmt.Errorf("%d logits for %d rows: as many for each row are expected", len(p.Logits), p.Samples.Rows)
	}
	return p.Samples.Check(p.classes())
}

// classes returns the number of the network's outputs.
func (p Predictions) classes() int { return len(p.Logits) / p.Samples.Rows }

// Write writes report.html and pictures/*.png of a run in a directory, which is
// made if need be. Pictures of an earlier report that this one does not have are
// removed. The page comes last: where it stands, the pictures do. An error is
// one line; nothing is written of a run that contradicts itself.
func Write(dir string, r Run) error {
	files, err := checked(r, true)
	if err != nil {
		return err
	}
	pictures := filepath.Join(dir, PicturesDir)
	made := dir // a report without pictures has no directory for them
	if len(files.pictures) > 0 {
		made = pictures
	}
	if err := os.MkdirAll(made, 0o777); err != nil {
		return fmt.Errorf("report: %w", err)
	}
	for _, name := range pictureNames {
		path := filepath.Join(pictures, name)
		content, ok := files.pictures[name]
		if !ok {
			if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return fmt.Errorf("report: %w", err)
			}
			continue
		}
		if err := replace(path, content); err != nil {
			return err
		}
	}
	return replace(filepath.Join(dir, FileName), files.page)
}

// WritePage writes the page of a run without the files of its pictures: of a run that is under
// way, or of one page about several. Nothing is written of a run that contradicts itself.
func WritePage(w io.Writer, r Run) error {
	files, err := checked(r, false)
	if err != nil {
		return err
	}
	_, err = w.Write(files.page)
	return err
}

// checked renders a run that does not contradict itself.
func checked(r Run, pictures bool) (files, error) {
	err := r.check()
	var f files
	if err == nil {
		f, err = render(r, pictures)
	}
	if err != nil {
		return f, fmt.Errorf("report: %w", err)
	}
	return f, nil
}

// replace writes a file whole or leaves it as it was.
func replace(path string, content []byte) error {
	if err := durable.WriteFile(path, content); err != nil {
		return fmt.Errorf("report: %w", err)
	}
	return nil
}
