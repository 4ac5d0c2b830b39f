package run

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"time"

	"github.com/gofrs/flock"
)

// lockName is the file of a run directory that the process at work there holds.
const lockName = "lock"

// errLocked reports a lock that another process holds.
var errLocked = errors.New("another process is at work there")

// lockDir takes a directory for this process, and waits so long for another one that
// has it. The system gives it back when the process ends, however it ends.
func lockDir(path string, patience time.Duration) (*flock.Flock, error) {
	l, err := lockFile(filepath.Join(path, lockName))
	for begin := time.Now(); errors.Is(err, errLocked) && time.Since(begin) < patience; {
		time.Sleep(20 * time.Millisecond)
		l, err = lockFile(filepath.Join(path, lockName))
	}
	if errors.Is(err, errLocked) {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return l, err
}

// lockFile locks a file, which is made if need be. Where another process has it,
// the error is errLocked.
func lockFile(path string) (*flock.Flock, error) {
	for {
		l := flock.New(path, flock.SetPermissions(0o666))
		if ok, err := l.TryLock(); err != nil {
			return nil, err
		} else if !ok {
			return nil, errors.Join(errLocked, l.Close())
		}
		// The last owner may have removed the name after this process opened it.
		mine, err1 := l.Stat()
		there, err2 := os.Stat(path)
		if err1 == nil && err2 == nil && os.SameFile(mine, there) {
			return l, nil
		}
		l.Close()
		if err := errors.Join(err1, err2); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
	}
}

// atWork reports whether a process holds the lock of a directory. It makes no file, and has
// the lock itself, shared, for no longer than it takes to find out.
func atWork(path string) bool {
	file := filepath.Join(path, lockName)
	if checkRegular(file) != nil {
		return false
	}
	l := flock.New(file, flock.SetFlag(os.O_RDONLY))
	free, err := l.TryRLock()
	return errors.Join(err, l.Close()) == nil && !free
}

// unlock gives a lock back and removes its file: while it is still held, but on
// Windows, where an open file cannot be removed.
func unlock(l *flock.Flock) error {
	if runtime.GOOS == "windows" {
		err := l.Close()
		os.Remove(l.Path())
		return err
	}
	os.Remove(l.Path())
	return l.Close()
}
