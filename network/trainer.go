package network

import (
	"context"
	"errors"
	"fmt"
	"math"
	"reflect"
	"time"

	"clgrad/network/mapped"
)

// A Trainer runs gradient descent of one network over one set of samples. It belongs
// to one goroutine; each of its shards computes on a goroutine of its own.
type Trainer struct {
	layout  Layout
	plan    Plan
	workers []worker
	shards  []*shard
	reducer Reducer // nil where there is one shard and nothing to join
	done    int     // iterations finished
	// invalid is why the parameters are those of no finished iteration, nil where
	// they are those after iteration done.
	invalid error
	state   state
	// failed is what went wrong behind the last exchange with the other processes: the
	// next one tells them.
	failed error
	// roundoff is the unit roundoff of the shard with the largest.
	roundoff float64
	seconds  float64 // of an iteration in the last window; 0 at first
	epoch    int     // whose order is known
	order    []int
	host     struct { // memory that exchanges go through
		parts      [][]float64
		sum, theta []float64
	}
}

// NewTrainer loads samples as the plan says and in its order, shard i on backends[i]. The
// error says so where the order has another digest than the plan. The backends
// stay the caller's, to be closed after the Trainer. With a reducer that joins this
// process with others, backends[i] is nil where another process has shard i; nil
// joins nothing. samples may then be just the rows of the shards that have a backend, as
// [Plan.Part] returns them of the slice that these shards are together.
func NewTrainer(layout Layout, samples Samples, plan Plan, backends []Backend, reducer Reducer) (_ *Trainer, err error) {
	if err := samples.Check(layout.Sizes[len(layout.Sizes)-1]); err != nil {
		return nil, err
	}
	if samples.Labels == nil {
		return nil, ErrNoLabels
	}
	if err := checkFeatures(layout, samples); err != nil {
		return nil, err
	}
	parts, err := plan.parts(samples, layout.Sizes, backends, reducer != nil)
	if err != nil {
		return nil, err
	}
	var own []int // shards of this process
	roundoff := 0.
	for i, b := range backends {
		if b == nil && reducer == nil {
			return nil, fmt.Errorf("plan's shard %d has no backend", i)
		}
		for j := range i {
			if b != nil && reflect.ValueOf(b).Comparable() && backends[j] == b {
				return nil, fmt.Errorf("plan's shards %d and %d have one backend: each needs its own", j, i)
			}
		}
		if b != nil {
			own = append(own, i)
			roundoff = max(roundoff, b.Info().Roundoff)
		}
	}
	if len(own) == 0 {
		return nil, errors.New("no shard of the plan has a backend here")
	}
	if reducer == nil && len(own) > 1 {
		reducer = local{}
	}
	if reducer != nil {
		if from, end := reducer.Slice(layout.Len); from < 0 || from > end || end > layout.Len || from%Align != 0 || end%Align != 0 {
			return nil, fmt.Errorf("the reducer gives this process elements %d to %d of %d: multiples of %d within them are expected", from, end, layout.Len, Align)
		}
	}
	t := &Trainer{layout: layout, plan: plan, reducer: reducer, roundoff: roundoff, epoch: -1, invalid: ErrNoParameters}
	for range own {
		t.workers = append(t.workers, newWorker(len(own) > 1))
	}
	t.shards = make([]*shard, len(own))
	err = t.each(func(i int, _ *shard) error {
		p := plan.Shards[own[i]]
		exec, err := backends[own[i]].Prepare(layout.Sizes, p)
		if err != nil {
			return err
		}
		s, err := newShard(exec, layout, p.BlockRows, p.ScoreRows)
		if err != nil {
			return err
		}
		t.shards[i] = s
		return s.load(parts(own[i]), plan, p)
	})
	if err == nil {
		err = mapped.CheckUnchanged(samples.Bytes) // while it was read
	}
	if err != nil {
		return nil, errors.Join(err, t.Close())
	}
	return t, nil
}

// parts checks the plan and returns the function that returns the rows of a shard. samples
// are all rows or, with partly, perhaps those of the shards with a backend.
func (p Plan) parts(samples Samples, sizes []int, backends []Backend, partly bool) (func(shard int) Samples, error) {
	rows := samples.Rows
	if partly {
		rows = p.Rows
	}
	if err := p.check(sizes, rows); err != nil {
		return nil, err
	}
	if len(backends) != len(p.Shards) {
		return nil, fmt.Errorf("plan has %d shards for %d backends", len(p.Shards), len(backends))
	}
	among := ShardPlan{} // the rows that the shards with a backend are together
	for i, s := range p.Shards {
		if backends[i] != nil && among.Rows == 0 {
			among.First = s.First
		}
		if backends[i] != nil {
			among.Rows = s.First + s.Rows - among.First
		}
	}
	if n := p.partRows(among); n == samples.Rows && n < p.Rows {
		return func(i int) Samples { return samples.gather(nil, p.ranges(p.Shards[i], among)) }, nil
	}
	if err := p.check(sizes, samples.Rows); err != nil {
		return nil, err
	}
	order, err := p.permutation(samples)
	among = ShardPlan{Rows: p.BatchRows}
	return func(i int) Samples { return samples.gather(order, p.ranges(p.Shards[i], among)) }, err
}

func checkFeatures(layout Layout, s Samples) error {
	if s.Features != layout.Sizes[0] {
		return fmt.Errorf("the samples have %d features where the network has %d inputs", s.Features, layout.Sizes[0])
	}
	return nil
}

// Close frees what the trainer made on its backends. Closing twice does nothing.
func (t *Trainer) Close() error {
	err := t.each(func(_ int, s *shard) error {
		if s == nil {
			return nil
		}
		return s.close()
	})
	for _, w := range t.workers {
		close(w)
	}
	t.workers, t.shards = nil, nil
	return err
}

// ErrUnsettled reports parameters that stand after no known iteration, because a
// descent failed on its way: at a backend's error, or at numbers that are not
// finite. New parameters settle them.
var ErrUnsettled = errors.New("the parameters are those of no finished iteration: the descent failed")

// ErrNoParameters reports a trainer whose parameters were never set.
var ErrNoParameters = errors.New("the network has no parameters yet: set initial ones")

// ready reports why the parameters cannot be used.
func (t *Trainer) ready() error {
	if t.shards == nil {
		return fmt.Errorf("trainer: %w", ErrClosed)
	}
	return t.invalid
}

// first runs f on the first shard's own goroutine.
func (t *Trainer) first(f func(*shard) error) error {
	if err := t.ready(); err != nil {
		return err
	}
	return t.workers[0].start(func() error { return f(t.shards[0]) })()
}

// Layout returns the layout of the parameters.
func (t *Trainer) Layout() Layout { return t.layout }

// SetParameters sets θ, as it is after done iterations, on every shard, rounded
// to its precision. The state of an optimizer starts at 0; see [Trainer.SetState].
func (t *Trainer) SetParameters(theta []float64, done int) error {
	if t.shards == nil {
		return t.ready()
	}
	if len(theta) != t.layout.Len {
		return fmt.Errorf("%d parameters given where the layout has %d", len(theta), t.layout.Len)
	}
	if done < 0 {
		return fmt.Errorf("%d iterations done: 0 or more are expected", done)
	}
	t.invalid, t.failed = ErrUnsettled, nil // while shards may differ
	if err := t.resetState("", 0); err != nil {
		return err
	}
	err := t.each(func(_ int, s *shard) error {
		// The old recorder may remember an iteration that was not finite.
		if err := s.newRecorder(); err != nil {
			return err
		}
		return s.setTheta(theta)
	})
	if err == nil {
		t.done, t.invalid = done, nil
	}
	return err
}

// Parameters returns θ of the first shard, as it is after iteration Done(), or
// [ErrUnsettled]; all shards' are equal where their precision is.
func (t *Trainer) Parameters() (theta []float64, err error) {
	err = t.first(func(s *shard) error {
		theta = make([]float64, t.layout.Len)
		return s.exec.Read(s.theta, 0, theta)
	})
	if err != nil {
		return nil, fmt.Errorf("read parameters: %w", err)
	}
	return theta, nil
}

// Done returns the number of the iteration after which the parameters stand.
func (t *Trainer) Done() int { return t.done }

// Settled reports whether the parameters are those after iteration Done(); see
// [ErrUnsettled].
func (t *Trainer) Settled() bool { return t.invalid == nil }

// Evaluate returns the mean loss and the number of correct rows of all samples
// under the present parameters and writes the gradient to gradient, which has the
// layout's length. Parameters stay as they are. With a reducer every process has to
// call it, and all get the same.
func (t *Trainer) Evaluate(gradient []float64) (loss float64, correct int, err error) {
	if err := t.ready(); err != nil {
		return 0, 0, err
	}
	if len(gradient) != t.layout.Len {
		return 0, 0, fmt.Errorf("gradient of %d elements where the layout has %d", len(gradient), t.layout.Len)
	}
	sums, parts := make([]Record, len(t.shards)), make([][]float64, len(t.shards))
	err = t.each(func(i int, s *shard) (err error) {
		n := s.batches[len(s.batches)-1]
		r, err := s.exec.NewRecorder(n)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, r.Close()) }()
		if err := s.evaluate(0, n, t.plan.Rows, r, 0); err != nil {
			return err
		}
		records := make([]Record, n)
		if _, err := s.exec.ReadRecords(r, 0, records); err != nil {
			return err
		}
		sums[i], parts[i] = addRecords(records), make([]float64, t.layout.Len)
		return s.exec.Read(s.gradient, 0, parts[i])
	})
	sum, err := t.joined(addRecords(sums), err)
	if err == nil {
		joined := t.reducerOrLocal()
		from, end := joined.Slice(t.layout.Len)
		if err = joined.Sum(parts, nil, gradient[from:end]); err == nil {
			err = joined.Gather(gradient, nil)
		}
	}
	if err != nil {
		return 0, 0, fmt.Errorf("evaluate: %w", err)
	}
	return sum.Loss / float64(t.plan.Rows), sum.Correct, nil
}

// joined adds what the shards of all processes recorded. failed is as of [Reducer].
func (t *Trainer) joined(own Record, failed error) (Record, error) {
	s, err := t.reducerOrLocal().Join(Status{Records: []Record{own}, Next: 1}, failed)
	if err != nil {
		return Record{}, err
	}
	return addRecords(s.Records), nil
}

// reducerOrLocal returns the reducer, that of a single process where there is none.
func (t *Trainer) reducerOrLocal() Reducer {
	if t.reducer == nil {
		return local{}
	}
	return t.reducer
}

// batchOf returns the batch of an iteration.
func (t *Trainer) batchOf(iteration int) int {
	n := t.plan.Batches()
	if epoch := (iteration - 1) / n; epoch != t.epoch {
		t.epoch, t.order = epoch, t.plan.order(epoch)
	}
	return t.order[(iteration-1)%n]
}

// expectBatches is how many batches streamed input is told of beforehand.
const expectBatches = 4

// following returns the batches after that of an iteration, to the end of its epoch at most.
func (t *Trainer) following(iteration int) []int {
	at := (iteration - 1) % len(t.order)
	return t.order[at+1 : min(at+1+expectBatches, len(t.order))]
}

// step enqueues an iteration, to be recorded in a slot of the window: loss and
// gradient on every shard, the sum of the gradients, and the update.
func (t *Trainer) step(u Update, b, slot int) error {
	m := t.plan.batchLen(b)
	next := t.following(u.Iteration)
	if t.reducer == nil {
		return t.each(func(_ int, s *shard) error {
			s.expect(b, next)
			return s.step(u, b, m, slot, t.state.vectors(0, t.layout.Len))
		})
	}
	h := &t.host
	if h.theta == nil {
		for range t.shards {
			h.parts = append(h.parts, make([]float64, t.layout.Len))
		}
		h.sum, h.theta = make([]float64, t.layout.Len), make([]float64, t.layout.Len)
	}
	from, end := t.reducer.Slice(t.layout.Len)
	failed := t.failed
	if failed == nil {
		failed = t.each(func(i int, s *shard) error {
			s.expect(b, next)
			if err := s.batch(b, m, slot); err != nil {
				return err
			}
			return s.exec.Read(s.gradient, 0, h.parts[i])
		})
	}
	if err := t.reducer.Sum(h.parts, failed, h.sum[from:end]); err != nil {
		return notUpdated{err}
	}
	// The first shard updates what this process owns, and all take over the result.
	failed = nil
	if from < end {
		failed = t.workers[0].start(func() error {
			s := t.shards[0]
			if err := s.exec.Write(s.gradient, from, h.sum[from:end]); err != nil {
				return err
			}
			theta, g := Vector{s.theta, from, end - from}, Vector{s.gradient, from, end - from}
			if err := s.exec.Update(u, theta, g, t.state.vectors(from, end-from), s.recorder); err != nil {
				return err
			}
			return s.exec.Read(s.theta, from, h.theta[from:end])
		})()
	}
	if err := t.reducer.Gather(h.theta, failed); err != nil {
		return err
	}
	t.failed = t.each(func(i int, s *shard) error {
		s.stale = true
		if i == 0 && end-from == t.layout.Len {
			return nil // it has them all
		}
		return s.exec.Write(s.theta, 0, h.theta)
	})
	return nil
}

// notUpdated is why an iteration failed before it changed any parameter.
type notUpdated struct{ error }

func (e notUpdated) Unwrap() error { return e.error }

// read waits for all work and returns the records of a window of batches.
func (t *Trainer) read(batches []int) (s Status, err error) {
	if t.failed != nil {
		return s, t.failed
	}
	all := make([]Status, len(t.shards))
	err = t.each(func(i int, s *shard) (err error) {
		all[i].Records, all[i].NonFinite, err = s.read(batches)
		return err
	})
	if err != nil {
		return s, err
	}
	s = all[0]
	for _, other := range all[1:] {
		for i, r := range other.Records {
			s.Records[i] = addRecords([]Record{s.Records[i], r})
		}
		if n := other.NonFinite; n > 0 && (s.NonFinite == 0 || n < s.NonFinite) {
			s.NonFinite = n
		}
	}
	return s, nil
}

// Descent says how to descend.
type Descent struct {
	Iterations   int      // the last iteration's number
	Rule         Rule     // without an Optimizer it is GD
	LearningRate float64  // α
	Schedule     Schedule // of the learning rate
	// Every has results read, and reported, at each multiple of it. 0 leaves that to
	// the trainer.
	Every int
}

// An Iteration is what is known of one iteration. Loss and correct rows are of
// its forward pass, before its update.
type Iteration struct {
	Number  int
	Loss    float64 // mean over the batch's rows, in nats
	Correct int     // of the batch's rows
	Rows    int     // of the batch
	// Elapsed is the time of this iteration: the mean over all that were waited for
	// together, from the end of those before.
	Elapsed time.Duration
}

// NonFiniteError reports a run that left the finite numbers.
type NonFiniteError struct {
	Iteration    int
	LearningRate float64 // of the Descent, before its schedule
}

func (e *NonFiniteError) Error() string {
	return fmt.Sprintf("iteration %d: loss, gradient or parameters are not finite: lower the learning rate (now %g) or scale the data",
		e.Iteration, e.LearningRate)
}

// windowTime bounds the work that is enqueued before it is waited for: long enough
// that waiting costs nothing, short enough to stop soon and to show progress. (A wait
// behind every iteration cost 8 to 30 % at small batches, with PoCL.)
const windowTime = 50 * time.Millisecond

// windowLen returns how many iterations to enqueue next, at most left. Several devices wait
// for each other in every iteration anyway, and where one fails, the iterations before it
// are then known.
func (t *Trainer) windowLen(left int) int {
	if t.seconds == 0 || t.reducer == Reducer(local{}) {
		return 1
	}
	return max(1, min(left, window, int(windowTime.Seconds()/t.seconds)))
}

// check reports what is out of its range.
func (d Descent) check() error {
	if !(d.LearningRate > 0) || math.IsInf(d.LearningRate, 0) {
		return fmt.Errorf("learning rate %g: a positive number is expected", d.LearningRate)
	}
	if err := d.Rule.Check(); err != nil {
		return err
	}
	return d.Schedule.Check(d.Iterations)
}

// Descend runs iterations Done()+1 … d.Iterations of the rule and calls report, if
// there is one, for each of them in order, some time after it ended. It stops after
// the iteration that was begun last when ctx is done and returns its error, and at a
// [NonFiniteError].
//
// [LBFGS] is for a plan with all rows in one batch, in one process, and a constant
// learning rate. An iteration is then one of [LBFGSOptions.Step], and what it reports is
// of the parameters before its step, weight decay apart. It ends with [ErrConverged] where there
// is no lower loss to be found. An iteration that is under way when ctx is done is given up;
// parameters and state are those of the iteration before.
func (t *Trainer) Descend(ctx context.Context, d Descent, report func(Iteration) error) error {
	if err := t.ready(); err != nil {
		return err
	}
	if d.Iterations < t.done {
		return fmt.Errorf("%d iterations asked for where %d are done", d.Iterations, t.done)
	}
	if d.Rule.Optimizer == "" {
		d.Rule.Optimizer = GD
	}
	if err := d.check(); err != nil {
		return err
	}
	if d.Rule.Optimizer == LBFGS {
		if err := t.checkLBFGS(d); err != nil {
			return err
		}
	}
	if t.state.optimizer != d.Rule.Optimizer {
		if err := t.resetState(d.Rule.Optimizer, t.done); err != nil {
			if t.reducer != nil && t.done < d.Iterations {
				t.reducer.Sum(nil, err, nil) // nobody is left waiting for this process
			}
			return err
		}
	}
	if report == nil {
		report = func(Iteration) error { return nil }
	}
	if d.Rule.Optimizer == LBFGS {
		return t.descendLBFGS(ctx, d, report)
	}
	joined := t.reducerOrLocal()
	next := 1 // iterations of the next window: with other processes, all have to take as many
	if t.reducer == nil {
		next = t.windowLen(window)
	}
	start := time.Now()
	for t.done < d.Iterations {
		if err := ctx.Err(); err != nil && t.reducer == nil {
			return err // before any work of this window
		}
		n := min(next, d.Iterations-t.done)
		if d.Every > 0 {
			n = min(n, d.Every-t.done%d.Every)
		}
		var batches []int
		first := t.done + 1
		t.invalid = ErrUnsettled
		for i := first; i < first+n; i++ {
			if t.reducer == nil && i > first && ctx.Err() != nil {
				break
			}
			b := t.batchOf(i)
			u := Update{Rule: d.Rule, LearningRate: d.LearningRate * d.Schedule.Share(i), Step: i - t.state.since, Iteration: i}
			if err := t.step(u, b, len(batches)); err != nil {
				if i == first && errors.As(err, new(notUpdated)) {
					t.invalid = nil
				}
				return fmt.Errorf("iteration %d: %w", i, err)
			}
			batches = append(batches, b)
		}
		last := first + len(batches) - 1
		status, err := t.read(batches)
		now := time.Now()
		t.seconds = now.Sub(start).Seconds() / float64(len(batches))
		stop := ctx.Err()
		status.Stop, status.Next = stop != nil, t.windowLen(window)
		if status, err = joined.Join(status, err); err != nil {
			return fmt.Errorf("iteration %d: %w", last, err)
		}
		next = status.Next
		// θ is that of the last iteration, whatever becomes of the report.
		t.done, t.invalid = last, nil
		if err := t.report(d, first, batches, status, now.Sub(start), report); err != nil {
			if t.reducer != nil && t.done < d.Iterations && !status.Stop { // else they have ended too
				t.reducer.Sum(nil, err, nil) // nobody is left waiting for this process
			}
			return err
		}
		start = now
		if status.Stop {
			if stop == nil {
				stop = ErrStopped
			}
			return stop
		}
	}
	return nil
}

// ErrStopped reports a descent that another process ended.
var ErrStopped = errors.New("stopped by another process")

// report passes on the iterations from first on, which took the given time together.
func (t *Trainer) report(d Descent, first int, batches []int, s Status, took time.Duration, report func(Iteration) error) error {
	for i, r := range s.Records {
		number, rows := first+i, t.plan.batchLen(batches[i])
		if s.NonFinite > 0 && s.NonFinite <= number || math.IsNaN(r.Loss) || math.IsInf(r.Loss, 0) {
			t.invalid = ErrUnsettled
			return &NonFiniteError{Iteration: number, LearningRate: d.LearningRate}
		}
		if err := report(Iteration{number, r.Loss / float64(rows), r.Correct, rows, took / time.Duration(len(batches))}); err != nil {
			return err
		}
	}
	return nil
}

// Score returns the mean loss and the share of correct rows of other samples
// under the present parameters. The samples are loaded for the call; see
// [Trainer.Scorer] for more than one.
func (t *Trainer) Score(samples Samples) (loss, accuracy float64, err error) {
	err = t.first(func(s *shard) (err error) {
		loss, accuracy, err = s.scoreSamples(samples)
		return err
	})
	return loss, accuracy, err
}

// Logits returns the outputs before softmax under the present parameters, as
// [Model.Logits] does.
func (t *Trainer) Logits(samples Samples) (logits []float64, err error) {
	err = t.first(func(s *shard) (err error) {
		logits, err = s.logits(samples)
		return err
	})
	return logits, err
}

// A Scorer holds samples on a trainer's first backend, to be scored again and
// again as the parameters change.
type Scorer struct {
	trainer *Trainer
	input   Input
	rows    int
}

// Scorer loads samples. The Scorer is to be closed before the trainer.
func (t *Trainer) Scorer(samples Samples) (*Scorer, error) {
	if samples.Labels == nil {
		return nil, ErrNoLabels
	}
	s := &Scorer{trainer: t, rows: samples.Rows}
	err := t.first(func(shard *shard) (err error) {
		s.input, err = shard.loadToScore(samples)
		return err
	})
	if err != nil {
		return nil, err
	}
	return s, nil
}

// Score returns the mean loss and the share of correct rows under the trainer's
// present parameters.
func (s *Scorer) Score() (loss, accuracy float64, err error) {
	err = s.trainer.first(func(shard *shard) error {
		sum, err := shard.score(s.input)
		loss, accuracy = sum.mean(s.rows)
		return err
	})
	return loss, accuracy, err
}

// Close frees the samples.
func (s *Scorer) Close() error {
	if s.trainer.shards == nil {
		return nil // freed with the trainer
	}
	return s.trainer.workers[0].start(s.input.Close)()
}

// ScoreTraining returns the mean loss and the share of correct rows of the
// training samples under the present parameters. With a reducer every process has to
// call it, and all get the same.
func (t *Trainer) ScoreTraining() (loss, accuracy float64, err error) {
	if err := t.ready(); err != nil {
		return 0, 0, err
	}
	sums := make([]Record, len(t.shards))
	err = t.each(func(i int, s *shard) (err error) {
		sums[i], err = s.score(s.input)
		return err
	})
	sum, err := t.joined(addRecords(sums), err)
	loss, accuracy = sum.mean(t.plan.Rows)
	return loss, accuracy, err
}
