package backendtest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime/debug"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"clgrad/network"
)

// A SoakSample is the state of the process after some iterations of a soak.
type SoakSample struct {
	Iterations int
	Resident   int64         // bytes of memory
	Files      int           // open file descriptors
	Alive      int           // handles of the backend
	Each       time.Duration // mean time of an iteration since the sample before
}

// soakSamples is how many samples a soak takes. The first soakWarm of them, a
// fifth, are a time in which drivers and the collector find their size.
const (
	soakSamples = 20
	soakWarm    = 4
)

// The rule of a soak: after the warm samples no file and no handle more, memory
// no more than soakGrowth above, and an iteration no slower than soakSlower
// times, comparing the medians of the first and the last quarter of what is left.
// Time is judged where a quarter takes soakTimed at least: a short run says more
// of the machine's other work.
const (
	soakGrowth = 4 << 20
	soakSlower = 2
	soakTimed  = 500 * time.Millisecond
)

// A Soak is what a backend did to the process over many iterations.
type Soak []SoakSample

// RunSoak trains small networks for the given number of iterations on a backend, which stays
// open, and takes samples: half of them full-batch over floats, half in batches over sparse
// bytes, of which the last is one block: a whole iteration where the backend has them. alive returns the number of the backend's
// handles; nil where it has none. The state of the process is read from /proc.
func RunSoak(b network.Backend, iterations int, alive func() int) (_ Soak, err error) {
	if iterations < soakSamples {
		return nil, fmt.Errorf("soak: %d iterations where at least %d are expected", iterations, soakSamples)
	}
	sizes, rows := []int{20, 16, 3}, 60
	var trainers []*network.Trainer
	for _, c := range []struct {
		f         fixture
		batchRows int
	}{
		{newFixture("soak", sizes, rows, 0), rows},
		{newStepFixture("soak", sizes, []int{rows}, true), 40},
	} {
		plan, err := network.NewPlan(sizes, c.f.samples, c.batchRows, b)
		if err != nil {
			return nil, err
		}
		plan.Shards[0].BlockRows = 25
		t, err := network.NewTrainer(c.f.layout, c.f.samples, plan, []network.Backend{b}, nil)
		if err != nil {
			return nil, err
		}
		defer func() { err = errors.Join(err, t.Close()) }()
		if err := t.SetParameters(c.f.theta, 0); err != nil {
			return nil, err
		}
		trainers = append(trainers, t)
	}
	var soak Soak
	last := SoakSample{}
	for i := range soakSamples {
		s := SoakSample{Iterations: iterations * (i + 1) / soakSamples}
		begin := time.Now()
		for k, t := range trainers {
			d := network.Descent{Iterations: (s.Iterations + k) / 2, LearningRate: 1e-3, Every: 10}
			if err := t.Descend(context.Background(), d, nil); err != nil {
				return soak, err
			}
		}
		s.Each = time.Since(begin) / time.Duration(max(1, s.Iterations-last.Iterations))
		debug.FreeOSMemory()
		if alive != nil {
			s.Alive = alive()
		}
		if s.Resident, s.Files, err = process(); err != nil {
			return soak, err
		}
		soak = append(soak, s)
		last = s
	}
	return soak, nil
}

// process returns the resident memory and the open files of this process.
func process() (resident int64, files int, err error) {
	statm, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		return 0, 0, err
	}
	var size, pages int64
	if _, err := fmt.Sscan(string(statm), &size, &pages); err != nil {
		return 0, 0, fmt.Errorf("/proc/self/statm: %w", err)
	}
	open, err := os.ReadDir("/proc/self/fd")
	return pages * int64(os.Getpagesize()), len(open), err
}

// Growth returns how many bytes of memory, files and handles the process had
// more at the end than after the warm samples, and how many times longer an
// iteration took.
func (s Soak) Growth() (bytes int64, files, alive int, slower float64) {
	if len(s) < soakSamples {
		return 0, 0, 0, 0
	}
	warm := s[soakWarm:]
	n := len(warm) / 4
	first, last := warm[:n], warm[len(warm)-n:]
	resident := func(x SoakSample) float64 { return float64(x.Resident) }
	each := func(x SoakSample) float64 { return float64(x.Each) }
	return int64(middle(last, resident) - middle(first, resident)),
		last[n-1].Files - first[0].Files, last[n-1].Alive - first[0].Alive, middle(last, each) / middle(first, each)
}

// middle returns the median of a quantity over an even number of samples.
func middle(s []SoakSample, of func(SoakSample) float64) float64 {
	var v []float64
	for _, x := range s {
		v = append(v, of(x))
	}
	slices.Sort(v)
	return (v[(len(v)-1)/2] + v[len(v)/2]) / 2
}

// Check reports what grew.
func (s Soak) Check() error {
	if len(s) < soakSamples {
		return fmt.Errorf("soak: %d samples where %d are expected", len(s), soakSamples)
	}
	var errs []error
	bytes, files, alive, slower := s.Growth()
	if bytes > soakGrowth {
		errs = append(errs, fmt.Errorf("soak: memory grew by %d bytes, up to %d are allowed", bytes, soakGrowth))
	}
	if files > 0 {
		errs = append(errs, fmt.Errorf("soak: %d more files are open", files))
	}
	if alive > 0 {
		errs = append(errs, fmt.Errorf("soak: %d more handles are alive", alive))
	}
	n := len(s) / 4
	if each := s[len(s)-1].Iterations / len(s); slower > soakSlower && s[len(s)-n].Each*time.Duration(n*each) >= soakTimed {
		errs = append(errs, fmt.Errorf("soak: an iteration takes %.1f times as long, up to %d are allowed", slower, soakSlower))
	}
	return errors.Join(errs...)
}

// String returns the samples as a table.
func (s Soak) String() string {
	var text strings.Builder
	w := tabwriter.NewWriter(&text, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "iterations\tresident KiB\tfiles\thandles\tµs an iteration\t")
	for _, x := range s {
		fmt.Fprintf(w, "%d\t%d\t%d\t%d\t%.0f\t\n", x.Iterations, x.Resident>>10, x.Files, x.Alive, float64(x.Each)/1e3)
	}
	w.Flush()
	bytes, files, alive, slower := s.Growth()
	fmt.Fprintf(&text, "grown by %d bytes, %d files, %d handles; an iteration takes %.2f times as long\n", bytes, files, alive, slower)
	return text.String()
}
