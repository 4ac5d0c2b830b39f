// Package cpu computes a network's operations on the host's cores, through
// gonum's BLAS: in float32 as the fall-back where no OpenCL device is, in
// float64 as the reference that other backends are judged against.
//
// All verbs work before they return. Matrix products run on gonum's own
// goroutines; where gonum's Gemm would run on one core because the result is
// small, the sum is split into fixed ranges that are added in order, so results
// do not depend on scheduling.
//
// Built with -tags openblas (and CGO_LDFLAGS=-lopenblas) the products come from
// OpenBLAS through gonum's netlib bindings.
package cpu
