package dataset

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"image"
	"image/jpeg"
	"image/png"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"clgrad/network"
)

// A Picture is a PNG or JPEG file and the class of the folder that it stands in.
type Picture struct {
	Path  string // "-" is standard input
	Class int32  // -1 where it is unknown
}

const (
	// maxPixels bounds a picture, and the pictures that are decoded at a time: they take
	// 4 to 15 bytes a pixel.
	maxPixels = 1 << 26
	// maxPerByte is the most pixels that a byte of a file can stand for: those of a PNG
	// have a bit or more before they are compressed.
	maxPerByte = 8 * maxDeflate
	// maxStdin bounds a picture that is read from standard input.
	maxStdin = 1 << 28
)

// formats of pictures by the first bytes of their files. Those without a decoder are
// named in errors.
var formats = []struct {
	name   string
	at     int
	start  string
	config func(io.Reader) (image.Config, error)
	decode func(io.Reader) (image.Image, error)
}{
	{"PNG", 0, "\x89PNG\r\n\x1a\n", png.DecodeConfig, png.Decode},
	{"JPEG", 0, "\xff\xd8\xff", jpeg.DecodeConfig, jpeg.Decode},
	{"GIF", 0, "GIF8", nil, nil},
	{"WebP", 8, "WEBP", nil, nil},
	{"TIFF", 0, "II*\x00", nil, nil},
	{"TIFF", 0, "MM\x00*", nil, nil},
	{"HEIF", 4, "ftyphei", nil, nil},
	{"HEIF", 4, "ftypmif1", nil, nil},
	{"AVIF", 4, "ftypavif", nil, nil},
}

// endings of the names of pictures, also of those that cannot be read.
var endings = []string{".png", ".jpg", ".jpeg", ".jpe", ".jfif", ".gif", ".webp", ".bmp", ".tif", ".tiff", ".heic", ".heif", ".avif"}

func namedPicture(name string) bool {
	return slices.Contains(endings, strings.ToLower(filepath.Ext(name)))
}

// sniffPicture returns the place in formats of a file with this beginning, -1 of none.
func sniffPicture(start []byte) int {
	for i, f := range formats {
		if len(start) >= f.at+len(f.start) && string(start[f.at:f.at+len(f.start)]) == f.start {
			return i
		}
	}
	return -1
}

// beginning returns the first bytes of a regular file, fewer where it has fewer.
func beginning(path string) []byte {
	f, _, err := openRegular(path)
	if err != nil {
		return nil
	}
	defer f.Close()
	start := make([]byte, 16)
	n, _ := io.ReadFull(f, start)
	return start[:n]
}

// A header is what a picture's file says before it is decoded.
type header struct {
	format      int
	width       int // as stored
	height      int
	orientation int  // as in EXIF
	coloured    bool // the file has room for colour
}

// upright returns the sides of the picture as it is looked at.
func (h header) upright() (rows, columns int) {
	if turned(h.orientation) {
		return h.width, h.height
	}
	return h.height, h.width
}

// readHeader reads the header of a picture in a file of size bytes, and checks that its
// pixels can be had.
func readHeader(r io.ReadSeeker, size int64) (h header, err error) {
	start := make([]byte, 16)
	n, err := io.ReadFull(r, start)
	switch {
	case n == 0 && err == io.EOF:
		return h, errors.New("is empty where a PNG or JPEG picture is expected")
	case err != nil && err != io.ErrUnexpectedEOF:
		return h, err
	}
	switch h.format = sniffPicture(start[:n]); {
	case h.format < 0 && bytes.HasPrefix(start, []byte("BM")):
		return h, errors.New("is a BMP picture where PNG or JPEG is expected: convert it")
	case h.format < 0:
		return h, errors.New("is neither a PNG nor a JPEG picture")
	case formats[h.format].config == nil:
		return h, fmt.Errorf("is a %s picture where PNG or JPEG is expected: convert it", formats[h.format].name)
	}
	if _, err := r.Seek(0, io.SeekStart); err != nil {
		return h, err
	}
	config, err := formats[h.format].config(r)
	if err != nil {
		return h, damaged(err, formats[h.format].name)
	}
	h.width, h.height = config.Width, config.Height
	switch pixels := int64(h.width) * int64(h.height); {
	case h.width < 1 || h.height < 1:
		return h, fmt.Errorf("has %d × %d pixels", h.width, h.height)
	case h.width > maxPixels || h.height > maxPixels || pixels > maxPixels:
		return h, fmt.Errorf("has %d × %d pixels where %d million are possible: make it smaller", h.width, h.height, maxPixels/1_000_000)
	case pixels/maxPerByte > size:
		return h, fmt.Errorf("says that it has %d × %d pixels, which its %d bytes cannot hold", h.width, h.height, size)
	}
	h.coloured = !isGrey(config.ColorModel)
	if formats[h.format].name == "JPEG" {
		if _, err := r.Seek(0, io.SeekStart); err != nil {
			return h, err
		}
		h.orientation = orientation(r)
	}
	return h, nil
}

// damaged puts a decoder's error into words.
func damaged(err error, format string) error {
	// The JPEG decoder has no value for the end within its codes.
	if errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) || strings.HasSuffix(err.Error(), "short Huffman data") {
		return fmt.Errorf("ends within its %s data: the file is cut short", format)
	}
	return fmt.Errorf("damaged or unusual %s data: %w", format, err)
}

// A reader reads pictures and bounds those that are decoded at a time.
type pictureReader struct {
	mutex sync.Mutex
	freed *sync.Cond
	used  int
}

func newPictureReader() *pictureReader {
	r := &pictureReader{}
	r.freed = sync.NewCond(&r.mutex)
	return r
}

// take waits until pixels more can be decoded. A picture has at most as many as are
// possible at all.
func (r *pictureReader) take(pixels int) {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	for r.used+pixels > maxPixels {
		r.freed.Wait()
	}
	r.used += pixels
}

func (r *pictureReader) give(pixels int) {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	r.used -= pixels
	r.freed.Broadcast()
}

// openPicture opens a picture's file. Standard input is read to its end.
func openPicture(path string) (io.ReadSeekCloser, int64, error) {
	if path != StandardInput {
		f, size, err := openRegular(path)
		if err != nil {
			return nil, 0, reason(err, path)
		}
		return f, size, nil
	}
	content, err := io.ReadAll(io.LimitReader(os.Stdin, maxStdin+1))
	if err != nil {
		return nil, 0, err
	}
	if len(content) > maxStdin {
		return nil, 0, fmt.Errorf("has more than %d MiB", maxStdin>>20)
	}
	return inMemory{bytes.NewReader(content)}, int64(len(content)), nil
}

type inMemory struct{ *bytes.Reader }

func (inMemory) Close() error { return nil }

// reason is an error without the path, which the caller puts before it.
func reason(err error, path string) error {
	var at *os.PathError
	if errors.As(err, &at) {
		return at.Err
	}
	if rest, ok := strings.CutPrefix(err.Error(), path+": "); ok {
		return errors.New(rest)
	}
	return err
}

// decode has use look at a picture's pixels.
func (r *pictureReader) decode(path string, use func(image.Image, header) error) error {
	f, size, err := openPicture(path)
	if err != nil {
		return err
	}
	defer f.Close()
	h, err := readHeader(f, size)
	if err != nil {
		return err
	}
	pixels := h.width * h.height
	r.take(pixels)
	defer r.give(pixels)
	decoded, err := h.decode(f)
	if err != nil {
		return err
	}
	return use(decoded, h)
}

// decode decodes the file with this header.
func (h header) decode(f io.ReadSeeker) (image.Image, error) {
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return nil, err
	}
	decoded, err := formats[h.format].decode(f)
	if err != nil {
		return nil, damaged(err, formats[h.format].name)
	}
	return decoded, nil
}

// onAll calls f for 0 … n−1 on all cores, and returns how many calls failed and the error
// of the first of those. It ends early where the context does.
func onAll(ctx context.Context, n int, f func(i int) error) (failed, first int, err error) {
	errs := make([]error, n)
	var next atomic.Int64
	var wait sync.WaitGroup
	for range min(runtime.GOMAXPROCS(0), n) {
		wait.Go(func() {
			for i := int(next.Add(1)) - 1; i < n && ctx.Err() == nil; i = int(next.Add(1)) - 1 {
				errs[i] = f(i)
			}
		})
	}
	wait.Wait()
	if err := ctx.Err(); err != nil {
		return 0, 0, fmt.Errorf("loading was stopped: %w", err)
	}
	for i := n - 1; i >= 0; i-- {
		if errs[i] != nil {
			failed, first, err = failed+1, i, errs[i]
		}
	}
	return failed, first, err
}

// broken names the first of the pictures that cannot be read.
func broken(pictures []Picture, failed, first int, err error) error {
	if failed == 0 {
		return err // loading was stopped
	}
	name := InputName(pictures[first].Path)
	if len(pictures) == 1 {
		return fmt.Errorf("%s: %w", name, err)
	}
	return fmt.Errorf("%s: %w (%d of %d pictures cannot be read, this is the first)", name, err, failed, len(pictures))
}

// headers reads the headers of all pictures.
func headers(ctx context.Context, pictures []Picture) ([]header, error) {
	all := make([]header, len(pictures))
	failed, first, err := onAll(ctx, len(pictures), func(i int) error {
		f, size, err := openPicture(pictures[i].Path)
		if err != nil {
			return err
		}
		defer f.Close()
		all[i], err = readHeader(f, size)
		return err
	})
	if err != nil {
		return nil, broken(pictures, failed, first, err)
	}
	return all, nil
}

// Pictures are decoded so many at a time, before memory for the next ones is taken: a file
// that only says that it is a picture ends the reading before.
const (
	inTurn      = 1024
	inTurnBytes = 1 << 26 // or fewer, where rows of so many bytes are fewer
)

// ReadPictures returns a row for each picture, in their order, and its class where all
// have one. Pictures are decoded on all cores, and at most 67 million pixels at a time; one
// of more pixels is an error. Rows take a byte a feature, and twice as much while they are
// read. An error names the first picture that cannot be read, and says how many there are.
// Told to Options.Log: how they are converted, if not only resized, and pictures on which
// nothing is seen.
func ReadPictures(ctx context.Context, pictures []Picture, c Conversion, o Options) (network.Samples, error) {
	if err := c.check(); err != nil {
		return network.Samples{}, err
	}
	s, _, err := library{nil, o}.readPictures(ctx, pictures, c)
	return c.inUnits(s), err
}

// ReadPicture returns the row of a PNG or JPEG picture whose file is in memory, as
// ReadPictures does, and what was seen of it. A picture of more than maxPixels pixels is an error.
// It takes 4 to 15 bytes of memory a pixel.
func ReadPicture(content []byte, maxPixels int, c Conversion) (s network.Samples, seen Look, err error) {
	if err := c.check(); err != nil {
		return s, seen, err
	}
	f := bytes.NewReader(content)
	h, err := readHeader(f, int64(len(content)))
	if err != nil {
		return s, seen, err
	}
	if h.width > maxPixels/h.height {
		return s, seen, fmt.Errorf("has %d × %d pixels where %.3g million are possible: make it smaller", h.width, h.height, float64(maxPixels)/1e6)
	}
	decoded, err := h.decode(f)
	if err != nil {
		return s, seen, err
	}
	s = network.Samples{Rows: 1, Features: c.features(), Bytes: make([]uint8, c.features())}
	seen = c.row(s.Bytes, decoded, h.orientation)
	return c.inUnits(s), seen, nil
}

// readPictures also returns how many have colours. Its rows are of 0 to 255.
func (l library) readPictures(ctx context.Context, pictures []Picture, c Conversion) (s network.Samples, coloured int, err error) {
	features := c.features()
	s = network.Samples{Rows: len(pictures), Features: features}
	reader, seen := newPictureReader(), make([]Look, len(pictures))
	var bad error // of the first that cannot be read
	failed, first := 0, 0
	turn := min(inTurn, max(1, inTurnBytes/features))
	for at := 0; at < len(pictures); at += turn {
		part := pictures[at:min(at+turn, len(pictures))]
		rows := make([]uint8, len(part)*features)
		n, k, err := onAll(ctx, len(part), func(i int) error {
			return reader.decode(part[i].Path, func(decoded image.Image, h header) error {
				seen[at+i] = c.row(rows[i*features:(i+1)*features], decoded, h.orientation)
				return nil
			})
		})
		switch {
		case err == nil && failed == 0:
			s.Bytes = append(s.Bytes, rows...)
		case err != nil && n == 0: // stopped
			return network.Samples{}, 0, err
		case err != nil && failed == 0:
			first, bad = at+k, err
		}
		failed += n
	}
	if failed > 0 {
		return network.Samples{}, 0, broken(pictures, failed, first, bad)
	}
	blank, firstBlank, inverted := 0, 0, 0
	for i := len(seen) - 1; i >= 0; i-- {
		if seen[i].Blank {
			blank, firstBlank = blank+1, i
		}
		if seen[i].Coloured {
			coloured++
		}
		if seen[i].Inverted {
			inverted++
		}
	}
	switch {
	case c.Method == Digits:
		l.logf("pictures are converted as MNIST's digits were, %d of %d with dark and light exchanged (Conversion.Method Resize only resizes them)", inverted, len(pictures))
	case inverted > 0:
		l.logf("%d of %d pictures have dark and light exchanged, to be as the training set is (Conversion.Method Resize only resizes them)", inverted, len(pictures))
	}
	if blank > 0 {
		l.logf("%s: all pixels are alike, nothing is seen on it (%d of %d pictures are so)", InputName(pictures[firstBlank].Path), blank, len(pictures))
	}
	labels := make([]int32, len(pictures))
	for i, p := range pictures {
		if labels[i] = p.Class; p.Class < 0 {
			return s, coloured, nil
		}
	}
	s.Labels = labels
	return s, coloured, nil
}
