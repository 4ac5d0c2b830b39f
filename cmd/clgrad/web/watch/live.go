package watch

import (
	"cmp"
	"fmt"
	"math"
	"os"
	"runtime"
	"slices"
	"time"

	"clgrad/cmd/clgrad/measure"
	"clgrad/cmd/clgrad/run"
	"clgrad/cmd/clgrad/text"
	"clgrad/network"
)

const (
	maxNotes    = 100 // lines that are kept
	mostGuesses = 3   // classes of a prediction
)

// A live is a run's state as it grows. It belongs to one goroutine at a time.
type live struct {
	phase    Phase
	message  string
	setup    *Setup
	flops    float64 // for each row of an iteration, 0 where they are not known
	progress Progress
	best     *Best
	use      Use
	curves   map[string]*curve
	guesses  *Predictions
	notes    []string // the last ones
	results  []Value
	ready    bool // the report is there

	now    mark
	recent recent

	news    Change // that is not published, but for curves
	changed bool
}

func newLive() *live {
	l := &live{phase: Starting, curves: map[string]*curve{}}
	for _, name := range []string{IterationsCurve, EpochsCurve, ValidationCurve, TestCurve} {
		l.curves[name] = &curve{}
	}
	l.setPhase(Starting, "")
	return l
}

func (l *live) setPhase(p Phase, message string) {
	l.phase, l.message = p, message
	l.news.Phase, l.news.Message, l.changed = p, message, true
}

// begin takes over what is known before the first iteration.
func (l *live) begin(b run.Beginning, setup *Setup) {
	l.setup, l.flops = setup, b.Flops
	l.news.Setup = setup
	for i, loss := range b.Losses {
		l.curves[IterationsCurve].add(i+1, loss, b.Accuracies[i])
	}
	l.progress.Iteration, l.progress.Seconds = len(b.Losses), b.Seconds
	if n := len(b.Losses); n > 0 {
		l.progress.Loss, l.progress.Accuracy = network.Number(b.Losses[n-1]), network.Number(b.Accuracies[n-1])
	}
	for _, line := range b.Lines {
		l.line(line)
	}
	l.now = mark{at: time.Now(), cpu: measure.ProcessorTime()}
	l.recent.add(l.now)
	l.setPhase(Training, "")
}

// iteration takes an iteration.
func (l *live) iteration(i network.Iteration, accuracy float64) {
	l.curves[IterationsCurve].add(i.Number, i.Loss, accuracy)
	l.progress.Iteration = i.Number
	l.progress.Seconds += i.Elapsed.Seconds()
	if l.setup.Batches == 1 || l.curves[EpochsCurve].points == nil {
		l.progress.Loss, l.progress.Accuracy = network.Number(i.Loss), network.Number(accuracy)
	}
	l.now.iterations++
	l.now.rows += i.Rows
	l.now.seconds += i.Elapsed.Seconds()
	l.changed = true
}

// line takes a logged iteration. The best values are those of the validation set, of the test set
// where there is none, or of the training set.
func (l *live) line(line run.Line) {
	p := &l.progress
	if l.setup.Batches > 1 {
		p.Loss, p.Accuracy = line.Loss, line.TrainAccuracy
		l.curves[EpochsCurve].add(line.Iteration, float64(line.Loss), float64(line.TrainAccuracy))
	}
	of, loss, accuracy := "training set", &line.Loss, &line.TrainAccuracy
	if line.TestLoss != nil && line.TestAccuracy != nil {
		p.TestLoss, p.TestAccuracy = line.TestLoss, line.TestAccuracy
		l.curves[TestCurve].add(line.Iteration, float64(*line.TestLoss), float64(*line.TestAccuracy))
		of, loss, accuracy = "test set", line.TestLoss, line.TestAccuracy
	}
	if line.ValidationLoss != nil && line.ValidationAccuracy != nil {
		p.ValidationLoss, p.ValidationAccuracy = line.ValidationLoss, line.ValidationAccuracy
		l.curves[ValidationCurve].add(line.Iteration, float64(*line.ValidationLoss), float64(*line.ValidationAccuracy))
		of, loss, accuracy = "validation set", line.ValidationLoss, line.ValidationAccuracy
	}
	l.changed = true
	if l.best != nil && l.best.Of != of {
		if of == "training set" || l.best.Of == "validation set" {
			return // this line has no other figures
		}
		l.best = nil
	}
	best := Best{of, Reached{*loss, line.Iteration}, Reached{*accuracy, line.Iteration}}
	if old := l.best; old != nil {
		if !(*loss < old.Loss.Value) {
			best.Loss = old.Loss
		}
		if !(*accuracy > old.Accuracy.Value) {
			best.Accuracy = old.Accuracy
		}
	}
	if l.best == nil || best != *l.best {
		l.best = &best
		l.news.Best = &best
	}
}

// note takes a line of standard error.
func (l *live) note(line string) {
	l.notes = append(l.notes, line)
	l.notes = l.notes[max(0, len(l.notes)-maxNotes):]
	l.news.Notes, l.changed = l.notes, true
}

// predictions takes the logits of the samples.
func (l *live) predictions(iteration int, logits []float64) {
	p := &Predictions{Iteration: iteration}
	for row := range slices.Chunk(network.Softmax(logits, l.setup.ClassCount), l.setup.ClassCount) {
		var best []Guessed
		for class, probability := range row {
			best = append(best, Guessed{class, network.Number(probability)})
		}
		slices.SortStableFunc(best, func(a, b Guessed) int { return cmp.Compare(b.Probability, a.Probability) })
		p.Rows = append(p.Rows, best[:min(mostGuesses, len(best))])
	}
	l.guesses, l.news.Predictions, l.changed = p, p, true
}

// scored takes the scores of the final parameters.
func (l *live) scored(s run.Summary) {
	l.results = nil
	for _, set := range []struct {
		name           string
		loss, accuracy network.Number
	}{
		{"test set", s.TestLoss, s.TestAccuracy},
		{"validation set", s.ValidationLoss, s.ValidationAccuracy},
		{"training set", s.Loss, s.TrainAccuracy},
	} {
		if !math.IsNaN(float64(set.accuracy)) {
			l.results = append(l.results, Value{set.name, fmt.Sprintf("%s, loss %.4f", text.Percent(float64(set.accuracy)), float64(set.loss))})
		}
	}
	l.news.Results, l.changed = l.results, true
}

// lookForReport looks whether the report is there.
func (l *live) lookForReport() {
	if l.ready || l.setup == nil || l.setup.Report == "" {
		return
	}
	if _, err := os.Stat(l.setup.Report); err == nil {
		l.ready, l.news.ReportReady, l.changed = true, true, true
	}
}

// measure brings rates and the use of the machine up to date.
func (l *live) measure(now time.Time) {
	l.use.Cores, l.use.Memory = runtime.GOMAXPROCS(0), measure.CurrentMemory()
	if l.phase != Training {
		l.progress.Left = nil
		return // rates stay what they were last
	}
	if n := len(l.recent); n > 0 && l.now.iterations == l.recent[n-1].iterations {
		return
	}
	l.now.at, l.now.cpu = now, measure.ProcessorTime()
	l.recent.add(l.now)
	done, d, ok := l.recent.span()
	if !ok {
		return
	}
	per := func(v float64) *float64 {
		v /= d.Seconds()
		return &v
	}
	rate := per(float64(done.iterations))
	left := float64(l.setup.Iterations-l.progress.Iteration) / *rate
	l.progress.Rate, l.progress.Left = rate, &left
	l.use.Share, l.use.Rows = per(math.Min(done.seconds, d.Seconds())), per(float64(done.rows))
	if l.flops > 0 {
		l.use.GFlops = per(float64(done.rows) * l.flops / 1e9)
	}
	if done.cpu > 0 {
		l.use.CPUs = per(done.cpu.Seconds())
	}
}

// publish returns what has changed since it was called last.
func (l *live) publish(now time.Time) Change {
	l.measure(now)
	c := l.news
	l.news, l.changed = Change{}, false
	progress, use := l.progress, l.use
	c.Use = &use
	if l.setup != nil {
		c.Progress = &progress
	}
	for name, curve := range l.curves {
		if s := curve.publish(); s != nil {
			if c.Curves == nil {
				c.Curves = map[string]*Stretch{}
			}
			c.Curves[name] = s
		}
	}
	return c
}

// all returns the whole state, of which nothing changes any more.
func (l *live) all() Change {
	progress, use := l.progress, l.use
	c := Change{Phase: l.phase, Message: l.message, Setup: l.setup, Use: &use, Best: l.best, Predictions: l.guesses,
		Curves: map[string]*Stretch{}, Results: l.results, ReportReady: l.ready, Notes: slices.Clone(l.notes)}
	if l.setup != nil {
		c.Progress = &progress
	}
	for name, curve := range l.curves {
		c.Curves[name] = &Stretch{0, append(Points{}, curve.points...)}
	}
	return c
}
