package dataset

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"os"

	"github.com/sbinet/npyio/npy"
)

// A format is a kind of file that holds a set, told by its first bytes.
type format int

const (
	unknownFormat format = iota
	csvFormat
	npzFormat
	npyFormat
)

// sniff returns the format of a file. Whatever is compressed by gzip or has no
// byte 0 near its beginning is taken for a CSV file, whose reader knows better.
func sniff(f io.ReaderAt) (format, error) {
	start := make([]byte, 512)
	n, err := f.ReadAt(start, 0)
	if err != nil && err != io.EOF {
		return unknownFormat, err
	}
	switch start = start[:n]; {
	case isZip(start):
		return npzFormat, nil
	case isNPY(start):
		return npyFormat, nil
	case isGzip(start), bytes.IndexByte(start, 0) < 0:
		return csvFormat, nil
	}
	return unknownFormat, nil
}

// openData opens a regular file and returns its size and format.
func openData(path string) (f *os.File, size int64, kind format, err error) {
	if f, size, err = openRegular(path); err != nil {
		return nil, 0, unknownFormat, err
	}
	if kind, err = sniff(f); err != nil {
		f.Close()
		return nil, 0, unknownFormat, err
	}
	return f, size, kind, nil
}

// loadFile loads the set of a CSV, NPZ or NPY file.
func (l library) loadFile(ctx context.Context, path string) (Set, error) {
	f, size, kind, err := openData(path)
	if err != nil {
		return Set{}, err
	}
	defer f.Close()
	switch kind {
	case csvFormat:
		if l, err = l.readingOf(path, "a CSV file", "Label", "Header", "Separator", "Ignore", "Features", "Missing", "Shape", "Transpose", "Numbers"); err != nil {
			return Set{}, err
		}
		return l.loadTables(ctx, f, size)
	case npzFormat, npyFormat:
		return l.loadArrays(stopping{ctx, f}, path, size, kind)
	}
	return Set{}, fmt.Errorf("%s: is neither a CSV nor an NPZ file", path)
}

// noTable reports options that only CSV files have a use for.
func (l library) noTable(name string) error {
	if l.Label != "" || l.Test != "" {
		return fmt.Errorf("%s: knows its labels and its test set: only for a CSV file can a label column or a test file be given", name)
	}
	return nil
}

// stopping is a file whose reading ends when a context does.
type stopping struct {
	ctx context.Context
	f   *os.File
}

func (s stopping) Read(p []byte) (int, error) {
	if err := s.ctx.Err(); err != nil {
		return 0, fmt.Errorf("loading was stopped: %w", err)
	}
	return s.f.Read(p)
}

func (s stopping) ReadAt(p []byte, at int64) (int, error) {
	if err := s.ctx.Err(); err != nil {
		return 0, fmt.Errorf("loading was stopped: %w", err)
	}
	return s.f.ReadAt(p, at)
}

const (
	// maxDeflate is the most bytes that a byte of deflate can stand for: two
	// bits for a copy of 258 bytes.
	maxDeflate = 1032
	// Data compresses about fivefold. A file that claims or comes to much more
	// is no data set.
	maxRatio  = 200
	freeBytes = 64 << 20 // that a compressed file may hold whatever its ratio
)

// maxUnpacked returns the most bytes that a compressed file of size bytes may
// hold: 200 for each of its own, or 64 MiB where that is more.
func maxUnpacked(size int64) int64 {
	if size >= math.MaxInt64/maxDeflate {
		return math.MaxInt64
	}
	return min(mostInflated(size), max(freeBytes, size*maxRatio))
}

// mostInflated returns the most bytes that size bytes of deflate can hold.
func mostInflated(size int64) int64 {
	if size >= math.MaxInt64/maxDeflate {
		return math.MaxInt64
	}
	return size * maxDeflate
}

// isNPY reports the beginning of an NPY file, an array alone.
func isNPY(start []byte) bool { return bytes.HasPrefix(start, npy.Magic[:]) }

// isZip reports the beginning of a ZIP file, which an NPZ file is.
func isZip(start []byte) bool {
	return bytes.HasPrefix(start, []byte("PK\x03\x04")) || bytes.HasPrefix(start, []byte("PK\x05\x06"))
}

func isGzip(start []byte) bool { return bytes.HasPrefix(start, []byte{0x1f, 0x8b}) }

// An unpacked is the content of a file that may be compressed by gzip.
type unpacked struct {
	io.Reader
	name   string
	limit  int64 // bytes that it may hold at most
	zipped bool
}

// unpack looks at the first bytes of r, which holds size bytes, and returns its
// content. name stands in messages, what says there what is expected.
func unpack(r io.Reader, name, what string, size int64) (unpacked, error) {
	raw := bufio.NewReaderSize(r, 1<<16)
	start, err := raw.Peek(2)
	switch {
	case len(start) == 0 && err == io.EOF:
		return unpacked{}, fmt.Errorf("%s: is empty: %s is expected", name, what)
	case len(start) == 0:
		return unpacked{}, fmt.Errorf("%s: %w", name, err)
	case !isGzip(start):
		return unpacked{raw, name, math.MaxInt64, false}, nil
	}
	u := unpacked{name: name, limit: maxUnpacked(size), zipped: true}
	unzipped, err := gzip.NewReader(raw)
	if err != nil {
		return unpacked{}, u.describe(err)
	}
	content := bufio.NewReader(unzipped)
	if start, _ := content.Peek(4); isZip(start) {
		return unpacked{}, fmt.Errorf("%s: holds an NPZ file compressed once more by gzip: unpack it (gunzip)", name)
	}
	u.Reader = content
	return u, nil
}

// describe puts an error of reading into words that say what to do.
func (u unpacked) describe(err error) error {
	switch {
	case !u.zipped, errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return fmt.Errorf("%s: %w", u.name, err)
	case errors.Is(err, io.ErrUnexpectedEOF):
		return fmt.Errorf("%s: ends within its gzip data: the file is cut short", u.name)
	}
	return fmt.Errorf("%s: damaged gzip data: %w", u.name, err)
}
