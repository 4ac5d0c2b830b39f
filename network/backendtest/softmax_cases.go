package backendtest

import (
	"fmt"
	"math/rand/v2"
)

// softmaxShapes are rows and classes.
var softmaxShapes = [][2]int{
	{1, 1}, {7, 1}, {1, 2}, {2, 3}, {13, 10}, {31, 17}, {64, 16}, {65, 33}, {257, 10}, {12, 128}, {127, 150}, {5, 500}, {3, 1000}, {60000, 10},
}

func softmaxCases(s *session) []softmaxCase {
	fills := []struct {
		name string
		fill func(r *rand.Rand, z dense, labels []int32)
	}{
		{"normal", func(r *rand.Rand, z dense, _ []int32) {
			for i := range z.v {
				z.v[i] = 3 * r.NormFloat64()
			}
		}},
		{"shifted by 1000", func(r *rand.Rand, z dense, _ []int32) {
			for i := range z.v {
				z.v[i] = 1000 + r.NormFloat64()
			}
		}},
		{"nearly equal", func(r *rand.Rand, z dense, _ []int32) {
			for i := range z.v {
				z.v[i] = 1e-3 * r.NormFloat64()
			}
		}},
		{"up to 1e4", func(r *rand.Rand, z dense, _ []int32) {
			for i := range z.v {
				z.v[i] = 2e4*r.Float64() - 1e4
			}
			// Rows that are sure of their label, right and wrong.
			z.v[0] = 1e4
			z.v[len(z.v)-1] = -1e4
		}},
		{"all equal", func(r *rand.Rand, z dense, _ []int32) {
			for i := range z.rows {
				v := r.NormFloat64()
				for j := range z.row(i) {
					z.row(i)[j] = v
				}
			}
		}},
		{"two largest", func(r *rand.Rand, z dense, labels []int32) {
			for i := range z.rows {
				for j := range z.row(i) {
					z.row(i)[j] = r.Float64()
				}
				low, high := r.IntN(z.cols), r.IntN(z.cols)
				z.row(i)[low], z.row(i)[high] = 1.5, 1.5
				labels[i] = int32([]int{low, high}[i%2]) // the label is the lower one, or the higher one
			}
		}},
	}
	var cases []softmaxCase
	for i, shape := range softmaxShapes {
		rows, p := shape[0], shape[1]
		if s.quick && rows > 1000 || s.smallest && rows*p > 500 || !s.single && rows*p > 2500 {
			continue
		}
		base := softmaxCase{rows: rows, p: p}
		base.m = []int{rows, 60000, 3*rows + 1}[i%3]
		base.block = i % 3
		base.blockRows = rows + []int{0, 2}[i%2] // a whole block, or a last one that is shorter
		add := func(name string, fill func(*rand.Rand, dense, []int32)) {
			c := base
			c.name = fmt.Sprintf("%dx%d %s, block %d, m=%d", rows, p, name, c.block, c.m)
			r := source(c.name)
			c.z, c.labels = newDense(rows, p), make([]int32, rows)
			for i := range c.labels {
				c.labels[i] = int32(r.IntN(p))
			}
			c.labels[0], c.labels[rows-1] = 0, int32(p-1)
			fill(r, c.z, c.labels)
			c.z = c.z.apply(s.round)
			cases = append(cases, c)
		}
		for k, f := range fills {
			if rows > 1000 && k > 0 {
				continue
			}
			add(f.name, f.fill)
		}
		base.exact = true
		for base.m = 1; base.m < rows; base.m *= 2 {
		}
		add("far apart", farApart)
	}
	return cases
}

// farApart draws rows of which one logit exceeds all others by at least a
// thousand, integers all: exp of the others is 0 in either precision, so the
// probabilities are 0 and 1 and the loss is the distance of the label's logit.
// Distances are such that a block's sum stays below 2²⁴.
func farApart(r *rand.Rand, z dense, labels []int32) {
	wrong := 1 // one row in so many has a loss
	if z.rows > 4000 {
		wrong = z.rows / 4000
	}
	for i := range z.rows {
		top := r.IntN(z.cols)
		if i%wrong > 0 {
			top = int(labels[i])
		}
		for j := range z.row(i) {
			z.row(i)[j] = float64(-1000 - r.IntN(3000))
		}
		z.row(i)[top] = float64(r.IntN(5))
	}
}
