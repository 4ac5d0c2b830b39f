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

// operand checks a view and returns it.
func (e *executor) operand(m network.Matrix) operand {
	m.Check()
	if m.Offset%network.Align != 0 || m.Stride%network.Align != 0 {
		panic(badStride)
	}
	return operand{o: e.own(m.Buffer), offset: m.Offset, rows: m.Rows, cols: m.Cols, stride: m.Stride}
}

// rows returns what a product is over: a block of an input that is packed, or a matrix,
// and the input that it is of, if it is.
func (e *executor) rows(operation string, r network.Rows) (x operand, in *input, err error) {
	if r.Block.Input == nil {
		return e.operand(r.Matrix), nil, e.check(operation)
	}
	in = e.ownInput(r.Block.Input)
	if err := in.check(operation); err != nil {
		return x, in, err
	}
	if in.packed == nil {
		x, err = in.dense.block(in, r.Block.Index)
	}
	return x, in, err
}

// flag is the kernels' argument of a choice.
func flag(is bool) int {
	if is {
		return 1
	}
	return 0
}

// relu is the kernels' argument that asks for ReLU.
func relu(act network.Activation) int { return flag(act == network.ReLU) }

// groups returns how many parts of the given size cover n.
func groups(n, size int) int { return (n + size - 1) / size }

// naive returns the launch of a naive kernel.
func (e *executor) naive(kernel, operation string, n, p int) (*launch, error) {
	return e.launch(launchKey{kernel: kernel, operation: operation, n: n, p: p}, false,
		func() (kernels.Program, []int) { return kernels.Naive(), e.group2() })
}

// Forward computes h = act(x·W + b).
func (e *executor) Forward(r network.Rows, wm, bm network.Matrix, act network.Activation, hm network.Matrix) error {
	network.CheckForward(r, wm, bm, hm)
	w, bias, h := e.operand(wm), e.operand(bm), e.operand(hm)
	x, in, err := e.rows(network.OpForward, r)
	if err != nil {
		return err
	}
	if in != nil && in.packed != nil {
		return e.forwardPacked(in, r.Block.Index, w, bias, act, h)
	}
	tile := e.config.Tile(kernels.OpForward, w.rows, w.cols)
	if tile.Variant == kernels.NaiveVariant {
		l, err := e.naive("forward", network.OpForward, w.rows, w.cols)
		if err != nil {
			return err
		}
		a := e.arguments().ints(h.rows, w.rows, h.cols, relu(act)).matrix(x).matrix(w).at(bias.o, bias.offset).matrix(h)
		return l.run(a, h.cols, h.rows)
	}
	if in != nil {
		if w, bias, err = e.affineWeights(in, w, bias); err != nil {
			return err
		}
	}
	return e.matmul(network.OpForward, w.rows, w.cols, tile, kernels.Bias, relu(act), x, w, bias, h)
}

// matmul enqueues c = epilogue(a·b), of an operation on a layer with n inputs and p
// outputs, with a register, local or tensor tile. w is stored n×p; for the mask
// epilogue the register tile takes it transposed.
func (e *executor) matmul(operation string, n, p int, tile kernels.Tile, epilogue kernels.Epilogue, relu int, a, w, extra, c operand) error {
	cols := c.cols
	if !tile.Grouped() {
		cols = network.AlignUp(c.cols)
	}
	tile = tile.Fit(c.rows, cols)
	if tile.Grouped() {
		tile = tile.Spread(e.plannedRows(c.rows), c.cols, e.s.device.ComputeUnits)
	}
	l, err := e.product(operation, n, p, tile, epilogue, a.bytes)
	if err != nil {
		return err
	}
	args := e.arguments().ints(c.rows, cols, a.cols, relu).matrix(a).matrix(w).matrix(extra).matrix(c)
	if tile.Grouped() {
		global, _ := tile.Grid(c.rows, c.cols, 1)
		return l.run(args, global...)
	}
	return l.run(args, groups(cols, tile.ItemCols), groups(c.rows, tile.ItemRows))
}

// plannedRows returns the rows of the plan's blocks, in training or scoring, that some rows are
// of: all those of the same blocks are computed by the kernels that the self-test has run.
func (e *executor) plannedRows(rows int) int {
	for _, planned := range []int{e.plan.BlockRows, e.plan.ScoreRows} {
		if rows <= planned {
			return planned
		}
	}
	return rows
}

// product returns the launch of a fitted tile's kernel.
func (e *executor) product(operation string, n, p int, tile kernels.Tile, epilogue kernels.Epilogue, bytes bool) (*launch, error) {
	key := launchKey{kernel: "matmul", operation: operation, n: n, p: p, tile: tile, epilogue: epilogue, bytes: bytes}
	return e.launch(key, true, func() (kernels.Program, []int) {
		program, local := tile.Matmul(epilogue), []int{1, 1}
		if tile.Grouped() {
			_, local = tile.Grid(1, 1, 1)
		}
		if bytes {
			program = program.OverBytes()
		}
		return program, local
	})
}

// WeightGradient computes dW = xᵀ·dz and db = Σ rows of dz, or adds them.
func (e *executor) WeightGradient(r network.Rows, dzm network.Matrix, add bool, dwm, dbm network.Matrix) error {
	network.CheckWeightGradient(r, dzm, dwm, dbm)
	dz, dw, db := e.operand(dzm), e.operand(dwm), e.operand(dbm)
	x, in, err := e.rows(network.OpWeightGradient, r)
	if err != nil {
		return err
	}
	if in != nil && in.packed != nil {
		return e.weightGradientPacked(in, r.Block.Index, dz, add, dw, db)
	}
	rows, n, p := x.rows, dw.rows, dw.cols
	tile := e.config.Tile(kernels.OpWeightGradient, n, p)
	if tile.Variant == kernels.NaiveVariant {
		l, err := e.naive("weight_gradient", network.OpWeightGradient, n, p)
		if err != nil {
			return err
		}
		a := e.arguments().ints(rows, n, p, flag(add)).matrix(x).matrix(dz).matrix(dw).at(db.o, db.offset)
		return l.run(a, p, n+1)
	}
	if tile.Grouped() {
		splits, stride := gradientSplits(e.config, n, p, rows), network.AlignUp(p)
		part, err := e.scratch(&e.partial, "partial gradients", splits*(n+1)*stride)
		if err != nil {
			return err
		}
		if err := e.partialGradients(x, dz, operand{o: part, rows: n, cols: p, stride: stride}, splits); err != nil {
			return err
		}
		return e.addPartials(in, part, splits, stride, stride, n+1, add, dw, db)
	}
	splits := max(1, min(tile.Splits, rows))
	// Transposed, with a last column of its own for the bias.
	cols := network.AlignUp(n)
	stride := cols + network.Align
	part, err := e.scratch(&e.partial, "partial gradients", splits*p*stride)
	if err != nil {
		return err
	}
	tile = tile.FitAll(p, cols)
	l, err := e.launch(launchKey{kernel: "weight_gradient_partial", operation: network.OpWeightGradient, n: n, p: p, tile: tile}, true,
		func() (kernels.Program, []int) { return tile.Gradient(), []int{1} })
	if err != nil {
		return err
	}
	if err := l.run(e.arguments().ints(rows, cols, p).matrix(x).matrix(dz).buffers(part).ints(stride), splits); err != nil {
		return err
	}
	return e.addPartials(in, part, splits, p, 1, stride, add, dw, db)
}

// gradientSplits returns how many partial gradients of a layer with n inputs and p outputs there
// are of some rows, of a tile that works in groups: at most one for each step of the tile, of
// tile.Depth rows, as a group takes as long for fewer rows.
func gradientSplits(c kernels.Config, n, p, rows int) int {
	tile := c.Tile(kernels.OpWeightGradient, n, p)
	return max(1, min(tile.Splits, groups(rows, tile.Depth)))
}

// partialGradients enqueues those of a layer, of a tile that works in groups: to stands for the
// first of them, each with the bias gradient as a last row.
func (e *executor) partialGradients(x, dz, to operand, splits int) error {
	n, p := to.rows, to.cols
	tile := e.config.Tile(kernels.OpWeightGradient, n, p).Fit(n, p)
	l, err := e.product(network.OpWeightGradient, n, p, tile, kernels.Partial, x.bytes)
	if err != nil {
		return err
	}
	// The operand of the epilogue is unused: any buffer will do.
	a := e.arguments().ints(n, p, x.rows, 0).matrix(x).matrix(dz).matrix(dz).matrix(to)
	global, _ := tile.Grid(n, p, splits)
	return l.run(a, global...)
}

// addPartials makes the gradient of partial ones: cols columns, stored in panels of the
// given number of rows; of what the input holds, where it is not nil.
func (e *executor) addPartials(in *input, part *object, splits, cols, panel, rows int, add bool, dw, db operand) error {
	n, p := dw.rows, dw.cols
	kernel, program := "add_partials", kernels.Reduce(e.config.RecordGroup)
	a := e.arguments().ints(splits, n, p, flag(add)).buffers(part)
	if in != nil && in.affine != nil {
		kernel, program = "add_affine_partials", kernels.Affine(max(affineCols, e.config.RecordGroup))
		a.ints(cols, panel).buffers(in.affine)
	} else {
		a.ints(cols, panel, rows)
	}
	l, err := e.launch(launchKey{kernel: kernel, operation: kernel, n: n, p: p}, false,
		func() (kernels.Program, []int) { return program, e.group2() })
	if err != nil {
		return err
	}
	return l.run(a.matrix(dw).at(db.o, db.offset), p, n+1)
}

// InputGradient computes dx = (dz·Wᵀ) ⊙ [x > 0].
func (e *executor) InputGradient(dzm, wm, xm, dxm network.Matrix) error {
	network.CheckInputGradient(dzm, wm, xm, dxm)
	dz, w, x, dx := e.operand(dzm), e.operand(wm), e.operand(xm), e.operand(dxm)
	if err := e.check(network.OpInputGradient); err != nil {
		return err
	}
	n, p := w.rows, w.cols
	tile := e.config.Tile(kernels.OpInputGradient, n, p)
	switch tile.Variant {
	case kernels.NaiveVariant:
		l, err := e.naive("input_gradient", network.OpInputGradient, n, p)
		if err != nil {
			return err
		}
		return l.run(e.arguments().ints(dx.rows, n, p).matrix(dz).matrix(w).matrix(x).matrix(dx), dx.cols, dx.rows)
	case kernels.Register:
		stride := network.AlignUp(n)
		o, err := e.scratch(&e.transpose, "transposed weights", p*stride)
		if err != nil {
			return err
		}
		l, err := e.launch(launchKey{kernel: "transpose", operation: "transpose", n: n, p: p}, false,
			func() (kernels.Program, []int) { return kernels.Transpose(), e.group2() })
		if err != nil {
			return err
		}
		if err := l.run(e.arguments().ints(n, p).matrix(w).at(o, 0).ints(stride), stride, p); err != nil {
			return err
		}
		w = operand{o: o, rows: p, cols: n, stride: stride}
	}
	return e.matmul(network.OpInputGradient, n, p, tile, kernels.Mask, 0, dz, w, x, dx)
}

// SoftmaxCrossEntropy replaces logits by the loss's derivative and counts loss
// and correct rows.
func (e *executor) SoftmaxCrossEntropy(zm network.Matrix, y network.Block, m int, r network.Recorder, record int) error {
	in, mine := e.ownInput(y.Input), e.ownRecorder(r)
	network.CheckSoftmax(zm, y)
	z := e.operand(zm)
	if record < 0 || record >= mine.records {
		panic(badRange)
	}
	if err := in.check(network.OpSoftmax); err != nil {
		return err
	}
	if !in.labelled {
		return e.s.fail("softmax cross-entropy", network.ErrNoLabels)
	}
	labels, at, err := in.labelsOf(y.Index)
	if err != nil {
		return err
	}
	if mine.o.handle == nil {
		return e.s.fail(network.OpSoftmax+": recorder", network.ErrClosed)
	}
	rows, kernel := 1, "softmax_cross_entropy"
	if e.config.SoftmaxRows > 0 {
		rows, kernel = e.config.SoftmaxRows, "softmax_cross_entropy_register"
	}
	l, err := e.launch(launchKey{kernel: kernel, operation: network.SoftmaxKey(z.cols)}, e.config.SoftmaxRows > 0,
		func() (kernels.Program, []int) {
			if e.config.SoftmaxRows > 0 {
				return kernels.Softmax(rows), []int{1}
			}
			return kernels.Softmax(rows), []int{e.group(vectorGroup)}
		})
	if err != nil {
		return err
	}
	parts := groups(z.rows, rows)
	part, err := e.scratch(&e.losses, "partial losses", 2*parts)
	if err != nil {
		return err
	}
	a := e.arguments().ints(z.rows, z.cols).float(1/float64(m)).matrix(z).at(labels, at).buffers(part)
	if err := l.run(a, parts); err != nil {
		return err
	}
	size := e.config.RecordGroup
	if l, err = e.launch(launchKey{kernel: "sum_record", operation: "sum_record"}, true,
		func() (kernels.Program, []int) { return kernels.Reduce(size), []int{size} }); err != nil {
		return err
	}
	return l.run(e.arguments().ints(parts).buffers(part, mine.o).ints(record), size)
}
