package predict

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"io"
	"mime/multipart"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"clgrad/cmd/clgrad/web"
	"clgrad/network"
	"clgrad/network/checkpoint"
	"clgrad/network/dataset"
	"clgrad/network/must"
)

// sums is a Computer whose logits are, for class k, feature k times 10.
type sums struct {
	classes int
	mu      sync.Mutex
	batches []int           // rows of each
	wait    <-chan struct{} // nil, or what each batch waits for
	err     error
}

func (c *sums) Logits(s network.Samples) ([]float64, error) {
	if c.wait != nil {
		<-c.wait
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.batches = append(c.batches, s.Rows)
	var logits []float64
	for i := range s.Rows {
		for k := range c.classes {
			logits = append(logits, 10*float64(s.FloatRow(i)[k]))
		}
	}
	return logits, c.err
}

// flowers is a model of a table with three features and two classes, whose second value may be
// missing.
func flowers() checkpoint.Model {
	return checkpoint.Model{Sizes: []int{3, 2}, Precision: checkpoint.F32, Parameters: make([]float64, 48), Shape: []int{3}, Classes: []string{"rose", "tulip \"red\""},
		Columns: &dataset.Columns{Number: 5, Names: []string{"id", "width", "length", "kind", "age"}, Label: 4, Ignored: []int{1}, Means: []float64{1, 2, 3}},
		Run:     &checkpoint.Run{Data: "/home/somebody/flowers.csv", Digest: "d"}}
}

// start runs a service until the test ends and returns its server.
func start(t *testing.T, m checkpoint.Model, c Computer, o Options) *web.Server {
	t.Helper()
	if o.Rows == 0 {
		o.Rows = 10
	}
	if o.Timeout == 0 {
		o.Timeout = 20 * time.Second
	}
	if o.Batch.Rows == 0 {
		o.Batch.Rows = 4
	}
	if o.Batch.Queue == 0 {
		o.Batch.Queue = 100
	}
	o.Table.Columns, o.Table.Classes = m.Columns, m.Classes
	if m.Columns != nil && m.Columns.Means != nil {
		o.Table.Trained.Missing = dataset.Mean
	}
	classes := m.Classes
	for i := len(classes); i < m.Sizes[len(m.Sizes)-1]; i++ {
		classes = append(classes, fmt.Sprint(i))
	}
	service, err := New(m, About{Classes: classes, Backend: "test"}, o)
	must.OK(t, err)
	server, err := web.New(web.Options{Address: ":0", Body: 100_000, Observe: service.Observe})
	must.OK(t, err)
	service.Handle(server)
	serving, stop := context.WithCancel(context.Background())
	computing, done := context.WithCancel(context.Background())
	var all sync.WaitGroup
	all.Go(func() { service.Run(computing, c) })
	all.Go(func() {
		server.Run(serving)
		done()
	})
	t.Cleanup(func() { stop(); all.Wait() })
	return server
}

// ask posts a body and returns status and answer.
func ask(t testing.TB, s *web.Server, path, kind string, body io.Reader) (int, string) {
	t.Helper()
	answer, err := http.Post(s.URL()+path, kind, body)
	must.OK(t, err)
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	must.OK(t, err)
	if is := answer.Header.Get("Content-Type") == "application/problem+json"; is != (answer.StatusCode >= 400) {
		t.Errorf("%s: status %d with %s", path, answer.StatusCode, answer.Header.Get("Content-Type"))
	}
	return answer.StatusCode, string(text)
}

// Requests are understood, or answered with what was expected and where.
func TestRequests(t *testing.T) {
	s := start(t, flowers(), &sums{classes: 2}, Options{})
	const jsonKind, csvKind = "application/json", "text/csv"
	rose, tulip := `{"label":"rose","class":0,"probability":`, `{"label":"tulip \"red\"","class":1,"probability":`
	for _, c := range []struct {
		path, kind, body string
		status           int
		expected         string // in the answer
	}{
		{"", jsonKind, `{"row":[1,0,5]}`, 200, `{"predictions":[` + rose + `0.9999546}]}`},
		{"", jsonKind, `{"rows":[[0,1,5],[1,0,5]]}`, 200, `{"predictions":[` + tulip + `0.9999546},` + rose + `0.9999546}]}`},
		{"", jsonKind, " {\t\"rows\" : [ [ 0e0 , 1E+0,-5.50 ] ] , \"top\" : 1 }\n", 200, `"top":[` + tulip + `0.9999546}]`},
		{"", jsonKind, `{"probabilities":true,"row":[1,1,1]}`, 200, `"probabilities":[0.5,0.5]`},
		{"?top=2&probabilities=true", jsonKind, `{"row":[1,1,1]}`, 200, `"top":[` + rose + `0.5},` + tulip + `0.5}],"probabilities":[0.5,0.5]`},
		{"", jsonKind, `{"row":[true,false,5]}`, 200, `{"predictions":[` + rose + `0.9999546}]}`},
		{"", csvKind, "width,length,age\nTrue,FALSE,5\n", 200, `{"predictions":[` + rose + `0.9999546}]}`},
		{"", jsonKind, `{"row":[null,0,1]}`, 200, rose + `0.9999546`},
		{"", jsonKind, `{"records":[{"age":1,"length":0,"width":1},{"kind":"x","id":[1],"width":0,"length":null,"age":0}]}`, 200,
			`{"predictions":[` + rose + `0.9999546},` + tulip + `1}]}`},
		{"", csvKind, "width,length,age\n1,0,5\n0,1,5\n", 200, `{"predictions":[` + rose + `0.9999546},` + tulip + `0.9999546}]`},
		{"", csvKind + "; charset=utf-8", "age,length,width\n5,,0\n", 200, `{"predictions":[` + tulip + `1}]`},

		{"", jsonKind, ``, 400, "ends"},
		{"", jsonKind, `{"row":[1,0,5]`, 400, "ends"},
		{"", jsonKind, `[1,2,3]`, 400, "an array where"},
		{"", jsonKind, `{}`, 400, "Rows are missing"},
		{"", jsonKind, `{"rows":[]}`, 400, "at least one"},
		{"", jsonKind, `{"row":[1,0,5]} x`, 400, "more follows"},
		{"", jsonKind, `{"row":[1,0,5]}{}`, 400, "more follows"},
		{"", jsonKind, `{"row":[1,0,5],"row":[1,0,5]}`, 400, "duplicate"},
		{"", jsonKind, `{"row":[1,0,5],"rows":[[1,0,5]]}`, 400, "Both"},
		{"", jsonKind, `{"row":[1,0,5],"tip":1}`, 400, `\"tip\" is unknown`},
		{"", jsonKind, `{"row":[1,0,NaN]}`, 400, `"The row, feature 3`},
		{"", jsonKind, `{"row":[1,0,Infinity]}`, 400, `"The row, feature 3`},
		{"", jsonKind, `{"row":[1,0,"NaN"]}`, 400, `the text \"NaN\" where a number`},
		{"", jsonKind, `{"row":[1,0,01]}`, 400, "byte 13"},
		{"", jsonKind, `{"row":[1,0,.5]}`, 400, `"The row, feature 3`},
		{"", jsonKind, `{"row":[1,0,[5]]}`, 400, "an array where a number"},
		{"", jsonKind, `{"row":[1,0,1e39]}`, 422, "The row, feature 3: 1e39 is beyond"},
		{"", jsonKind, `{"row":[1,0,1e999]}`, 422, "1e999 is beyond"},
		{"", jsonKind, `{"row":[3e38,-3e38,0]}`, 200, rose + "1"},
		{"", jsonKind, `{"rows":[[1,0,5],[1,0]]}`, 422, `"Row 2: there are 2 features where 3`},
		{"", jsonKind, `{"rows":[[1,0,5],[1,0,5,6]]}`, 422, `"Row 2: there are more than 3`},
		{"", jsonKind, `{"rows":[[1,0,5],1]}`, 400, `"Row 2: 1 where an array`},
		{"", jsonKind, `{"rows":` + strings.Repeat("[", 50_000) + `}`, 400, "Row 1, feature 1"},
		{"", jsonKind, strings.Repeat(`{"row":`, 10_000), 400, "object"},
		{"", jsonKind, `{"rows":[` + strings.Repeat("[1,0,5],", 10) + `[1,0,5]]}`, 413, "10 rows"},
		{"", jsonKind, `{"row":[1,0,5],"top":3}`, 400, `"The member \"top\": 3 where a whole number from 0 to 2`},
		{"", jsonKind, `{"row":[1,0,5],"top":1.5}`, 400, "whole number"},
		{"", jsonKind, `{"row":[1,0,5],"probabilities":1}`, 400, "true or false"},
		{"", jsonKind, `{"records":[{"width":1,"length":0}]}`, 422, `"Record 1: the column \"age\" is missing`},
		{"", jsonKind, `{"records":[{"width":1,"length":0,"age":1,"height":1}]}`, 422, `\"height\" is no column`},
		{"", jsonKind, `{"records":[{"width":1,"length":0,"age":1,"age":1}]}`, 400, "duplicate"},
		{"", jsonKind, `{"records":[{"width":"wide","length":0,"age":1}]}`, 400, `"Record 1, column \"width\": the text \"wide\" where a number`},
		{"", jsonKind, "{\"row\":[1,0,5],\"\xff\":1}", 400, "UTF-8"},
		{"?top=9", jsonKind, `{"row":[1,0,5]}`, 400, "from 0 to 2"},
		{"?tip=9", jsonKind, `{"row":[1,0,5]}`, 400, "tip"},
		{"?top=%zz", jsonKind, `{"row":[1,0,5]}`, 400, "cannot be read"},
		{"?top=1&top=2", jsonKind, `{"row":[1,0,5]}`, 400, "twice"},
		{"", jsonKind, `{"row":[` + strings.Repeat(" ", 100_000) + `1,0,5]}`, 413, "100000 bytes"},
		{"", csvKind, "width,length,age\n1,0,x\n", 422, "Line 2, column 3"},
		{"", csvKind, "width,length\n1,0\n", 422, `"The table has no column \"age\"`},
		{"", csvKind, "", 422, `"The table is empty`},
		{"", csvKind, "width,length,age\n" + strings.Repeat("1,0,5\n", 11), 413, "10 rows"},
		{"", csvKind, "\x1f\x8b\x08", 415, "not compressed"},
		{"", "text/plain", `{"row":[1,0,5]}`, 415, "text/plain"},
		{"", "", `{"row":[1,0,5]}`, 415, "expected"},
		{"", "image/png", "x", 422, "not trained on images"},
	} {
		status, text := ask(t, s, "/v1/predict"+c.path, c.kind, strings.NewReader(c.body))
		if status != c.status || !strings.Contains(text, c.expected) {
			t.Errorf("%.200s: status %d, %s\nexpected: status %d with %s", c.body, status, text, c.status, c.expected)
		}
		if strings.Contains(text, "standard input") || strings.Contains(text, "--") && status != 422 {
			t.Errorf("%.200s: the answer speaks of a command line: %s", c.body, text)
		}
	}
	answer, err := http.Get(s.URL() + "/v1/model")
	must.OK(t, err)
	defer answer.Body.Close()
	text, _ := io.ReadAll(answer.Body)
	for _, part := range []string{`"columns":["width","length","age"]`, `"gaps":true`, `"data":"flowers.csv"`, `"parameters":8`, `"sizes":[3,2]`} {
		if !bytes.Contains(text, []byte(part)) {
			t.Errorf("the model lacks %s: %s", part, text)
		}
	}
	if bytes.Contains(text, []byte("somebody")) {
		t.Errorf("the model has a folder's name: %s", text)
	}
	metrics, err := http.Get(s.URL() + "/metrics")
	must.OK(t, err)
	defer metrics.Body.Close()
	text, _ = io.ReadAll(metrics.Body)
	for _, part := range []string{`clgrad_http_requests_total{code="413",handler="POST /v1/predict"} 2`, "clgrad_batch_rows_count 12", "clgrad_waiting_requests 0", "go_goroutines", "process_open_fds"} {
		if !bytes.Contains(text, []byte(part)) {
			t.Errorf("the metrics lack %s", part)
		}
	}
}

// Pictures become rows, alone and as parts of a form.
func TestPictures(t *testing.T) {
	picture := func(at int) []byte {
		p := image.NewGray(image.Rect(0, 0, 3, 2))
		p.SetGray(at%3, at/3, color.Gray{255})
		var b bytes.Buffer
		must.OK(t, png.Encode(&b, p))
		return b.Bytes()
	}
	// Of colour images the rows are the pixels.
	m := checkpoint.Model{Sizes: []int{18, 6}, Precision: checkpoint.F32, Parameters: make([]float64, 18*16+16), Shape: []int{2, 3, 3}}
	s := start(t, m, &sums{classes: 6}, Options{})
	if status, text := ask(t, s, "/v1/predict", "image/png", bytes.NewReader(picture(1))); status != 200 || !strings.Contains(text, `"class":3`) {
		t.Errorf("status %d, %s", status, text)
	}
	var body bytes.Buffer
	w := multipart.NewWriter(&body)
	for i := range 2 {
		part, err := w.CreateFormFile("picture", fmt.Sprintf("../../p%d.png", i))
		must.OK(t, err)
		part.Write(picture(i))
	}
	w.Close()
	whole := body.String()
	if status, text := ask(t, s, "/v1/predict", w.FormDataContentType(), strings.NewReader(whole)); status != 200 ||
		!strings.HasPrefix(text, `{"predictions":[{"file":"p0.png","label":"0","class":0,`) || !strings.Contains(text, `{"file":"p1.png","label":"3","class":3,`) {
		t.Errorf("status %d, %s", status, text)
	}
	for body, kind := range map[string]string{
		"nothing":                        "image/png",
		string(picture(0)[:30]):          "image/jpeg",
		whole[:len(whole)/2]:             w.FormDataContentType(),
		"x":                              "multipart/form-data",
		"--b\r\n\r\nno picture\r\n--b--": "multipart/form-data; boundary=b",
	} {
		if status, text := ask(t, s, "/v1/predict", kind, strings.NewReader(body)); status != 400 && status != 422 {
			t.Errorf("%.40q: status %d, %s", body, status, text)
		}
	}
}

// Rows of many clients are computed together, and each has its own answer. A client that has gone has its rows
// left out.
func TestBatches(t *testing.T) {
	goOn := make(chan struct{})
	c := &sums{classes: 2, wait: goOn}
	s := start(t, flowers(), c, Options{})
	var all sync.WaitGroup
	post := func(ctx context.Context, i int) error {
		r, err := http.NewRequestWithContext(ctx, "POST", s.URL()+"/v1/predict", strings.NewReader(fmt.Sprintf(`{"row":[%d,%d,0],"probabilities":true}`, i%2, 1-i%2)))
		if err != nil {
			return err
		}
		r.Header.Set("Content-Type", "application/json")
		answer, err := http.DefaultClient.Do(r)
		if err != nil {
			return err
		}
		defer answer.Body.Close()
		var got struct{ Predictions []struct{ Class int } }
		if err := json.NewDecoder(answer.Body).Decode(&got); err != nil {
			return err
		}
		if len(got.Predictions) != 1 || got.Predictions[0].Class != 1-i%2 {
			return fmt.Errorf("client %d has the answer %v", i, got)
		}
		return nil
	}
	for i := range 20 {
		all.Go(func() {
			if err := post(context.Background(), i); err != nil {
				t.Error(err)
			}
		})
	}
	gone, leave := context.WithCancel(context.Background())
	for i := range 20 {
		all.Go(func() {
			if err := post(gone, i); !errors.Is(err, context.Canceled) {
				t.Errorf("a client that goes: %v", err)
			}
		})
	}
	time.Sleep(200 * time.Millisecond) // most of them wait then
	leave()
	time.Sleep(200 * time.Millisecond)
	close(goOn)
	all.Wait()
	c.mu.Lock()
	defer c.mu.Unlock()
	rows, most := 0, 0
	for _, n := range c.batches {
		rows, most = rows+n, max(most, n)
	}
	if rows < 20 || rows > 30 || most != 4 || len(c.batches) > 15 {
		t.Errorf("batches of %v rows for 20 rows that are waited for and 20 that are not, at most 4 at a time", c.batches)
	}
}

// Where the queue is full, the device fails or takes too long, a request is told so.
func TestBusy(t *testing.T) {
	goOn := make(chan struct{})
	c := &sums{classes: 2, wait: goOn}
	s := start(t, flowers(), c, Options{Timeout: 300 * time.Millisecond, Batch: BatchOptions{Queue: 1}})
	var all sync.WaitGroup
	var mu sync.Mutex
	said := map[string]int{}
	for range 8 {
		all.Go(func() {
			status, text := ask(t, s, "/v1/predict", "application/json", strings.NewReader(`{"row":[1,0,5]}`))
			mu.Lock()
			defer mu.Unlock()
			switch {
			case status == 503 && strings.Contains(text, "1 requests wait"):
				said["full"]++
			case status == 503 && strings.Contains(text, "within 300ms"):
				said["late"]++
			default:
				t.Errorf("status %d, %s", status, text)
			}
		})
	}
	all.Wait()
	if said["full"] == 0 || said["late"] == 0 {
		t.Errorf("answers %v", said)
	}
	close(goOn)
	c.mu.Lock()
	c.err = errors.New("the device is gone")
	c.mu.Unlock()
	ready := func() int {
		answer, err := http.Get(s.URL() + "/readyz")
		must.OK(t, err)
		answer.Body.Close()
		return answer.StatusCode
	}
	told := false
	for range 50 { // the first answers may be of batches before
		status, _ := ask(t, s, "/v1/predict", "application/json", strings.NewReader(`{"row":[1,0,5]}`))
		if told = status == 500 && ready() == 503; told {
			break
		}
	}
	if !told {
		t.Error("a device that fails is not told")
	}
	c.mu.Lock()
	c.err = nil
	c.mu.Unlock()
	if status := ready(); status != 200 {
		t.Errorf("the device works again, and nobody asks for predictions: status %d", status)
	}
}

// What the fast reader takes, the strict one takes too, with the same rows; and nothing makes either panic.
func FuzzDecode(f *testing.F) {
	for _, text := range []string{
		`{"row":[1,0,5]}`, `{"rows":[[1.5,-0,5e2],[0.1,1e-3,12345678901234567890]],"top":2,"probabilities":false}`,
		`{"records":[{"width":1,"length":null,"age":3}]}`, `{"row":[1,0,5],"row":[1,0,5]}`, `{"rows":[[1,0,5],]}`, `{"top":01,"row":[1,2,3]}`,
		`{"row":[1,2,0.30000000000000004]}`, `{"row":[1,2,3.4028235677973366e38]}`, `{"top":1e0,"row":[1,2,3]}`, `{"row":[-0,-0.0,00]}`,
	} {
		f.Add([]byte(text))
	}
	r := newReader(flowers(), dataset.Options{}, 10)
	f.Fuzz(func(t *testing.T, body []byte) {
		var fast, strict rows
		ok := r.scan(body, &fast)
		err := r.decodeStrictly(body, &strict)
		if err != nil {
			if _, is := errors.AsType[*requestError](err); !is {
				t.Errorf("%q: an error without a status: %v", body, err)
			}
		}
		if !ok {
			return
		}
		if err != nil {
			t.Fatalf("%q: read by the fast reader, and refused by the strict one: %v", body, err)
		}
		if fast.n != strict.n || fast.top != strict.top || fast.probabilities != strict.probabilities || len(fast.floats) != len(strict.floats) {
			t.Fatalf("%q: %v and %v", body, fast, strict)
		}
		for i, v := range fast.floats {
			if v != strict.floats[i] {
				t.Fatalf("%q: value %d is %v and %v", body, i, v, strict.floats[i])
			}
		}
	})
}

// BenchmarkDecode reads 16 images of 784 pixels.
func BenchmarkDecode(b *testing.B) {
	row := "[" + strings.TrimSuffix(strings.Repeat("0,0,0,0,0,128,255,17,", 98), ",") + "]"
	body := []byte(`{"rows":[` + strings.TrimSuffix(strings.Repeat(row+",", 16), ",") + `]}`)
	m := checkpoint.Model{Sizes: []int{784, 10}, Shape: []int{28, 28}}
	r := newReader(m, dataset.Options{}, 100)
	for name, read := range map[string]func([]byte, *rows) error{"strict": r.decodeStrictly, "fast": r.decode} {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(body)))
			var q rows
			for b.Loop() {
				q = rows{floats: q.floats[:0]}
				must.OK(b, read(body, &q))
			}
		})
	}
}
