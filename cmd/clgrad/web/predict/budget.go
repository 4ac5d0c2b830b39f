package predict

import (
	"errors"
	"io"
	"sync/atomic"
)

// maxBodies bounds the bodies of all requests that are under way, in bytes. What is made of a body takes
// some times as much.
const maxBodies = 128 << 20

// errBusy reports that there is no room for a body now.
var errBusy = errors.New("no room for the body")

// A budget counts the bytes of bodies.
type budget struct {
	most int64
	used atomic.Int64
}

func (b *budget) give(n int64) { b.used.Add(-n) }

// counting counts the bytes that were read of a body, as they come: what a client only says that it will send
// takes nothing.
type counting struct {
	io.Reader
	budget *budget
	size   int64
}

func (c *counting) Read(p []byte) (int, error) {
	n, err := c.Reader.Read(p)
	c.size += int64(n)
	if c.budget.used.Add(int64(n)) > c.budget.most {
		return 0, errBusy
	}
	return n, err
}
