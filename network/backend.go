package network

import (
	"errors"
	"fmt"
	"slices"
	"time"
)

// A Backend is a device that can compute a network's operations. It knows nothing
// of networks, data sets or flags.
//
// How it computes is fixed once, by a plan: [Backend.Propose] makes one, changing
// nothing, and [Backend.Prepare] returns the [Executor] that computes exactly so. A
// backend can have several executors at a time.
//
// # Concurrency
//
// A Backend, its executors and all they made belong to one goroutine at a time.
type Backend interface {
	// Info says what the backend runs on.
	Info() Info

	// Propose says how this backend would run a network of the given sizes on
	// these samples in batches of at most batchRows rows: rows of a block, kernel
	// variants, splits, the form of the input. The plan's slice is a whole batch.
	// Asked again it proposes the same plan. Where the samples have no room in its
	// memory the plan has them streamed.
	Propose(sizes []int, s Samples, batchRows int) (ShardPlan, error)

	// Prepare returns an executor that computes exactly as the plan says, for a
	// network of the given sizes, or reports in one line why this backend cannot
	// (another device, driver or build, unknown settings).
	Prepare(sizes []int, plan ShardPlan) (Executor, error)

	// Close waits for the device and frees everything that the backend and its
	// executors made. Closing twice does nothing; any other use afterwards is
	// [ErrClosed].
	Close() error
}

// ErrClosed reports the use of a closed backend, executor, buffer, input or recorder.
var ErrClosed = errors.New("closed")

// An Executor computes the operations of a network as one plan says. Each verb is
// one formula, for operands of any shape.
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
// # Order
//
// Verbs that return nothing but an error may only enqueue their work: it is done after
// [Executor.Read] or [Executor.ReadRecords]. Verbs take effect in the order of
// their calls.
//
// # Errors and panics
//
// Whatever a device, a driver or a size can cause is a returned error that
// names the operation. Shapes that do not fit each other, or a buffer of
// another executor, are mistakes of the calling code and panic with a constant
// string.
type Executor interface {
	// Load brings samples to the device in blocks of the given numbers of rows,
	// which are all rows together. Where the plan has them streamed
	// ([ShardPlan.Streams]) they are to stay as they are until the input is closed;
	// otherwise they are not needed after it returns.
	Load(s Samples, blocks []int) (Input, error)

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

	// NewRecorder makes a recorder with the given number of records, all zero.
	NewRecorder(records int) (Recorder, error)

	// ReadRecords waits for all earlier work and copies the records
	// first … first+len(dst)−1 to dst. nonFinite is the first iteration that an
	// Update reported as not finite since the recorder was made, 0 if none was.
	ReadRecords(r Recorder, first int, dst []Record) (nonFinite int, err error)

	// Forward computes h = act(x·W + b): x is B×n, w n×p, b 1×p, h B×p.
	Forward(x Rows, w, b Matrix, act Activation, h Matrix) error

	// SoftmaxCrossEntropy replaces the logits z (B×p) of a block of an input by
	// the loss's derivative dz = (softmax(z) − onehot(y))/m, and sets one record
	// to Σ (log Σⱼ exp zᵢⱼ − z_{i,yᵢ}) over the block's rows and to the number of
	// rows whose largest logit (the lowest class among equals) is the label's. m
	// is the number of rows of the whole batch. Labels are within 0 … p−1
	// ([Samples.Check]); an input without labels is [ErrNoLabels].
	SoftmaxCrossEntropy(z Matrix, y Block, m int, r Recorder, record int) error

	// WeightGradient computes the gradient of a layer: dW = xᵀ·dz and db = Σ rows
	// of dz, with x B×n, dz B×p, dw n×p, db 1×p. With add, BLAS's β = 1, both are
	// added to what dw and db hold; without, that does not matter.
	WeightGradient(x Rows, dz Matrix, add bool, dw, db Matrix) error

	// InputGradient computes dx = (dz·Wᵀ) ⊙ [x > 0]: dz is B×p, w n×p, x and dx
	// B×n, x being the layer's input, the ReLU output of the layer before. dx
	// may be x itself.
	InputGradient(dz, w, x, dx Matrix) error

	// Update applies a rule to θ by its gradient g and its state, vectors of one
	// length. Where an element of g, of the state or of θ is not finite afterwards,
	// the recorder remembers u.Iteration, unless it remembers one already. state has
	// u.States() vectors; g is left as it is.
	Update(u Update, theta, g Vector, state []Vector, r Recorder) error

	// Close frees everything that the executor made.
	Close() error
}

// A Buffer is device memory for a number of elements of the backend's
// precision. The executor that made it frees it on Close at the latest.
type Buffer interface {
	// Len returns the number of elements.
	Len() int
	// Close frees the memory.
	Close() error
}

// An Input is a set of samples that an executor holds in a form of its own,
// handed out in blocks.
type Input interface {
	// Features returns the number of features of a sample.
	Features() int
	// Blocks returns the number of rows of each block. It is not to be changed.
	Blocks() []int
	// Close frees the memory.
	Close() error
}

// A RefillableInput is an Input whose rows may be replaced without new memory: for rows that
// come a few at a time (serving, predicting).
type RefillableInput interface {
	Input
	// Refillable reports whether this input can be refilled: it was loaded in one block, and
	// is not streamed.
	Refillable() bool
	// Refill replaces the rows by those of s, which are one block from then on, and are not needed
	// after it returns. s has at most as many rows as were loaded, with the same
	// features and scaling, like those as bytes or as floats, and with labels if
	// those had some. Other samples are an error that changes nothing; any other error
	// closes the input.
	Refill(s Samples) error
}

// CheckRefill reports what [RefillableInput].Refill does not take. like are the samples that were
// loaded ([Samples.Kind]), and x is their input.
func CheckRefill(x RefillableInput, like, s Samples) error {
	switch err := s.Check(0); {
	case err != nil:
		return err
	case !x.Refillable():
		return errors.New("the input is streamed, or has several blocks")
	case s.Rows > like.Rows || s.Features != like.Features:
		return fmt.Errorf("%d rows of %d features where the input has room for %d of %d", s.Rows, s.Features, like.Rows, like.Features)
	case (s.Bytes == nil) != (like.Bytes == nil) || (s.Labels == nil) != (like.Labels == nil):
		return errors.New("the rows are not like those that were loaded: bytes or floats, with labels or without")
	case !slices.Equal(s.Scaling.Shift, like.Scaling.Shift) || !slices.Equal(s.Scaling.Factor, like.Scaling.Factor):
		return errors.New("the scaling is not the one of the rows that were loaded")
	}
	return nil
}

// An AffineInput is an Input that can say whether it holds its features in two
// parts, x = y + z with z the same in every row (the scaled value of a raw 0), and
// gets its products from those of either part. Their rounding errors are then
// bounded as those of Σ y·w + Σ z·w, where |y| + |z| may exceed |x|.
type AffineInput interface {
	Input
	// Affine reports whether this input is held so.
	Affine() bool
}

// A Recorder is device memory for the results of a training run: records of loss
// and correct rows, and the first iteration that was not finite.
type Recorder interface {
	// Close frees the memory.
	Close() error
}

// A Record is what SoftmaxCrossEntropy counts over the rows of a block.
type Record struct {
	Loss    float64 // summed over the rows, in nats
	Correct int     // rows whose largest logit is that of the label
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
	Driver       string  `json:"driver"`        // driver or platform with its version
	Build        string  `json:"build"`         // what else decides the bits of a sum: the digest of kernels, or what Go compiled for
	ComputeUnits int     `json:"compute_units"` // cores or compute units
	Memory       int64   `json:"memory_bytes"`  // memory of the device in bytes, 0 if unknown
	MaxBuffer    int64   `json:"max_buffer"`    // largest single buffer in bytes, 0 if unlimited
	Roundoff     float64 `json:"roundoff"`      // unit roundoff u of the arithmetic: 2⁻²⁴ or 2⁻⁵³

	// OperandRoundoff is the unit roundoff of what the operands of matrix products are
	// rounded to, where that is coarser: 2⁻¹¹ for TF32, 2⁻⁸ for bfloat16, otherwise 0.
	OperandRoundoff float64 `json:"operand_roundoff,omitempty"`
}

// A Profiler is a Backend that can say how long its operations took.
type Profiler interface {
	// StartProfile waits for all earlier work and has the time of every operation be
	// taken from here on, which slows some devices down.
	StartProfile() error

	// Profile waits for all earlier work and returns the time of each operation
	// since StartProfile or the last call, in the order in which they first ran.
	Profile() ([]OperationTime, error)
}

// OperationTime is the time of one operation of a Profiler: the device's own, or
// the wall time of verbs whose work is done when they return.
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
	// Probe runs rounds rounds of work that nothing but the peak p limits, and
	// returns how much work that is in all, operations or bytes, and how long it
	// took. Memory that it needs is kept until Close.
	Probe(p Peak, rounds int) (work float64, took time.Duration, err error)
}

// A MemoryMeter is a Backend that knows the memory it holds.
type MemoryMeter interface {
	// MemoryHeld returns the bytes of everything that was made and not closed.
	MemoryHeld() int64
}
