package predict

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"clgrad/network"
)

// A Computer computes the logits of rows, row-major, rows × classes. The result is
// valid until the next call. [network.Predictor] is one.
type Computer interface {
	Logits(network.Samples) ([]float64, error)
}

// BatchOptions say how requests become batches.
type BatchOptions struct {
	Rows  int           // most rows of a batch, unless one request has more
	Wait  time.Duration // how long a batch that is not full waits for more
	Queue int           // most requests that wait

	Observe func(Batch) // is called behind each batch, on the goroutine that computes
}

// A Batch is what there is to say about one.
type Batch struct {
	Requests, Rows int
	Time           time.Duration
	Err            error
}

var (
	// ErrFull reports that as many requests wait as may.
	ErrFull = errors.New("the queue is full")
	// ErrStopped reports that nothing is computed any more.
	ErrStopped = errors.New("the server stops")
)

// A Batcher computes the rows of many requests on one device.
type Batcher struct {
	options BatchOptions
	like    network.Samples // of the rows
	queue   chan *job
	stopped chan struct{} // closed when Run has returned
}

// A job is the rows of a request.
type job struct {
	ctx    context.Context
	taken  atomic.Bool // by the batch that computes it, or by the client that goes
	floats []float32
	rows   int
	logits []float64
	err    error
	done   chan struct{} // gets an element once logits or err are there
}

// NewBatcher returns a batcher for rows of floats with the features and the scaling of like.
func NewBatcher(like network.Samples, o BatchOptions) *Batcher {
	return &Batcher{options: o, like: like.Kind(), queue: make(chan *job, o.Queue), stopped: make(chan struct{})}
}

// Waiting returns how many requests wait.
func (b *Batcher) Waiting() int { return len(b.queue) }

// Run computes until the context ends, on the caller's goroutine, which owns the computer. Requests that
// wait then are answered with ErrStopped.
func (b *Batcher) Run(ctx context.Context, c Computer) {
	defer func() {
		close(b.stopped)
		for {
			select {
			case j := <-b.queue:
				j.finish(nil, ErrStopped)
			default:
				return
			}
		}
	}()
	var floats []float32
	var jobs []*job
	var next *job // that was taken and did not fit
	for {
		if next == nil {
			select {
			case next = <-b.queue:
			case <-ctx.Done():
				return
			}
		}
		jobs, next = b.collect(ctx, append(jobs[:0], next))
		floats = b.compute(c, jobs, floats[:0])
		clear(jobs)
	}
}

// collect adds the jobs that wait to the first of a batch, and returns the one that did not fit, if any.
func (b *Batcher) collect(ctx context.Context, jobs []*job) (batch []*job, next *job) {
	rows := jobs[0].rows
	var late <-chan time.Time
	for rows < b.options.Rows {
		var j *job
		select {
		case j = <-b.queue:
		default:
			if b.options.Wait <= 0 {
				return jobs, nil
			}
			if late == nil {
				timer := time.NewTimer(b.options.Wait)
				defer timer.Stop()
				late = timer.C
			}
			select {
			case j = <-b.queue:
			case <-late:
				return jobs, nil
			case <-ctx.Done():
				return jobs, nil
			}
		}
		if err := j.ctx.Err(); err != nil { // others have its place
			j.finish(nil, err)
			continue
		}
		if rows += j.rows; rows > b.options.Rows {
			return jobs, j
		}
		jobs = append(jobs, j)
	}
	return jobs, nil
}

// compute computes a batch in the memory of floats, and returns that. Jobs whose clients have gone are
// left out.
func (b *Batcher) compute(c Computer, jobs []*job, floats []float32) []float32 {
	begin, batch, n := time.Now(), b.like, 0
	for _, j := range jobs {
		if !j.taken.CompareAndSwap(false, true) || j.ctx.Err() != nil {
			j.finish(nil, j.ctx.Err())
			continue
		}
		floats = append(floats, j.floats...)
		batch.Rows += j.rows
		jobs[n] = j
		n++
	}
	jobs = jobs[:n]
	if n == 0 {
		return floats
	}
	batch.Rows, batch.Floats = len(floats)/batch.Features, floats
	logits, err := c.Logits(batch)
	for _, j := range jobs {
		if err != nil {
			j.finish(nil, err)
			continue
		}
		own := len(logits) / batch.Rows * j.rows
		j.finish(append(j.logits[:0], logits[:own]...), nil)
		logits = logits[own:]
		batch.Rows -= j.rows
	}
	if b.options.Observe != nil {
		b.options.Observe(Batch{Requests: n, Rows: len(floats) / batch.Features, Time: time.Since(begin), Err: err})
	}
	return floats
}

func (j *job) finish(logits []float64, err error) {
	j.logits, j.err = logits, err
	j.done <- struct{}{}
}

// Logits computes the logits of rows, in a batch with those of others. The rows are not to be changed
// before it returns, and where it returns an error not at all. Its errors are those of the context, [ErrFull], [ErrStopped] and
// those of the device.
func (b *Batcher) Logits(ctx context.Context, floats []float32, rows int) ([]float64, error) {
	j := &job{ctx: ctx, floats: floats, rows: rows, done: make(chan struct{}, 1)}
	select {
	case b.queue <- j:
	default:
		return nil, ErrFull
	}
	select {
	case <-j.done:
		return j.logits, j.err
	case <-ctx.Done():
		if j.taken.CompareAndSwap(false, true) {
			j.floats = nil // it waits on, without its rows
		}
		return nil, ctx.Err()
	case <-b.stopped:
	}
	select { // it may have been among the last
	case <-j.done:
		return j.logits, j.err
	default:
		return nil, ErrStopped
	}
}
