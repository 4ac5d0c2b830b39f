package gpu

import (
	"slices"

	"clgrad/kernels"
	"clgrad/network"
)

// maxFusedRows bounds the batches that are computed in few launches: of larger ones the
// operations take much longer than their launches.
const maxFusedRows = 1 << 14

// fusable reports whether a configuration can have iterations of a network in few launches:
// the parts of all weight gradients have to come from tiles that work in groups.
func fusable(c kernels.Config, sizes []int) bool {
	for i, n := range sizes[:len(sizes)-1] {
		if !c.Tile(kernels.OpWeightGradient, n, sizes[i+1]).Grouped() {
			return false
		}
	}
	return c.Packed == nil && len(sizes)-1 <= kernels.MaxStepLayers
}

// fusedElements returns the elements of the buffers that iterations of a network in few
// launches take for blocks of some rows: activations and derivatives, and partial gradients.
func fusedElements(c kernels.Config, sizes []int, rows int) (acts, parts int64) {
	for i, n := range sizes[:len(sizes)-1] {
		p := sizes[i+1]
		stride := int64(network.Stride(p))
		acts += 2 * int64(rows) * stride // less the last layer's output
		parts += int64(gradientSplits(c, n, p, rows)) * int64(n+1) * stride
	}
	return acts, parts
}

// localSteps are iterations of small batches in few launches (kernels/step_local.cl).
type localSteps struct {
	e       *executor
	layout  network.Layout
	x       *input
	network string // its sizes, for launches

	output  kernels.Output
	outputs bool           // the last layer is computed by step_output
	cap     int            // rows of the largest block
	acts    network.Buffer // outputs and derivatives of so many rows
	part    *object        // partial gradients
	losses  *object        // of the work-groups of step_output
	scaled  *object        // the first layer's weights with the input's factors; nil where it has none apart
}

// prepare makes the memory for the largest block.
func (st *localSteps) prepare() (err error) {
	e, l, x := st.e, st.layout, st.x
	last := l.Layers() - 1
	st.cap = slices.Max(x.blocks)
	if last > 0 {
		st.output, st.outputs = kernels.OutputOf(l.Sizes[last], l.Sizes[last+1], e.s.device.limits())
	}
	acts, parts := fusedElements(e.config, l.Sizes, st.cap)
	if st.acts, err = e.NewBuffer(int(acts)); err != nil {
		return err
	}
	if st.part, err = e.buffer("partial gradients", 4*int(parts)); err != nil {
		return err
	}
	if st.losses, err = e.buffer("partial losses", 8*groups(st.cap, max(1, st.output.Rows))); err != nil {
		return err
	}
	if x.affine != nil {
		if st.scaled, err = e.zeroed("weights with the scaling", 4*l.Sizes[0]*network.Stride(l.Sizes[1])); err != nil {
			return err
		}
	}
	return nil
}

// firstWeights returns where the scaled weights of the first layer stand.
func (st *localSteps) firstWeights() operand {
	return operand{o: st.scaled, rows: st.layout.Sizes[0], cols: st.layout.Sizes[1], stride: network.Stride(st.layout.Sizes[1])}
}

// Begin multiplies the first layer's weights by the input's factors.
func (st *localSteps) Begin(theta network.Buffer) error {
	network.CheckSteps(st.layout, network.Whole(theta))
	if err := st.x.checkSteps("steps", st.part); err != nil || st.scaled == nil {
		return err
	}
	w, _ := st.layout.Layer(0)
	return st.e.scaleWeights(st.x, st.e.operand(w.In(theta)), st.firstWeights())
}

// forward computes h = act(x·W + b) of layer i.
func (st *localSteps) forward(i int, x network.Rows, theta network.Buffer, act network.Activation, h network.Matrix) error {
	e := st.e
	ws, bs := st.layout.Layer(i)
	if i > 0 || st.scaled == nil {
		return e.Forward(x, ws.In(theta), bs.In(theta), act, h)
	}
	rows, in, err := e.rows(network.OpForward, x)
	if err != nil {
		return err
	}
	bias := e.operand(bs.In(theta))
	if in.shifted {
		if bias, err = e.shiftedBias(in, e.operand(ws.In(theta)), bias); err != nil {
			return err
		}
	}
	tile := e.config.Tile(kernels.OpForward, ws.Rows, ws.Cols)
	return e.matmul(network.OpForward, ws.Rows, ws.Cols, tile, kernels.Bias, relu(act), rows, st.firstWeights(), bias, e.operand(h))
}

func (st *localSteps) step(rule kernels.Rule, f network.Factors, iteration int, b network.Block, m int, theta, to network.Buffer, state []network.Vector, r network.Recorder, record int) error {
	e, last := st.e, st.layout.Layers()-1
	mine, err := st.x.ready("steps", st.part, b, r, record)
	if err != nil {
		return err
	}
	if err := e.trust(rule); err != nil {
		return err
	}
	h, dz := st.Stages(b)
	layer := func(i int) (w, bias network.Matrix) {
		ws, bs := st.layout.Layer(i)
		return ws.In(theta), bs.In(theta)
	}
	rows := func(i int) network.Rows { // that layer i is computed of
		if i == 0 {
			return network.Rows{Block: b}
		}
		return network.Rows{Matrix: h[i-1]}
	}
	for i := range h {
		if err := st.forward(i, rows(i), theta, network.ReLU, h[i]); err != nil {
			return err
		}
	}
	losses, known := 0, last // the layer whose derivative is known
	if st.outputs {
		w, bias := layer(last)
		if err := st.last(b, m, h[last-1], w, bias, dz[last], dz[last-1]); err != nil {
			return err
		}
		losses, known = groups(b.Rows(), st.output.Rows), last-1
	} else {
		if err := st.forward(last, rows(last), theta, network.Identity, dz[last]); err != nil {
			return err
		}
		if err := e.SoftmaxCrossEntropy(dz[last], b, m, r, record); err != nil {
			return err
		}
	}
	for ; known > 0; known-- {
		w, _ := layer(known)
		if err := e.InputGradient(dz[known], w, h[known-1], dz[known-1]); err != nil {
			return err
		}
	}
	splits, at := [kernels.MaxStepLayers]int{}, 0
	for i := range dz {
		v, _, err := e.rows(network.OpWeightGradient, rows(i))
		if err != nil {
			return err
		}
		w, _ := st.layout.Layer(i)
		part := operand{o: st.part, offset: at, rows: w.Rows, cols: w.Cols, stride: w.Stride}
		splits[i] = gradientSplits(e.config, w.Rows, w.Cols, b.Rows())
		if err := e.partialGradients(v, e.operand(dz[i]), part, splits[i]); err != nil {
			return err
		}
		at += splits[i] * (w.Rows + 1) * w.Stride
	}
	return st.update(rule, f, iteration, splits, losses, e.own(to), state, mine, record)
}

// last enqueues step_output.
func (st *localSteps) last(b network.Block, m int, h, w, bias, dz, dx network.Matrix) error {
	e := st.e
	labels, at, err := st.x.labelsOf(b.Index)
	if err != nil {
		return err
	}
	l, err := e.launch(launchKey{kernel: "step_output", operation: network.OpStepOutput, n: w.Rows, p: w.Cols}, true,
		func() (kernels.Program, []int) { return st.output.Program(), []int{st.output.Group()} })
	if err != nil {
		return err
	}
	v := e.operand(bias)
	a := e.arguments().ints(b.Rows()).float(1/float64(m)).matrix(e.operand(h)).matrix(e.operand(w)).at(v.o, v.offset)
	a.at(labels, at).matrix(e.operand(dz)).matrix(e.operand(dx)).buffers(st.losses)
	return l.run(a, groups(b.Rows(), st.output.Rows)*st.output.Group())
}

// update enqueues step_update.
func (st *localSteps) update(rule kernels.Rule, f network.Factors, iteration int, splits [kernels.MaxStepLayers]int, losses int, theta *object, state []network.Vector, r *recorder, record int) error {
	e, scaled := st.e, kernels.AsItIs
	affine, weights := theta, theta // any will do where there are none
	if st.scaled != nil {
		affine, weights, scaled = st.x.affine, st.scaled, kernels.Factors
		if st.x.shifted {
			scaled = kernels.Shifts
		}
	}
	group := kernels.UpdateGroup(e.s.device.limits())
	l, err := e.launch(launchKey{kernel: "step_update", operation: network.OpStepUpdate, rule: rule, network: st.network, scaled: scaled}, true,
		func() (kernels.Program, []int) {
			return kernels.StepUpdate(st.layout.Sizes, rule, scaled, group), []int{group}
		})
	if err != nil {
		return err
	}
	a := e.arguments().ints(st.layout.Len, iteration).ints(splits[:]...).ints(losses, record).factors(f)
	first, second := e.stateOf(state, theta)
	a.buffers(st.part, st.losses, affine, theta, first, second, weights, r.o)
	items := groups(st.layout.Len, group) * group
	if losses > 0 {
		items += group
	}
	return l.run(a, items)
}

// Stages returns what the last block left.
func (st *localSteps) Stages(b network.Block) (h, dz []network.Matrix) {
	return stages(st.layout.Sizes, st.acts, st.cap, b.Rows())
}

// Close frees the memory.
func (st *localSteps) Close() error {
	for _, o := range []*object{st.part, st.losses, st.scaled} {
		if o != nil {
			st.e.s.free(o)
		}
	}
	if st.acts != nil {
		st.acts.Close()
	}
	return nil
}
