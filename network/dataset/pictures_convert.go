package dataset

import (
	"errors"
	"fmt"
	"image"
	"image/color"
	"math"
	"slices"

	"golang.org/x/image/draw"

	"clgrad/network"
)

// A Conversion says how pictures become rows. Shape is rows × columns for grey, and
// rows × columns × 3 for red, green and blue. Like, where not nil, is the profile of the
// training set, whose range the values are brought to: a network that was trained on
// values of 0 to 1 is given such.
type Conversion struct {
	Shape  []int
	Like   *Profile
	Method Method
}

// A Method of converting a picture. All resize it by bilinear interpolation, with a wider
// kernel where it becomes smaller, so that every pixel counts; turn it as its EXIF data
// says; and lay what is transparent on white, or on black where nothing would be seen. Grey
// is 0.299 R + 0.587 G + 0.114 B.
type Method int

const (
	// Resize brings both sides to the shape's, whatever their ratio, and does nothing else.
	Resize Method = iota

	// Polarity does that, and exchanges dark and light where the picture's border is
	// outside of the training set's range and would then be inside.
	Polarity

	// Digits does what was done to MNIST's digits, with b = 20/28 of the shape's shorter
	// side and the background as dark as that of the training set:
	//
	//   - The background is the median of the picture's border. If it is lighter than the
	//     middle between the darkest and the lightest pixel, light and dark are exchanged.
	//     Light that grows from one edge to the opposite one is taken off evenly.
	//   - What differs from the background by less than 4 % of the contrast, or than three
	//     times the median deviation of the border, becomes background. What differs by 80 % or more is full ink, and between them it is stretched.
	//   - Specks go: parts that do not touch the others and have less than a 50th of the
	//     largest one's ink.
	//   - The box around all ink of a tenth or more is brought to b pixels at its longer
	//     side, with its ratio kept, and stretched once more, so that thin lines do not fade.
	//   - It is placed so that the centre of mass is where that of the training images is,
	//     in whole pixels, and nothing is cut off.
	//
	// A picture of the shape's size is left as it is, but for the exchange, where all this
	// would change little: its box differs from b by a pixel at most, and its centre of mass
	// is off by a pixel at most.
	Digits
)

// MethodFor returns how pictures are converted for a network with such a training set. like
// is nil where nothing is known of it, and has no border where its rows were no images: grey
// images are taken for digits then.
func MethodFor(shape []int, like *Profile) Method {
	grey := len(shape) == 2 || len(shape) == 3 && shape[2] == 1
	switch {
	case !grey || like != nil && like.Pictures:
		return Resize
	case like == nil || like.Border == nil:
		return Digits
	case like.digits(shape[0], shape[1]):
		return Digits
	}
	return Polarity
}

// digits reports whether images of h × w pixels look as MNIST's do: background all around,
// and every centre of mass within an eighth of a side of the middle.
func (p *Profile) digits(h, w int) bool {
	span := p.Highest.Max - p.Lowest.Min
	ground := min(p.Border.Mean-p.Lowest.Min, p.Highest.Max-p.Border.Mean)
	middle := func(r *Range, side int) bool {
		m, most := float64(side-1)/2, max(1, float64(side)/8)
		return r.Min >= m-most && r.Max <= m+most
	}
	return min(h, w) >= 8 && ground < span/50 && middle(p.Row, h) && middle(p.Column, w)
}

func (c Conversion) check() error {
	_, _, channels := c.sides()
	if len(c.Shape) < 2 || len(c.Shape) > 3 || channels != 1 && channels != 3 {
		return fmt.Errorf("shape %s is none of pictures: rows and columns, or rows, columns and 3 colours are expected, as in 28x28 or 32x32x3", times(c.Shape))
	}
	if c.Shape[0] > maxPixels || c.Shape[1] > maxPixels || c.Shape[0]*c.Shape[1] > maxPixels || c.Shape[0] < 1 || c.Shape[1] < 1 {
		return fmt.Errorf("shape %s: 1 to %d million pixels are possible", times(c.Shape), maxPixels/1_000_000)
	}
	if c.Method == Digits && channels != 1 {
		return errors.New("digits are grey")
	}
	return nil
}

// sides returns rows, columns and channels.
func (c Conversion) sides() (h, w, channels int) {
	if len(c.Shape) < 2 {
		return 0, 0, 0
	}
	channels = 1
	if len(c.Shape) == 3 {
		channels = c.Shape[2]
	}
	return c.Shape[0], c.Shape[1], channels
}

func (c Conversion) features() int {
	h, w, channels := c.sides()
	return h * w * channels
}

// A Look is what was seen of a picture.
type Look struct {
	Blank    bool // all its pixels are alike
	Coloured bool // some have a colour
	Inverted bool // dark and light were exchanged
}

// row converts a picture.
func (c Conversion) row(to []uint8, picture image.Image, orientation int) Look {
	l := c.rowOn(to, picture, orientation, image.White)
	if o, ok := picture.(interface{ Opaque() bool }); l.Blank && ok && !o.Opaque() {
		return c.rowOn(to, picture, orientation, image.Black)
	}
	return l
}

func (c Conversion) rowOn(to []uint8, picture image.Image, orientation int, ground image.Image) (l Look) {
	if c.Method == Digits {
		return c.digit(to, picture, orientation, ground)
	}
	h, w, channels := c.sides()
	p := resized(picture, orientation, h, w, ground)
	if channels == 1 {
		copy(to, grey(p))
	} else {
		for i := range h * w {
			copy(to[3*i:3*i+3], p.Pix[4*i:])
		}
	}
	l.Blank = slices.Min(to) == slices.Max(to)
	for i := 0; i < len(p.Pix) && !l.Coloured; i += 4 {
		r, g, b := p.Pix[i], p.Pix[i+1], p.Pix[i+2]
		l.Coloured = max(r, g, b)-min(r, g, b) > 8
	}
	if c.Method == Polarity && c.Like != nil && c.Like.Border != nil {
		border := describeRow(to, []int{h, w}).border
		if low, high := c.Range(); c.Like.inverted(low + border/255*(high-low)) {
			invert(to)
			l.Inverted = true
		}
	}
	return l
}

func invert(row []uint8) {
	for i, v := range row {
		row[i] = 255 - v
	}
}

// resized returns a picture brought to h × w pixels as it is looked at, on a ground.
func resized(picture image.Image, orientation, h, w int, ground image.Image) *image.RGBA {
	if turned(orientation) {
		h, w = w, h
	}
	p := image.NewRGBA(image.Rect(0, 0, w, h))
	draw.Draw(p, p.Rect, ground, image.Point{}, draw.Src)
	draw.BiLinear.Scale(p, p.Rect, picture, picture.Bounds(), draw.Over, nil)
	return upright(p, orientation)
}

// grey returns the brightness of each pixel.
func grey(p *image.RGBA) []uint8 {
	out := make([]uint8, len(p.Pix)/4)
	for i := range out {
		r, g, b := uint32(p.Pix[4*i]), uint32(p.Pix[4*i+1]), uint32(p.Pix[4*i+2])
		out[i] = uint8((19595*r + 38470*g + 7471*b + 1<<15) >> 16)
	}
	return out
}

// isGrey reports a colour model without colours.
func isGrey(m color.Model) bool {
	if p, ok := m.(color.Palette); ok {
		return !slices.ContainsFunc(p, func(c color.Color) bool {
			r, g, b, _ := c.RGBA()
			return r != g || g != b
		})
	}
	return m == color.GrayModel || m == color.Gray16Model
}

// enough is the longer side at which a digit is looked for: larger pictures are made
// smaller before.
const enough = 1024

// digit converts a picture as Digits says.
func (c Conversion) digit(to []uint8, picture image.Image, orientation int, under image.Image) (l Look) {
	clear(to)
	if c.Like != nil && c.Like.Border != nil && 2*c.Like.Border.Mean > c.Like.Lowest.Min+c.Like.Highest.Max {
		defer func() { // dark on light
			invert(to)
			l.Inverted = !l.Inverted && !l.Blank
		}()
	}
	h, w, _ := c.sides()
	down, right := picture.Bounds().Dy(), picture.Bounds().Dx()
	if turned(orientation) {
		down, right = right, down
	}
	if long := max(down, right); long > enough {
		down, right = max(1, down*enough/long), max(1, right*enough/long)
	}
	pixels := grey(resized(picture, orientation, down, right, under))
	dark, light := slices.Min(pixels), slices.Max(pixels)
	if light-dark < 8 {
		return Look{Blank: true}
	}
	behind := groundOf(pixels, down, right)
	if 2*behind.middle > float64(dark)+float64(light) {
		invert(pixels)
		behind = groundOf(pixels, down, right)
		l.Inverted = true
	}
	middle := [2]float64{float64(h) / 2, float64(w) / 2}
	if c.Like != nil && c.Like.Row != nil {
		middle = [2]float64{c.Like.Row.Mean, c.Like.Column.Mean}
	}
	side := max(1, int(math.Round(float64(min(h, w))*20/28)))

	// Ink, from 0 to 255.
	over := func(i int) float64 { return float64(pixels[i]) - behind.at(i/right, i%right) }
	contrast := 0.0
	for i := range pixels {
		contrast = max(contrast, over(i))
	}
	from := min(contrast/2, max(contrast/25, 3*behind.deviation))
	ink := make([]uint8, len(pixels))
	for i := range pixels {
		ink[i] = uint8(math.Round(255 * min(1, max(0, (over(i)-from)/(0.8*contrast-from)))))
	}
	dropSpecks(ink, right)
	box := inkBox(ink, down, right)
	if down == h && right == w && abs(max(box.Dx(), box.Dy())-side) <= 1 {
		d := describeRow(pixels, []int{h, w})
		if math.Abs(d.row-middle[0]) <= 1 && math.Abs(d.column-middle[1]) <= 1 {
			copy(to, pixels)
			return l
		}
	}

	long := float64(max(box.Dx(), box.Dy()))
	fit := func(n int) int { return min(side, max(1, int(math.Round(float64(n)*float64(side)/long)))) }
	small := image.NewRGBA(image.Rect(0, 0, fit(box.Dx()), fit(box.Dy())))
	draw.BiLinear.Scale(small, small.Rect, &image.Gray{Pix: ink, Stride: right, Rect: image.Rect(0, 0, right, down)}, box, draw.Src, nil)
	digit := grey(small)
	most := float64(max(1, slices.Max(digit)))
	for i, v := range digit {
		digit[i] = uint8(math.Round(255 * float64(v) / most))
	}
	nh, nw := small.Rect.Dy(), small.Rect.Dx()
	row, column := centre(digit, nw)
	top := min(h-nh, max(0, int(math.Round(middle[0]-row))))
	left := min(w-nw, max(0, int(math.Round(middle[1]-column))))
	for i := range nh {
		copy(to[(top+i)*w+left:], digit[i*nw:(i+1)*nw])
	}
	return l
}

func abs(n int) int { return max(n, -n) }

// A ground is the background of a picture: a plane, as light seldom falls evenly.
type ground struct {
	middle      float64 // its value there, the median of the border
	down, right float64 // how much it gains from row to row and from column to column
	h, w        int
	deviation   float64 // the median distance of the border from the plane
}

func (g ground) at(row, column int) float64 {
	return g.middle + g.down*(float64(row)-float64(g.h-1)/2) + g.right*(float64(column)-float64(g.w-1)/2)
}

// groundOf finds the background by the pixels at the edges, a 28th of the shorter side
// wide: by the median of all of them, and the difference of those of opposite edges.
func groundOf(pixels []uint8, h, w int) ground {
	wide := max(1, min(h, w)/28)
	strip := func(top, left, bottom, right int) (values []float64) {
		for i := top; i < bottom; i++ {
			for _, v := range pixels[i*w+left : i*w+right] {
				values = append(values, float64(v))
			}
		}
		return values
	}
	top, bottom := strip(0, 0, wide, w), strip(h-wide, 0, h, w)
	left, right := strip(0, 0, h, wide), strip(0, w-wide, h, w)
	g := ground{h: h, w: w, middle: median(slices.Concat(top, bottom, left, right))}
	if h > wide && w > wide {
		g.down, g.right = (median(bottom)-median(top))/float64(h-wide), (median(right)-median(left))/float64(w-wide)
	}
	var distances []float64
	for i := range h {
		for j := range w {
			if i < wide || i >= h-wide || j < wide || j >= w-wide {
				distances = append(distances, math.Abs(float64(pixels[i*w+j])-g.at(i, j)))
			}
		}
	}
	g.deviation = median(distances)
	return g
}

// median sorts values and returns the upper of the middle ones.
func median(values []float64) float64 {
	slices.Sort(values)
	return values[len(values)/2]
}

// faint is ink that is not looked at for the box: less than a tenth.
const faint = 26

// dropSpecks clears what hangs together, also by corners, and has less than a 50th of the
// ink of the largest of such parts.
func dropSpecks(ink []uint8, w int) {
	seen := make([]bool, len(ink))
	var all []int    // pixels, part by part
	var ends []int   // of the parts in all
	var masses []int // of the parts
	most := 0
	for start, v := range ink {
		if v < faint || seen[start] {
			continue
		}
		mass, first := 0, len(all)
		seen[start] = true
		all = append(all, start)
		for at := first; at < len(all); at++ {
			i := all[at]
			mass += int(ink[i])
			x := i % w
			for _, row := range [3]int{i - w, i, i + w} {
				for dx := -1; dx <= 1; dx++ {
					if j := row + dx; row >= 0 && row < len(ink) && x+dx >= 0 && x+dx < w && !seen[j] && ink[j] >= faint {
						seen[j] = true
						all = append(all, j)
					}
				}
			}
		}
		ends, masses, most = append(ends, len(all)), append(masses, mass), max(most, mass)
	}
	from := 0
	for k, to := range ends {
		if 50*masses[k] < most {
			for _, i := range all[from:to] {
				ink[i] = 0
			}
		}
		from = to
	}
}

// inkBox returns the box around all ink that is not faint.
func inkBox(ink []uint8, h, w int) image.Rectangle {
	box := image.Rectangle{image.Pt(w, h), image.Pt(0, 0)}
	for i := range h {
		for j, v := range ink[i*w : (i+1)*w] {
			if v >= faint {
				box.Min.X, box.Min.Y = min(box.Min.X, j), min(box.Min.Y, i)
				box.Max.X, box.Max.Y = max(box.Max.X, j+1), max(box.Max.Y, i+1)
			}
		}
	}
	return box
}

// centre returns the centre of mass of an image of so many columns, (0, 0) where all is 0.
func centre(pixels []uint8, columns int) (row, column float64) {
	var mass, down, right int
	for i, v := range pixels {
		mass += int(v)
		down += int(v) * (i / columns)
		right += int(v) * (i % columns)
	}
	if mass == 0 {
		return 0, 0
	}
	return float64(down) / float64(mass), float64(right) / float64(mass)
}

// unit returns what a pixel's value is in the units of the training set: v itself, or
// where those are not 0 to 255, as much of their range as v is of 0 to 255.
func (c Conversion) unit(v float64) float64 {
	p := c.Like
	if p == nil || p.Pictures || p.Lowest.Min >= 0 && p.Highest.Max > byteMax/2 && p.Highest.Max <= byteMax {
		return v
	}
	return p.Lowest.Min + v/255*(p.Highest.Max-p.Lowest.Min)
}

// Range returns the values that black and white pixels become.
func (c Conversion) Range() (black, white float64) { return c.unit(0), c.unit(255) }

// inUnits returns rows of bytes in the units of the training set.
func (c Conversion) inUnits(s network.Samples) network.Samples {
	if black, white := c.Range(); black == 0 && white == 255 {
		return s
	}
	var values [256]float32
	for v := range values {
		values[v] = float32(c.unit(float64(v)))
	}
	s.Floats = make([]float32, len(s.Bytes))
	for i, v := range s.Bytes {
		s.Floats[i] = values[v]
	}
	s.Bytes = nil
	return s
}
