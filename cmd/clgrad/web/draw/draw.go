// Package draw is the page of clgrad serve, on which a person draws or opens a picture, or fills
// in a row, and sees what the network makes of it and why.
//
//	GET  /            the page: static/draw.html and its scripts
//	GET  /v1/form     what the page asks for: a [Form]
//	POST /v1/explain  an [Answer] for a picture or a row
//
// A request to explain has one picture or row, as one to predict has (package predict). With
// ?class=K the answer speaks of class K, counted from 0, and not of the predicted one.
package draw

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"runtime"
	"strconv"
	"time"

	"clgrad/cmd/clgrad/explain"
	"clgrad/cmd/clgrad/web"
	"clgrad/cmd/clgrad/web/predict"
	"clgrad/network/checkpoint"
)

// patience is how long a request waits for a core.
const patience = 2 * time.Second

// A Page explains a model.
type Page struct {
	model   checkpoint.Model
	network *explain.Network
	reader  *predict.Service
	form    Form
	cores   chan struct{} // an element for each request that is computed
}

// New returns the page of a model whose metadata has all that is known of it, and whose memory it
// shares. reader reads its requests. Where it takes pictures, the page is for these,
// otherwise for rows.
func New(model checkpoint.Model, reader *predict.Service) (*Page, error) {
	n, err := explain.New(model.Sizes, model.Parameters)
	if err != nil {
		return nil, err
	}
	return &Page{model, n, reader, newForm(model, reader.Pictures()), make(chan struct{}, runtime.GOMAXPROCS(0))}, nil
}

// Handle has a server answer the requests of the page.
func (p *Page) Handle(s *web.Server) {
	s.Handle("GET /{$}", web.File("draw.html"))
	s.Handle("GET /v1/form", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { write(w, p.form) }))
	s.Handle("POST /v1/explain", p)
}

// An Answer is why a network gives a row its class, with what it sees where the row is an image.
type Answer struct {
	explain.Answer
	Image *Image `json:"image,omitempty"`
}

// ServeHTTP answers with an [Answer].
func (p *Page) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	class, problem := p.class(r)
	if problem != "" {
		web.Problem(w, http.StatusBadRequest, "Malformed request", problem)
		return
	}
	row, ok := p.reader.ReadRow(w, r)
	if !ok {
		return
	}
	if err := p.begin(r.Context()); err != nil {
		w.Header().Set("Retry-After", "1")
		web.Problem(w, http.StatusServiceUnavailable, "Busy", "All cores are busy with earlier requests.")
		return
	}
	defer p.end()
	answer := p.explain(row, class)
	for _, v := range answer.Logits {
		if v-v != 0 {
			web.Problem(w, http.StatusUnprocessableEntity, "Unfit for the model", "The network's outputs are not finite: smaller values are expected.")
			return
		}
	}
	write(w, answer)
}

// class returns the class that a request asks about, −1 for the predicted one, and what is wrong
// with it, "" where nothing is.
func (p *Page) class(r *http.Request) (class int, problem string) {
	class = -1
	parameters, problem := web.Parameters(r)
	if problem != "" {
		return class, problem
	}
	for name, value := range parameters {
		if name != "class" {
			return class, fmt.Sprintf("The parameter %.40q is unknown: class is expected.", name)
		}
		var err error
		class, err = strconv.Atoi(value)
		if classes := len(p.form.Classes); err != nil || class < 0 || class >= classes {
			return class, fmt.Sprintf("class is %.40q: a whole number from 0 to %d is expected.", value, classes-1)
		}
	}
	return class, ""
}

// begin waits for a core.
func (p *Page) begin(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	select {
	case p.cores <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (p *Page) end() { <-p.cores }

// explain computes the answer for a row.
func (p *Page) explain(row predict.Row, class int) Answer {
	x := make([]float32, len(row.Features))
	for j, v := range row.Features {
		x[j] = p.model.Scaling.Apply(float64(v), j)
	}
	a := Answer{Answer: p.network.Explain(x, class, p.form.Shape)}
	if p.form.Shape == nil {
		return a
	}
	a.Image = newImage(row.Features, p.model)
	if row.Picture != nil {
		a.Image.Blank, a.Image.Inverted = row.Picture.Blank, row.Picture.Inverted
	}
	return a
}

// write answers with JSON.
func write(w http.ResponseWriter, value any) {
	body, err := json.Marshal(value)
	if err != nil {
		web.Problem(w, http.StatusInternalServerError, "Internal error", "The answer cannot be written as JSON.")
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.Write(append(body, '\n')) // nobody is left to tell of an error
}
