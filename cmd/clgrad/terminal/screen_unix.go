//go:build unix

package terminal

import (
	"os"

	"golang.org/x/sys/unix"
)

// prepare reports whether a terminal of this name takes escape sequences. One without a name
// is not known to.
func prepare(_ *os.File, name string) bool { return name != "" }

// foreground reports whether the process is one that the terminal belongs to now. What shells
// run in the background should not draw there.
func (s *Screen) foreground() bool {
	group, err := unix.IoctlGetInt(int(s.f.Fd()), unix.TIOCGPGRP)
	return err != nil || group == unix.Getpgrp()
}
