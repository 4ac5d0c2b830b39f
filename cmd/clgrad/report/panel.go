package report

import (
	"fmt"
	"math"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg/draw"
)

// MaxLines is how many lines a panel can have: more cannot be told apart.
var MaxLines = len(colours) * len(dashes)

// A Panel is a chart of lines over any axis, as of several runs over their seconds.
type Panel struct {
	ID, Heading string
	X           string // names the axis
	Share       bool   // values are shares of 0 to 1, otherwise losses
	Lines       []Line
	Level       Level // worth a line across; the zero Level is none
}

// A Line is values at places of an axis. Values that are not finite are left out.
type Line struct {
	Name string
	X, Y []float64 // X does not fall
}

// A Level is a value with what is said of it.
type Level struct {
	Value float64
	Text  string
}

func (p Panel) check() error {
	if len(p.Lines) > MaxLines {
		return fmt.Errorf("%d lines: %d at most can be told apart", len(p.Lines), MaxLines)
	}
	for _, l := range p.Lines {
		if len(l.X) != len(l.Y) {
			return fmt.Errorf("line %q: %d values at %d places", l.Name, len(l.Y), len(l.X))
		}
		for i, x := range l.X {
			if !drawable(x) || i > 0 && x < l.X[i-1] {
				return fmt.Errorf("line %q: place %d is %g: finite numbers that do not fall are expected", l.Name, i+1, x)
			}
		}
	}
	if !drawable(p.Level.Value) {
		return fmt.Errorf("level %q is %g: a finite number is expected", p.Level.Text, p.Level.Value)
	}
	return nil
}

// newPanel draws a panel and returns nil where it has no point that can be drawn.
func newPanel(p Panel) *drawing {
	s := lossScale
	if p.Share {
		s = accuracyScale
	}
	d := &drawing{Plot: newPlot(p.X, s.name), scale: s}
	d.Add(grid())
	points, whole := 0, true
	for i, l := range p.Lines {
		// Colours first: dashes tell apart those that have one colour.
		style := draw.LineStyle{Color: colours[i%len(colours)], Width: 1.8, Dashes: dashes[i/len(colours)]}
		pieces, left := segments(len(l.Y), func(i int) plotter.XY { return plotter.XY{X: l.X[i], Y: s.factor * l.Y[i]} })
		points += d.pieces(l.Name, pieces, left, len(l.Y), style)
		for _, x := range l.X {
			whole = whole && x == math.Trunc(x)
		}
	}
	if points == 0 {
		return nil
	}
	if !whole {
		d.X.Tick.Marker = plot.TickerFunc(ticks)
	}
	if p.Level != (Level{}) {
		line := draw.LineStyle{Color: markerColour, Width: 1.2, Dashes: dashes[1]}
		y := s.factor * p.Level.Value
		d.Y.Min, d.Y.Max = min(d.Y.Min, y), max(d.Y.Max, y)
		d.Add(across{y, line})
		d.entries = append(d.entries, entry{text: plain(p.Level.Text, 60), line: line})
	}
	d.axes()
	return d
}

// across is a line through a plot at one value of Y.
type across struct {
	y float64
	draw.LineStyle
}

// Plot draws the line.
func (a across) Plot(c draw.Canvas, p *plot.Plot) {
	if y := p.Y.Norm(a.y); y >= 0 && y <= 1 {
		c.StrokeLine2(a.LineStyle, c.Min.X, c.Y(y), c.Max.X, c.Y(y))
	}
}
