package gpu

import (
	"unsafe"

	"clgrad/kernels"
	"clgrad/network"
)

// setAffine brings factors and shifts to the device, none of none.
func (x *input) setAffine(affine [][2]float32) (err error) {
	if affine == nil {
		return nil
	}
	for _, f := range affine {
		x.shifted = x.shifted || f[1] != 0
	}
	if x.affine, err = x.e.buffer("scaling of features", 8*len(affine)); err != nil {
		return err
	}
	return x.e.s.write(x.affine, 0, unsafe.Pointer(&affine[0]), 8*len(affine))
}

// affineWeights returns weights and bias for what the input holds: those that are given
// where it holds scaled values.
func (e *executor) affineWeights(x *input, w, bias operand) (operand, operand, error) {
	if x.affine == nil {
		return w, bias, nil
	}
	cols := network.AlignUp(w.cols)
	scaled := operand{rows: w.rows, cols: w.cols, stride: cols}
	o, err := e.scratch(&e.affine, "weights with the scaling", w.rows*cols)
	if err != nil {
		return w, bias, err
	}
	scaled.o = o
	if x.packed == nil {
		if err = e.scaleWeights(x, w, scaled); err == nil && x.shifted {
			bias, err = e.shiftedBias(x, w, bias)
		}
		return scaled, bias, err
	}
	if o, err = e.scratch(&e.affineBias, "bias with the scaling", cols); err != nil {
		return w, bias, err
	}
	l, err := e.affineLaunch("affine_weights", w, false, e.group(affineCols))
	if err != nil {
		return w, bias, err
	}
	a := e.arguments().ints(w.rows, cols).buffers(x.affine).matrix(w).at(bias.o, bias.offset).matrix(scaled).at(o, 0)
	return scaled, operand{o: o}, l.run(a, cols)
}

// affineLaunch returns the launch of a kernel of affine.cl.
func (e *executor) affineLaunch(kernel string, w operand, exact bool, local ...int) (*launch, error) {
	return e.launch(launchKey{kernel: kernel, operation: kernel, n: w.rows, p: w.cols}, exact,
		func() (kernels.Program, []int) { return kernels.Affine(e.affineGroup()), local })
}

// affineGroup is the work-group of affine_bias: as large as that of other sums.
func (e *executor) affineGroup() int { return max(affineCols, e.config.RecordGroup) }

// scaleWeights enqueues to = f ⊙ w, f being the factors of an input that is not packed.
func (e *executor) scaleWeights(x *input, w, to operand) error {
	l, err := e.affineLaunch("scale_weights", w, false, e.group2()...)
	if err != nil {
		return err
	}
	cols := network.AlignUp(w.cols)
	return l.run(e.arguments().ints(w.rows, cols).buffers(x.affine).matrix(w).matrix(to), cols, w.rows)
}

// shiftedBias enqueues bias + z·W, z being the shifts of an input that is not packed, and
// returns where it stands.
func (e *executor) shiftedBias(x *input, w, bias operand) (operand, error) {
	cols, size := network.AlignUp(w.cols), e.affineGroup()
	o, err := e.scratch(&e.affineBias, "bias with the scaling", cols)
	if err != nil {
		return bias, err
	}
	l, err := e.affineLaunch("affine_bias", w, true, affineCols, size/affineCols)
	if err != nil {
		return bias, err
	}
	a := e.arguments().ints(w.rows, cols).buffers(x.affine).matrix(w).at(bias.o, bias.offset).at(o, 0)
	return operand{o: o}, l.run(a, cols, size/affineCols)
}

// affineCols is the columns of a work-group of affine_bias.
const affineCols = 16
