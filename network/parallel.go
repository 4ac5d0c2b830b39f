package network

import (
	"runtime"
	"sync"
	"sync/atomic"

	"clgrad/network/mapped"
)

// Parallel calls f for every chunk [lo, hi) of 0 … n−1 on all cores. The chunks
// depend on n and size alone. Of mapped files (package mapped) a fault is passed on, and pages
// are given back behind each chunk.
func Parallel(n, size int, f func(lo, hi int)) {
	chunks := (n + size - 1) / size
	workers := min(runtime.GOMAXPROCS(0), chunks)
	if workers < 2 {
		for lo := 0; lo < n; lo += size {
			f(lo, min(lo+size, n))
			mapped.Release()
		}
		return
	}
	var next atomic.Int64
	var wait sync.WaitGroup
	faults := make([]error, workers)
	for i := range workers {
		wait.Go(func() {
			faults[i] = mapped.Guard(func() error {
				for c := int(next.Add(1)) - 1; c < chunks; c = int(next.Add(1)) - 1 {
					f(c*size, min((c+1)*size, n))
					mapped.Release()
				}
				return nil
			})
		})
	}
	wait.Wait()
	for _, err := range faults {
		mapped.Must(err)
	}
}
