package backendtest

import "clgrad/network"

// A trainer trains a fixture by the verbs of an executor.
type trainer struct {
	fixture
	*env
	input    network.Input
	theta, g network.Buffer
	hidden   []network.Matrix // outputs of each layer for one block
	recorder network.Recorder
}

func newTrainer(e *env, f fixture, blockRows int) *trainer {
	t := &trainer{fixture: f, env: e, input: e.load(f.samples, blockRows)}
	t.theta, t.g = e.filled(f.theta), e.buffer(f.layout.Len)
	for _, n := range f.layout.Sizes[1:] {
		stride := network.AlignUp(n)
		b := e.buffer(blockRows * stride)
		t.hidden = append(t.hidden, network.Matrix{Buffer: b, Rows: blockRows, Cols: n, Stride: stride})
	}
	if e.err == nil {
		t.recorder = e.recorder(len(t.input.Blocks()))
	}
	return t
}

// evaluate computes loss and gradient by the backend's verbs.
func (t *trainer) evaluate() (loss float64, correct int) {
	if t.err != nil {
		return 0, 0
	}
	blocks := len(t.input.Blocks())
	for block := range blocks {
		t.do(func() error { return t.block(network.Block{Input: t.input, Index: block}) })
	}
	records, _ := t.records(t.recorder, 0, blocks)
	for _, r := range records {
		loss += r.Loss
		correct += r.Correct
	}
	return loss / float64(t.samples.Rows), correct
}

// block adds the gradient of a block, or begins with it.
func (t *trainer) block(block network.Block) error {
	layers := t.layout.Layers()
	n := block.Rows()
	rows := func(l int, h []network.Matrix) network.Rows {
		if l == 0 {
			return network.Rows{Block: block}
		}
		return network.Rows{Matrix: h[l-1]}
	}
	h := make([]network.Matrix, layers)
	for l := range layers {
		h[l] = t.hidden[l].First(n)
		wSpan, bSpan := t.layout.Layer(l)
		w, b := wSpan.In(t.theta), bSpan.In(t.theta)
		act := network.ReLU
		if l == layers-1 {
			act = network.Identity
		}
		if err := t.b.Forward(rows(l, h), w, b, act, h[l]); err != nil {
			return err
		}
	}
	if err := t.b.SoftmaxCrossEntropy(h[layers-1], block, t.samples.Rows, t.recorder, block.Index); err != nil {
		return err
	}
	for l := layers - 1; l >= 0; l-- {
		wSpan, bSpan := t.layout.Layer(l)
		dw, db := wSpan.In(t.g), bSpan.In(t.g)
		if err := t.b.WeightGradient(rows(l, h), h[l], block.Index > 0, dw, db); err != nil || l == 0 {
			return err
		}
		// The derivative takes the place of the layer's input.
		if err := t.b.InputGradient(h[l], wSpan.In(t.theta), h[l-1], h[l-1]); err != nil {
			return err
		}
	}
	return nil
}

// train takes one step of descent and returns loss and correct rows before it.
func (t *trainer) train(alpha float64, iteration int) (loss float64, correct int) {
	loss, correct = t.evaluate()
	t.do(func() error {
		return t.b.Update(descent(alpha, iteration), network.Whole(t.theta), network.Whole(t.g), nil, t.recorder)
	})
	return loss, correct
}
