package predict

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"mime"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"clgrad/cmd/clgrad/web"
	"clgrad/network"
	"clgrad/network/checkpoint"
	"clgrad/network/dataset"
)

// Options say how requests are answered.
type Options struct {
	Batch   BatchOptions
	Rows    int             // most rows of a request
	Timeout time.Duration   // until a request is answered
	Table   dataset.Options // under which tables are read: what is known of the training set
	Log     *slog.Logger    // of failures; nil for none
}

// A Service answers requests for predictions of one model.
type Service struct {
	options Options
	reader  *reader
	about   []byte // the model, as JSON
	labels  [][]byte
	batcher *Batcher
	metrics *metrics
	budget  budget
	memory  sync.Pool   // of *work
	failed  atomic.Bool // the last batch
}

// work is the memory of a request.
type work struct {
	body   bytes.Buffer
	rows   rows
	answer []byte
	held   holding
}

// small says that the memory may be kept for later requests.
func (w *work) small() bool { return w.body.Cap()+4*cap(w.rows.floats)+cap(w.answer) <= maxKept }

// New returns the service of a model. Its scaling is the one of rows, whoever it comes from.
func New(m checkpoint.Model, about About, o Options) (*Service, error) {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	text, err := describeModel(m, about)
	if err != nil {
		return nil, err
	}
	s := &Service{options: o, reader: newReader(m, o.Table, o.Rows), about: text, labels: quoted(about.Classes), metrics: newMetrics()}
	s.memory.New = func() any { return s.newWork() }
	o.Batch.Observe = func(b Batch) {
		s.metrics.batch(b)
		if s.failed.Store(b.Err != nil); b.Err != nil {
			o.Log.Error("a batch could not be computed", "rows", b.Rows, "error", b.Err)
		}
	}
	s.batcher = NewBatcher(s.Like(1), o.Batch)
	s.metrics.waiting(s.batcher.Waiting)
	return s, nil
}

// newWork returns memory for a request.
func (s *Service) newWork() *work { return &work{held: holding{budget: &s.budget}} }

// Like returns samples like those that Run's computer gets, all 0.
func (s *Service) Like(rows int) network.Samples {
	n := s.reader.features
	return network.Samples{Rows: rows, Features: n, Floats: make([]float32, rows*n), Scaling: s.reader.scaling}
}

// Pictures reports whether pictures can become rows.
func (s *Service) Pictures() bool { return s.reader.images }

// Observe counts a request that was answered ([web.Options]).
func (s *Service) Observe(r web.Request) { s.metrics.request(r) }

// Run computes batches until the context ends, on the caller's goroutine, which owns the computer.
func (s *Service) Run(ctx context.Context, c Computer) { s.batcher.Run(ctx, c) }

// Handle has a server answer the requests of this package.
func (s *Service) Handle(server *web.Server) {
	server.Handle("POST /v1/predict", s)
	server.Handle("GET /v1/model", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.Write(s.about)
	}))
	server.Handle("GET /healthz", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "ok\n") }))
	server.Handle("GET /readyz", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		select {
		case <-server.Stopping():
			web.Problem(w, http.StatusServiceUnavailable, "Not ready", "The server stops.")
			return
		default:
		}
		if s.failed.Load() && !s.computes(r.Context()) {
			web.Problem(w, http.StatusServiceUnavailable, "Not ready", "The last batch could not be computed. The log says why.")
			return
		}
		io.WriteString(w, "ready\n")
	}))
	server.Handle("GET /metrics", s.metrics.handler())
}

// computes tries a row of zeros. Where a server is asked for predictions only while it is ready, none but this
// row shows that a device that has failed works again.
func (s *Service) computes(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(ctx, s.options.Timeout)
	defer cancel()
	_, err := s.batcher.Logits(ctx, make([]float32, s.reader.features), 1)
	return err == nil
}

// ServeHTTP answers a request for predictions.
func (s *Service) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), s.options.Timeout)
	defer cancel()
	mine, reuse := s.memory.Get().(*work), false
	defer func() {
		mine.held.give() // not before the answer is sent: a client may read it slowly
		if reuse && mine.small() {
			s.memory.Put(mine)
		}
	}()
	var err error
	reuse, err = s.answer(ctx, r, mine)
	switch {
	case err == nil:
		h := w.Header()
		h["Content-Type"] = jsonType
		h["Cache-Control"] = noStore
		w.Write(mine.answer)
	default:
		s.fail(w, r, err)
	}
}

// Values of headers, which nobody changes.
var (
	jsonType = []string{"application/json"}
	noStore  = []string{"no-store"}
)

// maxKept bounds the memory of a request that is kept for later ones.
const maxKept = 1 << 20

// answer makes the answer to a request. Its memory cannot be used again where the rows may still be read.
func (s *Service) answer(ctx context.Context, r *http.Request, mine *work) (reuse bool, err error) {
	q := &mine.rows
	*q = rows{floats: q.floats[:0]}
	if err := s.reader.query(r, q); err != nil {
		return true, err
	}
	if err := s.read(ctx, r, mine); err != nil {
		return true, err
	}
	logits, err := s.batcher.Logits(ctx, q.floats, q.n)
	if err != nil {
		return false, err
	}
	for i, v := range logits {
		if v-v != 0 {
			return true, unfit("Row %d: the network's outputs are not finite: smaller values are expected.", i/len(s.labels)+1)
		}
	}
	s.metrics.rows.Add(float64(q.n))
	mine.answer = appendAnswer(mine.answer[:0], q, logits, s.labels)
	return true, nil
}

// read reads the rows of a request's body.
func (s *Service) read(ctx context.Context, r *http.Request, mine *work) (err error) {
	q := &mine.rows
	header := r.Header.Get("Content-Type")
	kind, parameters := header, map[string]string(nil)
	if kind != "application/json" { // the usual one, which needs no parsing
		if kind, parameters, err = mime.ParseMediaType(header); err != nil {
			kind = ""
		}
	}
	switch kind {
	case "application/json", "text/csv", "image/png", "image/jpeg", "multipart/form-data":
	default:
		return &requestError{http.StatusUnsupportedMediaType, "Unknown content type",
			fmt.Sprintf("The content type is %.100q: application/json, text/csv, image/png, image/jpeg or multipart/form-data is expected.", header)}
	}
	mine.body.Reset()
	if _, err = mine.body.ReadFrom(counting{r.Body, &mine.held}); err != nil {
		if err != errBusy {
			err = readError{err}
		}
		return err
	}
	content := mine.body.Bytes()
	switch kind {
	case "application/json":
		err = s.reader.decode(content, q)
	case "text/csv":
		err = s.reader.readTable(ctx, content, q)
	case "multipart/form-data":
		return s.reader.pictures(ctx, bytes.NewReader(content), parameters["boundary"], q, &mine.held)
	default:
		return s.reader.picture(ctx, content, "The picture", q, &mine.held)
	}
	if err != nil {
		return err
	}
	return mine.held.take(int64(q.n) * s.reader.rowMemory)
}

// query reads the parameters of a URL.
func (r *reader) query(request *http.Request, q *rows) error {
	if request.URL.RawQuery == "" {
		return nil
	}
	parameters, problem := web.Parameters(request)
	if problem != "" {
		return malformed("%s", problem)
	}
	for name, value := range parameters {
		switch name {
		case "top":
			n, err := strconv.Atoi(value)
			if err != nil || n < 0 || n > r.classes {
				return malformed("top is %.40q: a whole number from 0 to %d is expected.", value, r.classes)
			}
			q.top = n
		case "probabilities":
			wanted, err := strconv.ParseBool(value)
			if err != nil {
				return malformed("probabilities is %.40q: true or false is expected.", value)
			}
			q.probabilities = wanted
		default:
			return malformed("The parameter %.40q is unknown: top or probabilities is expected.", name)
		}
	}
	return nil
}

// fail answers a request with what went wrong.
func (s *Service) fail(w http.ResponseWriter, r *http.Request, err error) {
	var wrong *requestError
	var unread readError
	busy := func(detail string) {
		w.Header().Set("Retry-After", "1")
		web.Problem(w, http.StatusServiceUnavailable, "Busy", detail)
	}
	switch {
	case errors.As(err, &wrong):
		web.Problem(w, wrong.status, wrong.title, wrong.detail)
	case errors.As(err, &unread):
		web.ReadError(w, unread.error)
	case r.Context().Err() != nil:
		web.Problem(w, statusGone, "Client gone", "")
	case errors.Is(err, errBusy):
		busy("Earlier requests take all the memory that there is for them.")
	case errors.Is(err, ErrFull):
		busy(fmt.Sprintf("%d requests wait for the device.", s.options.Batch.Queue))
	case errors.Is(err, ErrStopped):
		busy("The server stops.")
	case errors.Is(err, context.DeadlineExceeded):
		busy(fmt.Sprintf("The answer was not there within %v.", s.options.Timeout))
	default:
		web.Problem(w, http.StatusInternalServerError, "Not computed", "The device could not compute this request. The server's log says why.")
	}
}

// statusGone is what the log has of a client that did not wait. It is nobody's answer.
const statusGone = 499

// A readError is why a body could not be read.
type readError struct{ error }
