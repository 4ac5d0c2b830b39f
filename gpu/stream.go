package gpu

import (
	"errors"
	"fmt"
	"hash/crc32"
	"slices"
	"time"

	"clgrad/network"
)

// The parts of a chunk, in the order in which they stand in the file. Each is what one
// buffer holds of an input whose rows are all on the device.
const (
	labelsPart      = iota // int32: the rows' labels
	rowsPart               // dense rows
	startsPart             // packedChunk.starts, index and values
	entriesPart            //
	valuesPart             //
	indexStartsPart        // indexChunk.starts, rows and values, for whole iterations
	indexRowsPart          //
	indexValuesPart        //
	allParts
)

var partNames = [allParts]string{"labels", "rows", "starts", "index", "values", "feature index: starts", "feature index: rows", "feature index: values"}

const (
	// chunkBytes bounds the size of a chunk, unless a single block is larger: large enough that
	// reading and uploading cost little more than their bytes.
	chunkBytes = 8 << 20

	// Slots are as many as slotBytes have room for, within these bounds. With 2 the next
	// chunk is uploaded while one is computed with; more even out what differs from one to the next.
	slotBytes = 32 << 20
	leastSlot = 2
	mostSlots = 8
)

// A streaming says how inputs are streamed, and which: tests do so with smaller ones.
type streaming struct {
	chunk, slots int64 // chunkBytes, slotBytes
	streams      func(network.ShardPlan, network.Samples) bool
}

// A chunk is a number of consecutive blocks of one batch, in the file and on the device.
type chunk struct {
	first, end int   // blocks
	offset     int64 // in the file
	sizes      [allParts]uint32
	sum        uint32 // CRC-32C of the parts
}

// partAlign is what the offset of a part in the file is a multiple of.
const partAlign = 64

// partEnd returns where a part ends, with what follows up to the next one.
func partEnd(size uint32) int64 { return (int64(size) + partAlign - 1) / partAlign * partAlign }

// bytes returns the size of the chunk in the file.
func (c *chunk) bytes() (n int64) {
	for _, size := range c.sizes {
		n += partEnd(size)
	}
	return n
}

// A stream has an input's chunks in a file, and some of them on the device, each in a slot. The
// next ones are uploaded while the device computes: a goroutine of its own waits until
// nothing uses a slot any more, reads the chunk into the slot's buffers, which are mapped
// (in memory that the driver can copy from, or that is the device's), and unmaps them, all
// on a queue of its own. The fields belong to the backend's goroutine.
type stream struct {
	x       *input
	file    network.File
	chunks  []chunk
	places  []place // of each block
	queue   *object // of uploads
	slots   []*slot
	current *slot // that launches use
	// expected are the blocks that will be used next; see network.StreamedBlocks.
	expected [][2]int
	seen     []bool // chunks that were found to be whole
	turn     int

	uploads chan upload
	ended   chan struct{} // closed when the goroutine has ended
}

// A place is where a block begins in its chunk.
type place struct {
	chunk, row, group, block int32
}

// A slot is memory of the device for a chunk.
type slot struct {
	parts   [allParts]*object
	chunk   int // that it holds, or is going to; -1 for none
	loading chan uploaded
	fence   *event // of the last launch that used it, nil where there is none
	turn    int    // when it was used last
}

// An upload asks for a chunk.
type upload struct {
	chunk chunk
	parts [allParts]handle // buffers
	fence handle           // to wait for, nil for none
	check bool             // whether the chunk is whole
	timed bool
	done  chan<- uploaded
}

// An uploaded says what became of an upload, and when it began and ended where that was
// asked for.
type uploaded struct {
	call       string // that failed
	err        error
	damaged    bool
	start, end time.Duration
}

// opUpload names uploads in profiles. Its times are from the memory being ready to be written to, to
// the end of the upload; other operations run at the same time.
const opUpload = "upload"

// newStream makes the stream of chunks in a file, which it closes in the end.
func newStream(x *input, file network.File, chunks []chunk, rowsOfGroup int) (_ *stream, err error) {
	st := &stream{x: x, file: file, chunks: chunks, places: make([]place, len(x.blocks)), seen: make([]bool, len(chunks))}
	defer func() {
		if err != nil {
			err = errors.Join(err, st.free())
		}
	}()
	var most [allParts]uint32
	largest := int64(1)
	for i, c := range chunks {
		p := place{chunk: int32(i)}
		for b := c.first; b < c.end; b++ {
			st.places[b] = p
			p.row += int32(x.blocks[b])
			p.group += int32(groups(x.blocks[b], rowsOfGroup))
			p.block++
		}
		for part, size := range c.sizes {
			most[part] = max(most[part], size)
		}
		largest = max(largest, c.bytes())
	}
	s := x.e.s
	if st.queue, err = s.keep("queue of uploads")(s.api.createQueue(s.context.handle, s.device, true)); err != nil {
		return nil, err
	}
	st.queue.owner = x.e
	for range min(len(chunks), max(leastSlot, min(mostSlots, int(x.e.stream.slots/largest)))) {
		sl := &slot{chunk: -1, loading: nil}
		st.slots = append(st.slots, sl)
		for part, size := range most {
			// What is unused has a buffer too, as an argument of kernels.
			if size > 0 || part == entriesPart || part == valuesPart || part == indexRowsPart || part == indexValuesPart {
				if sl.parts[part], err = x.e.buffer("streamed input: "+partNames[part], max(1, int(size))); err != nil {
					return nil, err
				}
			}
		}
	}
	st.uploads, st.ended = make(chan upload, len(st.slots)), make(chan struct{})
	go serve(s.api, st.queue.handle, file, st.uploads, st.ended)
	s.streams = append(s.streams, st)
	return st, nil
}

// serve does uploads, one after the other.
func serve(a api, queue handle, file network.File, uploads <-chan upload, ended chan<- struct{}) {
	defer close(ended)
	for u := range uploads {
		u.done <- u.run(a, queue, file)
	}
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func (u upload) run(a api, queue handle, file network.File) (r uploaded) {
	failed := func(call string, err error) bool {
		if err != nil && r.err == nil {
			r.call, r.err = call, err
		}
		return err != nil
	}
	if u.fence != nil && failed("wait for launches", a.wait(u.fence)) {
		return r
	}
	if failed("", file.Check()) {
		return r
	}
	last := 0
	for part, size := range u.chunk.sizes {
		if size > 0 {
			last = part
		}
	}
	var maps [allParts]*mapping
	for part, size := range u.chunk.sizes {
		if size == 0 {
			continue
		}
		m, err := a.mapBuffer(queue, u.parts[part], int(size), part == last)
		if failed("map "+partNames[part], err) {
			break
		}
		maps[part] = &m
	}
	if r.err == nil {
		sum, at := uint32(0), u.chunk.offset
		for part, size := range u.chunk.sizes {
			if size == 0 {
				continue
			}
			if _, err := file.ReadAt(maps[part].memory, at); err != nil {
				failed("", fmt.Errorf("%s: read: %w", file.Name(), err))
				break
			}
			if u.check {
				sum = crc32.Update(sum, castagnoli, maps[part].memory)
			}
			at += partEnd(size)
		}
		if u.check && r.err == nil && sum != u.chunk.sum {
			r.damaged = true
			failed("", fmt.Errorf("%s: is damaged: it is removed, and will be made again", file.Name()))
		}
	}
	var unmapped handle
	for part, m := range maps {
		if m == nil {
			continue
		}
		keep := u.timed && part == last
		e, err := a.unmap(queue, u.parts[part], *m, keep)
		failed("unmap "+partNames[part], err)
		if keep && err == nil {
			unmapped = e
		}
	}
	failed("finish uploads", a.finish(queue))
	if u.timed && unmapped != nil && maps[last] != nil {
		_, start, err := a.times(maps[last].event)
		failed("time of "+opUpload, err)
		_, end, err := a.times(unmapped)
		failed("time of "+opUpload, err)
		r.start, r.end = start, end
	}
	if unmapped != nil {
		a.release(unmapped)
	}
	for _, m := range maps {
		if m != nil {
			a.release(m.event)
		}
	}
	return r
}

// A located block is one on the device.
type located struct {
	slot              *slot
	row, group, block int // where it begins
}

// use returns where a block is, for launches that are about to be enqueued. It stays there
// until a block of another chunk is used.
func (st *stream) use(block int) (located, error) {
	p := st.places[block]
	c := int(p.chunk)
	at := located{row: int(p.row), group: int(p.group), block: int(p.block)}
	if st.current == nil || st.current.chunk != c {
		if err := st.change(block, c); err != nil {
			return at, err
		}
	}
	at.slot = st.current
	return at, nil
}

// change makes the slot of another chunk the current one, and asks for those that are
// expected after it.
func (st *stream) change(block, c int) error {
	s := st.x.e.s
	if old := st.current; old != nil {
		if s.last != nil {
			s.release(old.fence)
			old.fence = s.last
			s.last.users++
		}
		st.current = nil
	}
	wanted := st.ahead(block, c)
	for _, w := range wanted {
		if st.holds(w) != nil {
			continue
		}
		free := st.unused(wanted)
		if free == nil {
			break
		}
		// The chunk that is needed now is waited for in any case, others only where nothing
		// is under way in the slot.
		if err := st.arrive(free); err != nil {
			return err
		}
		st.load(free, w)
	}
	sl := st.holds(c)
	st.turn++
	sl.turn = st.turn
	if err := st.arrive(sl); err != nil {
		return err
	}
	st.current = sl
	return nil
}

// holds returns the slot that has a chunk or is going to, nil for none.
func (st *stream) holds(c int) *slot {
	for _, sl := range st.slots {
		if sl.chunk == c {
			return sl
		}
	}
	return nil
}

// unused returns the slot that was used longest ago of those that hold none of the chunks.
func (st *stream) unused(wanted []int) (least *slot) {
	for _, sl := range st.slots {
		if !slices.Contains(wanted, sl.chunk) && (least == nil || sl.turn < least.turn) {
			least = sl
		}
	}
	return least
}

// ahead returns chunk c of a block that is used now and the chunks that are expected behind it, as
// many as there are slots.
func (st *stream) ahead(block, c int) []int {
	wanted := append(make([]int, 0, mostSlots), c)
	most := len(st.slots)
	add := func(from, end int) {
		for b := from; b < end && len(wanted) < most; {
			c := int(st.places[b].chunk)
			if !slices.Contains(wanted, c) {
				wanted = append(wanted, c)
			}
			b = st.chunks[c].end
		}
	}
	last := block
	i := slices.IndexFunc(st.expected, func(r [2]int) bool { return block >= r[0] && block < r[1] })
	if i >= 0 {
		add(block, st.expected[i][1])
		for _, r := range st.expected[i+1:] {
			add(r[0], r[1])
		}
		last = st.expected[len(st.expected)-1][1] - 1
	}
	add(last, len(st.places))
	add(0, last)
	return wanted
}

// load asks for a chunk.
func (st *stream) load(sl *slot, c int) {
	done := make(chan uploaded, 1)
	u := upload{chunk: st.chunks[c], check: !st.seen[c], timed: st.x.e.s.profiling, done: done}
	st.seen[c] = true
	for part, o := range sl.parts {
		if o != nil {
			u.parts[part] = o.handle
		}
	}
	if sl.fence != nil {
		u.fence = sl.fence.handle
	}
	sl.chunk, sl.loading = c, done
	st.uploads <- u
}

// arrive waits until what is under way to a slot is there.
func (st *stream) arrive(sl *slot) error {
	if sl.loading == nil {
		return nil
	}
	s := st.x.e.s
	r := <-sl.loading
	sl.loading = nil
	s.release(sl.fence)
	sl.fence = nil
	if r.err != nil {
		st.seen[sl.chunk], sl.chunk = false, -1
		if r.damaged {
			r.err = errors.Join(r.err, st.file.Remove())
		}
		return st.failed(r)
	}
	if r.end > 0 && s.profiling {
		s.took(opUpload, r.start, r.end)
	}
	return nil
}

// failed names an upload that failed.
func (st *stream) failed(r uploaded) error {
	call := "streamed input"
	if r.call != "" {
		call += ": " + r.call
	}
	return st.x.e.s.fail(call, r.err)
}

// end waits for what is under way and ends the goroutine.
func (st *stream) end() (err error) {
	if st.uploads == nil {
		return nil
	}
	close(st.uploads)
	<-st.ended
	st.uploads = nil
	for _, sl := range st.slots {
		if sl.loading != nil {
			if r := <-sl.loading; r.err != nil {
				err = errors.Join(err, st.failed(r))
			}
		}
		st.x.e.s.release(sl.fence)
		sl.fence, sl.loading, sl.chunk = nil, nil, -1
	}
	st.current = nil
	return err
}

// free ends the stream, frees its memory and closes its file.
func (st *stream) free() error {
	err := st.end()
	for _, sl := range st.slots {
		for _, o := range sl.parts {
			if o != nil {
				st.x.e.s.free(o)
			}
		}
	}
	if st.queue != nil {
		st.x.e.s.free(st.queue)
	}
	if st.file != nil {
		if e := st.file.Close(); e != nil {
			err = errors.Join(err, st.x.e.s.fail("close streamed input", e))
		}
		st.file = nil
	}
	return err
}

// endStream ends a stream of the session.
func (s *session) endStream(st *stream) error {
	if i := slices.Index(s.streams, st); i >= 0 {
		s.streams = slices.Delete(s.streams, i, i+1)
	}
	err := st.free()
	if len(s.streams) == 0 {
		s.release(s.last)
		s.last = nil
	}
	return err
}

// endStreams ends the streams of an executor, or all for nil.
func (s *session) endStreams(e *executor) (err error) {
	for _, st := range slices.Clone(s.streams) {
		if e == nil || st.x.e == e {
			err = errors.Join(err, s.endStream(st))
		}
	}
	return err
}
