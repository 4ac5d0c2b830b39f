package cpu

import (
	"slices"
	"time"

	"clgrad/network"
)

// StartProfile takes the wall time of every operation from here on.
func (b *Backend[T]) StartProfile() error {
	if b.closed {
		return errClosed("profile")
	}
	b.profiling, b.profile = true, nil
	return nil
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

// Profile returns the wall time of each operation since StartProfile or the last call.
func (b *Backend[T]) Profile() ([]network.OperationTime, error) {
	if b.closed {
		return nil, errClosed("profile")
	}
	times := b.profile
	b.profile = nil
	return times, nil
}
