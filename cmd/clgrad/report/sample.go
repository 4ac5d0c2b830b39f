package report

import (
	"image"
	"image/color"

	"clgrad/network"
)

// SamplePicture returns the raw features of a row as a picture, ok where samples of that shape are
// pictures: in grey, or in colour where the last of three dimensions has red, green and blue.
func SamplePicture(s network.Samples, row int, shape []int) (picture image.Image, ok bool) {
	if height, width, ok := imageShape(shape); ok {
		return samplePicture(s, row, height, width), true
	}
	if len(shape) != 3 || shape[2] != 3 || s.Bytes == nil {
		return nil, false
	}
	height, width, bytes := shape[0], shape[1], s.Row(row)
	every := reduction(height, width, mostSide)
	colours := image.NewNRGBA(image.Rect(0, 0, (width+every-1)/every, (height+every-1)/every))
	for y := range colours.Rect.Dy() {
		for x := range colours.Rect.Dx() {
			at := 3 * every * (y*width + x)
			colours.SetNRGBA(x, y, color.NRGBA{bytes[at], bytes[at+1], bytes[at+2], 255})
		}
	}
	return colours, true
}
