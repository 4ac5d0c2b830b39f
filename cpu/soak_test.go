package cpu_test

import (
	"testing"

	"clgrad/cpu"
	"clgrad/network/backendtest"
)

// Nothing grows over many iterations.
func TestSoak(t *testing.T) {
	b := cpu.New[float32]()
	defer b.Close()
	backendtest.SoakTest(t, b, nil)
}
