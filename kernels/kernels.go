package kernels

import (
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"io/fs"
	"strings"
	"unicode"
)

//go:embed *.cl
var files embed.FS

// A Program is what an operation is built from: one source file and the build
// options of its parameters.
type Program struct {
	File    string // name of the source file
	Options string // -D options
	// Tiles are the numbers of vectors that the tiles of the file have, in order, as in
	// "1,4": the text of step_tile.cl is there for each of them.
	Tiles string
}

// Source returns the OpenCL C source of the program: the part shared by all
// kernels, then the file.
func (p Program) Source() string {
	source := text("common.cl")
	if p.Tiles != "" {
		for v := range strings.SplitSeq(p.Tiles, ",") {
			source += fmt.Sprintf("#define V %s\n%s#undef V\n", v, text("step_tile.cl"))
		}
	}
	return source + text(p.File)
}

// text returns a source file for a driver: OpenCL C is written in ASCII, and formulas in comments
// are not.
func text(name string) string {
	b, err := files.ReadFile(name)
	if err != nil {
		panic("kernels: no source file " + name)
	}
	return strings.Map(func(r rune) rune {
		if r > unicode.MaxASCII {
			return '?'
		}
		return r
	}, string(b))
}

// Digest returns the hexadecimal SHA-256 of the sources of all kernels that a
// network uses: what was measured with others says nothing about these.
func Digest() string {
	names, err := fs.Glob(files, "*.cl")
	if err != nil {
		panic("kernels: " + err.Error())
	}
	h := sha256.New()
	for _, name := range names { // in lexical order
		if name == probeFile {
			continue
		}
		h.Write([]byte(name + "\n" + text(name)))
	}
	return hex.EncodeToString(h.Sum(nil))
}

// An Epilogue is what a matrix product does with its sums before it stores them.
type Epilogue string

// The epilogues of matmul_register.cl, matmul_local.cl and matmul_tensor.cl.
const (
	Bias    Epilogue = "BIAS"    // + b, and ReLU where the call asks for it
	Mask    Epilogue = "MASK"    // ⊙ [x > 0]
	Partial Epilogue = "PARTIAL" // one split of the sum (local and tensor only)
)

// Naive returns the program with the kernels forward, weight_gradient and
// input_gradient.
func Naive() Program { return Program{File: "matmul_naive.cl"} }

// Matmul returns the program with the kernel matmul for one epilogue.
func (t Tile) Matmul(e Epilogue) Program {
	p := Program{File: "matmul_register.cl", Options: t.options() + fmt.Sprintf(" -DEPILOGUE=%s", e)}
	if t.Grouped() {
		p.File = fmt.Sprintf("matmul_%s.cl", t.Variant)
		switch e {
		case Mask:
			p.Options += " -DB_TRANSPOSED"
		case Partial:
			p.Options += " -DA_TRANSPOSED"
		}
	}
	return p
}

// OverBytes returns the program of a product whose first operand holds bytes.
func (p Program) OverBytes() Program {
	p.Options += " -DA_BYTES"
	return p
}

// Gradient returns the program with the kernel weight_gradient_partial of the
// register variant.
func (t Tile) Gradient() Program {
	return Program{File: "gradient_register.cl", Options: t.options()}
}

// PackedInput returns the program with the kernels forward_packed and
// weight_gradient_packed and add_partials_packed of the packed variant.
func (t Tile) PackedInput() Program {
	return Program{File: "packed_register.cl", Options: t.options()}
}

// Affine returns the program with the kernels affine_weights, add_affine_partials and, for
// devices with many small cores, scale_weights and affine_bias, which works in groups of
// size work-items, a multiple of 16.
func Affine(size int) Program {
	return Program{File: "affine.cl", Options: fmt.Sprintf("-DGROUP_SIZE=%d", size)}
}

// Softmax returns the program with the kernels softmax_cross_entropy and
// softmax_cross_entropy_register, whose work-items take rows rows each.
func Softmax(rows int) Program {
	return Program{File: "softmax.cl", Options: fmt.Sprintf("-DITEM_ROWS=%d", rows)}
}

// Reduce returns the program with the kernels add_partials and sum_record,
// which works in one work-group of size work-items, a power of two.
func Reduce(size int) Program {
	return Program{File: "reduce.cl", Options: fmt.Sprintf("-DGROUP_SIZE=%d", size)}
}

// A Rule is an update rule by its name in the kernels: GD, MOMENTUM, NESTEROV, ADAM or ADAMW.
type Rule string

// Sum is no update: parts of a gradient are added.
const Sum Rule = "SUM"

// Update returns the program with the kernel update for a rule, whose work-items take item
// elements each.
func Update(rule Rule, item int) Program {
	return Program{File: "update.cl", Options: fmt.Sprintf("-DRULE=%s -DITEM=%d", rule, item)}
}

// Transpose returns the program with the kernel transpose.
func Transpose() Program { return Program{File: "transpose.cl"} }
