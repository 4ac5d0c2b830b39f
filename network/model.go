package network

import (
	"errors"
	"fmt"
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
	var rows []float64
	for i := range x.Blocks() {
		z, err := s.forward(Block{x, i})
		if err != nil {
			return nil, err
		}
		if n := z.Rows * z.Stride; cap(rows) < n {
			rows = make([]float64, n)
		}
		rows = rows[:z.Rows*z.Stride]
		if err := s.exec.Read(z.Buffer, z.Offset, rows); err != nil {
			return nil, err
		}
		for i := range z.Rows {
			logits = append(logits, rows[i*z.Stride:i*z.Stride+z.Cols]...)
		}
	}
	return logits, nil
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
