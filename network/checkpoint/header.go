package checkpoint

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"math/bits"
	"slices"

	"github.com/go-json-experiment/json"
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

// A headerText is the JSON of a header.
type headerText struct {
	Metadata map[string]*string     `json:"__metadata__"`
	Tensors  map[string]*tensorText `json:",embed"`
}

// A tensorText is {"dtype": …, "shape": […], "data_offsets": [begin, end]}.
type tensorText struct {
	Precision *Precision `json:"dtype"`
	Shape     []int      `json:"shape"`
	Offsets   []int64    `json:"data_offsets"`
}

// parseHeader reads a header's JSON. A key that is unknown, stands there twice or is
// spelt in another case is an error: two readers of one file must not see two networks.
func parseHeader(head []byte) (fileHeader, error) {
	h := fileHeader{metadata: map[string]string{}, tensors: map[string]fileTensor{}}
	if len(head) == 0 || head[0] != '{' {
		return h, errors.New("its header does not begin with {: is this a safetensors file?")
	}
	var text headerText
	if err := json.Unmarshal(head, &text, json.RejectUnknownMembers(true)); err != nil {
		return h, fmt.Errorf("its header: %w", inOurWords(err))
	}
	for _, key := range slices.Sorted(maps.Keys(text.Metadata)) {
		value := text.Metadata[key]
		if value == nil {
			return h, fmt.Errorf("its header: %q: %.80q: null where a string is expected", metadataKey, key)
		}
		h.metadata[key] = *value
	}
	for _, name := range slices.Sorted(maps.Keys(text.Tensors)) {
		found, err := text.Tensors[name].check()
		if err != nil {
			return h, fmt.Errorf("its header: %.80q: %w", name, err)
		}
		h.tensors[name] = found
		h.order = append(h.order, name)
	}
	return h, nil
}

// inOurWords says what JSON stands where other JSON is expected. The library's own words for
// that differ from process to process, lest somebody depend on them.
func inOurWords(err error) error {
	var found *json.SemanticError
	if !errors.As(err, &found) || found.GoType == nil {
		return err
	}
	if errors.Is(err, json.ErrUnknownName) {
		return fmt.Errorf("%.200q is not known", string(found.JSONPointer))
	}
	names := map[string]string{"map": "object", "struct": "object", "slice": "array", "{": "object", "[": "array"}
	expected, what := found.GoType.Kind().String(), found.JSONKind.String()
	expected, what = cmp.Or(names[expected], expected), cmp.Or(names[what], what)
	if found.JSONValue != nil {
		what += fmt.Sprintf(" %.80s", found.JSONValue)
	}
	return fmt.Errorf("%.200q: %s where %s is expected", string(found.JSONPointer), what, expected)
}

// check returns what the header says of a tensor, where it says all of it.
func (t *tensorText) check() (fileTensor, error) {
	switch {
	case t == nil || t.Precision == nil:
		return fileTensor{}, errors.New("has no dtype")
	case t.Precision.bytes() == 0:
		return fileTensor{}, fmt.Errorf("has dtype %.80q where one of %s, %s, %s, %s is expected", *t.Precision, f16, bf16, F32, F64)
	case t.Shape == nil:
		return fileTensor{}, errors.New("has no shape")
	case len(t.Offsets) != 2:
		return fileTensor{}, fmt.Errorf("has %d data_offsets where 2 are expected", len(t.Offsets))
	case len(t.Shape) > maxRank:
		return fileTensor{}, fmt.Errorf("has %d dimensions where at most %d are expected", len(t.Shape), maxRank)
	}
	for _, n := range t.Shape {
		if n < 0 {
			return fileTensor{}, fmt.Errorf("has a dimension of %d", n)
		}
	}
	return fileTensor{*t.Precision, t.Shape, t.Offsets[0], t.Offsets[1]}, nil
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
