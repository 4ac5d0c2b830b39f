package run

import (
	"errors"

	"clgrad/cmd/clgrad/report"
	"clgrad/network"
)

// profiled is how many iterations kernelTimes takes the times of, after one that
// is not: as many as begin within a second, and three at most.
func profiled(iterationSeconds float64) int {
	return max(1, min(3, int(1/max(iterationSeconds, 1e-9))))
}

// kernelTimes runs some more iterations of a finished run and returns the times of the
// operations of one; of L-BFGS, whose iterations differ, it evaluates the loss and its gradient
// instead. Backends without that ability have none. The parameters are set back; the state of
// the optimizer is lost.
func (r *run) kernelTimes() (kernels []report.Kernel, err error) {
	p := r.backends
	if err := p.StartProfile(); err != nil {
		return nil, err
	}
	done := r.trainer.Done()
	repeat := func(n int) (err error) {
		if r.Rule().Optimizer == network.LBFGS {
			gradient := make([]float64, r.layout.Len)
			for range n {
				if _, _, e := r.trainer.Evaluate(gradient); e != nil {
					err = e
				}
			}
			return err
		}
		// A rate of nearly nothing: only the time is of interest.
		return r.trainer.Descend(r.ctx, network.Descent{Iterations: r.trainer.Done() + n, Rule: r.Rule(), LearningRate: 1e-30}, nil)
	}
	timed := func(n int) ([]network.OperationTime, error) {
		err := repeat(n)
		times, e := p.Profile()
		return times, errors.Join(err, e)
	}
	if _, err := timed(1); err != nil {
		return nil, err
	}
	n := profiled(r.summary.Median)
	times, err := timed(n)
	for _, o := range times {
		kernels = append(kernels, report.Kernel{
			Operation: o.Operation, Launches: float64(o.Launches) / float64(n), Milliseconds: 1e3 * o.Total.Seconds() / float64(n),
		})
	}
	return kernels, errors.Join(err, r.trainer.SetParameters(r.theta, done))
}
