package dataset

import (
	"fmt"
	"math"
	"math/bits"
	"math/rand/v2"

	"clgrad/network"
)

// Split returns the set with a share of its training rows as validation set, and
// the others as training set: the same rows for the same set, fraction and seed,
// for ever. For each class c by itself, whose n rows are in the set's order:
//
//	k = fraction·n rounded to the nearest whole number, half up, and then at
//	    least 1 and at most n−1; 0 where n is 1
//	the rows are shuffled by a PCG with the seeds (seed, c): for i = n−1 … 1,
//	    row i changes places with row ⌊u·(i+1) / 2⁶⁴⌋, u being its next number
//	the first k rows go into the validation set
//
// Rows keep their order within both sets, which share the features (see
// [network.Samples.Select]). The digest remains that of the set before. Errors: a fraction that is not between 0 and 1, no
// labels, a validation set that is there already, and no class of two rows.
func (s Set) Split(fraction float64, seed uint64) (Set, error) {
	switch {
	case !(fraction > 0 && fraction < 1):
		return Set{}, fmt.Errorf("validation fraction %v: a number between 0 and 1 is expected", fraction)
	case s.Train.Labels == nil:
		return Set{}, fmt.Errorf("training set of %s: %w", s.Name, network.ErrNoLabels)
	case s.Train.Rows > math.MaxInt32:
		return Set{}, fmt.Errorf("training set of %s: %d rows: at most %d can be divided", s.Name, s.Train.Rows, math.MaxInt32)
	case s.Validation.Rows > 0:
		return Set{}, fmt.Errorf("%s: has a validation set already", s.Name)
	}
	if err := s.Train.Check(s.Classes); err != nil {
		return Set{}, fmt.Errorf("training set of %s: %w", s.Name, err)
	}
	classes := make([][]int, s.Classes)
	for i, y := range s.Train.Labels {
		classes[y] = append(classes[y], i)
	}
	held := make([]bool, s.Train.Rows)
	count := 0
	for c, rows := range classes {
		n := len(rows)
		if n < 2 {
			continue
		}
		random := rand.NewPCG(seed, uint64(c))
		for i := n - 1; i > 0; i-- {
			j, _ := bits.Mul64(random.Uint64(), uint64(i+1))
			rows[i], rows[j] = rows[j], rows[i]
		}
		k := min(max(1, int(math.Floor(fraction*float64(n)+0.5))), n-1)
		count += k
		for _, row := range rows[:k] {
			held[row] = true
		}
	}
	if count == 0 {
		return Set{}, fmt.Errorf("training set of %s: no class has two rows: none can be held back for validation", s.Name)
	}
	all := s.Train
	train, validation := make([]int32, 0, all.Rows-count), make([]int32, 0, count)
	for i, h := range held {
		if h {
			validation = append(validation, int32(i))
		} else {
			train = append(train, int32(i))
		}
	}
	s.Train, s.Validation = all.Select(train), all.Select(validation)
	return s, nil
}
