// Package mpi joins processes on one machine or many into one training run, over MPI: a
// [World] is what they exchange through, a [Reducer] adds their gradients. With -tags mpi it
// uses Open MPI, through cgo; without, [Init] and [Built] return an error that says how to build.
//
// # Order
//
// MPI may add in any order, so it adds nothing here. Each rank owns a slice of θ. In a step
//
//	MPI_Alltoallv   rank i sends rank j slice j of its gradient
//	                rank j adds what it got in the order of the ranks, in float64, and
//	                updates its slice of θ
//	MPI_Allgatherv  every rank gets all slices of θ
//
// That is the traffic of a ring's all-reduce with the bits of a sequential sum: the same run twice
// is the same bits, and one rank is one process. Other numbers of ranks differ by rounding.
//
// # Failures
//
// The first word of each message says whether its sender failed, so every rank learns of it in the
// exchange that it is in anyhow, and none is left waiting. Whether a rank wants to stop, or
// left the finite numbers, goes with the losses. MPI's own errors come back with the name of the
// call and the rank. A rank that dies says nothing: its launcher ends the others.
//
// # Threads, signals, memory
//
// One goroutine, locked to its thread, makes all calls (MPI_THREAD_FUNNELED). Open MPI and
// UCX, a library under it, would take the signals of faults from Go, for which a nil pointer is a
// panic: [Init] keeps them from it, unless UCX_ERROR_SIGNALS or OMPI_MCA_opal_signal is set.
// Buffers that the gradients go through are C's, because network cards may remember where they
// are. A rank that waits yields the processor, and one that waits long sleeps.
//
// # A model of scaling
//
// A step of N ranks over a batch of B rows, with P parameters of 4 bytes, takes about
//
//	T(N, B) = f + r·B/N + [ 2·(N−1)·α + 8·P·(N−1)/(N·β) + h·P ]      [ ] is 0 for N = 1
//
// (model_test.go): f is what a step costs whatever its rows, r a row, α a message, β the bytes a second
// each way, h what the host does with an element (it is read from the device, converted,
// added and written back). 8·P is the gradient once and the parameters once.
//
// Measured on two cores of an AMD EPYC (Zen 3), 784-128-10, whose layout has P = 102,544, on
// the backend cpu with one core a rank, by BenchmarkExchange and by
//
//	GOMAXPROCS=1 mpirun --oversubscribe --bind-to none -n N clgrad train --backend cpu --batch-size B
//
// gave r = 13.6 µs and f ≈ 0 from one rank's batches of 256 and 4096. The exchange, over shared
// memory, took 0.06 ms for 1,024 elements, 0.52 ms for 101,776 and 7.0 ms for 1,048,576 with
// two ranks (27 µs a message, and 0.9 GB/s, most of which is h: about 5 ns an element); 0.23,
// 1.2 and 14.0 ms with four ranks on the two cores. Milliseconds of a step, measured (predicted):
//
//	batch       1 rank    2 ranks         4 ranks on 2 cores
//	   256       3.46      2.45 (2.27)      4.53 (2.97)
//	 4,096      55.8      32.1 (28.4)      39.7 (29.1)
//	60,000       772       427 (409)        478 (410)
//
// Two cores share a memory bus, and four ranks on two cores wait for each other's turns: neither
// is in the model. From there on nothing is measured. Extrapolated, how many times as fast as
// one rank (TestModelTables prints these tables):
//
//	machines with two cores, r = 6.8 µs, h = 5 ns, over TCP at 25 Gbit/s (α = 20 µs, β = 3 GB/s)
//	batch          2      8     64   1000 ranks    most at
//	      256    1.1    1.4    0.5    0.0             6 ranks
//	    1,024    1.7    3.7    2.0    0.2            13
//	    4,096    1.9    6.2    7.5    0.7            27
//	   16,384    2.0    7.4   22.1    2.7            55
//	   65,536    2.0    7.9   43.4   10.8           108
//	   60,000    2.0    7.8   42.1    9.9           100 (MNIST, all rows)
//	6,000,000    2.0    8.0   63.7    500          1000
//
//	GPUs at 67 TFLOP/s (r = 6.1 ns, f = 50 µs): 8 in one machine, α = 5 µs, β = 10 GB/s; and 1,000
//	machines with one each, α = 20 µs, β = 3 GB/s
//	batch       8 GPUs   8 machines    64    1000    most at
//	   65,536     0.6       0.4       0.1     0.0      1 rank
//	6,000,000     6.9       6.5       9.3     0.9     30 machines
//
// Smaller batches on such GPUs do not pay either: they are 0.2 times as fast, or less.
//
// It stops paying for two reasons. First the sum: a rank has to compute about as long as it
// exchanges, so more ranks help while each has more rows of a batch than
//
//	b = (8/β + h)·P / r
//
// Both r and the exchange grow with P, so b depends on the machine and hardly on the network: 120 rows
// for the two cores above, 100,000 for such a GPU, whose gradient takes a way over the host's
// memory that is some thousand times slower than its arithmetic. Second the messages: 2·(N−1)·α grows
// with the ranks. At 1,000 of them it is 40 ms, whatever the network, and the best N is about
// √(r·B / 2α). So 1,000 machines are for full batches of millions of rows, and a batch of 256
// is for one device, or a handful of small machines.
package mpi
