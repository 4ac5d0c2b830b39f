// Package kernels holds the OpenCL C sources of a network's operations and the
// parameters that they are built with. It makes no OpenCL call.
//
// # Operations and variants
//
// Each operation has a naive kernel, one output a work-item, which is the
// readable specification, and one variant for each class of device:
//
//	operation        naive                  register (CPUs)           local (GPUs)
//	forward          matmul_naive.cl        matmul_register.cl        matmul_local.cl
//	weight gradient  matmul_naive.cl        gradient_register.cl      matmul_local.cl
//	                                        + add_partials            + add_partials
//	input gradient   matmul_naive.cl        transpose.cl              matmul_local.cl
//	                                        + matmul_register.cl
//	softmax          softmax.cl             softmax.cl (vectors)      as naive
//
// The register variants give each work-item a tile of outputs in registers and
// use no local memory; the local variants share tiles of the operands through
// local memory. reduce.cl and update.cl serve all of them. On CPUs the first
// layer also has kernels over packed input (packed_register.cl), which skip the
// zeros of the data; on GPUs its input may be bytes, and with tensor cores
// matmul_tensor.cl is the local variant at another precision. affine.cl takes the
// scaling of packed input and of bytes out of the products. peak.cl is for comparison alone: what a device comes to at best.
//
// Kernels index with 32-bit row and column numbers and 64-bit offsets.
package kernels
