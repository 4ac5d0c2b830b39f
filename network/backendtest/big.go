package backendtest

import (
	"math"
	"math/big"
)

// bigPrecision is the precision in bits of functions of big.Float.
const bigPrecision = 200

func newBig(v float64) *big.Float { return new(big.Float).SetPrec(bigPrecision).SetFloat64(v) }

// bigSoftmax returns (softmax(z) − onehot(label))/m and log Σ exp z − z_label.
func bigSoftmax(z []float64, top, label, m int) (dz values, loss float64) {
	sum := newBig(0)
	e := make([]*big.Float, len(z))
	for j, v := range z {
		e[j] = bigExp(newBig(0).Sub(newBig(v), newBig(z[top])))
		sum.Add(sum, e[j])
	}
	dz = values{make([]float64, len(z)), make([]float64, len(z))}
	for j := range z {
		p := e[j].Quo(e[j], sum)
		p.Sub(p, newBig(indicator(j == label)))
		dz.hi[j], dz.lo[j] = split(p.Quo(p, newBig(float64(m))))
	}
	l := bigLog(sum)
	l.Sub(l, newBig(0).Sub(newBig(z[label]), newBig(z[top])))
	loss, _ = l.Float64()
	return dz, loss
}

// bigExp returns exp x for |x| < 2¹⁶: the series at x/2³², squared 32 times,
// which leaves more than 150 correct bits.
func bigExp(x *big.Float) *big.Float {
	const halvings = 32
	r := newBig(0).SetMantExp(x, -halvings)
	sum, term := newBig(1), newBig(1)
	for n := 1.; n < 16; n++ {
		term.Mul(term, r)
		term.Quo(term, newBig(n))
		sum.Add(sum, term)
	}
	for range halvings {
		sum.Mul(sum, sum)
	}
	return sum
}

// bigLog returns log x by steps y + 2(x − exp y)/(x + exp y), each of which
// triples the number of correct bits. x must lie within the range of float64.
func bigLog(x *big.Float) *big.Float {
	v, _ := x.Float64()
	y := newBig(math.Log(v))
	for range 2 {
		e := bigExp(y)
		step := newBig(0).Quo(newBig(0).Sub(x, e), newBig(0).Add(x, e))
		y.Add(y, step.Mul(step, newBig(2)))
	}
	return y
}
