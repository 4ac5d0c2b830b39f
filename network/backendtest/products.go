package backendtest

import (
	"fmt"
	"math"

	"clgrad/network"
)

// products runs every case of the session's operation.
func products(s *session) {
	for _, c := range productCases(s.op, s.quick, s.smallest) {
		s.try(c.String(), func() { c.check(s) })
	}
}

// forward also passes not-finite numbers through the activation.
func forward(s *session) {
	products(s)
	for _, act := range []network.Activation{network.Identity, network.ReLU} {
		name := fmt.Sprintf("NaN and infinities through %s", [...]string{"identity", "ReLU"}[act])
		s.try(name, func() { notFinite(s, name, act) })
	}
}

// check computes one case and puts it through the gates.
func (c productCase) check(s *session) {
	o := c.operands(s)
	first, second, affine := c.compute(s, o)
	if s.err != nil {
		return
	}
	s.repeated(c.String(), c.at(), first, second)
	c.judge(s, c.String(), o, first, affine)
}

// judge puts a result through the gates of numbers.
func (c productCase) judge(s *session, name string, o operands, got []float64, affine bool) {
	p := c.product(o)
	if affine {
		p = c.affine(p, o)
	}
	finish := c.finish(o)
	if c.kind == integers {
		// A test of the suite shows it for all but inputs that say they are affine.
		if affine && largest(p.sums()) >= integerLimit {
			panic("backendtest: sums of integers are too large to be exact")
		}
		want := gemm(p.a, p.b, p.c0)
		finish(want)
		s.equal(name, c.at(), got, want)
		return
	}
	if !s.single && c.volume() > exactVolume {
		return
	}
	want, bound := p.truth(s.single)
	k := p.a.cols
	g := gamma(k+c.blocks()+3, s.u) + s.operand()
	if s.single {
		g += float64(k+2) * 0x1p-53
	}
	for i := range bound {
		bound[i] = g*bound[i] + float64(k+2)*s.tiny()
	}
	finish(want.hi)
	for i, v := range want.hi {
		if v == 0 && want.lo != nil {
			want.lo[i] = 0
		}
	}
	s.bounded(name, c.at(), got, want, bound)
	var naive [][]float64
	orders, rounded := rotations(len(got), k), p
	if s.delta > 0 {
		rounded = p.round(s.delta)
	}
	for r := range orders {
		naive = append(naive, rounded.naive(s.single, r*k/orders))
		finish(naive[r])
	}
	floor := s.u * p.productRounding()
	if affine {
		floor += s.delta * p.productRounding() // other numbers are rounded than in the naive kernel: W with its factors
	}
	if affine && k == 2 {
		// And the features are not rounded, as they are for the naive kernel: of sums of one
		// term, in two parts, the largest tells how far that takes them.
		floor = max(floor, s.u*largest(want.hi))
	}
	s.notWorse(name, c.at(), got, want, naive, floor)
}

// pooled is how many results of the naive kernel a comparison rests on where one
// product has fewer.
const pooled = 1024

// rotations returns from how many starting points the naive kernel adds: enough
// for pooled results in all, or 16. The error of a single sum is one draw from
// a distribution around 0, and to be within four times of another such draw, or
// of the largest of a few, would be a matter of luck.
func rotations(elements, k int) int { return max(1, min(k, pooled/elements, 16)) }

// at names the elements of the result.
func (c productCase) at() func(int) string {
	switch c.verb() {
	case "forward":
		return cell(c.shape.p)
	case "input-gradient":
		return cell(c.shape.n)
	}
	return func(i int) string {
		if row := i / c.shape.p; row == c.shape.n {
			return fmt.Sprintf("db element %d", i%c.shape.p)
		}
		return "dW " + cell(c.shape.p)(i)
	}
}

// compute runs the case twice, from the same values, and returns both results,
// and whether the input was affine. It reports what happened around them.
func (c productCase) compute(s *session, o operands) (first, second []float64, affine bool) {
	var out *guarded
	var run func() error
	results := 1
	held := []*guarded{}
	hold := func(parts ...dense) *guarded {
		r := s.guarded(c.wideStride, parts...)
		held = append(held, r)
		return r
	}
	var input network.Input
	var x *guarded
	if c.input() {
		input = s.load(o.samples, c.blockRows)
		affine = isAffine(input)
	} else if c.verb() != "input-gradient" {
		x = hold(o.x)
	}
	switch c.verb() {
	case "forward":
		// W and b stand in one buffer, as in a network's flat vector.
		wb := hold(o.w, o.b)
		h := newDense(c.shape.rows, c.shape.p)
		for i := range h.v {
			h.v[i] = 77 // what was there before must not matter
		}
		out = s.guarded(c.wideStride, h)
		run = func() error {
			if input == nil {
				return s.b.Forward(network.Rows{Matrix: x.views[0]}, wb.views[0], wb.views[1], c.act, out.views[0])
			}
			return c.eachBlock(func(block, first, n int) error {
				return s.b.Forward(network.Rows{Block: network.Block{Input: input, Index: block}}, wb.views[0], wb.views[1], c.act, rows(out.views[0], first, n))
			})
		}
	case "weight-gradient":
		dz := hold(o.dz)
		out, results = s.guarded(c.wideStride, o.dw, o.db), 2
		run = func() error {
			return c.eachBlock(func(block, first, n int) error {
				from := network.Rows{Block: network.Block{Input: input, Index: block}}
				if input == nil {
					from = network.Rows{Matrix: rows(x.views[0], first, n)}
				}
				return s.b.WeightGradient(from, rows(dz.views[0], first, n), c.add || block > 0, out.views[0], out.views[1])
			})
		}
	case "input-gradient":
		dz, w := hold(o.dz), hold(o.w)
		out = s.guarded(c.wideStride, o.mask)
		mask := out
		if !c.inPlace {
			mask = hold(o.mask)
		}
		run = func() error { return s.b.InputGradient(dz.views[0], w.views[0], mask.views[0], out.views[0]) }
	}
	s.do(run)
	first, problem := out.values(s.env, results)
	out.reset(s.env)
	s.do(run)
	second, _ = out.values(s.env, results)
	for _, r := range held {
		if problem == "" {
			_, problem = r.values(s.env, 0)
		}
	}
	if problem != "" {
		s.fail(c.String(), gateAround, "%s", problem)
	}
	return first, second, affine
}

func isAffine(x network.Input) bool {
	f, ok := x.(network.AffineInput)
	return ok && f.Affine()
}

// eachBlock calls f for the rows of each block, in order.
func (c productCase) eachBlock(f func(block, first, n int) error) error {
	for block := range c.blocks() {
		first := block * c.blockRows
		if err := f(block, first, min(c.blockRows, c.shape.rows-first)); err != nil {
			return err
		}
	}
	return nil
}

// notFinite checks that the activation shows what is not finite: NaN stays NaN
// under ReLU, which is x < 0 ? 0 : x. The values come in by the bias, because
// products may skip zeros and are not promised to carry a NaN.
func notFinite(s *session, name string, act network.Activation) {
	const n, p = 20, 19
	inf := math.Inf(1)
	b := newDense(1, p)
	want := newDense(3, p)
	copy(b.v, []float64{math.NaN(), inf, -inf, 1, -1, 0})
	b.v[p-1] = math.NaN()
	for i := range want.rows {
		copy(want.row(i), b.v)
		for j, v := range b.v {
			if act == network.ReLU && v < 0 {
				want.row(i)[j] = 0
			}
		}
	}
	x, w, h := s.guarded(false, newDense(3, n)), s.guarded(false, newDense(n, p), b), s.guarded(false, newDense(3, p))
	s.do(func() error {
		return s.b.Forward(network.Rows{Matrix: x.views[0]}, w.views[0], w.views[1], act, h.views[0])
	})
	got, problem := h.values(s.env, 1)
	if problem != "" {
		s.fail(name, gateAround, "%s", problem)
	}
	s.equal(name, cell(p), got, want.v)
}
