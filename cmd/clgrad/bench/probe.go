package bench

import (
	"time"

	"clgrad/network"
)

// A probe measures one peak.
type probe struct {
	peak   network.Peak
	rounds int       // that take probeTime, 0 before they are known
	rates  []float64 // operations or bytes a second, one a turn
}

// probeTime is how long a probe takes at least, so that launches and waiting do
// not show. probeLimit bounds its rounds.
const (
	probeTime  = 30 * time.Millisecond
	probeLimit = 1 << 16
)

// measure runs a probe once, and the first time until its rounds are known. It
// does nothing on a backend without probes.
func (p *probe) measure(b network.Backend) error {
	prober, ok := b.(network.Prober)
	if !ok {
		return nil
	}
	run := func(rounds int) (work, seconds float64, err error) {
		work, took, err := prober.Probe(p.peak, rounds)
		return work, took.Seconds(), err
	}
	if p.rounds == 0 {
		if _, _, err := run(1); err != nil { // drivers compile, memory finds its place
			return err
		}
		for p.rounds = 1; ; p.rounds *= 2 {
			_, seconds, err := run(p.rounds)
			if err != nil {
				return err
			}
			if seconds >= probeTime.Seconds() || p.rounds >= probeLimit {
				break
			}
		}
	}
	work, seconds, err := run(p.rounds)
	if err == nil {
		p.rates = append(p.rates, work/seconds)
	}
	return err
}
