package report

import (
	"bytes"
	"image"
	"image/color"
	"image/png"
	"math"
	"slices"
	"strconv"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/palette/moreland"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
)

// dimensions returns those of a shape that are not 1.
func dimensions(shape []int) []int {
	return slices.DeleteFunc(slices.Clone(shape), func(d int) bool { return d == 1 })
}

// imageShape returns the rows and columns of samples that are images: two
// dimensions, others being 1.
func imageShape(shape []int) (height, width int, ok bool) {
	if d := dimensions(shape); len(d) == 2 {
		return d[0], d[1], true
	}
	return 0, 0, false
}

// reduction returns every how many-th row and column of an image are shown, so
// that neither side has more than most.
func reduction(height, width, most int) int { return (max(height, width) + most - 1) / most }

// diverging has the colours of weights: nothing at 0, then blue for the most
// negative over white to red for the most positive.
var diverging = func() color.Palette {
	return append(color.Palette{color.Transparent}, moreland.SmoothBlueRed().Palette(255).Colors()...)
}()

// mostUnits bounds the units whose weights are shown.
const mostUnits = 100

// weightsPicture returns the weights of units of the first layer as one picture
// with a tile a unit, row after row; w is n×p, a tile n = height×width×channels weights.
// The colours of each tile span its own largest weight on either side of 0: those of diverging, or
// where there are three channels red, green and blue, grey at 0. A weight that is not finite is
// left out. A pixel of the image takes scale×scale pixels.
func weightsPicture(w []float64, height, width, channels, p, units, scale int) image.Image {
	every := reduction(height, width, mostSide/2)
	high, wide := (height+every-1)/every, (width+every-1)/every
	columns := tileColumns(units)
	gap := max(1, scale)
	bounds := image.Rect(0, 0, columns*(wide*scale+gap)-gap, (units+columns-1)/columns*(high*scale+gap)-gap)
	var picture image.Image
	var set func(x, y int, weights [3]float64) // as shares of the largest
	if channels == 3 {
		colours := image.NewNRGBA(bounds)
		shade := func(v float64) uint8 { return uint8(128 + math.Round(127*v)) }
		picture, set = colours, func(x, y int, v [3]float64) {
			colours.SetNRGBA(x, y, color.NRGBA{shade(v[0]), shade(v[1]), shade(v[2]), 255})
		}
	} else {
		paletted := image.NewPaletted(bounds, diverging)
		picture, set = paletted, func(x, y int, v [3]float64) { paletted.SetColorIndex(x, y, uint8(128+math.Round(127*v[0]))) }
	}
	for u := range units {
		most := 0.0
		for i := range height * width * channels {
			if v := math.Abs(w[i*p+u]); drawable(v) {
				most = max(most, v)
			}
		}
		left, top := u%columns*(wide*scale+gap), u/columns*(high*scale+gap)
		for y := range high * scale {
			for x := range wide * scale {
				var weights [3]float64
				finite := true
				for c := range channels {
					v := w[(every*(y/scale*width+x/scale)*channels+c)*p+u]
					if finite = finite && drawable(v); most > 0 {
						weights[c] = v / most
					}
				}
				if finite {
					set(left+x, top+y, weights)
				}
			}
		}
	}
	return picture
}

// columnWeights returns the weights of columns as one picture: a row of pixels a column, in
// their order, and a pixel a unit; w is as for weightsPicture. The colours of each row span
// its own largest weight on either side of 0.
func columnWeights(w []float64, order []int, units int) *image.Paletted {
	picture := image.NewPaletted(image.Rect(0, 0, units, len(order)), diverging)
	for y, j := range order {
		row := w[j*units : (j+1)*units]
		most := 0.0
		for _, v := range row {
			if drawable(v) {
				most = max(most, math.Abs(v))
			}
		}
		for x, v := range row {
			if drawable(v) && most > 0 {
				picture.SetColorIndex(x, y, uint8(128+math.Round(127*v/most)))
			}
		}
	}
	return picture
}

// tileColumns returns how many of n tiles stand in a row.
func tileColumns(n int) int { return min(n, max(5, int(math.Ceil(math.Sqrt(float64(n)))))) }

// encode returns a picture as a PNG file.
func encode(picture image.Image) ([]byte, error) {
	var b bytes.Buffer
	err := (&png.Encoder{CompressionLevel: png.BestCompression}).Encode(&b, picture)
	return b.Bytes(), err
}

// A tile is a sample with what is said of it.
type tile struct {
	picture image.Image
	lines   []string
}

// The measures of a sheet of samples, in points.
const (
	tileSide = vg.Length(56)
	tileText = vg.Length(7.5)
	tileWide = vg.Length(78) // with what is said below, and a gap
)

// tileSheet returns samples in rows, with what is said of them below each, as a
// PNG file.
func tileSheet(tiles []tile) ([]byte, error) {
	columns := tileColumns(len(tiles))
	rows := (len(tiles) + columns - 1) / columns
	texts := 0
	for _, t := range tiles {
		texts = max(texts, len(t.lines))
	}
	line := tileText + 1.5
	pitch := tileSide + vg.Length(texts)*line + 8
	return pictureOf(vg.Length(columns)*tileWide, vg.Length(rows)*pitch, 6, func(c vg.CanvasSizer) {
		canvas := draw.New(c)
		text := style(tileText)
		text.XAlign, text.YAlign = draw.XCenter, draw.YTop
		for i, t := range tiles {
			middle := vg.Length(i%columns)*tileWide + tileWide/2
			top := canvas.Max.Y - vg.Length(i/columns)*pitch
			b := t.picture.Bounds()
			size := vg.Point{X: tileSide, Y: tileSide}
			if b.Dx() > b.Dy() {
				size.Y *= vg.Length(b.Dy()) / vg.Length(b.Dx())
			} else {
				size.X *= vg.Length(b.Dx()) / vg.Length(b.Dy())
			}
			canvas.DrawImage(vg.Rectangle{
				Min: vg.Point{X: middle - size.X/2, Y: top - size.Y},
				Max: vg.Point{X: middle + size.X/2, Y: top},
			}, enlarge(t.picture, int(tileSide)*dots/72))
			for j, s := range t.lines {
				canvas.FillText(text, vg.Point{X: middle, Y: top - tileSide - 2 - vg.Length(j)*line}, plain(s, 20))
			}
		}
	})
}

// enlarge repeats pixels a whole number of times so that the longer side has at
// least pixels of them: canvases smooth what they enlarge themselves.
func enlarge(picture image.Image, pixels int) image.Image {
	b := picture.Bounds()
	times := (pixels + max(b.Dx(), b.Dy()) - 1) / max(b.Dx(), b.Dy())
	if times <= 1 {
		return picture
	}
	large := image.NewRGBA(image.Rect(0, 0, times*b.Dx(), times*b.Dy()))
	for y := range large.Rect.Dy() {
		for x := range large.Rect.Dx() {
			large.Set(x, y, picture.At(b.Min.X+x/times, b.Min.Y+y/times))
		}
	}
	return large
}

// mostTableClasses is up to how many classes a confusion matrix is written in
// numbers.
const mostTableClasses = 30

// mostCells bounds the rows and columns of a confusion matrix that is a picture.
const mostCells = 500

// confusionPicture returns a confusion matrix with a pixel a pair of classes, or
// where there are too many, a pixel a square of pairs: actual classes from top
// to bottom, predicted ones from left to right, in the given order. A pixel is the
// more opaque, the larger the share of its row's samples is, on a scale of square
// roots, blue where both classes are the same and orange elsewhere.
func confusionPicture(c *confusion, order []int) *image.NRGBA {
	side := min(c.Classes(), mostCells)
	places := make([]int, c.Classes())
	for i, class := range order {
		places[class] = i * side / c.Classes()
	}
	place := func(class int) int { return places[class] }
	samples := make([]int, side)
	for k := range c.Classes() {
		samples[place(k)] += c.Support(k)
	}
	same, other := make([]int, side), make([]int, side*side)
	for pair, n := range c.cells {
		i, j := place(pair[0]), place(pair[1])
		if pair[0] == pair[1] {
			same[i] += n
		} else {
			other[i*side+j] += n
		}
	}
	picture := image.NewNRGBA(image.Rect(0, 0, side, side))
	for i := range side {
		for j := range side {
			n, ink := other[i*side+j], colours[1]
			if i == j && same[i] > 0 {
				n, ink = same[i], colours[0]
			}
			if n > 0 { // a single sample is to be seen too
				opacity := 0.25 + 0.75*math.Sqrt(float64(n)/float64(samples[i]))
				picture.SetNRGBA(j, i, color.NRGBA{ink.R, ink.G, ink.B, uint8(math.Round(255 * opacity))})
			}
		}
	}
	return picture
}

// cellShade returns how opaque the background of a cell of n of a row's samples is, 0 to 1.
// Text on it can be read on light and on dark pages.
func cellShade(n, samples int) float64 {
	if n == 0 {
		return 0
	}
	return 0.65 * math.Sqrt(float64(n)/float64(samples))
}

// confusionSide is the side of a confusion plot, in points.
const confusionSide = vg.Length(400)

// paintConfusion draws a confusion matrix with its axes, and with its counts
// where there are few classes.
func paintConfusion(c *confusion, order []int, name func(int) string) func(vg.CanvasSizer) {
	n := c.Classes()
	p := newPlot("Predicted", "Actual")
	p.X.Padding, p.Y.Padding = 0, 0
	picture := confusionPicture(c, order)
	p.Add(plotter.NewImage(enlarge(picture, 2*int(confusionSide)), -0.5, -0.5, float64(n)-0.5, float64(n)-0.5))
	text := style(chartText)
	if n <= mostTableClasses {
		text = style(min(chartText, 0.45*confusionSide/vg.Length(n+4)))
		text.XAlign, text.YAlign = draw.XCenter, draw.YCenter
		p.Add(counts(c, order, text))
	}
	var x, y plot.ConstantTicks
	for _, l := range heatLabels(n, mostTableClasses, func(i int) string { return plain(name(order[i]), 12) }) {
		at := l.At/100*float64(n) - 0.5
		x = append(x, plot.Tick{Value: at, Label: l.Name})
		y = append(y, plot.Tick{Value: float64(n-1) - at, Label: l.Name})
	}
	p.X.Tick.Marker, p.Y.Tick.Marker = x, y
	p.X.Tick.Label.Font.Size, p.Y.Tick.Label.Font.Size = text.Font.Size, text.Font.Size
	if widest(x, p.X.Tick.Label) > 0.8*confusionSide/vg.Length(len(x)+2) {
		p.X.Tick.Label.Rotation = math.Pi / 2
		p.X.Tick.Label.XAlign, p.X.Tick.Label.YAlign = draw.XRight, draw.YCenter
	}
	return func(canvas vg.CanvasSizer) { p.Draw(draw.New(canvas)) }
}

// counts returns the counts of a confusion matrix, to be drawn on its picture.
func counts(c *confusion, order []int, text draw.TextStyle) *plotter.Labels {
	all := &plotter.Labels{}
	for i, actual := range order {
		for j, predicted := range order {
			if n := c.At(actual, predicted); n > 0 {
				all.XYs = append(all.XYs, plotter.XY{X: float64(j), Y: float64(len(order) - 1 - i)})
				all.Labels = append(all.Labels, strconv.Itoa(n))
				s := text
				if cellShade(n, c.Support(actual)) > 0.5 {
					s.Color = color.White
				}
				all.TextStyle = append(all.TextStyle, s)
			}
		}
	}
	return all
}

func widest(all []plot.Tick, text draw.TextStyle) vg.Length {
	most := vg.Length(0)
	for _, t := range all {
		most = max(most, text.Width(t.Label))
	}
	return most
}
