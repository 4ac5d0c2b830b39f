package dataset

import (
	"encoding/binary"
	"fmt"
	"io"
	"math"
	"math/bits"
	"strconv"
	"strings"
)

// An Array is the content of an IDX file of unsigned bytes, row-major.
type Array struct {
	Shape []int // 1 to 4 dimensions, each at least 1
	Data  []uint8
}

const (
	typeUint8 = 0x08
	maxRank   = 4
)

// idxTypes names the element types of the IDX format, for messages.
var idxTypes = map[byte]string{
	typeUint8: "uint8", 0x09: "int8", 0x0b: "int16", 0x0c: "int32", 0x0d: "float32", 0x0e: "float64",
}

// ReadIDX reads an IDX file of unsigned bytes, raw or compressed by gzip (told
// apart by their first bytes):
//
//	offset  bytes
//	0       0, 0, 0x08 (uint8), rank: 1 to 4
//	4       the dimensions, rank big-endian uint32, each at least 1
//	4+4·rank  the elements, the last dimension running fastest
//
// name stands in messages; size is the number of bytes that r holds. The
// dimensions must account for every byte of the file. Dimensions that size
// cannot hold are refused before memory is taken for them (1032 times size, where
// it is compressed), and memory grows with the data that arrives, so a damaged or
// hostile file costs no more than its content. Every error is one line that begins
// with name.
func ReadIDX(r io.Reader, name string, size int64) (Array, error) {
	return readIDXWithin(r, name, size, math.MaxInt64)
}

// readIDXWithin is ReadIDX of at most so many elements.
func readIDXWithin(r io.Reader, name string, size, most int64) (Array, error) {
	u, err := unpack(r, name, "an IDX file", size)
	if err != nil {
		return Array{}, err
	}
	shape, elements, err := readShape(u)
	if err != nil {
		return Array{}, err
	}
	header := int64(4 + 4*len(shape))
	if u.zipped {
		u.limit = func() int64 { return mostInflated(size) }
	}
	switch {
	case elements > uint64(math.MaxInt-header) || elements+uint64(header) > uint64(u.limit()):
		return Array{}, fmt.Errorf("%s: dimensions %s are more than a file of %d bytes can hold", name, times(shape), size)
	case elements > uint64(max(most, 0)):
		advice := ""
		if u.zipped {
			advice = ": a raw file of any size is mapped (gunzip)"
		}
		return Array{}, fmt.Errorf("%s: dimensions %s are more than the memory has room for, %d bytes%s", name, times(shape), max(most, 0), advice)
	case !u.zipped && elements+uint64(header) != uint64(size):
		return Array{}, fmt.Errorf("%s: has %d bytes where dimensions %s need %d",
			name, size, times(shape), elements+uint64(header))
	}

	data, err := readExactly(u, int(elements), size)
	if err != nil {
		return Array{}, u.describe(err)
	}
	if len(data) < int(elements) {
		return Array{}, fmt.Errorf("%s: ends after %d of the %d elements of its dimensions %s",
			name, len(data), elements, times(shape))
	}
	// Reading on to the end also makes gzip compare its checksum.
	var extra [1]byte
	switch n, err := io.ReadFull(u, extra[:]); {
	case n > 0:
		return Array{}, fmt.Errorf("%s: goes on after the %d elements of its dimensions %s", name, elements, times(shape))
	case err != io.EOF:
		return Array{}, u.describe(err)
	}
	return Array{Shape: shape, Data: data}, nil
}

// readShape reads the header and returns the dimensions and their product.
func readShape(u unpacked) ([]int, uint64, error) {
	name := u.name
	var magic [4]byte
	if n, err := io.ReadFull(u, magic[:]); err != nil {
		return nil, 0, headerError(u, n, len(magic), err)
	}
	switch {
	case magic[0] != 0 || magic[1] != 0:
		return nil, 0, fmt.Errorf("%s: begins with bytes %#02x %#02x where an IDX file has 0x00 0x00", name, magic[0], magic[1])
	case magic[2] != typeUint8:
		known := idxTypes[magic[2]]
		if known == "" {
			known = "unknown"
		}
		return nil, 0, fmt.Errorf("%s: has elements of type %#02x (%s) where 0x08 (uint8) is expected", name, magic[2], known)
	case magic[3] < 1 || magic[3] > maxRank:
		return nil, 0, fmt.Errorf("%s: has %d dimensions where 1 to %d are expected", name, magic[3], maxRank)
	}

	dims := make([]byte, 4*int(magic[3]))
	if n, err := io.ReadFull(u, dims); err != nil {
		return nil, 0, headerError(u, len(magic)+n, len(magic)+len(dims), err)
	}
	shape := make([]int, magic[3])
	product := uint64(1)
	overflow := false
	for i := range shape {
		d := binary.BigEndian.Uint32(dims[4*i:])
		if d == 0 {
			return nil, 0, fmt.Errorf("%s: dimension %d is 0 where at least 1 is expected", name, i+1)
		}
		if uint64(d) > math.MaxInt {
			return nil, 0, fmt.Errorf("%s: dimension %d is %d, too large for this machine", name, i+1, d)
		}
		shape[i] = int(d)
		high, low := bits.Mul64(product, uint64(d))
		overflow = overflow || high != 0
		product = low
	}
	if overflow {
		return nil, 0, fmt.Errorf("%s: dimensions %s are more than any file can hold", name, times(shape))
	}
	return shape, product, nil
}

// headerError reports a header of which only n of want bytes could be read.
func headerError(u unpacked, n, want int, err error) error {
	if err == io.EOF || err == io.ErrUnexpectedEOF && n > 0 {
		return fmt.Errorf("%s: ends after %d bytes where an IDX header of %d is expected", u.name, n, want)
	}
	return u.describe(err)
}

// readExactly reads want bytes, fewer only where r ends. It starts with no more
// memory than a small multiple of the file's size and doubles as data arrives.
func readExactly(r io.Reader, want int, size int64) ([]byte, error) {
	const usual = 8 // images compress about fivefold
	data := make([]byte, 0, min(want, usual*int(min(max(size, 64), math.MaxInt/usual))))
	for len(data) < want {
		if len(data) == cap(data) {
			grown := make([]byte, len(data), len(data)+min(len(data), want-len(data)))
			copy(grown, data)
			data = grown
		}
		n, err := r.Read(data[len(data):cap(data)])
		data = data[:len(data)+n]
		if err == io.EOF {
			break
		}
		if err != nil {
			return nil, err
		}
	}
	return data, nil
}

// times writes a shape as 60000×28×28.
func times(shape []int) string {
	words := make([]string, len(shape))
	for i, d := range shape {
		words[i] = strconv.Itoa(d)
	}
	return strings.Join(words, "×")
}
