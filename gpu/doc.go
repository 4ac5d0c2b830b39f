// Package gpu computes a network's operations on an OpenCL device: a GPU, or a
// CPU through a driver such as PoCL. Its [Backend] implements
// [network.Backend] with the sources of package kernels.
//
// # Building
//
// OpenCL is reached through cgo. Where cgo is off, or with -tags nogpu, the
// package builds all the same, finds no device, and says why.
//
// # Precision
//
// Operands and sums are float32. With [Options].Precision the dense products are
// those of tensor cores, from operands rounded to TF32 or bfloat16, or split into three
// bfloat16 numbers each, which keeps float32's precision (kernels/matmul_tensor.cl);
// sums have the bits of float32, and all else is float32. A device is asked for that
// only where it builds the instructions and multiplies integers right.
//
// # Ownership
//
// A Backend owns its context, queue, programs, kernels and every buffer that it
// made; [Backend.Close] waits for the device and frees them in the reverse order
// of their creation. Buffers, inputs and tallies may be closed before. A
// Backend that is collected without Close is reported on standard error with
// the place where it was opened.
//
// # Concurrency
//
// A Backend and all it made belong to one goroutine: arguments of a kernel and
// the order of a queue are shared state. Different backends are independent.
//
// # Errors
//
// Devices run behind the host: the fault of a kernel may surface at a later
// call that waits. Errors therefore name the call that failed and, where it
// waits, the operations enqueued since the last wait. They wrap an [Error].
package gpu
