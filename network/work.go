package network

import "fmt"

// The names of the operations that a layer's shape belongs to, as profiles give
// them.
const (
	OpForward        = "forward"
	OpWeightGradient = "weight_gradient"
	OpInputGradient  = "input_gradient"
	OpSoftmax        = "softmax"
	OpUpdate         = "update"

	// Parts of whole iterations ([Steps]): either the first two, or the others beside single
	// operations.
	OpStepRows    = "step_rows"    // forward, softmax, input gradients
	OpStepColumns = "step_columns" // weight gradients, update
	OpStepOutput  = "step_output"  // of the last layer: forward, softmax, input gradient
	OpStepUpdate  = "step_update"  // update
)

// OperationKey names an operation on a layer with n inputs and p outputs.
func OperationKey(op string, n, p int) string { return fmt.Sprintf("%s %dx%d", op, n, p) }

// SoftmaxKey names the loss over p classes.
func SoftmaxKey(p int) string { return fmt.Sprintf("%s %d", OpSoftmax, p) }

// Work is how much an operation takes in one iteration, counted from its shapes.
type Work struct {
	Operation string
	Flops     float64
	Bytes     float64
}

// Work returns the operations of one iteration over rows samples, in elements of
// width bytes. Layers of one shape are counted together.
//
// Counted is what the formula needs, however a backend computes it:
//
//   - Flops are two for each multiply-add of a matrix product, and none for what
//     is done once an element (biases, activations, softmax, update). A product
//     that skips zeros, as those of packed input do, counts as the dense product
//     it replaces.
//   - Bytes are those of a device with a perfect cache for one operation, and the
//     whole batch as one block: every operand is read once, every result written
//     once, and a result that is added to is read as well. All elements count as
//     width bytes, those of the input too, and labels as 4. The update counts as that
//     of plain descent, which reads θ and g and writes θ; a rule reads and writes each
//     vector of its state besides ([Rule.States]).
func (l Layout) Work(rows, width int) []Work {
	var all []Work
	add := func(operation string, flops, elements, bytes float64) {
		bytes += elements * float64(width)
		for i := range all {
			if all[i].Operation == operation {
				all[i].Flops += flops
				all[i].Bytes += bytes
				return
			}
		}
		all = append(all, Work{operation, flops, bytes})
	}
	m := float64(rows)
	shape := func(i int) (n, p float64) { return float64(l.Sizes[i]), float64(l.Sizes[i+1]) }
	last := l.Layers() - 1
	for i := range l.Layers() {
		n, p := shape(i)
		add(OperationKey(OpForward, l.Sizes[i], l.Sizes[i+1]), 2*m*n*p, m*n+(n+1)*p+m*p, 0)
	}
	_, classes := shape(last)
	add(SoftmaxKey(l.Sizes[last+1]), 0, 2*m*classes, 4*m)
	for i := last; i >= 0; i-- {
		n, p := shape(i)
		add(OperationKey(OpWeightGradient, l.Sizes[i], l.Sizes[i+1]), 2*m*n*p, m*n+m*p+2*(n+1)*p, 0)
		if i > 0 {
			// dz and W, the layer's input as a mask, and the result.
			add(OperationKey(OpInputGradient, l.Sizes[i], l.Sizes[i+1]), 2*m*n*p, m*p+n*p+2*m*n, 0)
		}
	}
	add(OpUpdate, 0, 3*float64(l.Parameters()), 0)
	return all
}

// Flops returns the floating-point operations of one loss and gradient over rows
// samples, as [Layout.Work] counts them.
func (l Layout) Flops(rows int) float64 {
	sum := 0.0
	for _, w := range l.Work(rows, 0) {
		sum += w.Flops
	}
	return sum
}
