//go:build !mpi || !cgo

package mpi

import "errors"

// Built returns nil where the program was built with MPI, and otherwise why not.
func Built() error {
	return errors.New("built without MPI: go build -tags mpi ./cmd/clgrad (needs Open MPI: libopenmpi-dev) makes a program that can")
}

// Init joins this process with the others. Without MPI there is an error.
func Init() (World, error) { return nil, Built() }
