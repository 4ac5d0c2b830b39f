package network

// EarlyStopping says when to end a training that gets no better: the loss of rows that are
// not trained on is evaluated after every Every iterations, and Patience evaluations without a
// lower one are the end. The parameters of the lowest loss are then the result.
type EarlyStopping struct {
	Every    int
	Patience int
}

// Ended reports whether a training ends after done iterations where the lowest loss was that
// after iteration best, 0 where there was no evaluation yet.
func (e EarlyStopping) Ended(done, best int) bool { return done/e.Every-best/e.Every >= e.Patience }

// LastEpochMean returns the mean of the values of the last iterations, an epoch of batches or
// as many as there are, each weighted by the rows of its batch.
func LastEpochMean(values []float64, rows []int, batches int) float64 {
	if batches == 1 {
		return values[len(values)-1]
	}
	sum, n := 0.0, 0
	for i := max(0, len(values)-batches); i < len(values); i++ {
		sum += float64(rows[i]) * values[i]
		n += rows[i]
	}
	return sum / float64(n)
}
