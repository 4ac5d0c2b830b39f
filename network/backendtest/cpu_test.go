package backendtest_test

import (
	"testing"

	"clgrad/cpu"
	"clgrad/network"
	"clgrad/network/backendtest"
)

// The CPU backends run the whole suite in their own package; here they show
// that the suite accepts a float64 backend, and one that splits its sums.
func TestCPUBackendsPass(t *testing.T) {
	t.Run("float32", func(t *testing.T) {
		backendtest.Run(t, func() (network.Backend, error) { return cpu.New[float32](), nil }, backendtest.Quick())
	})
	t.Run("float64", func(t *testing.T) {
		backendtest.Run(t, func() (network.Backend, error) { return cpu.New[float64](), nil }, backendtest.Quick())
	})
}
