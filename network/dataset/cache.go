package dataset

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"clgrad/network/durable"
)

// fromCache is the origin of a file that was in the cache.
const fromCache = "cache"

// obtained is the checked content of a file and where it came from.
type obtained struct {
	content []byte
	origin  string // fromCache or the name of a source
}

// dir returns the cache directory of a set.
func (l library) dir(set namedSet) (string, error) {
	base := l.CacheDir
	if base == "" {
		user, err := os.UserCacheDir()
		if err != nil {
			return "", fmt.Errorf("no cache directory: %w", err)
		}
		base = filepath.Join(user, "clgrad")
	}
	return filepath.Join(base, set.name), nil
}

// obtain returns the four files of a set, each from the cache or the first
// source that has it unharmed.
func (l library) obtain(ctx context.Context, set namedSet) ([4]obtained, error) {
	var files [4]obtained
	opened := make([]opening, len(set.sources))
	for i, f := range set.files {
		content, tried := l.cached(set, f)
		if content != nil {
			files[i] = obtained{content, fromCache}
			continue
		}
		for j, s := range set.sources {
			content, err := l.ask(ctx, set, s, &opened[j], f)
			if err == nil {
				files[i] = obtained{content, s.String()}
				break
			}
			if ctx.Err() != nil {
				return files, fmt.Errorf("%s: fetching %s was stopped: %w", set.name, f.Name, context.Cause(ctx))
			}
			tried = append(tried, fmt.Sprintf("%s: %v", s, err))
		}
		if files[i].content == nil {
			for k, t := range tried {
				tried[k] = oneLine(t)
			}
			return files, fmt.Errorf("%s: %s could not be had: %s", set.name, f.Name, strings.Join(tried, "; "))
		}
	}
	return files, nil
}

// cached returns the content of a file of the cache, or why it is not usable.
func (l library) cached(set namedSet, f File) (content []byte, tried []string) {
	dir, err := l.dir(set)
	if err != nil {
		return nil, []string{err.Error()}
	}
	path := filepath.Join(dir, f.Name)
	content, err = folder(dir)(context.Background(), f, nil)
	if err == nil {
		err = f.check(content)
	}
	switch {
	case err == nil:
		return content, nil
	case errors.Is(err, fs.ErrNotExist):
		return nil, []string{fmt.Sprintf("cache %s: not there", dir)}
	}
	l.logf("%s: %s cannot be used and will be replaced: %v", set.name, path, err)
	return nil, []string{fmt.Sprintf("cache %s: %v", dir, err)}
}

// An opening remembers that a source was opened, and what came of it, so that
// one without an answer is waited for once and not once a file.
type opening struct {
	done bool
	get  getter
	err  error
}

// ask returns the checked content of a file from a source.
func (l library) ask(ctx context.Context, set namedSet, s source, o *opening, f File) ([]byte, error) {
	if !o.done {
		l.infof("%s: asking %s", set.name, s)
		o.get, o.err = s.open(ctx, l.Offline)
		o.done = true
	}
	if o.err != nil {
		return nil, o.err
	}
	l.infof("%s: getting %s (%d bytes) from %s", set.name, f.Name, f.Size, s)
	var progress func(done, total int64)
	if l.Download != nil {
		progress = func(done, total int64) { l.Download(f.Name, done, total) }
		defer progress(f.Size, f.Size) // whatever came
	}
	content, err := o.get(ctx, f, progress)
	if err != nil {
		return nil, err
	}
	return content, f.check(content)
}

// check reports where content is not that of the file, by its name.
func (f File) check(content []byte) error {
	if problem := f.problem(content); problem != "" {
		return errors.New(f.Name + " " + problem)
	}
	return nil
}

// problem says why content is not that of the file, "" where it is.
func (f File) problem(content []byte) string {
	if int64(len(content)) > f.Size {
		return fmt.Sprintf("has more than the %d bytes that are expected", f.Size)
	}
	found := fmt.Sprintf("%x", sha256.Sum256(content))
	switch {
	case found == f.SHA256 || f.Unpacked != "" && unpackedSum(content) == f.Unpacked:
		return ""
	case int64(len(content)) < f.Size:
		return fmt.Sprintf("has %d bytes where %d are expected", len(content), f.Size)
	}
	return fmt.Sprintf("has SHA-256 %s where %s is expected", found, f.SHA256)
}

// unpackedSum returns the hexadecimal SHA-256 of what a gzip file holds, "" where
// it is none.
func unpackedSum(content []byte) string {
	unzipped, err := gzip.NewReader(bytes.NewReader(content))
	if err != nil {
		return ""
	}
	h := sha256.New()
	if _, err := io.Copy(h, unzipped); err != nil {
		return ""
	}
	return hex.EncodeToString(h.Sum(nil))
}

// store puts those of the files that did not come from the cache into it, each
// whole or not at all.
func store(dir string, set namedSet, files [4]obtained) error {
	for i, f := range files {
		if f.origin == fromCache {
			continue
		}
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return err
		}
		if err := durable.WriteFile(filepath.Join(dir, set.files[i].Name), f.content); err != nil {
			return err
		}
	}
	return nil
}
