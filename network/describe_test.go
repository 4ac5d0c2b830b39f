package network_test

import (
	"fmt"
	"testing"

	"clgrad/cpu"
	"clgrad/network"
	"clgrad/network/dataset"
)

// Large values, and those that say little, are one short line too.
func TestStrings(t *testing.T) {
	sizes := make([]int, 1000)
	for i := range sizes {
		sizes[i] = i + 1
	}
	for want, value := range map[string]fmt.Stringer{
		"1-2-3-4-5-6-…-1000 on 7 rows all in one batch, cpu and opencl:0.0": network.Plan{
			Sizes: sizes, Rows: 7, BatchRows: 7, Permutation: make([]int32, 7), Shards: []network.ShardPlan{{Backend: "cpu"}, {Backend: "opencl:0.0"}}},
		"1 row of 1 feature (float32, without labels)":  network.Samples{Rows: 1, Features: 1, Floats: []float32{1}},
		"gd, weight decay 0.1":                          network.Rule{WeightDecay: 0.1},
		"opencl:0.0, card (1 compute unit, driver 1.0)": network.Info{Backend: "opencl:0.0", Device: "card", Driver: "OpenCL 3.0 of somebody, LLVM 15, debug; driver 1.0", ComputeUnits: 1},
		"mnist: 9 rows of 1 feature (bytes) to train on, 2 to validate with, 3 to test on, 10 classes": dataset.Set{
			Name: "mnist", Classes: 10, Train: network.Samples{Rows: 9, Features: 1, Bytes: make([]uint8, 9), Labels: make([]int32, 9)},
			Validation: network.Samples{Rows: 2}, Test: network.Samples{Rows: 3}},
	} {
		if got := fmt.Sprint(value); got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
}

// Values describe themselves.
func Example_println() {
	set, err := dataset.FromFlat([]uint8{0, 0, 0, 1, 1, 0, 1, 1}, 2, []int{0, 1, 1, 0})
	if err != nil {
		fmt.Println(err)
	}
	backend := cpu.New[float32]()
	layout, err := network.NewLayout([]int{2, 8, 2})
	if err != nil {
		fmt.Println(err)
	}
	plan, err := network.NewPlan(layout.Sizes, set.Train, 2, backend)
	if err != nil {
		fmt.Println(err)
	}
	fmt.Println(set)
	fmt.Println(set.Train)
	fmt.Println(layout)
	fmt.Println(plan)
	for _, o := range network.Optimizers() {
		fmt.Println(network.NewRule(o))
	}
	fmt.Println(network.Info{Backend: "cpu", Device: "AMD EPYC", Driver: "gonum v0.17.0", ComputeUnits: 2, Memory: 25e9})
	// Output:
	// rows: 4 rows of 2 features (bytes) to train on, 2 classes
	// 4 rows of 2 features (bytes)
	// 2-8-2, 42 parameters
	// 2-8-2 on 4 rows in batches of 2 rows, cpu
	// gd
	// momentum, momentum 0.9
	// nesterov, momentum 0.9
	// adam, beta1 0.9, beta2 0.999, epsilon 1e-08
	// adamw, beta1 0.9, beta2 0.999, epsilon 1e-08, weight decay 0.01
	// lbfgs, history of 10
	// cpu, AMD EPYC (2 compute units, 25 GB, gonum v0.17.0)
}
