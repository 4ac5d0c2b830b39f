package gpu

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"hash/crc32"
	"math"
	"slices"
	"unsafe"

	"clgrad/kernels"
	"clgrad/network"
	"clgrad/network/mapped"
)

// The file of a streamed input has the chunks one after the other, each part at a multiple of
// partAlign, and behind them the table: a tableEntry a chunk. The last bytes are the tail. All
// numbers are little-endian.
type tableEntry struct {
	Blocks uint32
	Sizes  [allParts]uint32
	Sum    uint32
}

type fileTail struct {
	Chunks   uint64
	TableSum uint32 // CRC-32C of the table
	Magic    [8]byte
}

var fileMagic = [8]byte{'c', 'l', 'g', 'r', 'a', 'd', 'b', '1'}

var tailBytes = int64(binary.Size(fileTail{}))

// A former makes the chunks of an input, in the form that the device has them.
type former struct {
	x       *input
	samples network.Samples
	group   int  // rows of a group of packed input; 1 where it is dense
	index   bool // with the entries listed by feature too
	batch   int  // blocks of a batch, which no chunk goes beyond
	fill    func(first, n int, memory []byte)
}

// loadStream loads samples whose chunks stand in a file, which is made unless it is there.
func (x *input) loadStream(s network.Samples, c kernels.Config) error {
	e := x.e
	if e.files == nil {
		return e.s.fail("load", errors.New("streamed input needs a cache directory, and there is none"))
	}
	f := &former{x: x, samples: s, group: 1, batch: max(1, groups(e.plan.Rows, max(1, e.plan.BlockRows)))}
	form := "dense"
	if c.Packed != nil && packable(s) {
		x.packed = &packedRows{tile: *c.Packed}
		if err := x.packed.loadTable(x, s); err != nil {
			return err
		}
		f.group = c.Packed.ItemRows
		f.index = x.steppable(c, 0)
		for _, n := range x.blocks {
			f.index = f.index && n <= maxIndexRows
		}
		form = fmt.Sprintf("packed %d, index %v", f.group, f.index)
	} else {
		x.dense = &denseRows{stride: network.AlignUp(s.Features), width: 4}
		if c.Bytes && separable(s) {
			x.dense.width = 1
			if err := x.setAffine(affineOf(s)); err != nil {
				return err
			}
		}
		f.fill = x.dense.filler(s)
		form = fmt.Sprintf("dense %d", x.dense.width)
	}
	key := f.key(form)
	file, chunks, err := f.open(key)
	if err == nil && file == nil {
		e.note(fmt.Sprintf("opencl:%s: the training set is streamed: what the device needs of it is written to the cache, once", e.s.device.ID()))
		file, err = f.write(key)
		if err == nil {
			file, chunks, err = f.check(file)
		}
		if err == nil && file == nil {
			err = errors.New("what was written cannot be read")
		}
	}
	if err != nil {
		return e.s.fail("load streamed input", err)
	}
	x.stream, err = newStream(x, file, chunks, f.group)
	return err
}

// key returns the key of the file: a digest of all that its content depends on.
func (f *former) key(form string) string {
	h := sha256.New()
	s := f.samples
	fmt.Fprintf(h, "blocks 1\n%s, %d features, %d blocks a batch, chunks of %d bytes, scaling %v, labels %v\n",
		form, s.Features, f.batch, f.x.e.stream.chunk, s.Scaling, s.Labels != nil)
	binary.Write(h, binary.LittleEndian, int64(len(f.x.blocks)))
	for _, n := range f.x.blocks {
		binary.Write(h, binary.LittleEndian, int64(n))
	}
	// Rows are hashed in parts, on all cores, and then the parts' digests.
	const part = 1 << 11
	sums := make([][sha256.Size]byte, groups(s.Rows, part))
	parallel(len(sums), func(i int) {
		h := sha256.New()
		for row := i * part; row < min((i+1)*part, s.Rows); row++ {
			if s.Bytes != nil {
				h.Write(s.Row(row))
			} else {
				values := s.FloatRow(row)
				h.Write(unsafe.Slice((*byte)(unsafe.Pointer(&values[0])), 4*len(values)))
			}
		}
		if s.Labels != nil {
			binary.Write(h, binary.LittleEndian, s.Labels[i*part:min((i+1)*part, s.Rows)])
		}
		h.Sum(sums[i][:0])
	})
	for _, sum := range sums {
		h.Write(sum[:])
	}
	return hex.EncodeToString(h.Sum(nil)[:16])
}

// open returns the file of a key with its chunks, no file where there is none that is whole.
func (f *former) open(key string) (network.File, []chunk, error) {
	file, err := f.x.e.files.Open(key)
	if err != nil || file == nil {
		return nil, nil, err
	}
	return f.check(file)
}

// check returns a file with its chunks. One that is damaged is removed and no file.
func (f *former) check(file network.File) (network.File, []chunk, error) {
	chunks, err := f.table(file)
	if err != nil {
		return nil, nil, errors.Join(err, file.Close())
	}
	if chunks == nil {
		return nil, nil, errors.Join(file.Remove(), file.Close())
	}
	return file, chunks, nil
}

// table reads the chunks of a file, none where it is damaged.
func (f *former) table(file network.File) ([]chunk, error) {
	var tail fileTail
	size := file.Size() - tailBytes
	if size < 0 {
		return nil, nil
	}
	read := func(at, n int64) ([]byte, error) {
		b := make([]byte, n)
		if _, err := file.ReadAt(b, at); err != nil {
			return nil, fmt.Errorf("%s: read: %w", file.Name(), err)
		}
		return b, nil
	}
	b, err := read(size, tailBytes)
	if err != nil {
		return nil, err
	}
	binary.Read(bytes.NewReader(b), binary.LittleEndian, &tail)
	entryBytes := int64(binary.Size(tableEntry{}))
	if tail.Magic != fileMagic || tail.Chunks < 1 || tail.Chunks > uint64(len(f.x.blocks)) || int64(tail.Chunks)*entryBytes > size {
		return nil, nil
	}
	if b, err = read(size-int64(tail.Chunks)*entryBytes, int64(tail.Chunks)*entryBytes); err != nil {
		return nil, err
	}
	if crc32.Checksum(b, castagnoli) != tail.TableSum {
		return nil, nil
	}
	entries := make([]tableEntry, tail.Chunks)
	binary.Read(bytes.NewReader(b), binary.LittleEndian, entries)
	chunks := make([]chunk, len(entries))
	block, at := 0, int64(0)
	for i, t := range entries {
		chunks[i] = chunk{first: block, end: block + int(t.Blocks), offset: at, sizes: t.Sizes, sum: t.Sum}
		block += int(t.Blocks)
		at += chunks[i].bytes()
	}
	if block != len(f.x.blocks) || at+int64(len(b)) != size {
		return nil, nil
	}
	return chunks, nil
}

// formBytes is how many bytes of features are put into form together.
const formBytes = 32 << 20

// write writes the file of a key.
func (f *former) write(key string) (_ network.File, err error) {
	file, err := f.x.e.files.Create(key)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	var table []tableEntry
	x, rowBytes := f.x, f.samples.Features
	if f.samples.Floats != nil || x.dense != nil {
		rowBytes *= 4
	}
	for from := 0; from < len(x.blocks); {
		end, rows := from, 0
		for ; end < len(x.blocks) && (end == from || (rows+x.blocks[end])*rowBytes <= formBytes); end++ {
			rows += x.blocks[end]
		}
		chunks, contents, err := f.form(from, end)
		if err != nil {
			return nil, err
		}
		for i, c := range chunks {
			if _, err := file.Write(contents[i]); err != nil {
				return nil, fmt.Errorf("%w (about %.1f GB are written; Options.Input resident does without)", err, float64(f.estimate())/1e9)
			}
			table = append(table, tableEntry{uint32(c.end - c.first), c.sizes, c.sum})
		}
		from = end
	}
	var b bytes.Buffer
	binary.Write(&b, binary.LittleEndian, table)
	tail := fileTail{uint64(len(table)), crc32.Checksum(b.Bytes(), castagnoli), fileMagic}
	binary.Write(&b, binary.LittleEndian, tail)
	if _, err := file.Write(b.Bytes()); err != nil {
		return nil, err
	}
	// The key is of what was read before.
	if err := mapped.CheckUnchanged(f.samples.Bytes); err != nil {
		return nil, err
	}
	return file.Commit()
}

// estimate returns about how many bytes the file has.
func (f *former) estimate() int64 {
	e := f.x.e
	return inputBytes(e.config, f.samples, f.index)
}

// inputBytes returns about how many bytes an input takes in the form that a configuration has
// it in.
func inputBytes(c kernels.Config, s network.Samples, index bool) int64 {
	rows := float64(s.Rows)
	bytes := 4 * rows // labels
	pairs := rows * float64(s.Features)
	switch {
	case c.Packed != nil && packable(s):
		r := float64(c.Packed.ItemRows)
		bytes += (r + 2) / r * pairs * packedDensity(s, c.Packed.ItemRows)
		if index {
			bytes += 3 * pairs * packedDensity(s, 1)
		}
	case c.Bytes && separable(s):
		bytes += rows * float64(network.AlignUp(s.Features))
	default:
		bytes += 4 * rows * float64(network.AlignUp(s.Features))
	}
	return int64(bytes)
}

// blockCounts says how many entries the parts of a block have.
type blockCounts struct {
	groups   []uint32 // entries of each
	entries  int
	features []uint32 // entries of each
	indexed  int
}

// form makes the chunks of blocks from … end−1.
func (f *former) form(from, end int) ([]chunk, [][]byte, error) {
	x, s := f.x, f.samples
	counts := make([]blockCounts, end-from)
	if x.packed != nil {
		parallel(len(counts), func(i int) {
			first, last := x.starts[from+i], x.starts[from+i]+x.blocks[from+i]
			c := &counts[i]
			c.groups = countGroups(s, first, last, f.group, nil)
			for _, n := range c.groups {
				c.entries += int(n)
			}
			if f.index {
				c.features = make([]uint32, x.features+1)
				c.indexed = countFeatures(s, first, last, c.features)
			}
		})
	}
	var chunks []chunk
	var contents [][]byte
	chunkOf := make([]int, end-from)
	starts := make([]blockCounts, end-from) // of each block in its chunk: entries and indexed
	limit := uint64(math.MaxInt32)          // of a part
	if m := x.e.s.device.MaxBuffer; m > 0 {
		limit = min(limit, uint64(m))
	}
	for first := from; first < end; {
		var sizes [allParts]uint64
		c := chunk{first: first}
		var sum blockCounts
		last := first
		for ; last < end && (last == first || last%f.batch != 0); last++ {
			next := f.add(sizes, last, counts[last-from])
			total := uint64(0)
			for _, n := range next {
				total += n
			}
			if last > first && (total > uint64(x.e.stream.chunk) || slices.Max(next[:]) > limit) {
				break
			}
			sizes = next
			chunkOf[last-from] = len(chunks)
			starts[last-from] = sum
			sum.entries += counts[last-from].entries
			sum.indexed += counts[last-from].indexed
		}
		c.end = last
		for part, n := range sizes {
			if n > limit {
				return nil, nil, fmt.Errorf("a block of %d rows needs %d bytes, the device's largest buffer is %d: use smaller blocks", x.blocks[first], n, limit)
			}
			c.sizes[part] = uint32(n)
		}
		chunks = append(chunks, c)
		contents = append(contents, make([]byte, c.bytes()))
		first = last
	}
	parallel(end-from, func(i int) {
		c := chunks[chunkOf[i]]
		f.put(c, contents[chunkOf[i]], from+i, counts[i], starts[i])
	})
	parallel(len(chunks), func(i int) { chunks[i].sum = sumOf(chunks[i], contents[i]) })
	return chunks, contents, nil
}

// add returns the sizes of the parts of a chunk with one more block.
func (f *former) add(sizes [allParts]uint64, block int, c blockCounts) [allParts]uint64 {
	x := f.x
	rows := uint64(x.blocks[block])
	if f.samples.Labels != nil {
		sizes[labelsPart] += 4 * rows
	}
	if x.dense != nil {
		sizes[rowsPart] += rows * uint64(x.dense.stride*x.dense.width)
		return sizes
	}
	if sizes[startsPart] == 0 {
		sizes[startsPart] = 4
	}
	sizes[startsPart] += 4 * uint64(len(c.groups))
	sizes[entriesPart] += 2 * uint64(c.entries)
	sizes[valuesPart] += uint64(f.group * c.entries)
	if f.index {
		sizes[indexStartsPart] += 4 * uint64(x.features+1)
		sizes[indexRowsPart] += 2 * uint64(c.indexed)
		sizes[indexValuesPart] += uint64(c.indexed)
	}
	return sizes
}

// parts returns the parts of a chunk's content.
func (c *chunk) parts(content []byte) (parts [allParts][]byte) {
	at := int64(0)
	for part, size := range c.sizes {
		parts[part] = content[at : at+int64(size)]
		at += partEnd(size)
	}
	return parts
}

func sumOf(c chunk, content []byte) (sum uint32) {
	for _, part := range c.parts(content) {
		sum = crc32.Update(sum, castagnoli, part)
	}
	return sum
}

// put writes a block into its chunk, where at of the entries are before it.
func (f *former) put(c chunk, content []byte, block int, counts, at blockCounts) {
	x, s := f.x, f.samples
	parts := c.parts(content)
	first, rows := x.starts[block], x.blocks[block]
	row := first - x.starts[c.first] // in the chunk
	if s.Labels != nil {
		copy(view[int32](parts[labelsPart])[row:], s.Labels[first:first+rows])
	}
	if x.dense != nil {
		rowBytes := x.dense.stride * x.dense.width
		f.fill(first, rows, parts[rowsPart][row*rowBytes:(row+rows)*rowBytes])
		return
	}
	group := 0
	for b := c.first; b < block; b++ {
		group += groups(x.blocks[b], f.group)
	}
	starts, q := view[uint32](parts[startsPart])[group:], uint32(at.entries)
	for i, n := range counts.groups {
		q += n
		starts[i+1] = q
	}
	packRows(s, first, first+rows, f.group, at.entries, view[uint16](parts[entriesPart]), parts[valuesPart])
	if !f.index {
		return
	}
	next := view[uint32](parts[indexStartsPart])[(block-c.first)*(x.features+1):][:x.features+1]
	q = uint32(at.indexed)
	for j, n := range counts.features {
		next[j] = q
		q += n
	}
	indexRows(s, first, first+rows, append([]uint32(nil), next...), 0, view[uint16](parts[indexRowsPart]), parts[indexValuesPart])
}
