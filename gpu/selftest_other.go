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
	z := network.Matrix{Rows: t.rows, Cols: t.classes, Stride: network.Stride(t.classes)}
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

// ruleUpdate returns an update of a rule whose other factors are powers of two, where it can.
func ruleUpdate(o network.Optimizer) network.Update {
	u := network.Update{Rule: network.NewRule(o), LearningRate: 0.5, Step: 1, Iteration: 1}
	u.Momentum, u.WeightDecay = 0.5, 0
	return u
}

// roundings is how far from the formula an updated parameter may be for the roundings that are
// not emulated: of Adam's root and quotient, which is large where the root is small.
func roundings(u network.Update, want float64) float64 {
	if u.States() == 2 {
		return 1e-5 * (u.LearningRate + math.Abs(want))
	}
	return 0
}

// ruled returns a parameter and its state after an update without weight decay, each
// operation rounded to float32 as the kernels round it, but those of Adam.
func ruled(u network.Update, x, g, a, b float64) (_, _, _ float64) {
	round := func(v float64) float64 { return float64(float32(v)) }
	f := u.Factors()
	step := g
	switch u.Optimizer {
	case network.Momentum, network.Nesterov:
		a = round(f.Keep1*a + g)
		if step = a; u.Optimizer == network.Nesterov {
			step = round(f.Keep1*a + g)
		}
	case network.Adam, network.AdamW:
		a, b = f.Keep1*a+f.Take1*g, f.Keep2*b+f.Take2*g*g
		step = a / (math.Sqrt(b)*f.Root + f.Epsilon)
	}
	return round(x - f.Rate*step), a, b
}

// An updateTest updates so many parameters by a rule.
type updateTest struct {
	n    int
	rule network.Optimizer
}

func (t updateTest) run(e *executor, dry bool) (err error) {
	n, u := t.n, ruleUpdate(t.rule)
	var made []interface{ Close() error }
	defer func() {
		for _, c := range slices.Backward(made) {
			err = errors.Join(err, c.Close())
		}
	}()
	var vectors []network.Vector // parameters, gradient, state
	for range 2 + u.States() {
		b, err := e.NewBuffer(n)
		if err != nil {
			return err
		}
		made, vectors = append(made, b), append(vectors, network.Whole(b))
	}
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
			v[i] = float64(value(7+operand, from+i, 0)>>8) - 1<<23
			if u.States() == 2 { // numbers of the size of gradients; the second moment is positive
				if v[i] /= 1 << 23; operand == 3 {
					v[i] *= v[i]
				}
			}
		}
		return v
	}
	if !dry {
		for _, from := range starts {
			for i, v := range vectors {
				if err := e.Write(v.Buffer, from, values(i, from)); err != nil {
					return err
				}
			}
		}
	}
	if err := e.Update(u, vectors[0], vectors[1], vectors[2:], r); err != nil || dry {
		return err
	}
	for _, from := range starts {
		got := make([]float64, min(part, n-from))
		if err := e.Read(vectors[0].Buffer, from, got); err != nil {
			return err
		}
		var all [4][]float64
		for i := range all {
			all[i] = values(i, from)
		}
		for i, v := range got {
			if want, _, _ := ruled(u, all[0][i], all[1][i], all[2][i], all[3][i]); v != want && !(math.Abs(v-want) <= roundings(u, want)) {
				return wrong("element %d of %s by %s is %v where %v is expected", from+i, network.OpUpdate, t.rule, v, want)
			}
		}
	}
	// Numbers that are not finite are seen, and only those.
	for i, want := range []int{0, 2} {
		if i == 1 {
			u.Iteration = 2
			if err := errors.Join(e.Write(vectors[1].Buffer, n-1, []float64{math.Inf(1)}), e.Update(u, vectors[0], vectors[1], vectors[2:], r)); err != nil {
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
