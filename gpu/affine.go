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
	o, err := e.scratch(&e.affine, "weights with the scaling", w.rows*cols+cols)
	if err != nil {
		return w, bias, err
	}
	scaled := operand{o: o, rows: w.rows, cols: w.cols, stride: cols}
	scaledBias := operand{o: o, offset: w.rows * cols}
	size := max(affineCols, e.config.RecordGroup) // as large as that of other sums
	launch := func(kernel string, exact bool, local ...int) (*launch, error) {
		return e.launch(launchKey{kernel: kernel, operation: kernel, n: w.rows, p: w.cols}, exact,
			func() (kernels.Program, []int) { return kernels.Affine(size), local })
	}
	if x.packed != nil {
		l, err := launch("affine_weights", false, e.group(affineCols))
		if err != nil {
			return w, bias, err
		}
		a := e.arguments().ints(w.rows, cols).buffers(x.affine).matrix(w).at(bias.o, bias.offset).matrix(scaled)
		return scaled, scaledBias, l.run(a, cols)
	}
	l, err := launch("scale_weights", false, e.group2()...)
	if err != nil {
		return w, bias, err
	}
	if err := l.run(e.arguments().ints(w.rows, cols).buffers(x.affine).matrix(w).matrix(scaled), cols, w.rows); err != nil {
		return w, bias, err
	}
	if !x.shifted {
		return scaled, bias, nil
	}
	if l, err = launch("affine_bias", true, affineCols, size/affineCols); err != nil {
		return w, bias, err
	}
	a := e.arguments().ints(w.rows, cols).buffers(x.affine).matrix(w).at(bias.o, bias.offset).at(scaledBias.o, scaledBias.offset)
	return scaled, scaledBias, l.run(a, cols, size/affineCols)
}

// affineCols is the columns of a work-group of affine_bias.
const affineCols = 16
