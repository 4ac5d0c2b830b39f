package checkpoint

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"math/bits"
	"slices"
	"unicode/utf8"
)

// A fileHeader is the header of a safetensors file.
type fileHeader struct {
	metadata map[string]string
	tensors  map[string]fileTensor
	order    []string // the tensors' names by their place in the file
}

// A fileTensor is what the header says of a tensor.
type fileTensor struct {
	precision  Precision
	shape      []int
	begin, end int64 // behind the header
}

// maxRank bounds the dimensions of a tensor, which messages show.
const maxRank = 8

// parseHeader reads a header's JSON. It is stricter than package json, which
// takes the last of equal keys and any case of them: two readers of one file
// must not see two networks.
func parseHeader(head []byte) (fileHeader, error) {
	h := fileHeader{metadata: map[string]string{}, tensors: map[string]fileTensor{}}
	if len(head) == 0 || head[0] != '{' {
		return h, errors.New("its header does not begin with {: is this a safetensors file?")
	}
	if !utf8.Valid(head) {
		return h, errors.New("its header is not UTF-8")
	}
	d := json.NewDecoder(bytes.NewReader(head))
	err := object(d, func(key string) error {
		if key == metadataKey {
			return object(d, func(key string) error {
				var text *string
				if err := d.Decode(&text); err != nil {
					return err
				}
				if text == nil {
					return errors.New("null where a string is expected")
				}
				h.metadata[key] = *text
				return nil
			})
		}
		t, err := parseTensor(d)
		h.tensors[key] = t
		h.order = append(h.order, key)
		return err
	})
	if err != nil {
		return h, fmt.Errorf("its header: %w", ended(err))
	}
	if _, err := d.Token(); err != io.EOF {
		return h, errors.New("its header goes on after the closing brace")
	}
	return h, nil
}

// object walks over a JSON object and has each value read by visit, which finds
// the decoder before it. A key that comes twice is an error.
func object(d *json.Decoder, visit func(key string) error) error {
	start, err := d.Token()
	if err != nil {
		return err
	}
	if start != json.Delim('{') {
		return errors.New("an object is expected")
	}
	seen := map[string]bool{}
	for d.More() {
		token, err := d.Token()
		if err != nil {
			return err
		}
		key, ok := token.(string)
		if !ok {
			return errors.New("a key is expected")
		}
		if seen[key] {
			return fmt.Errorf("%.80q stands there twice", key)
		}
		seen[key] = true
		if err := visit(key); err != nil {
			return fmt.Errorf("%.80q: %w", key, err)
		}
	}
	_, err = d.Token() // the closing brace
	return err
}

// parseTensor reads {"dtype": …, "shape": […], "data_offsets": [begin, end]}.
func parseTensor(d *json.Decoder) (fileTensor, error) {
	var t fileTensor
	var shape, offsets []int64
	err := object(d, func(key string) error {
		switch key {
		case "dtype":
			var text string
			if err := d.Decode(&text); err != nil {
				return err
			}
			if t.precision = Precision(text); t.precision.bytes() == 0 {
				return fmt.Errorf("%.80q where %s or %s is expected", text, F32, F64)
			}
			return nil
		case "shape":
			return d.Decode(&shape)
		case "data_offsets":
			return d.Decode(&offsets)
		}
		return errors.New("is unknown")
	})
	if err != nil {
		return t, err
	}
	switch {
	case t.precision == "":
		return t, errors.New("has no dtype")
	case shape == nil:
		return t, errors.New("has no shape")
	case len(offsets) != 2:
		return t, fmt.Errorf("has %d data_offsets where 2 are expected", len(offsets))
	}
	if len(shape) > maxRank {
		return t, fmt.Errorf("has %d dimensions where at most %d are expected", len(shape), maxRank)
	}
	t.begin, t.end = offsets[0], offsets[1]
	for _, n := range shape {
		if n < 0 || n > math.MaxInt {
			return t, fmt.Errorf("has a dimension of %d", n)
		}
		t.shape = append(t.shape, int(n))
	}
	return t, nil
}

// ended puts an early end of the JSON into words.
func ended(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return errors.New("ends before its closing brace")
	}
	return err
}

// checkPlaces sorts the tensors by their place and reports where they do not
// fill size bytes one behind the other, each with the bytes of its shape.
func (h fileHeader) checkPlaces(size int64) error {
	slices.SortFunc(h.order, func(a, b string) int {
		return cmp.Or(cmp.Compare(h.tensors[a].begin, h.tensors[b].begin), cmp.Compare(h.tensors[a].end, h.tensors[b].end), cmp.Compare(a, b))
	})
	at := int64(0)
	for _, name := range h.order {
		t := h.tensors[name]
		switch need, ok := t.bytes(); {
		case t.begin < 0 || t.end < t.begin || t.end > size:
			return fmt.Errorf("tensor %.80q is at bytes %d to %d of %d", name, t.begin, t.end, size)
		case !ok || need != uint64(t.end-t.begin):
			return fmt.Errorf("tensor %.80q has %d bytes, which is not what %s of shape %v needs", name, t.end-t.begin, t.precision, t.shape)
		case t.begin < at:
			return fmt.Errorf("tensor %.80q begins at byte %d, before another ends at %d", name, t.begin, at)
		case t.begin > at:
			return fmt.Errorf("tensor %.80q begins at byte %d where %d is expected: no tensor has the bytes between", name, t.begin, at)
		}
		at = t.end
	}
	if at != size {
		return fmt.Errorf("has %d bytes of tensors where its header has %d", size, at)
	}
	return nil
}

// bytes returns the bytes that the shape needs, and whether 64 bits hold them.
func (t fileTensor) bytes() (uint64, bool) {
	n, fits := uint64(t.precision.bytes()), true
	for _, d := range t.shape {
		high, low := bits.Mul64(n, uint64(d))
		fits = fits && high == 0
		n = low
	}
	return n, fits
}
