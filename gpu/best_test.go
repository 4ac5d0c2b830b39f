package gpu_test

import (
	"context"
	"fmt"
	"log"
	"testing"

	"clgrad/cpu"
	"clgrad/gpu"
	"clgrad/network"
	"clgrad/network/classifier"
	"clgrad/network/dataset"
)

// Compute on the best OpenCL device, or on the CPU where there is none.
func ExampleBestOr() {
	backend, why := gpu.BestOr(cpu.New[float32]())
	if why != nil {
		log.Println("computing on the CPU:", why)
	}
	defer backend.Close()
	set, err := dataset.FromRows([][]float64{{0, 0}, {0, 1}, {1, 0}, {1, 1}}, []string{"equal", "different", "different", "equal"})
	if err != nil {
		log.Fatal(err)
	}
	c := classifier.New(backend, classifier.Options{Hidden: []int{8}})
	if err := c.Fit(context.Background(), set); err != nil {
		log.Fatal(err)
	}
	labels, err := c.Predict([][]float64{{1, 1}, {0, 1}})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(labels)
	// Output:
	// [equal different]
}

// Of the backend of the other kind it is said why, and a device needs no words.
func TestBestOrSaysWhy(t *testing.T) {
	other := cpu.New[float32]()
	defer other.Close()
	backend, why := gpu.BestOr(other)
	_, err := gpu.OpenBest(gpu.Options{})
	if fell := backend == network.Backend(other); fell != (why != nil) || (err == nil) == fell || fell && why.Error() != err.Error() {
		t.Errorf("%v because of %v, where opening the best device is %v", backend.Info(), why, err)
	}
}

// Choose a device by a part of its name, out of those of [gpu.Devices].
func ExampleSelect() {
	devices := []gpu.Device{
		{Platform: 0, Index: 0, Name: "NVIDIA H100 PCIe", Type: "GPU", Memory: 85e9, Driver: "550.54", Version: "OpenCL 3.0 CUDA"},
		{Platform: 1, Index: 0, Name: "AMD EPYC", Type: "CPU", Memory: 25e9, Driver: "3.1", Version: "OpenCL 3.0 PoCL"},
	}
	d, why, err := gpu.Select(devices, "epyc")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(d)
	fmt.Println(why)
	d, _, err = gpu.Select(devices, "") // the best one
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(d)
	// Output:
	// opencl:1.0, AMD EPYC (CPU, 25 GB, driver 3.1, OpenCL 3.0)
	// its name holds "epyc"
	// opencl:0.0, NVIDIA H100 PCIe (GPU, 85 GB, driver 550.54, OpenCL 3.0)
}

// A device says why it cannot be used, and leaves out what it does not know.
func TestDeviceString(t *testing.T) {
	for want, d := range map[string]gpu.Device{
		"opencl:0.1, (devices of Clover) (Other): the driver does not list its devices: -1": {
			Index: 1, Name: "(devices of Clover)", Type: "Other", Problem: "the driver does not list its devices: -1"},
		"opencl:2.0, card (GPU, 0 GB)": {Platform: 2, Name: "card", Type: "GPU", Memory: 1e8, Version: "unknown"},
	} {
		if got := d.String(); got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
}
