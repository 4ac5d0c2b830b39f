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
	s.Train, s.Test = s.pick(order[:train]), s.pick(order[train:train+test])
	return s, nil
}

// pick returns the rows of the given numbers, where those of the test set come
// after those of the training set.
func (s Set) pick(rows []int) network.Samples {
	out := network.Samples{Rows: len(rows), Features: s.Train.Features}
	if s.Train.Bytes != nil {
		out.Bytes = make([]uint8, 0, len(rows)*out.Features)
	} else {
		out.Floats = make([]float32, 0, len(rows)*out.Features)
	}
	for _, i := range rows {
		from := s.Train
		if i >= from.Rows {
			from, i = s.Test, i-from.Rows
		}
		row := from.Slice(i, 1)
		out.Bytes = append(out.Bytes, row.Bytes...)
		out.Floats = append(out.Floats, row.Floats...)
		out.Labels = append(out.Labels, row.Labels...)
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
