package text

import (
	"fmt"
	"math"
	"strings"

	"clgrad/network"
)

// The size of a curve on a terminal, in characters.
const (
	curveWidth  = 64
	curveHeight = 12
	axisWidth   = 10 // of the numbers at the left and the line beside them
)

// Curve draws values over iterations 1, 2, … in lines of text of at most so many columns, eight
// steps a character high. Values that are not finite are left out. Where all are above 0 and
// span more than a factor of ten, the scale is logarithmic, and the axis says so.
func Curve(values []float64, columns int) string {
	// A column shows the mean of its stretch.
	width := max(1, min(curveWidth, len(values), columns-axisWidth-1))
	means := make([]float64, 0, width)
	low, high := math.Inf(1), math.Inf(-1)
	for c := range width {
		stretch := values[c*len(values)/width : (c+1)*len(values)/width]
		sum, n := 0.0, 0
		for _, v := range stretch {
			if !math.IsNaN(v) && !math.IsInf(v, 0) {
				sum, n = sum+v, n+1
			}
		}
		mean := sum / float64(n)
		means = append(means, mean)
		if n > 0 {
			low, high = min(low, mean), max(high, mean)
		}
	}
	if low > high {
		return ""
	}
	scale, value, name := func(v float64) float64 { return v }, func(x float64) float64 { return x }, ""
	bottom, top := min(0, low), high
	if low > 0 && high > 10*low {
		scale, value, name = math.Log10, func(x float64) float64 { return math.Pow(10, x) }, "logarithmic scale"
		// The lowest column is to be seen too.
		bottom, top = math.Log10(low)-math.Log10(high/low)/(2*curveHeight), math.Log10(high)
	}
	labels := map[int]float64{curveHeight - 1: high, 0: value(bottom)}
	if name != "" {
		labels[curveHeight/2-1] = value((bottom + top) / 2) // at the upper edge of that row
	}
	steps := []rune(" ▁▂▃▄▅▆▇█")
	var b strings.Builder
	for row := curveHeight - 1; row >= 0; row-- {
		label := ""
		if v, ok := labels[row]; ok {
			if label = fmt.Sprintf("%.4g", v); len(label) > axisWidth-2 {
				label = fmt.Sprintf("%.2g", v)
			}
		}
		line := fmt.Sprintf("%8s ┤", label)
		for _, v := range means {
			filled := 0.0
			if top > bottom {
				filled = (scale(v) - bottom) / (top - bottom) * curveHeight
			}
			step := 8 * (filled - float64(row))
			if math.IsNaN(step) {
				step = 0
			}
			line += string(steps[int(math.Round(min(8, max(0, step))))])
		}
		b.WriteString(strings.TrimRight(line, " ") + "\n")
	}
	b.WriteString(fmt.Sprintf("%8s └", "") + strings.Repeat("─", width))
	end := fmt.Sprintf(" iteration %d", len(values))
	if name != "" {
		end += ", " + name
	}
	if axisWidth+width+len(end) >= columns { // below the axis
		end = "\n" + fmt.Sprintf("%*s", min(columns-1, axisWidth+width), end[1:])
	}
	b.WriteString(end + "\n")
	return b.String()
}

// shades are from nothing to all of a character.
var shades = []rune(" ░▒▓█")

// image draws an image of h×w pixels in lines of text. A character is two
// columns and four rows of pixels, as characters are twice as high as wide.
func image(pixels []float64, h, w int) []string {
	most := 0.0
	for _, v := range pixels {
		most = max(most, v)
	}
	var lines []string
	for top := 0; top < h; top += 4 {
		var line strings.Builder
		for left := 0; left < w; left += 2 {
			sum, n := 0.0, 0
			for y := top; y < min(top+4, h); y++ {
				for x := left; x < min(left+2, w); x++ {
					sum, n = sum+pixels[y*w+x], n+1
				}
			}
			shade := 0
			if most > 0 {
				shade = int(math.Round(min(1, max(0, sum/float64(n)/most)) * float64(len(shades)-1)))
			}
			line.WriteRune(shades[shade])
		}
		lines = append(lines, line.String())
	}
	return lines
}

// Side is the most rows and columns of an image that is drawn.
const Side = 64

// An image takes at least leastSample columns, and up to mostCaption where its captions are longer
// than that.
const (
	leastSample = 15
	mostCaption = 24
)

// sampleWidth returns the columns that an image of a shape takes with its captions.
func sampleWidth(shape []int, captions [][]string) int {
	width := max(leastSample, (shape[1]+1)/2)
	for _, lines := range captions {
		for _, line := range lines {
			width = max(width, min(mostCaption, Width(line)))
		}
	}
	return width
}

// Abreast returns how many images of a shape, with their captions, Samples draws side by side in
// so many columns.
func Abreast(shape []int, captions [][]string, columns int) int {
	if len(shape) != 2 {
		return 1
	}
	return max(1, columns/(sampleWidth(shape, captions)+1))
}

// Samples draws the first images side by side, each above its captions, in at most so many
// columns.
func Samples(s network.Samples, shape []int, captions [][]string, columns int) string {
	if len(shape) != 2 || shape[1] > Side || shape[0] > Side || s.Features != shape[0]*shape[1] {
		return ""
	}
	width := min(sampleWidth(shape, captions), max(1, columns-1))
	n := min(len(captions), s.Rows, Abreast(shape, captions, columns))
	s.Scaling = network.Scaling{}
	rows, row, pixels := s.ScaledRows(), make([]float32, s.Features), make([]float64, s.Features)
	var all []string
	for i := range n {
		rows(i, row)
		for j, v := range row {
			pixels[j] = float64(v)
		}
		for k, line := range append(image(pixels, shape[0], shape[1]), captions[i]...) {
			if k == len(all) {
				all = append(all, "")
			}
			all[k] = Pad(all[k], i*(width+1)) + Cut(line, width)
		}
	}
	var b strings.Builder
	for _, line := range all {
		b.WriteString(strings.TrimRight(line, " ") + "\n")
	}
	return b.String()
}
