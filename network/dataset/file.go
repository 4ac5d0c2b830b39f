package dataset

import (
	"archive/zip"
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"path"
	"slices"
	"strings"

	"github.com/sbinet/npyio/npy"
)

// StandardInput is the name that stands for standard input in [Load].
const StandardInput = "-"

// InputName returns what a file is called in messages: standard input by these words.
func InputName(name string) string {
	if name == StandardInput {
		return "standard input"
	}
	return name
}

// Once reports a file that can be read only once: standard input, or a pipe.
func Once(name string) bool {
	info, err := os.Stat(name)
	return name == StandardInput || err == nil && info.Mode().Type() == fs.ModeNamedPipe
}

// A format is a kind of file that holds a set, told by its first bytes.
type format int

const (
	unknownFormat format = iota
	csvFormat
	npzFormat
	npyFormat
)

// sniffBytes are looked at to tell a format.
const sniffBytes = 512

// sniff returns the format of a file by its beginning. Whatever is compressed by gzip, is
// UTF-16 by its byte order mark, or has no byte 0 there is taken for a CSV file, whose reader
// knows better; so is a text that has one later.
func sniff(start []byte) format {
	if isZip(start) {
		return npzFormat
	}
	zero := bytes.IndexByte(start, 0)
	line := bytes.IndexAny(start, "\r\n")
	switch {
	case isNPY(start):
		return npyFormat
	case isGzip(start), zero < 0, isUTF16(start), zero > line && line >= 0, zero > 0 && isText(start[:zero]):
		return csvFormat
	}
	return unknownFormat
}

func isUTF16(start []byte) bool {
	return bytes.HasPrefix(start, []byte{0xff, 0xfe}) || bytes.HasPrefix(start, []byte{0xfe, 0xff})
}

// isText reports characters that are all printable ASCII.
func isText(b []byte) bool {
	for _, c := range b {
		if c < ' ' && c != '\t' || c > '~' {
			return false
		}
	}
	return true
}

// An input is a file that is open, or what comes through a pipe.
type input struct {
	*bufio.Reader
	name  string      // for messages
	base  string      // of the set: without a path
	size  int64       // in bytes, -1 of a pipe
	file  io.ReaderAt // the whole file, nil of a pipe
	close func() error
}

// Close ends the reading.
func (in *input) Close() error {
	if in.close == nil {
		return nil
	}
	return in.close()
}

// open opens a file, a pipe or standard input and tells its format. A ZIP file with one
// member that is no array is opened as that member.
func (l library) open(ctx context.Context, name string) (in *input, kind format, err error) {
	if in, err = l.openInput(ctx, name); err != nil {
		return nil, 0, err
	}
	start, err := in.Peek(sniffBytes)
	if err != nil && err != io.EOF {
		err = fmt.Errorf("%s: %w", in.name, err)
	} else if i := sniffPicture(start); i >= 0 && formats[i].decode != nil {
		err = fmt.Errorf("%s: is a %s picture: a data set is a folder that has a folder of pictures for each class", in.name, formats[i].name)
	} else if what := otherTable(start); what != "" {
		err = notRead(in.name, what)
	} else if kind, err = sniff(start), nil; kind == npzFormat {
		kind, err = in.openZip()
	}
	if err != nil {
		return nil, 0, errors.Join(err, in.Close())
	}
	return in, kind, nil
}

// openInput opens a regular file, a pipe by its name, or standard input. What else there
// is, a device or a directory, may never end or has no content.
func (l library) openInput(ctx context.Context, name string) (*input, error) {
	if name == StandardInput {
		in := l.Input
		if in == nil {
			in = os.Stdin
		}
		return l.throughPipe(ctx, in, InputName(name), nil), nil
	}
	if Once(name) {
		return l.openPipe(ctx, name)
	}
	f, size, err := openRegular(name)
	if err != nil {
		return nil, err
	}
	r := &counted{r: stopping{ctx, f}, total: size, progress: l.Progress}
	return &input{bufio.NewReaderSize(r, 1<<16), name, baseName(name), size, stopping{ctx, f}, f.Close}, nil
}

// openPipe opens a pipe that has a name, which takes until it has a writer.
func (l library) openPipe(ctx context.Context, name string) (*input, error) {
	type opened struct {
		f   *os.File
		err error
	}
	result := make(chan opened, 1)
	go func() {
		f, err := os.Open(name)
		result <- opened{f, err}
	}()
	select {
	case r := <-result:
		if r.err != nil {
			return nil, r.err
		}
		return l.throughPipe(ctx, r.f, name, r.f.Close), nil
	case <-ctx.Done():
		return nil, fmt.Errorf("%s: loading was stopped: %w", name, ctx.Err())
	}
}

func (l library) throughPipe(ctx context.Context, r io.Reader, name string, close func() error) *input {
	base := name
	if close != nil {
		base = baseName(name)
	}
	c := &counted{r: newAhead(ctx, r), total: -1, progress: l.Progress}
	return &input{bufio.NewReaderSize(c, 1<<16), name, base, -1, nil, close}
}

// whole returns all of the file: that of a pipe is read into memory.
func (in *input) whole() (io.ReaderAt, int64, error) {
	if in.file != nil {
		return in.file, in.size, nil
	}
	content, err := io.ReadAll(in)
	if err != nil {
		return nil, 0, fmt.Errorf("%s: %w", in.name, err)
	}
	in.file, in.size = bytes.NewReader(content), int64(len(content))
	return in.file, in.size, nil
}

// otherTable names what programs keep tables in and is not read, by its beginning, "" for others.
func otherTable(start []byte) string {
	for _, t := range []struct{ magic, name string }{
		{"\xd0\xcf\x11\xe0", "an Excel workbook"}, {"PAR1", "a Parquet file"}, {"\x89HDF", "an HDF5 file"}, {"ARROW1", "an Arrow file"}, {"SQLite format 3\x00", "an SQLite database"},
	} {
		if bytes.HasPrefix(start, []byte(t.magic)) {
			return t.name
		}
	}
	return ""
}

func notRead(name, what string) error {
	return fmt.Errorf("%s: is %s, which is not read: save the table as CSV", name, what)
}

// openZip makes a ZIP file with one member that is no array the content of that member.
func (in *input) openZip() (format, error) {
	file, size, err := in.whole()
	if err != nil {
		return 0, err
	}
	archive, err := zip.NewReader(file, size)
	if err != nil {
		return npzFormat, nil // whose reader says what is wrong
	}
	var members []*zip.File
	var names []string
	for _, f := range archive.File {
		switch base := path.Base(f.Name); {
		case strings.HasSuffix(f.Name, ".npy"):
			return npzFormat, nil
		case strings.HasSuffix(f.Name, "/"), strings.HasPrefix(f.Name, "__MACOSX/"), strings.HasPrefix(base, "."):
		default:
			members, names = append(members, f), append(names, f.Name)
		}
	}
	has := func(name string) bool { return slices.Contains(names, name) }
	switch {
	case has("[Content_Types].xml") && has("xl/workbook.xml"):
		return 0, notRead(in.name, "an Excel workbook")
	case has("mimetype") && has("content.xml"):
		return 0, notRead(in.name, "an OpenDocument file")
	case len(archive.File) == 0:
		return npzFormat, nil
	case len(members) == 0:
		return 0, fmt.Errorf("%s: is a ZIP file without a file in it: a CSV file is expected", in.name)
	case len(members) > 1:
		return 0, fmt.Errorf("%s: is a ZIP file of %d files, %s: unpack it and give one of them", in.name, len(members), list(names))
	}
	r, err := members[0].Open()
	if err != nil {
		return 0, fmt.Errorf("%s: %s cannot be unpacked: %w", in.name, members[0].Name, err)
	}
	limit := func() int64 { return maxUnpacked(size) }
	in.Reader = bufio.NewReaderSize(&limited{r, limit, 0}, 1<<16)
	in.name += ": " + members[0].Name
	in.size, in.file = size, nil
	start, err := in.Peek(sniffBytes)
	if err != nil && err != io.EOF {
		return 0, fmt.Errorf("%s: cannot be unpacked: %w", in.name, err)
	}
	if kind := sniff(start); kind != csvFormat {
		return 0, fmt.Errorf("%s: is no CSV file: one is expected in a ZIP file", in.name)
	}
	return csvFormat, nil
}

// loadFile loads the set of a CSV, NPZ or NPY file.
func (l library) loadFile(ctx context.Context, name string) (Set, error) {
	if name == StandardInput && l.Test == StandardInput {
		return Set{}, errors.New("standard input: can be read once: give the training set or the test set as a file")
	}
	in, kind, err := l.open(ctx, name)
	if err != nil {
		return Set{}, err
	}
	defer in.Close()
	switch kind {
	case csvFormat:
		if l, err = l.readingOf(in.name, "a CSV file", "Label", "Header", "Separator", "Ignore", "Features", "Missing", "Shape", "Numbers"); err != nil {
			return Set{}, err
		}
		return l.loadTables(ctx, in)
	case npzFormat, npyFormat:
		file, size, err := in.whole()
		if err != nil {
			return Set{}, err
		}
		set, err := l.loadArrays(file, in.name, size, kind)
		set.Name = in.base
		return set, err
	}
	return Set{}, fmt.Errorf("%s: is neither a CSV nor an NPZ file", in.name)
}

// counted tells how much of a file was read.
type counted struct {
	r           io.Reader
	done, total int64
	progress    func(done, total int64)
}

func (c *counted) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.done += int64(n)
	switch {
	case c.progress == nil:
	case err == io.EOF:
		c.progress(c.done, c.done)
	default:
		c.progress(c.done, c.total)
	}
	return n, err
}

// ahead reads what may block, on a goroutine of its own, so that a context can end the
// wait. That goroutine stays as long as its last read.
type ahead struct {
	ctx    context.Context
	blocks chan []byte
	err    error // behind the blocks
	rest   []byte
}

func newAhead(ctx context.Context, r io.Reader) *ahead {
	a := &ahead{ctx: ctx, blocks: make(chan []byte)}
	go func() {
		defer close(a.blocks)
		var buffers [2][1 << 16]byte // one is read while the other is filled
		for i := 0; ; i = 1 - i {
			n, err := r.Read(buffers[i][:])
			if n > 0 {
				select {
				case a.blocks <- buffers[i][:n]:
				case <-ctx.Done():
					return
				}
			}
			if err != nil {
				a.err = err
				return
			}
		}
	}()
	return a
}

func (a *ahead) Read(p []byte) (int, error) {
	if len(a.rest) == 0 {
		select {
		case block, ok := <-a.blocks:
			if !ok {
				if a.err == nil {
					return 0, fmt.Errorf("loading was stopped: %w", context.Cause(a.ctx))
				}
				return 0, a.err
			}
			a.rest = block
		case <-a.ctx.Done():
			return 0, fmt.Errorf("loading was stopped: %w", a.ctx.Err())
		}
	}
	n := copy(p, a.rest)
	a.rest = a.rest[n:]
	return n, nil
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
	return min(mostInflated(size), max(freeBytes, min(size, math.MaxInt64/maxRatio)*maxRatio))
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
	limit  func() int64 // bytes that it may hold at most, by what of the file was read
	zipped bool
}

// unpack looks at the first bytes of r, which holds size bytes (-1: not known), and
// returns its content. name stands in messages, what says there what is expected.
func unpack(r io.Reader, name, what string, size int64) (unpacked, error) {
	read := &counted{r: r}
	raw := bufio.NewReaderSize(read, 1<<16)
	start, err := raw.Peek(2)
	switch {
	case len(start) == 0 && err == io.EOF:
		return unpacked{}, fmt.Errorf("%s: is empty: %s is expected", name, what)
	case len(start) == 0:
		return unpacked{}, fmt.Errorf("%s: %w", name, err)
	case !isGzip(start):
		return unpacked{raw, name, func() int64 { return math.MaxInt64 }, false}, nil
	}
	u := unpacked{name: name, zipped: true, limit: func() int64 {
		if size < 0 {
			return maxUnpacked(read.done)
		}
		return maxUnpacked(size)
	}}
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
