// Package network trains fully connected networks by gradient descent, on any
// [Backend]. A batch is the whole training set, or a part of it. Package classifier does in a
// few lines what most programs need of it.
//
// # The network
//
// A network with sizes n₀, n₁, …, n_L has L layers. A row is a sample:
//
//	h₀ = x                             m × n₀
//	h_l = max(0, h_{l-1}·W_l + b_l)    m × n_l,  l = 1 … L−1
//	z = h_{L-1}·W_L + b_L              m × n_L   (the logits)
//	loss = 1/m · Σᵢ (log Σⱼ exp zᵢⱼ − z_{i,yᵢ})
//
// W_l is n_{l-1}×n_l and b_l has n_l entries. The loss is the cross-entropy of
// softmax(z) with the labels y, in nats a sample. The gradient follows from
//
//	dz_L = (softmax(z) − onehot(y)) / m
//	dW_l = h_{l-1}ᵀ·dz_l,  db_l = Σ rows of dz_l
//	dz_{l-1} = (dz_l·W_lᵀ) ⊙ [h_{l-1} > 0]
//
// and plain descent is θ ← θ − α·g over one flat vector θ that holds every W and b
// (see [Layout]). Other rules, some with a state from one update to the next, stand in
// [Rule]. [LBFGS] among them takes the loss and the gradient of the whole training set, at
// several θ an iteration, and computes its direction on the host in float64. A [Schedule]
// may change α from one iteration to the next.
//
// # Plans, batches, shards and blocks
//
// [NewPlan] divides the rows into batches, and each batch into one slice a backend; the slices
// are equal, or as [Plan.Share] makes them.
// For full-batch descent there is one batch of all rows. Each update uses one batch, and
// m in the formulas is the number of its rows; the last batch may be shorter. An epoch
// visits every batch once, in order, or in an order drawn from the plan's seed and the
// number of the epoch.
//
// [NewOrderedPlan] first puts the rows in another [Order], once for the whole run: a
// random one, or one that brings rows with the same zeros together, which makes packed
// input smaller. In [Spread] the groups of such rows are in random order, so that slices
// of a batch take equal time. What is scored or predicted keeps its own order.
//
// A [Trainer] has one shard for each backend: the backend's slice of every batch, its
// own parameters and its own gradient. A shard computes a slice block by block and adds
// up the gradients of the blocks. Only the activations of one block are held. So memory
// beside the input does not grow with the number of samples.
//
// Each shard computes on a goroutine of its own, so several devices work at the same
// time. A Trainer itself belongs to one goroutine. With one shard the trainer starts up to
// 64 iterations, or 50 ms of work, before it waits for the device and reports them.
//
// An executor may do whole blocks at once, where its plan says so ([Stepper]). A batch that is
// one block is then two launches on a CPU under OpenCL, and a few on a GPU.
//
// # Data larger than memory
//
// The features of [Samples] may be those of a mapped file (package mapped), and an order or a part
// of them is an index, not a copy ([Samples.Select]). A plan may have a backend stream its input
// ([StreamedInput]); the trainer then says which batches come next ([StreamedBlocks]). So
// a run holds labels and indices of all rows, 4 bytes each a few times over, and the features of some blocks.
//
// # Sums over shards and processes
//
// With several shards the gradients are added in the order of the shards, in float64 on
// the host. One shard then updates the parameters, and all others copy the result.
// Shards never update on their own, because backends round an update differently.
//
// An iteration lasts as long as the slowest shard takes for its slice, and then as long as
// gradients and parameters take to the host and back, n elements of float32 each:
//
//	T = max_i (rows_i / speed_i) + T_exchange(n)
//
// So rows_i should be in proportion to speed_i ([Speeds]). On two PoCL devices with a thread
// each, 784-128-10 takes 0.8 ms for T_exchange, where an iteration over 60000 rows takes 42 ms, and 82
// on one of them. On cores that have other work too, the later shard is delayed by some ms
// in most iterations: 48 ms. For a batch that one device does in 2 ms, there is nothing to gain.
//
// A [Reducer] does the same for shards in several processes. Each element of θ has one
// owner, the process that adds its gradient and updates it. What the processes know of
// the iterations, the wish to stop and failures go through the Reducer too. Package mpi has
// one over MPI.
//
// # The same bits every run
//
// A [Plan] holds everything that decides the order of a sum: batches, slices, blocks,
// device, driver, build and the backend's own settings. [Backend.Prepare] takes it
// exactly as it stands, or returns an error. The same plan, data, initial parameters,
// rule, learning rate and schedule give the same bits on the same device. So does a run
// that goes on from its parameters and its optimizer's [State].
//
// # Failures
//
// A descent that fails on its way leaves parameters that belong to no finished iteration.
// Whatever would use them then returns [ErrUnsettled], until new ones are set. Where one of
// several devices fails to compute its gradient, the parameters stay those of the iteration
// before, and are known as long as the first device can be read. A trainer without
// parameters returns [ErrNoParameters].
package network
