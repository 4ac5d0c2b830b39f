// Package durable writes files that are there whole or not at all, whatever
// stops the program or the machine.
package durable

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
)

// Write replaces the file at path by what write writes, or leaves it as it was.
// When it returns, file and name have reached the disk. A new file has the
// permissions that the umask leaves, an old one keeps its own. An error is one
// line that begins with the path.
//
// Until it is whole the content stands beside the file, under a name that begins
// with a dot; see [Sweep].
func Write(path string, write func(io.Writer) error) error {
	if err := replace(path, write); err != nil {
		// The path is that of the file, not that of its stand-in.
		var p *fs.PathError
		var l *os.LinkError
		switch {
		case errors.As(err, &p) && err == error(p):
			err = fmt.Errorf("%s: %w", p.Op, p.Err)
		case errors.As(err, &l) && err == error(l):
			err = fmt.Errorf("%s: %w", l.Op, l.Err)
		}
		return fmt.Errorf("%s: %w", path, err)
	}
	return nil
}

func replace(path string, write func(io.Writer) error) error {
	if info, err := os.Stat(path); err == nil && info.IsDir() {
		return errors.New("is a directory where the name of a file is expected")
	}
	f, err := pending(path)
	if err != nil {
		return err
	}
	defer f.Cleanup() // of no effect behind CloseAtomicallyReplace
	if err := write(f); err != nil {
		return err
	}
	if err := f.CloseAtomicallyReplace(); err != nil {
		return err
	}
	return SyncDir(filepath.Dir(path))
}

// WriteFile is Write of content.
func WriteFile(path string, content []byte) error {
	return Write(path, func(w io.Writer) error {
		_, err := w.Write(content)
		return err
	})
}

// MkdirAll makes a directory and those above it that are not there. The names of those
// that it made have reached the disk when it returns.
func MkdirAll(dir string) error {
	dir = filepath.Clean(dir)
	if info, err := os.Stat(dir); err == nil && info.IsDir() {
		return nil
	}
	parent := filepath.Dir(dir)
	if parent != dir {
		if err := MkdirAll(parent); err != nil {
			return err
		}
	}
	err := os.Mkdir(dir, 0o777)
	if errors.Is(err, fs.ErrExist) {
		return os.MkdirAll(dir, 0o777) // an error where it is no directory
	}
	if err != nil {
		return err
	}
	return SyncDir(parent)
}

// Sweep removes what a Write that was killed left in a directory, of the files
// whose names match a pattern of [path.Match]. Nobody may be writing them.
func Sweep(dir string, patterns ...string) error {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, e := range entries {
		for _, p := range patterns {
			if is, err := path.Match("."+p+"[0-9]*", e.Name()); err != nil || !is {
				continue
			}
			if err := os.Remove(filepath.Join(dir, e.Name())); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return err
			}
		}
	}
	return nil
}
