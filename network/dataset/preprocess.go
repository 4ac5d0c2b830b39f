package dataset

import (
	"fmt"
	"math"
	"math/bits"
	"slices"
	"strings"

	"clgrad/network"
	"clgrad/network/mapped"
)

// A Preprocess is a method of scaling features. With u a feature value, divided
// by 255 where the data is 8-bit (so that 0 ≤ u ≤ 1), and x what the network
// sees:
//
//	max       x = u / max |u|, the largest of all values
//	standard  x = (u − μ) / (σ + ε), one μ and σ over all values
//	feature   the same with a μ and σ for each feature
//	column    the same with a μ and σ for each column of an image, over its rows
//	none      x = the raw value, not divided by 255
//
// μ is the mean, σ the population deviation √(Σ(u−μ)²/N) and ε = 10⁻⁵, or ε·σ where σ < ε
// in data that is not 8-bit: the unit of a feature is then so large that ε would be
// all that is seen of it. They are taken over the training set only. Where all values are equal (σ = 0, or a
// maximum of 0) x is 0 for every value, also for one that only the test set
// has, which dividing by ε would blow up.
type Preprocess string

// The methods of preprocessing.
const (
	Max      Preprocess = "max"
	Standard Preprocess = "standard"
	Feature  Preprocess = "feature"
	Column   Preprocess = "column"
	None     Preprocess = "none"
)

// Epsilon is what is added to a deviation before dividing by it.
const Epsilon = 1e-5

// byteMax is the value that 8-bit data is divided by.
const byteMax = 255

var methods = []Preprocess{Max, Standard, Feature, Column, None}

// ParsePreprocess returns the method of that name.
func ParsePreprocess(name string) (Preprocess, error) {
	if m := Preprocess(name); slices.Contains(methods, m) {
		return m, nil
	}
	names := make([]string, len(methods))
	for i, m := range methods {
		names[i] = string(m)
	}
	return "", fmt.Errorf("preprocessing %q is unknown: one of %s is expected", name, strings.Join(names, ", "))
}

// Preprocess returns the set with the scaling that method takes from the
// training set, in all its parts alike. The features are shared, not copied: they stay
// raw, and a backend scales them as it loads them ([network.Samples.ScaledRows], in
// package gpu valuesOf and affineOf).
func (s Set) Preprocess(method Preprocess) (Set, error) {
	scaling, err := Fit(method, s.Train, s.Shape)
	if err != nil {
		return Set{}, fmt.Errorf("training set of %s: %w", s.Name, err)
	}
	s = s.Scale(scaling)
	for _, part := range []struct {
		name string
		network.Samples
	}{{"validation", s.Validation}, {"test", s.Test}} {
		if part.Rows == 0 {
			continue
		}
		if part.Features != s.Train.Features {
			return Set{}, fmt.Errorf("%s set of %s: has %d features where the training set has %d", part.name, s.Name, part.Features, s.Train.Features)
		}
		err := part.Check(s.Classes)
		if err == nil {
			err = checkFinite(part.Samples)
		}
		if err != nil {
			return Set{}, fmt.Errorf("%s set of %s: %w", part.name, s.Name, err)
		}
	}
	return s, nil
}

// Scale returns the set with a scaling in all its parts, such as that of a
// saved model.
func (s Set) Scale(scaling network.Scaling) Set {
	s.Train.Scaling, s.Validation.Scaling, s.Test.Scaling = scaling, scaling, scaling
	return s
}

// Fit returns the scaling of a method for training samples whose features have
// the given shape. It acts on raw values: x = (v − Shift)·Factor, with one
// element for all features (max, standard), one a feature (feature, column) or
// none (none). The scaling that the samples may have is ignored.
//
// Sums over 8-bit data are exact. Errors: an unknown method, inconsistent
// samples, a feature that is not finite (named by row and column, counted from
// 1), and for column a shape that is not rows × columns.
func Fit(method Preprocess, train network.Samples, shape []int) (network.Scaling, error) {
	if _, err := ParsePreprocess(string(method)); err != nil {
		return network.Scaling{}, err
	}
	train.Scaling = network.Scaling{}
	if err := train.Check(0); err != nil {
		return network.Scaling{}, err
	}
	if err := checkFinite(train); err != nil {
		return network.Scaling{}, err
	}

	switch method {
	case None:
		return network.Scaling{}, nil
	case Max:
		factor := 0.0
		if largest := largest(train); largest > 0 {
			factor = 1 / largest
		}
		return network.Scaling{Shift: []float64{0}, Factor: []float64{factor}}, nil
	case Standard:
		return standardise(train, 1), nil
	case Column:
		if len(shape) != 2 {
			return network.Scaling{}, fmt.Errorf("preprocessing %s needs images of rows and columns, the samples' shape is %s",
				method, times(shape))
		}
		if !ShapeHolds(shape, train.Features) {
			return network.Scaling{}, fmt.Errorf("shape %s does not fit samples of %d features", times(shape), train.Features)
		}
		return standardise(train, shape[1]), nil
	default: // Feature
		return standardise(train, train.Features), nil
	}
}

// checkFinite reports the first feature that is infinite or no number.
func checkFinite(s network.Samples) error {
	if s.Floats == nil {
		return nil
	}
	for i := range s.Rows {
		releaseBehind(i)
		for j, v := range s.FloatRow(i) {
			if v-v != 0 { // NaN for ±Inf and NaN
				return fmt.Errorf("row %d, column %d is %v where a finite number is expected", i+1, j+1, v)
			}
		}
	}
	return nil
}

// releaseBehind gives back the memory of rows of mapped files before row i, now and then.
func releaseBehind(i int) {
	if i%256 == 0 {
		mapped.Release()
	}
}

// largest returns the largest absolute raw value.
func largest(s network.Samples) float64 {
	if s.Bytes != nil {
		most := uint8(0)
		for i := 0; i < s.Rows && most < byteMax; i++ {
			releaseBehind(i)
			most = max(most, slices.Max(s.Row(i)))
		}
		return float64(most)
	}
	var most float32
	for i := range s.Rows {
		for _, v := range s.FloatRow(i) {
			most = max(most, v, -v)
		}
	}
	return float64(most)
}

// standardise returns the scaling (u − μ)/(σ + ε) with a μ and σ for each of
// groups sets of features: feature j belongs to group j mod groups, so that 1
// group is of all features, and as many groups as columns are an image's
// columns. groups divides the number of features.
//
// Of 8-bit data v = 255·u, so μ and σ of v are 255 times those of u and
// (u − μ)/(σ + ε) = (v − μᵥ)/(σᵥ + 255·ε).
func standardise(s network.Samples, groups int) network.Scaling {
	moments, epsilon := floatMoments, Epsilon
	if s.Bytes != nil {
		moments, epsilon = byteMoments, byteMax*Epsilon
	}
	mean, deviation := moments(s, groups)
	elements := s.Features
	if groups == 1 {
		elements = 1
	}
	scaling := network.Scaling{Shift: make([]float64, elements), Factor: make([]float64, elements)}
	for j := range elements {
		g := j % groups
		scaling.Shift[j] = mean[g]
		switch d := deviation[g]; {
		case d > 0 && s.Bytes == nil && d < epsilon:
			scaling.Factor[j] = 1 / (d + epsilon*d)
		case d > 0:
			scaling.Factor[j] = 1 / (d + epsilon)
		}
	}
	return scaling
}

// ScalingRemark says in one line what of the scaling of a set that was preprocessed by
// a method is not as its formula has it for usual data, or returns "".
func (s Set) ScalingRemark(method Preprocess) string {
	small, factors := 0, s.Train.Scaling.Factor
	if s.Train.Bytes != nil || method != Standard && method != Feature && method != Column {
		return ""
	}
	for _, factor := range factors {
		if factor > 1/(2*Epsilon) { // the largest with a deviation of Epsilon or more
			small++
		}
	}
	if small == 0 {
		return ""
	}
	return fmt.Sprintf("%s: %d of %d deviations are below ε = %g: there %g times the deviation is added to it, and not ε", s.Name, small, len(factors), Epsilon, Epsilon)
}

// byteMoments returns the mean and population deviation of the raw values of
// each group. The sums are exact: σ = √(N·Σv² − (Σv)²) / N, whose difference
// takes 128 bits, is free of cancellation.
func byteMoments(s network.Samples, groups int) (mean, deviation []float64) {
	sum, squares := make([]uint64, s.Features), make([]uint64, s.Features)
	for i := range s.Rows {
		releaseBehind(i)
		for j, b := range s.Row(i) {
			v := uint64(b)
			sum[j] += v
			squares[j] += v * v
		}
	}
	for j := groups; j < s.Features; j++ {
		sum[j%groups] += sum[j]
		squares[j%groups] += squares[j]
	}

	n := uint64(s.Rows) * uint64(s.Features/groups)
	mean, deviation = make([]float64, groups), make([]float64, groups)
	for g := range groups {
		high, low := bits.Mul64(n, squares[g])
		high2, low2 := bits.Mul64(sum[g], sum[g])
		low, borrow := bits.Sub64(low, low2, 0)
		high, _ = bits.Sub64(high, high2, borrow)
		mean[g] = float64(sum[g]) / float64(n)
		deviation[g] = math.Sqrt(math.Ldexp(float64(high), 64)+float64(low)) / float64(n)
	}
	return mean, deviation
}

// floatMoments is byteMoments for float data. It takes the mean first and then
// the squares of the differences from it, with the differences' own sum
// correcting what rounding left in the mean.
func floatMoments(s network.Samples, groups int) (mean, deviation []float64) {
	n := float64(s.Rows) * float64(s.Features/groups)
	mean, deviation = make([]float64, groups), make([]float64, groups)
	for i := range s.Rows {
		for j, v := range s.FloatRow(i) {
			mean[j%groups] += float64(v)
		}
	}
	for g := range mean {
		mean[g] /= n
	}
	rest := make([]float64, groups)
	for i := range s.Rows {
		for j, v := range s.FloatRow(i) {
			d := float64(v) - mean[j%groups]
			rest[j%groups] += d
			deviation[j%groups] += d * d
		}
	}
	for g := range deviation {
		deviation[g] = math.Sqrt(max(0, deviation[g]-rest[g]*rest[g]/n) / n)
		mean[g] += rest[g] / n
	}
	return mean, deviation
}
