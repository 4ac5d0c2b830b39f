package terminal

import (
	"fmt"
	"math"
	"sync"
	"sync/atomic"
	"time"
)

// A Count is how many of a number of steps are done. Any goroutine may set it. Its rate is that
// of the steps that were seen lately.
type Count struct {
	done, total atomic.Int64

	mu    sync.Mutex
	began bool   // steps were seen
	seen  []seen // when the count was seen to change; before it began, where it stood
}

// seen is a count at a time.
type seen struct {
	at   time.Time
	done int64
}

// What the rate is taken of: the changes in a stretch of time, and at least a few.
const (
	recent       = 10 * time.Second
	leastChanges = 5
)

// Set says that so many of total steps are done.
func (c *Count) Set(done, total int64) { c.done.Store(done); c.total.Store(total) }

// Add adds steps that are done.
func (c *Count) Add(steps int64) { c.done.Add(steps) }

// At returns how many of how many are done.
func (c *Count) At() (done, total int64) { return c.done.Load(), c.total.Load() }

// Share returns the share of the steps that is done.
func (c *Count) Share() float64 {
	done, total := c.At()
	if total <= 0 {
		return -1
	}
	return float64(done) / float64(total)
}

// Rate looks at the count and returns the steps a second of late, 0 where that is not known
// yet. It is to be called often.
func (c *Count) Rate(now time.Time) float64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	done := c.done.Load()
	if n := len(c.seen); n > 0 && done < c.seen[n-1].done {
		c.seen, c.began = nil, false // it counts something else
	}
	switch n := len(c.seen); {
	case n == 0:
		c.seen = []seen{{now, done}}
	case done > c.seen[n-1].done:
		// The first change is where measuring begins: neither what an earlier process did
		// has a part in the rate, nor the first step, in which drivers compile.
		if !c.began {
			c.seen, c.began = nil, true
		}
		c.seen = append(c.seen, seen{now, done})
	}
	for len(c.seen) > leastChanges && now.Sub(c.seen[1].at) > recent {
		c.seen = c.seen[1:]
	}
	first, last := c.seen[0], c.seen[len(c.seen)-1]
	if last.done == first.done {
		return 0
	}
	// Where the step at hand takes longer than the others did, it counts too.
	return float64(last.done-first.done) / max(last.at.Sub(first.at), now.Sub(first.at)-c.step(first, last)).Seconds()
}

// step returns how long a step took from one time to another.
func (c *Count) step(first, last seen) time.Duration {
	return time.Duration(float64(last.at.Sub(first.at)) / float64(last.done-first.done))
}

// Left returns how long what is left takes at a rate.
func (c *Count) Left(rate float64) time.Duration {
	done, total := c.At()
	if rate <= 0 || total < done {
		return 0
	}
	return time.Duration(min(float64(total-done)/rate, math.MaxInt32) * float64(time.Second))
}

// Clock writes a time as hours, minutes and seconds: 0:07, 1:02:03.
func Clock(d time.Duration) string {
	s := int64(d.Round(time.Second).Seconds())
	if s < 3600 {
		return fmt.Sprintf("%d:%02d", s/60, s%60)
	}
	return fmt.Sprintf("%d:%02d:%02d", s/3600, s/60%60, s%60)
}

// LeftPart is the part of a line that has the time left, or where that is not known the time
// since the start.
func (c *Count) LeftPart(rate float64, since time.Time, rank int) Part {
	passed := Clock(time.Since(since))
	if rate <= 0 {
		return Part{passed, "", rank}
	}
	rest := Clock(c.Left(rate)) + " left"
	return Part{passed + ", " + rest, rest, rank}
}

// A Progress is the status of work in steps: what is done at the moment, the how manieth of how
// many steps it is, and the time left. A nil Progress shows nothing.
type Progress struct {
	Count
	what  atomic.Pointer[string]
	form  func(done, total int64) string
	since time.Time
	end   func()
}

// Steps shows the progress of work until it ends. form says how many of how many are done,
// nil for "step 2 of 3".
func (d *Display) Steps(form func(done, total int64) string) *Progress {
	if d == nil {
		return nil
	}
	if form == nil {
		form = func(done, total int64) string { return fmt.Sprintf("step %d of %d", min(done+1, total), total) }
	}
	p := &Progress{form: form, since: time.Now()}
	p.end = d.Show(p.line)
	return p
}

// Doing shows what is done, until end is called.
func (d *Display) Doing(what string) (end func()) {
	p := d.Steps(nil)
	p.At(what, 0, 0)
	return p.End
}

// At says what is done at the moment, when done of total steps are behind it. With total 0
// the number of steps is unknown.
func (p *Progress) At(what string, done, total int64) {
	if p != nil {
		p.what.Store(&what)
		p.Set(done, total)
	}
}

// End takes the progress away.
func (p *Progress) End() {
	if p != nil {
		p.end()
	}
}

func (p *Progress) line() Line {
	what := p.what.Load()
	if what == nil {
		return Line{}
	}
	l := Line{Share: p.Share(), Parts: []Part{{Long: *what}}}
	if done, total := p.Count.At(); total > 0 {
		l.Parts = append(l.Parts, Part{p.form(done, total), "", 2})
	}
	l.Parts = append(l.Parts, p.LeftPart(p.Rate(time.Now()), p.since, 1))
	return l
}
