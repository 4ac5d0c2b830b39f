package predict

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"image"
	"image/png"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"clgrad/network"
	"clgrad/network/checkpoint"
	"clgrad/network/must"
)

// forms returns the body of a form with the same picture many times, and its content type.
func forms(t *testing.T, n int) (*bytes.Buffer, string) {
	t.Helper()
	var picture, body bytes.Buffer
	must.OK(t, png.Encode(&picture, image.NewGray(image.Rect(0, 0, 2, 2))))
	w := multipart.NewWriter(&body)
	for i := range n {
		part, err := w.CreateFormFile("picture", fmt.Sprintf("%d.png", i))
		must.OK(t, err)
		part.Write(picture.Bytes())
	}
	w.Close()
	return &body, w.FormDataContentType()
}

// Some kilobytes of small pictures become gigabytes of rows where the network's images are large: so many rows are
// not taken, those that are count, and nothing is held once a request is over.
func TestMemory(t *testing.T) {
	m := checkpoint.Model{Sizes: []int{300 * 300 * 3, 2}, Precision: checkpoint.F32, Shape: []int{300, 300, 3}}
	s, err := New(m, About{Classes: []string{"a", "b"}}, Options{Rows: 4096, Timeout: time.Minute, Batch: BatchOptions{Queue: 4}})
	must.OK(t, err)
	post := func(path string, pictures int) (int, string) {
		body, kind := forms(t, pictures)
		r := httptest.NewRequest("POST", path, body)
		r.Header.Set("Content-Type", kind)
		w := httptest.NewRecorder()
		s.ServeHTTP(w, r)
		return w.Code, w.Body.String()
	}
	if status, text := post("/", 60); status != http.StatusRequestEntityTooLarge || !strings.Contains(text, "At most 31 rows") {
		t.Errorf("60 rows of a megabyte: status %d, %s", status, text)
	}
	if n := s.budget.used.Load(); n != 0 {
		t.Errorf("%d bytes are held behind a request that was refused", n)
	}

	s.options.Timeout = 5 * time.Second
	held := make(chan int64)
	go func() { // nothing computes the rows: they wait until the time is over
		most := int64(0)
		for len(s.batcher.queue) == 0 {
			most = max(most, s.budget.used.Load())
			time.Sleep(time.Millisecond)
		}
		held <- max(most, s.budget.used.Load())
	}()
	if status, text := post("/", 2); status != http.StatusServiceUnavailable || !strings.Contains(text, "within 5s") {
		t.Errorf("rows that nobody computes: status %d, %s", status, text)
	}
	if n := <-held; n < 2*4*300*300*3 {
		t.Errorf("2 rows of a megabyte hold %d bytes", n)
	}

	s.budget.used.Store(maxMemory - 2000)
	if status, text := post("/", 1); status != http.StatusServiceUnavailable || !strings.Contains(text, "memory") {
		t.Errorf("without memory: status %d, %s", status, text)
	}
	body, kind := forms(t, 1)
	r := httptest.NewRequest("POST", "/", body)
	r.Header.Set("Content-Type", kind)
	if _, ok := s.ReadRow(httptest.NewRecorder(), r); ok {
		t.Error("a row is read without memory")
	}
	if n := s.budget.used.Load(); n != maxMemory-2000 {
		t.Errorf("%d bytes are held, %d of them by others", n, maxMemory-2000)
	}
}

// A client that goes leaves its place in the queue behind, and none of its rows.
func TestGoneHoldsNothing(t *testing.T) {
	b := NewBatcher(network.Samples{Features: 1, Floats: make([]float32, 1), Rows: 1}, BatchOptions{Rows: 4, Queue: 2})
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := b.Logits(ctx, make([]float32, 1), 1); !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	j := <-b.queue
	if j.floats != nil {
		t.Error("the rows of a client that has gone are held")
	}
	c := &sums{classes: 1}
	b.compute(c, []*job{j}, nil)
	if c.batches != nil {
		t.Errorf("they are computed: %v", c.batches)
	}
}
