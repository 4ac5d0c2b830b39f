package web

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"clgrad/network/must"
)

// start runs a server with the handlers of the tests until the test ends. stop ends it earlier
// and returns what Run returned.
func start(t *testing.T, o Options) (s *Server, stop func() error) {
	t.Helper()
	if o.Address == "" {
		o.Address = "127.0.0.1:0"
	}
	s, err := New(o)
	must.OK(t, err)
	s.Handle("GET /hello", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "hello") }))
	s.Handle("POST /echo", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			ReadError(w, err)
			return
		}
		w.Write(body)
	}))
	s.Handle("GET /panic", http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic("on purpose") }))
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	stop = sync.OnceValue(func() error { cancel(); return <-done })
	t.Cleanup(func() { stop() })
	return s, stop
}

// ask sends a request and returns the answer with its body. head are names and values of
// headers in turn; that of Host is the one.
func ask(t *testing.T, s *Server, method, path, body string, head ...string) (*http.Response, string) {
	t.Helper()
	r, err := http.NewRequest(method, s.URL()+path, strings.NewReader(body))
	must.OK(t, err)
	for i := 0; i < len(head); i += 2 {
		if head[i] == "Host" {
			r.Host = head[i+1]
		}
		r.Header.Set(head[i], head[i+1])
	}
	answer, err := http.DefaultClient.Do(r)
	must.OK(t, err)
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	must.OK(t, err)
	return answer, string(text)
}

// isProblem reports an answer that has no problem details of a status, with a word in the detail.
func isProblem(t *testing.T, answer *http.Response, text string, status int, word string) {
	t.Helper()
	var p struct {
		Title  string
		Status int
		Detail string
	}
	if err := json.Unmarshal([]byte(text), &p); err != nil {
		t.Fatalf("status %d, %q: %v", answer.StatusCode, text, err)
	}
	if answer.StatusCode != status || p.Status != status || p.Title == "" || !strings.Contains(p.Detail, word) || answer.Header.Get("Content-Type") != "application/problem+json" {
		t.Errorf("status %d, %s, %q: expected problem details with status %d that say %q", answer.StatusCode, answer.Header.Get("Content-Type"), text, status, word)
	}
}

// What is refused is answered with problem details, the rest by the handlers.
func TestRequests(t *testing.T) {
	s, _ := start(t, Options{Body: 1000, Hosts: []string{"digits.example"}})
	port := s.URL()[strings.LastIndexByte(s.URL(), ':'):]
	for _, c := range []struct {
		method, path, body string
		head               []string
		status             int
		word               string
	}{
		{"GET", "/hello", "", nil, 200, "hello"},
		{"GET", "/hello", "", []string{"Host", "localhost" + port}, 200, "hello"},
		{"GET", "/hello", "", []string{"Host", "LOCALHOST."}, 200, "hello"},
		{"GET", "/hello", "", []string{"Host", "127.0.0.2" + port}, 200, "hello"},
		{"GET", "/hello", "", []string{"Host", "[::1]" + port}, 200, "hello"},
		{"GET", "/hello", "", []string{"Host", "Digits.Example:80"}, 200, "hello"},
		{"GET", "/hello", "", []string{"Host", "evil.example"}, 421, "evil.example"},
		{"GET", "/hello", "", []string{"Host", "127.0.0.1.evil.example" + port}, 421, "evil.example"},
		{"GET", "/hello", "", []string{"Host", "192.0.2.1" + port}, 421, "192.0.2.1"},
		{"GET", "/nothing", "", nil, 404, "path"},
		{"GET", "/../../etc/passwd", "", nil, 404, "path"},
		{"GET", "/static/..%2f..%2fetc%2fpasswd", "", nil, 404, "file"},
		{"GET", "/static/nothing.css", "", nil, 404, "file"},
		{"GET", "/static/", "", nil, 404, "path"},
		{"PUT", "/hello", "", nil, 405, "GET, HEAD"},
		{"GET", "/panic", "", nil, 500, "log"},
		{"POST", "/echo", "abc", nil, 200, "abc"},
		{"POST", "/echo", strings.Repeat("a", 1001), nil, 413, "1000"},
		{"POST", "/echo", "abc", []string{"Origin", s.URL()}, 200, "abc"},
		{"POST", "/echo", "abc", []string{"Origin", "http://evil.example"}, 403, "origin"},
		{"POST", "/echo", "abc", []string{"Origin", "null"}, 403, "origin"},
		{"POST", "/echo", "abc", []string{"Sec-Fetch-Site", "cross-site"}, 403, "origin"},
		{"POST", "/echo", "abc", []string{"Sec-Fetch-Site", "same-origin"}, 200, "abc"},
	} {
		answer, text := ask(t, s, c.method, c.path, c.body, c.head...)
		if c.status != 200 {
			isProblem(t, answer, text, c.status, c.word)
		} else if answer.StatusCode != 200 || text != c.word {
			t.Errorf("%s %s %q: status %d, %q", c.method, c.path, c.head, answer.StatusCode, text)
		}
		for name := range securityHeaders {
			if answer.Header.Get(name) == "" {
				t.Errorf("%s %s: no header %s", c.method, c.path, name)
			}
		}
	}
}

// A body without a length is cut at the limit too.
func TestChunkedBody(t *testing.T) {
	s, _ := start(t, Options{Body: 1000})
	r, err := http.NewRequest("POST", s.URL()+"/echo", io.LimitReader(neverEnding('a'), 1e6))
	must.OK(t, err)
	answer, err := http.DefaultClient.Do(r)
	must.OK(t, err)
	defer answer.Body.Close()
	text, _ := io.ReadAll(answer.Body)
	isProblem(t, answer, string(text), 413, "1000")
}

type neverEnding byte

func (b neverEnding) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = byte(b)
	}
	return len(p), nil
}

// A client that sends nothing, or its head or body too slowly, is not waited for, and others are
// answered meanwhile.
func TestSlowClients(t *testing.T) {
	s, _ := start(t, Options{Limits: Limits{Head: 200 * time.Millisecond, Body: 400 * time.Millisecond, Idle: 200 * time.Millisecond}})
	var all sync.WaitGroup
	for _, c := range []struct{ name, sent, answer string }{
		{"nothing", "", ""},
		{"half a head", "POST /echo HTTP/1.1\r\nHost: localhost\r\nX-Slow: ", ""},
		{"half a body", "POST /echo HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\n\r\nabc", "HTTP/1.1 408"},
		{"nothing after an answer", "GET /hello HTTP/1.1\r\nHost: localhost\r\n\r\n", "HTTP/1.1 200"},
	} {
		all.Go(func() {
			conn, err := net.Dial("tcp", strings.TrimPrefix(s.URL(), "http://"))
			if err != nil {
				t.Error(err)
				return
			}
			defer conn.Close()
			io.WriteString(conn, c.sent)
			conn.SetReadDeadline(time.Now().Add(20 * time.Second))
			text, err := io.ReadAll(conn) // until the server closes the connection
			if err != nil || !strings.HasPrefix(string(text), c.answer) {
				t.Errorf("%s: %q, %v", c.name, text, err)
			}
		})
	}
	if answer, text := ask(t, s, "GET", "/hello", ""); answer.StatusCode != 200 {
		t.Errorf("beside slow clients: status %d, %q", answer.StatusCode, text)
	}
	all.Wait()
}

// Heads that are no HTTP or too long are answered with 400 or 431. The client reads the answer to its end, though the
// server has not read all that it sent.
func TestHeads(t *testing.T) {
	s, _ := start(t, Options{})
	for head, status := range map[string]string{
		"GET /hello\r\n\r\n":                                                           "HTTP/1.1 400 ",
		"GET /hello HTTP/1.1\r\n\r\n":                                                  "HTTP/1.1 400 ",
		"GET /hello HTTP/1.1\r\nHost: localhost\r\nX: a\nb\r\n":                        "HTTP/1.1 400 ",
		"GET /hello HTTP/1.1\r\nHost: localhost\r\nX: " + strings.Repeat("a", 100_000): "HTTP/1.1 431 ",
	} {
		conn, err := net.Dial("tcp", strings.TrimPrefix(s.URL(), "http://"))
		must.OK(t, err)
		defer conn.Close()
		io.WriteString(conn, head)
		conn.SetReadDeadline(time.Now().Add(20 * time.Second))
		if answer, err := io.ReadAll(conn); err != nil || !strings.HasPrefix(string(answer), status) {
			t.Errorf("%.60q: %q, %v", head, answer, err)
		}
	}
}

// Further connections wait until one of those that are open is closed.
func TestConnections(t *testing.T) {
	s, _ := start(t, Options{Connections: 1})
	address := strings.TrimPrefix(s.URL(), "http://")
	first, err := net.Dial("tcp", address)
	must.OK(t, err)
	get := "GET /hello HTTP/1.1\r\nHost: localhost\r\n\r\n"
	io.WriteString(first, get)
	if _, err := bufio.NewReader(first).ReadString('\n'); err != nil {
		t.Fatal(err)
	}
	second, err := net.Dial("tcp", address)
	must.OK(t, err)
	defer second.Close()
	io.WriteString(second, get)
	second.SetReadDeadline(time.Now().Add(100 * time.Millisecond))
	if line, err := bufio.NewReader(second).ReadString('\n'); err == nil {
		t.Errorf("a second connection is answered: %q", line)
	}
	first.Close()
	second.SetReadDeadline(time.Now().Add(20 * time.Second))
	if line, err := bufio.NewReader(second).ReadString('\n'); err != nil || !strings.Contains(line, "200") {
		t.Errorf("after the first is closed: %q, %v", line, err)
	}
}

// A client that sends more than its rate gets 429 and is told when to come again.
func TestRate(t *testing.T) {
	s, _ := start(t, Options{Rate: 5})
	var last *http.Response
	var text string
	for range 20 {
		if last, text = ask(t, s, "GET", "/hello", ""); last.StatusCode != 200 {
			break
		}
	}
	isProblem(t, last, text, 429, "5 requests a second")
	if last.Header.Get("Retry-After") == "" {
		t.Error("no Retry-After")
	}
	spared, _ := start(t, Options{Rate: 5, SpareLocal: true})
	for range 20 {
		if answer, text := ask(t, spared, "GET", "/hello", ""); answer.StatusCode != 200 {
			t.Fatalf("a client on this machine that is spared: status %d, %s", answer.StatusCode, text)
		}
	}
}

// The clients that are remembered are bounded, one that sends is not forgotten, and the addresses of an
// IPv6 network are one client.
func TestRatesAreBounded(t *testing.T) {
	r := newRates(1)
	busy := netip.MustParseAddr("192.0.2.1")
	if !r.allow(busy) || r.allow(busy) {
		t.Fatal("one request a second is not one")
	}
	var address [16]byte
	for i := range 10 * maxClients {
		address[0], address[1], address[2] = 0x20, byte(i>>8), byte(i)
		address[15] = byte(i)
		r.allow(netip.AddrFrom16(address))
		if i%1000 == 0 && r.allow(busy) && i < 3000 {
			t.Errorf("forgotten after %d others", i)
		}
		if n := len(r.recent) + len(r.old); n > maxClients {
			t.Fatalf("%d clients are remembered", n)
		}
	}
	a, b := netip.MustParseAddr("2001:db8::1"), netip.MustParseAddr("2001:db8::2")
	if !r.allow(a) || r.allow(b) {
		t.Error("two addresses of a network are two clients")
	}
}

// When the server stops, requests under way are answered, no new ones are taken, and one without
// end is broken off.
func TestStop(t *testing.T) {
	begun, streaming, goOn := make(chan bool, 1), make(chan bool, 1), make(chan bool)
	s, err := New(Options{Address: "127.0.0.1:0", Limits: Limits{Stop: 500 * time.Millisecond}})
	must.OK(t, err)
	s.Handle("GET /slow", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		begun <- true
		<-goOn
		io.WriteString(w, "done")
	}))
	s.Handle("GET /stream", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, "begin")
		http.NewResponseController(w).Flush()
		streaming <- true
		<-s.Stopping()
		io.WriteString(w, " end")
	}))
	s.Handle("GET /forever", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		begun <- true
		<-r.Context().Done()
	}))
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	answers := map[string]chan string{}
	for _, path := range []string{"/slow", "/stream", "/forever"} {
		answer := make(chan string, 1)
		answers[path] = answer
		go func() {
			r, err := http.Get(s.URL() + path)
			if err != nil {
				answer <- "broken off"
				return
			}
			defer r.Body.Close()
			text, _ := io.ReadAll(r.Body)
			answer <- string(text)
		}()
	}
	<-begun
	<-begun
	<-streaming
	cancel()
	<-s.Stopping()
	close(goOn)
	for path, expected := range map[string]string{"/slow": "done", "/stream": "begin end", "/forever": "broken off"} {
		if text := <-answers[path]; text != expected {
			t.Errorf("%s: %q, expected %q", path, text, expected)
		}
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
	if _, err := http.Get(s.URL() + "/slow"); err == nil {
		t.Error("a server that has stopped answers")
	}
}

// An address that cannot be listened on is an error that says what to do.
func TestAddress(t *testing.T) {
	s, _ := start(t, Options{Address: ":0"})
	if !s.Loopback() || !strings.HasPrefix(s.URL(), "http://127.0.0.1:") {
		t.Errorf("without a host: %s", s.URL())
	}
	taken := strings.TrimPrefix(s.URL(), "http://")
	for address, word := range map[string]string{taken: "another program", "8080": "HOST:PORT", "127.0.0.1:http8": "http8", "nothing.invalid:1": "nothing.invalid"} {
		other, err := New(Options{Address: address})
		if err == nil {
			other.Close()
			t.Errorf("%s: no error", address)
		} else if !strings.Contains(err.Error(), word) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: %v", address, err)
		}
	}
	all, err := New(Options{Address: "0.0.0.0:0"})
	must.OK(t, err)
	defer all.Close()
	if all.Loopback() || !strings.HasPrefix(all.URL(), "http://localhost:") {
		t.Errorf("on all addresses: %s, loopback %v", all.URL(), all.Loopback())
	}
}

// Embedded files have types, and tags by which a browser need not load them again.
func TestStatic(t *testing.T) {
	s, _ := start(t, Options{})
	first, text := ask(t, s, "GET", "/static/style.css", "")
	if first.StatusCode != 200 || first.Header.Get("Content-Type") != "text/css; charset=utf-8" || !strings.Contains(text, "--paper") {
		t.Fatalf("status %d, %s", first.StatusCode, first.Header.Get("Content-Type"))
	}
	if again, text := ask(t, s, "GET", "/static/style.css", "", "If-None-Match", first.Header.Get("ETag")); again.StatusCode != 304 || text != "" {
		t.Errorf("asked again: status %d, %d bytes", again.StatusCode, len(text))
	}
	for name, f := range files {
		if f.kind == "" {
			t.Errorf("%s: files of this kind have no content type: see types", name)
		}
	}
}

// Each request is logged and observed once, with what was answered; a panic with its stack.
func TestLog(t *testing.T) {
	var log bytes.Buffer
	var observed []Request
	s, stop := start(t, Options{
		Log:     slog.New(slog.NewJSONHandler(&log, nil)),
		Observe: func(r Request) { observed = append(observed, r) },
	})
	ask(t, s, "GET", "/hello", "")
	ask(t, s, "GET", "/nothing", "")
	ask(t, s, "GET", "/panic", "")
	stop()
	var got []string
	for _, r := range observed {
		got = append(got, fmt.Sprintf("%s %s %q %d", r.Method, r.Path, r.Pattern, r.Status))
	}
	expected := `GET /hello "GET /hello" 200, GET /nothing "" 404, GET /panic "GET /panic" 500`
	if strings.Join(got, ", ") != expected {
		t.Errorf("observed %s", strings.Join(got, ", "))
	}
	if n := strings.Count(log.String(), `"msg":"request"`); n != 3 {
		t.Errorf("%d requests are logged:\n%s", n, log.String())
	}
	for _, word := range []string{`"path":"/hello","status":200,"bytes":5`, `"value":"on purpose"`, "web_test.go"} {
		if !strings.Contains(log.String(), word) {
			t.Errorf("the log lacks %s:\n%s", word, log.String())
		}
	}
}
