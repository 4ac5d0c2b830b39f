// Package draw is the page of clgrad serve, on which a person draws or opens a picture, or fills
// in a row, and sees what the network makes of it and why.
//
//	GET  /            the page: static/draw.html and its scripts
//	GET  /v1/form     what the page asks for: a [Form]
//	POST /v1/explain  an [Answer] for a picture or a row
//
// A request to explain is a PNG or JPEG picture, converted as clgrad predict does, or JSON with
// raw features, null where a value is missing: {"row":[5.1,3.5,1.4,0.2]}. With ?class=K the
// answer speaks of class K, counted from 0, and not of the predicted one.
package draw

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"runtime"
	"strconv"
	"time"
	"unicode"

	"clgrad/cmd/clgrad/explain"
	"clgrad/cmd/clgrad/web"
	"clgrad/network"
	"clgrad/network/checkpoint"
	"clgrad/network/dataset"
)

const (
	// maxPixels bounds a picture: a small file can have many.
	maxPixels = 1 << 24

	// patience is how long a request waits for a core.
	patience = 2 * time.Second
)

// A Page explains a model.
type Page struct {
	model      checkpoint.Model
	network    *explain.Network
	conversion dataset.Conversion
	form       Form
	cores      chan struct{} // an element for each request that is computed
}

// New returns the page of a model whose metadata has all that is known of it, and that shares the
// model's memory. Where model.Shape is an image, the page is for pictures, otherwise for rows.
func New(model checkpoint.Model) (*Page, error) {
	n, err := explain.New(model.Sizes, model.Parameters)
	if err != nil {
		return nil, err
	}
	return &Page{model: model, network: n, form: newForm(model), cores: make(chan struct{}, runtime.GOMAXPROCS(0)),
		conversion: dataset.Conversion{Shape: model.Shape, Like: model.Profile, Method: dataset.MethodFor(model.Shape, model.Profile)}}, nil
}

// Handle has a server answer the requests of the page.
func (p *Page) Handle(s *web.Server) {
	s.Handle("GET /{$}", web.File("draw.html"))
	s.Handle("GET /v1/form", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { write(w, p.form) }))
	s.Handle("POST /v1/explain", p)
}

// An Answer is why a network gives a row its class, with what it sees where that is a picture.
type Answer struct {
	explain.Answer
	Image *Image `json:"image,omitempty"`
}

// ServeHTTP answers with an [Answer].
func (p *Page) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	class, err := p.class(r)
	if err != nil {
		web.Problem(w, http.StatusBadRequest, "Unknown class", sentence(err))
		return
	}
	kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	picture := kind == "image/png" || kind == "image/jpeg"
	switch {
	case err != nil || !picture && kind != "application/json":
		web.Problem(w, http.StatusUnsupportedMediaType, "Unknown content type",
			fmt.Sprintf("The content type is %.100q: image/png, image/jpeg or application/json is expected.", r.Header.Get("Content-Type")))
		return
	case picture && !p.ofImages():
		web.Problem(w, http.StatusUnsupportedMediaType, "No pictures", fmt.Sprintf("The network was not trained on images: a row of %d features is expected, as application/json.", p.model.Sizes[0]))
		return
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		web.ReadError(w, err)
		return
	}
	if err := p.begin(r.Context()); err != nil {
		w.Header().Set("Retry-After", "1")
		web.Problem(w, http.StatusServiceUnavailable, "Busy", "All cores are busy with earlier requests.")
		return
	}
	defer p.end()
	answer, err := p.explain(body, picture, class)
	if err != nil {
		web.Problem(w, http.StatusUnprocessableEntity, "Not understood", sentence(err))
		return
	}
	write(w, answer)
}

// class returns the class that a request asks about, −1 for the predicted one.
func (p *Page) class(r *http.Request) (int, error) {
	query := r.URL.Query()
	if !query.Has("class") {
		return -1, nil
	}
	class, err := strconv.Atoi(query.Get("class"))
	if classes := len(p.form.Classes); err != nil || class < 0 || class >= classes {
		return 0, fmt.Errorf("class is %.40q: a number from 0 to %d is expected", query.Get("class"), classes-1)
	}
	return class, nil
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

// explain computes an answer for the body of a request.
func (p *Page) explain(body []byte, picture bool, class int) (Answer, error) {
	var a Answer
	var shape []int
	var s network.Samples
	if p.ofImages() {
		shape = p.model.Shape
	}
	if picture {
		read, seen, err := dataset.ReadPicture(body, maxPixels, p.conversion)
		if err != nil {
			return a, fmt.Errorf("the picture %w", err)
		}
		s = read
		a.Image = newImage(s, p.model)
		a.Image.Blank, a.Image.Inverted = seen.Blank, seen.Inverted
	} else {
		row, err := decodeRow(body, p.model)
		if err != nil {
			return a, err
		}
		s = network.Samples{Rows: 1, Features: len(row), Floats: row}
		if shape != nil {
			a.Image = newImage(s, p.model)
		}
	}
	x := make([]float32, s.Features)
	for j := range x {
		v := 0.0
		if s.Bytes != nil {
			v = float64(s.Bytes[j])
		} else {
			v = float64(s.Floats[j])
		}
		x[j] = p.model.Scaling.Apply(v, j)
	}
	a.Answer = p.network.Explain(x, class, shape)
	for _, v := range a.Logits {
		if v-v != 0 {
			return a, errors.New("the network's outputs for this row are not finite: smaller values are expected")
		}
	}
	return a, nil
}

// ofImages reports whether pictures are expected.
func (p *Page) ofImages() bool { return p.form.Shape != nil }

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

// sentence returns an error as the detail of a problem has it.
func sentence(err error) string {
	text := []rune(err.Error())
	return string(unicode.ToUpper(text[0])) + string(text[1:]) + "."
}
