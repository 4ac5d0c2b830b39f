//go:build !unix && !windows

package terminal

import "os"

func prepare(*os.File, string) bool { return false }

func (s *Screen) foreground() bool { return true }
