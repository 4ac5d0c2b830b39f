package draw

import (
	"bytes"
	"context"
	"encoding/json"
	"image"
	"image/color"
	"image/png"
	"io"
	"math"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"gonum.org/v1/gonum/floats"

	"clgrad/cmd/clgrad/web"
	"clgrad/cmd/clgrad/web/predict"
	"clgrad/cpu"
	"clgrad/network"
	"clgrad/network/checkpoint"
	"clgrad/network/classifier"
	"clgrad/network/dataset"
	"clgrad/network/must"
)

// train trains a model on a set for a test.
func train(set dataset.Set, hidden []int, method dataset.Preprocess, epochs, batch int) (m checkpoint.Model, err error) {
	backend := cpu.New[float32]()
	defer backend.Close()
	c := classifier.New(backend, classifier.Options{
		Hidden: hidden, Preprocess: method, BatchSize: batch, Epochs: epochs, Rule: network.NewRule(network.Nesterov), LearningRate: 0.05,
	})
	defer c.Close()
	if err := c.Fit(context.Background(), set); err != nil {
		return m, err
	}
	return c.Model()
}

// digits returns a model of MNIST, trained once for all tests. With -short it has seen fewer digits: no
// browser draws on it then.
var digits = sync.OnceValues(func() (m checkpoint.Model, err error) {
	set, err := dataset.Load(context.Background(), "mnist", dataset.Options{})
	if err != nil {
		return m, err
	}
	if testing.Short() {
		set.Train = set.Train.Slice(0, 6000)
	}
	return train(set, []int{128}, dataset.Max, 3, 100)
})

// flowers returns a model of a table with four named columns.
var flowers = sync.OnceValues(func() (m checkpoint.Model, err error) {
	var rows [][]float64
	var labels []string
	for i := range 90 {
		k, d := i%3, 0.02*float64(i)
		rows = append(rows, []float64{5 + float64(k) + d, 3.4 - 0.3*float64(k), 1.5 + 1.9*float64(k) - d, 0.2 + 0.9*float64(k)})
		labels = append(labels, []string{"setosa", "versicolor", "virginica"}[k])
	}
	set, err := dataset.FromRows(rows, labels)
	if err != nil {
		return m, err
	}
	set.Name = "flowers"
	set.Columns = &dataset.Columns{Number: 5, Label: 5, Names: []string{"sepal length", "sepal width", "petal length", "petal width", "species"}}
	return train(set, []int{8}, dataset.Feature, 60, 90)
})

func newPage(t *testing.T, m checkpoint.Model) *Page {
	t.Helper()
	reader, err := predict.New(m, predict.About{}, predict.Options{Rows: 100, Timeout: 10 * time.Second})
	must.OK(t, err)
	page, err := New(m, reader)
	must.OK(t, err)
	return page
}

// serve serves the page of a model until the test ends.
func serve(t *testing.T, model func() (checkpoint.Model, error), o web.Options) *web.Server {
	t.Helper()
	m, err := model()
	must.OK(t, err)
	page := newPage(t, m)
	if o.Address == "" {
		o.Address = "127.0.0.1:0"
	}
	s, err := web.New(o)
	must.OK(t, err)
	page.Handle(s)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return s
}

// post sends a request to explain and returns status, content type and body.
func post(t *testing.T, s *web.Server, query, kind string, body []byte) (status int, answered string, content []byte) {
	t.Helper()
	r, err := http.Post(s.URL()+"/v1/explain"+query, kind, bytes.NewReader(body))
	must.OK(t, err)
	defer r.Body.Close()
	content, err = io.ReadAll(r.Body)
	must.OK(t, err)
	return r.StatusCode, r.Header.Get("Content-Type"), content
}

// explained returns the answer to a request that is a good one.
func explained(t *testing.T, s *web.Server, query, kind string, body []byte) (a Answer) {
	t.Helper()
	status, _, content := post(t, s, query, kind, body)
	if status != http.StatusOK {
		t.Fatalf("status %d: %s", status, content)
	}
	must.OK(t, json.Unmarshal(content, &a))
	return a
}

// bar returns a PNG picture of a vertical bar, dark on light.
func bar(t *testing.T, width, height int) []byte {
	t.Helper()
	p := image.NewGray(image.Rect(0, 0, width, height))
	for y := range height {
		for x := range width {
			p.SetGray(x, y, color.Gray{250})
			if x > 45*width/100 && x < 55*width/100 && y > height/5 && y < 4*height/5 {
				p.SetGray(x, y, color.Gray{10})
			}
		}
	}
	var b bytes.Buffer
	must.OK(t, png.Encode(&b, p))
	return b.Bytes()
}

func TestPicture(t *testing.T) {
	s := serve(t, digits, web.Options{})
	a := explained(t, s, "", "image/png", bar(t, 280, 280))
	if a.Predicted != 1 || a.Class != 1 || len(a.Probabilities) != 10 || a.Probabilities[1] < 0.5 || math.Abs(floats.Sum(a.Probabilities)-1) > 1e-9 {
		t.Errorf("a bar: class %d, %v", a.Predicted, a.Probabilities)
	}
	if a.Image == nil || a.Image.Height != 28 || a.Image.Width != 28 || a.Image.Channels != 1 || !a.Image.Inverted || a.Image.Blank || len(a.Image.Pixels) != 784 || a.Image.Pixels[14*28+14] < 200 || a.Image.Pixels[0] != 0 {
		t.Errorf("the network sees %+v", a.Image)
	}
	if a.Pixels == nil || len(a.Pixels.Pixels) != 784 || len(a.Units) == 0 || a.Units[0].Weights == nil || len(a.Units[0].Weights.Pixels) != 784 {
		t.Errorf("reasons: %+v, %+v", a.Pixels, a.Units)
	}
	other := explained(t, s, "?class=7", "image/png", bar(t, 280, 280))
	sum := other.Bias + other.Others
	for _, u := range other.Units {
		sum += u.Contribution
	}
	if other.Predicted != 1 || other.Class != 7 || math.Abs(sum-a.Logits[7]) > 1e-9 {
		t.Errorf("of class 7: class %d, predicted %d, adds up to %v where the logit is %v", other.Class, other.Predicted, sum, a.Logits[7])
	}
	if a := explained(t, s, "", "image/png", encodedBlank(t)); !a.Image.Blank {
		t.Errorf("of a white picture the network sees %+v", a.Image)
	}

	// The row that the network sees, as JSON, is the same.
	row, err := json.Marshal(map[string]any{"row": numbers(a.Image.Pixels)})
	must.OK(t, err)
	if b := explained(t, s, "", "application/json", row); !floats.Equal(a.Logits, b.Logits) || !bytes.Equal(a.Image.Pixels, b.Image.Pixels) {
		t.Errorf("as a picture %v, as a row %v", a.Logits, b.Logits)
	}
}

func encodedBlank(t *testing.T) []byte {
	t.Helper()
	var b bytes.Buffer
	must.OK(t, png.Encode(&b, image.NewGray(image.Rect(0, 0, 28, 28))))
	return b.Bytes()
}

func numbers(pixels []byte) (all []int) {
	for _, v := range pixels {
		all = append(all, int(v))
	}
	return all
}

func TestTable(t *testing.T) {
	s := serve(t, flowers, web.Options{})
	a := explained(t, s, "", "application/json", []byte(`{"row":[7.2, 2.8, 5.3, 2]}`))
	if a.Predicted != 2 || a.Image != nil || a.Pixels != nil || len(a.Inputs) == 0 || len(a.Units) == 0 || a.Units[0].Weights != nil {
		t.Errorf("got %+v", a)
	}
	r, err := http.Get(s.URL() + "/v1/form")
	must.OK(t, err)
	defer r.Body.Close()
	var f Form
	must.OK(t, json.NewDecoder(r.Body).Decode(&f))
	if len(f.Columns) != 4 || f.Columns[0].Name != "sepal length" || f.Columns[0].Value < 5 || f.Columns[0].Value > 8 || f.Shape != nil || f.Gaps || f.About != "Network 4-8-3, trained on flowers" || strings.Join(f.Classes, " ") != "setosa versicolor virginica" {
		t.Errorf("the form is %+v", f)
	}
}

func TestProblems(t *testing.T) {
	pictures, rows := serve(t, digits, web.Options{Body: 1 << 16}), serve(t, flowers, web.Options{})
	const text = "application/json"
	for _, test := range []struct {
		name   string
		s      *web.Server
		query  string
		kind   string
		body   string
		status int
		detail string
	}{
		{"class", pictures, "?class=10", "image/png", "", 400, `class is "10": a whole number from 0 to 9 is expected.`},
		{"no number", pictures, "?class=x", "image/png", "", 400, `class is "x"`},
		{"parameter", pictures, "?top=3", "image/png", "", 400, `The parameter "top" is unknown`},
		{"type", pictures, "", "image/gif", "", 415, `The content type is "image/gif"`},
		{"picture of a table", rows, "", "image/png", "", 422, "The network was not trained on images: rows of 4 features are expected"},
		{"no picture", pictures, "", "image/png", "{}", 422, "The picture is neither a PNG nor a JPEG picture."},
		{"large body", pictures, "", "image/png", strings.Repeat("x", 1<<16+1), 413, "At most 65536 bytes"},
		{"gap", rows, "", text, `{"row":[1,2,3,null]}`, 422, "The row, feature 4: null where a number is expected"},
		{"rows", rows, "", text, `{"rows":[[1,2,3,4],[1,2,3,4]]}`, 422, "The body has 2 rows where one is expected."},
		{"large numbers", rows, "", text, `{"row":[3e38,3e38,3e38,3e38]}`, 422, "The network's outputs are not finite"},
	} {
		status, kind, content := post(t, test.s, test.query, test.kind, []byte(test.body))
		var p struct {
			Title, Detail string
			Status        int
		}
		if err := json.Unmarshal(content, &p); err != nil {
			t.Errorf("%s: %v in %s", test.name, err, content)
		}
		if status != test.status || p.Status != status || p.Title == "" || kind != "application/problem+json" || !strings.HasPrefix(p.Detail, test.detail) {
			t.Errorf("%s: got %d, %s, %s", test.name, status, kind, content)
		}
	}
}

// A request that finds no core is told to come again.
func TestBusy(t *testing.T) {
	m, err := flowers()
	must.OK(t, err)
	page := newPage(t, m)
	for range cap(page.cores) {
		page.cores <- struct{}{}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := page.begin(ctx); err == nil {
		t.Error("one more is computed than there are cores")
	}
	page.end()
	if err := page.begin(t.Context()); err != nil {
		t.Error(err)
	}
}
