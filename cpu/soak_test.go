package cpu_test

import (
	"testing"

	"clgrad/cpu"
	"clgrad/network/backendtest/gotest"
)

// Nothing grows over many iterations.
func TestSoak(t *testing.T) {
	b := cpu.New[float32]()
	defer b.Close()
	gotest.Soak(t, b, nil)
}
