package explain

import "math"

// mostSide bounds the sides of a [Picture] in pixels.
const mostSide = 56

// A Picture shows numbers, one an input of a network of images: weights, or contributions.
type Picture struct {
	Height int `json:"height"`
	Width  int `json:"width"`

	// Pixels has 128 + 127·v/m for each value v, row after row, with m the largest |v|: 128 is
	// 0, less is negative, more is positive. In JSON it is base64.
	Pixels []byte `json:"pixels"`

	// Largest is m.
	Largest float64 `json:"largest"`
}

// NewPicture returns the picture of values of the given shape: rows × columns, or rows ×
// columns × channels, whose mean is taken. Images with a side of more than 56 pixels are made smaller
// by the mean over squares of pixels. It returns nil for values that are no image.
func NewPicture(values []float64, shape []int) *Picture {
	if len(shape) != 2 && len(shape) != 3 {
		return nil
	}
	h, w, channels := shape[0], shape[1], 1
	if len(shape) == 3 {
		channels = shape[2]
	}
	if h*w*channels != len(values) || len(values) == 0 {
		return nil
	}
	step := (max(h, w) + mostSide - 1) / mostSide
	p := &Picture{Height: (h + step - 1) / step, Width: (w + step - 1) / step}
	means, count := make([]float64, p.Height*p.Width), make([]float64, p.Height*p.Width)
	for i, v := range values {
		pixel := i / channels
		at := pixel/w/step*p.Width + pixel%w/step
		means[at] += v
		count[at]++
	}
	for i := range means {
		means[i] /= count[i]
		p.Largest = max(p.Largest, math.Abs(means[i]))
	}
	p.Pixels = make([]byte, len(means))
	for i, v := range means {
		if p.Largest > 0 {
			v /= p.Largest
		}
		p.Pixels[i] = uint8(128 + math.Round(127*v))
	}
	return p
}
