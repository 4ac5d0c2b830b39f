package network

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"
)

// A Trainer runs full-batch gradient descent of one network over one set of
// samples. It belongs to one goroutine.
type Trainer struct {
	layout  Layout
	samples int
	shards  []*shard
	parts   []Part
	tallies []Tally // one a shard: window iterations of one record a block
	records []Record
	reducer Reducer
	window  int
	done    int // iterations finished
	// unsettled says that iterations were begun after done and did not end well:
	// the parameters are those of no iteration.
	unsettled bool
}

// window is how many iterations a tally holds before it has to be read.
// Reading waits for the device, so a run that logs rarely reads rarely.
const window = 64

// NewTrainer loads samples as the plan says, one backend a shard. The backends
// stay the caller's, to be closed after the Trainer.
func NewTrainer(layout Layout, samples Samples, plan Plan, backends []Backend) (_ *Trainer, err error) {
	classes := layout.Sizes[len(layout.Sizes)-1]
	if err := samples.Check(classes); err != nil {
		return nil, err
	}
	if samples.Labels == nil {
		return nil, ErrNoLabels
	}
	if err := checkFeatures(layout, samples); err != nil {
		return nil, err
	}
	if err := plan.check(layout.Sizes, samples.Rows); err != nil {
		return nil, err
	}
	if len(backends) != len(plan.Shards) {
		return nil, fmt.Errorf("plan has %d shards for %d backends", len(plan.Shards), len(backends))
	}
	t := &Trainer{layout: layout, samples: samples.Rows, reducer: &HostReducer{}, window: window}
	defer func() {
		if err != nil {
			t.Close()
		}
	}()
	for i, p := range plan.Shards {
		b := backends[i]
		if err := b.Configure(p); err != nil {
			return nil, err
		}
		part := samples.Slice(p.First, p.Rows)
		s, err := newShard(b, layout, &part, p.BlockRows)
		if err != nil {
			return nil, err
		}
		t.shards = append(t.shards, s)
		t.parts = append(t.parts, Part{b, s.gradient})
		tally, err := b.NewTally(Blocks(s.input) * t.window)
		if err != nil {
			return nil, fmt.Errorf("tally: %w", err)
		}
		t.tallies = append(t.tallies, tally)
		t.records = append(t.records, make([]Record, max(0, Blocks(s.input)*t.window-len(t.records)))...)
	}
	return t, nil
}

func checkFeatures(layout Layout, s Samples) error {
	if s.Features != layout.Sizes[0] {
		return fmt.Errorf("the samples have %d features where the network has %d inputs", s.Features, layout.Sizes[0])
	}
	return nil
}

// Close frees what the trainer made on its backends.
func (t *Trainer) Close() error {
	var errs []error
	for i := len(t.tallies) - 1; i >= 0; i-- {
		errs = append(errs, t.tallies[i].Close())
	}
	for i := len(t.shards) - 1; i >= 0; i-- {
		errs = append(errs, t.shards[i].close())
	}
	t.shards, t.tallies, t.parts = nil, nil, nil
	return errors.Join(errs...)
}

// ErrUnsettled reports parameters that stand after no known iteration, because a
// descent failed on its way: at a backend's error, or at numbers that are not
// finite. New parameters settle them.
var ErrUnsettled = errors.New("the parameters are those of no finished iteration: the descent failed")

var errClosed = errors.New("the trainer is closed")

// Layout returns the layout of the parameters.
func (t *Trainer) Layout() Layout { return t.layout }

// SetParameters sets θ, as it is after done iterations, on every shard, rounded
// to its precision.
func (t *Trainer) SetParameters(theta []float64, done int) error {
	if len(t.shards) == 0 {
		return errClosed
	}
	if len(theta) != t.layout.Len {
		return fmt.Errorf("%d parameters given where the layout has %d", len(theta), t.layout.Len)
	}
	if done < 0 {
		return fmt.Errorf("%d iterations done: 0 or more are expected", done)
	}
	for i, s := range t.shards {
		// A new tally, for the old one may remember an iteration that was not finite.
		tally, err := s.backend.NewTally(Blocks(s.input) * t.window)
		if err != nil {
			return fmt.Errorf("set parameters: %w", err)
		}
		old := t.tallies[i]
		t.tallies[i] = tally
		if err := errors.Join(old.Close(), s.backend.Write(s.theta, 0, theta)); err != nil {
			return fmt.Errorf("set parameters: %w", err)
		}
	}
	t.done, t.unsettled = done, false
	return nil
}

// Parameters returns θ of the first shard, as it is after iteration Done(), or
// [ErrUnsettled]; all shards' are equal where their precision is.
func (t *Trainer) Parameters() ([]float64, error) {
	if len(t.shards) == 0 {
		return nil, errClosed
	}
	if t.unsettled {
		return nil, ErrUnsettled
	}
	theta := make([]float64, t.layout.Len)
	if err := t.shards[0].backend.Read(t.shards[0].theta, 0, theta); err != nil {
		return nil, fmt.Errorf("read parameters: %w", err)
	}
	return theta, nil
}

// Evaluate returns the mean loss and the number of correct rows under the
// present parameters and writes the gradient to gradient, which has the
// layout's length. Parameters stay as they are.
func (t *Trainer) Evaluate(gradient []float64) (loss float64, correct int, err error) {
	if len(t.shards) == 0 {
		return 0, 0, errClosed
	}
	if len(gradient) != t.layout.Len {
		return 0, 0, fmt.Errorf("gradient of %d elements where the layout has %d", len(gradient), t.layout.Len)
	}
	if err := t.enqueue(0); err != nil {
		return 0, 0, err
	}
	sums, _, err := t.read()
	if err != nil {
		return 0, 0, err
	}
	sum := sums[0]
	if err := t.parts[0].Backend.Read(t.parts[0].Gradient, 0, gradient); err != nil {
		return 0, 0, fmt.Errorf("read gradient: %w", err)
	}
	return sum.Loss / float64(t.samples), sum.Correct, nil
}

// enqueue starts loss and gradient on every shard, to be recorded in a slot of
// the tallies' window, and the sum of the gradients.
func (t *Trainer) enqueue(slot int) error {
	for i, s := range t.shards {
		if err := s.evaluate(t.samples, t.tallies[i], slot*Blocks(s.input)); err != nil {
			return fmt.Errorf("shard %d: %w", i, err)
		}
	}
	return t.reducer.Reduce(t.parts)
}

// update moves every shard's parameters along its gradient.
func (t *Trainer) update(alpha float64, iteration int) error {
	for i, s := range t.shards {
		if err := s.backend.Update(s.theta, s.gradient, alpha, iteration, t.tallies[i]); err != nil {
			return fmt.Errorf("update of shard %d: %w", i, err)
		}
	}
	return nil
}

// read waits for all work and returns what all shards recorded in each slot of
// the tallies' window, and the first iteration that was not finite.
func (t *Trainer) read() (sums []Record, nonFinite int, err error) {
	sums = make([]Record, t.window)
	for i, s := range t.shards {
		n := Blocks(s.input)
		records := t.records[:n*t.window]
		bad, err := s.backend.ReadTally(t.tallies[i], 0, records)
		if err != nil {
			return nil, 0, fmt.Errorf("shard %d: %w", i, err)
		}
		if bad > 0 && (nonFinite == 0 || bad < nonFinite) {
			nonFinite = bad
		}
		for slot := range sums {
			r := addRecords(records[slot*n : (slot+1)*n])
			sums[slot].Loss += r.Loss
			sums[slot].Correct += r.Correct
		}
	}
	return sums, nonFinite, nil
}

// Descent says how to descend.
type Descent struct {
	Iterations   int     // the last iteration's number
	LearningRate float64 // α
	// Every is how often results are read and reported: at each multiple of it
	// and at the last iteration. 0 reports as rarely as the trainer can.
	Every int
}

// An Iteration is what is known of one iteration. Loss and correct rows are of
// its forward pass, before its update.
type Iteration struct {
	Number  int
	Loss    float64 // mean over the samples, in nats
	Correct int     // of the samples
	// Elapsed is the time from the end of the iteration before to the end of
	// this one; for the first, from the start of the descent.
	Elapsed time.Duration
}

// NonFiniteError reports a run that left the finite numbers.
type NonFiniteError struct {
	Iteration    int
	LearningRate float64
}

func (e *NonFiniteError) Error() string {
	return fmt.Sprintf("iteration %d: loss, gradient or parameters are not finite: lower the learning rate (now %g) or scale the data",
		e.Iteration, e.LearningRate)
}

// Descend runs iterations Done()+1 … d.Iterations of θ −= α·g and calls report
// for each of them in order, some time after it ended: at the latest when the
// results are read (see [Descent]). It stops at the end of the iteration at
// hand when ctx is done and returns its error, and at a [NonFiniteError]. At
// most two iterations are on their way at any time.
func (t *Trainer) Descend(ctx context.Context, d Descent, report func(Iteration) error) error {
	if len(t.shards) == 0 {
		return errClosed
	}
	if t.unsettled {
		return ErrUnsettled
	}
	if d.Iterations < t.done {
		return fmt.Errorf("%d iterations asked for where %d are done", d.Iterations, t.done)
	}
	if d.LearningRate <= 0 || math.IsInf(d.LearningRate, 0) || math.IsNaN(d.LearningRate) {
		return fmt.Errorf("learning rate %g: a positive number is expected", d.LearningRate)
	}
	var (
		first   = t.done + 1 // the oldest iteration not yet reported
		ended   = make([]time.Time, 0, t.window+1)
		pending []Marker
		start   = time.Now()
	)
	// wait blocks until the markers of all but the newest keep iterations are
	// reached.
	wait := func(keep int) error {
		for len(pending) > keep*len(t.shards) {
			var last time.Time
			for range t.shards {
				at, err := pending[0].Wait()
				pending = pending[1:]
				if err != nil {
					return err
				}
				if at.After(last) {
					last = at
				}
			}
			ended = append(ended, last)
		}
		return nil
	}
	for i := first; i <= d.Iterations; i++ {
		if i == first && ctx.Err() != nil {
			return ctx.Err() // before any work of this window
		}
		t.unsettled = true
		if err := t.enqueue((i - 1) % t.window); err != nil {
			return fmt.Errorf("iteration %d: %w", i, err)
		}
		if err := t.update(d.LearningRate, i); err != nil {
			return fmt.Errorf("iteration %d: %w", i, err)
		}
		for _, s := range t.shards {
			m, err := s.backend.Mark()
			if err != nil {
				return fmt.Errorf("iteration %d: %w", i, err)
			}
			pending = append(pending, m)
		}
		stop := ctx.Err()
		due := i == d.Iterations || stop != nil || d.Every > 0 && i%d.Every == 0 || i-first+1 == t.window
		keep := 1
		if due {
			keep = 0
		}
		if err := wait(keep); err != nil {
			return fmt.Errorf("iteration %d: %w", i, err)
		}
		if !due {
			continue
		}
		// θ is that of iteration i, whatever becomes of the report.
		t.done, t.unsettled = i, false
		if err := t.report(d, first, i, start, ended, report); err != nil {
			return err
		}
		first, start, ended = i+1, ended[len(ended)-1], ended[:0]
		if stop != nil {
			return stop
		}
	}
	return nil
}

// report reads iterations first … last, which ended at the given times, and
// passes them on.
func (t *Trainer) report(d Descent, first, last int, start time.Time, ended []time.Time, report func(Iteration) error) error {
	sums, nonFinite, err := t.read()
	if err != nil {
		return fmt.Errorf("iteration %d: %w", last, err)
	}
	for i := first; i <= last; i++ {
		sum := sums[(i-1)%t.window]
		if nonFinite > 0 && nonFinite <= i || math.IsNaN(sum.Loss) || math.IsInf(sum.Loss, 0) {
			t.unsettled = true
			return &NonFiniteError{Iteration: i, LearningRate: d.LearningRate}
		}
		at := ended[i-first]
		if err := report(Iteration{i, sum.Loss / float64(t.samples), sum.Correct, at.Sub(start)}); err != nil {
			return err
		}
		start = at
	}
	return nil
}

// Done returns the number of the iteration after which the parameters stand.
func (t *Trainer) Done() int { return t.done }

// Settled reports whether the parameters are those after iteration Done(); see
// [ErrUnsettled].
func (t *Trainer) Settled() bool { return !t.unsettled }

// Score returns the mean loss and the share of correct rows of other samples
// under the present parameters. The samples are loaded for the call; see
// [Trainer.Scorer] for more than one.
func (t *Trainer) Score(samples Samples) (loss, accuracy float64, err error) {
	if len(t.shards) == 0 {
		return 0, 0, errClosed
	}
	return t.shards[0].scoreSamples(samples)
}

// A Scorer holds samples on a trainer's first backend, to be scored again and
// again as the parameters change.
type Scorer struct {
	trainer *Trainer
	input   Input
}

// Scorer loads samples. The Scorer is to be closed before the trainer.
func (t *Trainer) Scorer(samples Samples) (*Scorer, error) {
	if len(t.shards) == 0 {
		return nil, errClosed
	}
	if samples.Labels == nil {
		return nil, ErrNoLabels
	}
	x, err := t.shards[0].load(samples)
	if err != nil {
		return nil, err
	}
	return &Scorer{t, x}, nil
}

// Score returns the mean loss and the share of correct rows under the trainer's
// present parameters.
func (s *Scorer) Score() (loss, accuracy float64, err error) {
	if len(s.trainer.shards) == 0 {
		return 0, 0, errClosed
	}
	return s.trainer.shards[0].scoreInput(s.input)
}

// Close frees the samples.
func (s *Scorer) Close() error { return s.input.Close() }

// ScoreTraining returns the mean loss and the share of correct rows of the
// training samples under the present parameters.
func (t *Trainer) ScoreTraining() (loss, accuracy float64, err error) {
	if len(t.shards) == 0 {
		return 0, 0, errClosed
	}
	var sum Record
	for _, s := range t.shards {
		r, err := s.score(s.input)
		if err != nil {
			return 0, 0, err
		}
		sum.Loss += r.Loss
		sum.Correct += r.Correct
	}
	m := float64(t.samples)
	return sum.Loss / m, float64(sum.Correct) / m, nil
}
