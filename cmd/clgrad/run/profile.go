package run

import (
	"errors"
	"runtime"

	"clgrad/cmd/clgrad/report"
	"clgrad/network"
)

// profiled is how many iterations kernelTimes takes the times of, after one that
// is not: as many as begin within a second, and three at most.
func profiled(iterationSeconds float64) int {
	return max(1, min(3, int(1/max(iterationSeconds, 1e-9))))
}

// kernelTimes runs some more iterations of a finished run, on a backend that takes
// the time of every operation, and returns those of an iteration: profiling would
// have slowed the run itself down. The run's own backend is closed by then, so that
// nothing is in memory twice. A backend without that ability has none.
func (r *run) kernelTimes() (kernels []report.Kernel, err error) {
	// What the run's own backend held makes room for this one's, and this one's for
	// the pictures.
	runtime.GC()
	defer runtime.GC()
	b, err := r.opts.Open(r.info.Backend, true)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, b.Close()) }()
	p, ok := b.(network.Profiler)
	if !ok {
		return nil, nil
	}
	t, err := network.NewTrainer(r.layout, r.set.Train, r.plan, []network.Backend{b})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, t.Close()) }()
	if err := t.SetParameters(r.theta, 0); err != nil {
		return nil, err
	}
	// A rate of nearly nothing: only the time is of interest.
	descend := func(iterations int) ([]network.OperationTime, error) {
		err := t.Descend(r.ctx, network.Descent{Iterations: iterations, LearningRate: 1e-30}, func(network.Iteration) error { return nil })
		times, e := p.Profile()
		return times, errors.Join(err, e)
	}
	if _, err := descend(1); err != nil {
		return nil, err
	}
	n := profiled(r.summary.Median)
	times, err := descend(1 + n)
	for _, o := range times {
		kernels = append(kernels, report.Kernel{
			Operation: o.Operation, Launches: float64(o.Launches) / float64(n), Milliseconds: 1e3 * o.Total.Seconds() / float64(n),
		})
	}
	return kernels, err
}
