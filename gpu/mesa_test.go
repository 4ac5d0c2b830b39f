package gpu

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"clgrad/network/backendtest"
)

// MESA=1 puts the variants of the kernels through the suite on the drivers that
// OCL_ICD_VENDORS names, Mesa's Rusticl alone (make mesa), and logs what passes.
// Rusticl on llvmpipe ends the loops of a work-item after 65,535 iterations in all,
// so variants whose work-items do more than one sum fail at the longest ones. A
// driver must not end the process; every variant has to pass at the smallest shapes,
// and for each operation one at all of the quick ones: otherwise the device cannot
// be used at all.
func TestMesa(t *testing.T) {
	if os.Getenv("MESA") != "1" {
		t.Skip("runs with MESA=1 (make mesa)")
	}
	for _, d := range usableDevices(t) {
		t.Logf("%s: %s, %s, driver %s", d.ID(), d.Name, d.PlatformVersion, d.Driver)
		variants, passed := configs(d), map[string]bool{}
		run := func(variant, shapes, operation string, o backendtest.Option) error {
			report, err := backendtest.Check(opener(d, variants[variant], nil), o, backendtest.Only(operation), backendtest.TimeLimit(time.Hour))
			result := "ok"
			if err != nil {
				first, _, _ := strings.Cut(err.Error(), "\n")
				result = fmt.Sprintf("%d failures, the first: %s", strings.Count(err.Error(), "\n")+1, first)
			}
			t.Logf("%-8s  %-13s  %-21s  %4.0f s  %s", shapes, variant, operation, report.Seconds, result)
			return err
		}
		for _, variant := range []string{"specification", "register", "odd-register", "local", "odd-local"} {
			for _, operation := range backendtest.Operations() {
				if run(variant, "smallest", operation, backendtest.Tiny()) != nil {
					t.Errorf("%s: %s fails at the smallest shapes", variant, operation)
				}
			}
		}
		for _, variant := range []string{"specification", "register", "local"} {
			for _, operation := range backendtest.Operations() {
				if run(variant, "quick", operation, backendtest.Quick()) == nil {
					passed[operation] = true
				}
			}
		}
		for _, operation := range backendtest.Operations() {
			if !passed[operation] {
				t.Errorf("%s: no variant passes", operation)
			}
		}
	}
}
