package network

import (
	"fmt"
	"math"
	"math/rand/v2"
)

// A Layout places all parameters of a network in one flat vector: for each
// layer its W (n×p, rows of Stride(p) elements) and then its b (1×p, Stride(p)
// elements). Gradients have the same layout. Padding is zero.
type Layout struct {
	Sizes  []int // inputs, hidden layers, classes
	Len    int   // elements of the flat vector, padding included
	starts []int // where each layer begins
}

// A Span is a matrix inside a flat vector: element (i, j) stands at
// Offset + i·Stride + j.
type Span struct {
	Offset, Rows, Cols, Stride int
}

// In returns the span as a view of a buffer that holds the flat vector.
func (s Span) In(b Buffer) Matrix {
	return Matrix{Buffer: b, Offset: s.Offset, Rows: s.Rows, Cols: s.Cols, Stride: s.Stride}
}

// Row returns row i of the span in the flat vector v.
func (s Span) Row(v []float64, i int) []float64 {
	at := s.Offset + i*s.Stride
	return v[at : at+s.Cols]
}

// maxParameters bounds a network: 2³¹ elements are 8 GiB of float32, and keep
// every offset a kernel sees within 32 bits.
const maxParameters = math.MaxInt32

// maxLayers bounds a network's depth, far beyond what descent can train.
const maxLayers = 10000

// NewLayout returns the layout of a network with the given sizes: inputs,
// hidden layers, classes.
func NewLayout(sizes []int) (Layout, error) {
	if len(sizes) < 2 {
		return Layout{}, fmt.Errorf("a network needs at least its inputs and its classes, got sizes %v", sizes)
	}
	if len(sizes) > maxLayers+1 {
		return Layout{}, fmt.Errorf("a network of %d layers: up to %d are possible", len(sizes)-1, maxLayers)
	}
	l := Layout{Sizes: sizes}
	total := int64(0)
	for i, n := range sizes {
		if n < 1 || n > maxParameters {
			return Layout{}, fmt.Errorf("layer %d of %v has size %d: 1 to %d are possible", i, sizes, n, maxParameters)
		}
		if i > 0 {
			l.starts = append(l.starts, l.Len)
			// Both factors are at most 2³¹, so the product fits 64 bits.
			if total += (int64(sizes[i-1]) + 1) * int64(Stride(n)); total > maxParameters {
				return Layout{}, fmt.Errorf("network %v has more than %d parameters", sizes, maxParameters)
			}
			l.Len = int(total)
		}
	}
	return l, nil
}

// Layers returns the number of layers with parameters.
func (l Layout) Layers() int { return len(l.Sizes) - 1 }

// Layer returns the places of W and b of layer i, counted from 0.
func (l Layout) Layer(i int) (w, b Span) {
	at := l.starts[i]
	n, p := l.Sizes[i], l.Sizes[i+1]
	stride := Stride(p)
	return Span{at, n, p, stride}, Span{at + n*stride, 1, p, stride}
}

// Parameters returns the number of weights and biases, without padding.
func (l Layout) Parameters() int {
	sum := 0
	for i := range l.Layers() {
		sum += (l.Sizes[i] + 1) * l.Sizes[i+1]
	}
	return sum
}

// CheckMemory reports a network whose parameters this machine has no memory for: Go would
// end the process. They are held in float64 once as they are made, and once as they are read.
func (l Layout) CheckMemory() error {
	need, memory := 2*8*float64(l.Len), float64(HostMemory())
	if memory > 0 && need > memory {
		return fmt.Errorf("network %v: needs %.1f GB of memory at least, this machine has %.1f GB", l.Sizes, need/1e9, memory/1e9)
	}
	return nil
}

// An Init is a distribution of the initial weights.
type Init string

// The initial distributions. Biases start at zero.
const (
	Normal Init = "normal" // normal with deviation 0.01, as in the documents this project starts from
	He     Init = "he"     // normal with deviation √(2/n), n the layer's inputs: He et al., arXiv 1502.01852
)

// Initial returns initial parameters. They depend on the sizes, the
// distribution and the seed alone and are rounded to float32, so that every
// backend starts from the same values.
func (l Layout) Initial(init Init, seed uint64) ([]float64, error) {
	v := make([]float64, l.Len)
	random := rand.New(rand.NewPCG(seed, 0))
	for i := range l.Layers() {
		w, _ := l.Layer(i)
		var deviation float64
		switch init {
		case Normal:
			deviation = 0.01
		case He:
			deviation = math.Sqrt(2 / float64(w.Rows))
		default:
			return nil, fmt.Errorf("initial distribution %q is unknown: %s or %s is expected", init, Normal, He)
		}
		for r := range w.Rows {
			for j := range w.Row(v, r) {
				w.Row(v, r)[j] = float64(float32(random.NormFloat64() * deviation))
			}
		}
	}
	return v, nil
}
