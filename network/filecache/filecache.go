// Package filecache keeps files in a directory of limited size. It implements
// [network.Files].
package filecache

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"clgrad/network"
)

// A Dir is a directory of files. It is made when the first one is created.
type Dir struct {
	Path string
	// Limit is how many bytes the files may have together. When one is created the
	// oldest others go until all that stay come to less, so that a single file may be larger.
	Limit int64
}

// suffix tells the files of this package, and unfinished those that are being written.
const (
	suffix     = ".blocks"
	unfinished = ".part"
)

// staleAfter is how old a file is that nobody writes any more.
const staleAfter = 24 * time.Hour

func (d Dir) name(key string) string { return filepath.Join(d.Path, key+suffix) }

// Open returns the file of a key, or nil where there is none.
func (d Dir) Open(key string) (network.File, error) {
	f, err := open(d.name(key))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return f, nil
}

// A file is one that is open, and what it was then.
type file struct {
	*os.File
	info fs.FileInfo
}

func open(name string) (*file, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = fmt.Errorf("%s: a regular file is expected", name)
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return &file{f, info}, nil
}

func (f *file) Size() int64 { return f.info.Size() }

// Check reports a file whose size or time has changed.
func (f *file) Check() error {
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if info.Size() != f.info.Size() || !info.ModTime().Equal(f.info.ModTime()) {
		return fmt.Errorf("%s: was changed while it was in use", f.Name())
	}
	return nil
}

// Remove removes the file, if it is still the one at its place.
func (f *file) Remove() error {
	if info, err := os.Stat(f.Name()); err != nil || !os.SameFile(info, f.info) {
		return nil
	}
	return os.Remove(f.Name())
}

// Create begins the file of a key.
func (d Dir) Create(key string) (network.NewFile, error) {
	if err := os.MkdirAll(d.Path, 0o777); err != nil {
		return nil, err
	}
	d.evict(key)
	f, err := os.CreateTemp(d.Path, key+".*"+unfinished)
	if err != nil {
		return nil, err
	}
	return &newFile{File: f, to: d.name(key)}, nil
}

// evict removes files to make room, and what was left unfinished. A file that another process
// uses goes too: it stays readable there where the system allows to remove it.
func (d Dir) evict(key string) {
	entries, _ := os.ReadDir(d.Path)
	var kept []fs.FileInfo
	for _, e := range entries {
		info, err := e.Info()
		switch {
		case err != nil || !info.Mode().IsRegular():
		case strings.HasSuffix(e.Name(), unfinished) && time.Since(info.ModTime()) > staleAfter:
			os.Remove(filepath.Join(d.Path, e.Name()))
		case strings.HasSuffix(e.Name(), suffix) && e.Name() != key+suffix:
			kept = append(kept, info)
		}
	}
	slices.SortFunc(kept, func(a, b fs.FileInfo) int { return b.ModTime().Compare(a.ModTime()) })
	sum := int64(0)
	for _, info := range kept {
		if sum += info.Size(); sum > d.Limit {
			os.Remove(filepath.Join(d.Path, info.Name()))
		}
	}
}

// A newFile is one that is being written, beside its place.
type newFile struct {
	*os.File
	to   string
	done bool
}

// Commit puts the file in its place.
func (f *newFile) Commit() (network.File, error) {
	if err := f.File.Close(); err != nil {
		return nil, err
	}
	f.done = true
	if err := os.Rename(f.Name(), f.to); err != nil {
		return nil, errors.Join(err, os.Remove(f.Name()))
	}
	whole, err := open(f.to)
	if err != nil {
		return nil, err
	}
	return whole, nil
}

// Close removes what was written, unless it was committed.
func (f *newFile) Close() error {
	if f.done {
		return nil
	}
	f.done = true
	return errors.Join(f.File.Close(), os.Remove(f.Name()))
}
