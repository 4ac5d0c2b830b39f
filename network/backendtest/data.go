package backendtest

import (
	"hash/fnv"
	"math"
	"math/rand/v2"
)

// source returns the random numbers of the case with the given name, the same
// in every run whatever else is run.
func source(name string) *rand.Rand {
	h := fnv.New64a()
	h.Write([]byte(name))
	return rand.New(rand.NewPCG(h.Sum64(), 1))
}

// A kind says how the operands of a product are drawn.
type kind string

const (
	normal     kind = "normal"       // standard normal
	cancelling kind = "cancelling"   // products that cancel in pairs, all but a 2⁻¹²th of them
	spread     kind = "spread"       // normal times 2^e, e uniform within ±8
	integers   kind = "integers"     // see drawIntegers
	pixels     kind = "pixels"       // input: bytes, four in five of them 0, divided by 255
	standard   kind = "standardised" // input: bytes, another shift and factor for each feature
)

// draw returns a product of the given kind with dimensions m×k and k×n, rounded
// by round, and C₀ (m×n) where accumulate is set.
func draw(r *rand.Rand, kind kind, m, k, n int, accumulate bool, round func(float64) float64) product {
	p := product{a: newDense(m, k), b: newDense(k, n)}
	if accumulate {
		p.c0 = newDense(m, n)
	}
	element := func() float64 { return round(r.NormFloat64()) }
	if kind == spread {
		element = func() float64 { return round(r.NormFloat64() * math.Exp2(16*r.Float64()-8)) }
	}
	for _, d := range []dense{p.a, p.b, p.c0} {
		for i := range d.v {
			d.v[i] = element()
		}
	}
	if kind == cancelling {
		p.cancel(r, round)
	}
	return p
}

// cancel changes the operands so that pairs of products nearly cancel. The
// partners stand at random places of k: side by side, they would cancel at once
// in the naive kernel, and any backend that splits the sum elsewhere would look
// bad beside it.
func (p product) cancel(r *rand.Rand, round func(float64) float64) {
	order := r.Perm(p.a.cols)
	for t := 0; t+1 < len(order); t += 2 {
		from, to := order[t], order[t+1]
		for i := range p.a.rows {
			p.a.row(i)[to] = p.a.row(i)[from]
		}
		for j, v := range p.b.row(from) {
			p.b.row(to)[j] = round(-v * (1 + 0x1p-12*r.NormFloat64()))
		}
	}
	for i := range p.c0.v {
		p.c0.v[i] = round(0x1p-12 * p.c0.v[i])
	}
}

// integerLimit bounds Σ|a||b| of products of integers: every partial sum in any
// order is then exact in float32.
const integerLimit = 1 << 24

// integerBits are the bits of the wide values of drawIntegers where operands have as
// many: more than any reduced precision.
const integerBits = 12

// drawIntegers returns a product of integers whose every partial sum, in any
// order, is below 2²⁴. Where k is even, rows of A are wide (odd values of as many
// bits as are given) and rows of B are ±1; where k is odd it is the other way round;
// so both operands hold values that a precision of fewer bits cannot. How many of
// them are wide is as many as the limit allows; the others are ±1 too, and some are 0
// where the result has elements enough to notice a missing term all the same.
// A is a multiple of step everywhere.
func drawIntegers(r *rand.Rand, m, k, n int, accumulate bool, step float64, bits int) product {
	// The wide values are half of all and about 3072 on average, so half of
	// the limit leaves room for the rest.
	const budget = integerLimit / 2
	part := min(0.5, budget/(float64(k)*4095*step))
	p := product{a: newDense(m, k), b: newDense(k, n)}
	// Folded input multiplies B by the step, which has to be exact as well.
	bitsB := bits
	if step == byteStep && bits < integerBits {
		bitsB -= byteStepBits
	}
	for i := range p.a.v {
		p.a.v[i] = step * integer(r, i%k%2 == 0, part, m*n >= 64, step, bits)
	}
	for i := range p.b.v {
		p.b.v[i] = integer(r, i/n%2 == 1, part, m*n >= 64, 1, bitsB)
	}
	if accumulate {
		p.c0 = newDense(m, n)
		for i := range p.c0.v {
			p.c0.v[i] = float64(r.IntN(2001) - 1000)
		}
	}
	return p
}

// integer returns a wide value (divided by step) with probability part, ±1
// otherwise, and sometimes 0.
func integer(r *rand.Rand, wide bool, part float64, zeros bool, step float64, bits int) float64 {
	v := 1.0
	switch {
	case wide && r.Float64() < part:
		low, high := 1<<(bits-1)+1, 1<<bits-1
		if step == byteStep { // odd multiples of an odd step are odd
			low, high = (low/byteStep+1)|1, min(127, (high/byteStep-1)|1)
		}
		v = float64(low + 2*r.IntN((high-low)/2+1))
	case zeros && r.IntN(8) == 0:
		return 0
	}
	if r.IntN(2) == 0 {
		return -v
	}
	return v
}

// round returns the product of operands rounded to a unit roundoff of 2⁻ᵖ, that is to
// p bits.
func (p product) round(unit float64) product {
	nearest := func(v float64) float64 {
		fraction, exponent := math.Frexp(v) // fraction·2^exponent, 1/2 ≤ |fraction| < 1
		return math.Ldexp(math.RoundToEven(fraction/unit)*unit, exponent)
	}
	return product{p.a.apply(nearest), p.b.apply(nearest), p.c0}
}

// sums returns Σ|a||b| + |c₀| of every element.
func (p product) sums() []float64 {
	return gemm(p.a.apply(math.Abs), p.b.apply(math.Abs), p.c0.apply(math.Abs))
}

// largest returns the largest absolute value.
func largest(v []float64) float64 {
	l := 0.0
	for _, x := range v {
		l = max(l, math.Abs(x))
	}
	return l
}
