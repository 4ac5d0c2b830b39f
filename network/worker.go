package network

import (
	"errors"
	"runtime"

	"clgrad/network/mapped"
)

// A worker is the goroutine that one backend belongs to.
type worker chan func()

// newWorker starts a worker. One of several has a thread of its own: where goroutines change
// threads, the system at times puts two that compute on one core for some milliseconds. (Two
// PoCL devices of a thread each took 4 to 9 % longer for it. For a single worker the change
// of threads at every call would be a loss.)
func newWorker(several bool) worker {
	w := make(worker)
	go func() {
		if several {
			runtime.LockOSThread()
		}
		for f := range w {
			f()
		}
	}()
	return w
}

// start has the worker run f, and returns what waits for its end. A fault in a mapped file
// is an error of f.
func (w worker) start(f func() error) (wait func() error) {
	done := make(chan error, 1)
	w <- func() { done <- mapped.Guard(f) }
	return func() error { return <-done }
}

// each runs f for every shard at the same time, each on its own worker, and returns
// the errors in the order of the shards.
func (t *Trainer) each(f func(i int, s *shard) error) error {
	waits := make([]func() error, len(t.workers))
	for i, w := range t.workers {
		waits[i] = w.start(func() error { return f(i, t.shards[i]) })
	}
	var errs []error
	for _, wait := range waits {
		errs = append(errs, wait())
	}
	return errors.Join(errs...)
}
