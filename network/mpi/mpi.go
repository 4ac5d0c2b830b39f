//go:build mpi && cgo

package mpi

/*
#cgo pkg-config: ompi-c
#include <mpi.h>
#include <stdlib.h>
#include <time.h>

static int start(int *provided, int *rank, int *size) {
	int e = MPI_Init_thread(NULL, NULL, MPI_THREAD_FUNNELED, provided);
	if (e == MPI_SUCCESS) e = MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN);
	if (e == MPI_SUCCESS) e = MPI_Comm_rank(MPI_COMM_WORLD, rank);
	if (e == MPI_SUCCESS) e = MPI_Comm_size(MPI_COMM_WORLD, size);
	return e;
}

static int alltoall(const void *send, const int *sn, const int *sd, void *recv, const int *rn, const int *rd) {
	return MPI_Alltoallv(send, sn, sd, MPI_UINT32_T, recv, rn, rd, MPI_UINT32_T, MPI_COMM_WORLD);
}

static int allgather(const void *send, int n, void *recv, const int *rn, const int *rd) {
	return MPI_Allgatherv(send, n, MPI_UINT32_T, recv, rn, rd, MPI_UINT32_T, MPI_COMM_WORLD);
}

// patient waits for a request. MPI's own waiting takes a whole processor, which others may
// need: soon this sleeps between two looks.
static int patient(int e, MPI_Request *request) {
	struct timespec pause = {0, 50000};
	for (int looks = 0; e == MPI_SUCCESS; looks++) {
		int done = 0;
		e = MPI_Test(request, &done, MPI_STATUS_IGNORE);
		if (done) break;
		if (looks > 100) nanosleep(&pause, NULL);
		if (looks > 2000) pause.tv_nsec = 1000000;
	}
	return e;
}

static int broadcast(void *data, int n) {
	MPI_Request request;
	return patient(MPI_Ibcast(data, n, MPI_UINT32_T, 0, MPI_COMM_WORLD, &request), &request);
}

static int sendto(void *data, int n, int to) {
	MPI_Request request;
	return patient(MPI_Isend(data, n, MPI_UINT32_T, to, 0, MPI_COMM_WORLD, &request), &request);
}

static int receive(void *data, int n, int from) {
	MPI_Request request;
	return patient(MPI_Irecv(data, n, MPI_UINT32_T, from, 0, MPI_COMM_WORLD, &request), &request);
}
*/
import "C"

import (
	"fmt"
	"math"
	"os"
	"runtime"
	"unsafe"
)

// Built returns nil where the program was built with MPI, and otherwise why not.
func Built() error { return nil }

// settings are read by MPI when it starts. They are not changed where the user has set them.
var settings = map[string]string{
	// Go's runtime needs the signals of faults: a nil pointer is a panic, not the end.
	"UCX_ERROR_SIGNALS":    "",
	"OMPI_MCA_opal_signal": "",
	// Who waits leaves the processor to others: the backend of this process or another's.
	"OMPI_MCA_mpi_yield_when_idle": "1",
}

// world is MPI's. One goroutine, locked to its thread, makes all calls.
type world struct {
	calls      chan func()
	host       string
	rank, size int
	buffers    []unsafe.Pointer
}

// Init starts MPI in this process and joins it with those that were started together. The
// World belongs to one goroutine; it is to be closed once.
func Init() (World, error) {
	for name, value := range settings {
		if _, given := os.LookupEnv(name); !given {
			if err := os.Setenv(name, value); err != nil {
				return nil, err
			}
		}
	}
	w := &world{calls: make(chan func())}
	w.host, _ = os.Hostname()
	go func() {
		runtime.LockOSThread() // for good: the thread is MPI's
		for f := range w.calls {
			f()
		}
	}()
	var provided, rank, size C.int
	if err := w.call("MPI_Init_thread", func() C.int { return C.start(&provided, &rank, &size) }); err != nil {
		return nil, err
	}
	w.rank, w.size = int(rank), int(size)
	if provided < C.MPI_THREAD_FUNNELED {
		return nil, fmt.Errorf("mpi: MPI_Init_thread on rank %d: the library is built without threads: MPI_THREAD_FUNNELED is expected", w.rank)
	}
	return w, nil
}

// call has MPI's thread make a call, and returns its error.
func (w *world) call(name string, f func() C.int) (err error) {
	done := make(chan struct{})
	w.calls <- func() {
		if code := f(); code != C.MPI_SUCCESS {
			var text [C.MPI_MAX_ERROR_STRING]C.char
			var n C.int
			C.MPI_Error_string(code, &text[0], &n)
			err = &Error{name, w.rank, w.host, C.GoStringN(&text[0], n)}
		}
		close(done)
	}
	<-done
	return err
}

func (w *world) Rank() int { return w.rank }
func (w *world) Size() int { return w.size }

// Buffer makes memory in C: MPI may register it with a network card, and Go's collector
// gives memory back behind the back of C.
func (w *world) Buffer(words int) []uint32 {
	p := C.calloc(C.size_t(max(words, 1)), 4)
	if p == nil {
		panic("mpi: no memory") // as Go's own ends the process
	}
	w.buffers = append(w.buffers, p)
	return unsafe.Slice((*uint32)(p), words)
}

// counts returns the numbers and the places that MPI wants.
func counts(name string, at []int) (n, from []C.int, err error) {
	for j, a := range at[:len(at)-1] {
		if at[j+1] > math.MaxInt32 {
			return nil, nil, fmt.Errorf("mpi: %s: %d words: MPI takes %d at most", name, at[len(at)-1], math.MaxInt32)
		}
		n, from = append(n, C.int(at[j+1]-a)), append(from, C.int(a))
	}
	return n, from, nil
}

// first returns the address of the first word, of any where there is none.
func first(words []uint32) unsafe.Pointer {
	if len(words) == 0 {
		return unsafe.Pointer(&empty)
	}
	return unsafe.Pointer(&words[0])
}

var empty uint32

func (w *world) Alltoall(send []uint32, sendAt []int, recv []uint32, recvAt []int) error {
	const name = "MPI_Alltoallv"
	sn, sd, err := counts(name, sendAt)
	if err != nil {
		return err
	}
	rn, rd, err := counts(name, recvAt)
	if err != nil {
		return err
	}
	return w.call(name, func() C.int { return C.alltoall(first(send), &sn[0], &sd[0], first(recv), &rn[0], &rd[0]) })
}

func (w *world) Allgather(send, recv []uint32, at []int) error {
	const name = "MPI_Allgatherv"
	rn, rd, err := counts(name, at)
	if err != nil {
		return err
	}
	return w.call(name, func() C.int { return C.allgather(first(send), C.int(len(send)), first(recv), &rn[0], &rd[0]) })
}

func (w *world) Broadcast(data []uint32) error {
	return w.call("MPI_Ibcast", func() C.int { return C.broadcast(first(data), C.int(len(data))) })
}

func (w *world) Send(to int, data []uint32) error {
	return w.call("MPI_Isend", func() C.int { return C.sendto(first(data), C.int(len(data)), C.int(to)) })
}

func (w *world) Receive(from int, data []uint32) error {
	return w.call("MPI_Irecv", func() C.int { return C.receive(first(data), C.int(len(data)), C.int(from)) })
}

func (w *world) Close() error {
	err := w.call("MPI_Finalize", func() C.int { return C.MPI_Finalize() })
	for _, p := range w.buffers {
		C.free(p)
	}
	w.buffers = nil
	close(w.calls)
	return err
}
