package dataset

import (
	"archive/zip"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"math/bits"
	"strings"

	"github.com/sbinet/npyio/npy"
)

// npzNames are the arrays of an NPZ file in the order of partNames.
var npzNames = [4]string{"x_train", "y_train", "x_test", "y_test"}

// readNPZ reads the set of an NPZ file in the layout of Keras's data sets:
//
//	x_train, x_test   features, row-major, a row a sample, of 2 dimensions or more:
//	                  uint8, held as bytes; other integers and floats, as float32
//	y_train, y_test   the rows' classes 0, 1, 2, …: integers, one or n×1 dimensions
//
// The two for the test may both be missing; other arrays are passed over. name
// stands in messages; size is the number of bytes that r holds.
//
// Each array has to fill its place in the archive to the byte, and all of them
// may be unpacked to 200 times the file's size, or 64 MiB where that is more.
// Memory grows with the data that arrives, so a damaged or hostile file costs no
// more than its content. Every error is one line that begins with name and names
// the array.
func readNPZ(r io.ReaderAt, name string, size int64) (Set, error) {
	archive, err := zip.NewReader(r, size)
	if err != nil {
		return Set{}, fmt.Errorf("%s: is no readable NPZ file: %w", name, err)
	}
	var entries [4]*zip.File
	var others []string
	total := uint64(0)
	for _, f := range archive.File {
		array, _ := strings.CutSuffix(f.Name, ".npy")
		others = append(others, array)
		for i, wanted := range npzNames {
			if array != wanted {
				continue
			}
			if entries[i] != nil {
				return Set{}, fmt.Errorf("%s: holds %s twice", name, array)
			}
			entries[i] = f
			sum, carry := bits.Add64(total, f.UncompressedSize64, 0)
			if total = sum; carry > 0 || total > uint64(maxUnpacked(size)) {
				return Set{}, fmt.Errorf("%s: %s has %d bytes, with which the file holds too much for its %d: at most 200 times that, or 64 MiB, are expected",
					name, array, f.UncompressedSize64, size)
			}
		}
	}
	if err := roomFor(name, total, "raw IDX files of any size are mapped"); err != nil {
		return Set{}, err
	}
	var parts [4]part
	for i, f := range entries {
		if f == nil {
			if i >= testImages && entries[testImages] == entries[testLabels] {
				break // no test set
			}
			return Set{}, fmt.Errorf("%s: has no array %s: there are %s", name, npzNames[i], list(others))
		}
		if parts[i], err = readEntry(f, name+": "+npzNames[i], i == trainLabels || i == testLabels, size); err != nil {
			return Set{}, err
		}
	}
	return assemble("", parts)
}

// An npyArray is an array of an NPZ file while it is read.
type npyArray struct {
	name     string // for messages
	r        io.Reader
	size     int64 // of the NPZ file
	shape    []int
	elements int
	kind     byte // u, i or f
	width    int  // bytes of an element
	order    binary.ByteOrder
}

// readEntry reads one array, of labels or of features.
func readEntry(f *zip.File, name string, labels bool, size int64) (part, error) {
	r, err := f.Open()
	if err != nil {
		return part{}, fmt.Errorf("%s: cannot be unpacked: %w", name, err)
	}
	defer r.Close()
	a := npyArray{name: name, r: r, size: size}
	if err := a.header(f.UncompressedSize64); err != nil {
		return part{}, fmt.Errorf("%s: %w", name, err)
	}
	p := part{file: name, shape: a.shape}
	switch {
	case labels:
		p.labels, err = a.labels()
		p.shape = p.shape[:1]
	case len(a.shape) < 2:
		err = fmt.Errorf("has shape %s where rows of features, 2 dimensions or more, are expected", times(a.shape))
	case a.kind == 'u' && a.width == 1:
		p.bytes, err = readExactly(r, a.elements, size)
		if err == nil && len(p.bytes) < a.elements {
			err = io.ErrUnexpectedEOF
		}
	default:
		p.floats, err = a.floats()
	}
	if err == nil {
		// Reading on to the end makes package zip compare its checksum.
		_, err = io.Copy(io.Discard, r)
	}
	if err != nil {
		return part{}, fmt.Errorf("%s: %w", name, a.describe(err))
	}
	return p, nil
}

// describe puts what package zip reports into words that say what to do.
func (a *npyArray) describe(err error) error {
	switch {
	case errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, io.EOF):
		return errors.New("ends before its last element: the file is damaged")
	case errors.Is(err, zip.ErrChecksum):
		return errors.New("has another checksum than the archive says: the file is damaged")
	}
	return err
}

// maxHeader bounds the header of an array, which NumPy keeps below 10000 bytes.
const maxHeader = 1 << 16

// header reads the array's header, and compares what it announces with the bytes
// that the archive has for the array.
func (a *npyArray) header(size uint64) (err error) {
	start := make([]byte, 12)
	if _, err := io.ReadFull(a.r, start[:10]); err != nil {
		return cutHeader(err)
	}
	if !bytes.HasPrefix(start, npy.Magic[:]) {
		return errors.New("does not begin as an NPY array")
	}
	length := uint32(binary.LittleEndian.Uint16(start[8:]))
	switch major := start[6]; major {
	case 1:
		start = start[:10]
	case 2:
		if _, err := io.ReadFull(a.r, start[10:]); err != nil {
			return cutHeader(err)
		}
		length = binary.LittleEndian.Uint32(start[8:])
	default:
		return fmt.Errorf("has version %d of the NPY format where 1 or 2 is expected", major)
	}
	if length > maxHeader {
		return fmt.Errorf("announces a header of %d bytes where at most %d are expected", length, maxHeader)
	}
	all := append(start, make([]byte, length)...)
	if _, err := io.ReadFull(a.r, all[len(start):]); err != nil {
		return cutHeader(err)
	}
	h, err := parseNPY(all)
	if err != nil {
		return err
	}

	a.shape = h.Descr.Shape
	if err := a.element(h.Descr.Type); err != nil {
		return err
	}
	if h.Descr.Fortran && len(a.shape) > 1 {
		return errors.New("is in Fortran order where C order is expected (numpy.ascontiguousarray makes it so)")
	}
	if len(a.shape) == 0 {
		return errors.New("is a single value where rows are expected")
	}
	product, overflow := uint64(a.width), false
	for i, d := range a.shape {
		if d < 1 {
			return fmt.Errorf("dimension %d is %d where at least 1 is expected", i+1, d)
		}
		high, low := bits.Mul64(product, uint64(d))
		overflow = overflow || high > 0
		product = low
	}
	if data := size - uint64(len(all)); overflow || size < uint64(len(all)) || product != data || product > math.MaxInt {
		return fmt.Errorf("has %d bytes in the archive, which is not what its header of %d and %d for each element of shape %s need",
			size, len(all), a.width, times(a.shape))
	}
	a.elements = int(product) / a.width
	return nil
}

// cutHeader puts an early end of the header into words.
func cutHeader(err error) error {
	if err == io.EOF || err == io.ErrUnexpectedEOF {
		return errors.New("ends within its header: an NPY array is expected")
	}
	return err
}

// parseNPY parses a header. Package npy takes for granted that it is in order,
// and slices beyond its ends where it is not.
func parseNPY(header []byte) (h npy.Header, err error) {
	defer func() {
		if recover() != nil {
			err = errors.New("has a header that cannot be read")
		}
	}()
	r, err := npy.NewReader(bytes.NewReader(header))
	if err != nil {
		// The package's words have the header's bytes among them.
		return h, fmt.Errorf("has a header that cannot be read: %s", strings.Trim(fmt.Sprintf("%.200q", err.Error()), `"`))
	}
	return r.Header, nil
}

// element learns what the elements are from NumPy's name for them, as in <f4.
func (a *npyArray) element(descr string) error {
	if len(descr) == 3 {
		a.kind, a.width, a.order = descr[1], int(descr[2]-'0'), binary.LittleEndian
		if descr[0] == '>' {
			a.order = binary.BigEndian
		}
		switch descr[1:] {
		case "u1", "i1", "u2", "i2", "u4", "i4", "u8", "i8", "f4", "f8":
			if strings.IndexByte("<>", descr[0]) >= 0 || descr[0] == '|' && a.width == 1 {
				return nil
			}
		}
	}
	return fmt.Errorf("has elements of type %.20q where integers of 8 to 64 bits, float32 or float64 are expected", descr)
}

// each reads the elements and gives visit each as the float64 that is nearest.
func (a *npyArray) each(visit func(i int, v float64) error) error {
	buffer := make([]byte, 1<<15)
	for i := 0; i < a.elements; {
		part := buffer[:min(len(buffer), (a.elements-i)*a.width)]
		if _, err := io.ReadFull(a.r, part); err != nil {
			return err
		}
		for ; len(part) > 0; part = part[a.width:] {
			if err := visit(i, a.value(part)); err != nil {
				return err
			}
			i++
		}
	}
	return nil
}

// value returns the first element of b.
func (a *npyArray) value(b []byte) float64 {
	var u uint64
	switch a.width {
	case 1:
		u = uint64(b[0])
	case 2:
		u = uint64(a.order.Uint16(b))
	case 4:
		u = uint64(a.order.Uint32(b))
	default:
		u = a.order.Uint64(b)
	}
	switch {
	case a.kind == 'f' && a.width == 4:
		return float64(math.Float32frombits(uint32(u)))
	case a.kind == 'f':
		return math.Float64frombits(u)
	case a.kind == 'i':
		unused := 64 - 8*a.width
		return float64(int64(u<<unused) >> unused)
	}
	return float64(u)
}

// floats reads features.
func (a *npyArray) floats() ([]float32, error) {
	values := make([]float32, 0, min(int64(a.elements), a.size))
	features := a.elements / a.shape[0]
	err := a.each(func(i int, v float64) error {
		narrow := float32(v)
		if narrow-narrow != 0 { // NaN for ±Inf and NaN
			return fmt.Errorf("row %d, feature %d is %v where a finite float32 is expected", i/features+1, i%features+1, v)
		}
		values = append(values, narrow)
		return nil
	})
	return values, err
}

// labels reads labels.
func (a *npyArray) labels() ([]int32, error) {
	if a.elements != a.shape[0] {
		return nil, fmt.Errorf("has shape %s where one label a row is expected", times(a.shape))
	}
	if a.kind == 'f' {
		return nil, errors.New("has elements that are floats where integers are expected, the rows' classes")
	}
	values := make([]int32, 0, min(int64(a.elements), a.size))
	err := a.each(func(i int, v float64) error {
		if v < 0 || v >= maxClasses {
			return fmt.Errorf("row %d has label %.0f where a class of 0 to %d is expected", i+1, v, maxClasses-1)
		}
		values = append(values, int32(v))
		return nil
	})
	return values, err
}
