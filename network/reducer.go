package network

// A Reducer joins the shards of this process with those of others, so that all of
// them together train one network. Every process calls the same methods in the same
// order, and sums are formed in one fixed order, so that equal parts give equal bits.
//
// Each element of θ has one owner, the process that sums its gradient and updates it:
// backends round an update differently, and copies that each process updated for
// itself would drift apart.
type Reducer interface {
	// Slice returns which elements from … end−1 of a vector of n elements this
	// process owns: both are multiples of [Align], and the slices of all processes in
	// their order are the vector.
	Slice(n int) (from, end int)

	// Sum adds the gradients of one batch. parts are those of this process's shards,
	// whole vectors; sum receives the elements that it owns, added over the shards
	// of all processes in their order. failed is why this process has no parts: no
	// process is left waiting, and all get an error.
	Sum(parts [][]float64, failed error, sum []float64) error

	// Gather completes θ, of which each process has the elements that it owns. failed
	// is as of Sum.
	Gather(theta []float64, failed error) error

	// Join returns what the processes say of some iterations, taken together: sums
	// of records, the first iteration that was not finite, whether one of them wants
	// to stop, and how many iterations the first of them wants next. failed is as of Sum.
	Join(s Status, failed error) (Status, error)
}

// A Status is what a process knows of the iterations since the last Join.
type Status struct {
	Records   []Record // of each iteration, summed over the rows
	NonFinite int      // the first iteration that was not finite, 0 if none was
	Stop      bool     // the run is to end here
	Next      int      // iterations until the next Join
}

// local is the Reducer of a single process.
type local struct{}

func (local) Slice(n int) (from, end int) { return 0, n }

func (local) Sum(parts [][]float64, failed error, sum []float64) error {
	if failed == nil {
		AddInOrder(parts, 0, sum)
	}
	return failed
}

func (local) Gather(_ []float64, failed error) error { return failed }

func (local) Join(s Status, failed error) (Status, error) { return s, failed }

// AddInOrder sets sum to Σ part[from:from+len(sum)] over the parts in their order, in
// float64.
func AddInOrder(parts [][]float64, from int, sum []float64) {
	const elements = 1 << 14 // of a chunk, which stays in a cache
	Parallel(len(sum), elements, func(lo, hi int) {
		to := sum[lo:hi]
		clear(to)
		for _, p := range parts {
			for i, v := range p[from+lo : from+hi] {
				to[i] += v
			}
		}
	})
}
