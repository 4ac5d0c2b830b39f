package web

import (
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"runtime/debug"
	"strings"
	"time"
)

// ServeHTTP checks a request, has it answered, and logs it.
func (s *Server) ServeHTTP(rw http.ResponseWriter, r *http.Request) {
	w := &response{ResponseWriter: rw}
	begin := time.Now()
	defer func() {
		p := recover()
		if p != nil && p != http.ErrAbortHandler {
			s.options.Log.Error("panic", "method", r.Method, "path", r.URL.Path, "value", fmt.Sprint(p), "stack", string(debug.Stack()))
			if w.status == 0 {
				Problem(w, http.StatusInternalServerError, "Internal error", "This request met a mistake in the program. Its log says more.")
				p = nil
			}
		}
		s.answered(w, r, time.Since(begin))
		if p != nil {
			panic(http.ErrAbortHandler) // the client is to see that the answer is not whole
		}
	}()
	setHeaders(w.Header())
	if s.refuse(w, r) {
		return
	}
	r.Body = http.MaxBytesReader(rw, r.Body, s.options.Body)
	s.mux.ServeHTTP(w, r)
}

// refuse answers a request that does not pass the checks.
func (s *Server) refuse(w http.ResponseWriter, r *http.Request) bool {
	if !s.ours(r) {
		Problem(w, http.StatusMisdirectedRequest, "Foreign host",
			fmt.Sprintf("The Host header is %.100q, and this server does not have that name. It takes other names where it is started with them.", r.Host))
		return true
	}
	if err := s.origins.Check(r); err != nil {
		Problem(w, http.StatusForbidden, "Foreign origin", "The request comes from a page of another origin.")
		return true
	}
	if client, err := netip.ParseAddrPort(r.RemoteAddr); err == nil && s.rates != nil && !s.rates.allow(client.Addr()) {
		w.Header().Set("Retry-After", "1")
		Problem(w, http.StatusTooManyRequests, "Too many requests",
			fmt.Sprintf("At most %g requests a second are taken from one address.", s.options.Rate))
		return true
	}
	if r.ContentLength > s.options.Body {
		w.Header().Set("Connection", "close")
		tooLarge(w, s.options.Body)
		return true
	}
	return false
}

// ours says that the Host header names this server.
func (s *Server) ours(r *http.Request) bool {
	host := r.Host
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	host = strings.Trim(host, "[]")
	if s.hosts[strings.ToLower(strings.TrimSuffix(host, "."))] {
		return true
	}
	address, err := netip.ParseAddr(host)
	if err != nil {
		return false
	}
	if address.IsLoopback() {
		return true
	}
	local, _ := r.Context().Value(http.LocalAddrContextKey).(net.Addr)
	if local == nil {
		return false
	}
	at, err := netip.ParseAddrPort(local.String())
	return err == nil && at.Addr().Unmap() == address.Unmap()
}

// answered logs a request and hands it on.
func (s *Server) answered(w *response, r *http.Request, d time.Duration) {
	status := w.status
	if status == 0 {
		status = http.StatusOK // as net/http has it where a handler writes nothing
	}
	if s.options.Observe != nil {
		s.options.Observe(Request{Pattern: w.pattern, Method: r.Method, Path: r.URL.Path, Client: r.RemoteAddr, Status: status, Bytes: w.bytes, Time: d})
	}
	level := slog.LevelInfo
	if status >= 500 {
		level = slog.LevelWarn
	}
	if s.options.Log.Enabled(r.Context(), level) {
		s.options.Log.LogAttrs(r.Context(), level, "request", slog.String("method", r.Method), slog.String("path", r.URL.Path),
			slog.Int("status", status), slog.Int64("bytes", w.bytes), slog.Duration("time", d), slog.String("client", r.RemoteAddr))
	}
}

// A response notes what was answered. Where no pattern fits, it answers with problem details in
// place of the text of [http.ServeMux].
type response struct {
	http.ResponseWriter
	pattern string // that fits, "" until a handler is called
	status  int    // 0 until the head is written
	bytes   int64
	instead bool // problem details are written in place of another text
	done    bool // they are written: what follows is that text
}

// Unwrap is for [http.ResponseController].
func (w *response) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// WriteHeader implements [http.ResponseWriter].
func (w *response) WriteHeader(status int) {
	if w.status != 0 {
		return
	}
	if w.pattern == "" && !w.instead {
		switch status {
		case http.StatusNotFound:
			w.replace(status, "Not found", "Nothing has this path.")
			return
		case http.StatusMethodNotAllowed:
			w.replace(status, "Method not allowed", "This path takes "+w.Header().Get("Allow")+".")
			return
		}
	}
	if status >= 200 { // others are not the answer
		w.status = status
	}
	w.ResponseWriter.WriteHeader(status)
}

// replace writes problem details in place of what the caller is about to write.
func (w *response) replace(status int, title, detail string) {
	w.instead = true
	Problem(w, status, title, detail)
	w.done = true
}

// Write implements [http.ResponseWriter].
func (w *response) Write(p []byte) (int, error) {
	if w.done {
		return len(p), nil
	}
	if w.status == 0 {
		w.WriteHeader(http.StatusOK)
	}
	n, err := w.ResponseWriter.Write(p)
	w.bytes += int64(n)
	return n, err
}
