package backendtest

import (
	"fmt"
	"strings"

	"clgrad/network"
)

// A shape is that of a layer's operands: B rows, n inputs, p outputs.
type shape struct{ rows, n, p int }

// shapes of every product: ones, primes, sizes around multiples of 16, several
// tiles in every direction, hidden layers and classes as they occur. The terms
// of a sum are n in forward, B in the weight gradient, p in the input gradient.
var shapes = []shape{
	{1, 1, 1},
	{2, 3, 1},
	{1, 16, 2},
	{5, 1, 3},
	{7, 17, 10},
	{12, 16, 16},
	{31, 3, 17},
	{13, 67, 33},
	{65, 150, 10},
	{64, 128, 48},
	{33, 784, 10},
	{257, 31, 16},
	{257, 150, 32},
	{127, 67, 128},
	{1009, 17, 10},
	{64, 784, 128},
	{257, 128, 150},
	{128, 64, 64},
	{129, 784, 500},
}

// tall are shapes with many terms, by operation. They run with normal and
// cancelling operands only, and integers as all do.
var tall = map[string][]shape{
	"forward":         {{2, 60000, 1}, {3, 60000, 5}, {33, 5000, 17}},
	"weight-gradient": {{60000, 1, 1}, {60000, 3, 2}, {60000, 67, 10}, {60000, 10, 33}},
	"input-gradient":  {{7, 3, 5000}, {13, 33, 5000}, {1, 2, 60000}},
}

// Limits, in multiplications of one product.
const (
	tinyVolume  = 10_000    // what a tiny run computes
	quickVolume = 400_000   // what a quick run computes
	exactVolume = 130_000   // what math/big computes
	everyVolume = 4_000_000 // up to here a shape is run with every kind of operands
)

// A productCase is one call of a verb that multiplies matrices, or one for each
// block.
type productCase struct {
	op         string
	shape      shape
	kind       kind
	act        network.Activation
	blockRows  int  // rows of a block; all rows where the verb has no blocks
	add        bool // the weight gradient adds to values that are not zero
	inPlace    bool // dx is x
	wideStride bool // strides larger than needed
	bytes      bool // integers as bytes
	unsigned   bool // such bytes, unshifted: 0 stays 0, as in data that can be packed
	shifted    bool // unsigned bytes of which 0 becomes −2, as in packed data that is standardised
}

// verb returns the operation without regard to the form of x.
func (c productCase) verb() string { return strings.TrimSuffix(c.op, "-input") }

func (c productCase) input() bool { return c.verb() != c.op }

func (c productCase) blocks() int { return (c.shape.rows + c.blockRows - 1) / c.blockRows }

func (c productCase) volume() int { return c.shape.rows * c.shape.n * c.shape.p }

func (c productCase) String() string {
	text := fmt.Sprintf("%dx%dx%d %s", c.shape.rows, c.shape.n, c.shape.p, c.kind)
	if c.bytes {
		text += " as bytes"
	}
	if c.unsigned {
		text += " from 0"
	}
	if c.shifted {
		text += " shifted"
	}
	if c.blockRows != c.shape.rows {
		text += fmt.Sprintf(" in blocks of %d", c.blockRows)
	}
	switch c.verb() {
	case "forward":
		text += [...]string{network.Identity: " identity", network.ReLU: " ReLU"}[c.act]
	case "weight-gradient":
		if c.add {
			text += " added"
		}
	case "input-gradient":
		if c.inPlace {
			text += " in place"
		}
	}
	if c.wideStride {
		text += " wide stride"
	}
	return text
}

// productCases lists the cases of an operation.
func productCases(op string, quick, tiny bool) []productCase {
	var cases []productCase
	verb := strings.TrimSuffix(op, "-input")
	all := append(append([]shape{}, shapes...), tall[verb]...)
	for i, shape := range all {
		base := productCase{op: op, shape: shape, blockRows: shape.rows}
		if quick && base.volume() > quickVolume || tiny && base.volume() > tinyVolume {
			continue
		}
		kinds := []kind{normal, cancelling, spread}
		if base.input() {
			kinds = append(kinds, pixels, standard)
		}
		if i >= len(shapes) {
			kinds = kinds[:2]
		}
		if base.volume() > everyVolume {
			kinds = kinds[i%len(kinds):][:1]
		}
		for j, kind := range append(kinds, integers) {
			if tiny && kind != integers && j != i%len(kinds) {
				continue
			}
			c := base
			c.kind = kind
			v := i + j
			c.act = network.Activation(v % 2)
			c.add, c.inPlace, c.wideStride = v%3 > 0, v%2 == 0, v%4 == 3
			c.bytes = kind == pixels || kind == standard || kind == integers && base.input() && v%2 == 0
			if base.input() || verb == "weight-gradient" {
				c.blockRows = blockRows(shape.rows, v)
			}
			if i >= len(shapes) && kind == integers {
				c.blockRows = shape.rows // all terms in one call, where most can get lost
			}
			cases = append(cases, c)
			if kind == integers && base.input() {
				c.bytes, c.unsigned = true, true
				cases = append(cases, c)
				c.shifted = true
				cases = append(cases, c)
			}
		}
	}
	return cases
}

// blockRows returns a number of rows of a block for the v-th case: one block,
// three blocks with a shorter last one, many blocks, one larger than the rows.
func blockRows(rows, v int) int {
	switch v % 4 {
	case 1:
		return (rows + 2) / 3
	case 2:
		return max(1, min(rows, 1+rows/7))
	case 3:
		return rows + 5
	}
	return rows
}
