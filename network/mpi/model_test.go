package mpi_test

import (
	"fmt"
	"math"
	"sync/atomic"
	"testing"

	"clgrad/network"
	"clgrad/network/mpi"
)

// A model predicts the time of a training step on several ranks. What goes into it is
// measured; the package's documentation has the formula and what it comes to.
type model struct {
	Parameters int     // P
	Bytes      int     // of an element that is exchanged, 4 or 8
	Fixed      float64 // seconds of a step that depend neither on rows nor on ranks
	Row        float64 // seconds of a row of the batch on one rank
	Element    float64 // seconds that a rank handles an element on the host: reading, converting, adding, writing
	Latency    float64 // α, seconds of a message
	Bandwidth  float64 // β, bytes a second that a rank sends, and receives at the same time
}

// Traffic returns the bytes that a rank sends in a step, and receives:
//
//	2 · Bytes · P · (N−1)/N
func (m model) Traffic(ranks int) float64 {
	return 2 * float64(m.Bytes) * float64(m.Parameters) * float64(ranks-1) / float64(ranks)
}

// Exchange returns the seconds of a step's exchange:
//
//	2·(N−1)·α + Traffic/β + P·Element, and 0 for one rank
func (m model) Exchange(ranks int) float64 {
	if ranks == 1 {
		return 0
	}
	return 2*float64(ranks-1)*m.Latency + m.Traffic(ranks)/m.Bandwidth + float64(m.Parameters)*m.Element
}

// Step returns the seconds of a step over a batch:
//
//	Fixed + Row·⌈batchRows/N⌉ + Exchange
func (m model) Step(ranks, batchRows int) float64 {
	return m.Fixed + m.Row*math.Ceil(float64(batchRows)/float64(ranks)) + m.Exchange(ranks)
}

// Speedup returns how many times as fast as one rank so many are.
func (m model) Speedup(ranks, batchRows int) float64 {
	return m.Step(1, batchRows) / m.Step(ranks, batchRows)
}

// Best returns the number of ranks, at most the given one and the rows, with the shortest step.
func (m model) Best(most, batchRows int) int {
	best := 1
	for n := 2; n <= min(most, batchRows); n++ {
		if m.Step(n, batchRows) < m.Step(best, batchRows) {
			best = n
		}
	}
	return best
}

// tables are the models of the package's documentation: 784-128-10, whose layout has 102,544
// elements. That a rank handles an element on the host in 5 ns, and a row in 13.6 µs on one core,
// is measured, what GPUs and networks do is taken from their datasheets.
var tables = []struct {
	name string
	model
}{
	{"GPUs of one machine", model{Parameters: 102544, Bytes: 4, Fixed: 50e-6, Row: 6.1e-9, Element: 5e-9, Latency: 5e-6, Bandwidth: 10e9}},
	{"machines with a GPU", model{Parameters: 102544, Bytes: 4, Fixed: 50e-6, Row: 6.1e-9, Element: 5e-9, Latency: 20e-6, Bandwidth: 3e9}},
	{"machines with two cores", model{Parameters: 102544, Bytes: 4, Row: 6.8e-6, Element: 5e-9, Latency: 20e-6, Bandwidth: 3e9}},
}

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
			m := model{Parameters: n, Bytes: 4}
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
	m := model{Parameters: 1000, Bytes: 4, Fixed: 1, Row: 0.5, Element: 0.001, Latency: 0.01, Bandwidth: 1000}
	if got, want := m.Step(4, 10), 1+0.5*3+6*0.01+8*1000*0.75/1000+1; math.Abs(got-want) > 1e-12 {
		t.Errorf("a step of %g s, want %g", got, want)
	}
}
