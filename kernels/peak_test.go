package kernels

import (
	"strings"
	"testing"
)

// The probe of every class has its source, and counts what the source does.
func TestPeakProbe(t *testing.T) {
	for _, class := range []Class{CPU, GPU} {
		p := PeakProbe(class)
		source := p.Program().Source()
		if !strings.Contains(source, "kernel void arithmetic") || !strings.Contains(source, "kernel void copy") || !strings.Contains(source, "#define UNROLLED 16\n") {
			t.Errorf("%s: the source has other kernels or another number of steps in a round", class)
		}
		if want := 2 * p.Width * p.Chains * 16 * p.Rounds; p.Flops() != want || want <= 0 {
			t.Errorf("%s: %d operations a work-item, %d are expected", class, p.Flops(), want)
		}
	}
}
