package watch

import "time"

// A mark is what a run had come to at some moment.
type mark struct {
	at         time.Time
	iterations int           // done by this process
	rows       int           // in them
	seconds    float64       // their time
	cpu        time.Duration // of the process
}

const (
	// recently is the time that rates are taken over, and fewMarks how many marks that
	// has at least: an iteration may take a minute.
	recently = 10 * time.Second
	fewMarks = 4
)

// recent has the marks of the last seconds, each with more iterations than the one before.
type recent []mark

// add adds a mark, and leaves out those that are too old.
func (r *recent) add(m mark) {
	*r = append(*r, m)
	for len(*r) > fewMarks && m.at.Sub((*r)[1].at) >= recently {
		*r = (*r)[1:]
	}
}

// span returns what was done between the first and the last mark, ok where there is anything.
func (r recent) span() (done mark, d time.Duration, ok bool) {
	if len(r) < 2 {
		return mark{}, 0, false
	}
	first, last := r[0], r[len(r)-1]
	d = last.at.Sub(first.at)
	return mark{
		iterations: last.iterations - first.iterations, rows: last.rows - first.rows,
		seconds: last.seconds - first.seconds, cpu: last.cpu - first.cpu,
	}, d, d > 0
}
