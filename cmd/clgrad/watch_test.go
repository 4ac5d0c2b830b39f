package main

import (
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"clgrad/network/must"
)

// A watchedRun is one of train --watch in this process. It writes a line at most every 50 ms,
// and waits behind those that the test lets it write.
type watchedRun struct {
	url    string
	lines  chan struct{} // one element for each line that it may write
	cancel func()        // as SIGINT does
	done   chan struct{}
	status int
	err    *lockedBuffer
}

// A lockedBuffer may be read while it is written.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

var shownAt = regexp.MustCompile(`the run is shown at (http://[^/]+)/\n`)

// startWatched starts train --watch and waits for the address.
func startWatched(t *testing.T, args ...string) *watchedRun {
	t.Helper()
	ctx, stop := context.WithCancelCause(t.Context())
	cancel := func() { stop(signalError{syscall.SIGINT}) }
	r := &watchedRun{lines: make(chan struct{}, 1000), cancel: cancel, done: make(chan struct{}), err: &lockedBuffer{}}
	out := writer(func(p []byte) (int, error) {
		select {
		case <-r.lines:
		case <-ctx.Done():
		}
		time.Sleep(50 * time.Millisecond)
		return len(p), nil
	})
	a := &app{Context: ctx, out: out, err: r.err}
	go func() {
		defer close(r.done)
		r.status = a.run(append([]string{"train", "--watch"}, args...))
	}()
	t.Cleanup(func() {
		cancel()
		<-r.done
	})
	within(t, time.Minute, "an address", func() bool {
		if m := shownAt.FindStringSubmatch(r.err.String()); m != nil {
			r.url = m[1]
		}
		return r.url != ""
	})
	return r
}

// write lets the run write n more lines.
func (r *watchedRun) write(n int) {
	for range n {
		r.lines <- struct{}{}
	}
}

// within waits until a condition is met.
func within(t *testing.T, limit time.Duration, what string, met func() bool) {
	t.Helper()
	for end := time.Now().Add(limit); !met(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("no %s within %v", what, limit)
		}
	}
}

// A follower is standard error of train --watch. As soon as it has the address it follows the
// events, so that somebody watches before the first iteration.
type follower struct {
	lockedBuffer
	once   sync.Once
	events chan string // all of them, once they end
}

func newFollower() *follower { return &follower{events: make(chan string, 1)} }

func (f *follower) Write(p []byte) (int, error) {
	if m := shownAt.FindSubmatch(p); m != nil {
		f.once.Do(func() {
			response, err := http.Get(string(m[1]) + "/v1/run/events")
			if err != nil {
				f.events <- err.Error()
				return
			}
			go func() {
				text, _ := io.ReadAll(response.Body) // what is missing is found
				response.Body.Close()
				f.events <- string(text)
			}()
		})
	}
	return f.lockedBuffer.Write(p)
}

// goodWatched runs a command line that has to succeed, with --watch and a client, and returns
// the events.
func goodWatched(t *testing.T, args ...string) (events string) {
	t.Helper()
	f := newFollower()
	a := &app{Context: t.Context(), out: io.Discard, err: f}
	if status := a.run(append(args, "--watch")); status != success {
		t.Fatalf("clgrad %s --watch: status %d\n%s", strings.Join(args, " "), status, f)
	}
	select {
	case events = <-f.events:
	case <-time.After(10 * time.Second):
		t.Fatal("the events do not end")
	}
	if !strings.Contains(events, `"phase":"finished"`) {
		t.Errorf("clgrad %s --watch: the events end without the end of the run: %.300s", strings.Join(args, " "), events)
	}
	return events
}

// A run that somebody watches has the bits of one that nobody does, by any optimizer and on any
// backend, and what it computes for the watcher is not in it.
func TestWatchEqualBits(t *testing.T) {
	data := images(t, 500, 100)
	common := []string{"train", "--data", data, "--layers", "20,10", "--validation", "0.1"}
	runs := map[string][]string{
		"L-BFGS":   {"--backend", "cpu64", "--optimizer", "lbfgs", "--iterations", "15"},
		"together": {"--backend", "cpu,cpu64", "--shares", "1,1", "--iterations", "20"},
	}
	for _, name := range backends(t) {
		runs["all rows on "+name] = []string{"--backend", name, "--iterations", "20"}
		runs["batches on "+name] = []string{"--backend", name, "--batch-size", "32", "--epochs", "20", "--optimizer", "adam", "--early-stopping", "--patience", "3"}
	}
	for what, flags := range runs {
		if testing.Short() && what != "batches on cpu" {
			continue
		}
		args := append(append([]string{}, common...), flags...)
		alone, watched := filepath.Join(t.TempDir(), "run"), filepath.Join(t.TempDir(), "run")
		good(t, append(args, "--out", alone)...)
		events := goodWatched(t, append(args, "--out", watched)...)
		sameRun(t, what, untimed(t, alone), watched)
		for _, part := range []string{`"predictions":{"iteration":`, `"results":[{"name":"test set"`, `"report_ready":true`, `"test":{"at":`} {
			if !strings.Contains(events, part) {
				t.Errorf("%s: the events have no %s: %.2000s", what, part, events)
			}
		}
	}
}

// A run that is gone on with is shown from its first iteration on.
func TestWatchResumed(t *testing.T) {
	data, run := images(t, 300, 100), filepath.Join(t.TempDir(), "run")
	status, notes := interrupted(t, 30, "train", "--data", data, "--layers", "8", "--backend", "cpu", "--iterations", "60", "--log-every", "5", "--out", run)
	if status != signalled+int(syscall.SIGINT) {
		t.Fatalf("status %d: %s", status, notes)
	}
	events := goodWatched(t, "train", "--resume", run)
	first := regexp.MustCompile(`"iterations":\{"at":0,"points":\[\[1,[^\]]*\],\[2,[^\]]*\],\[3,`)
	if !first.MatchString(events) {
		t.Errorf("the events have no curve from iteration 1 on: %s", events)
	}
	if !strings.Contains(events, `"iteration":60`) {
		t.Errorf("the events have no iteration 60: %s", events)
	}
}

// An address that cannot be listened at is an error before anything is done.
func TestWatchRefused(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must.OK(t, err)
	defer l.Close()
	run := filepath.Join(t.TempDir(), "run")
	for _, c := range []struct {
		flag   string
		status int
		err    string
	}{
		{"--watch=" + l.Addr().String(), failure, "--watch: address " + l.Addr().String() + ": another program listens there: give another port, or 0 for any free one"},
		{"--watch=nonsense", usage, `--watch: "nonsense": HOST:PORT is expected, as in 127.0.0.1:8080 (see clgrad train --help)`},
		{"--watch=", usage, `--watch: "": HOST:PORT is expected, as in 127.0.0.1:8080 (see clgrad train --help)`},
	} {
		status, out, err := clgrad(t, "train", "--out", run, c.flag)
		if status != c.status || out != "" || err != "clgrad: "+c.err+"\n" {
			t.Errorf("%s: status %d, %q, %q: %d and %q are expected", c.flag, status, out, err, c.status, c.err)
		}
	}
	if _, err := os.Stat(run); err == nil {
		t.Error("the directory of the run is there")
	}
}

// How a run ends is what those who watch are told: a failure in its words, and a signal.
func TestWatchEnds(t *testing.T) {
	data := images(t, 100, 50)
	for _, c := range []struct{ flag, value, want string }{
		{"--lr", "1e30", `"phase":"failed","message":"iteration `},
		{"--layers", "8", `"phase":"interrupted","message":"stopped by SIGINT"`},
	} {
		ctx, cancel := context.WithCancelCause(t.Context())
		f := newFollower()
		out := writer(func(p []byte) (int, error) {
			cancel(signalError{syscall.SIGINT})
			return len(p), nil
		})
		(&app{Context: ctx, out: out, err: f}).run([]string{"train", "--watch", "--data", data, "--backend", "cpu", "--iterations", "100000", c.flag, c.value})
		if events := <-f.events; !strings.Contains(events, c.want) {
			t.Errorf("%s %s: the events have no %s: %s", c.flag, c.value, c.want, events)
		}
		cancel(nil)
	}
}

// A client that goes away disturbs nothing.
func TestWatchClientGone(t *testing.T) {
	data := images(t, 300, 100)
	r := startWatched(t, "--data", data, "--layers", "8", "--backend", "cpu", "--iterations", "300")
	for range 3 {
		response, err := http.Get(r.url + "/v1/run/events")
		must.OK(t, err)
		if _, err := io.ReadAtLeast(response.Body, make([]byte, 100), 100); err != nil {
			t.Error(err)
		}
		r.write(5)
		response.Body.Close()
	}
	r.write(100)
	<-r.done
	if r.status != success {
		t.Errorf("status %d: %s", r.status, r.err)
	}
}
