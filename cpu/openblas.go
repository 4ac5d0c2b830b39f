//go:build openblas

package cpu

import (
	"gonum.org/v1/gonum/blas/blas32"
	"gonum.org/v1/gonum/blas/blas64"
	netlib "gonum.org/v1/netlib/blas/netlib"
)

// library names the BLAS that computes the products.
const library = "OpenBLAS"

// ownThreads says that the library runs a product of any shape on all cores.
const ownThreads = true

func init() {
	blas32.Use(netlib.Implementation{})
	blas64.Use(netlib.Implementation{})
}
