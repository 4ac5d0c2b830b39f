package run

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"syscall"
	"time"

	"clgrad/cmd/clgrad/report"
	"clgrad/cmd/clgrad/text"
	"clgrad/network"
)

// The report of a run that is under way is made after Options.ReportAfter of descent, and
// then again and again: after interimEvery seconds, or later where that would cost more than
// interimCost of the time.
const (
	interimEvery = 10.0
	interimCost  = 0.01
)

// interim makes the report of a run that is under way, if it is due. It is called behind
// every iteration.
func (r *run) interim() {
	if r.dir == nil || r.seconds < r.interimDue {
		return
	}
	began := time.Now()
	n := len(r.loss)
	status := report.Status{
		Short: fmt.Sprintf("running, iteration %d of %s", n, r.limit()),
		Text: fmt.Sprintf("Running: iteration %d of %s, as of %s. This page is made anew about every %.0f s. If the run was killed meanwhile, this goes on with it:",
			n, r.limit(), began.Format("15:04:05 MST, 2 January 2006"), interimEvery),
		Next: r.resumeCommand(r.dir.quoted()), Refresh: int(interimEvery),
	}
	if err := r.dir.page(r.interimData(status)); err != nil {
		r.opts.Note("the report of the run under way cannot be made: %s", text.OneLine(err))
		r.interimDue = math.Inf(1)
		return
	}
	r.interimDue = r.seconds + max(interimEvery, time.Since(began).Seconds()/interimCost)
}

// endReport makes the report of a run that ends without one of its own, for err.
func (r *run) endReport(err error) {
	n := len(r.loss)
	if err == nil || r.dir == nil || n == 0 || r.summary.Report != "" || r.dir.worthless() {
		return
	}
	s := report.Status{Short: fmt.Sprintf("interrupted at iteration %d of %s", n, r.limit())}
	s.Text = "I" + s.Short[1:] + "."
	if r.ctx.Err() == nil && !errors.Is(err, syscall.EPIPE) { // nobody reads the results: an interruption
		s.Short = fmt.Sprintf("failed at iteration %d of %s", n, r.limit())
		s.Text = fmt.Sprintf("Ended by an error at iteration %d of %s: %s.", n, r.limit(), text.OneLine(err))
	}
	var nonFinite *network.NonFiniteError
	switch saved := r.dir.saved; {
	case r.dir.finished:
		s.Text += " All iterations are done, and the model is saved. This makes the whole report:"
		s.Next = r.resumeCommand(r.dir.quoted())
	case saved < 1 || !isThere(r.dir.file):
		s.Text += " No checkpoint after the start was kept."
	case errors.As(err, &nonFinite):
		s.Text += fmt.Sprintf(" Iteration %d, the last that was kept, is saved.", saved)
	default:
		s.Text += fmt.Sprintf(" Iteration %d is saved. This goes on from there:", saved)
		s.Next = r.resumeCommand(r.dir.quoted())
	}
	// What keeps the page from being written is what ended the run, or matters less.
	_ = r.dir.page(r.interimData(s))
}

// limit says how many iterations the run is to have.
func (r *run) limit() string {
	if r.EarlyStopping || r.Rule().Optimizer == network.LBFGS {
		return fmt.Sprintf("at most %d", r.pace.total)
	}
	return fmt.Sprint(r.pace.total)
}

// interimData returns what the report of a run shows that has not come to its end.
func (r *run) interimData(s report.Status) report.Run {
	page, n := r.describe(), len(r.loss)
	page.Status = &s
	page.Subtitle = fmt.Sprintf("%s in %s on %s. Began on %s.", r.pace.count(n), durationWords(r.seconds), r.deviceWords(), Began(r.dir.path).Format(timeFormat))
	figures := func(set string, iteration int, loss, accuracy float64) {
		at := ""
		if iteration != n {
			at = ", " + r.pace.at(iteration)
		}
		page.Results = append(page.Results,
			report.Figure{Name: set + " accuracy" + at, Value: text.Percent(accuracy)}, report.Figure{Name: set + " loss" + at, Value: fmt.Sprintf("%.4f", loss)})
	}
	for _, set := range slices.Backward(r.heldOutCurves()) { // the test set first
		last := len(set.loss.Values) - 1
		figures(set.name, set.loss.Iterations[last], set.loss.Values[last], set.accuracy.Values[last])
	}
	figures("training", n, r.pace.lastEpoch(r.loss, r.batchRows), r.pace.lastEpoch(r.accuracy, r.batchRows))
	return page
}
