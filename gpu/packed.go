package gpu

import (
	"encoding/binary"
	"math"
	"math/bits"
	"slices"
	"unsafe"

	"clgrad/kernels"
	"clgrad/network"
	"clgrad/network/mapped"
)

// packedRows holds the input as kernels/packed_register.cl describes it: groups
// of rows with the features that are not 0 in all of them. A group belongs to one
// block, a block to one chunk, and a chunk fits the device's largest buffer.
type packedRows struct {
	tile   kernels.Tile
	table  *object // 256 float32: the value of each byte
	chunks []packedChunk
	// chunkOf and groupOf are, for each block, its chunk and the number of its
	// first group there.
	chunkOf, groupOf []int
}

// packedChunk is what one set of buffers holds.
type packedChunk struct {
	starts *object // uint32: where each group's entries begin, and where the last one's end
	index  *object // uint16: the feature of each entry
	values *object // uint8: the rows' bytes of each entry
}

// maxPackedFeatures is how many features the entries of a group can name.
const maxPackedFeatures = math.MaxUint16 + 1

// maxShift bounds what scaling makes of a byte of 0. Such sums have terms of up
// to this size more, times the weights, and lose that much precision; a feature
// that is 0 in half of the rows, and scaled to deviation 1, is at 1.
const maxShift = 4

// packable reports whether samples can be packed.
func packable(s network.Samples) bool { return separable(s) && s.Features <= maxPackedFeatures }

// separable reports whether the scaling of samples can be taken out of the products:
// of bytes, of which a 0 stays near 0.
func separable(s network.Samples) bool {
	if s.Bytes == nil {
		return false
	}
	for j := range max(1, len(s.Scaling.Shift)) {
		if z := s.Scaling.Apply(0, j); !(z >= -maxShift && z <= maxShift) {
			return false
		}
	}
	return true
}

// shifted reports whether the products of separable samples have a part of their own for
// the scaling: packed, where a table of values does not hold all of it; otherwise
// where a 0 does not stay 0.
func shifted(s network.Samples, packed bool) bool {
	if packed {
		_, affine := valuesOf(s)
		return affine != nil
	}
	for _, f := range affineOf(s) {
		if f[1] != 0 {
			return true
		}
	}
	return false
}

// valuesOf returns the table of byte values and, where scaling moves a 0, a
// factor and a shift for each feature: x = factor·table[v] + shift. With one
// scaling for all features the factor is in the table.
func valuesOf(s network.Samples) (table []float32, affine [][2]float32) {
	table = make([]float32, 256)
	if len(s.Scaling.Shift) > 1 {
		for v := range table {
			table[v] = float32(v)
		}
		return table, affineOf(s)
	}
	zero := s.Scaling.Apply(0, 0)
	for v := range table {
		table[v] = s.Scaling.Apply(float64(v), 0) - zero
	}
	if zero == 0 {
		return table, nil
	}
	for range s.Features {
		affine = append(affine, [2]float32{1, zero})
	}
	return table, affine
}

// affineOf returns a factor and a shift for each feature: x = factor·v + shift.
func affineOf(s network.Samples) (affine [][2]float32) {
	for j := range s.Features {
		_, factor := s.Scaling.At(j)
		affine = append(affine, [2]float32{float32(factor), s.Scaling.Apply(0, j)})
	}
	return affine
}

// Packed products cost more a product than dense ones: they pay where no more
// than this share of (group, feature) pairs has entries.
const maxPackedDensity = 0.7

// The gradient of whole iterations takes one load a product, that of packed rows one for
// several: it pays where no more than this share of the bytes is not 0.
const maxStepDensity = 1. / 3

// Rows of a block of whole iterations: a batch of up to maxStepRows is one block; a larger one
// is divided into blocks of stepBlockRows, whose derivatives stay in the second-level cache.
// (784-128-10 on two Zen 3 cores: blocks of 256 to 1024 rows take the same time, of 2048 half as
// long again, of 8192 three times as long.)
const (
	minStepRows   = 8 // fewer make the index of a block larger than its data
	maxStepRows   = 1024
	stepBlockRows = 504 // whole groups of 1 to 4, 6, 8 and 12
)

// largeBatch is how many rows fill blocks of single operations. Batches of more take less time
// so where vectors have 16 elements, and where a gradient of packed rows is of few outputs.
// Milliseconds an iteration of MNIST on two Zen 4 cores (AVX-512), whole iterations and single
// operations, medians of three runs of clgrad bench --batch-size ROWS, in turns:
//
//	rows of a batch    784-128-10     784-500-150-10    784-10-10
//	128                0.18   0.39                      0.066  0.11
//	1024               1.01   1.14    5.8    6.8
//	4096               4.0    4.2     24     27         1.9    1.6
//	60000              57     40      341    321        22     9.8
const (
	largeBatch = 8192
	fewOutputs = 16
)

// steppable reports whether whole iterations suit a device's vectors of lanes float32, samples
// and a network, in batches of batchRows rows.
func steppable(lanes int, s network.Samples, sizes []int, batchRows int) bool {
	switch {
	case batchRows < minStepRows,
		batchRows > largeBatch && (lanes >= 16 || sizes[1] <= fewOutputs),
		len(sizes)-1 > kernels.MaxStepLayers,
		shifted(s, true):
		return false
	}
	return packedDensity(s, 1) <= maxStepDensity
}

// groupsSampled is how many groups packedDensity looks at, evenly spread.
const groupsSampled = 512

// packedDensity returns the share of (group, feature) pairs that have entries in
// groups of the given number of rows.
func packedDensity(s network.Samples, rows int) float64 {
	groups := (s.Rows + rows - 1) / rows
	step := max(1, groups/groupsSampled)
	seen, entries := 0, 0
	for g := 0; g < groups; g += step {
		entries += countEntries(s, g*rows, min((g+1)*rows, s.Rows))
		if seen++; seen%16 == 0 {
			mapped.ReleaseNow()
		}
	}
	return float64(entries) / (float64(seen) * float64(s.Features))
}

// A byte of marks is 128 where the byte of w is not 0, otherwise 0.
func marks(w uint64) uint64 {
	const low = 0x7f7f7f7f7f7f7f7f
	return (w&low + low | w) &^ low
}

// eachEight calls f for eight features at a time that are not 0 in all of the rows: with the
// number of the first of them, and marks of those that are not 0. n is the number of features.
func eachEight(rows [][]uint8, n int, f func(j int, marked uint64)) {
	j := 0
	for ; j+8 <= n; j += 8 {
		var w uint64
		for _, row := range rows {
			w |= binary.LittleEndian.Uint64(row[j:])
		}
		if w != 0 {
			f(j, marks(w))
		}
	}
	var w uint64
	for k := j; k < n; k++ {
		for _, row := range rows {
			w |= uint64(row[k]) << (8 * (k - j))
		}
	}
	if w != 0 {
		f(j, marks(w))
	}
}

// rowsOf returns rows first … end−1, in the memory of to.
func rowsOf(s network.Samples, first, end int, to [][]uint8) [][]uint8 {
	to = to[:0]
	for i := first; i < end; i++ {
		to = append(to, s.Row(i))
	}
	return to
}

// countEntries returns the number of features that are not 0 in all of rows first … end−1.
func countEntries(s network.Samples, first, end int) (n int) {
	var few [16][]uint8
	eachEight(rowsOf(s, first, end, few[:]), s.Features, func(_ int, marked uint64) { n += bits.OnesCount64(marked) })
	return n
}

// countGroups appends the number of entries of each group of r of rows first … end−1.
func countGroups(s network.Samples, first, end, r int, counts []uint32) []uint32 {
	for ; first < end; first += r {
		counts = append(counts, uint32(countEntries(s, first, min(first+r, end))))
	}
	return counts
}

// packRows writes the entries of groups of r of rows first … end−1, those of the first from q on.
func packRows(s network.Samples, first, end, r, q int, index []uint16, values []uint8) {
	var few [16][]uint8
	rows := few[:0]
	for ; first < end; first += r {
		rows = rowsOf(s, first, min(first+r, end), rows)
		eachEight(rows, s.Features, func(j int, marked uint64) {
			for ; marked != 0; marked &= marked - 1 {
				feature := j + bits.TrailingZeros64(marked)/8
				index[q] = uint16(feature)
				for k, row := range rows {
					values[q*r+k] = row[feature]
				}
				q++
			}
		})
	}
}

// parallel calls f for 0 … n−1 on all cores.
func parallel(n int, f func(i int)) { network.Parallel(n, 1, func(i, _ int) { f(i) }) }

// freeChunks frees the rows.
func (p *packedRows) freeChunks(s *session) {
	for _, c := range slices.Backward(p.chunks) {
		for _, o := range []*object{c.values, c.index, c.starts} {
			if o != nil {
				s.free(o)
			}
		}
	}
	p.chunks = nil
}

func (p *packedRows) free(s *session) {
	p.freeChunks(s)
	if p.table != nil {
		s.free(p.table)
	}
}

// loadTable brings to the device what rows have in common.
func (p *packedRows) loadTable(x *input, samples network.Samples) (err error) {
	table, affine := valuesOf(samples)
	if p.table, err = x.e.buffer("table of scaled bytes", 4*len(table)); err != nil {
		return err
	}
	if err := x.e.s.write(p.table, 0, unsafe.Pointer(&table[0]), 4*len(table)); err != nil {
		return err
	}
	return x.setAffine(affine)
}

// load counts the entries of every group, divides the blocks into chunks that
// fit, and packs each.
func (p *packedRows) load(x *input, samples network.Samples) (err error) {
	s := x.e.s
	if err := p.loadTable(x, samples); err != nil {
		return err
	}

	r := p.tile.ItemRows
	counts := make([][]uint32, len(x.blocks)) // entries of each group of each block
	parallel(len(x.blocks), func(i int) {
		counts[i] = countGroups(samples, x.starts[i], x.starts[i]+x.blocks[i], r, nil)
	})
	// starts of the chunk at hand, and the block that it begins with.
	starts, from := []uint32{0}, 0
	flush := func(end int) error {
		err := p.pack(x, samples, from, end, starts)
		starts, from = []uint32{0}, end
		return err
	}
	limit := s.device.MaxBuffer
	if limit <= 0 || limit > math.MaxInt32 {
		limit = math.MaxInt32 // entries are counted in 32 bits
	}
	for block, groups := range counts {
		entries := int64(starts[len(starts)-1])
		for _, n := range groups {
			entries += int64(n)
		}
		if entries*int64(max(r, 2)) > limit && block > from {
			if err := flush(block); err != nil {
				return err
			}
		}
		p.chunkOf = append(p.chunkOf, len(p.chunks))
		p.groupOf = append(p.groupOf, len(starts)-1)
		for _, n := range groups {
			starts = append(starts, starts[len(starts)-1]+n)
		}
	}
	return flush(len(x.blocks))
}

// refill packs other rows, which are one block, into the buffers of those before. Buffers that are too
// small are made anew, after the work that uses them.
func (p *packedRows) refill(x *input, samples network.Samples) error {
	r := p.tile.ItemRows
	starts := []uint32{0}
	for _, n := range countGroups(samples, 0, samples.Rows, r, nil) {
		starts = append(starts, starts[len(starts)-1]+n)
	}
	if entries := int(starts[len(starts)-1]); r*entries > p.chunks[0].values.bytes {
		if err := x.e.s.finish(); err != nil {
			return err
		}
		p.freeChunks(x.e.s)
		most := groups(x.like.Rows, r)
		if err := p.makeChunk(x, most, min(2*entries, most*x.features)); err != nil {
			return err
		}
	}
	return p.fill(x, samples, 0, 1, starts)
}

// pack writes blocks from … end−1, whose groups begin at starts, to a chunk of
// their own.
func (p *packedRows) pack(x *input, samples network.Samples, from, end int, starts []uint32) error {
	if err := p.makeChunk(x, len(starts)-1, int(starts[len(starts)-1])); err != nil {
		return err
	}
	return p.fill(x, samples, from, end, starts)
}

// makeChunk makes the buffers of a chunk for so many groups and entries.
func (p *packedRows) makeChunk(x *input, groups, entries int) (err error) {
	p.chunks = append(p.chunks, packedChunk{})
	c := &p.chunks[len(p.chunks)-1]
	if c.starts, err = x.e.buffer("packed input: starts", 4*(groups+1)); err != nil {
		return err
	}
	// A chunk of zeros has no entries, but a buffer has at least one.
	if c.index, err = x.e.buffer("packed input: index", 2*max(1, entries)); err != nil {
		return err
	}
	c.values, err = x.e.buffer("packed input: values", p.tile.ItemRows*max(1, entries))
	return err
}

// fill writes blocks from … end−1, whose groups begin at starts, to the last chunk.
func (p *packedRows) fill(x *input, samples network.Samples, from, end int, starts []uint32) error {
	s, r := x.e.s, p.tile.ItemRows
	c := p.chunks[len(p.chunks)-1]
	entries := int(starts[len(starts)-1])
	if err := s.write(c.starts, 0, unsafe.Pointer(&starts[0]), 4*len(starts)); err != nil {
		return err
	}
	// The place of a block's first entry, and of the last one's end.
	place := func(block int) int {
		if block == end {
			return entries
		}
		return int(starts[p.groupOf[block]])
	}
	var index []uint16
	var values []uint8
	return staged(from, end, place, stagingBytes/(r+2), func(first, last int) error {
		at, n := place(first), place(last)-place(first)
		index, values = grown(index, n), grown(values, n*r)
		clear(values)
		parallel(last-first, func(i int) {
			block := first + i
			packRows(samples, x.starts[block], x.starts[block]+x.blocks[block], r, place(block)-at, index, values)
		})
		if n == 0 {
			return nil
		}
		if err := s.write(c.index, 2*at, unsafe.Pointer(&index[0]), 2*n); err != nil {
			return err
		}
		return s.write(c.values, r*at, unsafe.Pointer(&values[0]), r*n)
	})
}

// staged calls f for ranges of blocks from … end−1 of about as many entries as given, or of a
// single block that has more. place is as of pack.
func staged(from, end int, place func(int) int, entries int, f func(first, last int) error) error {
	for first := from; first < end; {
		last := first + 1
		for last < end && place(last+1)-place(first) <= entries {
			last++
		}
		if err := f(first, last); err != nil {
			return err
		}
		first = last
	}
	return nil
}

// grown returns a slice of n elements, v where that is large enough.
func grown[T any](v []T, n int) []T {
	if cap(v) < n {
		return make([]T, n)
	}
	return v[:n]
}

// add adds the kernel arguments of a block.
func (p *packedRows) add(a *arguments, x *input, block int) error {
	if x.stream != nil {
		place, err := x.stream.use(block)
		if err != nil {
			return err
		}
		parts := place.slot.parts
		a.at(parts[startsPart], place.group).buffers(parts[entriesPart], parts[valuesPart], p.table)
		return nil
	}
	c := p.chunks[p.chunkOf[block]]
	a.at(c.starts, p.groupOf[block]).buffers(c.index, c.values, p.table)
	return nil
}

// launch returns a launch of the packed variant.
func (p *packedRows) launch(e *executor, kernel, operation string, n, cols int, tile kernels.Tile) (*launch, error) {
	return e.launch(launchKey{kernel: kernel, operation: operation, n: n, p: cols, tile: tile}, true,
		func() (kernels.Program, []int) { return tile.PackedInput(), []int{1, 1} })
}

func (e *executor) forwardPacked(x *input, block int, w, bias operand, act network.Activation, h operand) error {
	cols := network.AlignUp(h.cols)
	w, bias, err := e.affineWeights(x, w, bias)
	if err != nil {
		return err
	}
	tile := x.packed.tile.FitColumns(cols)
	l, err := x.packed.launch(e, "forward_packed", network.OpForward+" packed", w.rows, w.cols, tile)
	if err != nil {
		return err
	}
	a := e.arguments().ints(h.rows, cols, relu(act))
	if err := x.packed.add(a, x, block); err != nil {
		return err
	}
	return l.run(a.matrix(w).at(bias.o, bias.offset).matrix(h), groups(h.rows, tile.ItemRows), cols/tile.ItemCols)
}

func (e *executor) weightGradientPacked(x *input, block int, dz operand, add bool, dw, db operand) error {
	rows, n, cols := dz.rows, dw.rows, network.AlignUp(dw.cols)
	tile := x.packed.tile.FitColumns(cols)
	splits := max(1, min(tile.Splits, groups(rows, tile.ItemRows)))
	part, err := e.scratch(&e.partial, "partial gradients", splits*(n+1)*cols)
	if err != nil {
		return err
	}
	l, err := x.packed.launch(e, "weight_gradient_packed", network.OpWeightGradient+" packed", n, dw.cols, tile)
	if err != nil {
		return err
	}
	a := e.arguments().ints(rows, n, cols)
	if err := x.packed.add(a, x, block); err != nil {
		return err
	}
	if err := l.run(a.matrix(dz).buffers(part), splits, cols/tile.ItemCols); err != nil {
		return err
	}
	const run = 16 // RUN in kernels/packed_register.cl
	if l, err = x.packed.launch(e, "add_partials_packed", "add_partials", n, dw.cols, tile); err != nil {
		return err
	}
	scaled, affine := 0, part // any buffer will do where there is none
	if x.affine != nil {
		scaled, affine = 1, x.affine
	}
	a = e.arguments().ints(splits, n, cols, flag(add), scaled).buffers(part, affine)
	return l.run(a.matrix(dw).at(db.o, db.offset), groups(n+1, run), cols/tile.ItemCols)
}
