package run

import (
	"errors"
	"io"
	"math"
	"slices"
	"strings"

	"clgrad/cmd/clgrad/measure"
	"clgrad/cmd/clgrad/recipe"
	"clgrad/cmd/clgrad/report"
	"clgrad/cmd/clgrad/score"
	"clgrad/network"
	"clgrad/network/checkpoint"
	"clgrad/network/durable"
)

// score scores the final parameters, finds what the recipe asks for, and predicts where
// somebody sees it. A set without a finite result does not end the run here: what it
// came to is saved, and then the run fails.
func (r *run) score() error {
	accuracyOf := func(name string, samples network.Samples, loss, accuracy float64, err error) (float64, float64, error) {
		if err == nil {
			err = r.checkLoss(name, samples, loss)
		}
		if r.tookNotFinite(err) {
			return math.NaN(), math.NaN(), nil
		}
		return loss, accuracy, err
	}
	scoreSet := func(name string, samples network.Samples) (float64, float64, error) {
		loss, accuracy, err := r.trainer.Score(samples)
		return accuracyOf(name, samples, loss, accuracy, err)
	}
	loss, accuracy, err := r.trainer.ScoreTraining()
	if loss, accuracy, err = accuracyOf("training set", r.set.Train, loss, accuracy, err); err != nil {
		return err
	}
	s := &r.summary
	*s = Summary{
		Summary: true, Backend: r.info.Backend, Device: r.info.Device, Layers: r.layout.Sizes, Iterations: r.done,
		Optimizer: string(r.Optimizer), LR: float64(r.LR), Loss: network.Number(loss), TrainAccuracy: network.Number(accuracy), Shifts: int(r.Shifts),
		Seconds: r.seconds, Median: medianIteration(r.times), PeakRSS: measure.PeakMemory(),
		Recipe: string(r.Name), BasedOn: string(r.BasedOn), Changes: r.Changes,
	}
	if len(r.backends) > 1 {
		for _, d := range r.plan.Shards {
			s.Devices = append(s.Devices, deviceRows{d.Backend, d.Device, d.Driver, d.Rows})
		}
	}
	if r.pace.mini() {
		s.Epochs, s.BatchSize = r.pace.epoch(s.Iterations), int(r.BatchSize)
	}
	if r.opts.Ranks != nil {
		s.Ranks = r.opts.Ranks.Size
	}
	s.Converged, s.converged = string(r.converged), r.convergedWords()
	r.summarizeStopping()
	if r.Precision.Reduced() {
		s.Precision = string(r.Precision)
	}
	if s.HeldOut, err = score.OfHeldOut(r.ctx, r.set, scoreSet); err != nil {
		return err
	}
	if r.Passes > 0 {
		s.Passes = &passed{Accuracy: float64(r.Passes)}
		if i := slices.IndexFunc(r.accuracyCurve().Values, func(v float64) bool { return v >= float64(r.Passes) }); i >= 0 {
			i++
			s.Passes.Iteration = &i
		}
	}
	if r.UnscaledTest && r.set.Test.Rows > 0 {
		raw := r.set.Test
		raw.Scaling = network.Scaling{}
		_, accuracy, err := scoreSet("test set without scaling", raw)
		if err != nil {
			return err
		}
		s.UnscaledTest = number(accuracy)
	}
	if r.Reference != nil {
		if x, ok := report.Compare(r.lossCurve(), referenceCurve(*r.Reference, s.Iterations)); ok {
			s.Reference = &compared{r.Reference.Name, x.Shift, network.Number(x.Distance), x.Iteration}
		}
	}
	if r.dir == nil && r.opts.Columns == nil {
		return nil
	}
	name, samples := heldOutRows(r.set)
	if r.logits, err = r.predict(name, samples); err != nil {
		return err
	}
	r.rowLogits = r.logits
	if r.Rows != "" {
		r.rowLogits, err = r.predict(string(r.Rows), r.rows)
	}
	return err
}

// predict returns the logits of samples, nil where they are not finite.
func (r *run) predict(name string, samples network.Samples) ([]float64, error) {
	logits, err := r.trainer.Logits(samples)
	if err == nil {
		err = network.CheckLogits(name, logits, r.classes(), nil)
	}
	if r.tookNotFinite(err) {
		return nil, nil
	}
	return logits, err
}

// tookNotFinite reports whether an error is that of a set without a finite result, and
// keeps it for the end of the run. A set is said once.
func (r *run) tookNotFinite(err error) bool {
	if _, ok := err.(*network.NonFiniteResultError); !ok {
		return false
	}
	if r.notFinite == nil || !strings.Contains(r.notFinite.Error(), err.Error()) {
		r.notFinite = errors.Join(r.notFinite, err)
	}
	return true
}

// checkLoss reports a loss that is not finite.
func (r *run) checkLoss(name string, samples network.Samples, loss float64) error {
	return network.CheckLoss(name, loss, func() ([]float64, error) { return r.trainer.Logits(samples) }, r.classes(), samples.Labels)
}

// classes returns how many the network has.
func (r *run) classes() int { return r.layout.Sizes[len(r.layout.Sizes)-1] }

// save writes predictions and the model, which makes the run a finished one.
func (r *run) save() error {
	p := score.Predictions{Actual: r.rows.Labels, Logits: r.rowLogits, Classes: r.classes(), Names: r.set.ClassNames}
	name, write := "", p.WriteKaggle
	switch r.Predict {
	case recipe.Table:
		name, write = PredictionsFile, func(w io.Writer) error { return p.WriteTable(w) }
	case recipe.Kaggle:
		name = submissionFile
	}
	if name != "" && r.rowLogits != nil {
		r.summary.Predictions = r.dir.name(name)
		if err := durable.Write(r.summary.Predictions, write); err != nil {
			return err
		}
	}
	r.summary.Model = r.dir.name(checkpoint.FileName)
	m := r.model(r.theta, r.done)
	m.Run.Converged = r.converged
	if r.best != nil {
		m.Run.Iterations, m.Run.Stopped = r.best.Iteration, r.done
	}
	return r.dir.finish(m)
}
