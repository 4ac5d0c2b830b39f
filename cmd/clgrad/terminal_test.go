//go:build unix

package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/creack/pty"

	"clgrad/cmd/clgrad/terminal"
	"clgrad/cmd/clgrad/text"
	"clgrad/network/dataset"
	"clgrad/network/must"
)

// A session is clgrad in a terminal of its own.
type session struct {
	t   *testing.T
	cmd *exec.Cmd
	tty *os.File

	mu    sync.Mutex
	out   string
	draws []drawing
	ended chan struct{}
}

// A drawing is one time that the last line was drawn.
type drawing struct {
	at   time.Time
	line string
}

// drawn matches the last line as it is drawn.
var drawn = regexp.MustCompile("\r([^\r\n\x1b]+)\x1b\\[J\r")

// inTerminal starts clgrad in a terminal of so many columns.
func inTerminal(t *testing.T, columns uint16, env []string, args ...string) *session {
	t.Helper()
	program, err := exec.LookPath("clgrad") // which TestMain has made
	must.OK(t, err)
	s := &session{t: t, cmd: exec.Command(program, args...), ended: make(chan struct{})}
	s.cmd.Env = append(os.Environ(), append([]string{"TERM=xterm"}, env...)...)
	if s.tty, err = pty.StartWithSize(s.cmd, &pty.Winsize{Rows: 24, Cols: columns}); err != nil {
		t.Skipf("no pseudo-terminal: %v", err)
	}
	go func() {
		defer close(s.ended)
		chunk, rest := make([]byte, 1<<16), ""
		for {
			n, err := s.tty.Read(chunk)
			s.mu.Lock()
			s.out += string(chunk[:n])
			rest += string(chunk[:n])
			for _, m := range drawn.FindAllStringSubmatchIndex(rest, -1) {
				s.draws = append(s.draws, drawing{time.Now(), rest[m[2]:m[3]]})
			}
			if i := strings.LastIndex(rest, "\r"); i >= 0 {
				rest = rest[i:]
			}
			s.mu.Unlock()
			if err != nil { // of a terminal whose program has ended
				s.cmd.Wait()
				return
			}
		}
	}()
	t.Cleanup(func() {
		s.cmd.Process.Kill()
		<-s.ended
		s.tty.Close()
	})
	return s
}

// seen returns what was written and drawn so far.
func (s *session) seen() (string, []drawing) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.out, s.draws
}

// until waits until something is so.
func (s *session) until(what string, is func(out string, draws []drawing) bool) {
	s.t.Helper()
	for end := time.Now().Add(time.Minute); !is(s.seen()); time.Sleep(20 * time.Millisecond) {
		out, _ := s.seen()
		select {
		case <-s.ended:
			if !is(s.seen()) {
				s.t.Fatalf("it ended before %s:\n%q", what, out)
			}
		default:
		}
		if time.Now().After(end) {
			s.t.Fatalf("no %s:\n%q", what, out)
		}
	}
}

// end waits for the program to end and returns what is left on the terminal.
func (s *session) end() string {
	s.t.Helper()
	select {
	case <-s.ended:
	case <-time.After(2 * time.Minute):
		out, _ := s.seen()
		s.t.Fatalf("it does not end:\n%q", out)
	}
	out, _ := s.seen()
	return left(s.t, out)
}

// left returns what is left of an output on a terminal, line by line as it was written.
func left(t *testing.T, out string) string {
	t.Helper()
	var lines []string
	var line []rune
	column := 0
	for i := 0; i < len(out); {
		if strings.HasPrefix(out[i:], "\x1b[J") {
			line = line[:min(column, len(line))]
			i += len("\x1b[J")
			continue
		}
		r := []rune(out[i:min(i+4, len(out))])[0]
		i += len(string(r))
		switch r {
		case '\x1b':
			t.Fatalf("an escape sequence that is not known: %q", out[i-1:min(i+8, len(out))])
		case '\r':
			column = 0
		case '\n':
			lines, line, column = append(lines, string(line)), nil, 0
		default:
			if column < len(line) {
				line[column] = r
			} else {
				line = append(line, r)
			}
			column++
		}
	}
	return strings.Join(append(lines, string(line)), "\n")
}

// training returns what was drawn of iterations.
func training(draws []drawing) (all []drawing) {
	for _, d := range draws {
		if strings.Contains(d.line, " %  ") {
			all = append(all, d)
		}
	}
	return all
}

// slow are the flags of a run whose iterations take long.
func slow(t *testing.T) []string {
	return []string{"train", "--data", images(t, 1500, 10), "--layers", "2000", "--backend", "cpu64", "--log-every", "1", "--iterations", "1000"}
}

// The last line moves while one iteration takes long, is never as wide as the terminal, stands
// below all lines of the run, and is gone in the end, also after a signal.
func TestTerminalProgress(t *testing.T) {
	for _, columns := range []int{60, 200} {
		t.Run(fmt.Sprint(columns), func(t *testing.T) {
			s := inTerminal(t, uint16(columns), nil, slow(t)...)
			s.until("three seconds of progress and two lines", func(out string, draws []drawing) bool {
				of := training(draws)
				return len(of) > 0 && of[len(of)-1].at.Sub(of[0].at) > 3*time.Second && strings.Contains(out, "Iteration 2,")
			})
			_, draws := s.seen()
			of, n := training(draws), 0
			for _, d := range of {
				if d.at.Sub(of[0].at) <= 3*time.Second {
					n++
				}
			}
			if n < 5 { // of 30, on a machine that has other things to do
				t.Errorf("drawn %d times in 3 s, want 5 times at least:\n%v", n, of)
			}
			s.tty.Write([]byte{3}) // ^C
			out := s.end()
			if got := s.cmd.ProcessState.ExitCode(); got != 130 {
				t.Errorf("exit status %d:\n%s", got, out)
			}
			if strings.Contains(out, " %  ") || strings.Contains(out, "iteration 1 of") {
				t.Errorf("the progress is left:\n%s", out)
			}
			if !regexp.MustCompile(`(?m)^(\^C)?Iteration 1, Loss: \d\.\d{4}, Accuracy: \d+\.\d\d %$`).MatchString(out) {
				t.Errorf("the line of an iteration is not whole:\n%s", out)
			}
			_, draws = s.seen()
			for _, d := range draws {
				if w := text.Width(d.line); w >= columns {
					t.Errorf("%d columns, in %d: %q", w, columns, d.line)
				}
			}
			if last := draws[len(draws)-1].line; columns == 200 && !strings.Contains(last, "iterations/s") && !strings.Contains(last, "s an iteration") {
				t.Errorf("no rate: %q", last)
			}
			if raw, _ := s.seen(); regexp.MustCompile("\x1b\\[[0-9;]*m").MatchString(raw) {
				t.Errorf("colours: %q", raw)
			}
		})
	}
}

// After a change of its size the line fits the terminal.
func TestTerminalResize(t *testing.T) {
	s := inTerminal(t, 200, nil, slow(t)...)
	s.until("a line", func(_ string, draws []drawing) bool { return len(training(draws)) > 2 })
	must.OK(t, pty.Setsize(s.tty, &pty.Winsize{Rows: 24, Cols: 60}))
	_, draws := s.seen()
	before := len(draws) + 1 // one may be on its way
	s.until("lines after the change", func(_ string, draws []drawing) bool { return len(draws) > before+3 })
	_, draws = s.seen()
	for _, d := range draws[before:] {
		if w := text.Width(d.line); w >= 60 {
			t.Errorf("%d columns, in 60: %q", w, d.line)
		}
	}
}

// What a finished run leaves fits the terminal, and nothing of the progress is in it. A dumb
// terminal gets no escape sequences and no progress, and --quiet has no progress either. NO_COLOR
// changes nothing, as there are no colours.
func TestTerminalOutput(t *testing.T) {
	dir := images(t, 600, 50)
	args := []string{"train", "--data", dir, "--validation", "0.1", "--backend", "cpu", "--iterations", "40", "--lr", "0.05"}
	for _, x := range []struct {
		columns  int
		env      []string
		more     []string
		progress bool
	}{
		{60, nil, nil, true}, {200, []string{"NO_COLOR=1"}, nil, true}, {60, []string{"TERM=dumb"}, nil, false}, {80, nil, []string{"--quiet"}, false},
	} {
		t.Run(fmt.Sprint(x.columns, x.env, x.more), func(t *testing.T) {
			s := inTerminal(t, uint16(x.columns), x.env, append(args, x.more...)...)
			out := s.end()
			raw, _ := s.seen()
			if escapes := strings.Contains(raw, "\x1b"); escapes && !x.progress || strings.Contains(raw, "m\x1b") {
				t.Errorf("escape sequences: %q", raw)
			}
			if !strings.Contains(out, "Iteration 40, Loss: ") || !strings.Contains(out, "Validation loss: ") || !strings.Contains(out, "predicted ") {
				t.Errorf("lines, samples or validation are missing:\n%s", out)
			}
			if next := strings.Contains(out, "clgrad: next: "); next != (x.more == nil) {
				t.Errorf("says what to do next: %v:\n%s", next, out)
			}
			for line := range strings.SplitSeq(out, "\n") {
				if text.Width(line) > x.columns && !strings.HasPrefix(line, "clgrad: ") && !strings.HasPrefix(line, "Time: ") {
					t.Errorf("%d columns, in %d: %q", text.Width(line), x.columns, line)
				}
				if strings.Contains(line, " left") {
					t.Errorf("of the progress there is left: %q", line)
				}
			}
		})
	}
}

// A download shows how much of the file has come and how long the rest takes, for as long as it
// lasts, and a set that a source is asked for what is asked.
func TestTerminalDownload(t *testing.T) {
	outside, inside, err := pty.Open()
	if err != nil {
		t.Skipf("no pseudo-terminal: %v", err)
	}
	defer inside.Close()
	defer outside.Close()
	must.OK(t, pty.Setsize(inside, &pty.Winsize{Rows: 24, Cols: 120}))
	t.Setenv("TERM", "xterm")
	read := make(chan string)
	go func() {
		content, _ := io.ReadAll(outside) // until the other end is closed
		read <- string(content)
	}()
	display := terminal.NewDisplay(terminal.Of(inside))
	a := &app{Context: t.Context(), out: io.Discard, err: display.Writer(inside), display: display}
	get := func(_ context.Context, name string, o dataset.Options) (dataset.Status, error) {
		time.Sleep(500 * time.Millisecond)
		for i := range int64(6) {
			o.Download("images.gz", i*1e6, 8e6)
			time.Sleep(200 * time.Millisecond)
		}
		o.Download("images.gz", 8e6, 8e6)
		time.Sleep(300 * time.Millisecond)
		return dataset.Status{OK: true}, nil
	}
	must.OK(t, a.dataStatus([]setName{"toy"}, true, "fetching", get, true))
	display.Close()
	must.OK(t, inside.Close())
	out := <-read
	for _, want := range []string{`fetching toy  0:00`, `█░+ +\d\d %  downloading images\.gz  5\.0 of 8\.0 MB  0:01, 0:0\d left`, "\r\x1b\\[J$"} {
		if !regexp.MustCompile(want).MatchString(out) {
			t.Errorf("%q is missing in %q", want, out)
		}
	}
	if i := strings.LastIndex(out, "downloading"); i < 0 || !strings.Contains(out[i:], "fetching") {
		t.Errorf("the download does not end: %q", out)
	}
}
