package kernels

import (
	"fmt"
	"strings"
)

// outputGroup is the work-group of step_output, and updateGroup that of step_update
// (step_local.cl).
const (
	outputGroup = 128
	updateGroup = 256
)

// maxOutputClasses bounds the classes of step_output: a work-item does the softmax of a row.
const maxOutputClasses = 64

// An Output is how step_output computes a last layer: one that leaves room for its weights
// and for some rows of its input in local memory.
type Output struct {
	Inputs, Classes int
	Rows            int // of a work-group
}

// OutputOf returns how step_output computes a layer on a device with the given limits, and
// whether it can.
func OutputOf(inputs, classes int, l Limits) (o Output, can bool) {
	o = Output{Inputs: inputs, Classes: classes}
	for _, o.Rows = range []int{8, 4} {
		local := 4 * (o.Rows*(inputs+1) + inputs*classes + o.Rows*classes + 2*o.Rows)
		if int64(local) <= l.LocalMemory {
			return o, classes <= maxOutputClasses && l.WorkGroup >= outputGroup
		}
	}
	return o, false
}

// Program returns the program with the kernel step_output.
func (o Output) Program() Program {
	return Program{File: "step_local.cl", Options: fmt.Sprintf("-DOUTPUT -DINPUTS=%d -DCLASSES=%d -DROWS=%d -DGROUP_SIZE=%d", o.Inputs, o.Classes, o.Rows, outputGroup)}
}

// Group returns its work-group.
func (o Output) Group() int { return outputGroup }

// Scaled says what of the scaling of a first layer's input is held apart (affine.cl).
type Scaled int

// The values of Scaled.
const (
	AsItIs  Scaled = iota // nothing: the input holds scaled values
	Factors               // a factor for each feature
	Shifts                // and a shift
)

// UpdateGroup returns the work-group of step_update on a device with the given limits.
func UpdateGroup(l Limits) int { return l.Group(updateGroup) }

// StepUpdate returns the program with the kernel step_update, which works in groups of some
// work-items, for a network of the given sizes, of at most MaxStepLayers layers.
func StepUpdate(sizes []int, rule Rule, scaled Scaled, group int) Program {
	return Program{File: "step_local.cl", Options: fmt.Sprintf("-DRULE=%s -DAFFINE=%d -DGROUP_SIZE=%d", rule, scaled, group) + networkOptions(sizes)}
}

// networkOptions returns the options with the sizes of a network.
func networkOptions(sizes []int) string {
	var options strings.Builder
	fmt.Fprintf(&options, " -DLAYERS=%d", len(sizes)-1)
	for i, n := range sizes {
		fmt.Fprintf(&options, " -DN%d=%d", i, n)
	}
	return options.String()
}
