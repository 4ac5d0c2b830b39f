// Package network trains fully connected networks by full-batch gradient
// descent, on any [Backend].
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
// and descent is θ ← θ − α·g over one flat vector θ that holds every W and b
// (see [Layout]).
//
// # Shards and blocks
//
// A full-batch gradient is a sum over rows, so it can be taken in pieces. A
// [Trainer] holds a list of shards, each a backend with a range of the samples
// and its own parameters and gradient; every shard walks its rows block by
// block, and each block adds to the shard's gradient; then the shards'
// gradients are added in the order of the list. The activations of one block
// are all that is ever held of what is computed, so beside the input itself
// memory does not grow with the number of samples, and data can be divided among
// several devices.
//
// # The same bits every run
//
// Everything that decides the order of a sum stands in a [Plan]. The same plan,
// data, seed and settings give the same bits on the same device.
package network
