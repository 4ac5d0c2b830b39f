package network

import "fmt"

// A shard is one backend's part of a batch, with parameters, a gradient and the
// activations of one block of its own.
type shard struct {
	backend     Backend
	layout      Layout
	blockRows   int
	input       Input // nil where there is nothing to train on
	theta       Buffer
	gradient    Buffer
	activations []Matrix // of one block: activations[l] is the output of layer l
}

// newShard makes a shard that computes in blocks of blockRows rows. Without
// samples it can only score and predict.
func newShard(b Backend, layout Layout, samples *Samples, blockRows int) (_ *shard, err error) {
	s := &shard{backend: b, layout: layout, blockRows: blockRows}
	defer func() {
		if err != nil {
			s.close()
		}
	}()
	if s.theta, err = b.NewBuffer(layout.Len); err != nil {
		return nil, fmt.Errorf("parameters: %w", err)
	}
	for i, n := range layout.Sizes[1:] {
		stride := AlignUp(n)
		buffer, err := b.NewBuffer(blockRows * stride)
		if err != nil {
			return nil, fmt.Errorf("activations of layer %d for a block of %d rows: %w", i+1, blockRows, err)
		}
		s.activations = append(s.activations, Matrix{buffer, 0, blockRows, n, stride})
	}
	if samples == nil {
		return s, nil
	}
	if s.gradient, err = b.NewBuffer(layout.Len); err != nil {
		return nil, fmt.Errorf("gradient: %w", err)
	}
	if s.input, err = b.Load(*samples, blockRows); err != nil {
		return nil, fmt.Errorf("samples: %w", err)
	}
	return s, nil
}

// close frees what the shard made, in reverse, and returns the first error.
func (s *shard) close() error {
	var first error
	note := func(err error) {
		if first == nil {
			first = err
		}
	}
	if s.input != nil {
		note(s.input.Close())
	}
	if s.gradient != nil {
		note(s.gradient.Close())
	}
	for i := len(s.activations) - 1; i >= 0; i-- {
		note(s.activations[i].Buffer.Close())
	}
	if s.theta != nil {
		note(s.theta.Close())
	}
	return first
}

// layer returns W and b, or their gradients, of layer l in a flat buffer.
func (s *shard) layer(l int, flat Buffer) (w, b Matrix) {
	ws, bs := s.layout.Layer(l)
	return ws.In(flat), bs.In(flat)
}

// forward enqueues the layers of one block and returns its logits, which stay
// valid until the next call.
func (s *shard) forward(x Input, block int) (Matrix, error) {
	rows := BlockLen(x, block)
	for l := range s.activations {
		w, b := s.layer(l, s.theta)
		act := ReLU
		if l == len(s.activations)-1 {
			act = Identity
		}
		h := s.activations[l].First(rows)
		var err error
		if l == 0 {
			err = s.backend.ForwardInput(x, block, w, b, act, h)
		} else {
			err = s.backend.Forward(s.activations[l-1].First(rows), w, b, act, h)
		}
		if err != nil {
			return Matrix{}, fmt.Errorf("forward pass, layer %d: %w", l+1, err)
		}
	}
	return s.activations[len(s.activations)-1].First(rows), nil
}

// backward enqueues the gradients of one block, whose logits have been replaced
// by dz. Each layer's activations are overwritten by their own derivative once
// nothing else needs them.
func (s *shard) backward(block int) error {
	rows := BlockLen(s.input, block)
	for l := len(s.activations) - 1; l >= 0; l-- {
		w, _ := s.layer(l, s.theta)
		dw, db := s.layer(l, s.gradient)
		dz := s.activations[l].First(rows)
		if l == 0 {
			if err := s.backend.WeightGradientInput(s.input, block, dz, dw, db); err != nil {
				return fmt.Errorf("weight gradient, layer 1: %w", err)
			}
			return nil
		}
		x := s.activations[l-1].First(rows)
		if err := s.backend.WeightGradient(x, dz, dw, db); err != nil {
			return fmt.Errorf("weight gradient, layer %d: %w", l+1, err)
		}
		if err := s.backend.InputGradient(dz, w, x, x); err != nil {
			return fmt.Errorf("input gradient, layer %d: %w", l+1, err)
		}
	}
	return nil
}

// evaluate enqueues loss and gradient of the shard's samples, as parts of a
// batch of m, and leaves one record a block in the tally.
func (s *shard) evaluate(m int, t Tally, record int) error {
	if err := s.backend.Clear(s.gradient); err != nil {
		return err
	}
	for block := range Blocks(s.input) {
		z, err := s.forward(s.input, block)
		if err != nil {
			return err
		}
		if err := s.backend.SoftmaxCrossEntropy(z, s.input, block, m, t, record+block); err != nil {
			return fmt.Errorf("loss: %w", err)
		}
		if err := s.backward(block); err != nil {
			return err
		}
	}
	return nil
}

// score returns summed loss and correct rows of an input under the present
// parameters.
func (s *shard) score(x Input) (sum Record, err error) {
	t, err := s.backend.NewTally(Blocks(x))
	if err != nil {
		return sum, err
	}
	defer func() {
		if e := t.Close(); err == nil {
			err = e
		}
	}()
	for block := range Blocks(x) {
		z, err := s.forward(x, block)
		if err != nil {
			return sum, err
		}
		if err := s.backend.SoftmaxCrossEntropy(z, x, block, x.Rows(), t, block); err != nil {
			return sum, fmt.Errorf("loss: %w", err)
		}
	}
	records := make([]Record, Blocks(x))
	if _, err := s.backend.ReadTally(t, 0, records); err != nil {
		return sum, err
	}
	return addRecords(records), nil
}

// addRecords sums records in their order.
func addRecords(records []Record) (sum Record) {
	for _, r := range records {
		sum.Loss += r.Loss
		sum.Correct += r.Correct
	}
	return sum
}
