// Package gpu computes a network's operations on an OpenCL device: a GPU, or a
// CPU through a driver such as PoCL. Its [Backend] implements
// [network.Backend] with the sources of package kernels.
//
// # Building
//
// OpenCL is reached through cgo. Where cgo is off, or with -tags nogpu, the
// package builds all the same, finds no device, and says why.
//
// # Self-test
//
// A driver can compile every kernel and compute wrong results. So [Backend.Propose] and
// [Backend.Prepare] first run the launches of the plan once, at their own sizes, on
// integers, and compare a sample of the results with exact ones. Launches that passed are
// remembered in [Options].Passes, by source and build options of the program, device,
// driver and sizes, and are not run again. Without Passes they are remembered for this
// process. [Options].Untested leaves the self-test out: the conformance suite judges the
// kernels itself.
//
// # Variants give way
//
// Where a kernel does not build or run, or gives a wrong result, Propose takes the next
// variant and tests that (package kernels):
//
//	whole iterations → one operation after the other
//	packed input → dense input
//	bytes → float32 input
//	register tile → tile in local memory → naive kernel
//
// [Options].Note is told so in one line. Where no variant of an operation passes, Propose fails, and names
// operation and device. Prepare replaces nothing: a plan is computed exactly or refused. The
// kernels of an update rule other than gd are tested on their first use, when the plan is
// fixed: where they fail, that is an error.
//
// # Isolation
//
// A driver can also end the process. [Options].Isolate runs the self-test in another
// process. There [Backend.SelfTest] does the work, and says beforehand what it is about to
// run. This package starts no process itself.
//
// # Precision
//
// Operands and sums are float32. With [Options].Precision the dense products are
// those of tensor cores, from operands rounded to TF32 or bfloat16, or split into three
// bfloat16 numbers each, which keeps float32's precision (kernels/matmul_tensor.cl).
// Sums have the bits of float32, and all else is float32. The self-test finds out whether
// a device has the instructions and multiplies integers right; another precision is
// never replaced by float32.
//
// # Streamed input
//
// Where a plan says so ([network.StreamedInput]), the rows of an input pass through a few slots of
// device memory. They stand in a file of [Options].Files in chunks of consecutive blocks, up to 8 MiB,
// never beyond a batch, each with the very bytes that buffers hold of an input whose rows are all on the device:
// the kernels and the results are the same. The file is made once for its key: a digest of the samples
// in their order, the blocks and the form. A chunk's checksum is compared when it is first used.
//
// Uploads have a queue and a goroutine of their own. Before a slot is used again it
// waits for the event of the last launch that used it, maps the slot's buffers, reads the chunk into them, and
// unmaps them. Meanwhile the device computes with other slots. Profiles have the uploads as an
// operation of their own, "upload". An input of less than [network.StreamBytes] is held.
//
// # Ownership
//
// A Backend owns its context, queue, programs and kernels. An executor of
// [Backend.Prepare] owns the buffers, inputs and recorders that it made, which may be
// closed before it. [Backend.Close] waits for the device and frees everything in the
// reverse order of its creation. Use after Close is [network.ErrClosed]. A Backend that
// is collected without Close is reported on standard error with the place where it was
// opened.
//
// # Concurrency
//
// A Backend and all it made belong to one goroutine at a time: the arguments of a kernel
// and the order of a queue are shared state. Uploads alone have their own queue and
// goroutine. Different backends are independent.
//
// # Errors
//
// Devices run behind the host: the fault of a kernel may surface at a later
// call that waits. Errors therefore name the call that failed and, where it
// waits, the operations enqueued since the last wait. They wrap an [Error].
package gpu
