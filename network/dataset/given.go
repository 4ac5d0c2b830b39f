package dataset

import (
	"errors"
	"fmt"

	"clgrad/network"
)

// Given returns the scaling of known means and deviations, as torchvision's Normalize(mean,
// std) behind ToTensor has it, for samples whose features have the given shape:
//
//	x = (u − mean) / std
//
// where u is a feature's value, divided by 255 where the samples are 8-bit ([Preprocess]
// has the same u). Each of mean and std has one number for all features, one for each
// feature, or, of images of rows × columns × channels, one for each channel; none is a mean
// of 0, or a deviation of 1. Errors: another number of them, a number that is not finite, a
// deviation that is not positive.
func Given(mean, std []float64, samples network.Samples, shape []int) (network.Scaling, error) {
	unit := 1.0
	if samples.Bytes != nil {
		unit = byteMax
	}
	n := 1
	for _, given := range [][]float64{mean, std} {
		if len(given) > 1 {
			n = samples.Features
		}
	}
	means, err := spread("mean", mean, 0, n, samples.Features, shape)
	if err != nil {
		return network.Scaling{}, err
	}
	deviations, err := spread("std", std, 1, n, samples.Features, shape)
	if err != nil {
		return network.Scaling{}, err
	}
	s := network.Scaling{Shift: make([]float64, n), Factor: make([]float64, n)}
	for j := range n {
		if !(deviations[j] > 0) {
			return network.Scaling{}, fmt.Errorf("std %v: a positive number is expected", deviations[j])
		}
		s.Shift[j], s.Factor[j] = means[j]*unit, 1/(deviations[j]*unit)
		if v := s.Shift[j] - s.Shift[j] + s.Factor[j] - s.Factor[j]; v != 0 {
			return network.Scaling{}, errors.New("mean and std: finite numbers are expected")
		}
	}
	return s, nil
}

// spread returns n numbers, of given ones for all features, each channel or each feature.
func spread(what string, given []float64, none float64, n, features int, shape []int) ([]float64, error) {
	channels := 0
	if len(shape) == 3 {
		channels = shape[2]
	}
	switch len(given) {
	case 0:
		given = []float64{none}
	case 1, features:
	case channels:
	default:
		possible := fmt.Sprintf("1 or %d", features)
		if channels > 1 {
			possible = fmt.Sprintf("1, %d (one a channel) or %d", channels, features)
		}
		return nil, fmt.Errorf("%s has %d numbers: %s are expected for samples of shape %s", what, len(given), possible, times(shape))
	}
	all := make([]float64, n)
	for j := range all {
		all[j] = given[j%len(given)]
	}
	return all, nil
}
