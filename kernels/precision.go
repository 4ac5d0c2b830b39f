package kernels

import (
	"fmt"
	"slices"
)

// A Precision is what the operands of matrix products are rounded to. Sums have the bits
// of float32 always, and all else is float32.
type Precision string

// The precisions.
const (
	Float32 Precision = "float32" // not rounded further
	TF32    Precision = "tf32"    // 11 bits
	BF16    Precision = "bf16"    // 8 bits
	BF16x3  Precision = "bf16x3"  // 24 bits, as three numbers of 8
)

// Precisions returns all of them, float32 first.
func Precisions() []Precision { return []Precision{Float32, TF32, BF16, BF16x3} }

// Check reports an unknown precision.
func (p Precision) Check() error {
	if !slices.Contains(Precisions(), p) {
		return fmt.Errorf("precision %q is unknown: one of %v is expected", string(p), Precisions())
	}
	return nil
}

// Reduced reports a precision other than float32's own: of other units, whatever they
// come to.
func (p Precision) Reduced() bool { return p == TF32 || p == BF16 || p == BF16x3 }

// Roundoff returns the unit roundoff of an operand's rounding, 0 where it is none
// beyond that of float32: 2⁻ᵖ for p bits.
func (p Precision) Roundoff() float64 {
	switch p {
	case TF32:
		return 0x1p-11
	case BF16:
		return 0x1p-8
	}
	return 0
}

// element returns the kernel's name of a number, and how many stand for an operand.
func (p Precision) element() (name string, terms int) {
	switch p {
	case TF32:
		return "TF32", 1
	case BF16:
		return "BF16", 1
	}
	return "BF16", 3
}

// At returns c with all products at a precision: those of the tensor variant, by the
// device's own instructions where ptx is set. Tiles that were tuned for float32, and
// packed input, which is a float32 variant, are left out.
func (c Config) At(p Precision, ptx bool) Config {
	if p == Float32 {
		return c
	}
	tile := Tile{Variant: Tensor, ItemRows: 64, ItemCols: 32, GroupRows: 2, GroupCols: 4, Depth: 16, Precision: p, PTX: ptx}
	if p == BF16x3 {
		tile.Depth = 8 // three times the local memory
	}
	split := tile
	split.Splits = 32
	c.Forward, c.InputGradient, c.WeightGradient = tile, tile, split
	c.Shapes, c.Packed, c.Step, c.Bytes = nil, nil, nil, true
	return c
}

// Roundoff returns the largest of those of the products' precisions.
func (c Config) Roundoff() float64 {
	largest := max(c.Forward.Precision.Roundoff(), c.InputGradient.Precision.Roundoff(), c.WeightGradient.Precision.Roundoff())
	for _, t := range c.Shapes {
		largest = max(largest, t.Precision.Roundoff())
	}
	return largest
}
