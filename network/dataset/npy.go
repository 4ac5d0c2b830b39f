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
	"regexp"
	"slices"
	"strings"

	"github.com/sbinet/npyio/npy"
)

// An npyArray is an array while it is read.
type npyArray struct {
	r        io.Reader
	size     int64 // of the NPZ file
	shape    []int
	fortran  bool // the first dimension runs fastest
	elements int
	kind     byte // u, i, f or b (bool)
	width    int  // bytes of an element
	order    binary.ByteOrder
}

// readArray reads an array of length bytes in a file of size bytes. It takes what
// it holds from the memory that is left.
func readArray(r io.Reader, name string, labels bool, length uint64, size int64, left *int64) (part, error) {
	a := npyArray{r: r, size: size}
	if err := a.header(length); err != nil {
		return part{}, fmt.Errorf("%s: %w", name, err)
	}
	p := part{file: name, shape: a.shape}
	small := a.kind == 'b' || a.kind == 'u' && a.width == 1
	elements, held := int64(a.elements), int64(4)
	switch {
	case labels:
		elements, held = int64(a.shape[0]), 12 // as they are and as classes
	case small:
		held = 1
	}
	if elements > *left/held {
		return part{}, fmt.Errorf("%s: shape %s needs more memory than is left, %d bytes", name, times(a.shape), *left)
	}
	*left -= elements * held
	var err error
	switch {
	case labels && a.elements == a.shape[0]:
		p.shape = a.shape[:1]
		p.labels, err = a.labels()
	case labels:
		p.shape = a.shape[:1]
		p.labels, p.oneHot, err = a.oneHot()
	case len(a.shape) < 2:
		err = fmt.Errorf("has shape %s where rows of features, 2 dimensions or more, are expected", times(a.shape))
	case small:
		p.bytes, err = a.bytes()
		p.bytes = fromFortran(p.bytes, a)
	default:
		p.floats, err = a.floats()
		p.floats = fromFortran(p.floats, a)
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
	case errors.Is(err, zip.ErrFormat):
		return errors.New("is not as the archive says: the file is damaged")
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
	// Python 2 wrote whole numbers as 28L.
	h, err := parseNPY(append(start, longs.ReplaceAll(all[len(start):], []byte("$1 "))...))
	if err != nil {
		return err
	}

	a.shape = h.Descr.Shape
	if err := a.element(h.Descr.Type); err != nil {
		return err
	}
	a.fortran = h.Descr.Fortran && len(a.shape) > 1
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

// longs are whole numbers of Python 2 in a header.
var longs = regexp.MustCompile(`([0-9])L`)

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
		case "b1", "u1", "i1", "u2", "i2", "u4", "i4", "u8", "i8", "f2", "f4", "f8":
			if strings.IndexByte("<>", descr[0]) >= 0 || descr[0] == '|' && a.width == 1 {
				return nil
			}
		}
	}
	return fmt.Errorf("has elements of type %.20q where bool, integers of 8 to 64 bits or floats of 16 to 64 are expected", descr)
}

// describeType names the type of the elements as NumPy does.
func (a *npyArray) describeType() string {
	if a.kind == 'b' {
		return "bool"
	}
	return fmt.Sprintf("%s%d", map[byte]string{'u': "uint", 'i': "int", 'f': "float"}[a.kind], 8*a.width)
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
	case a.kind == 'b':
		return float64(min(u, 1))
	case a.kind == 'f' && a.width == 2:
		return Float16(uint16(u))
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

// Float16 returns the value of a number of IEEE 754's binary16: sign, 5 bits of exponent
// with 15 for 2⁰, 10 bits of fraction.
func Float16(bits uint16) float64 {
	exponent, fraction := int(bits>>10&31), float64(bits&1023)
	var v float64
	switch exponent {
	case 0:
		v = math.Ldexp(fraction, -24)
	case 31:
		if v = math.Inf(1); fraction > 0 {
			v = math.NaN()
		}
	default:
		v = math.Ldexp(1024+fraction, exponent-25)
	}
	if bits>>15 > 0 {
		return -v
	}
	return v
}

// bytes reads features that are bytes.
func (a *npyArray) bytes() ([]uint8, error) {
	values, err := readExactly(a.r, a.elements, a.size)
	if err == nil && len(values) < a.elements {
		err = io.ErrUnexpectedEOF
	}
	if a.kind == 'b' {
		for i, v := range values {
			values[i] = min(v, 1)
		}
	}
	return values, err
}

// floats reads features.
func (a *npyArray) floats() ([]float32, error) {
	values := make([]float32, 0, min(int64(a.elements), a.size))
	err := a.each(func(i int, v float64) error {
		narrow := float32(v)
		if narrow-narrow != 0 { // NaN for ±Inf and NaN
			row, feature := a.place(i)
			return fmt.Errorf("row %d, feature %d is %v where a finite float32 is expected", row+1, feature+1, v)
		}
		values = append(values, narrow)
		return nil
	})
	return values, err
}

// place returns the row of an element, and its place in the row.
func (a *npyArray) place(i int) (row, feature int) {
	if !a.fortran {
		features := a.elements / a.shape[0]
		return i / features, i % features
	}
	row, i = i%a.shape[0], i/a.shape[0]
	feature, stride := 0, a.elements/a.shape[0]
	for _, d := range a.shape[1:] {
		stride /= d
		feature += i % d * stride
		i /= d
	}
	return row, feature
}

// fromFortran returns values that were read in the order of rows.
func fromFortran[T any](values []T, a npyArray) []T {
	if !a.fortran || len(values) < a.elements {
		return values
	}
	rows := make([]T, len(values))
	features := a.elements / a.shape[0]
	for i := 0; i < len(values); i += a.shape[0] { // the rows of one feature
		_, feature := a.place(i)
		for row, v := range values[i : i+a.shape[0]] {
			rows[row*features+feature] = v
		}
	}
	return rows
}

// maxLabel bounds whole numbers that float64 has exactly.
const maxLabel = 1 << 53

// labels reads labels, one a row.
func (a *npyArray) labels() ([]int64, error) {
	values := make([]int64, 0, min(int64(a.elements), a.size))
	err := a.each(func(i int, v float64) error {
		if v != math.Trunc(v) || math.Abs(v) > maxLabel { // NaN and Inf among them
			return fmt.Errorf("row %d has label %v where a whole number of at most 2⁵³ is expected, its class", i+1, v)
		}
		values = append(values, int64(v))
		return nil
	})
	return values, err
}

// oneHot reads labels that have a column a class, and returns how many these are.
func (a *npyArray) oneHot() ([]int64, int, error) {
	columns := a.elements / a.shape[0]
	if len(a.shape) != 2 || columns > maxClasses {
		return nil, 0, fmt.Errorf("has shape %s where one label a row is expected", times(a.shape))
	}
	expected := func(row int) error {
		return fmt.Errorf("has shape %s where one label a row is expected, or one 1 a row and 0 elsewhere, which row %d has not", times(a.shape), row+1)
	}
	values := make([]int64, 0, min(int64(a.shape[0]), a.size)) // the classes, or −1 as long as none is known
	err := a.each(func(i int, v float64) error {
		row, column := a.place(i)
		if row == len(values) {
			values = append(values, -1)
		}
		switch {
		case v == 1 && values[row] < 0:
			values[row] = int64(column)
		case v != 0:
			return expected(row)
		}
		return nil
	})
	if err == nil {
		if row := slices.Index(values, -1); row >= 0 {
			err = expected(row)
		}
	}
	return values, columns, err
}
