package cpu

import (
	"gonum.org/v1/gonum/blas"
	"gonum.org/v1/gonum/blas/blas32"
	"gonum.org/v1/gonum/blas/blas64"
)

// Float is the precision of a backend.
type Float interface{ float32 | float64 }

// dense is a row-major matrix in host memory.
type dense[T Float] struct {
	data               []T
	rows, cols, stride int
}

func (m dense[T]) row(i int) []T { return m.data[i*m.stride : i*m.stride+m.cols] }

// slice returns rows lo … hi−1.
func (m dense[T]) slice(lo, hi int) dense[T] {
	return dense[T]{m.data[lo*m.stride : (hi-1)*m.stride+m.cols], hi - lo, m.cols, m.stride}
}

// gemm computes c = op(a)·op(b) + beta·c.
func gemm[T Float](ta, tb blas.Transpose, a, b dense[T], beta T, c dense[T]) {
	k := a.cols
	if ta != blas.NoTrans {
		k = a.rows
	}
	switch ad := any(a.data).(type) {
	case []float32:
		blas32.Implementation().Sgemm(ta, tb, c.rows, c.cols, k, 1, ad, a.stride,
			any(b.data).([]float32), b.stride, float32(beta), any(c.data).([]float32), c.stride)
	case []float64:
		blas64.Implementation().Dgemm(ta, tb, c.rows, c.cols, k, 1, ad, a.stride,
			any(b.data).([]float64), b.stride, float64(beta), any(c.data).([]float64), c.stride)
	}
}

// gemv computes y = op(a)·x + beta·y.
func gemv[T Float](ta blas.Transpose, a dense[T], x []T, beta T, y []T) {
	switch ad := any(a.data).(type) {
	case []float32:
		blas32.Implementation().Sgemv(ta, a.rows, a.cols, 1, ad, a.stride, any(x).([]float32), 1, float32(beta), any(y).([]float32), 1)
	case []float64:
		blas64.Implementation().Dgemv(ta, a.rows, a.cols, 1, ad, a.stride, any(x).([]float64), 1, float64(beta), any(y).([]float64), 1)
	}
}
