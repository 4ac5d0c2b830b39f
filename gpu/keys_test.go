package gpu

import (
	"testing"

	"clgrad/kernels"
	"clgrad/network"
)

// The names of operations, which kernels keeps for itself, are those of the network.
func TestKeys(t *testing.T) {
	for here, there := range map[string]string{
		kernels.OpForward: network.OpForward, kernels.OpWeightGradient: network.OpWeightGradient, kernels.OpInputGradient: network.OpInputGradient,
		kernels.Key(kernels.OpForward, 784, 128): network.OperationKey(network.OpForward, 784, 128),
	} {
		if here != there {
			t.Errorf("kernels has %q, network %q", here, there)
		}
	}
}
