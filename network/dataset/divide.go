package dataset

import (
	"fmt"
	"math/rand/v2"

	"clgrad/network"
)

// Divide returns the set with its rows dealt out anew: train rows to train on and
// test rows to test on, out of all rows of both. The rows of the training set
// and behind them those of the test set are put in the order of
// rand.New(rand.NewPCG(seed, 0)).Perm (math/rand/v2), of which the first train
// rows train and the next test rows test. Name and digest stay those of the
// whole set. Raw sets only: the scaling is fitted afterwards.
func (s Set) Divide(train, test int, seed uint64) (Set, error) {
	have := s.Train.Rows + s.Test.Rows
	if train < 1 || test < 1 || train > have || test > have-train {
		return Set{}, fmt.Errorf("%s: %d rows to train on and %d to test on are asked for, the set has %d rows", s.Name, train, test, have)
	}
	if s.Test.Rows > 0 && (s.Train.Features != s.Test.Features || (s.Train.Bytes == nil) != (s.Test.Bytes == nil) ||
		(s.Train.Labels == nil) != (s.Test.Labels == nil)) {
		return Set{}, fmt.Errorf("%s: its training and its test set are not of one kind: they cannot be dealt out together", s.Name)
	}
	order := rand.New(rand.NewPCG(seed, 0)).Perm(have)
	whole := []network.Samples{s.Train, s.Test}
	s.Train, s.Test = pick(order[:train], whole...), pick(order[train:train+test], whole...)
	return s, nil
}

// pick returns copies of the rows of the given numbers, in that order. parts are
// samples of one kind, whose rows are numbered one part after the other; the
// scaling is that of the first.
func pick(rows []int, parts ...network.Samples) network.Samples {
	out := parts[0]
	out.Rows, out.Index = len(rows), nil
	if out.Bytes != nil {
		out.Bytes = make([]uint8, 0, len(rows)*out.Features)
	} else {
		out.Floats = make([]float32, 0, len(rows)*out.Features)
	}
	if out.Labels != nil {
		out.Labels = make([]int32, 0, len(rows))
	}
	for _, i := range rows {
		part := 0
		for i >= parts[part].Rows {
			i -= parts[part].Rows
			part++
		}
		if out.Bytes != nil {
			out.Bytes = append(out.Bytes, parts[part].Row(i)...)
		} else {
			out.Floats = append(out.Floats, parts[part].FloatRow(i)...)
		}
		if out.Labels != nil {
			out.Labels = append(out.Labels, parts[part].Labels[i])
		}
	}
	return out
}

// First returns the set with only the first rows of its training and its test
// set, or all where they are fewer.
func (s Set) First(rows int) Set {
	s.Train = s.Train.Slice(0, min(rows, s.Train.Rows))
	s.Test = s.Test.Slice(0, min(rows, s.Test.Rows))
	return s
}
