package dataset

import (
	"fmt"
	"math"
	"slices"

	"clgrad/network"
)

// Shift returns the set with copies of its training images behind them, moved by 1 to
// pixels pixels in four directions. With images of h rows, w columns and c channels:
//
//	up     copy[i, j] = image[i+d, j]
//	down   copy[i, j] = image[i−d, j]
//	left   copy[i, j] = image[i, j+d]
//	right  copy[i, j] = image[i, j−d],  d = 1 … pixels
//
// What is outside of the image counts as 0, a raw value. The training set then has
// 1 + 4·pixels times as many rows: the images in their order, then for each d the copies
// up, down, left and right, each in the order of the images and with their labels. It takes
// as many times the memory. The other parts and the digest remain those of the set before.
//
// This is how Nielsen expands MNIST (Neural Networks and Deep Learning, 2015, chapter 3,
// expand_mnist.py, with one pixel).
//
// Errors: less than 1 pixel, samples whose shape is not rows × columns or rows × columns ×
// channels, and images with no pixel left after the largest shift.
func (s Set) Shift(pixels int) (Set, error) {
	if pixels < 1 {
		return Set{}, fmt.Errorf("shifts of %d pixels: at least 1 is expected", pixels)
	}
	if len(s.Shape) != 2 && len(s.Shape) != 3 {
		return Set{}, fmt.Errorf("%s: images of rows and columns are expected, the samples' shape is %s", s.Name, times(s.Shape))
	}
	all := s.Train
	if err := all.Check(0); err != nil {
		return Set{}, fmt.Errorf("training set of %s: %w", s.Name, err)
	}
	h, w, c, ok := imageSides(s.Shape, all.Features)
	if !ok {
		return Set{}, fmt.Errorf("%s: shape %s does not fit samples of %d features", s.Name, times(s.Shape), all.Features)
	}
	if pixels >= min(h, w) {
		return Set{}, fmt.Errorf("shifts of %d pixels: images of %d × %d in %s have nothing left: at most %d is expected", pixels, h, w, s.Name, min(h, w)-1)
	}
	if copies := 1 + 4*pixels; all.Rows > math.MaxInt/copies/all.Features {
		return Set{}, fmt.Errorf("shifts of %d pixels: %d times the %d rows of %s are too many", pixels, copies, all.Rows, s.Name)
	}
	s.Train = shiftSamples(all, h, w, c, pixels)
	return s, nil
}

// shiftSamples returns samples with their copies.
func shiftSamples(s network.Samples, h, w, c, pixels int) network.Samples {
	copies := 1 + 4*pixels
	s = s.Flat()
	out := s
	out.Rows = copies * s.Rows
	if s.Labels != nil {
		out.Labels = slices.Repeat(s.Labels, copies)
	}
	if s.Bytes != nil {
		out.Bytes = shiftAll(s.Bytes, h, w, c, pixels)
	} else {
		out.Floats = shiftAll(s.Floats, h, w, c, pixels)
	}
	return out
}

// shiftAll returns images of h rows, w columns and c channels with their copies.
func shiftAll[T uint8 | float32](images []T, h, w, c, pixels int) []T {
	n := len(images)
	out := make([]T, (1+4*pixels)*n)
	copy(out, images)
	to := out[n:]
	for d := 1; d <= pixels; d++ {
		for _, move := range [][2]int{{-d, 0}, {d, 0}, {0, -d}, {0, d}} {
			for at := 0; at < n; at += h * w * c {
				shiftImage(to[at:at+h*w*c], images[at:at+h*w*c], h, w, c, move[0], move[1])
			}
			to = to[n:]
		}
	}
	return out
}

// shiftImage copies an image into one of zeros, moved by so many rows down and columns to
// the right; what is moved out of it is lost.
func shiftImage[T any](to, from []T, h, w, c, down, right int) {
	width := w - max(right, -right)
	if width < 1 {
		return
	}
	for i := max(0, down); i < min(h, h+down); i++ {
		line := (i*w + max(0, right)) * c
		copy(to[line:line+width*c], from[((i-down)*w+max(0, -right))*c:])
	}
}
