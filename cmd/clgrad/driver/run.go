package driver

import (
	"bytes"
	"context"
	"errors"
	"os/exec"
	"regexp"
	"strings"
	"time"
	"unicode"
)

// ErrDied reports that a process that called a driver did not come to its end.
// Errors that wrap it say how, with the driver as the subject.
var ErrDied = errors.New("the driver ended the process")

// A death is an ErrDied with its reason.
type death string

func (d death) Error() string        { return string(d) }
func (d death) Is(target error) bool { return target == ErrDied }

// maxOutput bounds what is kept of a process's standard error and output, in
// bytes: the last ones.
const maxOutput = 1 << 20

// Run runs a process that calls a driver and returns the last line of its
// standard output, which it may have written before it died. Where the process does not
// exit with status 0, or takes longer than limit, the error is an [ErrDied] in one line, to be put behind the name of
// the driver: "ended the process:" and what the driver had to say last, or else
// how the process ended.
func Run(ctx context.Context, c *exec.Cmd, limit time.Duration) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	var out, notes tail
	c.Stdout, c.Stderr = &out, &notes
	c.WaitDelay = time.Second // where a grandchild holds the pipes
	if err := c.Start(); err != nil {
		return nil, err
	}
	done := make(chan struct{})
	go func() {
		select {
		case <-ctx.Done():
			c.Process.Kill()
		case <-done:
		}
	}()
	err := c.Wait()
	close(done)
	lines := bytes.Split(bytes.TrimSpace(out.text), []byte("\n"))
	last := lines[len(lines)-1]
	switch {
	case err == nil, c.ProcessState != nil && c.ProcessState.Success(): // its pipes may have been held open
		return last, nil
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		return last, death("did not come back within " + limit.String())
	case ctx.Err() != nil:
		return nil, context.Cause(ctx)
	}
	return last, death("ended the process: " + reason(string(notes.text), err.Error()))
}

// remark matches lines of compilers and of PoCL that follow the reason of a failure
// and do not tell it.
var remark = regexp.MustCompile(`^note: |^warning: | warnings? generated\.$|command failed with exit code|^Final linking of kernel .* failed\.$`)

// reason returns the last line that a driver wrote, without what Go's runtime
// says of a signal and without remarks, or else how the process ended.
func reason(notes, end string) string {
	said := ""
	for line := range strings.Lines(notes) {
		line = strings.TrimSpace(line)
		if strings.HasPrefix(line, "SIG") && strings.Contains(line, ": ") || strings.HasPrefix(line, "fatal error: ") ||
			strings.HasPrefix(line, "unexpected fault address") || strings.HasPrefix(line, "panic: ") {
			if said == "" {
				said = line
			}
			break
		}
		if line != "" && !remark.MatchString(line) {
			said = line
		}
	}
	said = strings.Map(func(c rune) rune {
		if !unicode.IsPrint(c) {
			return ' '
		}
		return c
	}, said)
	if r := []rune(said); len(r) > 300 {
		said = string(r[:300]) + "…"
	}
	if said = strings.TrimRight(said, ". "); said == "" {
		return end
	}
	return said
}

// A tail keeps the end of what is written to it.
type tail struct{ text []byte }

func (t *tail) Write(p []byte) (int, error) {
	t.text = append(t.text, p...)
	if extra := len(t.text) - maxOutput; extra > maxOutput {
		t.text = append([]byte(nil), t.text[extra:]...)
	}
	return len(p), nil
}
