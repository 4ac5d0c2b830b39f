package durable

import (
	"os"
	"path/filepath"
)

// A pendingFile is the stand-in of a file, as renameio makes it elsewhere.
type pendingFile struct {
	*os.File
	path string
	done bool
}

// pending makes the stand-in of a file in the same directory.
func pending(path string) (*pendingFile, error) {
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path))
	if err != nil {
		return nil, err
	}
	return &pendingFile{File: f, path: path}, nil
}

// CloseAtomicallyReplace has the content reach the disk and gives it the file's
// name.
func (f *pendingFile) CloseAtomicallyReplace() error {
	if err := f.Sync(); err != nil {
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	if err := os.Rename(f.Name(), f.path); err != nil {
		return err
	}
	f.done = true
	return nil
}

// Cleanup removes a stand-in that did not become the file.
func (f *pendingFile) Cleanup() error {
	if f.done {
		return nil
	}
	f.Close()
	return os.Remove(f.Name())
}

// SyncDir does nothing: a directory cannot be opened for it.
func SyncDir(string) error { return nil }
