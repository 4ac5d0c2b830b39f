package watch

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"

	"clgrad/cmd/clgrad/web"
)

const (
	// maxClients bounds those who watch at a time.
	maxClients = 64
	// heartbeat is after what time at most a client gets something, so that both sides notice a
	// connection that is dead.
	heartbeat = 15 * time.Second
	// farewell is how long clients have to take the last change when the run has ended.
	farewell = time.Second
)

// A Server shows a [Run] at an address.
type Server struct {
	*Run
	web     *web.Server
	timeout time.Duration // of sending to a client
	cancel  context.CancelFunc
	done    chan struct{}
}

// Listen listens at host:port, and shows there the run of a command line from now on. Without a host
// it is 127.0.0.1, and port 0 is any free one.
func Listen(address, command string) (*Server, error) {
	return listen(address, command, 10*time.Second, web.Limits{Stop: farewell})
}

// listen is Listen with limits, and how long sending to a client may take.
func listen(address, command string, timeout time.Duration, limits web.Limits) (*Server, error) {
	s := &Server{Run: newRun(command), timeout: timeout, done: make(chan struct{})}
	var err error
	if s.web, err = web.New(web.Options{Address: address, Connections: 4 * maxClients, Limits: limits}); err != nil {
		s.Run.End(Failed, "")
		return nil, err
	}
	s.web.Handle("GET /{$}", web.File("watch.html"))
	s.web.Handle("GET /v1/run", http.HandlerFunc(s.whole))
	s.web.Handle("GET /v1/run/events", http.HandlerFunc(s.events))
	s.web.Handle("GET /v1/run/samples/{name}", http.HandlerFunc(s.picture))
	s.web.Handle("GET /report", http.HandlerFunc(s.showReport))
	var ctx context.Context
	ctx, s.cancel = context.WithCancel(context.Background())
	go func() {
		defer close(s.done)
		s.web.Run(ctx) // an error is that of a listener which the system has closed: the run goes on
	}()
	return s, nil
}

// URL returns the address of the page.
func (s *Server) URL() string { return s.web.URL() + "/" }

// Loopback says that only this machine reaches the server.
func (s *Server) Loopback() bool { return s.web.Loopback() }

// End says how the run ended, see [Run.End], and stops the server: clients get the last change.
func (s *Server) End(p Phase, message string) {
	s.Run.End(p, message)
	s.cancel()
	<-s.done
}

// whole answers with the state.
func (s *Server) whole(w http.ResponseWriter, _ *http.Request) {
	s.mu.Lock()
	state := s.state()
	s.mu.Unlock()
	text, err := json.Marshal(state)
	if err != nil {
		web.Problem(w, http.StatusInternalServerError, "Internal error", err.Error())
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.Write(append(text, '\n')) // nobody is left to tell of an error
}

// events answers with server-sent events until the run has ended.
func (s *Server) events(w http.ResponseWriter, r *http.Request) {
	defer s.clients.Add(-1)
	if s.clients.Add(1) > maxClients {
		w.Header().Set("Retry-After", "10")
		web.Problem(w, http.StatusServiceUnavailable, "Too many clients", fmt.Sprintf("At most %d watch a run at a time.", maxClients))
		return
	}
	known := -1
	if run, n, ok := strings.Cut(r.Header.Get("Last-Event-ID"), "-"); ok && run == s.id {
		if i, err := strconv.Atoi(n); err == nil {
			known = i
		}
	}
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("X-Accel-Buffering", "no") // proxies pass events on at once
	send := func(messages ...[]byte) error {
		control := http.NewResponseController(w)
		if err := control.SetWriteDeadline(time.Now().Add(s.timeout)); err != nil {
			return err
		}
		for _, m := range messages {
			if _, err := w.Write(m); err != nil {
				return err
			}
		}
		return control.Flush()
	}
	timer := time.NewTimer(heartbeat)
	defer timer.Stop()
	for {
		messages, now, news, err := s.since(known)
		if err != nil || send(messages...) != nil || news == nil {
			return
		}
		known = now
		timer.Reset(heartbeat)
		select {
		case <-news:
		case <-timer.C:
			if send([]byte(": still here\n\n")) != nil {
				return
			}
		case <-r.Context().Done():
			return
		}
	}
}

// picture answers with the picture of a sample.
func (s *Server) picture(w http.ResponseWriter, r *http.Request) {
	name, isPNG := strings.CutSuffix(r.PathValue("name"), ".png")
	i, err := strconv.Atoi(name)
	s.mu.Lock()
	pictures := s.pictures
	s.mu.Unlock()
	if !isPNG || err != nil || i < 0 || i >= len(pictures) {
		web.Problem(w, http.StatusNotFound, "Not found", fmt.Sprintf("There are %d pictures of samples, from 0.png on.", len(pictures)))
		return
	}
	w.Header().Set("Content-Type", "image/png")
	w.Header().Set("Cache-Control", "no-store") // another run may listen here tomorrow
	w.Write(pictures[i])
}

// showReport answers with the report, a page that has its styles and pictures in itself.
func (s *Server) showReport(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	ready, name := s.live.ready, ""
	if ready {
		name = s.live.setup.Report
	}
	s.mu.Unlock()
	file, err := os.Open(name)
	if err != nil {
		web.Problem(w, http.StatusNotFound, "Not found", "The report is not there yet.")
		return
	}
	defer file.Close()
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'")
	http.ServeContent(w, r, "", time.Time{}, file)
}
