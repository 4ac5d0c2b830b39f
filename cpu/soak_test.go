package cpu_test

import (
	"os"
	"testing"

	"clgrad/cpu"
	"clgrad/network/backendtest"
)

// Nothing grows over many iterations.
func TestSoak(t *testing.T) {
	if _, err := os.Stat("/proc/self/statm"); err != nil {
		t.Skip(err)
	}
	iterations, err := backendtest.SoakIterations()
	if err != nil {
		t.Fatal(err)
	}
	b := cpu.New[float32]()
	defer b.Close()
	soak, err := backendtest.RunSoak(b, iterations, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("\n%v", soak)
	if err := soak.Check(); err != nil {
		t.Error(err)
	}
}
