package run

import (
	"fmt"
	"math"
	"strconv"
	"sync/atomic"
	"time"

	"clgrad/cmd/clgrad/terminal"
	"clgrad/network"
)

// An observer follows a run while it goes on. Its methods are called on the run's goroutine, an
// iteration may take less than 50 µs: they only note what others, on goroutines of their own,
// then show.
type observer interface {
	// iteration is told of every iteration, and the share of its rows that it had right.
	iteration(i network.Iteration, accuracy float64)
	// line is told of every iteration that is reported.
	line(l Line)
}

// progress is the observer whose line stands at the end of the terminal.
type progress struct {
	terminal.Count
	pace     pace
	since    time.Time
	weight   float64       // of a new value in the means
	loss     atomic.Uint64 // bits of the mean of late iterations, NaN before the first
	accuracy atomic.Uint64
	reported atomic.Pointer[Line] // the newest line with a validation loss
}

// showProgress shows the progress of the run's iterations until end is called.
func (r *run) showProgress() (o observer, end func()) {
	p := &progress{pace: r.pace, since: time.Now(), weight: 1 / float64(min(100, r.pace.batches))}
	p.Set(int64(r.trainer.Done()), int64(r.pace.total))
	p.loss.Store(math.Float64bits(math.NaN()))
	for _, l := range r.lines {
		p.line(l)
	}
	return p, r.opts.Display.Show(p.status)
}

func (p *progress) iteration(i network.Iteration, accuracy float64) {
	p.Add(1)
	loss, share := math.Float64frombits(p.loss.Load()), math.Float64frombits(p.accuracy.Load())
	if math.IsNaN(loss) {
		loss, share = i.Loss, accuracy
	}
	p.loss.Store(math.Float64bits(loss + p.weight*(i.Loss-loss)))
	p.accuracy.Store(math.Float64bits(share + p.weight*(accuracy-share)))
}

func (p *progress) line(l Line) {
	if l.ValidationLoss != nil {
		p.reported.Store(&l)
	}
}

// status returns what the terminal shows.
func (p *progress) status() terminal.Line {
	done, total := p.At()
	rate := p.Rate(time.Now())
	parts := []terminal.Part{p.position(int(done), int(total))}
	if loss := math.Float64frombits(p.loss.Load()); !math.IsNaN(loss) {
		accuracy := 100 * math.Float64frombits(p.accuracy.Load())
		parts = append(parts, terminal.Part{
			Long: fmt.Sprintf("loss %.4f, accuracy %.2f %%", loss, accuracy), Short: fmt.Sprintf("loss %.4f", loss), Rank: 1,
		})
	}
	if l := p.reported.Load(); l != nil {
		loss, accuracy := float64(*l.ValidationLoss), 100*float64(*l.ValidationAccuracy)
		parts = append(parts, terminal.Part{
			Long: fmt.Sprintf("validation loss %.4f, accuracy %.2f %%", loss, accuracy), Short: fmt.Sprintf("validation %.2f %%", accuracy), Rank: 3,
		})
	}
	if rate > 0 {
		parts = append(parts, p.ratePart(rate))
	}
	return terminal.Line{Share: p.Share(), Parts: append(parts, p.LeftPart(rate, p.since, 2))}
}

// position says where the run is. Numbers have the same width all the time, so that the line does
// not jump.
func (p *progress) position(done, total int) terminal.Part {
	at := min(done+1, total) // the one that is computed
	if !p.pace.byEpoch() {
		n := padded(at, total)
		return terminal.Part{Long: fmt.Sprintf("iteration %s of %d", n, total), Short: fmt.Sprintf("%s/%d", n, total)}
	}
	batches := p.pace.batches
	epochs := (total-1)/batches + 1
	epoch := padded((at-1)/batches+1, epochs)
	part := terminal.Part{Long: fmt.Sprintf("epoch %s of %d", epoch, epochs), Short: fmt.Sprintf("epoch %s/%d", epoch, epochs)}
	if p.pace.mini() {
		part.Long += fmt.Sprintf(", iteration %s of %d", padded((at-1)%batches+1, batches), batches)
	}
	return part
}

// padded writes a number with as many characters as the largest one has.
func padded(n, largest int) string { return fmt.Sprintf("%*d", len(strconv.Itoa(largest)), n) }

// ratePart says how fast the run is.
func (p *progress) ratePart(rate float64) terminal.Part {
	if rate < 1 {
		return terminal.Part{Long: fmt.Sprintf("%4.1f s an iteration", 1/rate), Short: fmt.Sprintf("%4.1f s each", 1/rate), Rank: 4}
	}
	digits := 0
	if rate < 100 {
		digits = 1
	}
	return terminal.Part{Long: fmt.Sprintf("%4.*f iterations/s", digits, rate), Short: fmt.Sprintf("%4.*f/s", digits, rate), Rank: 4}
}
