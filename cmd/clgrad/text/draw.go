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
)

// Curve draws values over iterations 1, 2, … in lines of text, eight steps a
// character high. Values that are not finite are left out.
func Curve(values []float64) string {
	// A column shows the mean of its stretch.
	width := min(curveWidth, len(values))
	columns := make([]float64, 0, width)
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
		columns = append(columns, mean)
		if n > 0 {
			low, high = min(low, mean), max(high, mean)
		}
	}
	if low > high {
		return ""
	}
	low = min(0, low)
	steps := []rune(" ▁▂▃▄▅▆▇█")
	var b strings.Builder
	for row := curveHeight - 1; row >= 0; row-- {
		label := ""
		switch row {
		case curveHeight - 1:
			label = fmt.Sprintf("%.4g", high)
		case 0:
			label = fmt.Sprintf("%.4g", low)
		}
		line := fmt.Sprintf("%8s ┤", label)
		for _, v := range columns {
			filled := 0.0
			if high > low {
				filled = (v - low) / (high - low) * curveHeight
			}
			step := 8 * (filled - float64(row))
			if math.IsNaN(step) {
				step = 0
			}
			line += string(steps[int(math.Round(min(8, max(0, step))))])
		}
		b.WriteString(strings.TrimRight(line, " ") + "\n")
	}
	fmt.Fprintf(&b, "%8s └%s iteration %d\n", "", strings.Repeat("─", width), len(values))
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

// drawn returns the characters that an image of a shape takes in a line.
func drawn(shape []int) int { return max(15, (shape[1]+1)/2) }

// Abreast is how many images of a shape Samples draws side by side.
func Abreast(shape []int) int { return 80 / (drawn(shape) + 1) }

// Samples draws the first images side by side, each above its line of text.
func Samples(s network.Samples, shape []int, captions [][]string) string {
	if len(shape) != 2 || shape[1] > Side || shape[0] > Side || s.Features != shape[0]*shape[1] {
		return ""
	}
	width := drawn(shape)
	n := min(len(captions), s.Rows, Abreast(shape))
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
			used := len([]rune(all[k]))
			all[k] += strings.Repeat(" ", max(0, i*(width+1)-used)) + line
		}
	}
	var b strings.Builder
	for _, line := range all {
		b.WriteString(strings.TrimRight(line, " ") + "\n")
	}
	return b.String()
}
