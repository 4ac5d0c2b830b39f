package driver

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/gofrs/flock"
)

// Marks are files in one directory:
//
//	PROCESS.running    locked as long as the process lives
//	PROCESS.NAME.used  empty: the process uses NAME, a device or the list of devices
//	NAME.suspect       empty: a process that used NAME died
//
// A process locks its first file before it makes the second, so a first file
// without a second may be that of a process that begins.
const (
	running = ".running"
	used    = ".used"
	suspect = ".suspect"
)

// A Mark stands for this process among those that call drivers.
type Mark struct {
	dir, process string
	lock         *flock.Flock
	uses         map[string]bool // names
}

// Enter makes the mark of this process in a directory. What processes that died
// were using is suspect from then on.
func Enter(dir string) (*Mark, error) {
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return nil, err
	}
	if err := sweep(dir); err != nil {
		return nil, err
	}
	// Another process may be looking at the file in the moment before it is locked.
	for try := range 10 {
		m := &Mark{dir: dir, uses: map[string]bool{}, process: fmt.Sprintf("%d-%d-%d", os.Getpid(), time.Now().UnixNano(), try)}
		m.lock = flock.New(m.path(running))
		mine, err := m.lock.TryLock()
		if mine {
			return m, nil
		}
		os.Remove(m.path(running))
		if err != nil {
			return nil, err
		}
	}
	return nil, fmt.Errorf("%s: no file can be locked", dir)
}

func (m *Mark) path(ending string) string { return filepath.Join(m.dir, m.process+ending) }

// Use says that this process is about to use what has a name.
func (m *Mark) Use(name string) error {
	if m.uses[name] {
		return nil
	}
	m.uses[name] = true
	return touch(m.path("." + name + used))
}

func touch(path string) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY, 0o666)
	if err != nil {
		return err
	}
	return f.Close()
}

// Leave says that this process is done with drivers, and removes its files.
func (m *Mark) Leave() error {
	var err error
	for name := range m.uses {
		err = errors.Join(err, os.Remove(m.path("."+name+used)))
	}
	// Windows removes no file that is open.
	return errors.Join(err, m.lock.Unlock(), os.Remove(m.path(running)))
}

// Suspect reports whether a process that used what has a name died.
func (m *Mark) Suspect(name string) bool {
	_, err := os.Stat(filepath.Join(m.dir, name+suspect))
	return err == nil
}

// Clear says that what has a name was tried and did no harm.
func (m *Mark) Clear(name string) error {
	err := os.Remove(filepath.Join(m.dir, name+suspect))
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	return err
}

// sweep removes the marks of processes that died, and makes suspect what they
// used.
func sweep(dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	uses := map[string][]string{} // by process
	for _, e := range entries {
		process, rest, _ := strings.Cut(e.Name(), ".")
		if name, is := strings.CutSuffix(rest, used); is {
			uses[process] = append(uses[process], name)
		}
	}
	for _, e := range entries {
		process, is := strings.CutSuffix(e.Name(), running)
		if !is {
			continue
		}
		file := filepath.Join(dir, e.Name())
		if len(uses[process]) == 0 {
			// One that begins, or one that died as it did.
			if info, err := e.Info(); err != nil || time.Since(info.ModTime()) < time.Minute {
				continue
			}
		}
		lock := flock.New(file, flock.SetFlag(os.O_RDWR))
		dead, err := lock.TryLock()
		if err != nil || !dead {
			continue // it lives, or another process has removed its mark
		}
		for _, name := range uses[process] {
			if err := touch(filepath.Join(dir, name+suspect)); err != nil {
				return errors.Join(err, lock.Unlock())
			}
			os.Remove(filepath.Join(dir, process+"."+name+used))
		}
		lock.Unlock()
		os.Remove(file)
	}
	return nil
}
