package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"

	"clgrad/cmd/clgrad/measure"
)

// emptyServer is the argument with which this program is a server that computes nothing.
const emptyServer = "-empty-server"

// serveEmpty answers every request with a few bytes, until standard input ends.
func serveEmpty() error {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Printf("http://%v\n", l.Addr())
	go func() {
		io.Copy(io.Discard, os.Stdin)
		os.Exit(0)
	}()
	return http.Serve(l, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		io.WriteString(w, `{"predictions":[]}`)
	}))
}

// A server is a process that is measured.
type server struct {
	name    string
	url     string
	command *exec.Cmd
	in      io.Closer
	exact   bool // equal requests have answers of equal bytes
	empty   bool // it has no predictions
}

// start starts a server and waits until it answers.
func start(ctx context.Context, program, dir, name string) (*server, error) {
	s := &server{name: name}
	printed := true // its URL
	switch workers, threads, torch := isTorch(name); {
	case name == "empty":
		self, err := os.Executable()
		if err != nil {
			return nil, err
		}
		s.command, s.empty = exec.CommandContext(ctx, self, emptyServer), true
	case torch:
		port, err := freePort()
		if err != nil {
			return nil, err
		}
		script := filepath.Join(filepath.Dir(sourceFile()), "peer.py")
		s.command = exec.CommandContext(ctx, "/usr/bin/python3", script, filepath.Join(dir, "model.npz"), port, workers, threads)
		s.command.Env = append(os.Environ(), "OMP_NUM_THREADS="+threads, "PYTHONDONTWRITEBYTECODE=1")
		s.url, printed = "http://127.0.0.1:"+port, false
	default:
		s.command = exec.CommandContext(ctx, program, "serve", modelFolder(dir), "--listen", "127.0.0.1:0", "--backend", name, "--quiet")
		s.exact = true
	}
	s.command.Stderr = os.Stderr
	s.command.Cancel = func() error { return s.command.Process.Signal(syscall.SIGTERM) }
	in, err := s.command.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := s.command.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := s.command.Start(); err != nil {
		return nil, err
	}
	s.in = in
	if printed {
		line, err := bufio.NewReader(out).ReadString('\n')
		if err != nil {
			return nil, fmt.Errorf("%s: no address: %w", name, err)
		}
		s.url = strings.TrimSpace(line)
	}
	for range 600 {
		if c, err := net.DialTimeout("tcp", strings.TrimPrefix(s.url, "http://"), time.Second); err == nil {
			return s, c.Close()
		}
		time.Sleep(100 * time.Millisecond)
	}
	return nil, fmt.Errorf("%s: does not answer", name)
}

// stop ends the server. Being ended is no error.
func (s *server) stop() error {
	s.in.Close()
	s.command.Process.Signal(syscall.SIGTERM)
	s.command.Wait()
	return nil
}

// memory returns the resident memory of the server in bytes, 0 where the system does not tell.
func (s *server) memory() int64 { return measure.MemoryOf(s.command.Process.Pid) }

// freePort returns a port that nobody listens on.
func freePort() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer l.Close()
	_, port, err := net.SplitHostPort(l.Addr().String())
	return port, err
}

// sourceFile returns the name of this file, beside which peer.py stands.
func sourceFile() string {
	_, file, _, _ := runtime.Caller(0)
	return file
}
