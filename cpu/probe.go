package cpu

import (
	"fmt"
	"time"

	"gonum.org/v1/gonum/blas"

	"clgrad/network"
)

// probeSize is the matrices' size of an arithmetic probe: long enough products
// for any library, three matrices that stay in a second-level cache.
const probeSize = 768

// probeBytes is the size of each of the two buffers of a bandwidth probe, larger
// than caches; on a small machine they are a sixteenth of its memory.
const probeBytes = 256 << 20

// copyElements is how much of a bandwidth probe a goroutine copies at a time.
const copyElements = 1 << 20

// Probe runs rounds rounds of work ([network.Prober]): products of square
// matrices by the backend's own BLAS for the arithmetic, as Go has no portable
// way to nothing but multiplications, and copies by all cores for the bandwidth.
func (b *Backend[T]) Probe(p network.Peak, rounds int) (work float64, took time.Duration, err error) {
	if b.closed {
		return 0, 0, errClosed("probe")
	}
	switch p {
	case network.Arithmetic:
		const n = probeSize
		if err := b.probeMemory(&b.probes[p], 3*n*n); err != nil {
			return 0, 0, err
		}
		var m [3]dense[T]
		for i := range m {
			m[i] = dense[T]{b.probes[p][i*n*n : (i+1)*n*n], n, n, n}
		}
		begin := time.Now()
		for range rounds {
			gemm(blas.NoTrans, blas.NoTrans, m[0], m[1], 0, m[2])
		}
		return float64(rounds) * 2 * n * n * n, time.Since(begin), nil
	case network.Bandwidth:
		bytes := int64(probeBytes)
		if b.memory > 0 {
			bytes = min(bytes, b.memory/16)
		}
		n := int(bytes / b.width())
		if err := b.probeMemory(&b.probes[p], 2*n); err != nil {
			return 0, 0, err
		}
		from, to := b.probes[p][:n], b.probes[p][n:]
		begin := time.Now()
		for range rounds {
			network.Parallel(n, copyElements, func(lo, hi int) { copy(to[lo:hi], from[lo:hi]) })
		}
		return float64(rounds) * 2 * float64(n) * float64(b.width()), time.Since(begin), nil
	}
	return 0, 0, fmt.Errorf("cpu: probe: peak %d is unknown", p)
}

// probeMemory makes the memory of a probe on first use, without zeros, which a
// product might skip.
func (b *Backend[T]) probeMemory(to *[]T, elements int) error {
	if *to != nil {
		return nil
	}
	if err := b.take("probe", int64(elements)); err != nil {
		return err
	}
	*to = make([]T, elements)
	for i := range *to {
		(*to)[i] = 0.5
	}
	return nil
}

// MemoryHeld returns the bytes of buffers, inputs, scratch memory and probes.
func (b *Backend[T]) MemoryHeld() int64 { return b.used }
