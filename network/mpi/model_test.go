package mpi_test

import (
	"fmt"
	"math"
	"sync/atomic"
	"testing"

	"clgrad/network"
	"clgrad/network/mpi"
)

// counting is a World that counts the words that it sends to others.
type counting struct {
	mpi.World
	words *atomic.Int64
}

func (w counting) Alltoall(send []uint32, sendAt []int, recv []uint32, recvAt []int) error {
	own := sendAt[w.Rank()+1] - sendAt[w.Rank()]
	w.words.Add(int64(sendAt[w.Size()] - own))
	return w.World.Alltoall(send, sendAt, recv, recvAt)
}

func (w counting) Allgather(send, recv []uint32, at []int) error {
	w.words.Add(int64(len(send) * (w.Size() - 1)))
	return w.World.Allgather(send, recv, at)
}

// The traffic of the model is that of a step, but for a word a message.
func TestTraffic(t *testing.T) {
	const n = 64 * network.Align
	for _, size := range []int{2, 3, 4, 8} {
		for _, wide := range []bool{false, true} {
			var words atomic.Int64
			each(size, func(w mpi.World) {
				r := mpi.NewReducer(counting{w, &words}, hosts(size), n, wide)
				from, end := r.Slice(n)
				theta := make([]float64, n)
				if err := r.Sum([][]float64{make([]float64, n)}, nil, theta[from:end]); err != nil {
					t.Error(err)
				}
				if err := r.Gather(theta, nil); err != nil {
					t.Error(err)
				}
			})
			m := mpi.Model{Parameters: n, Bytes: 4}
			if wide {
				m.Bytes = 8
			}
			flags := 2 * size * (size - 1)
			if got, want := 4*float64(int(words.Load())-flags), float64(size)*m.Traffic(size); math.Abs(got-want) > 1e-9*want {
				t.Errorf("%d ranks send %g bytes, the model has %g", size, got, want)
			}
		}
	}
}

// The tables of the package's documentation.
func TestModelTables(t *testing.T) {
	for _, c := range tables {
		t.Logf("%s", c.name)
		for _, rows := range []int{256, 1024, 4096, 16384, 65536, 60000, 6000000} {
			line := fmt.Sprintf("%9d rows:", rows)
			for _, n := range []int{2, 4, 8, 64, 1000} {
				line += fmt.Sprintf("  %4d: %6.1f", n, c.Speedup(n, rows))
			}
			t.Logf("%s  best %d", line, c.Best(1000, rows))
		}
		if s := c.Speedup(8, 256); s > 8 {
			t.Errorf("%s: 8 ranks are %g times as fast", c.name, s)
		}
		if small, large := c.Best(1000, 256), c.Best(1000, 6000000); small > large || large < 8 {
			t.Errorf("%s: best are %d ranks for a small batch, %d for a large one", c.name, small, large)
		}
	}
	m := mpi.Model{Parameters: 1000, Bytes: 4, Fixed: 1, Row: 0.5, Element: 0.001, Latency: 0.01, Bandwidth: 1000}
	if got, want := m.Step(4, 10), 1+0.5*3+6*0.01+8*1000*0.75/1000+1; math.Abs(got-want) > 1e-12 {
		t.Errorf("a step of %g s, want %g", got, want)
	}
}
