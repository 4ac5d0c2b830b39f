package mpi_test

import "clgrad/network/mpi"

// tables are the models of the package's documentation: 784-128-10, whose layout has 102,544
// elements. That a rank handles an element on the host in 5 ns, and a row in 13.6 µs on one core,
// is measured, what GPUs and networks do is taken from their datasheets.
var tables = []struct {
	name string
	mpi.Model
}{
	{"GPUs of one machine", mpi.Model{Parameters: 102544, Bytes: 4, Fixed: 50e-6, Row: 6.1e-9, Element: 5e-9, Latency: 5e-6, Bandwidth: 10e9}},
	{"machines with a GPU", mpi.Model{Parameters: 102544, Bytes: 4, Fixed: 50e-6, Row: 6.1e-9, Element: 5e-9, Latency: 20e-6, Bandwidth: 3e9}},
	{"machines with two cores", mpi.Model{Parameters: 102544, Bytes: 4, Row: 6.8e-6, Element: 5e-9, Latency: 20e-6, Bandwidth: 3e9}},
}
