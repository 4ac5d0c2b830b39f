package gpu

import (
	"clgrad/kernels"
	"clgrad/network"
)

// operand is a matrix in device memory.
type operand struct {
	o                  *object
	offset             int
	rows, cols, stride int
	bytes              bool // of bytes, not float32
}

// over returns the program of a product over m.
func (m operand) over(p kernels.Program) kernels.Program {
	if m.bytes {
		return p.OverBytes()
	}
	return p
}

// args returns the kernel arguments of a matrix: buffer, offset, stride.
func (m operand) args() []any {
	return []any{m.o, uint64(m.offset), int32(m.stride)}
}

// operand checks a view and returns it.
func (b *Backend) operand(m network.Matrix) operand {
	m.Check()
	if m.Offset%network.Align != 0 || m.Stride%network.Align != 0 {
		panic(badStride)
	}
	return operand{o: b.own(m.Buffer), offset: m.Offset, rows: m.Rows, cols: m.Cols, stride: m.Stride}
}

// arguments joins groups of kernel arguments.
func arguments(groups ...[]any) []any {
	var all []any
	for _, g := range groups {
		all = append(all, g...)
	}
	return all
}

// ints returns kernel arguments of int type.
func ints(values ...int) []any {
	var all []any
	for _, v := range values {
		all = append(all, int32(v))
	}
	return all
}

// ForwardInput computes h = act(x·W + b) for a block of the input.
func (b *Backend) ForwardInput(x network.Input, block int, w, bias network.Matrix, act network.Activation, h network.Matrix) error {
	in := b.ownInput(x)
	if in.packed != nil {
		return b.forwardPacked(in, block, w, bias, act, h)
	}
	return b.forward(in, in.dense.block(in, block), w, bias, act, h)
}

// Forward computes h = act(x·W + b).
func (b *Backend) Forward(x, w, bias network.Matrix, act network.Activation, h network.Matrix) error {
	return b.forward(nil, b.operand(x), w, bias, act, h)
}

// forward computes over x, a block of in where that is not nil.
func (b *Backend) forward(in *input, x operand, wm, bm network.Matrix, act network.Activation, hm network.Matrix) error {
	network.CheckForward(x.rows, x.cols, wm, bm, hm)
	w, bias, h := b.operand(wm), b.operand(bm), b.operand(hm)
	if err := b.check("forward"); err != nil {
		return err
	}
	tile := b.config.Tile(kernels.OpForward, w.rows, w.cols)
	name := kernels.Key(kernels.OpForward, w.rows, w.cols)
	if tile.Variant == kernels.NaiveVariant {
		return b.s.launch(name, kernels.Naive(), "forward", []int{h.cols, h.rows}, b.group2(),
			arguments(ints(h.rows, w.rows, h.cols, relu(act)), x.args(), w.args(), bias.args()[:2], h.args())...)
	}
	if in != nil {
		var err error
		if w, bias, err = b.foldWeights(in, w, bias); err != nil {
			return err
		}
	}
	epilogue := kernels.Bias
	if act == network.ReLU {
		epilogue = kernels.BiasReLU
	}
	return b.matmul(name, tile, epilogue, x, w, bias, h)
}

// relu is the kernels' argument that asks for ReLU.
func relu(act network.Activation) int {
	if act == network.ReLU {
		return 1
	}
	return 0
}

// group2 returns a two-dimensional work-group for kernels with one element a
// work-item. Several rows a group keep their number below the 65535 groups that
// some drivers allow along the second dimension.
func (b *Backend) group2() []int {
	cols := b.group(16)
	return []int{cols, min(4, b.group(vectorGroup)/cols)}
}

// matmul launches c = epilogue(a·b) with a register, local or tensor tile. w is
// stored n×p; for the mask epilogue the register tile takes it transposed.
func (b *Backend) matmul(name string, tile kernels.Tile, e kernels.Epilogue, a, w, extra, c operand) error {
	if tile.Grouped() {
		tile = tile.Fit(c.rows, c.cols)
		global, local := tile.Grid(c.rows, c.cols, 1)
		return b.s.launch(name, a.over(tile.Matmul(e)), "matmul", global, local,
			arguments(ints(c.rows, c.cols, a.cols), a.args(), w.args(), extra.args(), c.args())...)
	}
	cols := network.AlignUp(c.cols)
	tile = tile.Fit(c.rows, cols)
	return b.s.launch(name, tile.Matmul(e), "matmul",
		[]int{groups(cols, tile.ItemCols), groups(c.rows, tile.ItemRows)}, []int{1, 1},
		arguments(ints(c.rows, cols, a.cols), a.args(), w.args(), extra.args(), c.args())...)
}

// groups returns how many parts of the given size cover n.
func groups(n, size int) int { return (n + size - 1) / size }

// WeightGradientInput adds xᵀ·dz and the column sums of dz for a block of the
// input.
func (b *Backend) WeightGradientInput(x network.Input, block int, dz, dw, db network.Matrix) error {
	in := b.ownInput(x)
	if in.packed != nil {
		return b.weightGradientPacked(in, block, dz, dw, db)
	}
	return b.weightGradient(in, in.dense.block(in, block), dz, dw, db)
}

// WeightGradient adds xᵀ·dz and the column sums of dz.
func (b *Backend) WeightGradient(x, dz, dw, db network.Matrix) error {
	return b.weightGradient(nil, b.operand(x), dz, dw, db)
}

// weightGradient computes over x, a block of in where that is not nil.
func (b *Backend) weightGradient(in *input, x operand, dzm, dwm, dbm network.Matrix) error {
	network.CheckWeightGradient(x.rows, x.cols, dzm, dwm, dbm)
	dz, dw, db := b.operand(dzm), b.operand(dwm), b.operand(dbm)
	if err := b.check("weight gradient"); err != nil {
		return err
	}
	rows, n, p := x.rows, dw.rows, dw.cols
	tile := b.config.Tile(kernels.OpWeightGradient, n, p)
	name := kernels.Key(kernels.OpWeightGradient, n, p)
	if tile.Variant == kernels.NaiveVariant {
		return b.s.launch(name, kernels.Naive(), "weight_gradient", []int{p, n + 1}, b.group2(),
			arguments(ints(rows, n, p), x.args(), dz.args(), dw.args(), db.args()[:2])...)
	}
	splits := max(1, min(tile.Splits, rows))
	if tile.Grouped() {
		tile = tile.Fit(n, p)
		stride := network.AlignUp(p)
		part, err := b.scratch(&b.partial, "partial gradients", splits*(n+1)*stride)
		if err != nil {
			return err
		}
		// e is unused: any buffer will do.
		global, local := tile.Grid(n, p, splits)
		if err := b.s.launch(name, x.over(tile.Matmul(kernels.Partial)), "matmul", global, local,
			arguments(ints(n, p, rows), x.args(), dz.args(), dz.args(), []any{part, uint64(0), int32(stride)})...); err != nil {
			return err
		}
		if in != nil {
			return b.addInputPartials(in, part, splits, stride, stride, dw, db)
		}
		return b.addPartials(part, splits, stride, stride, n+1, dw, db)
	}
	// Transposed, with a last column of its own for the bias.
	cols := network.AlignUp(n)
	stride := cols + network.Align
	part, err := b.scratch(&b.partial, "partial gradients", splits*p*stride)
	if err != nil {
		return err
	}
	tile = tile.FitAll(p, cols)
	if err := b.s.launch(name, tile.Gradient(), "weight_gradient_partial", []int{splits}, []int{1},
		arguments(ints(rows, cols, p), x.args(), dz.args(), []any{part, int32(stride)})...); err != nil {
		return err
	}
	return b.addPartials(part, splits, p, 1, stride, dw, db)
}

// addPartials adds partial gradients to the gradient: cols columns, stored in
// panels of the given number of rows.
func (b *Backend) addPartials(part *object, splits, cols, panel, rows int, dw, db operand) error {
	n, p := dw.rows, dw.cols
	return b.s.launch(kernels.Key("add_partials", n, p), kernels.Reduce(b.config.RecordGroup), "add_partials",
		[]int{p, n + 1}, b.group2(),
		arguments(ints(splits, n, p), []any{part}, ints(cols, panel, rows), dw.args(), db.args()[:2])...)
}

// scratch returns shared memory of at least the given number of elements. Work
// that uses the memory it replaces is finished first.
func (b *Backend) scratch(to **object, what string, elements int) (*object, error) {
	if o := *to; o != nil {
		if o.bytes >= 4*elements {
			return o, nil
		}
		if err := b.s.finish(); err != nil {
			return nil, err
		}
		b.s.free(o)
		*to = nil
	}
	o, err := b.s.buffer(what, 4*elements)
	if err != nil {
		return nil, err
	}
	*to = o
	return o, nil
}

// InputGradient computes dx = (dz·Wᵀ) ⊙ [x > 0].
func (b *Backend) InputGradient(dzm, wm, xm, dxm network.Matrix) error {
	network.CheckInputGradient(dzm, wm, xm, dxm)
	dz, w, x, dx := b.operand(dzm), b.operand(wm), b.operand(xm), b.operand(dxm)
	if err := b.check("input gradient"); err != nil {
		return err
	}
	tile := b.config.Tile(kernels.OpInputGradient, w.rows, w.cols)
	name := kernels.Key(kernels.OpInputGradient, w.rows, w.cols)
	switch tile.Variant {
	case kernels.NaiveVariant:
		return b.s.launch(name, kernels.Naive(), "input_gradient", []int{dx.cols, dx.rows}, b.group2(),
			arguments(ints(dx.rows, w.rows, w.cols), dz.args(), w.args(), x.args(), dx.args())...)
	case kernels.Register:
		stride := network.AlignUp(w.rows)
		o, err := b.scratch(&b.transpose, "transposed weights", w.cols*stride)
		if err != nil {
			return err
		}
		if err := b.s.launch(kernels.Key("transpose", w.rows, w.cols), kernels.Transpose(), "transpose",
			[]int{stride, w.cols}, b.group2(),
			arguments(ints(w.rows, w.cols), w.args(), []any{o, int32(stride)})...); err != nil {
			return err
		}
		w = operand{o: o, rows: w.cols, cols: w.rows, stride: stride}
	}
	return b.matmul(name, tile, kernels.Mask, dz, w, x, dx)
}

// SoftmaxCrossEntropy replaces logits by the loss's derivative and counts loss
// and correct rows.
func (b *Backend) SoftmaxCrossEntropy(zm network.Matrix, x network.Input, block, m int, t network.Tally, record int) error {
	in, mine := b.ownInput(x), b.ownTally(t)
	network.CheckSoftmax(zm, x, block)
	z := b.operand(zm)
	if record < 0 || record >= mine.records {
		panic(badRange)
	}
	name := network.SoftmaxKey(z.cols)
	if err := b.check("softmax"); err != nil {
		return err
	}
	if in.labels == nil {
		return b.s.fail("softmax cross-entropy", network.ErrNoLabels)
	}
	rows, kernel, local := 1, "softmax_cross_entropy", []int{b.group(vectorGroup)}
	if b.config.SoftmaxRows > 0 {
		rows, kernel, local = b.config.SoftmaxRows, "softmax_cross_entropy_register", []int{1}
	}
	parts := groups(z.rows, rows)
	part, err := b.scratch(&b.losses, "partial losses", 2*parts)
	if err != nil {
		return err
	}
	if err := b.s.launch(name, kernels.Softmax(rows), kernel, []int{parts}, local,
		arguments(ints(z.rows, z.cols), []any{float32(1 / float64(m))}, z.args(),
			[]any{in.labels, uint64(block * in.blockRows), part})...); err != nil {
		return err
	}
	size := b.config.RecordGroup
	return b.s.launch("sum_record", kernels.Reduce(size), "sum_record", []int{size}, []int{size},
		int32(parts), part, mine.o, int32(record))
}
