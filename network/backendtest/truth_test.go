package backendtest

import (
	"fmt"
	"math"
	"math/big"
	"slices"
	"testing"
)

func float32Of(v float64) float64 { return float64(float32(v)) }

// The truth in float64 must be right far below float32's roundoff, and the
// naive kernel must be the loop that its name says.
func TestTruthAndNaiveKernel(t *testing.T) {
	for _, kind := range []kind{normal, cancelling, spread} {
		p := draw(source(string(kind)), kind, 5, 300, 4, true, float32Of)
		exact := p.exact()
		truth, sums := p.truth(true)
		naive := p.naive(true, 0)
		for i := range p.a.rows {
			for j := range p.b.cols {
				at := i*p.b.cols + j
				if d := exact.distance(at, truth.hi[at]); d > 300*0x1p-53*sums[at] {
					t.Errorf("%s: truth is %v away", kind, d)
				}
				sum := float32(p.c0.v[at])
				for k := range p.a.cols {
					sum += float32(p.a.row(i)[k]) * float32(p.b.row(k)[j])
				}
				if float64(sum) != naive[at] {
					t.Errorf("%s: naive is %v where the loop gives %v", kind, naive[at], sum)
				}
			}
		}
	}
}

// A sum that float64 cannot hold must come out exactly.
func TestExactProduct(t *testing.T) {
	p := product{a: dense{1, 3, []float64{0x1p60, 0x1p-60, -0x1p60}}, b: dense{3, 1, []float64{0x1p60, 0x1p-60, 0x1p60}}}
	if c := p.exact(); c.hi[0] != 0x1p-120 || c.lo[0] != 0 {
		t.Errorf("got %v + %v", c.hi[0], c.lo[0])
	}
}

// Every partial sum of the integers must be exact in float32, those of reduced precision
// and of affine input too, and both operands must hold odd values of 12 bits where no
// precision is reduced.
func TestIntegersAreExactAndWide(t *testing.T) {
	for bits, delta := range map[int]float64{12: 0, 11: 0x1p-11, 8: 0x1p-8} {
		for _, op := range []string{"forward-input", "forward", "weight-gradient-input", "weight-gradient", "input-gradient"} {
			t.Run(fmt.Sprintf("%s of %d bits", op, bits), func(t *testing.T) {
				t.Parallel()
				for _, c := range productCases(op, delta > 0 || testing.Short(), false) {
					if c.kind != integers {
						continue
					}
					o := c.operands(&session{op: c.op, env: &env{single: true, u: 0x1p-24, delta: delta}})
					p := c.product(o)
					if c.shifted {
						p = c.affine(p, o)
					}
					if l := largest(p.sums()); l >= integerLimit {
						t.Errorf("%v: sums up to %v", c, l)
					}
					for name, d := range map[string]dense{"a": c.product(o).a, "b": p.b} {
						wide := false
						for _, v := range d.v {
							if v != math.Trunc(v) {
								t.Fatalf("%v: %s holds %v", c, name, v)
							}
							wide = wide || math.Abs(v) > 2048 && math.Mod(v, 2) != 0
						}
						if !wide && len(d.v) > 16 && delta == 0 {
							t.Errorf("%v: %s has no odd value of 12 bits", c, name)
						}
					}
				}
			})
		}
	}
}

func TestBigFunctions(t *testing.T) {
	if e, _ := bigExp(newBig(-20000)).Float64(); e != 0 {
		t.Errorf("exp(-20000) = %v", e)
	}
	for _, x := range []float64{0, 1e-9, -0.5, 1, -37.25, 600} {
		got := bigLog(bigExp(newBig(x)))
		got.Sub(got, newBig(x))
		if d, _ := got.Float64(); math.Abs(d) > 0x1p-120*max(1, math.Abs(x)) {
			t.Errorf("log exp %v is off by %v", x, d)
		}
		e, _ := bigExp(newBig(x)).Float64()
		if want := math.Exp(x); math.Abs(e-want) > 0x1p-51*want {
			t.Errorf("exp(%v) = %v, want %v", x, e, want)
		}
	}
	if l, _ := bigLog(big.NewFloat(2)).Float64(); l != math.Ln2 {
		t.Errorf("log 2 = %v", l)
	}
}

func TestStatistics(t *testing.T) {
	ratios := make([]float32, 100)
	for i := range ratios {
		ratios[i] = float32(100 - i)
	}
	var o Operation
	o.statistics(ratios)
	if o.Elements != 100 || o.Average != 50.5 || o.P90 != 90 || o.P99 != 99 || o.Max != 100 {
		t.Errorf("got %+v", o)
	}
}

// Quick leaves shapes out, never operations or kinds of operands; what a tiny run has, a
// quick one has too, and the whole suite.
func TestQuickAndTiny(t *testing.T) {
	for _, op := range []string{"forward-input", "forward", "weight-gradient-input", "weight-gradient", "input-gradient"} {
		kinds := map[kind]int{}
		terms := 0
		for _, c := range productCases(op, true, false) {
			kinds[c.kind]++
			terms = max(terms, max(c.shape.rows, c.shape.n, c.shape.p))
		}
		want := 4
		if op == "forward-input" || op == "weight-gradient-input" {
			want = 6
		}
		if len(kinds) != want || terms < 60000 {
			t.Errorf("%s: kinds %v, up to %d terms", op, kinds, terms)
		}
		if all := productCases(op, false, false); len(all) <= len(productCases(op, true, false)) {
			t.Errorf("%s: the whole suite has %d cases", op, len(all))
		}
		names := func(quick bool) (all []string) {
			for _, c := range productCases(op, quick, false) {
				all = append(all, c.String())
			}
			return all
		}
		whole, quick := names(false), names(true)
		exact := 0
		for _, c := range productCases(op, true, true) {
			if !slices.Contains(quick, c.String()) || !slices.Contains(whole, c.String()) {
				t.Errorf("%s: %v is in a tiny run alone", op, c)
			}
			if c.kind == integers {
				exact++
			}
			if c.volume() > tinyVolume {
				t.Errorf("%s: %v is not tiny", op, c)
			}
		}
		if exact < 5 {
			t.Errorf("%s: %d tiny cases of integers", op, exact)
		}
	}
}
