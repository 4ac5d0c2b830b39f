// Package store keeps what is known of each OpenCL device between runs: which
// tests it has passed, and the tiles that clgrad tune found. Of devices that compute
// together it keeps how they share the rows. Nothing depends on
// it: whatever is wrong with a file, its content is ignored, the tests and measurements
// are made anew and default tiles are used.
//
// A device has one file, JSON, in a directory of the user's cache. It holds what
// it was made for; that of another driver is replaced. The program that writes
// last keeps what others have added since it read.
package store

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/gofrs/flock"

	"clgrad/gpu"
	"clgrad/network/durable"
)

// Bounds of a file.
const (
	maxFile = 1 << 20 // bytes; a key takes about 70, a tile 150
	maxKeys = 4096    // passes; the oldest make room
	maxKey  = 128     // characters of a key
)

// Dir returns the directory of the files unless a caller has another place:
// clgrad/devices in the user's cache directory.
func Dir() (string, error) {
	dir, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	return filepath.Join(dir, "clgrad", "devices"), nil
}

// Name returns a short name for a device that is good in names of files: one for
// all its drivers.
func Name(d gpu.Device) string {
	h := sha256.Sum256([]byte(d.PlatformName + "\x00" + d.Name))
	return hex.EncodeToString(h[:8])
}

// content is what a file holds.
type content struct {
	MadeFor gpu.Identity `json:"made_for"` // what all entries depend on
	Passed  []string     `json:"passed"`   // in the order in which they were added
	Tuning  *gpu.Tuning  `json:"tuning,omitempty"`
}

// A Store holds the entries of one device. Its methods may be called from several
// goroutines at once.
type Store struct {
	device gpu.Device
	file   string // empty where nothing is kept

	mu     sync.Mutex
	passed map[string]bool
	tuning *gpu.Tuning
}

// Open returns the store of a device in a directory, or one in memory where dir
// is empty. The store can be used whatever the error says: a file that cannot be
// read, is too large, holds something else or was made for another driver is as
// good as none, and the error names it in one line.
func Open(dir string, d gpu.Device) (*Store, error) {
	s := &Store{device: d, passed: map[string]bool{}}
	if dir == "" {
		return s, nil
	}
	s.file = filepath.Join(dir, Name(d)+".json")
	c, err := s.read()
	for _, key := range c.Passed {
		s.passed[key] = true
	}
	s.tuning = c.Tuning
	return s, err
}

// read returns what is in the file, and nothing with an error.
func (s *Store) read() (content, error) {
	c, err := s.load()
	if err != nil {
		var p *fs.PathError
		if errors.As(err, &p) {
			err = p.Err
		}
		return content{}, fmt.Errorf("%s: %w", s.file, err)
	}
	return c, nil
}

func (s *Store) load() (content, error) {
	text, err := readFile(s.file)
	if err != nil || text == nil {
		return content{}, err
	}
	c, err := parse(text, s.device.Identity())
	if err != nil {
		return content{}, useless{err}
	}
	return c, nil
}

// readFile returns at most a byte more than a file may have, and nil where there is none.
func readFile(file string) ([]byte, error) {
	info, err := os.Stat(file)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	// To open a pipe, say, could take for ever.
	if !info.Mode().IsRegular() {
		return nil, errors.New("a regular file is expected")
	}
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, maxFile+1))
}

// useless is why the content of a file that could be read is good for nothing.
type useless struct{ error }

func (u useless) Unwrap() error { return u.error }

// parse returns the entries in a file's text, or why they are of no use.
func parse(text []byte, here gpu.Identity) (content, error) {
	if len(text) > maxFile {
		return content{}, fmt.Errorf("has more than %d bytes: what is known of a device takes less", maxFile)
	}
	var c content
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&c); err != nil {
		return content{}, fmt.Errorf("is not what is known of a device: %w", err)
	}
	if decoder.More() {
		return content{}, errors.New("is not what is known of a device: something follows its end")
	}
	if err := c.MadeFor.Check(here); err != nil {
		return content{}, err
	}
	if len(c.Passed) > maxKeys {
		return content{}, fmt.Errorf("has %d passes: at most %d are expected", len(c.Passed), maxKeys)
	}
	for _, key := range c.Passed {
		if err := checkKey(key); err != nil {
			return content{}, err
		}
	}
	return c, nil
}

// checkKey reports a key that is no digest.
func checkKey(key string) error {
	if _, err := hex.DecodeString(key); err != nil || key == "" || len(key) > maxKey || strings.ToLower(key) != key {
		return fmt.Errorf("pass %q: a digest is expected, an even number of hexadecimal digits, at most %d", key[:min(len(key), 40)], maxKey)
	}
	return nil
}

// Key returns the key of what a test depends on, in order. The device and its
// driver need not be among it.
func Key(parts ...string) string {
	h := sha256.New()
	for _, p := range parts {
		fmt.Fprintf(h, "%d:%s", len(p), p)
	}
	return hex.EncodeToString(h.Sum(nil))
}

// Passed reports whether the test with a key has been passed.
func (s *Store) Passed(key string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.passed[key]
}

// Keys returns the keys of all passes, sorted.
func (s *Store) Keys() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Sorted(maps.Keys(s.passed))
}

// Add remembers passes, each a digest in hexadecimal digits (see [Key]): for the
// life of the store in any case, and in its file unless the error, one line, says
// why not.
func (s *Store) Add(keys ...string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	var added []string
	for _, key := range keys {
		if err := checkKey(key); err != nil {
			return err
		}
		if !s.passed[key] {
			s.passed[key] = true
			added = append(added, key)
		}
	}
	if len(added) == 0 {
		return nil
	}
	return s.write(func(c *content) { c.Passed = append(c.Passed, added...) })
}

// Tuning returns the tiles that were found for the device, none where it was not
// tuned. Tiles that are of no use any more, since the kernels are others, are an
// error in one line that names the file.
func (s *Store) Tuning() (gpu.Tuning, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.usable(s.tuning)
}

func (s *Store) usable(t *gpu.Tuning) (gpu.Tuning, error) {
	if t == nil {
		return gpu.Tuning{}, nil
	}
	if err := t.Check(s.device); err != nil {
		return gpu.Tuning{}, fmt.Errorf("%s: tuning: %w", s.file, err)
	}
	return *t, nil
}

// SetTuning keeps the tiles that were found for the device, in place of those for
// the same shapes, and returns the file. Earlier tiles that are of no use any more
// are dropped.
func (s *Store) SetTuning(t gpu.Tuning) (file string, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.file == "" {
		return "", errors.New("there is no directory to keep a tuning in: the user's cache directory is expected")
	}
	return s.file, s.write(func(c *content) {
		earlier, _ := s.usable(c.Tuning)
		t = t.Merge(earlier)
		c.Tuning, s.tuning = &t, &t
	})
}

// patience is how long the process that is writing is waited for.
const patience = 10 * time.Second

// locked runs f while no other process writes to the directory of a store. A file system
// that has no locks is done without.
func locked(dir string, f func() error) (err error) {
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	l := flock.New(filepath.Join(dir, "lock"), flock.SetPermissions(0o666))
	_, err = l.TryLockContext(ctx, 5*time.Millisecond)
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return errors.Join(fmt.Errorf("%s: another process has held it for %v", l.Path(), patience), l.Close())
	case err != nil && !errors.Is(err, errors.ErrUnsupported):
		return errors.Join(err, l.Close())
	}
	defer func() { err = errors.Join(err, l.Close()) }()
	return f()
}

// write changes what is in the file. Others may have added to it: a file that cannot be
// read at the moment stays as it is.
func (s *Store) write(change func(*content)) error {
	if s.file == "" {
		return nil
	}
	return locked(filepath.Dir(s.file), func() error { return s.rewrite(change) })
}

func (s *Store) rewrite(change func(*content)) error {
	c, err := s.read()
	if err != nil && !errors.As(err, new(useless)) {
		return err
	}
	c.MadeFor = s.device.Identity()
	change(&c)
	// The last of equal keys stays.
	slices.Reverse(c.Passed)
	seen := map[string]bool{}
	c.Passed = slices.DeleteFunc(c.Passed, func(key string) bool {
		again := seen[key]
		seen[key] = true
		return again
	})
	c.Passed = c.Passed[:min(len(c.Passed), maxKeys)]
	slices.Reverse(c.Passed)
	text, err := json.MarshalIndent(c, "", "  ")
	if err != nil {
		return fmt.Errorf("%s: %w", s.file, err)
	}
	if len(text) >= maxFile {
		return fmt.Errorf("%s: not written: it would have more than %d bytes", s.file, maxFile)
	}
	return durable.WriteFile(s.file, append(text, '\n'))
}
