package classifier_test

import (
	"context"
	"errors"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"clgrad/cpu"
	"clgrad/network"
	"clgrad/network/checkpoint"
	"clgrad/network/classifier"
	"clgrad/network/dataset"
)

// What was learned stays where the training is cancelled, or ended by the callback; the
// classifier is what it was before where nothing was learned, or where numbers are not finite.
func TestEndedEarly(t *testing.T) {
	set := circle(t, 200)
	b := cpu.New[float32]()
	whole := classifier.New(b, classifier.Options{Iterations: 30})
	if err := whole.Fit(t.Context(), set); err != nil {
		t.Fatal(err)
	}
	own := errors.New("own")
	for name, ends := range map[string]struct {
		returned, want error
		cancel         bool
	}{"cancelled": {nil, context.Canceled, true}, "ErrStop": {classifier.ErrStop, nil, false}, "own error": {own, own, false}} {
		ctx, cancel := context.WithCancel(t.Context())
		c := classifier.New(b, classifier.Options{Iterations: 100, Callback: func(p classifier.Progress) error {
			if p.Iteration < 30 {
				return nil
			}
			if ends.cancel {
				cancel()
			}
			return ends.returned
		}})
		if err := c.Fit(ctx, set); !errors.Is(err, ends.want) {
			t.Errorf("%s: error %v", name, err)
		}
		cancel()
		if c.Iterations() != 30 || !cmp.Equal(parameters(t, c), parameters(t, whole)) || !cmp.Equal(c.Losses(), whole.Losses()) {
			t.Errorf("%s: %v, %d losses, not what 30 iterations come to", name, c, len(c.Losses()))
		}
		if _, err := c.Predict([][]float64{{0, 0}}); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}

	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	c := classifier.New(b, classifier.Options{})
	if err := c.Fit(ctx, set); !errors.Is(err, context.Canceled) || c.Classes() != nil {
		t.Errorf("cancelled before: %v, %v", err, c)
	}
	if err := whole.Fit(ctx, set); !errors.Is(err, context.Canceled) || whole.Iterations() != 30 {
		t.Errorf("cancelled before: %v, %v", err, whole)
	}
	nonFinite := (*network.NonFiniteError)(nil)
	c = classifier.New(b, classifier.Options{LearningRate: 1e30})
	if err := c.Fit(t.Context(), set); !errors.As(err, &nonFinite) || c.Classes() != nil {
		t.Errorf("rate 1e30: %v, %v", err, c)
	}
}

// The callback has what clgrad train prints: all multiples of Every and the last iteration, the
// loss of the iteration, and the validation rows under the parameters of then.
func TestCallback(t *testing.T) {
	set, err := circle(t, 200).Split(0.25, 1)
	if err != nil {
		t.Fatal(err)
	}
	var all []classifier.Progress
	o := classifier.Options{Hidden: []int{8}, Iterations: 25, Callback: func(p classifier.Progress) error { all = append(all, p); return nil }}
	b := cpu.New[float32]()
	c := classifier.New(b, o)
	if err := c.Fit(t.Context(), set); err != nil {
		t.Fatal(err)
	}
	if len(all) != 3 || all[0].Iteration != 10 || all[1].Iteration != 20 || all[2].Iteration != 25 || all[2].Epoch != 25 {
		t.Fatalf("%v", all)
	}
	loss, accuracy, err := c.Score(set.Validation)
	if last := all[2]; err != nil || last.Loss != c.Losses()[24] || last.ValidationLoss != loss || last.ValidationAccuracy != accuracy {
		t.Errorf("%v, losses %v, validation %v %v, %v", last, c.Losses(), loss, accuracy, err)
	}
	text := all[2].String()
	if !strings.HasPrefix(text, "iteration 25, loss 0.") || !strings.Contains(text, " %, validation loss 0.") {
		t.Error(text)
	}

	all = nil
	o.BatchSize, o.Iterations, o.Epochs = 40, 0, 3
	set.Validation = network.Samples{}
	c = classifier.New(b, o)
	if err := c.Fit(t.Context(), set); err != nil {
		t.Fatal(err)
	}
	if len(all) != 3 || all[1].Iteration != 8 || all[1].Epoch != 2 || !math.IsNaN(all[1].ValidationLoss) || strings.Contains(all[1].String(), "validation") || !strings.HasPrefix(all[1].String(), "epoch 2, loss ") {
		t.Errorf("batches of 40 of 150 rows: %v", all)
	}
	m, err := c.Model()
	if err != nil {
		t.Fatal(err)
	}
	mean := 0.0
	for i, rows := range m.Run.Plan.EpochRows(0) {
		mean += float64(rows) * c.Losses()[i] / 150
	}
	if math.Abs(all[0].Loss-mean) > 1e-12 {
		t.Errorf("loss of epoch 1 is %v where its iterations come to %v", all[0].Loss, mean)
	}
}

// Early stopping keeps the parameters with the lowest validation loss, and says after which
// iteration that was. Without a validation set a tenth is held back.
func TestEarlyStopping(t *testing.T) {
	rows, labels := points(120)
	for i := range 20 {
		labels[6*i] = "inside"
	}
	set, err := dataset.FromRows(rows, labels)
	if err != nil {
		t.Fatal(err)
	}
	lowest, at := math.Inf(1), 0
	c := classifier.New(cpu.New[float32](), classifier.Options{
		Rule: network.NewRule(network.Adam), LearningRate: 0.05, Iterations: 3000, EarlyStopping: true, Patience: 5, Every: 7,
		Callback: func(p classifier.Progress) error {
			if p.ValidationLoss < lowest {
				lowest, at = p.ValidationLoss, p.Iteration
			}
			return nil
		},
	})
	if err := c.Fit(t.Context(), set); err != nil {
		t.Fatal(err)
	}
	split, err := set.Split(0.1, 1)
	if err != nil {
		t.Fatal(err)
	}
	loss, _, err := c.Score(split.Validation)
	if err != nil || loss != lowest || c.Iterations() != at || len(c.Losses()) != at+35 {
		t.Errorf("loss %v after %d of %d iterations, %v: the lowest was %v after %d", loss, c.Iterations(), len(c.Losses()), err, lowest, at)
	}
	m, err := c.Model()
	if err != nil || m.Run.Stopped != at+35 {
		t.Errorf("stopped after %d, %v", m.Run.Stopped, err)
	}
}

// L-BFGS that finds no lower loss is done, which is a success.
func TestConverges(t *testing.T) {
	set := circle(t, 100)
	c := classifier.New(cpu.New[float32](), classifier.Options{Hidden: []int{}, Rule: network.NewRule(network.LBFGS), Iterations: 1000, WeightDecay: 0.01})
	if err := c.Fit(t.Context(), set); err != nil {
		t.Fatal(err)
	}
	m, err := c.Model()
	if err != nil || c.Iterations() == 0 || c.Iterations() >= 1000 || m.Run.Converged == "" || len(c.Losses()) != c.Iterations() {
		t.Errorf("%v, %d losses, converged %q, %v", c, len(c.Losses()), m.Run.Converged, err)
	}
}

// The same options, data and seed give the same bits; another seed does not. Every kind of
// features has the same predictions, and the set that is trained on stays as it is.
func TestDeterministic(t *testing.T) {
	b := cpu.New[float32]()
	var bytes [][]uint8
	var numbers [][]float64
	var labels []int
	for i := range 200 {
		row := []uint8{uint8(i * 7), uint8(i * 31), uint8(i * 101)}
		bytes, labels = append(bytes, row), append(labels, int(row[0]/128))
		numbers = append(numbers, []float64{float64(row[0]), float64(row[1]), float64(row[2])})
	}
	set, err := dataset.FromRows(bytes, labels)
	if err != nil {
		t.Fatal(err)
	}
	before := dataset.Digest(set.Shape, set.Train)
	o := classifier.Options{Hidden: []int{4}, BatchSize: 16, Epochs: 3, Validation: 0.2}
	var all [][]float64
	for _, seed := range []uint64{1, 0, 2} {
		o.Seed = seed
		c := classifier.New(b, o)
		if err := c.Fit(t.Context(), set); err != nil {
			t.Fatal(err)
		}
		all = append(all, parameters(t, c))
		names, err := c.Predict(numbers)
		if err != nil {
			t.Fatal(err)
		}
		classes, err := c.PredictSamples(set.Train)
		if err != nil {
			t.Fatal(err)
		}
		for i, class := range classes {
			if names[i] != c.Classes()[class] {
				t.Errorf("row %d is %s as numbers, %d as bytes", i, names[i], class)
			}
		}
		single, err := c.PredictProbabilities(numbers[:1])
		if err != nil {
			t.Fatal(err)
		}
		if many, err := c.PredictProbabilities(numbers); err != nil || !cmp.Equal(many[:1], single) {
			t.Errorf("alone %v, among others %v, %v", single, many[:1], err)
		}
	}
	if !slices.Equal(all[0], all[1]) || slices.Equal(all[0], all[2]) {
		t.Error("parameters of seed 1, 0 (which is 1) and 2 are not twice the same and then others")
	}
	if dataset.Digest(set.Shape, set.Train) != before || set.Train.Scaling.Shift != nil || set.Validation.Rows != 0 {
		t.Errorf("the set has changed: %v", set)
	}
}

// A set that is scaled already keeps its scaling, unless a method is asked for.
func TestScaling(t *testing.T) {
	b := cpu.New[float64]()
	set, err := circle(t, 50).Preprocess(dataset.Standard)
	if err != nil {
		t.Fatal(err)
	}
	for _, method := range []dataset.Preprocess{"", dataset.Feature, dataset.None} {
		c := classifier.New(b, classifier.Options{Preprocess: method})
		if err := c.Fit(t.Context(), set); err != nil {
			t.Fatal(err)
		}
		m, err := c.Model()
		if err != nil {
			t.Fatal(err)
		}
		want := set.Train.Scaling
		if method != "" {
			if want, err = dataset.Fit(method, set.Train, set.Shape); err != nil {
				t.Fatal(err)
			}
		}
		if d := cmp.Diff(want, m.Scaling); d != "" || m.Preprocess != string(method) || m.Precision != checkpoint.F64 {
			t.Errorf("%q: method %q, %s, %s", method, m.Preprocess, m.Precision, d)
		}
	}
}

// refusing is a backend that fails where it is told to.
type refusing struct {
	network.Backend
	propose, prepare error
}

func (b *refusing) Propose(sizes []int, s network.Samples, batchRows int) (network.ShardPlan, error) {
	plan, err := b.Backend.Propose(sizes, s, batchRows)
	return plan, errors.Join(b.propose, err)
}

func (b *refusing) Prepare(sizes []int, plan network.ShardPlan) (network.Executor, error) {
	if b.prepare != nil {
		return nil, b.prepare
	}
	return b.Backend.Prepare(sizes, plan)
}

// A device that fails is an error of what was asked for. What was learned before stays, and is of
// use again when the device is.
func TestFailingBackend(t *testing.T) {
	lost := errors.New("device lost")
	own := cpu.New[float32]()
	b := &refusing{Backend: own}
	c := trained(t, b)
	bytes := network.Samples{Rows: 1, Features: 2, Bytes: []uint8{0, 1}} // needs a plan of its own
	for name, fail := range map[string]refusing{"propose": {propose: lost}, "prepare": {prepare: lost}} {
		b.propose, b.prepare = fail.propose, fail.prepare
		if err := c.Fit(t.Context(), circle(t, 50)); !errors.Is(err, lost) || c.Iterations() != 20 {
			t.Errorf("%s: Fit: %v, %v", name, err, c)
		}
		if _, err := c.PredictSamples(bytes); !errors.Is(err, lost) {
			t.Errorf("%s: PredictSamples: %v", name, err)
		}
		b.propose, b.prepare = nil, nil
		if _, err := c.PredictSamples(bytes); err != nil {
			t.Errorf("after %s failed: %v", name, err)
		}
		if err := c.Fit(t.Context(), circle(t, 100)); err != nil {
			t.Errorf("after %s failed: %v", name, err)
		}
	}
	if err := c.Close(); err != nil || own.MemoryHeld() != 0 {
		t.Errorf("%d bytes are held, %v", own.MemoryHeld(), err)
	}
}
