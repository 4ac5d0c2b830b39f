package recipe

import (
	"fmt"
	"math"
	"strconv"
	"strings"

	"clgrad/network"
	"clgrad/network/dataset"
)

// A Scaling is that of features whose means and deviations are known.
type Scaling struct {
	Mean Numbers   `json:"mean,omitempty" placeholder:"NUMBER,…" of:"preprocess" help:"Scale the features by known numbers${which_scaling}, as torchvision's Normalize does: x = (u − mean)/std, u being the value, divided by 255 where the data is 8-bit. One number, one for each channel of images HxWxC, or one for each feature. Default: 0."`
	Std  Positives `json:"std,omitempty" placeholder:"NUMBER,…" of:"preprocess" help:"The deviations beside --mean, as many. Default: 1."`
}

// Given reports whether there are such numbers.
func (s Scaling) Given() bool { return s.Mean != "" || s.Std != "" }

// Of returns the scaling of samples whose features have the given shape.
func (s Scaling) Of(samples network.Samples, shape []int) (network.Scaling, error) {
	mean, _ := numbersIn(string(s.Mean))
	std, _ := numbersIn(string(s.Std))
	scaling, err := dataset.Given(mean, std, samples, shape)
	if err != nil {
		err = fmt.Errorf("--mean, --std: %w", err)
	}
	return scaling, err
}

// String returns the numbers as text: mean 0.1307, std 0.3081.
func (s Scaling) String() string {
	mean, std := "0", "1"
	if s.Mean != "" {
		mean = string(s.Mean)
	}
	if s.Std != "" {
		std = string(s.Std)
	}
	return fmt.Sprintf("mean %.80s, std %.80s", mean, std)
}

// Scale returns the set as the setup scales it: by known numbers, otherwise by a method
// that is fitted on its training set.
func (s Setup) Scale(set dataset.Set) (dataset.Set, error) {
	if !s.Scaling.Given() {
		return set.Preprocess(s.Preprocess)
	}
	scaling, err := s.Scaling.Of(set.Train, set.Shape)
	return set.Scale(scaling), err
}

// ScaledBy says in words how the setup scales.
func (s Setup) ScaledBy() string {
	if s.Scaling.Given() {
		return s.Scaling.String()
	}
	return string(s.Preprocess)
}

// Numbers are finite numbers, separated by commas.
type Numbers string

// UnmarshalText parses such numbers.
func (n *Numbers) UnmarshalText(text []byte) error {
	*n = Numbers(text)
	_, err := numbersIn(string(text))
	return err
}

// Positives are Numbers above 0.
type Positives string

// UnmarshalText parses such numbers.
func (p *Positives) UnmarshalText(text []byte) error {
	*p = Positives(text)
	all, err := numbersIn(string(text))
	for _, v := range all {
		if v <= 0 && err == nil {
			err = fmt.Errorf("%.80q: positive numbers separated by commas are expected", text)
		}
	}
	return err
}

// numbersIn returns the numbers of a list, none of an empty text of a flag that is not given.
func numbersIn(text string) (all []float64, err error) {
	for _, part := range strings.Split(text, ",") {
		part = strings.TrimSpace(part)
		v, err := strconv.ParseFloat(part, 64)
		if err != nil || math.IsInf(v, 0) || math.IsNaN(v) || strings.ContainsAny(part, "_xX") {
			return nil, fmt.Errorf("%.80q: numbers separated by commas are expected", text)
		}
		all = append(all, v)
	}
	return all, nil
}
