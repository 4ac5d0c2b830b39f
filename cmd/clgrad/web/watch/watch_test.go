package watch

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"net"
	"net/http"
	"path/filepath"
	"reflect"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"clgrad/cmd/clgrad/report"
	"clgrad/cmd/clgrad/run"
	"clgrad/cmd/clgrad/web"
	"clgrad/network"
	"clgrad/network/must"
)

// beginning is of a run of two classes, on images of 2×2 pixels.
func beginning() run.Beginning {
	return run.Beginning{
		Title: "4-2 on squares", Settings: []report.Figure{{Name: "seed", Value: "1"}}, Iterations: 1_000_000, Batches: 1, Flops: 8,
		SamplesOf: "test set", Samples: network.Samples{Rows: 2, Features: 4, Bytes: []uint8{0, 1, 2, 3, 255, 0, 0, 9}, Labels: []int32{1, 0}},
		Rows: []int{1, 8}, Shape: []int{2, 2}, Classes: 2,
	}
}

// shown starts a server that shows a run until the test ends.
func shown(t *testing.T, timeout time.Duration, limits web.Limits) *Server {
	t.Helper()
	s, err := listen("127.0.0.1:0", "clgrad train --watch", timeout, limits)
	must.OK(t, err)
	t.Cleanup(func() { s.End(Finished, "") })
	return s
}

// iterate has a run do iterations first to last, which take a millisecond each.
func iterate(s *Server, first, last int) {
	for i := first; i <= last; i++ {
		s.Iteration(network.Iteration{Number: i, Loss: 1 / float64(i), Correct: 5, Rows: 10, Elapsed: time.Millisecond}, 0.5)
	}
}

func get(t *testing.T, s *Server, path string, header ...string) (*http.Response, string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), "GET", strings.TrimSuffix(s.URL(), "/")+path, nil)
	must.OK(t, err)
	for i := 0; i < len(header); i += 2 {
		request.Header.Set(header[i], header[i+1])
		if header[i] == "Host" {
			request.Host = header[i+1]
		}
	}
	response, err := http.DefaultClient.Do(request)
	must.OK(t, err)
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	must.OK(t, err)
	return response, string(body)
}

// whole returns GET /v1/run without what changes by itself.
func whole(t *testing.T, s *Server) map[string]any {
	t.Helper()
	_, body := get(t, s, "/v1/run")
	return steady(t, []byte(body))
}

func steady(t *testing.T, text []byte) map[string]any {
	t.Helper()
	var m map[string]any
	if err := json.Unmarshal(text, &m); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	delete(m, "changes")
	delete(m, "use")
	if p, ok := m["progress"].(map[string]any); ok {
		delete(p, "rate")
		delete(p, "left")
	}
	return m
}

// A client follows the events of a run, and keeps its state as the page does.
type client struct {
	response *http.Response
	cancel   context.CancelFunc
	lines    *bufio.Scanner
	id       string
	kinds    []string // of the events
	state    map[string]any
}

func connect(t *testing.T, s *Server, lastID string) *client {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	t.Cleanup(cancel)
	request, err := http.NewRequestWithContext(ctx, "GET", s.URL()+"v1/run/events", nil)
	must.OK(t, err)
	if lastID != "" {
		request.Header.Set("Last-Event-ID", lastID)
	}
	response, err := http.DefaultClient.Do(request)
	must.OK(t, err)
	c := &client{response: response, cancel: cancel, lines: bufio.NewScanner(response.Body)}
	c.lines.Buffer(nil, 10<<20)
	return c
}

// next takes the next event, ok where there is one before the stream ends.
func (c *client) next(t *testing.T) bool {
	t.Helper()
	kind := ""
	for c.lines.Scan() {
		name, value, _ := strings.Cut(c.lines.Text(), ": ")
		switch name {
		case "id":
			c.id = value
		case "event":
			kind = value
			c.kinds = append(c.kinds, kind)
		case "data":
			var m map[string]any
			if err := json.Unmarshal([]byte(value), &m); err != nil {
				t.Fatalf("%s: %v", value, err)
			}
			c.apply(kind, m)
			return true
		}
	}
	return false
}

// apply does what apply of static/watch.js does.
func (c *client) apply(kind string, m map[string]any) {
	if kind == "snapshot" {
		c.state = m
		return
	}
	for key, value := range m {
		switch key {
		case "curves":
			for name, s := range value.(map[string]any) {
				stretch, curve := s.(map[string]any), c.state["curves"].(map[string]any)[name].(map[string]any)
				points := curve["points"].([]any)
				curve["points"] = append(points[:int(stretch["at"].(float64))], stretch["points"].([]any)...)
			}
		default:
			c.state[key] = value
		}
	}
}

// until takes events until a condition is met.
func (c *client) until(t *testing.T, what string, met func(state map[string]any) bool) {
	t.Helper()
	for c.state == nil || !met(c.state) {
		if !c.next(t) {
			t.Fatalf("the stream ends before %s", what)
		}
	}
}

// at returns whether a state is of an iteration.
func at(iteration int) func(map[string]any) bool {
	return func(state map[string]any) bool {
		p, ok := state["progress"].(map[string]any)
		return ok && int(p["iteration"].(float64)) == iteration
	}
}

// same reports a client whose state is not that of GET /v1/run.
func (c *client) same(t *testing.T, s *Server) {
	t.Helper()
	text, err := json.Marshal(c.state)
	must.OK(t, err)
	if got, want := steady(t, text), whole(t, s); !reflect.DeepEqual(got, want) {
		t.Errorf("the client has %v\nwhere the run has %v", got, want)
	}
}

func number(v float64) *network.Number {
	n := network.Number(v)
	return &n
}

// A client that follows a run from its start to its end has all that GET /v1/run has, and the
// stream ends there.
func TestFollow(t *testing.T) {
	s := shown(t, time.Minute, web.Limits{})
	c := connect(t, s, "")
	c.until(t, "the start", func(state map[string]any) bool { return state["phase"] == "starting" })
	s.Note("computing on the CPU")
	b := beginning()
	b.Batches, b.ByEpoch = 10, true
	s.Begin(b)
	for epoch := range 5 {
		iterate(s, 1000*epoch+1, 1000*epoch+1000)
		line := run.Line{Iteration: 1000*epoch + 1000, Loss: network.Number(1 / float64(epoch+1)), TrainAccuracy: 0.5}
		if epoch != 2 {
			line.ValidationLoss, line.ValidationAccuracy = number(math.Abs(float64(epoch)-3)), number(0.1*float64(epoch))
		}
		s.Line(line)
		s.Predictions(line.Iteration, []float64{0, 1, 2, float64(epoch)})
		c.until(t, "the epoch", at(line.Iteration))
		c.same(t, s)
	}
	for i := range maxNotes + 10 {
		s.Note(fmt.Sprint("note ", i))
	}
	s.Scoring()
	s.Scored(run.Summary{Loss: 0.25, TrainAccuracy: 0.75})
	go s.Run.End(Failed, "the disk is full")
	c.until(t, "the end", func(state map[string]any) bool { return state["phase"] == "failed" })
	c.same(t, s)
	if c.next(t) {
		t.Error("there are events behind the end")
	}
	state := whole(t, s)
	best := state["best"].(map[string]any)
	if got := fmt.Sprint(best["of"], ", ", best["loss"], ", ", best["accuracy"]); got != "validation set, map[iteration:4000 value:0], map[iteration:5000 value:0.4]" {
		t.Errorf("the best is %s", got)
	}
	if notes := state["notes"].([]any); len(notes) != maxNotes || notes[maxNotes-1] != fmt.Sprint("note ", maxNotes+9) {
		t.Errorf("notes are %v", notes)
	}
	if p := state["predictions"].(map[string]any); fmt.Sprint(p["rows"].([]any)[1].([]any)[0].(map[string]any)["class"]) != "1" || p["iteration"] != 5000. {
		t.Errorf("predictions are %v", p)
	}
	if state["message"] != "the disk is full" {
		t.Errorf("the end is %v", state)
	}
}

// A client that connects again with the id of its last event gets what it missed, and no
// snapshot. With an id of another run, one that is too old, or nonsense it gets a snapshot.
func TestReconnect(t *testing.T) {
	s := shown(t, time.Minute, web.Limits{})
	s.Begin(beginning())
	iterate(s, 1, 10)
	c := connect(t, s, "")
	c.until(t, "ten iterations", at(10))
	c.cancel()
	iterate(s, 11, 20)
	other := connect(t, s, "")
	other.until(t, "twenty iterations", at(20))
	iterate(s, 21, 30)
	other.until(t, "thirty iterations", at(30))

	again := connect(t, s, c.id)
	again.state = c.state
	again.until(t, "thirty iterations", at(30))
	again.same(t, s)
	for _, kind := range again.kinds {
		if kind != "change" {
			t.Errorf("the client that knew %s got %v", c.id, again.kinds)
			break
		}
	}
	if points := again.state["curves"].(map[string]any)["iterations"].(map[string]any)["points"].([]any); len(points) != 30 {
		t.Errorf("30 iterations have %d points", len(points))
	}
	for _, id := range []string{"another-1", "", "-", s.id, s.id + "-x", s.id + "--1", s.id + "-1000000"} {
		fresh := connect(t, s, id)
		fresh.until(t, "thirty iterations", at(30))
		if fresh.kinds[0] != "snapshot" {
			t.Errorf("a client that knew %q got %v", id, fresh.kinds)
		}
		fresh.same(t, s)
		fresh.cancel()
	}
	old := c.id
	for i := range maxKept {
		iterate(s, 31+i, 31+i)
		s.take(time.Now())
	}
	late := connect(t, s, old)
	late.until(t, "all iterations", at(30+maxKept))
	if late.kinds[0] != "snapshot" {
		t.Errorf("a client that knew a change which is not kept any more got %v", late.kinds)
	}
	late.same(t, s)
}

// What is kept for clients is bounded, however many iterations there are between two changes.
func TestKeptIsBounded(t *testing.T) {
	s := shown(t, time.Minute, web.Limits{})
	s.Begin(beginning())
	largest := 0
	for i := range 100 {
		iterate(s, 5000*i+1, 5000*i+5000)
		s.take(time.Now())
		s.mu.Lock()
		size := 0
		for _, m := range s.kept {
			size += len(m)
			largest = max(largest, len(m))
		}
		if size != s.keptSize || size > maxKeptBytes || len(s.kept) > maxKept {
			t.Errorf("%d changes of %d bytes are kept, where %d bytes are counted", len(s.kept), size, s.keptSize)
		}
		s.mu.Unlock()
	}
	if largest > 40*maxPoints+2000 {
		t.Errorf("a change has %d bytes", largest)
	}
}

// Twenty clients all see the end. None of them has more than five events a second.
func TestTwentyClients(t *testing.T) {
	before := runtime.NumGoroutine()
	s := shown(t, time.Minute, web.Limits{})
	s.Begin(beginning())
	var all sync.WaitGroup
	begin := time.Now()
	for range 20 {
		c := connect(t, s, "")
		all.Go(func() {
			for c.next(t) {
			}
			if c.state["phase"] != "finished" || !at(100)(c.state) {
				t.Errorf("a client's last state is %v", c.state)
			}
			if most := 5 + int(time.Since(begin)/tick); len(c.kinds) > most {
				t.Errorf("a client had %d events in %v", len(c.kinds), time.Since(begin))
			}
		})
	}
	for i := range 100 {
		iterate(s, i+1, i+1)
		time.Sleep(10 * time.Millisecond)
	}
	if !s.WantsPredictions() {
		t.Error("nobody wants predictions")
	}
	s.End(Finished, "")
	all.Wait()
	http.DefaultClient.CloseIdleConnections()
	for end := time.Now().Add(5 * time.Second); runtime.NumGoroutine() > before; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			buffer := make([]byte, 1<<20)
			t.Fatalf("%d goroutines where there were %d:\n%s", runtime.NumGoroutine(), before, buffer[:runtime.Stack(buffer, true)])
		}
	}
	if s.WantsPredictions() {
		t.Errorf("%d clients are left", s.clients.Load())
	}
}

// A client that does not read is dropped. Neither the run nor another client waits for it.
func TestSlowClient(t *testing.T) {
	s := shown(t, 100*time.Millisecond, web.Limits{})
	s.Begin(beginning())
	slow, err := net.Dial("tcp", strings.TrimSuffix(strings.TrimPrefix(s.URL(), "http://"), "/"))
	must.OK(t, err)
	defer slow.Close()
	must.OK(t, slow.(*net.TCPConn).SetReadBuffer(4096))
	fmt.Fprintf(slow, "GET /v1/run/events HTTP/1.1\r\nHost: localhost\r\n\r\n")
	for end := time.Now().Add(10 * time.Second); s.clients.Load() == 0; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("the client is not there")
		}
	}
	other := connect(t, s, "")
	other.until(t, "the beginning", at(0))
	// Each change has a whole curve, some 40 kB: what the system buffers is full at last.
	iteration := 0
	for end := time.Now().Add(3 * time.Minute); s.clients.Load() > 1; {
		if time.Now().After(end) {
			t.Fatal("the client that does not read is still there")
		}
		begin := time.Now()
		iterate(s, iteration+1, iteration+4000)
		iteration += 4000
		if d := time.Since(begin); d > time.Second {
			t.Fatalf("the run waited %v", d)
		}
		s.take(time.Now())
		other.until(t, "all iterations", at(iteration))
	}
	other.same(t, s)
}

// Streams go on behind the time that a request's body may take.
func TestStreamHasNoEnd(t *testing.T) {
	s := shown(t, time.Minute, web.Limits{Body: 500 * time.Millisecond, Answer: 500 * time.Millisecond})
	s.Begin(beginning())
	c := connect(t, s, "")
	for i := range 10 {
		iterate(s, i+1, i+1)
		c.until(t, "an iteration", at(i+1))
		time.Sleep(100 * time.Millisecond)
	}
}

func TestTooManyClients(t *testing.T) {
	s := shown(t, time.Minute, web.Limits{})
	for range maxClients {
		if c := connect(t, s, ""); c.response.StatusCode != http.StatusOK {
			t.Fatal(c.response.Status)
		}
	}
	response, body := get(t, s, "/v1/run/events")
	if response.StatusCode != http.StatusServiceUnavailable || response.Header.Get("Retry-After") == "" || !strings.Contains(body, fmt.Sprint(maxClients)) {
		t.Errorf("%s: %s", response.Status, body)
	}
}

// What the server has and what it refuses.
func TestPaths(t *testing.T) {
	file := filepath.Join(t.TempDir(), "report.html")
	s := shown(t, time.Minute, web.Limits{})
	for _, path := range []string{"/report", "/v1/run/samples/0.png"} {
		if r, body := get(t, s, path); r.StatusCode != http.StatusNotFound || !strings.Contains(r.Header.Get("Content-Type"), "problem+json") {
			t.Errorf("%s before the run has begun: %s, %s", path, r.Status, body)
		}
	}
	b := beginning()
	b.Report = file
	s.Begin(b)
	s.take(time.Now())
	for _, c := range []struct {
		path, host string
		status     int
		kind       string
	}{
		{"/", "", 200, "text/html"},
		{"/static/watch.js", "", 200, "text/javascript"},
		{"/static/chart.js", "", 200, "text/javascript"},
		{"/static/watch.css", "", 200, "text/css"},
		{"/v1/run", "", 200, "application/json"},
		{"/v1/run/samples/0.png", "", 200, "image/png"},
		{"/v1/run/samples/1.png?run=any", "", 200, "image/png"},
		{"/v1/run/samples/2.png", "", 404, "application/problem+json"},
		{"/v1/run/samples/-1.png", "", 404, "application/problem+json"},
		{"/v1/run/samples/0", "", 404, "application/problem+json"},
		{"/v1/run/samples/..%2f..%2frun.go", "", 404, "application/problem+json"},
		{"/report", "", 404, "application/problem+json"},
		{"/v1/run", "example.org", 421, "application/problem+json"},
		{"/v1/run/events", "example.org", 421, "application/problem+json"},
		{"/", "example.org", 421, "application/problem+json"},
	} {
		var header []string
		if c.host != "" {
			header = []string{"Host", c.host}
		}
		r, body := get(t, s, c.path, header...)
		if kind := r.Header.Get("Content-Type"); r.StatusCode != c.status || !strings.HasPrefix(kind, c.kind) {
			t.Errorf("GET %s of host %q: status %d, %s: %.200s", c.path, c.host, r.StatusCode, kind, body)
		}
	}
	must.Write(t, "<!doctype html><title>a report</title>", file)
	s.take(time.Now())
	r, body := get(t, s, "/report")
	if r.StatusCode != 200 || !strings.Contains(body, "a report") || !strings.Contains(r.Header.Get("Content-Security-Policy"), "default-src 'none'") {
		t.Errorf("the report: %s, %v, %s", r.Status, r.Header, body)
	}
	if state := whole(t, s); state["report_ready"] != true {
		t.Errorf("the state has %v", state)
	}
}

// Somebody else's port is an error that says so, and nothing is left behind.
func TestPortInUse(t *testing.T) {
	before := runtime.NumGoroutine()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must.OK(t, err)
	defer l.Close()
	if _, err := Listen(l.Addr().String(), ""); err == nil || !strings.Contains(err.Error(), "another program listens there") {
		t.Errorf("error %v", err)
	}
	if n := runtime.NumGoroutine(); n > before {
		t.Errorf("%d goroutines where there were %d", n, before)
	}
}

// A run that is gone on with has the curve of its earlier part at once, and rates of this
// process alone.
func TestEarlierPart(t *testing.T) {
	s := shown(t, time.Minute, web.Limits{})
	b := beginning()
	for i := range 5000 {
		b.Losses, b.Accuracies = append(b.Losses, 1/float64(i+1)), append(b.Accuracies, 0.5)
	}
	b.Lines = []run.Line{{Iteration: 5000, Loss: 0.0002, TrainAccuracy: 0.5, TestLoss: number(3), TestAccuracy: number(0.25)}}
	b.Seconds = 50
	s.Begin(b)
	s.take(time.Now())
	state := s.live.all()
	points := state.Curves[IterationsCurve].Points
	if len(points) < maxPoints/2 || points[len(points)-1].Iteration != 5000 || len(state.Curves[TestCurve].Points) != 1 ||
		state.Progress.Iteration != 5000 || state.Progress.Seconds != 50 || state.Progress.Rate != nil {
		t.Errorf("after the beginning: %+v, %d points", state.Progress, len(points))
	}
	time.Sleep(20 * time.Millisecond)
	iterate(s, 5001, 5010)
	s.take(time.Now())
	state = s.live.all()
	if r := state.Progress.Rate; r == nil || *r < 1 || *r > 500 {
		t.Errorf("ten iterations in 20 ms or more: %+v", state.Progress)
	}
	if left := state.Progress.Left; left == nil || math.Abs(*left**state.Progress.Rate-(1_000_000-5010)) > 1 {
		t.Errorf("time left: %+v", state.Progress)
	}
}

// What an iteration takes of both goroutines.
func BenchmarkIteration(b *testing.B) {
	s, err := Listen("127.0.0.1:0", "")
	must.OK(b, err)
	defer s.End(Finished, "")
	s.Begin(beginning())
	for i := 0; b.Loop(); i++ {
		iterate(s, i+1, i+1)
		if i%5000 == 0 {
			s.take(time.Now())
		}
	}
}

// What one change takes with twenty clients, theirs included: there are at most four in a second.
func BenchmarkTwentyClients(b *testing.B) {
	s, err := Listen("127.0.0.1:0", "")
	must.OK(b, err)
	defer s.End(Finished, "")
	s.Begin(beginning())
	changes := make(chan struct{}, 20)
	for range 20 {
		response, err := http.Get(s.URL() + "v1/run/events")
		must.OK(b, err)
		defer response.Body.Close()
		go func() {
			for lines := bufio.NewScanner(response.Body); lines.Scan(); {
				if strings.HasPrefix(lines.Text(), "event: change") {
					changes <- struct{}{}
				}
			}
		}()
	}
	for i := 0; b.Loop(); i++ {
		iterate(s, 1000*i+1, 1000*i+1000)
		s.take(time.Now())
		for range 20 {
			<-changes
		}
	}
}
