package cpu

import (
	"slices"
	"time"

	"clgrad/network"
)

// Options are choices of [Open].
type Options struct {
	// Profiling takes the wall time of every operation.
	Profiling bool
}

// Open returns a backend with choices. T is as in [New].
func Open[T Float](o Options) *Backend[T] {
	b := New[T]()
	b.profiling = o.Profiling
	return b
}

// begin returns the time where the backend is profiling.
func (b *Backend[T]) begin() (at time.Time) {
	if b.profiling {
		at = time.Now()
	}
	return at
}

// ended adds the time of an operation that began at the given time, unless begin
// did not take it. key names the operation; it is called while profiling only.
func (b *Backend[T]) ended(began time.Time, key func() string) {
	if began.IsZero() {
		return
	}
	total, name := time.Since(began), key()
	i := slices.IndexFunc(b.profile, func(o network.OperationTime) bool { return o.Operation == name })
	if i < 0 {
		i = len(b.profile)
		b.profile = append(b.profile, network.OperationTime{Operation: name})
	}
	b.profile[i].Launches++
	b.profile[i].Total += total
}

// endedLayer is ended for an operation on a layer with the weights w.
func (b *Backend[T]) endedLayer(began time.Time, op string, w network.Matrix) {
	b.ended(began, func() string { return network.OperationKey(op, w.Rows, w.Cols) })
}

// Profile returns the wall time of each operation since the last call, nothing
// where the backend was opened without profiling.
func (b *Backend[T]) Profile() ([]network.OperationTime, error) {
	if b.closed {
		return nil, ErrClosed
	}
	times := b.profile
	b.profile = nil
	return times, nil
}
