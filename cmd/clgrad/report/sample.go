package report

import (
	"image"
	"image/color"
	"math"

	"clgrad/network"
)

// mostSide bounds the sides of a sample's picture in pixels.
const mostSide = 112

// sampleShape returns the rows, columns and channels of samples that are pictures: in grey, or
// in colour where the last of three dimensions has red, green and blue.
func sampleShape(shape []int) (height, width, channels int, ok bool) {
	if height, width, ok := imageShape(shape); ok {
		return height, width, 1, true
	}
	if n := len(shape) - 1; n == 2 && shape[n] == 3 {
		height, width, ok := imageShape(shape[:n])
		return height, width, 3, ok
	}
	return 0, 0, 0, false
}

// SamplePicture returns the raw features of a row as a picture, ok where samples of that shape are
// pictures. 8-bit features are drawn as they are. Of others the smallest is black, the largest white,
// and what is not finite grey.
func SamplePicture(s network.Samples, row int, shape []int) (picture image.Image, ok bool) {
	height, width, channels, ok := sampleShape(shape)
	if !ok {
		return nil, false
	}
	shade := shades(s, row)
	every := reduction(height, width, mostSide)
	bounds := image.Rect(0, 0, (width+every-1)/every, (height+every-1)/every)
	if channels == 1 {
		grey := image.NewGray(bounds)
		for y := range bounds.Dy() {
			for x := range bounds.Dx() {
				grey.SetGray(x, y, color.Gray{Y: shade(every * (y*width + x))})
			}
		}
		return grey, true
	}
	colours := image.NewNRGBA(bounds)
	for y := range bounds.Dy() {
		for x := range bounds.Dx() {
			at := channels * every * (y*width + x)
			colours.SetNRGBA(x, y, color.NRGBA{shade(at), shade(at + 1), shade(at + 2), 255})
		}
	}
	return colours, true
}

// shades returns how light each feature of a row is drawn.
func shades(s network.Samples, row int) func(i int) uint8 {
	if s.Bytes != nil {
		bytes := s.Row(row)
		return func(i int) uint8 { return bytes[i] }
	}
	floats := s.FloatRow(row)
	low, high := math.Inf(1), math.Inf(-1)
	for _, v := range floats {
		if v := float64(v); drawable(v) {
			low, high = min(low, v), max(high, v)
		}
	}
	return func(i int) uint8 {
		v := float64(floats[i])
		if !drawable(v) || high == low {
			return 128
		}
		return uint8(math.Round(255 * (v - low) / (high - low)))
	}
}
