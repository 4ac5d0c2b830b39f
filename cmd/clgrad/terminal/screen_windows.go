package terminal

import (
	"os"

	"golang.org/x/sys/windows"
)

// prepare has a console take escape sequences, and reports whether it does.
func prepare(f *os.File, _ string) bool {
	h, mode := windows.Handle(f.Fd()), uint32(0)
	return windows.GetConsoleMode(h, &mode) == nil && windows.SetConsoleMode(h, mode|windows.ENABLE_VIRTUAL_TERMINAL_PROCESSING) == nil
}

func (s *Screen) foreground() bool { return true }
