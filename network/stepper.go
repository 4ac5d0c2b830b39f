package network

// A Stepper is an [Executor] that can do whole iterations, where its plan says so.
type Stepper interface {
	Executor
	// NewSteps prepares whole iterations of a network over the blocks of x, which was
	// loaded from the samples s, each block being a batch. It returns nil where the plan
	// has none.
	NewSteps(l Layout, s Samples, x Input) (Steps, error)
}

// Steps are whole iterations. Their result is that of the executor's verbs but for the order
// of sums; the gradient is not to be had.
type Steps interface {
	// Begin is called before the first Step of a rule, and whenever θ was set by other
	// means since the last Step.
	Begin(r Rule, theta Buffer) error

	// Step computes loss and gradient of a block, which is a whole batch, and updates
	// θ and the state by it, as Forward, SoftmaxCrossEntropy, WeightGradient, InputGradient
	// and Update would together. One record is set.
	Step(u Update, b Block, theta Buffer, state []Vector, r Recorder, record int) error

	// Close frees the memory.
	Close() error
}
