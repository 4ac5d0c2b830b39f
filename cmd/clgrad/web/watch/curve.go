package watch

import (
	"math"
	"strconv"
)

// maxPoints bounds the points of a curve.
const maxPoints = 2000

// A Point is the mean loss and accuracy of one iteration, or of some that follow each other. As
// JSON it is [iteration, loss, accuracy], with null for what is not finite.
type Point struct {
	Iteration      int // the last of them
	Loss, Accuracy float64
	count          int // of the iterations
}

// Points are the points of a curve, by their iterations.
type Points []Point

// MarshalJSON writes numbers with 6 digits: more are not seen in a curve.
func (p Points) MarshalJSON() ([]byte, error) {
	b := append(make([]byte, 0, 2+32*len(p)), '[')
	for i, q := range p {
		if i > 0 {
			b = append(b, ',')
		}
		b = strconv.AppendInt(append(b, '['), int64(q.Iteration), 10)
		for _, v := range []float64{q.Loss, q.Accuracy} {
			b = append(b, ',')
			if math.IsNaN(v) || math.IsInf(v, 0) {
				b = append(b, "null"...)
				continue
			}
			b = strconv.AppendFloat(b, v, 'g', 6, 64)
		}
		b = append(b, ']')
	}
	return append(b, ']'), nil
}

// merge returns the mean of two points, of which q is the later one.
func (p Point) merge(q Point) Point {
	n := p.count + q.count
	share := float64(q.count) / float64(n)
	return Point{q.Iteration, p.Loss + share*(q.Loss-p.Loss), p.Accuracy + share*(q.Accuracy-p.Accuracy), n}
}

// A curve holds points of a run of any length. Iterations are put together by the same number of
// them, a power of 2 that doubles whenever there are too many points.
type curve struct {
	stride  int // iterations that a point may have
	points  Points
	changed int // points from this one on have changed since published
}

// add adds what is known of an iteration, a later one than those before.
func (c *curve) add(iteration int, loss, accuracy float64) {
	c.stride = max(c.stride, 1)
	c.put(Point{iteration, loss, accuracy, 1})
	for len(c.points) > maxPoints {
		c.stride *= 2
		all := c.points
		c.points, c.changed = all[:0], 0 // a point is never put behind its own place
		for _, p := range all {
			c.put(p)
		}
	}
}

// put adds a point to the last one, where both are of the same iterations, or behind it.
func (c *curve) put(p Point) {
	last := len(c.points) - 1
	if last >= 0 && (c.points[last].Iteration-1)/c.stride == (p.Iteration-1)/c.stride {
		c.points[last] = c.points[last].merge(p)
		c.changed = min(c.changed, last)
		return
	}
	c.points = append(c.points, p)
}

// publish returns what has changed since the last call, nil for nothing.
func (c *curve) publish() *Stretch {
	at := c.changed
	if at == len(c.points) {
		return nil
	}
	c.changed = len(c.points)
	return &Stretch{at, c.points[at:]}
}

// A Stretch is a part of a curve: its points from index At on are these, and there are no more.
type Stretch struct {
	At     int    `json:"at"`
	Points Points `json:"points"`
}
