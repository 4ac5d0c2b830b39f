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
// use no local memory. The local variants share tiles of the operands through
// local memory. reduce.cl and update.cl serve all of them. peak.cl belongs to no
// network: it shows what a device comes to at best, for comparison.
//
// Tile shapes and other parameters stand at the top of each file, with their meaning.
// [Default] has those for a class of device, and where they come from. [Config] has all
// that a run uses, and is part of its plan. [Tile.Neighbours] and [StepTile.Neighbours] say
// which tiles a search (gpu.Tune) tries next.
//
// # Packed input
//
// On CPUs the first layer skips the zeros of the data (packed_register.cl). Four in five
// bytes of MNIST are 0. Rows are packed once, in groups, with the features that are not 0
// in all rows of the group. Where scaling leaves 0 at 0 (max, none), the sums have the bits
// of dense input. Where scaling moves 0 a little (standard, feature), the shift is taken
// out of the products: it is a term of rank one, added to the bias and to the weight
// gradient (affine.cl). Data that is mostly not 0 stays dense.
//
// # Whole iterations
//
// Where most bytes are 0, networks of up to [MaxStepLayers] layers on CPUs do not launch
// the operations one by one. step_register.cl does a block's forward pass, loss and
// derivatives in one launch, and its weight gradients, with the update where the block is a
// batch, in another. Its tiles are in step_tile.cl, and a [StepTile] has their sizes. The
// variants above are still what scoring uses, and what the results are judged by.
//
// On GPUs small batches are bound by the number of launches. step_local.cl does the last
// layer's products with the loss in one launch, and all updates in another; the other
// products are those above, in tiles that are small enough for every compute unit to get one
// ([Tile.Spread]). 784-128-10 then takes 5 launches an iteration in the place of 11. What that
// gains has not been measured yet; BenchmarkSmallBatch of package gpu compares both.
//
// # Update rules
//
// common.cl has the formula of each update rule once, as a macro, for update.cl and
// step_tile.cl.
//
// # Bytes
//
// On GPUs 8-bit data stays bytes where scaling leaves 0 near 0. That is a quarter of the
// memory. The scaling is taken out of the products in the same way.
//
// # Tensor cores
//
// matmul_tensor.cl is the local variant at another [Precision], for NVIDIA's tensor cores
// from sm_80 on. TF32 and BF16 round operands to 11 and 8 bits. BF16x3 splits each operand
// into three numbers of 8 bits and keeps the precision of float32. Sums have the bits of
// float32 always, though tensor cores cut off where others round. Without such a device the
// tests run the same kernel with its fragments multiplied by plain loops; so BF16x3 is
// held to every gate of float32, in the quick form of the suite.
//
// # Without a GPU
//
// No kernel has run on a GPU yet. All pass the conformance suite on PoCL, which runs them
// on a CPU. `make ptx` compiles those of a GPU's defaults with clang and assembles them
// with NVIDIA's ptxas for sm_90; a tile that spills registers fails the test. `make
// oclgrind` runs every kernel in a simulator that finds races, values that were never
// written, and accesses outside of buffers.
//
// # Indices
//
// Kernels index with 32-bit row and column numbers and 64-bit offsets.
package kernels
