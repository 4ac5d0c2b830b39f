package mpi

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"strings"

	"clgrad/network"
)

// A Reducer is a [network.Reducer] over all processes of a [World]. Slices of the gradient are
// exchanged and added in the order of the ranks, in float64, whatever MPI does inside;
// updated slices of θ are gathered. Each message says besides whether its sender failed, so a
// failure costs no exchange of its own until there is one.
//
// Gradients of several shards of one process are added first, in their order, and then
// rounded to what the words hold.
type Reducer struct {
	world World
	hosts []string // of the ranks, for messages
	wide  bool     // float64 in two words, otherwise float32 in one
	n     int      // elements of θ
	lost  error    // why nothing can be exchanged any more

	local      []float64 // the sum over this process's shards
	send, recv []uint32
	sendAt     []int // Alltoall: a flag and a slice for each process
	recvAt     []int // a flag and this process's slice from each
	gatherAt   []int // a flag and each process's slice
}

// NewReducer returns the Reducer for n elements, which [network.Layout] has. They are
// exchanged as float64 with wide, otherwise as float32, which is exact where every backend
// computes in it. hosts names the machine of each rank.
func NewReducer(w World, hosts []string, n int, wide bool) *Reducer {
	r := &Reducer{world: w, hosts: hosts, n: n, wide: wide, sendAt: []int{0}, recvAt: []int{0}, gatherAt: []int{0}}
	from, end := r.Slice(n)
	for j := range w.Size() {
		f, e := slice(n, j, w.Size())
		r.sendAt = append(r.sendAt, r.sendAt[j]+1+r.words(e-f))
		r.recvAt = append(r.recvAt, r.recvAt[j]+1+r.words(end-from))
		r.gatherAt = append(r.gatherAt, r.gatherAt[j]+1+r.words(e-f))
	}
	r.send = w.Buffer(r.sendAt[w.Size()])
	r.recv = w.Buffer(max(r.recvAt[w.Size()], r.gatherAt[w.Size()]))
	return r
}

// words returns how many words n elements take.
func (r *Reducer) words(n int) int {
	if r.wide {
		return 2 * n
	}
	return n
}

// slice returns the elements that a rank owns.
func slice(n, rank, size int) (from, end int) {
	units := n / network.Align
	return units * rank / size * network.Align, units * (rank + 1) / size * network.Align
}

// Slice returns the elements that this process owns.
func (r *Reducer) Slice(n int) (from, end int) { return slice(n, r.world.Rank(), r.world.Size()) }

// put writes elements to words.
func (r *Reducer) put(dst []uint32, src []float64) {
	if !r.wide {
		for i, v := range src {
			dst[i] = math.Float32bits(float32(v))
		}
		return
	}
	for i, v := range src {
		bits := math.Float64bits(v)
		dst[2*i], dst[2*i+1] = uint32(bits), uint32(bits>>32)
	}
}

// get returns element i.
func (r *Reducer) get(src []uint32, i int) float64 {
	if !r.wide {
		return float64(math.Float32frombits(src[i]))
	}
	return math.Float64frombits(uint64(src[2*i]) | uint64(src[2*i+1])<<32)
}

// flag is the first word of a message whose sender failed.
const flag = 1

func flagOf(failed error) uint32 {
	if failed != nil {
		return flag
	}
	return 0
}

// Sum is as [network.Reducer] has it.
func (r *Reducer) Sum(parts [][]float64, failed error, sum []float64) error {
	if r.lost != nil {
		return r.lost
	}
	size := r.world.Size()
	if size == 1 {
		if failed == nil {
			network.AddInOrder(parts, 0, sum)
		}
		return failed
	}
	var own []float64
	if failed == nil {
		if own = parts[0]; len(parts) > 1 {
			if r.local == nil {
				r.local = make([]float64, r.n)
			}
			own = r.local
			network.AddInOrder(parts, 0, own)
		}
	}
	for j := range size {
		at := r.sendAt[j]
		r.send[at] = flagOf(failed)
		if failed == nil {
			from, end := slice(r.n, j, size)
			r.put(r.send[at+1:], own[from:end])
		}
	}
	if err := r.world.Alltoall(r.send, r.sendAt, r.recv, r.recvAt); err != nil {
		return r.lose(err)
	}
	for j := range size {
		if r.recv[r.recvAt[j]] != 0 {
			return r.agree(failed)
		}
	}
	clear(sum)
	for j := range size {
		part := r.recv[r.recvAt[j]+1 : r.recvAt[j+1]]
		for i := range sum {
			sum[i] += r.get(part, i)
		}
	}
	return nil
}

// Gather is as [network.Reducer] has it.
func (r *Reducer) Gather(theta []float64, failed error) error {
	if r.lost != nil {
		return r.lost
	}
	size := r.world.Size()
	if size == 1 {
		return failed
	}
	from, end := r.Slice(r.n)
	own := r.send[:1+r.words(end-from)]
	own[0] = flagOf(failed)
	if failed == nil {
		r.put(own[1:], theta[from:end])
	}
	if err := r.world.Allgather(own, r.recv, r.gatherAt); err != nil {
		return r.lose(err)
	}
	for j := range size {
		if r.recv[r.gatherAt[j]] != 0 {
			return r.agree(failed)
		}
	}
	for j := range size {
		f, e := slice(r.n, j, size)
		part := r.recv[r.gatherAt[j]+1 : r.gatherAt[j+1]]
		for i := range theta[f:e] {
			theta[f+i] = r.get(part, i)
		}
	}
	return nil
}

// Join is as [network.Reducer] has it.
func (r *Reducer) Join(s network.Status, failed error) (network.Status, error) {
	if r.lost != nil {
		return s, r.lost
	}
	size := r.world.Size()
	if size == 1 {
		return s, failed
	}
	stop := uint32(0)
	if s.Stop {
		stop = 1
	}
	const header = 5
	heads, err := r.gatherWords([]uint32{flagOf(failed), uint32(len(s.Records)), stop, uint32(s.Next), uint32(s.NonFinite)})
	if err != nil {
		return s, r.lose(err)
	}
	joined := network.Status{Records: make([]network.Record, len(s.Records)), Next: int(heads[3])}
	for j := range size { // before anything else is looked at, which who failed does not have
		if heads[header*j] != 0 {
			return s, r.agree(failed)
		}
	}
	for j := range size {
		h := heads[header*j:]
		if int(h[1]) != len(s.Records) {
			return s, r.lose(fmt.Errorf("mpi: rank %d has %d iterations where rank %d has %d", j, h[1], r.world.Rank(), len(s.Records)))
		}
		joined.Stop = joined.Stop || h[2] != 0
		if n := int(h[4]); n > 0 && (joined.NonFinite == 0 || n < joined.NonFinite) {
			joined.NonFinite = n
		}
	}
	own := make([]uint32, 0, 4*len(s.Records))
	for _, x := range s.Records {
		loss, correct := math.Float64bits(x.Loss), uint64(x.Correct)
		own = append(own, uint32(loss), uint32(loss>>32), uint32(correct), uint32(correct>>32))
	}
	all, err := r.gatherWords(own)
	if err != nil {
		return s, r.lose(err)
	}
	for j := range size {
		for i := range joined.Records {
			w := all[len(own)*j+4*i:]
			joined.Records[i].Loss += math.Float64frombits(uint64(w[0]) | uint64(w[1])<<32)
			joined.Records[i].Correct += int(uint64(w[2]) | uint64(w[3])<<32)
		}
	}
	return joined, nil
}

// gatherWords returns the words of all processes, which have as many each.
func (r *Reducer) gatherWords(own []uint32) ([]uint32, error) {
	at := make([]int, r.world.Size()+1)
	for j := range at {
		at[j] = j * len(own)
	}
	all := make([]uint32, at[r.world.Size()])
	return all, r.world.Allgather(own, all, at)
}

// lose remembers that the processes do not understand each other any more.
func (r *Reducer) lose(err error) error {
	r.lost = err
	return err
}

// Agree returns nil where no process failed, and otherwise on every process an error that names
// each that did. Nothing can be exchanged behind it then.
func (r *Reducer) Agree(failed error) error {
	if r.lost != nil {
		return r.lost
	}
	return r.agree(failed)
}

func (r *Reducer) agree(failed error) error {
	texts, err := GatherTexts(r.world, text(failed))
	if err != nil {
		return r.lose(err)
	}
	if err := joinFailures(texts, r.hosts, r.world.Rank(), failed); err != nil {
		return r.lose(err)
	}
	return nil
}

// text is what the others get of an error.
func text(err error) string {
	if err == nil {
		return ""
	}
	return strings.Join(strings.Fields(err.Error()), " ")
}

// joinFailures joins the errors of all ranks, nil where there is none. This process's own stays
// what it is, and errors of equal texts are said once.
func joinFailures(texts, hosts []string, rank int, failed error) error {
	var errs []error
	seen := map[string]bool{"": true, text(failed): true}
	if failed != nil {
		errs = append(errs, failed)
	}
	for j, text := range texts {
		if j != rank && !seen[text] {
			seen[text] = true
			errs = append(errs, &RankError{Rank: j, Host: hosts[j], Text: text})
		}
	}
	return errors.Join(errs...)
}

// A RankError is what went wrong in another process.
type RankError struct {
	Rank int
	Host string // its machine
	Text string
}

func (e *RankError) Error() string { return fmt.Sprintf("rank %d (%s): %s", e.Rank, e.Host, e.Text) }

// GatherTexts returns a text of each process.
func GatherTexts(w World, own string) ([]string, error) {
	size := w.Size()
	at := make([]int, size+1)
	for j := range at {
		at[j] = j
	}
	lengths := make([]uint32, size)
	if err := w.Allgather([]uint32{uint32(len(own))}, lengths, at); err != nil {
		return nil, err
	}
	for j, n := range lengths {
		at[j+1] = at[j] + (int(n)+3)/4
	}
	all := make([]uint32, at[size])
	if err := w.Allgather(pack([]byte(own)), all, at); err != nil {
		return nil, err
	}
	texts := make([]string, size)
	for j, n := range lengths {
		texts[j] = string(unpack(all[at[j]:at[j+1]], int(n)))
	}
	return texts, nil
}

// pack returns bytes as words, the last one filled up with zeros.
func pack(b []byte) []uint32 {
	words := make([]uint32, (len(b)+3)/4)
	for i := range words {
		var four [4]byte
		copy(four[:], b[4*i:])
		words[i] = binary.LittleEndian.Uint32(four[:])
	}
	return words
}

// unpack returns n bytes of words.
func unpack(words []uint32, n int) []byte {
	b := make([]byte, 0, 4*len(words))
	for _, w := range words {
		b = binary.LittleEndian.AppendUint32(b, w)
	}
	return b[:n]
}

// BroadcastBytes returns the bytes of process 0, in pieces of a bounded size.
func BroadcastBytes(w World, own []byte) ([]byte, error) {
	return transfer(len(own), own, w.Rank() == 0, w.Broadcast)
}

// SendBytes sends bytes to a process that calls ReceiveBytes.
func SendBytes(w World, to int, data []byte) error {
	_, err := transfer(len(data), data, true, func(words []uint32) error { return w.Send(to, words) })
	return err
}

// ReceiveBytes returns what a process sends by SendBytes.
func ReceiveBytes(w World, from int) ([]byte, error) {
	return transfer(0, nil, false, func(words []uint32) error { return w.Receive(from, words) })
}

// pieceWords bounds what is copied at a time.
const pieceWords = 1 << 22

// transfer moves a length and then bytes, a piece at a time. The receiver's memory grows with
// what arrives.
func transfer(n int, data []byte, sender bool, move func([]uint32) error) ([]byte, error) {
	head := []uint32{uint32(n), uint32(uint64(n) >> 32)}
	if err := move(head); err != nil {
		return nil, err
	}
	n = int(uint64(head[0]) | uint64(head[1])<<32)
	var got []byte
	for at := 0; at < n; {
		size := min(n-at, 4*pieceWords)
		words := make([]uint32, (size+3)/4)
		if sender {
			words = pack(data[at : at+size])
		}
		if err := move(words); err != nil {
			return nil, err
		}
		if !sender {
			got = append(got, unpack(words, size)...)
		}
		at += size
	}
	if sender {
		return data, nil
	}
	return got, nil
}
