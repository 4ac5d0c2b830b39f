package backendtest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"clgrad/network"
)

// An Option changes what [Check] and [Run] do.
type Option func(*options)

type options struct {
	quick    bool
	smallest bool
	only     []string
	limit    time.Duration
	ctx      context.Context
}

// Quick leaves out the large shapes: for runs under the race detector.
func Quick() Option { return func(o *options) { o.quick = true } }

// Tiny leaves out all but the smallest shapes and runs each with few kinds of
// operands: for devices that are simulated. The integers at odd shapes, and
// whatever must not change around a result, are kept.
func Tiny() Option { return func(o *options) { o.quick, o.smallest = true, true } }

// Only runs the named families of operations (see [Operations]) and no others.
func Only(operations ...string) Option {
	return func(o *options) { o.only = append(o.only, operations...) }
}

// Until ends the suite after the case at hand when ctx is done; Check then
// returns the context's error.
func Until(ctx context.Context) Option { return func(o *options) { o.ctx = ctx } }

// TimeLimit sets the time that one family of operations may take. It is three
// minutes otherwise, most of it for drivers that compile slowly.
func TimeLimit(d time.Duration) Option { return func(o *options) { o.limit = d } }

// A family is a part of the suite that runs on a backend of its own.
type family struct {
	name string
	run  func(*sheet)
}

func families() []family {
	return []family{
		{"plan", plans},
		{"buffer", buffers},
		{"load", loads},
		{"forward-input", products},
		{"forward", forward},
		{"softmax-cross-entropy", softmax},
		{"weight-gradient-input", products},
		{"weight-gradient", products},
		{"input-gradient", products},
		{"update", updates},
		{"recorder", recorders},
		{"closed", closed},
		{"misuse", misuse},
		{"gradient", gradients},
		{"training", training},
	}
}

// Operations returns the names of the families of operations, in the order in
// which they run.
func Operations() []string {
	var names []string
	for _, f := range families() {
		names = append(names, f.name)
	}
	return names
}

// selected returns the options and the families that they leave.
func selected(opts []Option) (options, []family, error) {
	o := options{limit: 3 * time.Minute, ctx: context.Background()}
	for _, set := range opts {
		set(&o)
	}
	all := families()
	for _, name := range o.only {
		if !slices.ContainsFunc(all, func(f family) bool { return f.name == name }) {
			return o, nil, fmt.Errorf("no operation %q: there are %s", name, strings.Join(Operations(), ", "))
		}
	}
	if len(o.only) > 0 {
		all = slices.DeleteFunc(all, func(f family) bool { return !slices.Contains(o.only, f.name) })
	}
	return o, all, nil
}

// Check runs the suite on backends made by open, one for each family of
// operations. The error joins one line for each failure.
func Check(open func() (network.Backend, error), opts ...Option) (Report, error) {
	o, chosen, err := selected(opts)
	if err != nil {
		return Report{}, err
	}
	begin := time.Now()
	report := Report{Quick: o.quick, Operations: []Operation{}}
	var errs []error
	for _, f := range chosen {
		if err := o.ctx.Err(); err != nil {
			return report, err
		}
		info, op := runFamily(f, open, o)
		if info.Backend != "" {
			report.Info = info
		}
		report.Operations = append(report.Operations, op)
		for _, failure := range op.Failures {
			errs = append(errs, failure)
		}
	}
	report.Seconds = time.Since(begin).Seconds()
	if err := o.ctx.Err(); err != nil {
		return report, err
	}
	return report, errors.Join(errs...)
}

// Run runs the suite as subtests of t, one for each family of operations, on
// backends made by open. It logs the table of the report. Where tests are
// short (go test -short), it is quick.
func Run(t *testing.T, open func() (network.Backend, error), opts ...Option) {
	t.Helper()
	if testing.Short() {
		opts = append(slices.Clip(opts), Quick())
	}
	o, chosen, err := selected(opts)
	if err != nil {
		t.Fatal(err)
	}
	begin := time.Now()
	report := Report{Quick: o.quick}
	for _, f := range chosen {
		t.Run(f.name, func(t *testing.T) {
			info, op := runFamily(f, open, o)
			if info.Backend != "" {
				report.Info = info
			}
			report.Operations = append(report.Operations, op)
			for _, failure := range op.Failures {
				t.Error(failure)
			}
		})
	}
	report.Seconds = time.Since(begin).Seconds()
	t.Logf("%.1f s\n%v", report.Seconds, report)
}

// runFamily runs a family on a fresh backend. All of it happens on one
// goroutine, because a backend belongs to one; where that does not end in time,
// it is left behind.
func runFamily(f family, open func() (network.Backend, error), o options) (network.Info, Operation) {
	begin := time.Now()
	s := &sheet{op: f.name, quick: o.quick, smallest: o.smallest, open: open, ctx: o.ctx}
	done := make(chan Operation, 1)
	var info network.Info
	go func() {
		defer func() { done <- s.operation() }()
		defer s.guard("")
		b, err := open()
		if err != nil {
			s.fail("", "open", err.Error())
			return
		}
		defer func() {
			if err := b.Close(); err != nil {
				s.fail("", "close", err.Error())
			}
		}()
		info = b.Info()
		x, err := prepare(b)
		if err != nil {
			s.fail("", "prepare", err.Error())
			return
		}
		defer func() {
			if err := x.Close(); err != nil {
				s.fail("", "close", err.Error())
			}
		}()
		s.backend, s.env = b, newEnv(x, info)
		f.run(s)
	}()
	timer := time.NewTimer(o.limit)
	defer timer.Stop()
	select {
	case op := <-done:
		op.Seconds = time.Since(begin).Seconds()
		return info, op
	case <-timer.C:
		failure := Failure{Operation: f.name, Gate: "time limit", Detail: fmt.Sprintf("not done after %v", o.limit)}
		return network.Info{}, Operation{Operation: f.name, Failures: []Failure{failure}, Seconds: o.limit.Seconds()}
	}
}

// prepare returns an executor of the plan that a backend proposes for bytes of which
// nearly all are 0: one that packs input where it can.
func prepare(b network.Backend) (network.Executor, error) {
	const rows, n, p = 600, 40, 3
	samples := network.Samples{Rows: rows, Features: n, Bytes: make([]uint8, rows*n)}
	for i := 0; i < len(samples.Bytes); i += 97 {
		samples.Bytes[i] = uint8(i%255 + 1)
	}
	plan, err := b.Propose([]int{n, p}, samples, rows)
	if err != nil {
		return nil, err
	}
	return b.Prepare([]int{n, p}, plan)
}

// A sheet collects what one family finds on one backend.
type sheet struct {
	*env
	backend  network.Backend
	op       string
	quick    bool
	smallest bool
	ctx      context.Context
	open     func() (network.Backend, error)
	cases    int
	exact    int
	ratios   []float32
	naive    float64
	failures []Failure
}

// operation returns the sheet's part of the report.
func (s *sheet) operation() Operation {
	o := Operation{
		Operation: s.op, Cases: s.cases, Exact: s.exact, Naive: network.Number(s.naive),
		Passed: len(s.failures) == 0, Failures: s.failures,
	}
	if o.Failures == nil {
		o.Failures = []Failure{}
	}
	o.statistics(s.ratios)
	return o
}

// fail records a failure that is not about elements.
func (s *sheet) fail(shape, gate, detail string) {
	s.failures = append(s.failures, Failure{Operation: s.op, Shape: shape, Gate: gate, Detail: detail})
}

// try runs one case. An error that the backend returned on the way, a panic,
// and what cannot be closed afterwards are failures of the case.
func (s *sheet) try(shape string, f func()) {
	if s.ctx.Err() != nil {
		return
	}
	s.cases++
	defer s.guard(shape)
	defer s.closeAll(func(err error) { s.fail(shape, "close", err.Error()) })
	f()
	if s.err != nil {
		s.fail(shape, "error", s.err.Error())
		s.err = nil
	}
}

// guard turns a panic into a failure.
func (s *sheet) guard(shape string) {
	if r := recover(); r != nil {
		s.fail(shape, "panic", fmt.Sprint(r))
		if s.env != nil {
			s.err = nil
		}
	}
}
