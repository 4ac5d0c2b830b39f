package dataset

import (
	"bytes"
	"errors"
	"fmt"
	"os"

	"clgrad/network"
	"clgrad/network/mapped"
)

// mapFrom is the size in bytes from which on a raw IDX file is mapped, not read: it may be
// larger than memory. Tests change it.
var mapFrom int64 = network.StreamBytes

// mapIDX maps a large raw IDX file. ok is false where it is to be read.
func mapIDX(f *os.File, name string, size int64) (a Array, ok bool, err error) {
	if size < mapFrom {
		return Array{}, false, nil
	}
	m, err := mapped.Map(f, name)
	if errors.Is(err, errors.ErrUnsupported) || err == nil && isGzip(m.Data) {
		return Array{}, false, nil
	}
	if err != nil {
		return Array{}, true, err
	}
	u, err := unpack(bytes.NewReader(m.Data), name, "an IDX file", size)
	if err != nil {
		return Array{}, true, err
	}
	shape, elements, err := readShape(u)
	if err != nil {
		return Array{}, true, err
	}
	header := 4 + 4*len(shape)
	if elements != uint64(size)-uint64(header) {
		return Array{}, true, fmt.Errorf("%s: has %d bytes where dimensions %s need %d", name, size, times(shape), elements+uint64(header))
	}
	return Array{Shape: shape, Data: m.Data[header:]}, true, nil
}
