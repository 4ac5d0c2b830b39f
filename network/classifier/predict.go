package classifier

import (
	"errors"
	"fmt"
	"math"
	"slices"

	"clgrad/network"
	"clgrad/network/dataset"
)

// Predict returns the name of the most probable class of each row (see [Classifier.Classes]).
// Rows have the raw features of the training set, in its order and not scaled. Errors name the row,
// counted from 1. For rows of other types than float64, and for many of them, there is
// [Classifier.PredictSamples] of [dataset.FromRows] or [dataset.FromFlat].
func (c *Classifier) Predict(rows [][]float64) ([]string, error) {
	logits, err := c.ofRows("predict", rows)
	if err != nil {
		return nil, err
	}
	names := c.Classes()
	classes := make([]string, len(rows))
	for i, class := range network.Predicted(logits, c.classes()) {
		classes[i] = names[class]
	}
	return classes, nil
}

// PredictProbabilities returns the probabilities of all classes, in the order of
// [Classifier.Classes], for each row, which is as for [Classifier.Predict].
func (c *Classifier) PredictProbabilities(rows [][]float64) ([][]float64, error) {
	logits, err := c.ofRows("predict", rows)
	if err != nil {
		return nil, err
	}
	return slices.Collect(slices.Chunk(network.Softmax(logits, c.classes()), c.classes())), nil
}

// PredictSamples returns the number of the most probable class, from 0, of each row of a part
// of a data set, as set.Test. Their labels are not looked at, and their scaling is the
// classifier's.
func (c *Classifier) PredictSamples(s network.Samples) ([]int, error) {
	logits, err := c.logits("predict", s)
	if err != nil {
		return nil, err
	}
	return network.Predicted(logits, c.classes()), nil
}

// Score returns the mean loss, in nats a row, and the share of rows that are predicted right, of a
// part of the data set of the training, as set.Test (see [dataset.WithTest]), or of one with the
// same classes in the same order. The scaling is the classifier's.
func (c *Classifier) Score(s network.Samples) (loss, accuracy float64, err error) {
	m, s, err := c.on("score", s)
	if err != nil {
		return 0, 0, err
	}
	if s.Labels == nil {
		return 0, 0, fmt.Errorf("classifier: score: %w", network.ErrNoLabels)
	}
	if loss, accuracy, err = m.Score(s); err == nil {
		err = network.CheckLoss("score", loss, func() ([]float64, error) { return m.Logits(s) }, c.classes(), s.Labels)
	}
	if err != nil {
		return 0, 0, fmt.Errorf("classifier: %w", err)
	}
	return loss, accuracy, nil
}

// ofRows returns the logits of raw rows.
func (c *Classifier) ofRows(operation string, rows [][]float64) ([]float64, error) {
	if err := c.fitted(operation); err != nil {
		return nil, err
	}
	if columns := c.learned.Columns; columns != nil && (columns.Means != nil || columns.Offsets != nil) {
		rows = held(rows, columns)
	}
	set, err := dataset.FromRows(rows, []string(nil))
	if err != nil {
		return nil, fmt.Errorf("classifier: %s: %w", operation, err)
	}
	return c.logits(operation, set.Train)
}

// held returns rows as the samples of a table hold them: with means in the place of missing
// values, and without offsets.
func held(rows [][]float64, columns *dataset.Columns) [][]float64 {
	all := make([][]float64, len(rows))
	for i, row := range rows {
		all[i] = slices.Clone(row)
		for j, v := range row {
			if math.IsNaN(v) && j < len(columns.Means) {
				all[i][j] = columns.Means[j]
			}
			if j < len(columns.Offsets) {
				all[i][j] -= columns.Offsets[j]
			}
		}
	}
	return all
}

// logits returns those of samples, which are finite.
func (c *Classifier) logits(operation string, s network.Samples) ([]float64, error) {
	s.Labels = nil
	m, s, err := c.on(operation, s)
	if err != nil {
		return nil, err
	}
	logits, err := m.Logits(s)
	if err == nil {
		err = network.CheckLogits(operation, logits, c.classes(), nil)
	}
	if err != nil {
		return nil, fmt.Errorf("classifier: %w", err)
	}
	return logits, nil
}

// loaded is what was learned on the backend, by a plan for samples of one kind.
type loaded struct {
	plan  network.ShardPlan
	model *network.Model // nil where it is not there yet
}

// kind is what decides which plan samples need.
type kind struct{ bytes bool }

func kindOf(s network.Samples) kind { return kind{s.Bytes != nil} }

// planRows is how many rows a plan is made for at least: devices compile kernels for a new plan,
// and a single row may be followed by many.
const planRows = 1024

// on returns the network on the backend, ready for such samples, and the samples scaled for it.
func (c *Classifier) on(operation string, s network.Samples) (*network.Model, network.Samples, error) {
	if err := c.fitted(operation); err != nil {
		return nil, s, err
	}
	if inputs := c.learned.Sizes[0]; s.Rows > 0 && s.Features != inputs {
		return nil, s, fmt.Errorf("classifier: %s: rows of %d features where the network has %d inputs", operation, s.Features, inputs)
	}
	s.Scaling = c.learned.Scaling
	err := s.Check(c.classes())
	if err == nil {
		err = c.load(s)
	}
	if err != nil {
		return nil, s, fmt.Errorf("classifier: %s: %w", operation, err)
	}
	return c.loaded[kindOf(s)].model, s, nil
}

// load brings what was learned to the backend, for samples of the kind of s, if it is not there yet.
func (c *Classifier) load(s network.Samples) (err error) {
	l, known := c.loaded[kindOf(s)]
	if l.model != nil {
		return nil
	}
	if !known {
		many := make([]int32, max(s.Rows, planRows))
		for i := range many {
			many[i] = int32(i % s.Rows)
		}
		if l.plan, err = c.backend.Propose(c.learned.Sizes, s.Select(many), len(many)); err != nil {
			return err
		}
	}
	layout, err := network.NewLayout(c.learned.Sizes)
	if err != nil {
		return err
	}
	if l.model, err = network.NewModel(c.backend, layout, c.learned.Parameters, l.plan); err != nil {
		return err
	}
	if c.loaded == nil {
		c.loaded = map[kind]loaded{}
	}
	c.loaded[kindOf(s)] = l
	return nil
}

// unload frees what the classifier holds on the backend.
func (c *Classifier) unload() (err error) {
	for _, l := range c.loaded {
		if l.model != nil {
			err = errors.Join(err, l.model.Close())
		}
	}
	c.loaded = nil
	return err
}
