package gpu

import (
	"errors"
	"fmt"

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

// tryTensor computes the three products of small integers, which every precision
// holds, and reports a result that is not exact: a driver may take instructions that
// its device, or its compiler, does not do.
func (b *Backend) tryTensor() (err error) {
	const m, n, p = 37, 21, 26 // no multiples of a fragment
	stride := network.AlignUp(n)
	made := []network.Buffer{}
	defer func() {
		for _, f := range made {
			err = errors.Join(err, f.Close())
		}
	}()
	matrix := func(rows, cols int, at func(i, j int) float64) (network.Matrix, error) {
		f, err := b.NewBuffer(rows * 2 * stride)
		if err != nil {
			return network.Matrix{}, err
		}
		made = append(made, f)
		v := make([]float64, f.Len())
		for i := range rows {
			for j := range cols {
				v[i*2*stride+j] = at(i, j)
			}
		}
		return network.Matrix{Buffer: f, Rows: rows, Cols: cols, Stride: 2 * stride}, b.Write(f, 0, v)
	}
	value := func(k int) func(i, j int) float64 {
		return func(i, j int) float64 { return float64((31*i+17*j+5*k)%23 - 11) }
	}
	none := func(int, int) float64 { return 0 }
	one := func(int, int) float64 { return 1 }
	x, dz, w := value(1), value(2), value(3)
	sum := func(terms int, term func(k int) float64) (s float64) {
		for k := range terms {
			s += term(k)
		}
		return s
	}
	var operands [8]network.Matrix
	for i, o := range []struct {
		rows, cols int
		at         func(i, j int) float64
	}{{m, n, x}, {n, p, w}, {1, p, none}, {m, p, dz}, {m, p, none}, {n, p, none}, {1, p, none}, {m, n, one}} {
		if operands[i], err = matrix(o.rows, o.cols, o.at); err != nil {
			return err
		}
	}
	mx, mw, mb, mdz, mh, mdw, mdb, mdx := operands[0], operands[1], operands[2], operands[3], operands[4], operands[5], operands[6], operands[7]
	for _, c := range []struct {
		name string
		run  func() error
		got  network.Matrix
		want func(i, j int) float64
	}{
		{"forward", func() error { return b.Forward(mx, mw, mb, network.Identity, mh) }, mh,
			func(i, j int) float64 { return sum(n, func(k int) float64 { return x(i, k) * w(k, j) }) }},
		{"weight gradient", func() error { return b.WeightGradient(mx, mdz, mdw, mdb) }, mdw,
			func(i, j int) float64 { return sum(m, func(k int) float64 { return x(k, i) * dz(k, j) }) }},
		{"bias gradient", func() error { return nil }, mdb,
			func(_, j int) float64 { return sum(m, func(k int) float64 { return dz(k, j) }) }},
		{"input gradient", func() error { return b.InputGradient(mdz, mw, mdx, mdx) }, mdx,
			func(i, j int) float64 { return sum(p, func(k int) float64 { return dz(i, k) * w(j, k) }) }},
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
