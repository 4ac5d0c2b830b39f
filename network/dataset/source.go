package dataset

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"time"
)

// A source is a place from which the files of a named set are had. What it
// gives is checked by the caller.
type source interface {
	// String names the source in messages.
	String() string

	// open makes the source ready, or says in a few words why it is of no use
	// here. Offline, it does without a network.
	open(ctx context.Context, offline bool) (getter, error)
}

// A getter returns the content of a file, at most one byte more than the file
// should have. A download tells progress, if it is not nil, how many bytes of how many have come.
type getter func(ctx context.Context, f File, progress func(done, total int64)) ([]byte, error)

// errOffline is why a source that needs a network is not asked.
var errOffline = errors.New("not asked while offline")

// A goModule is a Go module that holds the files in a folder. It is data, not
// code, so it stands in no go.mod: the go command fetches it into its own cache.
type goModule struct {
	module  string // path@version
	folder  string // inside the module
	command string // the go command's name
	limit   time.Duration
}

func (m goModule) String() string { return "Go module " + m.module }

func (m goModule) open(ctx context.Context, offline bool) (getter, error) {
	path, err := exec.LookPath(m.command)
	if err != nil {
		return nil, fmt.Errorf("the %s command is not on the PATH", m.command)
	}
	// The command runs in a directory of its own, so that no go.mod, go.sum or
	// go.work around the caller is read or changed.
	dir, err := os.MkdirTemp("", "clgrad")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)

	ctx, cancel := context.WithTimeoutCause(ctx, m.limit, fmt.Errorf("no answer within %v", m.limit))
	defer cancel()
	command := exec.CommandContext(ctx, path, "mod", "download", "-json", m.module)
	command.Dir = dir
	command.WaitDelay = 5 * time.Second // its children may hold the output open
	command.Env = append(os.Environ(), "PWD="+dir, "GO111MODULE=on", "GOWORK=off")
	if offline {
		// What an earlier download left in the module cache is still found.
		command.Env = append(command.Env, "GOPROXY=off")
	}
	var stdout, stderr bytes.Buffer
	command.Stdout, command.Stderr = &stdout, &stderr
	runErr := command.Run()
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}

	var answer struct{ Dir, Error string }
	parseErr := json.Unmarshal(stdout.Bytes(), &answer)
	switch {
	case answer.Error != "":
		return nil, errors.New(answer.Error)
	case runErr != nil && stderr.Len() > 0:
		return nil, fmt.Errorf("%w: %s", runErr, stderr.String())
	case runErr != nil:
		return nil, runErr
	case parseErr != nil:
		return nil, fmt.Errorf("the go command's answer: %w", parseErr)
	case answer.Dir == "":
		return nil, errors.New("the go command's answer names no directory")
	}
	return folder(filepath.Join(answer.Dir, m.folder)), nil
}

// A directory of the machine holds the files where a package manager put them.
type directory struct {
	path   string
	origin string // who puts them there
}

func (d directory) String() string { return d.origin + ", " + d.path }

func (d directory) open(context.Context, bool) (getter, error) {
	if info, err := os.Stat(d.path); err != nil || !info.IsDir() {
		return nil, errors.New("not installed")
	}
	return folder(d.path), nil
}

// folder returns the getter of the files of a directory.
func folder(dir string) getter {
	return func(_ context.Context, f File, _ func(done, total int64)) ([]byte, error) {
		file, _, err := openRegular(filepath.Join(dir, f.Name))
		if err != nil {
			return nil, err
		}
		defer file.Close()
		return io.ReadAll(io.LimitReader(file, f.Size+1))
	}
}

// A mirror is a public web server that holds the files under one address.
type mirror struct {
	url   string // ends with a slash
	limit time.Duration
}

func (m mirror) String() string { return m.url }

func (m mirror) open(_ context.Context, offline bool) (getter, error) {
	if offline {
		return nil, errOffline
	}
	return m.get, nil
}

func (m mirror) get(ctx context.Context, f File, progress func(done, total int64)) ([]byte, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, m.limit, fmt.Errorf("no complete answer within %v", m.limit))
	defer cancel()
	content, err := m.download(ctx, f, progress)
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	return content, err
}

func (m mirror) download(ctx context.Context, f File, progress func(done, total int64)) ([]byte, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, m.url+f.Name, nil)
	if err != nil {
		return nil, err
	}
	request.Header.Set("User-Agent", "clgrad")
	// The file is wanted as it is stored: left to itself the client would ask
	// for compression and undo it.
	request.Header.Set("Accept-Encoding", "identity")
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s: the server answers %q", f.Name, response.Status)
	}
	if n := response.ContentLength; n >= 0 && n != f.Size {
		return nil, fmt.Errorf("%s: the server has %d bytes where %d are expected", f.Name, n, f.Size)
	}
	body := &counted{r: response.Body, total: f.Size, progress: progress}
	return io.ReadAll(io.LimitReader(body, f.Size+1))
}
