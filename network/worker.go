package network

import (
	"errors"

	"clgrad/network/mapped"
)

// A worker is the goroutine that one backend belongs to.
type worker chan func()

func newWorker() worker {
	w := make(worker)
	go func() {
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
