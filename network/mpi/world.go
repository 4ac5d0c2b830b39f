package mpi

import "fmt"

// A World is all processes that were started together, as one of them sees it: MPI's, or in
// tests goroutines. What is exchanged are words of 32 bits. Every process calls the same
// methods in the same order, from one goroutine at a time. An error is MPI's own: the
// processes do not understand each other any more, and none of them can go on.
type World interface {
	// Rank returns the number of this process, 0 … Size()−1.
	Rank() int
	// Size returns the number of processes.
	Size() int

	// Buffer returns memory that words are exchanged through.
	Buffer(words int) []uint32

	// Alltoall sends send[sendAt[j]:sendAt[j+1]] to process j, and receives what process j
	// sends in recv[recvAt[j]:recvAt[j+1]]. Both lists have Size()+1 elements.
	Alltoall(send []uint32, sendAt []int, recv []uint32, recvAt []int) error

	// Allgather receives what each process sends in recv[at[j]:at[j+1]].
	Allgather(send, recv []uint32, at []int) error

	// Broadcast sets data to that of process 0. A process that has to wait long for it
	// leaves the processor to others.
	Broadcast(data []uint32) error

	// Send sends data to a process, which calls Receive with as many words. Receive waits as
	// Broadcast does.
	Send(to int, data []uint32) error
	Receive(from int, data []uint32) error

	// Close ends the exchange. Every process has to call it.
	Close() error
}

// An Error is one of MPI's own.
type Error struct {
	Call string // MPI's name of what failed
	Rank int    // of this process
	Host string // its machine
	Text string
}

func (e *Error) Error() string {
	return fmt.Sprintf("mpi: %s on rank %d (%s): %s", e.Call, e.Rank, e.Host, e.Text)
}
