package terminal

import (
	"io"
	"slices"
	"sync"
	"time"
)

// A Display is the last line of a terminal, below all that is written there. It shows what a
// command does at the moment, and is drawn anew ten times a second, so that it moves while a
// long step computes. A nil Display shows nothing.
type Display struct {
	w       io.Writer
	width   func() int
	visible func() bool // it may be drawn now

	mu       sync.Mutex
	statuses []*shown // the newest last
	drawn    bool
	broken   bool // what was written last is no whole line
	frame    int
	stop     chan struct{} // ends the ticker, nil while there is none
}

// A Status says what to show. It is called ten times a second, on any goroutine, and is
// not to write to the terminal.
type Status func() Line

// shown is a status that has not ended.
type shown struct {
	status Status
	since  time.Time
}

const (
	interval = 100 * time.Millisecond
	// delay is how long something has to take to be shown: what is over soon would only
	// flash.
	delay = 200 * time.Millisecond
)

// NewDisplay returns the last line of a terminal, nil where there is no terminal, or one that
// cannot erase a line.
func NewDisplay(s *Screen) *Display {
	if s == nil || !s.escapes() {
		return nil
	}
	return &Display{w: s.f, width: s.Width, visible: s.foreground}
}

// Writer returns a writer to the same terminal, whose lines come to stand above the display.
func (d *Display) Writer(w io.Writer) io.Writer {
	if d == nil {
		return w
	}
	return above{d, w}
}

type above struct {
	d *Display
	w io.Writer
}

func (a above) Write(p []byte) (int, error) {
	a.d.mu.Lock()
	defer a.d.mu.Unlock()
	a.d.clear()
	n, err := a.w.Write(p)
	if n > 0 {
		a.d.broken = p[n-1] != '\n'
	}
	a.d.draw()
	return n, err
}

// Show shows a status until end is called, in the place of those that were there before.
func (d *Display) Show(s Status) (end func()) {
	if d == nil {
		return func() {}
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	this := &shown{s, time.Now()}
	d.statuses = append(d.statuses, this)
	if d.stop == nil {
		d.stop = make(chan struct{})
		go d.tick(d.stop)
	}
	return func() {
		d.mu.Lock()
		defer d.mu.Unlock()
		i := slices.Index(d.statuses, this)
		if i < 0 {
			return
		}
		d.statuses = slices.Delete(d.statuses, i, i+1)
		d.clear()
		if d.draw(); len(d.statuses) == 0 {
			close(d.stop)
			d.stop = nil
		}
	}
}

// Close takes the line away, whatever was not ended.
func (d *Display) Close() {
	if d == nil {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.clear(); d.stop != nil {
		close(d.stop)
		d.stop, d.statuses = nil, nil
	}
}

// tick draws the line again and again.
func (d *Display) tick(stop chan struct{}) {
	t := time.NewTicker(interval)
	defer t.Stop()
	for {
		select {
		case <-stop:
			return
		case <-t.C:
		}
		d.mu.Lock()
		if d.stop == stop {
			d.frame++
			d.draw()
		}
		d.mu.Unlock()
	}
}

// The cursor stands at the start of the line. A terminal that becomes narrower breaks the line
// in two and keeps the cursor at its start, so erasing from there on leaves nothing of it.
const (
	start = "\r"
	erase = "\x1b[J" // from the cursor on
)

// draw draws the newest status that has something to show.
func (d *Display) draw() {
	line := d.line()
	if d.broken || !d.visible() {
		return
	}
	if line == "" {
		d.clear()
		return
	}
	io.WriteString(d.w, start+line+erase+start)
	d.drawn = true
}

// clear takes the line away.
func (d *Display) clear() {
	if d.drawn && d.visible() {
		io.WriteString(d.w, start+erase)
	}
	d.drawn = false
}

// line returns what is to be shown.
func (d *Display) line() string {
	for _, s := range slices.Backward(d.statuses) {
		if time.Since(s.since) < delay {
			continue
		}
		if l := s.status(); len(l.Parts) > 0 {
			return l.text(d.width(), d.frame)
		}
	}
	return ""
}
