package checkpoint

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"clgrad/network"
	"clgrad/network/dataset"
)

// maxHeader bounds the header as the format's own library does.
const maxHeader = 100_000_000

// Load reads the model of a file, or that of a run directory by the name of
// [FileName]. Errors are one line that begins with the path.
func Load(path string) (m Model, err error) {
	err = open(path, func(f io.Reader, size int64, path string) error {
		m, err = Read(f, size, path)
		return err
	})
	return m, err
}

// LoadHeader reads of a model no more than its sizes, its precision and how it was trained: a
// Model of Sizes, Precision, Layers and Run. It reads the file's header alone, so a file
// whose numbers are damaged is not found out; one that is cut short is.
func LoadHeader(path string) (m Model, err error) {
	err = open(path, func(f io.Reader, size int64, path string) error {
		read, err := readHeader(bufio.NewReader(f), size, false)
		if err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
		m = Model{Sizes: read.model.Sizes, Precision: read.model.Precision, Layers: read.model.Layers, Run: read.model.Run}
		return nil
	})
	return m, err
}

// open opens a file, or that of a run directory by the name of [FileName], for read.
func open(path string, read func(f io.Reader, size int64, path string) error) error {
	info, err := os.Stat(path)
	if err == nil && info.IsDir() {
		path = filepath.Join(path, FileName)
		info, err = os.Stat(path)
	}
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("%s: not found: a safetensors file, or a run directory with %s, is expected", path, FileName)
	case err != nil:
		return fmt.Errorf("%s: %w", path, err)
	case !info.Mode().IsRegular(): // opening a pipe would wait for ever
		return fmt.Errorf("%s: is no regular file", path)
	}
	f, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	defer f.Close()
	if info, err = f.Stat(); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return read(f, info.Size(), path)
}

// Read reads a model from r, which holds a safetensors file of size bytes. name
// stands in errors, which are one line that begins with it. See the package's
// comment for what is checked. A file without this package's metadata gives a
// model with sizes, parameters, precision and Layers alone.
//
// No more memory is taken than a fixed multiple of size.
func Read(r io.Reader, size int64, name string) (Model, error) {
	m, err := read(bufio.NewReaderSize(r, 1<<16), size)
	if err != nil {
		return Model{}, fmt.Errorf("%s: %w", name, err)
	}
	return m, nil
}

func read(r io.Reader, size int64) (Model, error) {
	f, err := readHeader(r, size, true)
	if err != nil {
		return Model{}, err
	}
	m := f.model
	for _, v := range m.vectors() {
		*v.values = make([]float64, f.layout.Len)
	}
	if s := m.State.LBFGS; s != nil {
		s.Theta = m.Parameters
	} else if err := m.checkState(f.layout); err != nil {
		return Model{}, err
	}
	said, summed := f.header.metadata[sumKey]
	sum := sha256.New()
	sum.Write(f.start[:])
	if summed {
		sum.Write(bytes.Replace(f.text, []byte(said), []byte(noSum), 1))
	}
	if err := readTensors(io.TeeReader(r, sum), f.header, f.tensors); err != nil {
		return Model{}, err
	}
	if found := hex.EncodeToString(sum.Sum(nil)); summed && found != said {
		return Model{}, fmt.Errorf("has SHA-256 %s where it says %.80q: it has changed since it was written", found, said)
	}
	switch n, err := io.ReadFull(r, make([]byte, 1)); {
	case n > 0:
		return Model{}, fmt.Errorf("goes on after its %d bytes", size)
	case err != io.EOF:
		return Model{}, err
	}
	if m.State.LBFGS != nil { // which is judged by the values of its vectors too
		return *m, m.checkState(f.layout)
	}
	return *m, nil
}

// A readFile is a file that was read as far as its tensors, which are known to fill the
// rest of it.
type readFile struct {
	start   [8]byte // the header's length
	text    []byte  // the header
	header  fileHeader
	model   *Model // without values
	layout  network.Layout
	tensors []tensor // of the model
}

// readHeader reads a file of size bytes as far as its tensors. features says whether what the
// metadata know of each feature and class is read too.
func readHeader(r io.Reader, size int64, features bool) (f readFile, err error) {
	prefix := int64(len(f.start))
	if size < prefix {
		return f, fmt.Errorf("has %d bytes where a safetensors file has at least %d", size, prefix)
	}
	if _, err := io.ReadFull(r, f.start[:]); err != nil {
		return f, cutShort(err)
	}
	length := binary.LittleEndian.Uint64(f.start[:])
	if string(f.start[:4]) == "PK\x03\x04" {
		return f, errors.New("is a ZIP archive, as of torch.save: a safetensors file is expected, as of safetensors.torch.save_file(net.state_dict(), FILE)")
	}
	if most := uint64(min(size-prefix, maxHeader)); length > most {
		return f, fmt.Errorf("announces a header of %d bytes where %d are possible: is this a safetensors file?", length, most)
	}
	if f.text, err = io.ReadAll(io.LimitReader(r, int64(length))); err != nil {
		return f, cutShort(err)
	}
	if uint64(len(f.text)) < length {
		return f, cutShort(io.ErrUnexpectedEOF)
	}
	if f.header, err = parseHeader(f.text); err != nil {
		return f, err
	}
	if err := f.header.checkPlaces(size - prefix - int64(length)); err != nil {
		return f, err
	}
	if err := f.header.checkVersion(); err != nil {
		return f, err
	}
	f.model = &Model{}
	if f.header.ofOthers() {
		if *f.model, f.layout, err = f.header.foreignModel(); err != nil {
			return f, err
		}
		f.tensors = f.model.foreignTensors(f.layout, f.header)
		return f, nil
	}
	if *f.model, f.layout, err = f.header.model(); err != nil {
		return f, err
	}
	if err := f.header.parseMetadata(f.model, features); err != nil {
		return f, err
	}
	f.tensors = f.model.tensors(f.layout)
	return f, f.header.checkTensors(f.model, f.tensors)
}

// cutShort puts an early end into words.
func cutShort(err error) error {
	if err == io.EOF || err == io.ErrUnexpectedEOF {
		return errors.New("ends early: the file is cut short")
	}
	return err
}

// model returns a model of the sizes and precision that the tensors imply, and
// its layout.
func (h fileHeader) model() (Model, network.Layout, error) {
	first, ok := h.tensors["0.weight"]
	if !ok {
		return Model{}, network.Layout{}, fmt.Errorf(
			"has no tensor 0.weight: those of nn.Sequential(Linear, ReLU, Linear, …) are expected%s", h.someName())
	}
	var sizes []int
	for i := 0; ; i++ {
		name := fmt.Sprintf("%d.weight", 2*i)
		weight, ok := h.tensors[name]
		if !ok {
			break
		}
		if len(weight.shape) != 2 {
			return Model{}, network.Layout{}, fmt.Errorf("tensor %s has shape %v where outputs and inputs are expected", name, weight.shape)
		}
		if i == 0 {
			sizes = append(sizes, weight.shape[1])
		} else if weight.shape[1] != sizes[i] {
			return Model{}, network.Layout{}, fmt.Errorf("tensor %s has %d inputs where the layer before has %d outputs",
				name, weight.shape[1], sizes[i])
		}
		sizes = append(sizes, weight.shape[0])
	}
	layout, err := network.NewLayout(sizes)
	if err == nil && first.precision != first.precision.widened() {
		err = fmt.Errorf("tensor 0.weight is %s where %s or %s is expected", first.precision, F32, F64)
	}
	if err != nil {
		return Model{}, network.Layout{}, err
	}
	return Model{Sizes: sizes, Precision: first.precision}, layout, nil
}

// checkTensors demands exactly the given tensors, those of a model.
func (h fileHeader) checkTensors(m *Model, expected []tensor) error {
	known := make(map[string]bool, len(expected))
	for _, t := range expected {
		found, ok := h.tensors[t.name]
		if !ok {
			what := "network"
			if t.values != &m.Parameters {
				what = "run of a network"
			}
			return fmt.Errorf("has no tensor %s, which a %s %v has", t.name, what, m.Sizes)
		}
		if !slices.Equal(found.shape, t.shape) {
			return fmt.Errorf("tensor %s has shape %v where %v is expected", t.name, found.shape, t.shape)
		}
		if found.precision != t.precision {
			if strings.HasPrefix(t.prefix, lbfgsPrefix) {
				return fmt.Errorf("tensor %s is %s where %s is expected", t.name, found.precision, t.precision)
			}
			return fmt.Errorf("tensor %s is %s where 0.weight is %s: one precision is expected", t.name, found.precision, m.Precision)
		}
		known[t.name] = true
	}
	for _, name := range h.order {
		if !known[name] {
			return fmt.Errorf("tensor %.80q has no place in a network %v", name, m.Sizes)
		}
	}
	return nil
}

// someName tells of one tensor that is there, for messages.
func (h fileHeader) someName() string {
	if len(h.order) == 0 {
		return ", there are none"
	}
	return fmt.Sprintf(", there is %.80q", h.order[0])
}

// readTensors reads the tensors' values to their places. The file may hold them
// in any order.
func readTensors(r io.Reader, h fileHeader, all []tensor) error {
	byName := make(map[string]tensor, len(all))
	for _, t := range all {
		byName[t.name] = t
	}
	buffer := make([]byte, 1<<15)
	for _, name := range h.order {
		t := byName[name]
		width := t.precision.bytes()
		for k := 0; k < t.size(); {
			part := buffer[:min(len(buffer), (t.size()-k)*width)]
			if _, err := io.ReadFull(r, part); err != nil {
				return cutShort(err)
			}
			for ; len(part) > 0; part = part[width:] {
				v := t.precision.value(part)
				if !finite(v) {
					return fmt.Errorf("%s is %v where a finite number is expected", t.position(k), v)
				}
				(*t.values)[t.place(k)] = v
				k++
			}
		}
	}
	return nil
}

// value returns the first value of the bytes.
func (p Precision) value(b []byte) float64 {
	switch p {
	case f16:
		return dataset.Float16(binary.LittleEndian.Uint16(b))
	case bf16:
		return float64(math.Float32frombits(uint32(binary.LittleEndian.Uint16(b)) << 16))
	case F32:
		return float64(math.Float32frombits(binary.LittleEndian.Uint32(b)))
	}
	return math.Float64frombits(binary.LittleEndian.Uint64(b))
}

// checkVersion reports metadata of a version that is not known here. It comes before
// all that a version may change.
func (h fileHeader) checkVersion() error {
	switch found, ok := h.metadata[versionKey]; {
	case !ok, found == firstVersion, found == secondVersion, found == version:
		return nil
	default:
		return fmt.Errorf("has %s %.80q where %q is expected: a newer clgrad may read it", versionKey, found, version)
	}
}

// parseMetadata adds what this package's metadata say to a model whose sizes
// are known from the tensors, with or without what they know of each feature and class.
func (h fileHeader) parseMetadata(m *Model, features bool) error {
	var sizes []int
	for _, v := range []struct {
		key      string
		to       any
		required bool
		features bool
	}{
		{sizesKey, &sizes, true, false},
		{scalingKey, &m.Scaling, true, true},
		{shapeKey, &m.Shape, false, false},
		{classesKey, &m.Classes, false, true},
		{columnsKey, &m.Columns, false, true},
		{featuresKey, &m.Profile, false, true},
		{runKey, &m.Run, false, false},
	} {
		text, ok := h.metadata[v.key]
		if !ok && v.required {
			return fmt.Errorf("has no %s in its metadata", v.key)
		}
		if ok && (features || !v.features) {
			if err := json.Unmarshal([]byte(text), v.to); err != nil {
				return fmt.Errorf("%s: %w", v.key, err)
			}
		}
	}
	if !slices.Equal(sizes, m.Sizes) {
		return fmt.Errorf("%s is %v where the tensors have %v", sizesKey, sizes, m.Sizes)
	}
	if len(m.Scaling.Shift) == 0 && len(m.Scaling.Factor) == 0 {
		m.Scaling = network.Scaling{}
	}
	m.Preprocess = h.metadata[preprocessKey]
	if h.metadata[versionKey] == version {
		if err := h.parseState(m); err != nil {
			return err
		}
	}
	return m.checkMetadata()
}
