//go:build unix

package driver

import "syscall"

// NoCore keeps the system from writing the memory of this process to a file when
// a driver ends it: it is expected to.
func NoCore() { syscall.Setrlimit(syscall.RLIMIT_CORE, &syscall.Rlimit{}) }
