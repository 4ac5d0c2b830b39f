package gpu

import (
	"errors"
	"math"
	"slices"

	"clgrad/network"
)

// opStep names whole iterations in failures.
const opStep = "whole iterations"

// A stepTest is a whole iteration on integers, of which every number is exact, but for the sum of
// very large losses (see sameLoss): few weights are
// not 0, those of the last layer are so large, and its biases so far apart, that every
// probability is 0 or 1, and the batch's number of rows and the learning rate are powers of two.
type stepTest struct {
	sizes []int
	rows  int
	rule  network.Optimizer // of the update

	shifted bool // a byte of 0 is a feature of 1

	layout network.Layout
	theta  []float64
	data   network.Samples
	m      int // rows that the loss is divided by
	alpha  float64
	// h and dz are, for each row, the outputs of the hidden layers and the derivatives of all
	// layers' sums.
	h, dz [][][]float64
	want  network.Record
}

const (
	ofWeights = 20 // operands, as value knows them
	ofBias    = 21
	ofPixel   = 22
	ofGap     = 23
	// stepInputs are those of a unit of the first layer, at most, that have weights: of each further
	// layer half as many, so that the outputs of deep networks have few bits (see TestStepOperands).
	stepInputs = 16
)

func (t stepTest) run(e *executor, dry bool) (err error) {
	if t.layout, err = network.NewLayout(t.sizes); err != nil {
		return err
	}
	t.prepare(dry)
	var made []interface{ Close() error }
	defer func() {
		for _, c := range slices.Backward(made) {
			err = errors.Join(err, c.Close())
		}
	}()
	theta, err := e.NewBuffer(t.layout.Len)
	if err != nil {
		return err
	}
	made = append(made, theta)
	g, err := e.NewBuffer(t.layout.Len)
	if err != nil {
		return err
	}
	made = append(made, g)
	r, err := e.NewRecorder(1)
	if err != nil {
		return err
	}
	made = append(made, r)
	u, descent := ruleUpdate(t.rule), ruleUpdate(network.GD)
	var state []network.Vector
	for range u.States() {
		b, err := e.NewBuffer(t.layout.Len)
		if err != nil {
			return err
		}
		made, state = append(made, b), append(state, network.Whole(b))
	}
	x, err := e.Load(t.data, []int{t.rows})
	if err != nil {
		return err
	}
	made = append(made, x)
	all, err := e.NewSteps(t.layout, t.data, x)
	if err != nil {
		return err
	}
	made = append(made, all)
	st, block := all.(iterations), network.Block{Input: x}
	if !dry {
		if err := errors.Join(e.Write(theta, 0, t.theta), e.Write(g, 0, t.theta)); err != nil {
			return err
		}
	}
	if err := errors.Join(st.Begin(theta), st.Evaluate(block, t.m, theta, g, false, r, 0)); err != nil {
		return err
	}
	if !dry {
		if err := t.compare(e, "gradient", descent, g, r, func(_, sum float64) float64 { return sum }); err != nil {
			return err
		}
	}
	// Step divides by the rows of the block, which are no power of two.
	u.LearningRate = t.alpha
	if err := st.step(ruleOf(u), u.Factors(), 1, block, t.m, theta, theta, state, r, 0); err != nil || dry {
		return err
	}
	return t.compare(e, "update by "+string(t.rule), u, theta, r, func(old, sum float64) float64 {
		x, _, _ := ruled(u, old, sum, 0, 0)
		return x
	})
}

// prepare makes parameters and samples and computes with them; where the run is dry, it makes
// what is loaded alone.
func (t *stepTest) prepare(dry bool) {
	n := t.sizes[0]
	t.data = network.Samples{Rows: t.rows, Features: n, Bytes: make([]uint8, t.rows*n), Labels: make([]int32, t.rows)}
	if t.shifted {
		t.data.Scaling = network.Scaling{Shift: []float64{-1}, Factor: []float64{1}}
	}
	if dry {
		return
	}
	for t.m = 1; t.m < t.rows; t.m *= 2 {
	}
	last, classes := t.layout.Layers()-1, t.sizes[len(t.sizes)-1]
	unit := 1.0 // of the last layer's weights: the biases of the classes lie between
	for unit < lostLoss*float64(classes) {
		unit *= 2
	}
	t.alpha = float64(t.m) / unit
	t.theta = make([]float64, t.layout.Len)
	inputs := make([][][]int, last+1) // of each unit of each layer, those that have weights
	for l := range inputs {
		w, b := t.layout.Layer(l)
		inputs[l] = make([][]int, w.Cols)
		for j := range w.Cols {
			for k := range stepInputs >> l {
				h := value(ofWeights+100*l, j, k)
				i := int(h>>1) % w.Rows
				if w.Row(t.theta, i)[j] != 0 {
					continue
				}
				v := float64(1 - 2*int(h&1))
				if l == last {
					v *= unit
				}
				w.Row(t.theta, i)[j] = v
				inputs[l][j] = append(inputs[l][j], i)
			}
			bias := float64(value(ofBias+100*l, j, 0)%3) - 1
			if l == last {
				bias = lostLoss * float64(j)
			}
			b.Row(t.theta, 0)[j] = bias
		}
	}
	for k := range t.data.Bytes {
		if h := value(ofPixel, k, 0); h%5 == 0 {
			t.data.Bytes[k] = uint8(1 + h>>8%3)
		}
	}
	for i := range t.rows {
		t.row(i, inputs)
	}
}

// feature returns feature j of row i.
func (t *stepTest) feature(i, j int) float64 {
	v := float64(t.data.Bytes[i*t.sizes[0]+j])
	if t.shifted {
		v++
	}
	return v
}

// row computes row i forward and back.
func (t *stepTest) row(i int, inputs [][][]int) {
	last, n := t.layout.Layers()-1, t.sizes[0]
	x := make([]float64, n)
	for j := range x {
		x[j] = t.feature(i, j)
	}
	var h [][]float64
	var z []float64
	for l := range inputs {
		w, b := t.layout.Layer(l)
		z = slices.Clone(b.Row(t.theta, 0))
		for j, from := range inputs[l] {
			for _, k := range from {
				z[j] += x[k] * w.Row(t.theta, k)[j]
			}
			if l < last {
				z[j] = max(0, z[j])
			}
		}
		if l < last {
			h, x = append(h, z), z
		}
	}
	top := 0
	for j, v := range z {
		if v > z[top] {
			top = j
		}
	}
	label := top
	if value(ofGap, i, 0)%3 == 0 {
		label = int(value(ofGap, i, 1) % uint32(len(z)))
	}
	t.data.Labels[i] = int32(label)
	if label == top {
		t.want.Correct++
	}
	t.want.Loss += z[top] - z[label]
	dz := make([][]float64, last+1)
	dz[last] = make([]float64, len(z))
	dz[last][top] += 1 / float64(t.m)
	dz[last][label] -= 1 / float64(t.m)
	for l := last; l > 0; l-- {
		w, _ := t.layout.Layer(l)
		dz[l-1] = make([]float64, w.Rows)
		for j, from := range inputs[l] {
			for _, k := range from {
				if h[l-1][k] > 0 {
					dz[l-1][k] += dz[l][j] * w.Row(t.theta, k)[j]
				}
			}
		}
	}
	t.h, t.dz = append(t.h, h), append(t.dz, dz)
}

// compare compares a sample of what buffer v holds in the network's layout with
// finish(θ, gradient), as exactly as the update u is known, and the record.
func (t *stepTest) compare(e *executor, what string, u network.Update, v network.Buffer, r network.Recorder, finish func(old, sum float64) float64) error {
	got := make([]float64, t.layout.Len)
	if err := e.Read(v, 0, got); err != nil {
		return err
	}
	for l := range t.layout.Layers() {
		w, b := t.layout.Layer(l)
		for _, k := range append(sampleOf(w.Rows, 48), w.Rows) { // the last is the bias
			span, at := w, k
			if k == w.Rows {
				span, at = b, 0
			}
			sums := make([]float64, w.Cols)
			for i := range t.rows {
				x := 1.0
				switch {
				case k == w.Rows:
				case l == 0:
					x = t.feature(i, k)
				default:
					x = t.h[i][l-1][k]
				}
				if x != 0 {
					for j, d := range t.dz[i][l] {
						sums[j] += x * d
					}
				}
			}
			old := span.Row(t.theta, at)
			for j, v := range span.Row(got, at) {
				if want := float64(float32(finish(old[j], sums[j]))); v != want && !(math.Abs(v-want) <= roundings(u, want)) {
					return wrong("%s of layer %d of %v on %d rows: element (%d, %d) is %v where %v is expected", what, l+1, t.sizes, t.rows, k, j, v, want)
				}
			}
		}
	}
	var record [1]network.Record
	nonFinite, err := e.ReadRecords(r, 0, record[:])
	if err == nil && (!t.sameLoss(record[0].Loss) || record[0].Correct != t.want.Correct || nonFinite != 0) {
		err = wrong("loss and correct rows of %v on %d rows are %v, %d where exactly %v, %d are expected, the first iteration that is not finite is %d",
			t.sizes, t.rows, record[0].Loss, record[0].Correct, t.want.Loss, t.want.Correct, nonFinite)
	}
	return err
}

// sameLoss reports whether a loss is the expected one. Those of rows are multiples of lostLoss. A
// sum of more of them than float32 has integers is rounded on its way, by much less than the loss
// of one row.
func (t *stepTest) sameLoss(got float64) bool {
	if t.want.Loss <= lostLoss*(1<<24) {
		return got == t.want.Loss
	}
	return math.Abs(got-t.want.Loss) <= 0x1p-16*t.want.Loss
}
