package gpu

import (
	"fmt"
	"os"
	"testing"
	"time"

	"clgrad/network/backendtest"
)

// MESA=1 puts the variants of the kernels through the quick suite on the drivers
// that OCL_ICD_VENDORS names, Mesa's Rusticl alone (make mesa), and logs what
// passes. Rusticl on llvmpipe ends the loops of a work-item after 65,535 iterations
// in all, so variants whose work-items do more than one sum fail at the longest
// ones. What a driver must not do is end the process, and for each operation one
// variant has to pass: otherwise the device cannot be used at all.
func TestMesa(t *testing.T) {
	if os.Getenv("MESA") != "1" {
		t.Skip("runs with MESA=1 (make mesa)")
	}
	for _, d := range usableDevices(t) {
		t.Logf("%s: %s, %s, driver %s", d.ID(), d.Name, d.PlatformVersion, d.Driver)
		all, passed := configs(d), map[string][]string{}
		for _, name := range []string{"register", "local", "specification"} {
			for _, operation := range backendtest.Operations() {
				report, err := backendtest.Check(opener(d, all[name]), backendtest.Quick(), backendtest.Only(operation), backendtest.TimeLimit(30*time.Minute))
				result := "ok"
				if err == nil {
					passed[operation] = append(passed[operation], name)
				} else {
					failures := report.Operations[0].Failures
					result = fmt.Sprintf("%d of %d cases fail, as in: %v", len(failures), report.Operations[0].Cases, failures[0])
				}
				t.Logf("%-13s  %-21s  %4.0f s  %s", name, operation, report.Seconds, result)
			}
		}
		for _, operation := range backendtest.Operations() {
			if len(passed[operation]) == 0 {
				t.Errorf("%s: no variant passes", operation)
			}
		}
	}
}
