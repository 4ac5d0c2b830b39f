package gpu

import (
	"errors"
	"fmt"
	"io"
	"math"

	"clgrad/kernels"
	"clgrad/network"
)

// atPrecision gives all dense products another precision, if the device has the
// instructions and they compute what they should.
func (b *Backend) atPrecision(p kernels.Precision, ptx bool) (err error) {
	if err := p.Check(); err != nil {
		return b.s.fail("precision", err)
	}
	if p == kernels.Float32 {
		return nil
	}
	b.config = b.config.At(p, ptx)
	if err = b.config.Check(b.s.device.limits()); err == nil {
		err = b.tryTensor()
	}
	call := fmt.Sprintf("precision %s needs mma.sync, as NVIDIA's drivers have it from sm_80 on", p)
	if failed := (*Error)(nil); errors.As(err, &failed) {
		call, err = call+": "+failed.Call, failed.Err
	}
	if err != nil {
		return b.s.fail(call, err)
	}
	return nil
}

// tryTensor computes the products of integers that the precision holds, in a narrow and
// in a wide tile, and reports a result that is not exact: a driver may take instructions
// that its device, or its compiler, does not do. Of each product one operand is wide, of
// as many bits as that.
func (b *Backend) tryTensor() error {
	bits := 12
	if u := b.config.Roundoff(); u > 0 {
		bits = min(bits, int(-math.Log2(u)))
	}
	for _, p := range []int{9, 130} {
		for wide := range 3 {
			if err := b.tryProducts(p, wide, bits); err != nil {
				return err
			}
		}
	}
	return nil
}

// tryProducts computes the products of x, dz and w, of which the given one is wide, with
// p columns of outputs; x also as an input of bytes.
func (b *Backend) tryProducts(p, wide, bits int) (err error) {
	const m, n = 37, 21 // no multiples of a fragment
	value := func(of int) func(i, j int) float64 {
		return func(i, j int) float64 {
			v := (31*i + 17*j + 5*of) % 23
			if of == wide {
				return float64(1<<bits - 1 - 2*v)
			}
			return float64(v%3 - 1)
		}
	}
	x, dz, w := value(0), value(1), value(2)
	byteOf := func(i, j int) float64 {
		if (i+j)%3 > 0 {
			return 0 // sums stay below 2²⁴
		}
		return float64((29*i + 13*j) % 256)
	}
	none := func(int, int) float64 { return 0 }
	one := func(int, int) float64 { return 1 }

	made := []io.Closer{}
	defer func() {
		for _, c := range made {
			err = errors.Join(err, c.Close())
		}
	}()
	matrix := func(rows, cols int, at func(i, j int) float64) (o network.Matrix) {
		if err != nil {
			return o
		}
		o = network.Matrix{Rows: rows, Cols: cols, Stride: network.AlignUp(cols)}
		if o.Buffer, err = b.NewBuffer(rows * o.Stride); err != nil {
			return o
		}
		made = append(made, o.Buffer)
		v := make([]float64, o.Buffer.Len())
		for i := range rows {
			for j := range cols {
				v[i*o.Stride+j] = at(i, j)
			}
		}
		err = b.Write(o.Buffer, 0, v)
		return o
	}
	mx, mw, mb, mdz := matrix(m, n, x), matrix(n, p, w), matrix(1, p, none), matrix(m, p, dz)
	mh, mdw, mdb, mdx := matrix(m, p, none), matrix(n, p, none), matrix(1, p, none), matrix(m, n, one)
	if err != nil {
		return err
	}
	samples := network.Samples{Rows: m, Features: n, Bytes: make([]uint8, m*n)}
	for i := range m {
		for j := range n {
			samples.Bytes[i*n+j] = uint8(byteOf(i, j))
		}
	}
	in, err := b.Load(samples, m)
	if err != nil {
		return err
	}
	made = append(made, in)

	sum := func(terms int, term func(k int) float64) (s float64) {
		for k := range terms {
			s += term(k)
		}
		return s
	}
	forward := func(x func(i, j int) float64) func(i, j int) float64 {
		return func(i, j int) float64 { return sum(n, func(k int) float64 { return x(i, k) * w(k, j) }) }
	}
	gradient := func(x func(i, j int) float64) func(i, j int) float64 {
		return func(i, j int) float64 { return sum(m, func(k int) float64 { return x(k, i) * dz(k, j) }) }
	}
	bias := func(_, j int) float64 { return sum(m, func(k int) float64 { return dz(k, j) }) }
	clearSums := func() error { return errors.Join(b.Clear(mdw.Buffer), b.Clear(mdb.Buffer)) }
	for _, c := range []struct {
		name string
		run  func() error
		got  network.Matrix
		want func(i, j int) float64
	}{
		{"forward product", func() error { return b.Forward(mx, mw, mb, network.Identity, mh) }, mh, forward(x)},
		{"weight gradient", func() error { return b.WeightGradient(mx, mdz, mdw, mdb) }, mdw, gradient(x)},
		{"bias gradient", func() error { return nil }, mdb, bias},
		{"input gradient", func() error { return b.InputGradient(mdz, mw, mdx, mdx) }, mdx,
			func(i, j int) float64 { return sum(p, func(k int) float64 { return dz(i, k) * w(j, k) }) }},
		{"forward product of bytes", func() error { return b.ForwardInput(in, 0, mw, mb, network.Identity, mh) }, mh, forward(byteOf)},
		{"weight gradient of bytes", func() error {
			return errors.Join(clearSums(), b.WeightGradientInput(in, 0, mdz, mdw, mdb))
		}, mdw, gradient(byteOf)},
	} {
		if err := c.run(); err != nil {
			return err
		}
		got := make([]float64, c.got.Buffer.Len())
		if err := b.Read(c.got.Buffer, 0, got); err != nil {
			return err
		}
		for i := range c.got.Rows {
			for j := range c.got.Cols {
				if got, want := got[i*c.got.Stride+j], c.want(i, j); got != want {
					return fmt.Errorf("element (%d, %d) of the %s is %v where %v is expected", i, j, c.name, got, want)
				}
			}
		}
	}
	return nil
}
