// Package terminal is what commands know of a terminal: how wide it is, and its last line,
// in which they show how far they are.
package terminal

import (
	"os"

	"golang.org/x/term"
)

// A Screen is a terminal that text is written to. nil is a file or a pipe.
type Screen struct{ f *os.File }

// Of returns the terminal that a file is, nil where it is none.
func Of(f *os.File) *Screen {
	if !term.IsTerminal(int(f.Fd())) {
		return nil
	}
	return &Screen{f}
}

// unknown is the width of a terminal that does not say its own.
const unknown = 80

// Width returns how many columns the terminal has now, 0 where there is none: a file has lines
// of any length.
func (s *Screen) Width() int {
	if s == nil {
		return 0
	}
	if width, _, err := term.GetSize(int(s.f.Fd())); err == nil && width > 0 {
		return width
	}
	return unknown
}

// escapes reports whether the terminal understands escape sequences, which erase a line.
func (s *Screen) escapes() bool {
	name := os.Getenv("TERM")
	return name != "dumb" && prepare(s.f, name)
}
