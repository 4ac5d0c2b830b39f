package checkpoint

import (
	"archive/zip"
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"clgrad/network"
)

// Finished returns the model without what only going on with its run needs: the state of
// its optimizer and its best parameters. Its parameters are rounded to precision p. An
// error is one of them that is beyond float32.
func (m Model) Finished(p Precision) (Model, error) {
	if p != F32 && p != F64 {
		return Model{}, fmt.Errorf("precision %q is unknown: %s or %s is expected", p, F32, F64)
	}
	m.State, m.Best = network.State{}, nil
	if p == F32 && m.Precision == F64 {
		layout, err := m.check()
		if err != nil {
			return Model{}, err
		}
		m.Parameters = slices.Clone(m.Parameters)
		for i, v := range m.Parameters {
			m.Parameters[i] = float64(float32(v))
		}
		m.Precision = F32
		for _, t := range m.tensors(layout) {
			for k := range t.size() {
				if !finite(m.Parameters[t.place(k)]) {
					return Model{}, fmt.Errorf("%s is beyond float32: precision %s is needed", t.position(k), F64)
				}
			}
		}
	}
	m.Precision = p
	return m, nil
}

// WriteNPZ writes a model as an NPZ file, which numpy.load reads without pickle. Equal
// models give equal bytes. Its arrays, little-endian and in C order, are
//
//	0.weight, 0.bias, 2.weight, …   as in a safetensors file: outputs × inputs, and outputs
//	shift, factor                   the scaling of raw features, x = (v − shift)·factor, float64:
//	                                one for all features or one for each
//	classes                         the names of the classes, text; their numbers where they have none
//
// so that with relu(x) = max(x, 0) the logits of a network with a hidden layer are
// relu(x @ W0.T + b0) @ W2.T + b2. Where the scaling is unknown (Layers) there are no shift
// and factor.
func WriteNPZ(w io.Writer, m Model) error {
	m, err := m.Finished(m.Precision)
	if err != nil {
		return fmt.Errorf("model cannot be written: %w", err)
	}
	all, err := m.toWrite()
	if err != nil {
		return err
	}
	z := zip.NewWriter(w)
	for _, t := range all {
		if err := writeArray(z, t.name, fmt.Sprintf("<f%d", t.precision.bytes()), t.shape, t.write); err != nil {
			return err
		}
	}
	shift, factor := m.Scaling.Shift, m.Scaling.Factor
	if len(shift) == 0 {
		shift, factor = []float64{0}, []float64{1}
	}
	classes, longest := slices.Clone(m.Classes), 1
	for i := len(classes); i < m.Sizes[len(m.Sizes)-1]; i++ {
		classes = append(classes, strconv.Itoa(i))
	}
	for _, c := range classes {
		longest = max(longest, utf8.RuneCountInString(c))
	}
	text := make([]rune, len(classes)*longest)
	for i, c := range classes {
		copy(text[i*longest:], []rune(c))
	}
	for _, a := range []struct {
		name, dtype string
		length      int
		values      any
	}{
		{"shift", "<f8", len(shift), shift}, {"factor", "<f8", len(factor), factor}, {"classes", fmt.Sprintf("<U%d", longest), len(classes), text},
	} {
		if m.Layers != nil && a.name != "classes" {
			continue
		}
		write := func(out *bufio.Writer) { binary.Write(out, binary.LittleEndian, a.values) } // errors stay until Flush
		if err := writeArray(z, a.name, a.dtype, []int{a.length}, write); err != nil {
			return err
		}
	}
	return z.Close()
}

// writeArray writes a member in NumPy's format, version 1.0
// (https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html).
func writeArray(z *zip.Writer, name, dtype string, shape []int, write func(*bufio.Writer)) error {
	f, err := z.CreateHeader(&zip.FileHeader{Name: name + ".npy", Method: zip.Store})
	if err != nil {
		return err
	}
	sizes := ""
	for _, n := range shape {
		sizes += fmt.Sprintf("%d,", n)
	}
	head := fmt.Sprintf("{'descr': '%s', 'fortran_order': False, 'shape': (%s), }", dtype, sizes)
	const before, align = 10, 64 // bytes before the header, and what the values are aligned to
	head += strings.Repeat(" ", align-(before+len(head)+1)%align) + "\n"
	out := bufio.NewWriterSize(f, 1<<16)
	out.WriteString("\x93NUMPY\x01\x00")
	out.Write(binary.LittleEndian.AppendUint16(nil, uint16(len(head))))
	out.WriteString(head)
	write(out)
	return out.Flush()
}
