package gpu

import (
	"errors"
	"fmt"
	"math/bits"
	"slices"
	"unsafe"

	"clgrad/kernels"
	"clgrad/network"
)

// maxIndexRows is how many rows of a batch the entries of its index can name.
const maxIndexRows = 1 << 16

// A stepper computes whole iterations as a device's plan has them.
type stepper interface {
	// Begin, Stages and Close are those of network.Steps and network.Stages.
	Begin(theta network.Buffer) error
	Stages(b network.Block) (h, dz []network.Matrix)
	Close() error

	// step enqueues loss and gradient of a block with the parameters theta, as part of a
	// batch of m rows, and to by a rule, which with kernels.Sum is the gradient and otherwise
	// theta.
	step(rule kernels.Rule, f network.Factors, iteration int, b network.Block, m int, theta, to network.Buffer, state []network.Vector, r network.Recorder, record int) error
}

// iterations are network.Steps.
type iterations struct {
	stepper
	layout network.Layout
}

// Evaluate enqueues loss and gradient of a block.
func (st iterations) Evaluate(b network.Block, m int, theta, g network.Buffer, add bool, r network.Recorder, record int) error {
	network.CheckSteps(st.layout, network.Whole(theta), network.Whole(g))
	return st.step(kernels.Sum, network.Factors{Keep1: float64(flag(add))}, 0, b, m, theta, g, nil, r, record)
}

// Step enqueues an iteration.
func (st iterations) Step(u network.Update, b network.Block, theta network.Buffer, state []network.Vector, r network.Recorder, record int) error {
	network.CheckUpdate(u, network.Whole(theta), network.Whole(theta), state)
	network.CheckSteps(st.layout, append([]network.Vector{network.Whole(theta)}, state...)...)
	return st.step(ruleOf(u), u.Factors(), u.Iteration, b, b.Rows(), theta, theta, state, r, record)
}

// steps are whole iterations over packed input (kernels/step_register.cl).
type steps struct {
	e       *executor
	layout  network.Layout
	x       *input
	network string // its sizes, for launches
	cap     int    // rows of the activations

	index  featureIndex
	wt     *object // the transposed weights of all layers but the first
	acts   network.Buffer
	losses *object
}

// NewSteps prepares whole iterations where the plan has them and the input is held so.
func (e *executor) NewSteps(l network.Layout, s network.Samples, in network.Input) (network.Steps, error) {
	x := e.ownInput(in)
	network.CheckNewSteps(l, in)
	if err := x.check("steps"); err != nil {
		return nil, err
	}
	var st stepper
	var prepare func() error
	switch {
	case x.steppable(e.config, l.Layers()):
		packed := &steps{e: e, layout: l, x: x, network: fmt.Sprint(l.Sizes)}
		st, prepare = packed, func() error { return packed.prepare(s, *e.config.Step) }
	case e.config.Fused && fusable(e.config, l.Sizes):
		local := &localSteps{e: e, layout: l, x: x, network: fmt.Sprint(l.Sizes)}
		st, prepare = local, local.prepare
	default:
		return nil, nil
	}
	if err := prepare(); err != nil {
		return nil, errors.Join(err, st.Close())
	}
	return iterations{st, l}, nil
}

// steppable reports whether whole iterations over packed input are in the plan.
func (x *input) steppable(c kernels.Config, layers int) bool {
	return c.Step != nil && x.packed != nil && x.affine == nil && layers <= kernels.MaxStepLayers
}

func (st *steps) prepare(s network.Samples, tile kernels.StepTile) (err error) {
	e, sizes := st.e, st.layout.Sizes
	most := slices.Max(st.x.blocks)
	if most > maxIndexRows {
		return e.s.fail("steps", fmt.Errorf("a batch of %d rows: up to %d are possible", most, maxIndexRows))
	}
	st.cap = groups(most, tile.DenseRows) * tile.DenseRows
	perRow, transposed := 0, 1
	for i, n := range sizes[1:] {
		p := network.Stride(n)
		perRow += p
		if i < len(sizes)-2 {
			perRow += p
			transposed += p * network.Stride(sizes[i+2])
		}
	}
	// Behind them there is room for a tile that goes beyond the inputs of the last layer.
	if st.acts, err = e.NewBuffer(st.cap*perRow + network.Align*tile.DenseRows); err != nil {
		return err
	}
	if st.wt, err = e.zeroed("transposed weights", 4*transposed); err != nil {
		return err
	}
	if st.losses, err = e.zeroed("partial losses", 8*tile.RowItems); err != nil {
		return err
	}
	if st.x.stream != nil {
		return nil // it has the index
	}
	return st.index.load(st.x, s)
}

// checkSteps reports whole iterations over the input that were closed, o being a part of them,
// or whose input was.
func (x *input) checkSteps(operation string, o *object) error {
	if o.handle == nil {
		return x.e.s.fail(operation, network.ErrClosed)
	}
	return x.check(operation)
}

// ready returns the recorder, or why whole iterations with a part o cannot compute a block.
func (x *input) ready(operation string, o *object, b network.Block, r network.Recorder, record int) (*recorder, error) {
	mine := x.e.ownRecorder(r)
	if b.Input != network.Input(x) {
		panic(foreign)
	}
	if record < 0 || record >= mine.records {
		panic(badRange)
	}
	if err := x.checkSteps(operation, o); err != nil {
		return nil, err
	}
	if !x.labelled {
		return nil, x.e.s.fail(operation, network.ErrNoLabels)
	}
	return mine, nil
}

// stateOf returns the buffers of a rule's state, and of one with less than two another, which
// is not used.
func (e *executor) stateOf(state []network.Vector, other *object) (a, b *object) {
	buffers := [2]*object{other, other}
	for i, v := range state {
		buffers[i] = e.own(v.Buffer)
	}
	return buffers[0], buffers[1]
}

// Begin transposes the weights.
func (st *steps) Begin(theta network.Buffer) error {
	e, at := st.e, 0
	network.CheckSteps(st.layout, network.Whole(theta))
	if err := st.x.checkSteps("steps", st.wt); err != nil {
		return err
	}
	for i := 1; i < st.layout.Layers(); i++ {
		span, _ := st.layout.Layer(i)
		w := e.operand(span.In(theta))
		stride := network.Stride(w.rows)
		l, err := e.launch(launchKey{kernel: "transpose", operation: "transpose", n: w.rows, p: w.cols}, false,
			func() (kernels.Program, []int) { return kernels.Transpose(), e.group2() })
		if err != nil {
			return err
		}
		if err := l.run(e.arguments().ints(w.rows, w.cols).matrix(w).at(st.wt, at).ints(stride), stride, w.cols); err != nil {
			return err
		}
		at += network.Stride(w.cols) * stride
	}
	return nil
}

// rows enqueues what is local to a row.
func (st *steps) rows(b network.Block, m int, theta *object) error {
	e, x, tile := st.e, st.x, *st.e.config.Step
	labels, at, err := x.labelsOf(b.Index)
	if err != nil {
		return err
	}
	l, err := e.launch(launchKey{kernel: "step_rows", operation: network.OpStepRows, network: st.network}, true,
		func() (kernels.Program, []int) { return tile.RowsOf(st.layout.Sizes), []int{1} })
	if err != nil {
		return err
	}
	a := e.arguments().ints(b.Rows(), st.cap).float(1 / float64(m))
	if err := x.packed.add(a, x, b.Index); err != nil {
		return err
	}
	a.at(labels, at).buffers(theta, st.wt, e.own(st.acts), st.losses)
	return l.run(a, tile.RowItems)
}

// columns enqueues what is local to a weight, theta being what the rule is for.
func (st *steps) columns(rule kernels.Rule, f network.Factors, iteration int, b network.Block, theta *object, state []network.Vector, r *recorder, record int) error {
	e, x, tile := st.e, st.x, *st.e.config.Step
	if err := e.trust(rule); err != nil {
		return err
	}
	l, err := e.launch(launchKey{kernel: "step_columns", operation: network.OpStepColumns, rule: rule, network: st.network}, true,
		func() (kernels.Program, []int) {
			return tile.ColumnsOf(st.layout.Sizes, rule), []int{1}
		})
	if err != nil {
		return err
	}
	a := e.arguments().ints(b.Rows(), st.cap, iteration, tile.RowItems, record).factors(f)
	if err := st.index.add(a, x, b.Index); err != nil {
		return err
	}
	first, second := e.stateOf(state, theta)
	a.buffers(x.packed.table, theta, first, second, st.wt, e.own(st.acts), st.losses, r.o)
	return l.run(a, tile.Tasks(st.layout.Sizes))
}

func (st *steps) step(rule kernels.Rule, f network.Factors, iteration int, b network.Block, m int, theta, to network.Buffer, state []network.Vector, r network.Recorder, record int) error {
	mine, err := st.x.ready(network.OpStepRows, st.wt, b, r, record)
	if err != nil {
		return err
	}
	if err := st.rows(b, m, st.e.own(theta)); err != nil {
		return err
	}
	return st.columns(rule, f, iteration, b, st.e.own(to), state, mine, record)
}

// Stages returns what the last block left, as kernels/step_register.cl stores it.
func (st *steps) Stages(b network.Block) (h, dz []network.Matrix) {
	return stages(st.layout.Sizes, st.acts, st.cap, b.Rows())
}

// stages returns the outputs of the hidden layers and the derivatives of all layers' sums, which
// stand behind each other in a buffer with room for most rows of each.
func stages(sizes []int, in network.Buffer, most, rows int) (h, dz []network.Matrix) {
	at := 0
	next := func(n int) network.Matrix {
		stride := network.Stride(n)
		m := network.Matrix{Buffer: in, Offset: at, Rows: rows, Cols: n, Stride: stride}
		at += most * stride
		return m
	}
	for _, n := range sizes[1 : len(sizes)-1] {
		h = append(h, next(n))
	}
	for _, n := range sizes[1:] {
		dz = append(dz, next(n))
	}
	return h, dz
}

// Close frees the memory.
func (st *steps) Close() error {
	for _, o := range []*object{st.wt, st.losses} {
		if o != nil {
			st.e.s.free(o)
		}
	}
	if st.acts != nil {
		st.acts.Close()
	}
	st.index.free(st.e.s)
	return nil
}

// A featureIndex lists the entries of each block by feature: starts, rows and values as
// kernels/step_register.cl describes them.
type featureIndex struct {
	chunks  []indexChunk
	chunkOf []int // of each block
	first   []int // element of starts at which a block begins in its chunk
}

type indexChunk struct{ starts, rows, values *object }

// add adds the kernel arguments of a block.
func (f *featureIndex) add(a *arguments, x *input, block int) error {
	if x.stream != nil {
		place, err := x.stream.use(block)
		if err != nil {
			return err
		}
		parts := place.slot.parts
		a.at(parts[indexStartsPart], place.block*(x.features+1)).buffers(parts[indexRowsPart], parts[indexValuesPart])
		return nil
	}
	c := f.chunks[f.chunkOf[block]]
	a.at(c.starts, f.first[block]).buffers(c.rows, c.values)
	return nil
}

// countFeatures counts the entries of each feature of rows first … end−1 in counts.
func countFeatures(s network.Samples, first, end int, counts []uint32) (total int) {
	for row := first; row < end; row++ {
		eachEight([][]uint8{s.Row(row)}, s.Features, func(j int, marked uint64) {
			for ; marked != 0; marked &= marked - 1 {
				counts[j+bits.TrailingZeros64(marked)/8]++
				total++
			}
		})
	}
	return total
}

// indexRows writes the entries of rows first … end−1: those of feature j from next[j]−at on,
// which it moves forward.
func indexRows(s network.Samples, first, end int, next []uint32, at int, rows []uint16, values []uint8) {
	for row := first; row < end; row++ {
		data := s.Row(row)
		eachEight([][]uint8{data}, s.Features, func(j int, marked uint64) {
			for ; marked != 0; marked &= marked - 1 {
				feature := j + bits.TrailingZeros64(marked)/8
				q := int(next[feature]) - at
				next[feature]++
				rows[q], values[q] = uint16(row-first), data[feature]
			}
		})
	}
}

func (f *featureIndex) free(s *session) {
	for _, c := range f.chunks {
		for _, o := range []*object{c.starts, c.rows, c.values} {
			if o != nil {
				s.free(o)
			}
		}
	}
	f.chunks = nil
}

// load makes the index of all blocks, in chunks whose entries are counted in 32 bits and fit
// the device's largest buffer.
func (f *featureIndex) load(x *input, s network.Samples) error {
	limit := 1 << 30 // entries of a chunk
	if m := x.e.s.device.MaxBuffer; m > 0 {
		limit = int(min(int64(limit), m/2))
	}
	// counts[i][j] is first the number of entries of feature j in block i, then where they
	// begin in the chunk.
	counts := make([][]uint32, len(x.blocks))
	totals := make([]int, len(x.blocks))
	parallel(len(counts), func(i int) {
		counts[i] = make([]uint32, x.features+1)
		totals[i] = countFeatures(s, x.starts[i], x.starts[i]+x.blocks[i], counts[i])
	})
	for from := 0; from < len(counts); {
		end, entries := from, 0
		var starts []uint32
		for ; end < len(counts) && (end == from || entries+totals[end] <= limit && len(starts)+x.features+1 <= limit/2); end++ {
			f.chunkOf, f.first = append(f.chunkOf, len(f.chunks)), append(f.first, len(starts))
			for j, n := range counts[end] {
				counts[end][j] = uint32(entries)
				entries += int(n)
			}
			starts = append(starts, counts[end]...)
		}
		if entries > limit {
			return x.e.s.fail("load", fmt.Errorf("a block of %d rows has %d entries, %d are possible: use smaller batches", x.blocks[from], entries, limit))
		}
		if err := f.fill(x, s, from, end, starts, counts, entries); err != nil {
			return err
		}
		from = end
	}
	return nil
}

// fill makes the chunk of blocks from … end−1, whose entries begin at starts, and in next[i],
// which it changes, those of each block.
func (f *featureIndex) fill(x *input, s network.Samples, from, end int, starts []uint32, next [][]uint32, entries int) (err error) {
	f.chunks = append(f.chunks, indexChunk{})
	c := &f.chunks[len(f.chunks)-1]
	for _, b := range []struct {
		to    **object
		what  string
		bytes int
	}{{&c.starts, "starts", 4 * len(starts)}, {&c.rows, "rows", 2 * max(1, entries)}, {&c.values, "values", max(1, entries)}} {
		if *b.to, err = x.e.buffer("feature index: "+b.what, b.bytes); err != nil {
			return err
		}
	}
	if err := x.e.s.write(c.starts, 0, unsafe.Pointer(&starts[0]), 4*len(starts)); err != nil {
		return err
	}
	place := func(block int) int {
		if block == end {
			return entries
		}
		return int(starts[f.first[block]])
	}
	var rows []uint16
	var values []uint8
	return staged(from, end, place, stagingBytes/3, func(first, last int) error {
		at, n := place(first), place(last)-place(first)
		rows, values = grown(rows, n), grown(values, n)
		parallel(last-first, func(i int) {
			block := first + i
			indexRows(s, x.starts[block], x.starts[block]+x.blocks[block], next[block], at, rows, values)
		})
		if n == 0 {
			return nil
		}
		if err := x.e.s.write(c.rows, 2*at, unsafe.Pointer(&rows[0]), 2*n); err != nil {
			return err
		}
		return x.e.s.write(c.values, at, unsafe.Pointer(&values[0]), n)
	})
}
