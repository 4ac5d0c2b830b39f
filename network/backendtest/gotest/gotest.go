// Package gotest runs the suite of package backendtest as Go tests. It is the part
// that needs package testing, which a program should not contain.
package gotest

import (
	"os"
	"slices"
	"strconv"
	"testing"
	"time"

	"clgrad/network"
	"clgrad/network/backendtest"
)

// Run runs the suite as subtests of t, one for each family of operations, on
// backends made by open. It logs the table of the report and returns it. Where tests are
// short (go test -short), it is quick. A family of what the backend does not have is skipped.
func Run(t *testing.T, open func() (network.Backend, error), opts ...backendtest.Option) (report backendtest.Report) {
	t.Helper()
	if testing.Short() {
		opts = append(slices.Clip(opts), backendtest.Quick())
	}
	families, err := backendtest.Families(opts...)
	if err != nil {
		t.Fatal(err)
	}
	begin := time.Now()
	for _, f := range families {
		t.Run(f.Name, func(t *testing.T) {
			info, operation := f.Run(open)
			if info.Backend != "" {
				report.Info = info
			}
			report.Operations = append(report.Operations, operation)
			for _, failure := range operation.Failures {
				t.Error(failure)
			}
			if operation.Absent != "" {
				t.Skip(operation.Absent)
			}
		})
	}
	t.Logf("%.1f s\n%v", time.Since(begin).Seconds(), report)
	return report
}

// Soak soaks a backend, for as many iterations as the environment's SOAK says
// (make soak) or 2,000, and logs the samples. alive is as of [backendtest.RunSoak].
// The test is skipped where the system does not tell its memory.
func Soak(t *testing.T, b network.Backend, alive func() int) {
	t.Helper()
	if _, err := os.Stat("/proc/self/statm"); err != nil {
		t.Skip(err)
	}
	iterations := 2000
	if text := os.Getenv("SOAK"); text != "" {
		var err error
		if iterations, err = strconv.Atoi(text); err != nil {
			t.Fatalf("SOAK=%s: a number of iterations is expected", text)
		}
	}
	soak, err := backendtest.RunSoak(b, iterations, alive)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("\n%v", soak)
	if err := soak.Check(); err != nil {
		t.Error(err)
	}
}
