package network

import (
	"errors"
	"fmt"
)

// A shard is a network on one executor, with parameters and the activations of one
// block of its own.
type shard struct {
	exec        Executor
	layout      Layout
	scoreRows   int // rows of a block in scoring
	theta       Buffer
	activations []Matrix // of the largest block: activations[l] is the output of layer l

	// What training needs; without it a shard can only score and predict.
	gradient Buffer
	input    Input // the shard's slices of all batches, one behind the other
	batches  []int // the first block of each batch, and the number of blocks
	records  []Record
	recorder Recorder // of a window of iterations, most records each
	most     int      // blocks of a batch
	steps    Steps    // whole iterations; nil where they are computed operation by operation
	stale    bool     // θ was set by other means than steps
	expected [][2]int // memory of expect
}

// newShard makes a shard that computes in blocks of at most blockRows rows and scores
// in blocks of scoreRows. It closes the executor where it fails.
func newShard(exec Executor, layout Layout, blockRows, scoreRows int) (_ *shard, err error) {
	s := &shard{exec: exec, layout: layout, scoreRows: scoreRows}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.close())
		}
	}()
	if s.theta, err = exec.NewBuffer(layout.Len); err != nil {
		return nil, fmt.Errorf("parameters: %w", err)
	}
	rows := max(blockRows, scoreRows)
	for i, n := range layout.Sizes[1:] {
		stride := Stride(n)
		buffer, err := exec.NewBuffer(rows * stride)
		if err != nil {
			return nil, fmt.Errorf("activations of layer %d for a block of %d rows: %w", i+1, rows, err)
		}
		s.activations = append(s.activations, Matrix{buffer, 0, rows, n, stride})
	}
	return s, nil
}

// load brings the shard's slices of all batches to its device. samples are just these
// ([Plan.Part]).
func (s *shard) load(samples Samples, plan Plan, own ShardPlan) (err error) {
	if s.gradient, err = s.exec.NewBuffer(s.layout.Len); err != nil {
		return fmt.Errorf("gradient: %w", err)
	}
	var blocks []int
	for b := range plan.Batches() {
		_, n := plan.slice(own, b)
		s.batches = append(s.batches, len(blocks))
		for ; n > 0; n -= own.BlockRows {
			blocks = append(blocks, min(n, own.BlockRows))
		}
		s.most = max(s.most, len(blocks)-s.batches[b])
	}
	s.batches = append(s.batches, len(blocks))
	if s.input, err = s.exec.Load(samples, blocks); err != nil {
		return fmt.Errorf("samples: %w", err)
	}
	if exec, ok := s.exec.(Stepper); ok {
		if s.steps, err = exec.NewSteps(s.layout, samples, s.input); err != nil {
			return fmt.Errorf("whole iterations: %w", err)
		}
		s.stale = true
	}
	s.records = make([]Record, s.most*window)
	return s.newRecorder()
}

// newRecorder makes a recorder that remembers nothing.
func (s *shard) newRecorder() error {
	r, err := s.exec.NewRecorder(s.most * window)
	if err != nil {
		return fmt.Errorf("recorder: %w", err)
	}
	old := s.recorder
	s.recorder = r
	if old != nil {
		return old.Close()
	}
	return nil
}

// close frees all that the shard made.
func (s *shard) close() error { return s.exec.Close() }

// layer returns W and b, or their gradients, of layer l in a flat buffer.
func (s *shard) layer(l int, flat Buffer) (w, b Matrix) {
	ws, bs := s.layout.Layer(l)
	return ws.In(flat), bs.In(flat)
}

// rows returns the operand of layer l: a block, or the output of the layer before.
func (s *shard) rows(l int, block Block, n int) Rows {
	if l == 0 {
		return Rows{Block: block}
	}
	return Rows{Matrix: s.activations[l-1].First(n)}
}

// forward enqueues the layers of one block and returns its logits, which stay
// valid until the next call.
func (s *shard) forward(block Block) (Matrix, error) {
	n, last := block.Rows(), len(s.activations)-1
	for l := range s.activations {
		w, b := s.layer(l, s.theta)
		act := ReLU
		if l == last {
			act = Identity
		}
		if err := s.exec.Forward(s.rows(l, block, n), w, b, act, s.activations[l].First(n)); err != nil {
			return Matrix{}, fmt.Errorf("forward pass, layer %d: %w", l+1, err)
		}
	}
	return s.activations[last].First(n), nil
}

// backward enqueues the gradients of one block, whose logits have been replaced
// by dz. Each layer's activations are overwritten by their own derivative once
// nothing else needs them. add is as of Executor.WeightGradient.
func (s *shard) backward(block Block, add bool) error {
	n := block.Rows()
	for l := len(s.activations) - 1; l >= 0; l-- {
		w, _ := s.layer(l, s.theta)
		dw, db := s.layer(l, s.gradient)
		dz := s.activations[l].First(n)
		if err := s.exec.WeightGradient(s.rows(l, block, n), dz, add, dw, db); err != nil {
			return fmt.Errorf("weight gradient, layer %d: %w", l+1, err)
		}
		if l == 0 {
			return nil
		}
		x := s.activations[l-1].First(n)
		if err := s.exec.InputGradient(dz, w, x, x); err != nil {
			return fmt.Errorf("input gradient, layer %d: %w", l+1, err)
		}
	}
	return nil
}

// loss enqueues the loss of a block, as part of a batch of m rows, and its derivative
// in place of the logits.
func (s *shard) loss(block Block, m int, r Recorder, record int) error {
	z, err := s.forward(block)
	if err != nil {
		return err
	}
	if err := s.exec.SoftmaxCrossEntropy(z, block, m, r, record); err != nil {
		return fmt.Errorf("loss: %w", err)
	}
	return nil
}

// evaluate enqueues loss and gradient of blocks from … end−1, as parts of a batch of
// m rows, and leaves a record for each.
func (s *shard) evaluate(from, end, m int, r Recorder, record int) error {
	if from == end {
		return s.exec.Clear(s.gradient) // the slice of a short last batch may be empty
	}
	if err := s.begin(); err != nil {
		return err
	}
	for i := from; i < end; i++ {
		block := Block{s.input, i}
		if s.steps != nil {
			if err := s.steps.Evaluate(block, m, s.theta, s.gradient, i > from, r, record+i-from); err != nil {
				return err
			}
			continue
		}
		if err := s.loss(block, m, r, record+i-from); err != nil {
			return err
		}
		if err := s.backward(block, i > from); err != nil {
			return err
		}
	}
	return nil
}

// batch enqueues loss and gradient of the shard's slice of batch b, whose m rows all
// shards have together, to be recorded in a slot of the window.
func (s *shard) batch(b, m, slot int) error {
	return s.evaluate(s.batches[b], s.batches[b+1], m, s.recorder, slot*s.most)
}

// expect tells a streamed input which blocks come next: those of batch b and then of others.
func (s *shard) expect(b int, next []int) {
	x, ok := s.input.(StreamedBlocks)
	if !ok || len(s.batches) < 3 { // one batch: its blocks are visited in order
		return
	}
	s.expected = append(s.expected[:0], [2]int{s.batches[b], s.batches[b+1]})
	for _, b := range next {
		s.expected = append(s.expected, [2]int{s.batches[b], s.batches[b+1]})
	}
	x.Expect(s.expected)
}

// begin has whole iterations take over θ where it was set by other means.
func (s *shard) begin() error {
	if s.steps == nil || !s.stale {
		return nil
	}
	s.stale = false
	return s.steps.Begin(s.theta)
}

// step enqueues an iteration: loss and gradient of batch b, which the shard has alone, to be
// recorded in a slot of the window, and the update.
func (s *shard) step(u Update, b, m, slot int, state []Vector) error {
	if s.steps != nil && s.batches[b+1]-s.batches[b] == 1 {
		if err := s.begin(); err != nil {
			return err
		}
		return s.steps.Step(u, Block{s.input, s.batches[b]}, s.theta, state, s.recorder, slot*s.most)
	}
	if err := s.batch(b, m, slot); err != nil {
		return err
	}
	s.stale = true
	return s.exec.Update(u, Whole(s.theta), Whole(s.gradient), state, s.recorder)
}

// window is how many iterations a recorder holds before it has to be read.
const window = 64

// read waits for all work and returns what was recorded in the first slots of the
// window, batches[i] being that of slot i, and the first iteration that was not finite.
func (s *shard) read(batches []int) (sums []Record, nonFinite int, err error) {
	records := s.records[:len(batches)*s.most]
	if nonFinite, err = s.exec.ReadRecords(s.recorder, 0, records); err != nil {
		return nil, 0, err
	}
	for slot, b := range batches {
		// What a shorter batch does not use holds records of another one.
		n := s.batches[b+1] - s.batches[b]
		sums = append(sums, addRecords(records[slot*s.most:][:n]))
	}
	return sums, nonFinite, nil
}

// setTheta writes θ, rounded to the executor's precision.
func (s *shard) setTheta(theta []float64) error {
	if err := s.exec.Write(s.theta, 0, theta); err != nil {
		return fmt.Errorf("set parameters: %w", err)
	}
	s.stale = true
	return nil
}

// loadToScore checks samples against the network and brings them to the device in
// blocks for scoring.
func (s *shard) loadToScore(samples Samples) (Input, error) {
	if err := checkFeatures(s.layout, samples); err != nil {
		return nil, err
	}
	if err := samples.Check(s.layout.Sizes[len(s.layout.Sizes)-1]); err != nil {
		return nil, err
	}
	var blocks []int
	for left := samples.Rows; left > 0; left -= s.scoreRows {
		blocks = append(blocks, min(left, s.scoreRows))
	}
	return s.exec.Load(samples, blocks)
}

// score returns summed loss and correct rows of an input under the present
// parameters.
func (s *shard) score(x Input) (sum Record, err error) {
	blocks := x.Blocks()
	r, err := s.exec.NewRecorder(len(blocks))
	if err != nil {
		return sum, err
	}
	defer func() { err = errors.Join(err, r.Close()) }()
	rows := 0
	for _, n := range blocks {
		rows += n
	}
	for i := range blocks {
		if err := s.loss(Block{x, i}, rows, r, i); err != nil {
			return sum, err
		}
	}
	records := make([]Record, len(blocks))
	if _, err := s.exec.ReadRecords(r, 0, records); err != nil {
		return sum, err
	}
	return addRecords(records), nil
}

// scoreSamples loads samples, scores them and frees them.
func (s *shard) scoreSamples(samples Samples) (loss, accuracy float64, err error) {
	x, err := s.loadToScore(samples)
	if err != nil {
		return 0, 0, err
	}
	defer func() { err = errors.Join(err, x.Close()) }()
	sum, err := s.score(x)
	loss, accuracy = sum.mean(samples.Rows)
	return loss, accuracy, err
}

// addRecords sums records in their order.
func addRecords(records []Record) (sum Record) {
	for _, r := range records {
		sum.Loss += r.Loss
		sum.Correct += r.Correct
	}
	return sum
}

// mean returns the mean loss and the share of correct rows.
func (r Record) mean(rows int) (loss, accuracy float64) {
	return r.Loss / float64(rows), float64(r.Correct) / float64(rows)
}
