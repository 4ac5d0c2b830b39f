// Package mpitest has a World of goroutines, for tests without MPI.
package mpitest

import (
	"sync"

	"clgrad/network/mpi"
)

// Worlds returns the n ends of a World whose processes are goroutines.
func Worlds(n int) []mpi.World {
	m := &meeting{size: n, changed: sync.NewCond(new(sync.Mutex)), letters: make([]chan []uint32, n*n)}
	for i := range m.letters {
		m.letters[i] = make(chan []uint32, 1)
	}
	all := make([]mpi.World, n)
	for i := range all {
		all[i] = end{m, i}
	}
	return all
}

// A meeting is where all wait for each other.
type meeting struct {
	size    int
	changed *sync.Cond
	came    int
	number  int // of the meetings so far
	brought [][]uint32
	places  [][]int
	letters []chan []uint32 // from·size + to
}

// meet waits for all, each of which takes what it wants before any goes on.
func (m *meeting) meet(rank int, words []uint32, at []int, take func()) {
	m.wait(func() {
		if m.brought == nil {
			m.brought, m.places = make([][]uint32, m.size), make([][]int, m.size)
		}
		m.brought[rank], m.places[rank] = words, at
	})
	take()
	m.wait(func() {})
}

func (m *meeting) wait(first func()) {
	m.changed.L.Lock()
	defer m.changed.L.Unlock()
	first()
	number := m.number
	if m.came++; m.came == m.size {
		m.came = 0
		m.number++
		m.changed.Broadcast()
	}
	for number == m.number {
		m.changed.Wait()
	}
}

type end struct {
	*meeting
	rank int
}

func (e end) Rank() int                 { return e.rank }
func (e end) Size() int                 { return e.size }
func (e end) Buffer(words int) []uint32 { return make([]uint32, words) }
func (e end) Close() error              { return nil }

func (e end) Alltoall(send []uint32, sendAt []int, recv []uint32, recvAt []int) error {
	e.meet(e.rank, send, sendAt, func() {
		for j := range e.size {
			copy(recv[recvAt[j]:recvAt[j+1]], e.brought[j][e.places[j][e.rank]:e.places[j][e.rank+1]])
		}
	})
	return nil
}

func (e end) Allgather(send, recv []uint32, at []int) error {
	e.meet(e.rank, send, nil, func() {
		for j := range e.size {
			copy(recv[at[j]:at[j+1]], e.brought[j])
		}
	})
	return nil
}

func (e end) Broadcast(data []uint32) error {
	e.meet(e.rank, data, nil, func() {
		if e.rank > 0 {
			copy(data, e.brought[0])
		}
	})
	return nil
}

func (e end) Send(to int, data []uint32) error {
	e.letters[e.rank*e.size+to] <- append([]uint32(nil), data...)
	return nil
}

func (e end) Receive(from int, data []uint32) error {
	copy(data, <-e.letters[from*e.size+e.rank])
	return nil
}
