package gpu

import (
	"unsafe"

	"clgrad/kernels"
	"clgrad/network"
)

// setFold brings factors and shifts to the device, none of none.
func (x *input) setFold(fold [][2]float32) (err error) {
	if fold == nil {
		return nil
	}
	for _, f := range fold {
		x.shifted = x.shifted || f[1] != 0
	}
	if x.fold, err = x.b.s.buffer("scaling of features", 8*len(fold)); err != nil {
		return err
	}
	return x.b.s.write(x.fold, 0, unsafe.Pointer(&fold[0]), 8*len(fold))
}

// foldWeights returns weights and bias for what the input holds: those that are given
// where it holds scaled values.
func (b *Backend) foldWeights(x *input, w, bias operand) (operand, operand, error) {
	if x.fold == nil {
		return w, bias, nil
	}
	cols := network.AlignUp(w.cols)
	o, err := b.scratch(&b.folded, "folded weights", w.rows*cols+cols)
	if err != nil {
		return w, bias, err
	}
	folded := operand{o: o, rows: w.rows, cols: w.cols, stride: cols}
	foldedBias := operand{o: o, offset: w.rows * cols}
	program, group := b.foldProgram()
	if x.packed != nil {
		return folded, foldedBias, b.s.launch(kernels.Key("fold_weights", w.rows, w.cols), program, "fold_weights",
			[]int{cols}, []int{b.group(foldCols)},
			arguments(ints(w.rows, cols), []any{x.fold}, w.args(), bias.args()[:2], folded.args())...)
	}
	if err := b.s.launch(kernels.Key("scale_weights", w.rows, w.cols), program, "scale_weights",
		[]int{cols, w.rows}, b.group2(),
		arguments(ints(w.rows, cols), []any{x.fold}, w.args(), folded.args())...); err != nil {
		return w, bias, err
	}
	if !x.shifted {
		return folded, bias, nil
	}
	return folded, foldedBias, b.s.launch(kernels.Key("fold_bias", w.rows, w.cols), program, "fold_bias",
		[]int{cols, group[1]}, group,
		arguments(ints(w.rows, cols), []any{x.fold}, w.args(), bias.args()[:2], foldedBias.args()[:2])...)
}

// foldCols is the columns of a work-group of fold_bias.
const foldCols = 16

// foldProgram returns the program of the kernels in fold.cl and the work-group of
// fold_bias, which is as large as that of other sums.
func (b *Backend) foldProgram() (p kernels.Program, group []int) {
	size := max(foldCols, b.config.RecordGroup)
	return kernels.Fold(size), []int{foldCols, size / foldCols}
}

// addInputPartials adds partial gradients of what the input holds, stored as addPartials
// takes them, to the gradient.
func (b *Backend) addInputPartials(x *input, part *object, splits, cols, panel int, dw, db operand) error {
	n := dw.rows
	if x.fold == nil {
		return b.addPartials(part, splits, cols, panel, n+1, dw, db)
	}
	program, _ := b.foldProgram()
	return b.s.launch(kernels.Key("add_folded_partials", n, dw.cols), program, "add_folded_partials",
		[]int{dw.cols, n + 1}, b.group2(),
		arguments(ints(splits, n, dw.cols), []any{part}, ints(cols, panel), []any{x.fold}, dw.args(), db.args()[:2])...)
}
