package gpu

import (
	"errors"
	"fmt"

	"clgrad/kernels"
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
	err = b.config.Check(b.s.device.limits())
	call := fmt.Sprintf("precision %s needs mma.sync, as NVIDIA's drivers have it from sm_80 on", p)
	if failed := (*Error)(nil); errors.As(err, &failed) {
		call, err = call+": "+failed.Call, failed.Err
	}
	if err != nil {
		return b.s.fail(call, err)
	}
	return nil
}
