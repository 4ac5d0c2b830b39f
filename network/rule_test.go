package network_test

import (
	"testing"

	"clgrad/network"
)

// Every optimizer has a rate of its own to begin with.
func TestDefaultLearningRate(t *testing.T) {
	want := map[network.Optimizer]float64{
		"": 0.5, network.GD: 0.5, network.Momentum: 0.1, network.Nesterov: 0.1, network.Adam: 0.001, network.AdamW: 0.001,
	}
	for o, rate := range want {
		if got := network.DefaultLearningRate(o); got != rate {
			t.Errorf("%q: %g, want %g", o, got, rate)
		}
	}
	for _, o := range network.Optimizers() {
		if network.DefaultLearningRate(o) <= 0 {
			t.Errorf("%q has no rate", o)
		}
	}
}
