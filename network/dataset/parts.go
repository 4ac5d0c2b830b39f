package dataset

import (
	"fmt"
	"path/filepath"
	"slices"

	"clgrad/network"
)

// The files or arrays of a set. A set of the MNIST family has the first four.
const (
	trainImages = iota
	trainLabels
	testImages
	testLabels
	validationImages
	validationLabels
)

var partNames = [4]string{
	"train-images-idx3-ubyte", "train-labels-idx1-ubyte",
	"t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte",
}

// parts are those of a set, in this order.
type parts [6]part

// A part is one of the files or arrays, read: features as bytes or floats, or
// labels.
type part struct {
	file   string // for messages; "" where there is none
	shape  []int
	bytes  []uint8
	floats []float32
	labels []int64
	oneHot int // columns of labels that were one-hot, 0 for others
}

// makePart makes part i of an IDX file.
func makePart(i int, file string, a Array) part {
	p := part{file: file, shape: a.Shape}
	if i%2 == 0 {
		p.bytes = a.Data
		return p
	}
	p.labels = make([]int64, len(a.Data))
	for i, y := range a.Data {
		p.labels[i] = int64(y)
	}
	return p
}

// A pair is the features and the labels of one of the sets.
type pair struct{ images, labels part }

// check reports how the two contradict each other.
func (p pair) check() error {
	switch images, labels := p.images, p.labels; {
	case len(images.shape) == 1:
		return fmt.Errorf("%s: has one dimension of %d where rows of features, 2 dimensions or more, are expected",
			images.file, images.shape[0])
	case labels.file == "":
	case len(labels.shape) != 1:
		return fmt.Errorf("%s: has dimensions %s where one dimension of labels is expected", labels.file, times(labels.shape))
	case images.shape[0] != labels.shape[0]:
		return fmt.Errorf("%s: has %d labels where %d are expected, one a row of %s",
			labels.file, labels.shape[0], images.shape[0], filepath.Base(images.file))
	}
	return nil
}

// assemble makes a set of its parts, or reports how they contradict each other. The
// training set is there; its labels are unless Unlabelled is set. Classes are numbered
// as [numbering] has it.
//
// Images of one channel lose that dimension: 28×28×1 and 1×28×28 are 28×28. Shape stands
// in place of what the file has, and then Transpose exchanges rows and columns.
func (l library) assemble(name string, all parts) (Set, error) {
	var set Set
	train := pair{all[trainImages], all[trainLabels]}
	first := train.images
	pairs := []pair{train}
	into := []*network.Samples{&set.Train}
	for _, other := range []struct {
		pair
		samples *network.Samples
	}{
		{pair{all[testImages], all[testLabels]}, &set.Test}, {pair{all[validationImages], all[validationLabels]}, &set.Validation},
	} {
		if other.images.file != "" {
			pairs, into = append(pairs, other.pair), append(into, other.samples)
		}
	}
	for _, p := range pairs {
		if err := p.check(); err != nil {
			return Set{}, err
		}
	}
	shape := first.shape[1:]
	for _, p := range pairs[1:] {
		if !slices.Equal(p.images.shape[1:], shape) {
			return Set{}, fmt.Errorf("%s: has samples of shape %s where %s is expected, as in %s",
				p.images.file, times(p.images.shape[1:]), times(shape), filepath.Base(first.file))
		}
	}
	classes, err := l.numbering(pairs)
	if err != nil {
		return Set{}, err
	}
	set.Name, set.Classes, set.ClassNames, set.Shape = name, classes.count, classes.names, oneChannel(shape)
	for i, p := range pairs {
		*into[i] = samples(p.images)
		if into[i].Labels, err = l.number(p.labels, classes); err != nil {
			return Set{}, err
		}
	}
	if l.Shape != nil {
		shape, set.Shape = l.Shape, l.Shape
		if !ShapeHolds(shape, set.Train.Features) {
			return Set{}, fmt.Errorf("%s: has samples of %d features, which are not those of shape %s", first.file, set.Train.Features, times(shape))
		}
	}
	if l.Transpose {
		if set, err = set.transposed(); err != nil {
			return Set{}, fmt.Errorf("%s: %w", first.file, err)
		}
		shape = set.Shape
	}
	sets := []network.Samples{set.Train, set.Test}
	if set.Validation.Rows > 0 {
		sets = append(sets, set.Validation)
	}
	set.Digest = Digest(shape, sets...)
	return set, nil
}

func samples(images part) network.Samples {
	rows := images.shape[0]
	return network.Samples{
		Rows:     rows,
		Features: (len(images.bytes) + len(images.floats)) / rows,
		Bytes:    images.bytes,
		Floats:   images.floats,
	}
}

// oneChannel returns the shape of an image without its channels where there is one.
func oneChannel(shape []int) []int {
	switch {
	case len(shape) == 3 && shape[2] == 1:
		return shape[:2]
	case len(shape) == 3 && shape[0] == 1:
		return shape[1:]
	}
	return shape
}

// ShapeHolds reports whether a shape is one of so many features. It divides, as a product might
// overflow.
func ShapeHolds(shape []int, features int) bool {
	for _, d := range shape {
		if d < 1 || features%d != 0 {
			return false
		}
		features /= d
	}
	return features == 1
}

// transposed returns the set with rows and columns of each image exchanged, in the
// memory of the images.
func (s Set) transposed() (Set, error) {
	h, w, c, ok := imageSides(s.Shape, s.Train.Features)
	if !ok {
		return Set{}, fmt.Errorf("has samples of shape %s: only images of rows and columns can be transposed", times(s.Shape))
	}
	for _, samples := range []network.Samples{s.Train, s.Validation, s.Test} {
		transposeAll(samples.Bytes, h, w, c)
		transposeAll(samples.Floats, h, w, c)
	}
	s.Shape = slices.Clone(s.Shape)
	s.Shape[0], s.Shape[1] = w, h
	return s, nil
}

// transposeAll exchanges the h rows and w columns of images of c channels.
func transposeAll[T any](images []T, h, w, c int) {
	from := make([]T, h*w*c)
	for ; len(images) > 0; images = images[len(from):] {
		copy(from, images)
		for i := range h {
			for j := range w {
				copy(images[(j*h+i)*c:(j*h+i+1)*c], from[(i*w+j)*c:])
			}
		}
	}
}
