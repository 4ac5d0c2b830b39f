package network

import "time"

// A Backend computes a network's operations on one device. It knows nothing of
// networks, data sets or flags: each verb is one formula.
//
// # Matrices
//
// Matrices are row-major views of a [Buffer] (see [Matrix]); a row is a sample.
// B is the number of rows of the operands at hand, n and p the inputs and
// outputs of a layer. The elements between a row's last column and its stride
// are padding: in every operand, the result included, they are zero when a verb
// is called and zero when it is done. Nothing outside the view is written.
// Strides and offsets are multiples of [Align].
//
// # Errors and panics
//
// Whatever a device, a driver or a size can cause is a returned error that
// names the operation. Shapes that do not fit each other, or a buffer of
// another backend, are mistakes of the calling code and panic with a constant
// string.
//
// # Concurrency
//
// A Backend and all it made belong to one goroutine. Verbs that return no value
// may only enqueue their work: results are there after [Backend.Read],
// [Backend.ReadTally] or the Wait of a later [Backend.Mark]. Verbs take effect
// in the order of their calls.
type Backend interface {
	// Info says what the backend runs on.
	Info() Info

	// DefaultPlan proposes how this backend would run a network of the given
	// sizes on these samples: block rows, kernel variants, splits, the form of
	// the input. The shard's range is all of them.
	DefaultPlan(sizes []int, s Samples) (ShardPlan, error)

	// Configure makes the backend compute exactly as the plan says from here
	// on, or reports in one line why it cannot (another device or driver,
	// unknown settings). Without a call the backend uses its defaults.
	Configure(ShardPlan) error

	// Load brings samples to the device in blocks of blockRows rows (the last
	// may be shorter). The samples are not needed after it returns.
	Load(s Samples, blockRows int) (Input, error)

	// NewBuffer makes a zeroed buffer of the given number of elements.
	NewBuffer(elements int) (Buffer, error)

	// Write sets dst[offset:offset+len(src)] to src, rounded to the backend's
	// precision.
	Write(dst Buffer, offset int, src []float64) error

	// Read waits for all earlier work and copies src[offset:offset+len(dst)]
	// to dst.
	Read(src Buffer, offset int, dst []float64) error

	// Clear sets every element of b to zero.
	Clear(b Buffer) error

	// NewTally makes a tally with the given number of records, all zero.
	NewTally(records int) (Tally, error)

	// ReadTally waits for all earlier work and copies the records
	// first … first+len(dst)−1 to dst. nonFinite is the first iteration that an
	// Update reported as not finite since the tally was made, 0 if none was.
	ReadTally(t Tally, first int, dst []Record) (nonFinite int, err error)

	// ForwardInput computes h = act(x·W + b) for one block of the input:
	// x is B×n, w n×p, b 1×p, h B×p.
	ForwardInput(x Input, block int, w, b Matrix, act Activation, h Matrix) error

	// Forward computes h = act(x·W + b): x is B×n, w n×p, b 1×p, h B×p.
	Forward(x, w, b Matrix, act Activation, h Matrix) error

	// SoftmaxCrossEntropy replaces the logits z (B×p) of one block of the input
	// by the loss's derivative dz = (softmax(z) − onehot(y))/m, and sets one
	// record of the tally to Σ (log Σⱼ exp zᵢⱼ − z_{i,yᵢ}) over the block's rows
	// and to the number of rows whose largest logit (the lowest class among
	// equals) is the label's. m is the number of samples of the whole batch.
	// Labels are within 0 … p−1 ([Samples.Check]); an input without labels is
	// [ErrNoLabels].
	SoftmaxCrossEntropy(z Matrix, x Input, block, m int, t Tally, record int) error

	// WeightGradientInput adds to the gradient of the first layer:
	// dW += xᵀ·dz and db += Σ rows of dz, with x (B×n) one block of the input,
	// dz B×p, dw n×p, db 1×p.
	WeightGradientInput(x Input, block int, dz, dw, db Matrix) error

	// WeightGradient adds to the gradient of a layer: dW += xᵀ·dz and
	// db += Σ rows of dz, with x B×n, dz B×p, dw n×p, db 1×p.
	WeightGradient(x, dz, dw, db Matrix) error

	// InputGradient computes dx = (dz·Wᵀ) ⊙ [x > 0]: dz is B×p, w n×p, x and dx
	// B×n, x being the layer's input, the ReLU output of the layer before. dx
	// may be x itself.
	InputGradient(dz, w, x, dx Matrix) error

	// Update computes θ −= α·g over two buffers of one length. Where an element
	// of g or of the new θ is not finite, the tally remembers the iteration,
	// unless it remembers one already. iteration counts from 1.
	Update(theta, g Buffer, alpha float64, iteration int, t Tally) error

	// Mark sets a marker behind all work so far.
	Mark() (Marker, error)

	// Close waits for the device and frees everything that the backend made.
	// Using the backend afterwards is an error.
	Close() error
}

// A Buffer is device memory for a number of elements of the backend's
// precision. The backend that made it frees it on Close at the latest.
type Buffer interface {
	// Len returns the number of elements.
	Len() int
	// Close frees the memory.
	Close() error
}

// An Input is a set of samples that a backend holds in a form of its own,
// handed out in blocks.
type Input interface {
	// Rows returns the number of samples, all blocks together.
	Rows() int
	// Features returns the number of features of a sample.
	Features() int
	// BlockRows returns the number of rows of every block but the last, as Load
	// was asked for.
	BlockRows() int
	// Close frees the memory.
	Close() error
}

// A FoldedInput is an Input that can say whether it holds its features in two
// parts, x = y + z with z the same in every row (the scaled value of a raw 0), and
// gets its products from those of either part. Their rounding errors are then
// bounded as those of Σ y·w + Σ z·w, where |y| + |z| may exceed |x|.
type FoldedInput interface {
	Input
	// Folded reports whether this input is held so.
	Folded() bool
}

// A Tally is device memory for the results of a training run: records of loss
// and correct rows, and the first iteration that was not finite.
type Tally interface {
	// Close frees the memory.
	Close() error
}

// A Record is what SoftmaxCrossEntropy counts over the rows of a block.
type Record struct {
	Loss    float64 // summed over the rows, in nats
	Correct int     // rows whose largest logit is that of the label
}

// A Marker stands behind the work that was enqueued before it.
type Marker interface {
	// Wait blocks until that work is done and returns when it was seen to be.
	// It is called once.
	Wait() (time.Time, error)
}

// An Activation is what a layer applies to each of its sums.
type Activation int

// The activations. ReLU(x) is x < 0 ? 0 : x, so that a NaN stays one.
const (
	Identity Activation = iota
	ReLU
)

// Info describes a backend and its device.
type Info struct {
	Backend      string  `json:"backend"`       // the name that selects it: "cpu", "cpu64", "opencl:0.0"
	Device       string  `json:"device"`        // the device's own name
	Driver       string  `json:"driver"`        // driver, library or platform with its version
	ComputeUnits int     `json:"compute_units"` // cores or compute units
	Memory       int64   `json:"memory_bytes"`  // memory of the device in bytes, 0 if unknown
	MaxBuffer    int64   `json:"max_buffer"`    // largest single buffer in bytes, 0 if unlimited
	Roundoff     float64 `json:"roundoff"`      // unit roundoff u of the arithmetic: 2⁻²⁴ or 2⁻⁵³

	// OperandRoundoff is the unit roundoff of what the operands of matrix products are
	// rounded to, where that is coarser: 2⁻¹¹ for TF32, 2⁻⁸ for bfloat16, otherwise 0.
	OperandRoundoff float64 `json:"operand_roundoff,omitempty"`
}

// A Profiler is a Backend that can say how long its operations took. Backends
// offer it where they were opened with profiling.
type Profiler interface {
	// Profile waits for all earlier work and returns the time of each operation
	// since the last call, in the order in which they first ran.
	Profile() ([]OperationTime, error)
}

// OperationTime is the time of one operation of a Profiler: the device's own, or
// the wall time of verbs that work before they return.
type OperationTime struct {
	// Operation is an operation of [Layout.Work], which may say its form before
	// its shape ("forward packed 784x128"), or one of the backend's own.
	Operation string        `json:"operation"`
	Launches  int           `json:"launches"`
	Total     time.Duration `json:"nanoseconds"`
}

// A Peak is something that a device is limited by.
type Peak int

// The peaks.
const (
	Arithmetic Peak = iota // floating-point operations in the backend's precision
	Bandwidth              // bytes read and written, of buffers larger than caches
)

// A Prober is a Backend that can show what its device comes to at best, to
// compare operations with.
type Prober interface {
	// Probe enqueues rounds rounds of work that nothing but the peak p limits, and
	// returns how much work that is in all: operations or bytes. Memory that it
	// needs is kept until Close.
	Probe(p Peak, rounds int) (work float64, err error)
}

// A MemoryMeter is a Backend that knows the memory it holds.
type MemoryMeter interface {
	// MemoryHeld returns the bytes of everything that was made and not closed.
	MemoryHeld() int64
}
