package backendtest_test

import (
	"fmt"

	"clgrad/cpu"
	"clgrad/network"
	"clgrad/network/backendtest"
)

// A user's self-test needs no package testing.
func ExampleCheck() {
	open := func() (network.Backend, error) { return cpu.New[float32](), nil }
	report, err := backendtest.Check(open, backendtest.Quick(), backendtest.Only("forward", "softmax-cross-entropy"))
	for _, o := range report.Operations {
		fmt.Println(o.Operation, o.Passed, o.Max <= 1)
	}
	fmt.Println(err)
	// Output:
	// forward true true
	// softmax-cross-entropy true true
	// <nil>
}
