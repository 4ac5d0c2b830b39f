package report

import (
	"bytes"
	"cmp"
	"fmt"
	"image/color"
	"math"
	"slices"
	"strconv"
	"strings"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/font"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgimg"
	"gonum.org/v1/plot/vg/vgsvg"
)

// The colours of curves, in their order: those of Okabe and Ito (Color Universal
// Design, 2008) that can be told apart on white by most kinds of sight. The
// page's style sheet has their like for dark backgrounds.
var colours = []color.RGBA{
	{0x00, 0x72, 0xB2, 0xFF}, // blue
	{0xD5, 0x5E, 0x00, 0xFF}, // vermilion
	{0x00, 0x9E, 0x73, 0xFF}, // bluish green
	{0xCC, 0x79, 0xA7, 0xFF}, // reddish purple
}

var (
	axisColour   = color.RGBA{0x80, 0x80, 0x80, 0xFF} // visible on white and on black
	gridColour   = color.NRGBA{0x80, 0x80, 0x80, 0x40}
	markerColour = color.RGBA{0x80, 0x80, 0x80, 0xFF}
)

// dashes tell curves apart without colour; a curve of its own is drawn through,
// a reference never.
var dashes = [][]vg.Length{nil, {6, 2}, {2, 2}, {6, 2, 2, 2}}

// The size of a chart's plot in points, the legend above it not counted. A point
// is about a pixel of a phone, where a chart is as wide as the screen.
const (
	chartWidth  = vg.Length(400)
	chartHeight = vg.Length(230)
	chartText   = vg.Length(10.5)
)

// style returns the style of text in pictures.
func style(size vg.Length) draw.TextStyle {
	return draw.TextStyle{
		Color:   color.Black,
		Font:    font.From(font.Font{Typeface: "Liberation", Variant: "Sans"}, size),
		Handler: plot.DefaultTextHandler,
	}
}

// plain returns text in one line of at most n characters, without what has no
// shape.
func plain(text string, n int) string {
	text = strings.Map(func(r rune) rune {
		if !strconv.IsPrint(r) {
			return ' '
		}
		return r
	}, text)
	if r := []rune(text); len(r) > n {
		return string(r[:n-1]) + "…"
	}
	return text
}

// A drawing is a chart as it is drawn.
type drawing struct {
	*plot.Plot
	scale
	entries []entry
	notes   []string // what the chart cannot show
}

// An entry is a line of the legend. One without a line has a ring.
type entry struct {
	text string
	line draw.LineStyle
	ring color.Color
}

// words says what the legend says.
func (d *drawing) words() string {
	var all []string
	for _, e := range d.entries {
		all = append(all, e.text)
	}
	return strings.Join(all, "; ")
}

// look returns the classes of the style sheet that an entry's sample has.
func (e entry) look() string {
	ink := cmp.Or(e.ring, e.line.Color)
	look := fmt.Sprintf("ink%d", slices.IndexFunc(colours, func(c color.RGBA) bool { return c == ink }))
	if ink == markerColour {
		look = "marker"
	}
	if e.ring != nil {
		return look
	}
	return look + fmt.Sprintf(" dash%d", slices.IndexFunc(dashes, func(d []vg.Length) bool { return slices.Equal(d, e.line.Dashes) }))
}

// A scale says how a chart's values are shown.
type scale struct {
	name   string
	factor float64 // of the values
	unit   string  // behind a value in words
	log    bool    // logarithmic where the values span more than a decade
	most   float64 // values are not larger
}

var (
	lossScale     = scale{"Loss", 1, "", true, math.Inf(1)}
	accuracyScale = scale{"Accuracy, %", 100, " points", false, 100}
)

// value writes a value of the chart in words.
func (s scale) value(v float64) string {
	if s.log {
		return lossText(v)
	}
	return strconv.FormatFloat(v, 'f', 2, 64) + " %"
}

// lossText writes a loss with four decimals, or as many as show three digits of it.
func lossText(v float64) string {
	if v != 0 && math.Abs(v) < 1e-4 || math.Abs(v) >= 1e5 {
		return strconv.FormatFloat(v, 'g', 3, 64)
	}
	return strconv.FormatFloat(v, 'f', 4, 64)
}

// newDrawing draws a chart and returns nil where it has no point that can be
// drawn.
func newDrawing(c Chart, s scale) *drawing {
	d := &drawing{Plot: newPlot("Iteration", s.name), scale: s}
	if c.Epoch > 0 {
		d.X.Label.Text, d.X.Tick.Marker = "Epoch", epochTicks(c.Epoch)
	}
	d.Add(grid())
	points := 0
	for i, curve := range c.Curves {
		points += d.curve(curve, i, false)
	}
	for i, curve := range c.References {
		name := curve.Name
		if len(c.Curves) > 0 {
			if compared, ok := Compare(c.Curves[0], curve); ok {
				moved := ""
				if compared.Shift != 0 {
					curve = curve.moved(compared.Shift)
					way := fmt.Sprintf("%d iterations to the right", compared.Shift)
					if compared.Shift < 0 {
						way = fmt.Sprintf("%d iterations to the left", -compared.Shift)
					}
					curve.Name = plain(curve.Name, 50) + ", moved"
					moved = fmt.Sprintf(", after moving that curve %s", way)
				}
				d.notes = append(d.notes, fmt.Sprintf("%s: the largest distance from %q is %.3g%s, at iteration %d%s.",
					c.Curves[0].Name, name, s.factor*compared.Distance, s.unit, compared.Iteration, moved))
			} else {
				d.notes = append(d.notes, fmt.Sprintf("%s and %q have too few iterations in common to be compared.", c.Curves[0].Name, name))
			}
		}
		points += d.curve(curve, len(c.Curves)+i, true)
	}
	if points == 0 {
		return nil
	}
	for i, curve := range c.Curves {
		if curve.Name == c.Best {
			d.best(curve, c.Epoch, colours[i%len(colours)])
		}
	}
	for i, m := range c.Markers {
		line := draw.LineStyle{Color: markerColour, Width: 1.2, Dashes: dashes[1+i%(len(dashes)-1)]}
		d.X.Min, d.X.Max = min(d.X.Min, float64(m.Iteration)), max(d.X.Max, float64(m.Iteration))
		d.Add(upright{float64(m.Iteration), line})
		d.entries = append(d.entries, entry{text: plain(m.Text, 60), line: line})
	}
	d.axes()
	return d
}

// best marks the best value of a curve.
func (d *drawing) best(c Curve, epoch int, ink color.Color) {
	sign, word := 1.0, "lowest"
	if d.scale == accuracyScale {
		sign, word = -1, "highest"
	}
	at := -1
	for i, v := range c.Values {
		if drawable(v) && (at < 0 || sign*v < sign*c.Values[at]) {
			at = i
		}
	}
	if at < 0 {
		return
	}
	n, v := c.Iterations[at], d.factor*c.Values[at]
	when := fmt.Sprintf("iteration %d", n)
	if epoch > 0 && n%epoch == 0 {
		when = fmt.Sprintf("epoch %d", n/epoch)
	}
	d.Add(&plotter.Scatter{XYs: plotter.XYs{{X: float64(n), Y: v}}, GlyphStyle: ringOf(ink)})
	d.entries = append(d.entries, entry{text: fmt.Sprintf("%s, %s: %s", word, when, d.value(v)), ring: ink})
}

// curve adds a curve and returns the number of its points.
func (d *drawing) curve(c Curve, number int, reference bool) (points int) {
	line := draw.LineStyle{Color: colours[number%len(colours)], Width: 1.8}
	if reference {
		line.Dashes = dashes[1+number%(len(dashes)-1)]
	}
	pieces, left := c.segments(d.factor)
	return d.pieces(c.Name, pieces, left, len(c.Values), line)
}

// pieces adds a curve's pieces, without left of all its values, and returns the number
// of its points.
func (d *drawing) pieces(name string, pieces []plotter.XYs, left, all int, line draw.LineStyle) (points int) {
	if left > 0 {
		d.notes = append(d.notes, fmt.Sprintf("%s: %d of %d values are not finite and left out.", name, left, all))
	}
	for _, piece := range pieces {
		points += len(piece)
		if len(piece) == 1 {
			d.Add(&plotter.Scatter{XYs: piece, GlyphStyle: draw.GlyphStyle{Color: line.Color, Radius: 1.5, Shape: draw.CircleGlyph{}}})
			continue
		}
		d.Add(&plotter.Line{XYs: thin(piece), LineStyle: line})
	}
	if points > 0 {
		// The last value is marked, and said in the legend.
		end := pieces[len(pieces)-1]
		last := end[len(end)-1]
		d.Add(&plotter.Scatter{XYs: plotter.XYs{last}, GlyphStyle: draw.GlyphStyle{Color: line.Color, Radius: 2.5, Shape: draw.CircleGlyph{}}})
		d.entries = append(d.entries, entry{text: plain(name, 60) + ": " + d.value(last.Y), line: line})
	}
	return points
}

// newPlot returns an empty plot in the report's looks.
func newPlot(x, y string) *plot.Plot {
	p := plot.New()
	p.BackgroundColor = nil
	p.X.Label.Text, p.Y.Label.Text = x, y
	for _, a := range []*plot.Axis{&p.X, &p.Y} {
		a.Label.TextStyle.Font = style(chartText).Font
		a.Label.Padding = 2
		a.Tick.Label.Font = style(chartText).Font
		a.Tick.Length = 4
		a.Tick.Color, a.Color = axisColour, axisColour
		a.Padding = 3
		a.Tick.Marker = plot.TickerFunc(ticks)
	}
	p.X.Tick.Marker = plot.TickerFunc(wholeTicks)
	return p
}

func grid() *plotter.Grid {
	g := plotter.NewGrid()
	g.Vertical.Color, g.Horizontal.Color = gridColour, gridColour
	return g
}

// ring is a glyph.
type ring struct{}

// DrawGlyph draws the ring.
func (ring) DrawGlyph(c *draw.Canvas, s draw.GlyphStyle, at vg.Point) {
	c.SetLineStyle(draw.LineStyle{Color: s.Color, Width: 1.5})
	var p vg.Path
	p.Move(vg.Point{X: at.X + s.Radius, Y: at.Y})
	p.Arc(at, s.Radius, 0, 2*math.Pi)
	p.Close()
	c.Stroke(p)
}

func ringOf(ink color.Color) draw.GlyphStyle {
	return draw.GlyphStyle{Color: ink, Radius: 4.5, Shape: ring{}}
}

// upright is a line across a plot at one value of X.
type upright struct {
	x float64
	draw.LineStyle
}

// Plot draws the line.
func (u upright) Plot(c draw.Canvas, p *plot.Plot) {
	if x := p.X.Norm(u.x); x >= 0 && x <= 1 {
		c.StrokeLine2(u.LineStyle, c.X(x), c.Min.Y, c.X(x), c.Max.Y)
	}
}

// lines distributes the entries of a legend over lines of a width.
func (d *drawing) lines(width vg.Length) [][]entry {
	var all [][]entry
	room := vg.Length(0)
	for _, e := range d.entries {
		need := legendWidth(e)
		if len(all) == 0 || need > room {
			all = append(all, nil)
			room = width
		}
		all[len(all)-1] = append(all[len(all)-1], e)
		room -= need
	}
	return all
}

// The measures of a legend, in points.
const (
	legendLine   = vg.Length(14)
	legendSample = vg.Length(22) // length of the line that is shown
	legendGap    = vg.Length(14)
)

func legendWidth(e entry) vg.Length {
	return legendSample + 4 + style(chartText).Width(e.text) + legendGap
}

// height returns the height of the chart with its legend, in points.
func (d *drawing) height() vg.Length {
	return chartHeight + legendLine*vg.Length(len(d.lines(chartWidth)))
}

// drawPlot draws the plot alone.
func (d *drawing) drawPlot(c vg.CanvasSizer) { d.Draw(draw.Crop(draw.New(c), 0, -4, 0, -4)) }

// draw draws the legend, above the plot so that it hides nothing, and the plot.
func (d *drawing) draw(c vg.CanvasSizer) {
	canvas := draw.New(c)
	text := style(chartText)
	text.YAlign = draw.YCenter
	y := canvas.Max.Y - legendLine/2
	for _, line := range d.lines(chartWidth) {
		x := canvas.Min.X
		for _, e := range line {
			if e.ring != nil {
				canvas.DrawGlyph(ringOf(e.ring), vg.Point{X: x + legendSample/2, Y: y})
			} else {
				canvas.StrokeLine2(e.line, x, y, x+legendSample, y)
			}
			canvas.FillText(text, vg.Point{X: x + legendSample + 4, Y: y}, e.text)
			x += legendWidth(e)
		}
		y -= legendLine
	}
	canvas.Max.Y -= legendLine * vg.Length(len(d.lines(chartWidth)))
	d.Draw(draw.Crop(canvas, 0, -4, 0, -4))
}

// dots is the resolution of PNG files, a point being two pixels.
const dots = 144

// pictureOf returns a drawing as a PNG file. margin surrounds it, in points.
func pictureOf(width, height, margin vg.Length, paint func(vg.CanvasSizer)) ([]byte, error) {
	c := vgimg.PngCanvas{Canvas: vgimg.NewWith(vgimg.UseWH(width+2*margin, height+2*margin), vgimg.UseDPI(dots))}
	c.Translate(vg.Point{X: margin, Y: margin})
	paint(inner{c, width, height})
	var b bytes.Buffer
	_, err := c.WriteTo(&b)
	return b.Bytes(), err
}

// inner is a canvas inside its margins.
type inner struct {
	vg.Canvas
	width, height vg.Length
}

// Size returns the width and height within the margins.
func (i inner) Size() (width, height vg.Length) { return i.width, i.height }

// inline returns a drawing as an SVG element.
func inline(width, height vg.Length, paint func(vg.CanvasSizer)) (string, error) {
	c := vgsvg.New(width, height)
	paint(c)
	var b strings.Builder
	if _, err := c.WriteTo(&b); err != nil {
		return "", err
	}
	// A page has the element alone, without the XML declaration before it.
	_, element, _ := strings.Cut(b.String(), "<svg ")
	return "<svg " + element, nil
}
