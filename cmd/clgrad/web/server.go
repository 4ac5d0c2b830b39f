package web

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"syscall"
	"time"
)

// Options say how a server listens, and what it refuses. The zero value of each field is its
// default.
type Options struct {
	// Address is host:port. Without a host it is 127.0.0.1, port 0 is any free one.
	Address string

	// Hosts are further names and addresses, without a port, that Host headers may have.
	Hosts []string

	Log     *slog.Logger  // of requests and panics; nil for none
	Observe func(Request) // is called after each request; from several goroutines

	Body        int64   // largest body, in bytes: 4 MiB
	Connections int     // open at a time: 512. Others wait until one is closed
	Rate        float64 // requests a second of one client's address; 0 for any number
	SpareLocal  bool    // Rate does not hold for loopback addresses

	Limits Limits
}

// Limits are how long things may take.
type Limits struct {
	Head   time.Duration // to read a request's head: 5 s
	Body   time.Duration // to read a request with its body: 30 s
	Answer time.Duration // to answer a request, from its head on: 60 s
	Idle   time.Duration // until the next request of a connection: 60 s
	Stop   time.Duration // for requests that are under way when the server stops: 5 s
}

// A Request is what there is to say about a request that has been answered.
type Request struct {
	Pattern string // of Handle, "" where none fits
	Method  string
	Path    string
	Client  string // its address
	Status  int
	Bytes   int64 // of the answer's body
	Time    time.Duration
}

// A Server listens from [New] on, and answers while [Server.Run] runs.
type Server struct {
	options  Options
	listener *net.TCPListener
	mux      *http.ServeMux
	hosts    map[string]bool
	origins  *http.CrossOriginProtection
	rates    *rates // nil for any number of requests
	stopping chan struct{}
}

// New listens on an address. The server has the embedded files below /static/, and nothing else.
func New(o Options) (*Server, error) {
	o.Body = cmp.Or(o.Body, 4<<20)
	o.Connections = cmp.Or(o.Connections, 512)
	o.Limits.Head = cmp.Or(o.Limits.Head, 5*time.Second)
	o.Limits.Body = cmp.Or(o.Limits.Body, 30*time.Second)
	o.Limits.Answer = cmp.Or(o.Limits.Answer, 60*time.Second)
	o.Limits.Idle = cmp.Or(o.Limits.Idle, 60*time.Second)
	o.Limits.Stop = cmp.Or(o.Limits.Stop, 5*time.Second)
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	host, port, err := net.SplitHostPort(o.Address)
	if err != nil {
		return nil, fmt.Errorf("address %q: HOST:PORT is expected, as in 127.0.0.1:8080: %v", o.Address, err)
	}
	l, err := net.Listen("tcp", net.JoinHostPort(cmp.Or(host, "127.0.0.1"), port))
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return nil, fmt.Errorf("address %s: another program listens there: give another port, or 0 for any free one", o.Address)
	case err != nil:
		return nil, fmt.Errorf("address %s: %w", o.Address, err)
	}
	s := &Server{options: o, listener: l.(*net.TCPListener), mux: http.NewServeMux(), hosts: map[string]bool{"localhost": true},
		origins: http.NewCrossOriginProtection(), stopping: make(chan struct{})}
	for _, name := range append(o.Hosts, host) {
		if name != "" {
			s.hosts[strings.ToLower(name)] = true
		}
	}
	if o.Rate > 0 {
		s.rates = newRates(o.Rate)
	}
	s.Handle("GET /static/{name}", http.HandlerFunc(static))
	return s, nil
}

// Handle has requests answered that fit a pattern of [http.ServeMux]. It is to be called before
// Run.
func (s *Server) Handle(pattern string, h http.Handler) {
	s.mux.Handle(pattern, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.(*response).pattern = pattern
		h.ServeHTTP(w, r)
	}))
}

// URL returns the address as a browser on this machine takes it, without a path.
func (s *Server) URL() string {
	at := s.listener.Addr().(*net.TCPAddr)
	host, _, _ := net.SplitHostPort(s.options.Address)
	switch {
	case at.IP.IsUnspecified():
		host = "localhost"
	case host == "":
		host = at.IP.String()
	}
	return fmt.Sprintf("http://%s", net.JoinHostPort(host, fmt.Sprint(at.Port)))
}

// Loopback says that only this machine reaches the server.
func (s *Server) Loopback() bool { return s.listener.Addr().(*net.TCPAddr).IP.IsLoopback() }

// Stopping returns a channel that is closed as soon as the server begins to stop: handlers whose
// answer has no end return then.
func (s *Server) Stopping() <-chan struct{} { return s.stopping }

// Close stops listening. It is for a server that is not run; of one that has been, it does nothing.
func (s *Server) Close() error {
	if err := s.listener.Close(); !errors.Is(err, net.ErrClosed) {
		return err
	}
	return nil
}

// Run answers requests until the context ends, then waits up to Limits.Stop for those under way. It
// returns nil where it ended for the context. It is called once.
func (s *Server) Run(ctx context.Context) error {
	lim := s.options.Limits
	server := &http.Server{
		Handler:           s,
		ReadHeaderTimeout: lim.Head,
		ReadTimeout:       lim.Body,
		WriteTimeout:      lim.Answer,
		IdleTimeout:       lim.Idle,
		MaxHeaderBytes:    16 << 10,
		ErrorLog:          slog.NewLogLogger(s.options.Log.Handler(), slog.LevelDebug), // of connections that break
	}
	done := make(chan error, 1)
	go func() { done <- server.Serve(limit(s.listener, s.options.Connections)) }()
	select {
	case err := <-done:
		return fmt.Errorf("address %s: %w", s.options.Address, err)
	case <-ctx.Done():
	}
	close(s.stopping)
	stop, cancel := context.WithTimeout(context.WithoutCancel(ctx), lim.Stop)
	defer cancel()
	if err := server.Shutdown(stop); err != nil {
		s.options.Log.Warn("requests under way are broken off", "after", lim.Stop)
		server.Close()
	}
	<-done
	return nil
}
