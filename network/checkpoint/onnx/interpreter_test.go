package onnx_test

import (
	"encoding/binary"
	"fmt"
	"math"

	"google.golang.org/protobuf/encoding/protowire"
)

// An array is a tensor of one or two dimensions.
type array struct {
	shape []int
	data  []float64
}

type operation struct {
	operator, output string
	inputs           []string
	attributes       map[string]int64
}

// A program is an ONNX file as this interpreter knows it.
type program struct {
	version, opset      int64
	producer, doc, name string
	metadata            map[string]string
	nodes               []operation
	initializers        map[string]array
	inputs, outputs     []string // name and shape
}

// fields calls number or text for each field of a message, and fails on others.
func fields(b []byte, number func(protowire.Number, int64) bool, text func(protowire.Number, []byte) (bool, error)) error {
	for len(b) > 0 {
		field, kind, n := protowire.ConsumeTag(b)
		if n < 0 {
			return protowire.ParseError(n)
		}
		b = b[n:]
		known := false
		switch kind {
		case protowire.VarintType:
			v, n := protowire.ConsumeVarint(b)
			if n < 0 {
				return protowire.ParseError(n)
			}
			b = b[n:]
			known = number != nil && number(field, int64(v))
		case protowire.BytesType:
			v, n := protowire.ConsumeBytes(b)
			if n < 0 {
				return protowire.ParseError(n)
			}
			b = b[n:]
			var err error
			if text != nil {
				if known, err = text(field, v); err != nil {
					return err
				}
			}
		}
		if !known {
			return fmt.Errorf("field %d of kind %d is unexpected", field, kind)
		}
	}
	return nil
}

// parse reads a ModelProto, by the field numbers of onnx.proto.
func parse(file []byte) (program, error) {
	p := program{metadata: map[string]string{}, initializers: map[string]array{}}
	err := fields(file, func(f protowire.Number, v int64) bool {
		p.version = v
		return f == 1
	}, func(f protowire.Number, b []byte) (bool, error) {
		switch f {
		case 2:
			p.producer = string(b)
		case 6:
			p.doc = string(b)
		case 7:
			return true, p.parseGraph(b)
		case 8:
			return true, fields(b, func(f protowire.Number, v int64) bool { p.opset = v; return f == 2 }, nil)
		case 14:
			var key, value string
			err := fields(b, nil, func(f protowire.Number, b []byte) (bool, error) {
				if f == 1 {
					key = string(b)
				} else {
					value = string(b)
				}
				return f <= 2, nil
			})
			p.metadata[key] = value
			return true, err
		default:
			return false, nil
		}
		return true, nil
	})
	return p, err
}

func (p *program) parseGraph(b []byte) error {
	return fields(b, nil, func(f protowire.Number, b []byte) (bool, error) {
		switch f {
		case 1:
			n := operation{attributes: map[string]int64{}}
			err := fields(b, nil, func(f protowire.Number, b []byte) (bool, error) {
				switch f {
				case 1:
					n.inputs = append(n.inputs, string(b))
				case 2:
					n.output = string(b)
				case 4:
					n.operator = string(b)
				case 5:
					var name string
					var value, kind int64
					err := fields(b, func(f protowire.Number, v int64) bool {
						if f == 3 {
							value = v
						} else {
							kind = v
						}
						return f == 3 || f == 20
					}, func(f protowire.Number, b []byte) (bool, error) { name = string(b); return f == 1, nil })
					if err == nil && kind != 2 {
						err = fmt.Errorf("attribute %s has type %d", name, kind)
					}
					n.attributes[name] = value
					return true, err
				}
				return f <= 5, nil
			})
			p.nodes = append(p.nodes, n)
			return true, err
		case 2:
			p.name = string(b)
		case 5:
			var a array
			var name string
			err := fields(b, func(f protowire.Number, v int64) bool {
				if f == 1 {
					a.shape = append(a.shape, int(v))
				}
				return f == 1 || f == 2 && v == 1
			}, func(f protowire.Number, b []byte) (bool, error) {
				if f == 8 {
					name = string(b)
					return true, nil
				}
				for ; len(b) >= 4; b = b[4:] {
					a.data = append(a.data, float64(math.Float32frombits(binary.LittleEndian.Uint32(b))))
				}
				return f == 9, nil
			})
			p.initializers[name] = a
			return true, err
		case 11, 12:
			text, err := parseValue(b)
			if f == 11 {
				p.inputs = append(p.inputs, text)
			} else {
				p.outputs = append(p.outputs, text)
			}
			return true, err
		default:
			return false, nil
		}
		return true, nil
	})
}

// parseValue returns the name and shape of a ValueInfoProto of float32.
func parseValue(b []byte) (text string, err error) {
	var dimensions []string
	err = fields(b, nil, func(f protowire.Number, b []byte) (bool, error) {
		switch f {
		case 1:
			text = string(b)
		case 2:
			return true, fields(b, nil, func(f protowire.Number, b []byte) (bool, error) {
				return f == 1, fields(b, func(f protowire.Number, v int64) bool { return f == 1 && v == 1 }, func(f protowire.Number, b []byte) (bool, error) {
					return f == 2, fields(b, nil, func(f protowire.Number, b []byte) (bool, error) {
						return f == 1, fields(b, func(f protowire.Number, v int64) bool {
							dimensions = append(dimensions, fmt.Sprint(v))
							return f == 1
						}, func(f protowire.Number, b []byte) (bool, error) {
							dimensions = append(dimensions, string(b))
							return f == 2, nil
						})
					})
				})
			})
		}
		return f <= 3, nil
	})
	if err == nil && len(dimensions) != 2 {
		err = fmt.Errorf("%s has dimensions %v", text, dimensions)
	}
	return fmt.Sprintf("%s %s×%s", text, dimensions[0], dimensions[1]), err
}

// compute returns all values for rows of raw features.
func (p program) compute(raw []float32) (map[string]array, error) {
	x := array{shape: []int{rows, len(raw) / rows}}
	for _, v := range raw {
		x.data = append(x.data, float64(v))
	}
	values := map[string]array{"features": x}
	for name, a := range p.initializers {
		values[name] = a
	}
	for _, n := range p.nodes {
		var in []array
		for _, name := range n.inputs {
			a, ok := values[name]
			if !ok {
				return nil, fmt.Errorf("%s: %s is not there yet", n.operator, name)
			}
			in = append(in, a)
		}
		columns := in[0].shape[1]
		out := array{shape: in[0].shape}
		switch n.operator {
		case "Sub", "Mul":
			for i, v := range in[0].data {
				w := in[1].data[i%columns%len(in[1].data)]
				if n.operator == "Sub" {
					v -= w
				} else {
					v *= w
				}
				out.data = append(out.data, v)
			}
		case "Gemm":
			w := in[1]
			if n.attributes["transB"] != 1 || w.shape[1] != columns || len(in[2].data) != w.shape[0] {
				return nil, fmt.Errorf("Gemm of %v, %v and %v by %v", in[0].shape, w.shape, in[2].shape, n.attributes)
			}
			out.shape = []int{rows, w.shape[0]}
			for i := range rows {
				for j := range w.shape[0] {
					sum := in[2].data[j]
					for k := range columns {
						sum += in[0].data[i*columns+k] * w.data[j*columns+k]
					}
					out.data = append(out.data, sum)
				}
			}
		case "Relu":
			for _, v := range in[0].data {
				out.data = append(out.data, max(0, v))
			}
		case "Softmax":
			if n.attributes["axis"] != -1 {
				return nil, fmt.Errorf("Softmax over axis %d", n.attributes["axis"])
			}
			for i := range rows {
				row, sum := in[0].data[i*columns:][:columns], 0.0
				for _, v := range row {
					sum += math.Exp(v - row[0])
				}
				for _, v := range row {
					out.data = append(out.data, math.Exp(v-row[0])/sum)
				}
			}
		default:
			return nil, fmt.Errorf("operator %s is unknown", n.operator)
		}
		values[n.output] = out
	}
	return values, nil
}
