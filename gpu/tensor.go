package gpu

import (
	"fmt"

	"clgrad/kernels"
)

// atPrecision gives all dense products another precision, if the device can take tiles of
// it. Whether it has the instructions, and computes what it should, a plan's self-test shows.
func (b *Backend) atPrecision(p kernels.Precision, ptx bool) error {
	if err := p.Check(); err != nil {
		return b.s.fail("precision", err)
	}
	if p == kernels.Float32 {
		return nil
	}
	b.config, b.tuning = b.config.At(p, ptx), Tuning{}
	if err := b.config.Check(b.s.device.limits()); err != nil {
		return b.s.fail(needs(p), err)
	}
	return nil
}

// needs says what a precision asks of a device.
func needs(p kernels.Precision) string {
	return fmt.Sprintf("precision %s needs mma.sync, as NVIDIA's drivers have it from sm_80 on", p)
}
