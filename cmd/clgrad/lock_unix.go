//go:build unix && !aix && !solaris

package main

import (
	"errors"
	"io/fs"
	"os"
	"syscall"
)

// lockFile takes a file for this process, which the system gives back when the
// process ends, however it ends. Where another process has it, the error is
// errLocked.
func lockFile(path string) (*os.File, error) {
	for {
		f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o666)
		if err != nil {
			return nil, err
		}
		if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
			f.Close()
			if errors.Is(err, syscall.EWOULDBLOCK) {
				return nil, errLocked
			}
			return nil, &fs.PathError{Op: "lock", Path: path, Err: err}
		}
		// Whoever had it may have removed the name since it was opened.
		mine, err1 := f.Stat()
		there, err2 := os.Stat(path)
		if err1 == nil && err2 == nil && os.SameFile(mine, there) {
			return f, nil
		}
		f.Close()
		if err := errors.Join(err1, err2); !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
	}
}

// unlockFile removes the file while it is still this process's, and gives it
// back.
func unlockFile(f *os.File) error {
	os.Remove(f.Name())
	return f.Close()
}
