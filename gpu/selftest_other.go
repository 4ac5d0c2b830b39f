package gpu

import (
	"errors"
	"math"
	"slices"

	"clgrad/network"
)

// A softmaxTest has logits so far apart that every probability is 0 or 1, and every
// loss 0 or lostLoss.
type softmaxTest struct{ rows, classes int }

const lostLoss = 128 // exp −128 is 0 in float32

// largest is the class of a row's largest logit, label the row's label.
func (t softmaxTest) largest(i int) int { return int(value(4, i, 0) % uint32(t.classes)) }

func (t softmaxTest) label(i int) int {
	if value(5, i, 0)%3 > 0 {
		return t.largest(i)
	}
	return int(value(6, i, 0) % uint32(t.classes))
}

func (t softmaxTest) run(e *executor, dry bool) (err error) {
	var made []interface{ Close() error }
	defer func() {
		for _, c := range slices.Backward(made) {
			err = errors.Join(err, c.Close())
		}
	}()
	z := network.Matrix{Rows: t.rows, Cols: t.classes, Stride: network.AlignUp(t.classes)}
	if z.Buffer, err = e.NewBuffer(z.Rows * z.Stride); err != nil {
		return err
	}
	made = append(made, z.Buffer)
	r, err := e.NewRecorder(1)
	if err != nil {
		return err
	}
	made = append(made, r)
	labels := make([]int32, t.rows)
	if !dry {
		for i := range labels {
			labels[i] = int32(t.label(i))
		}
		if err := writeRows(e, z, func(i, j int) float64 {
			if j == t.largest(i) {
				return lostLoss
			}
			return 0
		}); err != nil {
			return err
		}
	}
	y, err := e.Load(network.Samples{Rows: t.rows, Features: 1, Bytes: make([]uint8, t.rows), Labels: labels}, []int{t.rows})
	if err != nil {
		return err
	}
	made = append(made, y)
	m := 1 // of the batch: a power of two, so that 1/m is exact
	for m < t.rows {
		m *= 2
	}
	if err := e.SoftmaxCrossEntropy(z, network.Block{Input: y}, m, r, 0); err != nil || dry {
		return err
	}
	want := network.Record{}
	for i := range t.rows {
		if t.label(i) == t.largest(i) {
			want.Correct++
		} else {
			want.Loss += lostLoss
		}
	}
	var got [1]network.Record
	if _, err := e.ReadRecords(r, 0, got[:]); err != nil {
		return err
	}
	if got[0] != want {
		return wrong("loss and correct rows of %s on %d rows are %v, %d where exactly %v, %d are expected",
			network.SoftmaxKey(t.classes), t.rows, got[0].Loss, got[0].Correct, want.Loss, want.Correct)
	}
	row := make([]float64, t.classes)
	for _, i := range sampleOf(t.rows, 64) {
		if err := e.Read(z.Buffer, i*z.Stride, row); err != nil {
			return err
		}
		for j, got := range row {
			want := 0.0
			if j == t.largest(i) {
				want++
			}
			if j == t.label(i) {
				want--
			}
			if want /= float64(m); got != want {
				return wrong("element (%d, %d) of %s on %d rows is %v where exactly %v is expected",
					i, j, network.SoftmaxKey(t.classes), t.rows, got, want)
			}
		}
	}
	return nil
}

// descent returns an update of plain gradient descent.
func descent(alpha float64, iteration int) network.Update {
	return network.Update{Rule: network.NewRule(network.GD), LearningRate: alpha, Step: iteration, Iteration: iteration}
}

// An updateTest updates so many parameters.
type updateTest int

func (t updateTest) run(e *executor, dry bool) (err error) {
	n := int(t)
	var made []interface{ Close() error }
	defer func() {
		for _, c := range slices.Backward(made) {
			err = errors.Join(err, c.Close())
		}
	}()
	theta, err := e.NewBuffer(n)
	if err != nil {
		return err
	}
	made = append(made, theta)
	g, err := e.NewBuffer(n)
	if err != nil {
		return err
	}
	made = append(made, g)
	r, err := e.NewRecorder(1)
	if err != nil {
		return err
	}
	made = append(made, r)
	const part = 1 << 14 // elements at the start, in the middle and at the end
	starts := []int{0, n / 2, max(0, n-part)}
	values := func(operand, from int) []float64 {
		v := make([]float64, min(part, n-from))
		for i := range v {
			v[i] = float64(value(operand, from+i, 0)>>8) - 1<<23
		}
		return v
	}
	if !dry {
		for _, from := range starts {
			if err := errors.Join(e.Write(theta, from, values(7, from)), e.Write(g, from, values(8, from))); err != nil {
				return err
			}
		}
	}
	if err := e.Update(descent(0.5, 1), network.Whole(theta), network.Whole(g), nil, r); err != nil || dry {
		return err
	}
	for _, from := range starts {
		got := make([]float64, min(part, n-from))
		if err := e.Read(theta, from, got); err != nil {
			return err
		}
		x, d := values(7, from), values(8, from)
		for i, v := range got {
			if want := float64(float32(x[i] - 0.5*d[i])); v != want {
				return wrong("element %d of %s is %v where exactly %v is expected", from+i, network.OpUpdate, v, want)
			}
		}
	}
	// Numbers that are not finite are seen, and only those.
	for i, want := range []int{0, 2} {
		if i == 1 {
			if err := errors.Join(e.Write(g, n-1, []float64{math.Inf(1)}), e.Update(descent(0.5, 2), network.Whole(theta), network.Whole(g), nil, r)); err != nil {
				return err
			}
		}
		first, err := e.ReadRecords(r, 0, make([]network.Record, 1))
		if err == nil && first != want {
			err = wrong("%s reports iteration %d as the first not finite where it is %d (0: none)", network.OpUpdate, first, want)
		}
		if err != nil {
			return err
		}
	}
	return nil
}
