package cpu

import "clgrad/network"

var (
	_ network.Backend = (*Backend[float32])(nil)
	_ network.Backend = (*Backend[float64])(nil)
)
