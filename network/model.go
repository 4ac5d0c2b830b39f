package network

import "fmt"

// A Model is a trained network on one backend, ready to score and predict. It
// belongs to one goroutine.
type Model struct {
	shard *shard
}

// NewModel puts parameters in the given layout on a backend, which stays the
// caller's. It works in blocks of at most blockRows rows.
func NewModel(b Backend, layout Layout, theta []float64, blockRows int) (*Model, error) {
	if len(theta) != layout.Len {
		return nil, fmt.Errorf("%d parameters given where the layout has %d", len(theta), layout.Len)
	}
	if blockRows < 1 {
		return nil, fmt.Errorf("blocks of %d rows: at least 1 is needed", blockRows)
	}
	s, err := newShard(b, layout, nil, blockRows)
	if err != nil {
		return nil, err
	}
	if err := b.Write(s.theta, 0, theta); err != nil {
		s.close()
		return nil, fmt.Errorf("set parameters: %w", err)
	}
	return &Model{s}, nil
}

// Close frees what the model made on its backend.
func (m *Model) Close() error { return m.shard.close() }

// Score returns the mean loss and the share of correct rows.
func (m *Model) Score(samples Samples) (loss, accuracy float64, err error) {
	return m.shard.scoreSamples(samples)
}

// Logits returns the outputs before softmax, row-major, samples.Rows×classes.
func (m *Model) Logits(samples Samples) (logits []float64, err error) {
	s := m.shard
	x, err := s.load(samples)
	if err != nil {
		return nil, err
	}
	defer func() {
		if e := x.Close(); err == nil {
			err = e
		}
	}()
	var row []float64
	for block := range Blocks(x) {
		z, err := s.forward(x, block)
		if err != nil {
			return nil, err
		}
		if n := z.Rows * z.Stride; cap(row) < n {
			row = make([]float64, n)
		}
		row = row[:z.Rows*z.Stride]
		if err := s.backend.Read(z.Buffer, z.Offset, row); err != nil {
			return nil, err
		}
		for i := range z.Rows {
			logits = append(logits, row[i*z.Stride:i*z.Stride+z.Cols]...)
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
	classes := make([]int, samples.Rows)
	p := m.shard.layout.Sizes[len(m.shard.layout.Sizes)-1]
	for i := range classes {
		row := logits[i*p : (i+1)*p]
		for j, v := range row {
			if v > row[classes[i]] {
				classes[i] = j
			}
		}
	}
	return classes, nil
}

// load checks samples against the network and brings them to the device.
func (s *shard) load(samples Samples) (Input, error) {
	if err := checkFeatures(s.layout, samples); err != nil {
		return nil, err
	}
	if err := samples.Check(s.layout.Sizes[len(s.layout.Sizes)-1]); err != nil {
		return nil, err
	}
	return s.backend.Load(samples, s.blockRows)
}

// scoreSamples loads samples, scores them and frees them.
func (s *shard) scoreSamples(samples Samples) (loss, accuracy float64, err error) {
	x, err := s.load(samples)
	if err != nil {
		return 0, 0, err
	}
	defer func() {
		if e := x.Close(); err == nil {
			err = e
		}
	}()
	return s.scoreInput(x)
}

// scoreInput returns the mean loss and the share of correct rows of an input.
func (s *shard) scoreInput(x Input) (loss, accuracy float64, err error) {
	sum, err := s.score(x)
	if err != nil {
		return 0, 0, err
	}
	m := float64(x.Rows())
	return sum.Loss / m, float64(sum.Correct) / m, nil
}
