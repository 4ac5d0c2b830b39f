package predict

import (
	"context"
	"net/http"

	"clgrad/network/dataset"
)

// A Row is the raw features of one row, as the network's scaling takes them.
type Row struct {
	Features []float32
	Picture  *dataset.Look // what was seen of a picture, nil where the row was none
}

// ReadRow reads a request of one row, as one to predict it, but for the parameters of its URL. Where
// there is no row, it answers with what is wrong, and returns false.
func (s *Service) ReadRow(w http.ResponseWriter, r *http.Request) (Row, bool) {
	ctx, cancel := context.WithTimeout(r.Context(), s.options.Timeout)
	defer cancel()
	mine := s.newWork()
	defer mine.held.give()
	err := s.read(ctx, r, mine)
	if n := mine.rows.n; err == nil && n != 1 {
		err = unfit("The body has %d rows where one is expected.", n)
	}
	if err != nil {
		s.fail(w, r, err)
		return Row{}, false
	}
	return Row{mine.rows.floats, mine.rows.seen}, true
}
