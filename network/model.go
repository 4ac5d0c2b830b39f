package network

import (
	"errors"
	"fmt"
	"slices"
)

// A Model is a trained network on one backend, ready to score and predict. It
// belongs to one goroutine.
type Model struct{ shard *shard }

// NewModel puts parameters in the given layout on a backend, which stays the
// caller's. The plan is one that the backend proposed for samples of the kind that
// the model is for.
func NewModel(b Backend, layout Layout, theta []float64, plan ShardPlan) (*Model, error) {
	if len(theta) != layout.Len {
		return nil, fmt.Errorf("%d parameters given where the layout has %d", len(theta), layout.Len)
	}
	if plan.ScoreRows < 1 || plan.ScoreRows > maxScoreRows {
		return nil, fmt.Errorf("blocks of %d rows: 1 to %d are possible", plan.ScoreRows, maxScoreRows)
	}
	exec, err := b.Prepare(layout.Sizes, plan)
	if err != nil {
		return nil, err
	}
	s, err := newShard(exec, layout, 1, plan.ScoreRows)
	if err != nil {
		return nil, err
	}
	if err := s.setTheta(theta); err != nil {
		return nil, errors.Join(err, s.close())
	}
	return &Model{s}, nil
}

// Close frees what the model made on its backend.
func (m *Model) Close() error { return m.shard.close() }

// Score returns the mean loss and the share of correct rows.
func (m *Model) Score(samples Samples) (loss, accuracy float64, err error) {
	return m.shard.scoreSamples(samples)
}

// Logits returns the outputs before softmax, row-major, samples.Rows×classes. Labels
// take no part, and may be of classes that the network does not have.
func (m *Model) Logits(samples Samples) ([]float64, error) { return m.shard.logits(samples) }

func (s *shard) logits(samples Samples) (logits []float64, err error) {
	samples.Labels = nil
	x, err := s.loadToScore(samples)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, x.Close()) }()
	for i := range x.Blocks() {
		if logits, err = s.appendLogits(logits, Block{x, i}); err != nil {
			return nil, err
		}
	}
	return logits, nil
}

// appendLogits computes the logits of a block and appends them.
func (s *shard) appendLogits(logits []float64, block Block) ([]float64, error) {
	z, err := s.forward(block)
	if err != nil {
		return logits, err
	}
	n, end := z.Rows*z.Stride, len(logits)
	logits = slices.Grow(logits, n)[:end+n]
	rows := logits[end:]
	if err := s.exec.Read(z.Buffer, z.Offset, rows); err != nil {
		return logits[:end], err
	}
	for i := range z.Rows { // without the padding between them
		copy(rows[i*z.Cols:], rows[i*z.Stride:i*z.Stride+z.Cols])
	}
	return logits[:end+z.Rows*z.Cols], nil
}

// A Predictor computes the logits of rows that come a few at a time. Where the backend's input is
// a [RefillableInput], it takes no new memory for them. It belongs to the goroutine of its Model,
// and ends with it.
type Predictor struct {
	shard  *shard
	rows   int             // at a time
	input  RefillableInput // nil where rows are loaded each time
	logits []float64
}

// Predictor returns a predictor for rows like those of the given samples: with their features and
// scaling, and like them as bytes or as floats. It computes as many rows at a time, or as the plan scores at a time
// if those are fewer.
func (m *Model) Predictor(like Samples) (*Predictor, error) {
	like.Labels = nil
	if err := like.Check(0); err != nil {
		return nil, err
	}
	p := &Predictor{shard: m.shard, rows: min(like.Rows, m.shard.scoreRows)}
	input, err := m.shard.loadToScore(like.Slice(0, p.rows))
	if err != nil {
		return nil, err
	}
	if x, ok := input.(RefillableInput); ok && x.Refillable() {
		p.input = x
		return p, nil
	}
	return p, input.Close()
}

// Rows returns how many rows are computed at a time.
func (p *Predictor) Rows() int { return p.rows }

// Logits is Model.Logits for rows like those of the predictor, any number. The result is valid until the
// next call. After an error it may be called again.
func (p *Predictor) Logits(samples Samples) (_ []float64, err error) {
	samples.Labels = nil
	var x Input = p.input
	p.logits = p.logits[:0]
	for first := 0; first < samples.Rows; first += p.rows {
		part := samples.Slice(first, min(p.rows, samples.Rows-first))
		if p.input != nil {
			if err = p.input.Refill(part); err != nil { // it may be closed: later rows are loaded
				err = errors.Join(err, p.input.Close())
				p.input = nil
				return nil, err
			}
		} else {
			x, err = p.shard.loadToScore(part)
		}
		if err != nil {
			return nil, err
		}
		p.logits, err = p.shard.appendLogits(p.logits, Block{x, 0})
		if p.input == nil {
			err = errors.Join(err, x.Close())
		}
		if err != nil {
			return nil, err
		}
	}
	return p.logits, nil
}

// Predict returns the class with the largest logit of each row, the lowest
// among equals.
func (m *Model) Predict(samples Samples) ([]int, error) {
	logits, err := m.Logits(samples)
	if err != nil {
		return nil, err
	}
	return Predicted(logits, m.shard.layout.Sizes[len(m.shard.layout.Sizes)-1]), nil
}
