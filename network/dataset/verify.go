package dataset

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
)

// A Status describes a named set and its files in the cache.
type Status struct {
	Name        string       `json:"name"`
	Description string       `json:"description"`
	Dir         string       `json:"dir"` // the cache directory of the set
	OK          bool         `json:"ok"`  // every file is there and unharmed
	Files       []FileStatus `json:"files"`
}

// A FileStatus describes one file of a named set in the cache.
type FileStatus struct {
	Name     string `json:"name"`
	Path     string `json:"path"`              // where it is, or would be
	Size     int64  `json:"size_bytes"`        // as found, 0 where there is none
	SHA256   string `json:"sha256,omitempty"`  // as found; "" where there is no file or a longer one
	Expected File   `json:"expected"`          // as its publishers made it
	OK       bool   `json:"ok"`                // there and unharmed
	Problem  string `json:"problem,omitempty"` // why not, in words
	Origin   string `json:"origin,omitempty"`  // after Fetch: "cache" or the source it came from
}

// Verify looks at the cached files of a named set, without fetching any. What
// is missing or damaged stands in the status; an error means that there is no
// such set or no cache directory.
func Verify(ctx context.Context, name string, o Options) (Status, error) {
	return library{sets, o}.verify(ctx, name)
}

func (l library) verify(ctx context.Context, name string) (Status, error) {
	set, dir, err := l.place(name)
	if err != nil {
		return Status{}, err
	}
	status := Status{Name: set.name, Description: set.description, Dir: dir, OK: true}
	for _, f := range set.files {
		if err := ctx.Err(); err != nil {
			return Status{}, fmt.Errorf("%s: verifying was stopped: %w", name, err)
		}
		s := inspect(filepath.Join(dir, f.Name), f)
		status.Files = append(status.Files, s)
		status.OK = status.OK && s.OK
	}
	return status, nil
}

// place returns a named set and its folder in the cache.
func (l library) place(name string) (set namedSet, dir string, err error) {
	if set, err = l.findNamed(name); err != nil {
		return set, "", err
	}
	if dir, err = l.dir(set); err != nil {
		return set, "", fmt.Errorf("%s: %w", name, err)
	}
	return set, dir, nil
}

// inspect describes the file at path, which should be f.
func inspect(path string, f File) FileStatus {
	s := FileStatus{Name: f.Name, Path: path, Expected: f}
	file, size, err := openRegular(path)
	if errors.Is(err, fs.ErrNotExist) {
		s.Problem = "not there"
		return s
	}
	if err != nil {
		s.Problem = err.Error()
		return s
	}
	defer file.Close()
	s.Size = size
	content, err := io.ReadAll(io.LimitReader(file, f.Size+1))
	if err != nil {
		s.Problem = err.Error()
		return s
	}
	if int64(len(content)) == size {
		s.SHA256 = fmt.Sprintf("%x", sha256.Sum256(content))
	}
	s.Problem = f.problem(content)
	s.OK = s.Problem == ""
	return s
}

// Fetch brings a named set into the cache, leaving files that are there and
// unharmed, and returns what [Verify] then finds. Unlike [Load] it fails where
// the cache cannot be written.
func Fetch(ctx context.Context, name string, o Options) (Status, error) {
	return library{sets, o}.fetch(ctx, name)
}

func (l library) fetch(ctx context.Context, name string) (Status, error) {
	set, dir, err := l.place(name)
	if err != nil {
		return Status{}, err
	}
	files, err := l.obtain(ctx, set)
	if err != nil {
		return Status{}, err
	}
	if err := store(dir, set, files); err != nil {
		return Status{}, fmt.Errorf("%s: was fetched but cannot be kept: %w", name, err)
	}
	status, err := l.verify(ctx, name)
	if err != nil {
		return Status{}, err
	}
	for i := range status.Files {
		status.Files[i].Origin = files[i].origin
	}
	if !status.OK {
		return status, fmt.Errorf("%s: the files in %s changed while they were written", name, dir)
	}
	return status, nil
}
