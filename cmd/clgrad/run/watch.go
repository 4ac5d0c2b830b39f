package run

import (
	"math"
	"time"

	"clgrad/cmd/clgrad/report"
	"clgrad/cmd/clgrad/text"
	"clgrad/network"
)

// A Watcher follows a run from outside. The goroutine of the run calls its methods, so each
// has to return at once: what takes time is done elsewhere.
type Watcher interface {
	// Begin is called once, before the first iteration of this process.
	Begin(Beginning)
	// Iteration is called behind every iteration, in bursts: a network may be small enough for
	// 20000 in a second.
	Iteration(i network.Iteration, accuracy float64)
	Line(Line)
	// WantsPredictions reports whether somebody looks at predictions now.
	WantsPredictions() bool
	// Predictions has the logits of the Beginning's Samples after an iteration.
	Predictions(iteration int, logits []float64)
	// Scoring says that the iterations have ended and the final parameters are scored.
	Scoring()
	// Scored has what the scores are.
	Scored(Summary)
}

// A Beginning is what is known of a run before its first iteration.
type Beginning struct {
	Title    string
	Settings []report.Figure // what is trained, on what and how
	Report   string          // the file that the report will be, "" for none

	Iterations    int     // of the whole run, where nothing ends it before
	EarlyStopping bool    // may end it before
	Batches       int     // iterations of an epoch
	ByEpoch       bool    // the run is spoken of in epochs
	Flops         float64 // operations for each row of an iteration, 0 where they are not known

	// What iterations were done before, by an earlier process: the loss and the training
	// accuracy of each, their lines, and their time in seconds.
	Losses, Accuracies []float64
	Lines              []Line
	Seconds            float64

	SamplesOf  string          // what the samples are of, as in "test set"
	Samples    network.Samples // whose predictions are shown
	Rows       []int           // their numbers in the set, counted from 1
	Shape      []int           // of a sample, see dataset.Set
	Features   []string        // the names of the columns, nil where they have none
	Offsets    []float64       // to be added to the features, nil for none
	Classes    int
	ClassNames []string // nil where they are 0, 1, 2, …
}

const (
	watchedSamples = 12
	// predictionTime is how often at most the samples are predicted.
	predictionTime = time.Second
)

// A watched is a run's side of its Watcher. A nil one is of a run that nobody follows.
type watched struct {
	Watcher
	samples network.Samples
	due     time.Time // when predictions were due last, whether somebody looked at them or not
	at      int       // the iteration of the last predictions, -1 before
	failed  bool      // there are none any more
}

// watch begins to tell the Watcher of a run, if there is one.
func watch(r *run) *watched {
	if r.opts.Watch == nil {
		return nil
	}
	of, samples := heldOutRows(r.set)
	n := min(watchedSamples, samples.Rows)
	rows, numbers := make([]int32, n), make([]int, n)
	for i := range n {
		rows[i] = int32(i * samples.Rows / n)
		numbers[i] = int(rows[i]) + 1
	}
	b := Beginning{
		Title: r.title(time.Now()), Settings: r.settings(),
		Iterations: r.pace.total, EarlyStopping: r.EarlyStopping, Batches: r.pace.batches, ByEpoch: r.pace.byEpoch(),
		Losses: r.loss, Accuracies: r.accuracy, Lines: r.lines, Seconds: r.seconds,
		SamplesOf: of, Samples: samples.Select(rows).Flat(), Rows: numbers, Shape: r.set.Shape, Classes: r.classes(), ClassNames: r.set.ClassNames,
	}
	if r.Rule().Optimizer != network.LBFGS { // which evaluates as often as it needs to
		b.Flops = r.layout.Flops(1)
	}
	if r.dir != nil {
		b.Report = r.dir.name(report.FileName)
	}
	if c := r.set.Columns; c != nil {
		b.Features, b.Offsets = c.FeatureNames(), c.Offsets
	}
	r.opts.Watch.Begin(b)
	return &watched{Watcher: r.opts.Watch, samples: b.Samples, at: -1}
}

// untilPrediction returns about how many iterations are left until predictions are due, where
// somebody may look at them.
func (r *run) untilPrediction() int {
	if r.watched == nil {
		return math.MaxInt32
	}
	return r.iterationsWithin(predictionTime - time.Since(r.watched.due))
}

// predictWatched predicts the samples where that is due and somebody looks at them, between two
// iterations. It changes nothing of what later iterations compute, and ends no run: where it fails
// that is said once.
func (r *run) predictWatched() {
	w := r.watched
	if w == nil || w.failed || time.Since(w.due) < predictionTime {
		return
	}
	w.due = time.Now()
	if w.at == r.trainer.Done() || !w.WantsPredictions() {
		return
	}
	logits, err := r.trainer.Logits(w.samples)
	if err != nil {
		w.failed = true
		r.opts.Note("--watch shows no further predictions: %s", text.OneLine(err))
		return
	}
	w.at = r.trainer.Done()
	w.Predictions(w.at, logits)
}

// watchScoring tells the Watcher that the iterations have ended, and predicts the samples by the
// final parameters.
func (r *run) watchScoring() {
	if r.watched != nil {
		r.watched.Scoring()
		r.watched.due = time.Time{}
		r.predictWatched()
	}
}

func (w *watched) iteration(i network.Iteration, accuracy float64) { w.Iteration(i, accuracy) }

func (w *watched) line(l Line) { w.Line(l) }

func (w *watched) scored(s Summary) {
	if w != nil {
		w.Scored(s)
	}
}
