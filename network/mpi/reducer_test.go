package mpi_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"

	"clgrad/network"
	"clgrad/network/mpi"
	"clgrad/network/mpi/mpitest"
)

// hosts names a machine for each rank.
func hosts(n int) (all []string) {
	for i := range n {
		all = append(all, fmt.Sprint("host", i))
	}
	return all
}

// each runs f as every rank of a world at the same time.
func each(n int, f func(w mpi.World)) {
	var all sync.WaitGroup
	for _, w := range mpitest.Worlds(n) {
		all.Go(func() { f(w) })
	}
	all.Wait()
}

// What the ranks get together is what one process adds: the slices are the vector, sums are in
// the order of the ranks, to the bit, for any number of ranks, also more than there are
// slices.
func TestReducer(t *testing.T) {
	const n = 5 * network.Align
	for _, size := range []int{1, 2, 3, 4, 7} {
		for _, wide := range []bool{false, true} {
			random := rand.New(rand.NewPCG(1, 2))
			parts := make([][]float64, size)
			for i := range parts {
				parts[i] = make([]float64, n)
				for j := range parts[i] {
					if parts[i][j] = random.NormFloat64(); !wide {
						parts[i][j] = float64(float32(parts[i][j]))
					}
				}
			}
			want := make([]float64, n)
			network.AddInOrder(parts, 0, want)
			rounded := slices.Clone(want)
			if !wide && size > 1 {
				for i, v := range rounded {
					rounded[i] = float64(float32(v))
				}
			}
			ends := make([][2]int, size)
			each(size, func(w mpi.World) {
				r := mpi.NewReducer(w, hosts(size), n, wide)
				for range 2 {
					from, end := r.Slice(n)
					ends[w.Rank()] = [2]int{from, end}
					theta := make([]float64, n)
					if err := r.Sum([][]float64{parts[w.Rank()]}, nil, theta[from:end]); err != nil || !slices.Equal(theta[from:end], want[from:end]) {
						t.Errorf("%d ranks, wide %v: rank %d has %v, %v", size, wide, w.Rank(), theta[from:end], err)
					}
					if err := r.Gather(theta, nil); err != nil || !slices.Equal(theta, rounded) {
						t.Errorf("%d ranks, wide %v: rank %d has gathered %v, %v", size, wide, w.Rank(), theta, err)
					}
					s := network.Status{Records: []network.Record{{Loss: 0.5 + float64(w.Rank()), Correct: 1 << 40}, {Correct: w.Rank()}}, Next: 3 + w.Rank(), Stop: w.Rank() == size-1}
					if w.Rank() > 0 {
						s.NonFinite = 20 - w.Rank()
					}
					got, err := r.Join(s, nil)
					first := network.Status{Records: []network.Record{{}, {}}, Next: 3, Stop: true}
					for i := range size {
						first.Records[0].Loss += 0.5 + float64(i)
						first.Records[0].Correct += 1 << 40
						first.Records[1].Correct += i
					}
					if size > 1 {
						first.NonFinite = 21 - size
					}
					if err != nil || fmt.Sprint(got) != fmt.Sprint(first) {
						t.Errorf("%d ranks: rank %d has %+v, %v; want %+v", size, w.Rank(), got, err, first)
					}
				}
			})
			next := 0
			for i, s := range ends {
				if s[0] != next || s[1]%network.Align != 0 {
					t.Errorf("%d ranks: rank %d owns %v, %d is expected to be the first", size, i, s, next)
				}
				next = s[1]
			}
			if next != n {
				t.Errorf("%d ranks own %d of %d elements", size, next, n)
			}
		}
	}
}

// Several shards of a process are added first.
func TestReducerOfShards(t *testing.T) {
	const n = 2 * network.Align
	part := func(v float64) []float64 { return slices.Repeat([]float64{v}, n) }
	each(2, func(w mpi.World) {
		r := mpi.NewReducer(w, hosts(2), n, false)
		sum := make([]float64, n/2)
		if err := r.Sum([][]float64{part(1), part(2)}, nil, sum); err != nil || sum[0] != 6 {
			t.Errorf("%v, %v", sum, err)
		}
	})
}

// A failure of one rank is one of all, whatever they exchange, and is said with the rank and
// its machine. Nothing is exchanged behind it, so nobody waits.
func TestReducerFails(t *testing.T) {
	const n = 4 * network.Align
	broken := errors.New("the device\nis gone")
	for name, do := range map[string]func(r *mpi.Reducer, failed error) error{
		"sum": func(r *mpi.Reducer, failed error) error {
			from, end := r.Slice(n)
			return r.Sum([][]float64{make([]float64, n)}, failed, make([]float64, end-from))
		},
		"gather": func(r *mpi.Reducer, failed error) error { return r.Gather(make([]float64, n), failed) },
		"join": func(r *mpi.Reducer, failed error) error {
			s := network.Status{Records: make([]network.Record, 3), Next: 1}
			if failed != nil {
				s.Records = nil
			}
			_, err := r.Join(s, failed)
			return err
		},
		"agree": func(r *mpi.Reducer, failed error) error { return r.Agree(failed) },
	} {
		each(3, func(w mpi.World) {
			r := mpi.NewReducer(w, hosts(3), n, false)
			var failed error
			if err := do(r, nil); err != nil {
				t.Errorf("%s: rank %d: %v", name, w.Rank(), err)
			}
			if w.Rank() == 1 {
				failed = broken
			}
			err := do(r, failed)
			if w.Rank() == 1 && !errors.Is(err, broken) || w.Rank() != 1 && (err == nil || err.Error() != "rank 1 (host1): the device is gone") {
				t.Errorf("%s: rank %d: %v", name, w.Rank(), err)
			}
			if again := do(r, nil); again == nil || again.Error() != err.Error() {
				t.Errorf("%s: rank %d goes on with %v", name, w.Rank(), again)
			}
		})
	}
}

// Bytes and texts arrive whole, in pieces of any number of bytes.
func TestTransfer(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 4))
	for _, n := range []int{0, 1, 2, 3, 4, 5, 1000, 1<<24 + 5} {
		data := make([]byte, n)
		for i := range data {
			data[i] = byte(random.Uint32())
		}
		each(3, func(w mpi.World) {
			var own []byte
			if w.Rank() == 0 {
				own = data
			}
			if got, err := mpi.BroadcastBytes(w, own); err != nil || !slices.Equal(got, data) {
				t.Errorf("%d bytes: rank %d: %d bytes, %v", n, w.Rank(), len(got), err)
			}
			switch w.Rank() {
			case 0:
				if err := mpi.SendBytes(w, 2, data); err != nil {
					t.Error(err)
				}
			case 2:
				if got, err := mpi.ReceiveBytes(w, 0); err != nil || !slices.Equal(got, data) {
					t.Errorf("%d bytes: %d arrive, %v", n, len(got), err)
				}
			}
			texts, err := mpi.GatherTexts(w, strings.Repeat("x", w.Rank()*n%7))
			if err != nil || len(texts[2]) != 2*n%7 || texts[0] != "" {
				t.Errorf("%q, %v", texts, err)
			}
		})
	}
}
