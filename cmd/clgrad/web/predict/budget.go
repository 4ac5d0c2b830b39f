package predict

import (
	"errors"
	"io"
	"sync/atomic"
)

const (
	// maxMemory bounds what all requests under way hold, in bytes: their bodies, rows and answers. Reading a
	// table takes some times as much.
	maxMemory = 128 << 20
	// maxRows bounds what the rows and the answer of one request hold: a picture of some bytes becomes a row of
	// as many features as the network has.
	maxRows = maxMemory / 4
)

// errBusy reports that there is no memory for a request now.
var errBusy = errors.New("no memory for the request")

// A budget counts the memory of requests.
type budget struct{ used atomic.Int64 }

// A holding is what one request holds of a budget.
type holding struct {
	budget *budget
	size   int64
}

// take adds bytes, and reports where there are no more.
func (h *holding) take(n int64) error {
	h.size += n
	if h.budget.used.Add(n) > maxMemory {
		return errBusy
	}
	return nil
}

// give gives back all.
func (h *holding) give() {
	h.budget.used.Add(-h.size)
	h.size = 0
}

// counting counts the bytes that were read of a body, as they come: what a client only says that it will send
// takes nothing.
type counting struct {
	io.Reader
	holding *holding
}

func (c counting) Read(p []byte) (int, error) {
	n, err := c.Reader.Read(p)
	if full := c.holding.take(int64(n)); full != nil {
		return 0, full
	}
	return n, err
}

// rowMemory returns what a row holds, with its answer: its features, the logits and probabilities, and
// both as text.
func rowMemory(features, classes int) int64 { return 4*int64(features) + 32*int64(classes) }
