package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"time"
)

// A peer is a process of one of the peers' programs. It reads a request a line and answers
// each with a line, both in JSON, until its standard input ends.
type peer struct {
	command *exec.Cmd
	in      io.WriteCloser
	out     *bufio.Reader
	said    bytes.Buffer // on standard error
	begin   time.Time
}

func startPeer(python, program, engine, data string, environment []string) (p *peer, err error) {
	p = &peer{command: exec.Command(python, program, engine, data), begin: time.Now()}
	p.command.Env = append(os.Environ(), environment...)
	p.command.Stderr = &p.said
	if p.in, err = p.command.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := p.command.StdoutPipe()
	if err != nil {
		return nil, err
	}
	p.out = bufio.NewReader(out)
	return p, p.command.Start()
}

// ask writes a request and reads its answer. After an error the process has ended.
func (p *peer) ask(request, answer any) error {
	text, err := json.Marshal(request)
	if err != nil {
		return err
	}
	p.in.Write(append(text, '\n')) // to a process that has ended there is no answer
	line, err := p.out.ReadBytes('\n')
	if err != nil {
		if _, ended := p.end(); ended != nil {
			return ended
		}
		return fmt.Errorf("it ended without an answer: %w", err)
	}
	if err := json.Unmarshal(line, answer); err != nil {
		p.end()
		return fmt.Errorf("%.200q: %w", line, err)
	}
	return nil
}

// end ends the process and returns the seconds from its start to its end.
func (p *peer) end() (seconds float64, err error) {
	p.in.Close()
	err = withLastLine(p.command.Wait(), p.said.String())
	return time.Since(p.begin).Seconds(), err
}

// peers are the processes that stay, by what they were started as. A GPU's are started side
// by side before the first is asked: importing takes most of their time.
type peers struct {
	python, data string
	open         map[string]*peer
}

// get returns the process of an engine, which it starts if there is none.
func (p *peers) get(program, engine string, environment []string) (started *peer, key string, err error) {
	key = strings.Join(append([]string{program, engine}, environment...), " ")
	if started = p.open[key]; started == nil {
		if started, err = startPeer(p.python, program, engine, p.data, environment); err == nil {
			p.open[key] = started
		}
	}
	return started, key, err
}

// ask asks the process of an engine.
func (p *peers) ask(program, engine string, environment []string, request, answer any) error {
	started, key, err := p.get(program, engine, environment)
	if err == nil {
		if err = started.ask(request, answer); err != nil {
			delete(p.open, key)
		}
	}
	return err
}

// askOnce asks a process of its own, and returns the seconds from its start to its end.
func (p *peers) askOnce(program, engine string, environment []string, request, answer any) (seconds float64, err error) {
	started, err := startPeer(p.python, program, engine, p.data, environment)
	if err != nil {
		return 0, err
	}
	if err := started.ask(request, answer); err != nil {
		return 0, err
	}
	return started.end()
}

// close ends the processes.
func (p *peers) close() {
	for _, started := range p.open {
		started.end()
	}
	clear(p.open)
}

// withLastLine adds the last line that a process said to its error, nil for none.
func withLastLine(err error, said string) error {
	if err == nil {
		return nil
	}
	lines := strings.Split(strings.TrimSpace(said), "\n")
	return fmt.Errorf("%w: %s", err, lines[len(lines)-1])
}

// output runs a command and returns its output and how long it took. Of one that fails the
// error has the last line that it said.
func output(c *exec.Cmd) (out []byte, seconds float64, err error) {
	var said bytes.Buffer
	c.Stderr = &said
	begin := time.Now()
	out, err = c.Output()
	return out, time.Since(begin).Seconds(), withLastLine(err, said.String())
}
