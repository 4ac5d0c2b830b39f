package main

import (
	"fmt"

	"clgrad/cmd/clgrad/recipe"
	"clgrad/network"
	"clgrad/network/checkpoint"
	"clgrad/network/dataset"
)

// scalingFlags say how features are scaled for a model that does not say it itself.
type scalingFlags struct {
	Preprocess dataset.Preprocess `placeholder:"METHOD" help:"For a model whose file does not say how its features were scaled, as one of PyTorch: scale them by this method of train (max, standard, feature, column), fitted on the training set of --data; none leaves them as they are."`
	recipe.Scaling
}

// check reports flags that contradict each other.
func (f scalingFlags) check() error {
	if f.Preprocess == "" {
		return nil
	}
	if _, err := dataset.ParsePreprocess(string(f.Preprocess)); err != nil {
		return misused("--preprocess: %w", err)
	}
	if f.Given() {
		return misused("--preprocess %s: --mean or --std is given too: one kind of scaling is expected", f.Preprocess)
	}
	return nil
}

// of returns the scaling of features for a model: its own, or where that is unknown what
// the flags say. train are the samples on which a method is fitted, of the data set of the
// given name, and shape is that of a sample. What is taken is said in one line where the
// model does not say it.
func (f scalingFlags) of(a *app, name recipe.Path, m checkpoint.Model, data string, train network.Samples, shape []int) (network.Scaling, error) {
	given := f.Preprocess != "" || f.Given()
	switch {
	case m.Layers == nil && given:
		return network.Scaling{}, fmt.Errorf("%s: the model has a scaling of its own (%s): --preprocess, --mean and --std are for models without", name, scalingName(m))
	case m.Layers == nil:
		return m.Scaling, nil
	case !given:
		a.note("%s: how its features were scaled in training is unknown: they are taken as they are%s (--preprocess, or --mean and --std, scale them)", name, rangeOf(train))
		return network.Scaling{}, nil
	case f.Given():
		scaling, err := f.Of(train, shape)
		if err == nil {
			value := "v"
			if train.Bytes != nil {
				value = "v/255"
			}
			a.note("%s: features v of %s are scaled to x = (%s − mean)/std, with %s", name, data, value, f.Scaling)
		}
		return scaling, err
	case f.Preprocess == dataset.None:
		return network.Scaling{}, nil
	}
	scaling, err := dataset.Fit(f.Preprocess, train, shape)
	if err != nil {
		return scaling, fmt.Errorf("--preprocess %s: %s: %w", f.Preprocess, data, err)
	}
	a.note("%s: features are scaled by the method %s, fitted on the %d rows of %s, not on those of its training (--mean and --std say that scaling)", name, f.Preprocess, train.Rows, data)
	return scaling, nil
}

// rangeOf says of 8-bit data what its values are.
func rangeOf(s network.Samples) string {
	if s.Bytes != nil {
		return ", whole numbers from 0 to 255"
	}
	return ""
}

// scalingName says how a model scales.
func scalingName(m checkpoint.Model) string {
	switch {
	case m.Preprocess != "":
		return m.Preprocess
	case len(m.Scaling.Shift) == 0:
		return "none"
	}
	return "of an unnamed method"
}

// noteLayers says which tensors of a file of others were taken as which layers.
func (a *app) noteLayers(name recipe.Path, m checkpoint.Model) error {
	if m.Layers == nil {
		return nil
	}
	if n := m.Sizes[len(m.Sizes)-1]; n < 2 {
		return fmt.Errorf("%s: the network %v has 1 output: one for each of 2 or more classes is expected", name, m.Sizes)
	}
	text, usual := "", true
	const most = 8
	for i, l := range m.Layers {
		usual = usual && l.Weight == fmt.Sprintf("%d.weight", 2*i) && l.Bias == fmt.Sprintf("%d.bias", 2*i)
		switch {
		case i == most:
			text += fmt.Sprintf("; %d more", len(m.Layers)-most)
		case i < most:
			text += fmt.Sprintf("; %s (%d → %d)", l, m.Sizes[i], m.Sizes[i+1])
		}
	}
	if !usual {
		between := ", with ReLU between them"
		if len(m.Layers) == 1 {
			between = ""
		}
		a.info("%s: taken as layers%s: %s", name, between, text[len("; "):])
	}
	return nil
}
