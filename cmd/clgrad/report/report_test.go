package report

import (
	"bytes"
	"encoding/xml"
	"errors"
	"flag"
	"fmt"
	"image"
	"io"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"clgrad/network"
	"clgrad/network/must"

	"github.com/google/go-cmp/cmp"
	"gonum.org/v1/plot/cmpimg"
)

var update = flag.Bool("update", false, "write the golden pictures in testdata anew")

// example returns a run with everything a report can show: three classes of
// 6×5 images, some of them predicted wrong.
func example() Run {
	const rows, height, width, classes = 36, 6, 5, 3
	s := network.Samples{Rows: rows, Features: height * width}
	var logits []float64
	for i := range rows {
		y := i % classes
		s.Labels = append(s.Labels, int32(y))
		for j := range s.Features {
			v := 20 * (i % 5)
			if j%width == y+1 || j/width == y+2 {
				v = 255 - v
			}
			s.Bytes = append(s.Bytes, uint8(v))
		}
		for k := range classes {
			v := math.Sin(float64(7*i + 3*k))
			if k == y {
				v += 1.2
			}
			logits = append(logits, v)
		}
	}
	const units = 7
	weights := make([]float64, height*width*units)
	for i := range weights {
		weights[i] = math.Cos(float64(i*i%97)) * float64(1+i%units)
	}
	loss := curve("training set", 1, 200, func(i int) float64 { return 0.3 + descent(70)(i) })
	loss.Values[150] = nan
	return Run{
		Title:    "30-7-3 on shapes, 28 November 2026",
		Subtitle: "200 iterations on a device.",
		Results:  []Figure{{"test accuracy", "77.78 %"}, {"test loss", "0.9123"}},
		Remarks:  []string{"Accuracy is lower."},
		Notes:    []string{"A first paragraph.", "A second one."},
		Loss: Chart{
			Curves:     []Curve{loss},
			References: []Curve{curve("the document", 10, 200, func(i int) float64 { return 0.31 + descent(58)(i) })},
		},
		Accuracy: Chart{
			Curves: []Curve{
				curve("training set", 1, 200, func(i int) float64 { return 0.95 - descent(70)(i)/3 }),
				curve("validation set", 10, 200, func(i int) float64 { return 0.9 - descent(72)(i)/3 }),
				curve("test set", 10, 200, func(i int) float64 { return 0.87 - descent(74)(i)/3 }),
			},
			Markers: []Marker{{84, "85 % at iteration 84"}},
			Best:    "validation set",
		},
		Shape:       []int{height, width},
		Classes:     []string{"upright", "across", "both at once"},
		Predictions: &Predictions{Samples: s, Logits: logits},
		FirstLayer:  weights,
		Kernels:     []Kernel{{"forward 1", 4, 3}, {"update", 1, 1}},
		Figures:     []Figure{{"unscaled test accuracy", "50 %"}},
		Settings:    []Figure{{"layers", "30-7-3"}, {"seed", "1"}},
		Command:     "clgrad train --layers 7",
		Config:      `{"layers": [7]}`,
		Files:       []File{{"model.safetensors", "the model"}, {"pictures/", "pictures"}},
		Next:        []Figure{{"Score the model:", "clgrad eval '/a run'"}},
	}
}

// A document is what a parser finds in a page.
type document struct {
	ids, headings []string
	text          string // of all elements but style
	addresses     []string
	attributes    []string // the values of others
	elements      map[string]int
}

// parse reads a page, whose elements have to be nested well.
func parse(t *testing.T, page []byte) document {
	t.Helper()
	d := xml.NewDecoder(bytes.NewReader(page))
	d.Strict = false // HTML: no closing of void elements, named entities
	d.AutoClose = xml.HTMLAutoClose
	d.Entity = xml.HTMLEntity
	doc := document{elements: map[string]int{}}
	var text strings.Builder
	var open []string
	for {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatalf("the page is not well formed: %v", err)
		}
		switch token := token.(type) {
		case xml.StartElement:
			text.WriteByte(' ')
			name := token.Name.Local
			open = append(open, name)
			doc.elements[name]++
			if name == "h2" {
				doc.headings = append(doc.headings, "")
			}
			for _, a := range token.Attr {
				switch a.Name.Local {
				case "id":
					doc.ids = append(doc.ids, a.Value)
				case "src", "href", "data", "action", "poster", "srcset":
					doc.addresses = append(doc.addresses, a.Value)
				default:
					doc.attributes = append(doc.attributes, a.Value)
				}
				if strings.HasPrefix(a.Name.Local, "on") {
					t.Errorf("%s has a script %s", name, a.Name.Local)
				}
			}
		case xml.EndElement:
			text.WriteByte(' ')
			if open[len(open)-1] != token.Name.Local {
				t.Fatalf("%s ends where %s is open", token.Name.Local, open[len(open)-1])
			}
			open = open[:len(open)-1]
		case xml.CharData:
			if slices.Contains(open, "style") {
				continue
			}
			text.Write(token)
			if slices.Contains(open, "h2") {
				doc.headings[len(doc.headings)-1] += string(token)
			}
		}
	}
	if len(open) > 0 {
		t.Fatalf("not closed: %v", open)
	}
	doc.text = strings.Join(strings.Fields(text.String()), " ")
	return doc
}

// rendered returns a run's files and its parsed page, which stands alone.
func rendered(t *testing.T, r Run) (files, document) {
	t.Helper()
	must.OK(t, r.check())
	f, err := render(r, true)
	must.OK(t, err)
	doc := parse(t, f.page)
	for _, a := range doc.addresses {
		if !strings.HasPrefix(a, "data:image/") && !slices.ContainsFunc(r.Files, func(f File) bool { return f.Path == a }) {
			t.Errorf("the page refers to %.80q", a)
		}
	}
	for _, name := range []string{"script", "link", "iframe", "object"} {
		if doc.elements[name] > 0 {
			t.Errorf("the page has an element %s", name)
		}
	}
	for _, bad := range []string{"url(", "@import", "ZgotmplZ"} {
		if bytes.Contains(f.page, []byte(bad)) {
			t.Errorf("the page has %q", bad)
		}
	}
	for _, v := range append(doc.attributes, doc.text) {
		if strings.Contains(v, "NaN") {
			t.Errorf("the page has NaN in %.80q", v)
		}
	}
	return f, doc
}

func TestReportPictures(t *testing.T) {
	f, _ := rendered(t, example())
	if len(f.pictures) != len(pictureNames) {
		t.Errorf("%d pictures, want %d", len(f.pictures), len(pictureNames))
	}
	for _, name := range pictureNames {
		golden := filepath.Join("testdata", name)
		if *update {
			must.Write(t, f.pictures[name], golden)
		}
		want, err := os.ReadFile(golden)
		must.OK(t, err)
		// Some processors fuse products and sums, which moves edges a little.
		same, err := cmpimg.EqualApprox("png", f.pictures[name], want, 0.05)
		must.OK(t, err)
		if !same {
			got := filepath.Join(t.ArtifactDir(), name)
			os.WriteFile(got, f.pictures[name], 0o666)
			t.Errorf("%s is not the picture in %s: see %s, and go test -update where it is right", name, golden, got)
		}
	}
}

func TestPage(t *testing.T) {
	_, doc := rendered(t, example())
	want := []string{"result", "loss", "accuracy", "notes", "confusion", "pairs", "classes", "mistakes", "samples", "weights", "figures", "kernels", "next", "setup", "command", "config"}
	if d := cmp.Diff(want, doc.ids); d != "" {
		t.Errorf("parts (−want +got):\n%s", d)
	}
	for _, want := range []string{
		"shapes", "77.78 % ", "A first paragraph. A second one.",
		`training set: the largest distance from "the document" is 0.01, at iteration`,
		"after moving that curve 12 iterations to the right",
		"training set: 1 of 200 values are not finite and left out.",
		"85 % at iteration 84",
		"actual both at once", "✗ predicted across",
		"forward 1 4 3.000 75.00 %", "all 5 4.000",
		"layers 30-7-3", "Go " + runtime.Version(),
		"clgrad train --layers 7", `{"layers": [7]}`, "unscaled test accuracy 50 %",
	} {
		if !strings.Contains(doc.text, want) {
			t.Errorf("the page does not have %q", want)
		}
	}
	if t.Failed() {
		t.Log(doc.text)
	}
}

// Whatever is missing takes its heading along.
func TestParts(t *testing.T) {
	full := example()
	table := full
	table.Shape, table.FirstLayer = []int{30}, full.FirstLayer
	unlabelled := full
	unlabelled.Predictions = &Predictions{"Kaggle's test set", full.Predictions.Samples, full.Predictions.Logits}
	unlabelled.Predictions.Samples.Labels = nil
	right := full
	right.Predictions = &Predictions{"", full.Predictions.Samples.Slice(0, 1), []float64{1, 0, 0}}
	for _, test := range []struct {
		name     string
		run      Run
		parts    string
		pictures string
		has      []string
	}{
		{"nothing", Run{}, "result setup", "", []string{"Training run"}},
		{"a curve of one point", Run{Loss: Chart{Curves: []Curve{{"training set", []int{1}, []float64{2.3}}}}}, "result loss setup", "loss.png", nil},
		{"nothing finite", Run{Loss: Chart{Curves: []Curve{{"training set", []int{1, 2}, []float64{nan, math.Inf(1)}}}}}, "result loss setup", "",
			[]string{"training set: none of 2 values is finite."}},
		{"a reference alone", Run{Loss: Chart{References: []Curve{{"them", []int{1}, []float64{2.3}}}}}, "result loss setup", "loss.png", []string{"them"}},
		{"markers alone", Run{Accuracy: Chart{Markers: []Marker{{3, "there"}}}}, "result setup", "", nil},
		{"a table", Run{Shape: table.Shape, FirstLayer: table.FirstLayer, Predictions: table.Predictions}, "result confusion pairs classes columns mistakes samples setup", "confusion.png",
			[]string{"row actual predicted probability 1 2 3", "18 more columns are not shown."}},
		{"images in colour", Run{Shape: []int{5, 2, 3}, FirstLayer: full.FirstLayer, Predictions: unlabelled.Predictions}, "result samples weights setup", "samples.png weights.png", []string{"predicted 0"}},
		{"no labels", Run{Shape: unlabelled.Shape, Predictions: unlabelled.Predictions}, "result samples setup", "samples.png", []string{"predicted 0"}},
		{"no labels in a table", Run{Shape: table.Shape, Predictions: unlabelled.Predictions}, "result samples setup", "", []string{"row predicted probability"}},
		{"one row, no mistake, two classes not there", Run{Shape: full.Shape, Predictions: right.Predictions},
			"result confusion classes samples setup", "confusion.png samples.png", []string{"100.00 % of which are predicted right", "1 – – – 0"}},
		{"weights alone", Run{Shape: full.Shape, FirstLayer: full.FirstLayer}, "result weights setup", "weights.png", nil},
		{"kernels without time", Run{Kernels: []Kernel{{"update", 1, 0}}}, "result kernels setup", "", []string{"update 1 0.000 –"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			f, doc := rendered(t, test.run)
			if got := strings.Join(doc.ids, " "); got != test.parts {
				t.Errorf("parts %q, want %q", got, test.parts)
			}
			if len(doc.headings) != len(slices.DeleteFunc(doc.ids, func(id string) bool { return id == "pairs" }))-1 {
				t.Errorf("headings %q for parts %q", doc.headings, doc.ids)
			}
			var pictures []string
			for _, name := range pictureNames {
				if f.pictures[name] != nil {
					pictures = append(pictures, name)
				}
			}
			if got := strings.Join(pictures, " "); got != test.pictures {
				t.Errorf("pictures %q, want %q", got, test.pictures)
			}
			for _, want := range test.has {
				if !strings.Contains(doc.text, want) {
					t.Errorf("the page does not have %q: %s", want, doc.text)
				}
			}
		})
	}
}

// More classes than a table has room for are a picture, and the worst of them a
// list.
func TestManyClasses(t *testing.T) {
	const classes = 700
	s := network.Samples{Rows: 2 * classes, Features: 1, Bytes: make([]uint8, 2*classes)}
	logits := make([]float64, s.Rows*classes)
	for i := range s.Rows {
		s.Labels = append(s.Labels, int32(i%classes))
		logits[i*classes+i%classes] = 1
	}
	logits[690*classes+3], logits[3*classes] = 2, 0 // two rows are read as another class
	f, doc := rendered(t, Run{Predictions: &Predictions{Samples: s, Logits: logits}})
	for _, want := range []string{"listed are the 20 of 700 classes with the lowest F1", "All 700 classes", "690 3 1 50.00 %", "macro average"} {
		if !strings.Contains(doc.text, want) {
			t.Errorf("the page does not have %q", want)
		}
	}
	if doc.elements["img"] != 1 || f.pictures[confusionFile] == nil {
		t.Errorf("%d pictures of the confusion matrix in the page, %d bytes in a file", doc.elements["image"], len(f.pictures[confusionFile]))
	}
	c, err := newConfusion(s.Labels, network.Predicted(logits, classes), classes)
	must.OK(t, err)
	picture := confusionPicture(c, displayOrder(nil, classes))
	if picture.Rect.Dx() != mostCells {
		t.Fatalf("a picture of %d pixels, want %d", picture.Rect.Dx(), mostCells)
	}
	// One mistake of class 690 in 700, at 690·500/700 and 3·500/700.
	if at := picture.NRGBAAt(2, 492); at.B >= at.R {
		t.Errorf("a mistake has the colour %v", at)
	}
	if at := picture.NRGBAAt(100, 100); at.R >= at.B {
		t.Errorf("what is right has the colour %v", at)
	}
}

// No text of a run becomes markup, in the page or in the charts inside it.
func TestEscaping(t *testing.T) {
	const evil = `</title></style></text><script>alert("1")</script><img src=x onerror=y>&amp;'`
	figures := []Figure{{evil + "1", evil + "2"}}
	_, clean := rendered(t, example())
	for _, shape := range [][]int{{6, 5}, {30}} {
		r := example()
		r.Title, r.Notes, r.Command, r.Config = evil, []string{evil, "b"}, evil, evil
		r.Results, r.Figures, r.Settings = append(figures, r.Results[1:]...), figures, append(figures, r.Settings[1:]...)
		r.Kernels[0].Operation = evil
		r.Classes = []string{evil + "A", evil + "B", evil + "C"}
		r.Predictions.Of = evil
		r.Accuracy.Curves[0].Name, r.Loss.References[0].Name, r.Accuracy.Markers[0].Text = evil, evil, evil
		r.Shape = shape
		if len(shape) == 1 {
			for i := range 30 {
				r.Features = append(r.Features, fmt.Sprint(evil, i))
			}
		}
		_, doc := rendered(t, r)
		if n := strings.Count(doc.text, evil); n < 30 {
			t.Errorf("shape %v: the text stands in the page %d times", shape, n)
		}
		if len(shape) == 2 {
			if d := cmp.Diff(clean.elements, doc.elements); d != "" {
				t.Errorf("elements without and with such texts (−without +with):\n%s", d)
			}
		}
	}
}

func TestErrors(t *testing.T) {
	for _, test := range []struct {
		name  string
		spoil func(*Run)
		want  string
	}{
		{"lengths of a curve", func(r *Run) { r.Loss.Curves[0].Values = nil }, `loss curve "training set": 0 values at 200 iterations`},
		{"order of a curve", func(r *Run) { r.Accuracy.Curves[1].Iterations[3] = 30 }, `accuracy curve "validation set": iteration 30 follows iteration 30`},
		{"order of a reference", func(r *Run) { r.Loss.References[0].Iterations[0] = 99 }, `loss curve "the document": iteration 20 follows iteration 99`},
		{"iteration", func(r *Run) { r.Loss.Curves[0].Iterations[0] = -1 }, "iteration -1: 0 to 2147483647 are possible"},
		{"marker", func(r *Run) { r.Loss.Markers = []Marker{{-3, "x"}} }, `loss marker "x": iteration -3`},
		{"shape", func(r *Run) { r.Shape = []int{6, 0} }, "shape [6 0]"},
		{"large shape", func(r *Run) { r.Shape = []int{1 << 20, 1 << 20, 1 << 30} }, "up to 2³¹ features"},
		{"shape of the weights", func(r *Run) { r.FirstLayer = r.FirstLayer[1:] }, "209 weights of the first layer do not fit shape [6 5]"},
		{"shape of the samples", func(r *Run) { r.Shape, r.FirstLayer = []int{5, 5}, nil }, "samples of 30 features do not fit shape [5 5]"},
		{"names of features", func(r *Run) { r.Features = []string{"x"} }, "1 names of features where samples have 30"},
		{"names of classes", func(r *Run) { r.Classes = []string{"x"} }, "1 names of classes where the network has 3"},
		{"no samples", func(r *Run) { r.Predictions = &Predictions{} }, "predictions: no samples"},
		{"logits", func(r *Run) { r.Predictions.Logits = r.Predictions.Logits[1:] }, "107 logits for 36 rows"},
		{"no logits", func(r *Run) { r.Predictions.Logits = nil }, "0 logits for 36 rows"},
		{"label", func(r *Run) { r.Predictions.Samples.Labels[4] = 3 }, "row 5 has label 3"},
	} {
		t.Run(test.name, func(t *testing.T) {
			r := example()
			test.spoil(&r)
			dir := filepath.Join(t.TempDir(), "run")
			err := Write(dir, r)
			if err == nil || !strings.HasPrefix(err.Error(), "report: ") || !strings.Contains(err.Error(), test.want) || strings.Contains(err.Error(), "\n") {
				t.Errorf("error %v, want one line with %q", err, test.want)
			}
			if _, err := os.Stat(dir); err == nil {
				t.Error("something was written")
			}
		})
	}
}

// Equal runs give equal files, and a report replaces the one before it.
func TestWriteReport(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "runs", "1")
	read := func() map[string]string {
		all := map[string]string{}
		err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return err
			}
			content, err := os.ReadFile(path)
			name, _ := filepath.Rel(dir, path)
			all[filepath.ToSlash(name)] = string(content)
			return err
		})
		must.OK(t, err)
		return all
	}
	must.OK(t, Write(dir, example()))
	first := read()
	if len(first) != 7 || len(first[FileName]) == 0 || len(first["pictures/loss.png"]) == 0 {
		t.Errorf("%d files", len(first))
	}
	must.OK(t, Write(dir, example()))
	if d := cmp.Diff(first, read()); d != "" {
		t.Errorf("the same run gave other files:\n%s", d)
	}
	mine := filepath.Join(dir, "pictures", "mine.png")
	must.Write(t, "", mine)
	must.OK(t, Write(dir, Run{Title: "another"}))
	all := read()
	if _, ok := all["pictures/mine.png"]; !ok || len(all) != 2 || !strings.Contains(all[FileName], "another") {
		t.Errorf("%d files are left", len(all))
	}
	if err := Write(mine, example()); err == nil || strings.Contains(err.Error(), "\n") {
		t.Errorf("a file in the directory's place: error %v, want one line", err)
	}
}

// Floats are shown between their own extremes, 8-bit values as they are, and three channels in colour.
func TestSamplePicture(t *testing.T) {
	floats := network.Samples{Rows: 2, Features: 4, Floats: []float32{9, 9, 9, 9, -1, 0, 1, float32(math.Inf(1))}}
	bytes := network.Samples{Rows: 1, Features: 4, Bytes: []uint8{1, 2, 3, 4}}
	colours := network.Samples{Rows: 1, Features: 12, Bytes: []uint8{255, 0, 0, 0, 255, 0, 0, 0, 255, 10, 20, 30}}
	shares := network.Samples{Rows: 1, Features: 12, Floats: []float32{1, 0, 0, 0, 1, 0, 0, 0, 1, 0.2, 0.4, 0.6}}
	for _, test := range []struct {
		s     network.Samples
		row   int
		shape []int
		want  []uint8
	}{
		{floats, 0, []int{2, 2}, []uint8{128, 128, 128, 128}},
		{floats, 1, []int{2, 2}, []uint8{0, 128, 255, 128}},
		{bytes, 0, []int{2, 2, 1}, []uint8{1, 2, 3, 4}},
		{colours, 0, []int{2, 2, 3}, []uint8{255, 0, 0, 255, 0, 255, 0, 255, 0, 0, 255, 255, 10, 20, 30, 255}},
		{shares, 0, []int{2, 2, 3}, []uint8{255, 0, 0, 255, 0, 255, 0, 255, 0, 0, 255, 255, 51, 102, 153, 255}},
		{colours, 0, []int{12}, nil},
		{colours, 0, []int{2, 3, 2}, nil},
		{colours, 0, []int{4, 1, 3}, []uint8{255, 0, 0, 0, 255, 0, 0, 0, 255, 10, 20, 30}}, // a table of four rows
	} {
		var got []uint8
		switch picture, _ := SamplePicture(test.s, test.row, test.shape); p := picture.(type) {
		case *image.Gray:
			got = p.Pix
		case *image.NRGBA:
			got = p.Pix
		}
		if d := cmp.Diff(test.want, got); d != "" {
			t.Errorf("row %d of shape %v (−want +got):\n%s", test.row, test.shape, d)
		}
	}
	large := network.Samples{Rows: 1, Features: 300 * 2, Bytes: make([]uint8, 600)}
	if p, _ := SamplePicture(large, 0, []int{300, 2}); p.Bounds().Dx() != 1 || p.Bounds().Dy() != 100 {
		t.Errorf("a large image has the size %v, want 1×100", p.Bounds())
	}
}

// A tile has its own scale, 0 in the middle of it.
func TestWeightsPicture(t *testing.T) {
	// Two inputs of two units each: (-1, 0.002), (0.5, 0) and so on.
	w := []float64{-1, 0.002, 0.5, 0, 0, -0.001, nan, 0}
	p := weightsPicture(w, 2, 2, 1, 2, 2, 1).(*image.Paletted)
	want := []uint8{
		1, 192, 0, 255, 128,
		128, 0, 0, 64, 128,
	}
	if d := cmp.Diff(want, p.Pix); d != "" {
		t.Errorf("(−want +got):\n%s", d)
	}
	if _, _, _, a := p.At(2, 0).RGBA(); a != 0 {
		t.Error("the gap is not transparent")
	}
}

// Weights for red, green and blue are drawn as these colours, on one scale.
func TestColourWeights(t *testing.T) {
	// A picture of two pixels, and two units.
	w := []float64{1, 0, -1, 0, 0, 0.5, 0.5, 0, 0, nan, 0, 0}
	p := weightsPicture(w, 1, 2, 3, 2, 2, 1).(*image.NRGBA)
	want := []uint8{
		255, 1, 128, 255, 192, 128, 128, 255, 0, 0, 0, 0, 128, 128, 255, 255, 0, 0, 0, 0,
	}
	if d := cmp.Diff(want, p.Pix); d != "" {
		t.Errorf("(−want +got):\n%s", d)
	}
}

func TestImageShape(t *testing.T) {
	for _, test := range []struct {
		shape         []int
		height, width int
		ok            bool
	}{
		{[]int{28, 30}, 28, 30, true},
		{[]int{28, 30, 1}, 28, 30, true},
		{[]int{1, 28, 30}, 28, 30, true},
		{[]int{784}, 0, 0, false},
		{[]int{784, 1}, 0, 0, false},
		{[]int{32, 32, 3}, 0, 0, false},
		{nil, 0, 0, false},
	} {
		if h, w, ok := imageShape(test.shape); h != test.height || w != test.width || ok != test.ok {
			t.Errorf("%v: %d, %d, %v", test.shape, h, w, ok)
		}
	}
}

// A report of 10000 images in 10 classes and 500 units, in seconds.
func BenchmarkWrite(b *testing.B) {
	const rows, classes, units, features = 10000, 10, 500, 784
	s := network.Samples{Rows: rows, Features: features, Bytes: make([]uint8, rows*features)}
	logits := make([]float64, rows*classes)
	for i := range rows {
		s.Labels = append(s.Labels, int32(i%classes))
		logits[i*classes+(i*i)%classes] = math.Sin(float64(i))
		for j := range features {
			s.Bytes[i*features+j] = uint8(i * j)
		}
	}
	r := Run{Shape: []int{28, 28}, Predictions: &Predictions{Samples: s, Logits: logits}, FirstLayer: make([]float64, features*units)}
	for i := range r.FirstLayer {
		r.FirstLayer[i] = math.Sin(float64(i))
	}
	r.Loss.Curves = []Curve{curve("training set", 1, 100_000, descent(200))}
	dir := b.TempDir()
	for b.Loop() {
		must.OK(b, Write(dir, r))
	}
}

// Text in pictures is one line of what has a shape, and not longer than there is
// room for.
func TestPlain(t *testing.T) {
	for text, want := range map[string]string{
		"":                "",
		"T-shirt/top":     "T-shirt/top",
		"a\nb\tc\x00\x7f": "a b c  ",
		"Größe <b>":       "Größe <b>",
		"exactly twelv":   "exactly twe…",
		"ÄÖÜäöüÄÖÜäöüÄ":   "ÄÖÜäöüÄÖÜäö…",
	} {
		if got := plain(text, 12); got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}

// An axis that counts epochs has its ticks at the iterations that end them.
func TestEpochTicks(t *testing.T) {
	curve := Curve{Name: "training set"}
	for i := 600; i <= 3000; i += 600 {
		curve.Iterations, curve.Values = append(curve.Iterations, i), append(curve.Values, 1/float64(i))
	}
	d := newDrawing(Chart{Curves: []Curve{curve}, Epoch: 600}, lossScale)
	var labels []string
	for _, tick := range d.X.Tick.Marker.Ticks(d.X.Min, d.X.Max) {
		labels = append(labels, fmt.Sprint(tick.Label, " at ", tick.Value))
	}
	if want := []string{"1 at 600", "2 at 1200", "3 at 1800", "4 at 2400", "5 at 3000"}; d.X.Label.Text != "Epoch" || !slices.Equal(labels, want) {
		t.Errorf("%s: %q, want %q", d.X.Label.Text, labels, want)
	}
}
