package network

// A Stepper is an [Executor] that can do whole iterations, where its plan says so.
type Stepper interface {
	Executor
	// NewSteps prepares whole iterations of a network over the blocks of x, which was
	// loaded from the samples s. It returns nil where the plan has none.
	NewSteps(l Layout, s Samples, x Input) (Steps, error)
}

// Steps do for a block what the executor's verbs do together: Forward, SoftmaxCrossEntropy,
// WeightGradient and InputGradient of all layers, and Update. Results are theirs but for the
// order of sums. θ, the gradient and the state are whole buffers in the network's layout.
type Steps interface {
	// Begin takes over θ. It is called before the first use, and whenever θ was set by
	// other means since the last Step.
	Begin(theta Buffer) error

	// Evaluate sets one record to loss and correct rows of a block, as part of a batch of m
	// rows, and g to the gradient, which with add is added to what g holds.
	Evaluate(b Block, m int, theta, g Buffer, add bool, r Recorder, record int) error

	// Step is Evaluate for a block that is a whole batch, and an update of θ and the state by
	// the gradient, to the bit that of Evaluate, which is not kept. Weights that nothing
	// changes may be passed over, and with them what is not finite there.
	Step(u Update, b Block, theta Buffer, state []Vector, r Recorder, record int) error

	// Close frees the memory.
	Close() error
}

// Stages are Steps whose results on the way can be looked at: the conformance suite judges
// each of them by the ones before.
type Stages interface {
	Steps
	// Stages returns, of the last block, the outputs h_l of the hidden layers and the
	// derivatives dz_l of the sums of all layers, B×n_l. They are valid until the next call.
	Stages(b Block) (h, dz []Matrix)
}

// CheckSteps panics unless the vectors are whole buffers in the layout.
func CheckSteps(l Layout, vectors ...Vector) {
	for _, v := range vectors {
		if v.Offset != 0 || v.Len != l.Len || v.Buffer.Len() != l.Len {
			panic(badShape)
		}
	}
}

// CheckNewSteps panics unless the input has as many features as the network has inputs.
func CheckNewSteps(l Layout, x Input) {
	if x.Features() != l.Sizes[0] {
		panic(badFeatures)
	}
}
