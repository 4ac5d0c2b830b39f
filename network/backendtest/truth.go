package backendtest

import (
	"math"
	"math/big"

	"gonum.org/v1/gonum/blas"
	"gonum.org/v1/gonum/blas/gonum"
)

// reference is gonum's own Go code. The package-level functions of blas64 would
// follow blas64.Use, and a truth that somebody can swap is none.
var reference gonum.Implementation

// A product is C = C₀ + A·B, A being m×k, B k×n and C₀ m×n or empty. Every
// verb that multiplies matrices is one.
type product struct {
	a, b, c0 dense
}

// values are numbers hi + lo. lo is empty where hi alone is precise enough to
// judge a backend.
type values struct {
	hi, lo []float64
}

// distance returns |x − v| for element i, infinite where x is NaN.
func (v values) distance(i int, x float64) float64 {
	d := x - v.hi[i]
	if v.lo != nil {
		d -= v.lo[i]
	}
	if math.IsNaN(d) {
		return math.Inf(1)
	}
	return math.Abs(d)
}

// truth returns C and Σ|a||b| + |c₀|. For a float32 backend both are computed
// in float64: the products are exact there, and the error of the sums, at most
// k·2⁻⁵³ Σ|a||b|, is added to the bound. For a float64 backend C is exact.
func (p product) truth(single bool) (c values, s []float64) {
	s = gemm(p.a.apply(math.Abs), p.b.apply(math.Abs), p.c0.apply(math.Abs))
	if single {
		return values{hi: gemm(p.a, p.b, p.c0)}, s
	}
	return p.exact(), s
}

// gemm returns C₀ + A·B in float64.
func gemm(a, b, c0 dense) []float64 {
	c := make([]float64, a.rows*b.cols)
	copy(c, c0.v)
	reference.Dgemm(blas.NoTrans, blas.NoTrans, a.rows, b.cols, a.cols, 1, a.v, a.cols, b.v, b.cols, 1, c, b.cols)
	return c
}

// exactPrecision is the number of bits in which sums of products are exact:
// products have 106 bits, the suite's operands lie within 2^±60, and a sum has
// fewer than 2²⁰ terms.
const exactPrecision = 106 + 2*2*60 + 20

// exact returns C to about 106 bits, from a sum without any rounding.
func (p product) exact() values {
	c := values{make([]float64, p.a.rows*p.b.cols), make([]float64, p.a.rows*p.b.cols)}
	var x, y big.Float
	term, sum := new(big.Float).SetPrec(exactPrecision), new(big.Float).SetPrec(exactPrecision)
	for i := range p.a.rows {
		for j := range p.b.cols {
			sum.SetInt64(0)
			if len(p.c0.v) > 0 {
				sum.SetFloat64(p.c0.row(i)[j])
			}
			for k, a := range p.a.row(i) {
				term.Mul(x.SetFloat64(a), y.SetFloat64(p.b.v[k*p.b.cols+j]))
				sum.Add(sum, term)
			}
			c.hi[i*p.b.cols+j], c.lo[i*p.b.cols+j] = split(sum)
		}
	}
	return c
}

// split returns v as hi + lo. It changes v.
func split(v *big.Float) (hi, lo float64) {
	hi, _ = v.Float64()
	lo, _ = v.Sub(v, new(big.Float).SetFloat64(hi)).Float64()
	return hi, lo
}

// naive returns the product as the naive kernel computes it: each element is
// one sum that starts with c₀ and adds a product after the other in the order
// of k, rounding each product and each sum to the backend's precision. The
// order starts at k = rotation. (Adding row k of B to a whole row of C at once
// leaves the order of every single sum as it is.)
func (p product) naive(single bool, rotation int) []float64 {
	k, n := p.a.cols, p.b.cols
	c := make([]float64, p.a.rows*n)
	copy(c, p.c0.v)
	if !single {
		for i := range p.a.rows {
			row := p.a.row(i)
			for t := range k {
				at := (t + rotation) % k
				reference.Daxpy(n, row[at], p.b.row(at), 1, c[i*n:(i+1)*n], 1)
			}
		}
		return c
	}
	b := make([]float32, len(p.b.v))
	for i, v := range p.b.v {
		b[i] = float32(v)
	}
	sums := make([]float32, n)
	for i := range p.a.rows {
		out, row := c[i*n:(i+1)*n], p.a.row(i)
		for j, v := range out {
			sums[j] = float32(v)
		}
		for t := range k {
			if t += rotation; t >= k {
				t -= k
			}
			reference.Saxpy(n, float32(row[t]), b[t*n:(t+1)*n], 1, sums, 1)
		}
		for j, v := range sums {
			out[j] = float64(v)
		}
	}
	return c
}

// productRounding returns the root mean square over all elements of
// √(Σ(ab)² + c₀²), from Σ_ij Σ_k a²_ik b²_kj = Σ_k (Σ_i a²_ik)(Σ_j b²_kj).
// Times u, it is about the error that comes of rounding the products alone.
func (p product) productRounding() float64 {
	columns := make([]float64, p.a.cols)
	for i := range p.a.rows {
		for k, v := range p.a.row(i) {
			columns[k] += v * v
		}
	}
	sum := 0.0
	for k, c := range columns {
		for _, v := range p.b.row(k) {
			sum += c * v * v
		}
	}
	for _, v := range p.c0.v {
		sum += v * v
	}
	return math.Sqrt(sum / float64(p.a.rows*p.b.cols))
}
