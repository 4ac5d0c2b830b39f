package network

import (
	"encoding/binary"
	"math/bits"
	"sync"
)

const (
	// groupRows is how many rows a group of similar rows has: groups of 4, 6 and 12 fit.
	groupRows = 12

	// windowRows is how many consecutive rows are ordered together at most, a multiple
	// of groupRows. It bounds the memory beside the samples, an eighth of a window's.
	windowRows = 65520

	// minZeros is the share of zeros, as 1/minZeros, from which on a window is ordered. A
	// group can skip no more than its rows do.
	minZeros = 4

	// leafRows is how many rows the tree leaves together at most, among which groups are
	// formed by trying all rows. On MNIST, groups of 6, with at most 24, 60, 120 and 240
	// rows: 0.285, 0.281, 0.279 and 0.277 of the pairs are left; time grows with it.
	leafRows = 120

	// sampleRows is how many rows of a node say along what it is halved. With 64, 128
	// and 256: 0.280, 0.279 and 0.279.
	sampleRows  = 128
	sampleWords = sampleRows / 64

	// forkRows is from how many rows on the halves of a node are divided side by side.
	forkRows = 4096
)

// similarRows returns the rows of s with similar ones together, or nil where no rows
// move.
//
// All that counts is which features of a row are not 0, a bit each. A tree halves the
// rows again and again. A node looks at a sample of its rows and takes the feature whose
// bit varies most, all features that go along with it (plus), and all that go against it
// (minus), by the sign of the covariance. Each row counts its features of plus that are
// not 0, and those of minus that are; the rows with the smaller counts are one half. That
// is one step of the power iteration towards the first principal direction, with the
// signs alone. In the leaves, groups are formed one by one, each from the row with the
// fewest bits on: the row that adds fewest bits to those of the group comes next.
//
// On MNIST, where the sum of 4×4 pixels that varies most halves the rows, without groups
// formed by trying, 0.308 of the pairs are left for groups of 6, and 0.295 along the
// first principal direction of these sums; this leaves 0.279, and knows of no images.
//
// Only integers are used, and of equal rows the first comes first, so the result is the
// same everywhere.
func similarRows(s Samples) []int32 {
	if s.Bytes == nil {
		return nil
	}
	order, moved := inOrder(s.Rows), false
	for first := 0; first < s.Rows; first += windowRows {
		rows := order[first:min(first+windowRows, s.Rows)]
		t := similarTree{bits: newBitRows(s.Slice(first, len(rows)))}
		if minZeros*t.bits.zeros(s.Features) < len(rows)*s.Features {
			continue
		}
		moved = true
		for i := range rows {
			rows[i] = int32(i) // of the window
		}
		t.divide(rows, make([]int32, len(rows)), make([]int32, len(rows)), t.newNode())
		t.wait.Wait()
		for i := range rows {
			rows[i] += int32(first)
		}
	}
	if !moved {
		return nil
	}
	return order
}

// bitRows has a bit for every value of some rows, set where it is not 0.
type bitRows struct {
	words int // of a row
	bits  []uint64
}

// row returns the bits of a row: feature j is bit j%64 of word j/64.
func (b bitRows) row(i int32) []uint64 { return b.bits[int(i)*b.words:][:b.words] }

func newBitRows(s Samples) bitRows {
	b := bitRows{words: (s.Features + 63) / 64}
	b.bits = make([]uint64, s.Rows*b.words)
	Parallel(s.Rows, 1024, func(lo, hi int) {
		for i := lo; i < hi; i++ {
			setBits(b.row(int32(i)), s.Row(i))
		}
	})
	return b
}

// setBits sets bit j of dst where row[j] is not 0, eight at a time.
func setBits(dst []uint64, row []uint8) {
	j := 0
	for ; j+8 <= len(row); j += 8 {
		v := binary.LittleEndian.Uint64(row[j:])
		// The lowest bit of each byte becomes whether any of its bits is set …
		v |= v >> 4
		v |= v >> 2
		v |= v >> 1
		v &= 0x0101010101010101
		// … and the product moves these eight bits to the top byte.
		dst[j>>6] |= v * 0x0102040810204080 >> 56 << (j & 63)
	}
	for ; j < len(row); j++ {
		if row[j] != 0 {
			dst[j>>6] |= 1 << (j & 63)
		}
	}
}

// zeros returns the number of zeros.
func (b bitRows) zeros(features int) int {
	n := len(b.bits) / b.words * features
	for _, x := range b.bits {
		n -= bits.OnesCount64(x)
	}
	return n
}

// A similarTree orders the rows of one window.
type similarTree struct {
	bits bitRows
	wait sync.WaitGroup // for the parts that are divided side by side
}

// A similarNode is the memory that one node after another uses.
type similarNode struct {
	columns     [][sampleWords]uint64 // of each feature, the bits of the sample's rows
	used, minus []uint64              // plus and minus, and minus alone
	starts      []int                 // of rows with each count, in the sorted rows
	union       []uint64              // of a group
}

func (t *similarTree) newNode() *similarNode {
	w := t.bits.words
	return &similarNode{make([][sampleWords]uint64, 64*w), make([]uint64, w), make([]uint64, w), make([]int, 64*w+2), make([]uint64, w)}
}

// divide orders rows. counts and sorted are memory of the same length.
func (t *similarTree) divide(rows, counts, sorted []int32, n *similarNode) {
	if len(rows) <= leafRows {
		t.group(rows, n)
		return
	}
	t.direct(rows, n)
	t.sort(rows, counts, sorted, n)
	half := len(rows) / 2 / groupRows * groupRows
	if len(rows) >= forkRows {
		t.wait.Go(func() { t.divide(rows[:half], counts[:half], sorted[:half], t.newNode()) })
	} else {
		t.divide(rows[:half], counts[:half], sorted[:half], n)
	}
	t.divide(rows[half:], counts[half:], sorted[half:], n)
}

// direct sets used and minus, after a sample of rows.
func (t *similarTree) direct(rows []int32, n *similarNode) {
	clear(n.columns)
	size := min(len(rows), sampleRows)
	for i := range size {
		word, bit := i/64, uint64(1)<<(i%64)
		for a, x := range t.bits.row(rows[i*len(rows)/size]) {
			for ; x != 0; x &= x - 1 {
				n.columns[a*64+bits.TrailingZeros64(x)][word] |= bit
			}
		}
	}
	// size² times variances and covariances.
	most := 0
	var best [sampleWords]uint64
	for _, c := range n.columns {
		set := ones(c)
		if v := set * (size - set); v > most {
			most, best = v, c
		}
	}
	clear(n.used)
	clear(n.minus)
	set := ones(best)
	for j, c := range n.columns {
		both := c
		for a := range both {
			both[a] &= best[a]
		}
		// What is near 0 may be the sample's chance.
		switch v := size*ones(both) - set*ones(c); {
		case 16*v > most:
			n.used[j/64] |= 1 << (j % 64)
		case 16*v < -most:
			n.used[j/64] |= 1 << (j % 64)
			n.minus[j/64] |= 1 << (j % 64)
		}
	}
}

// ones returns the number of bits that are set.
func ones(column [sampleWords]uint64) (n int) {
	for _, x := range column {
		n += bits.OnesCount64(x)
	}
	return n
}

// sort sorts rows by their counts of bits that are set in plus and clear in minus.
func (t *similarTree) sort(rows, counts, sorted []int32, n *similarNode) {
	clear(n.starts)
	for i, r := range rows {
		c := 0
		row := t.bits.row(r)[:len(n.used)]
		minus := n.minus[:len(n.used)]
		for a, used := range n.used {
			c += bits.OnesCount64((row[a] ^ minus[a]) & used)
		}
		counts[i] = int32(c)
		n.starts[c+1]++
	}
	for c := range len(n.starts) - 1 {
		n.starts[c+1] += n.starts[c]
	}
	for i, r := range rows {
		at := &n.starts[counts[i]]
		sorted[*at] = r
		*at++
	}
	copy(rows, sorted)
}

// group orders rows so that each groupRows of them have few bits together.
func (t *similarTree) group(rows []int32, n *similarNode) {
	for ; len(rows) > 1; rows = rows[min(groupRows, len(rows)):] {
		clear(n.union)
		for i := range min(groupRows, len(rows)) {
			best, fewest := i, 64*t.bits.words+1
			for k := i; k < len(rows); k++ {
				added := 0
				row := t.bits.row(rows[k])[:len(n.union)]
				for a, has := range n.union {
					added += bits.OnesCount64(row[a] &^ has)
				}
				if added < fewest {
					best, fewest = k, added
				}
			}
			rows[i], rows[best] = rows[best], rows[i]
			for a, x := range t.bits.row(rows[i]) {
				n.union[a] |= x
			}
		}
	}
}
