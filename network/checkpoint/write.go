package checkpoint

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"strings"

	"clgrad/network"
	"clgrad/network/durable"
)

// The keys of the metadata.
const (
	metadataKey   = "__metadata__"
	versionKey    = "clgrad.version"
	sizesKey      = "clgrad.sizes"
	scalingKey    = "clgrad.scaling"
	preprocessKey = "clgrad.preprocess"
	shapeKey      = "clgrad.shape"
	classesKey    = "clgrad.classes"
	columnsKey    = "clgrad.columns"
	featuresKey   = "clgrad.features"
	runKey        = "clgrad.run"
	optimizerKey  = "clgrad.optimizer"
	bestKey       = "clgrad.best"
	sumKey        = "clgrad.sha256"
)

// noSum stands for the sum in what is summed.
var noSum = strings.Repeat("0", 2*sha256.Size)

// version is that of the metadata. Another key that a reader may ignore needs
// no new one. A file without what version 3 added, the state of a run, is written as
// version 2, which older programs read. Version 1, which has another form of the run, is
// still read.
const (
	version       = "3"
	secondVersion = "2"
	firstVersion  = "1"
)

// An entry is what the header says of a tensor.
type entry struct {
	Type    string   `json:"dtype"`
	Shape   []int    `json:"shape"`
	Offsets [2]int64 `json:"data_offsets"` // begin and end, counted behind the header
}

// Write writes a model as a safetensors file. Equal models give equal bytes. One with
// Layers, of which nothing else is known, is written without this package's metadata.
// Nothing is written of a model that is inconsistent, has a value that is not
// finite, or has one that is no float32 where the precision is F32.
func Write(w io.Writer, m Model) error {
	all, err := m.toWrite()
	if err != nil {
		return err
	}
	head, err := header(m, all)
	if err != nil {
		return fmt.Errorf("model cannot be written: %w", err)
	}

	sum := sha256.New()
	if err := writeFile(sum, all, head); err != nil {
		return err
	}
	return writeFile(w, all, bytes.Replace(head, []byte(noSum), []byte(hex.EncodeToString(sum.Sum(nil))), 1))
}

// toWrite returns the tensors of a model, or why it cannot be written.
func (m *Model) toWrite() ([]tensor, error) {
	layout, err := m.check()
	if err != nil {
		return nil, fmt.Errorf("model cannot be written: %w", err)
	}
	all := m.tensors(layout)
	for _, t := range all {
		for k := range t.size() {
			switch v := (*t.values)[t.place(k)]; {
			case !finite(v):
				return nil, fmt.Errorf("model cannot be written: %s is %v where a finite number is expected", t.position(k), v)
			case t.precision == F32 && float64(float32(v)) != v:
				return nil, fmt.Errorf("model cannot be written: %s is %v, which is no float32: precision %s is needed", t.position(k), v, F64)
			}
		}
	}
	return all, nil
}

// writeFile writes the header and the tensors.
func writeFile(w io.Writer, all []tensor, head []byte) error {
	out := bufio.NewWriterSize(w, 1<<16)
	out.Write(binary.LittleEndian.AppendUint64(nil, uint64(len(head)))) // errors stay until Flush
	out.Write(head)
	for _, t := range all {
		t.write(out)
	}
	return out.Flush()
}

// write writes the values in the file's order. Errors stay until Flush.
func (t tensor) write(out *bufio.Writer) {
	var value [8]byte
	for k := range t.size() {
		v := (*t.values)[t.place(k)]
		if t.precision == F32 {
			binary.LittleEndian.PutUint32(value[:], math.Float32bits(float32(v)))
		} else {
			binary.LittleEndian.PutUint64(value[:], math.Float64bits(v))
		}
		out.Write(value[:t.precision.bytes()])
	}
}

// header returns the JSON header, with noSum as the sum and filled with spaces to
// a multiple of 8 bytes so that the tensors are aligned.
func header(m Model, all []tensor) ([]byte, error) {
	meta, err := metadata(m)
	if err != nil {
		return nil, err
	}
	head := append([]byte(`{"`+metadataKey+`":`), meta...)
	at := int64(0)
	for _, t := range all {
		end := at + int64(t.size())*int64(t.precision.bytes())
		text, err := json.Marshal(entry{string(t.precision), t.shape, [2]int64{at, end}})
		if err != nil {
			return nil, err
		}
		head = append(head, `,"`+t.name+`":`...)
		head = append(head, text...)
		at = end
	}
	head = append(head, '}')
	for len(head)%8 != 0 {
		head = append(head, ' ')
	}
	if len(head) > maxHeader {
		return nil, fmt.Errorf("the header takes %d bytes where %d are possible", len(head), maxHeader)
	}
	return head, nil
}

// metadata returns the metadata as JSON, whose keys encoding/json sorts.
func metadata(m Model) ([]byte, error) {
	if m.Layers != nil {
		return json.Marshal(map[string]string{"format": "pt"}) // as of PyTorch
	}
	texts := map[string]string{versionKey: secondVersion, sumKey: noSum}
	if m.hasState() {
		texts[versionKey] = version
	}
	if m.Preprocess != "" {
		texts[preprocessKey] = m.Preprocess
	}
	// An empty scaling is [] and not null, whatever kind of empty it is.
	scaling := network.Scaling{
		Shift:  append([]float64{}, m.Scaling.Shift...),
		Factor: append([]float64{}, m.Scaling.Factor...),
	}
	for _, v := range []struct {
		key   string
		value any
		known bool
	}{
		{sizesKey, m.Sizes, true},
		{scalingKey, scaling, true},
		{shapeKey, m.Shape, m.Shape != nil},
		{classesKey, m.Classes, m.Classes != nil},
		{columnsKey, m.Columns, m.Columns != nil},
		{featuresKey, m.Profile, m.Profile != nil},
		{runKey, m.Run, m.Run != nil},
		{optimizerKey, stateText{m.State.Optimizer, m.State.Since, m.State.LBFGS}, m.State.Optimizer != ""},
		{bestKey, m.Best, m.Best != nil},
	} {
		if !v.known {
			continue
		}
		text, err := json.Marshal(v.value)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", v.key, err)
		}
		texts[v.key] = string(text)
	}
	return json.Marshal(texts)
}

// Save writes a model to a file as [Write] does. The file is replaced whole or
// left as it was, even where the machine stops in between.
func Save(path string, m Model) error {
	return durable.Write(path, func(w io.Writer) error { return Write(w, m) })
}
