// Package cpu computes a network's operations on the host's cores, through
// gonum's BLAS: in float32 where there is no OpenCL device, in float64 as the
// reference that other backends are compared with.
//
// A verb's work is done when it returns. Matrix products run on gonum's own
// goroutines. Where gonum's Gemm would run on one core because the result is
// small, the sum is divided into a fixed number of ranges, which are added in order. So
// results do not depend on scheduling. The number of ranges stands in the plan; a plan
// also names the BLAS with its version, and GOARCH with its level (GOAMD64), because they
// decide the order of sums too.
//
// Built with -tags openblas (and CGO_LDFLAGS=-lopenblas) the products come from
// OpenBLAS through gonum's netlib bindings.
package cpu
