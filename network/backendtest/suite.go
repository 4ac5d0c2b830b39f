package backendtest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"clgrad/network"
)

// A Family is a part of the suite that runs on a backend of its own. [Families]
// returns them.
type Family struct {
	Name    string
	check   func(*session)
	options options
}

func all() []Family {
	return []Family{
		{Name: "plan", check: plans},
		{Name: "buffer", check: buffers},
		{Name: "load", check: loads},
		{Name: "forward-input", check: products},
		{Name: "forward", check: forward},
		{Name: "softmax-cross-entropy", check: softmax},
		{Name: "weight-gradient-input", check: products},
		{Name: "weight-gradient", check: products},
		{Name: "input-gradient", check: products},
		{Name: "update", check: updates},
		{Name: "recorder", check: recorders},
		{Name: "steps", check: steps},
		{Name: "closed", check: closed},
		{Name: "misuse", check: misuse},
		{Name: "gradient", check: gradients},
		{Name: "training", check: training},
	}
}

// Operations returns the names of the families of operations, in the order in
// which they run.
func Operations() []string {
	var names []string
	for _, f := range all() {
		names = append(names, f.Name)
	}
	return names
}

// Families returns the families that the options leave, in the order in which they
// run.
func Families(opts ...Option) ([]Family, error) {
	_, families, err := selected(opts)
	return families, err
}

// selected returns the options and the families that they leave.
func selected(opts []Option) (options, []Family, error) {
	o := options{limit: 3 * time.Minute, ctx: context.Background()}
	for _, set := range opts {
		set(&o)
	}
	names := Operations()
	for _, name := range o.only {
		if !slices.Contains(names, name) {
			return o, nil, fmt.Errorf("no operation %q: there are %s", name, strings.Join(names, ", "))
		}
	}
	var families []Family
	for _, f := range all() {
		if len(o.only) == 0 || slices.Contains(o.only, f.Name) {
			f.options = o
			families = append(families, f)
		}
	}
	return o, families, nil
}

// Check runs the suite on backends made by open, one for each family of
// operations. The error joins one line for each failure.
func Check(open func() (network.Backend, error), opts ...Option) (Report, error) {
	o, families, err := selected(opts)
	if err != nil {
		return Report{}, err
	}
	begin := time.Now()
	report := Report{Quick: o.quick, Operations: []Operation{}}
	var errs []error
	for i, f := range families {
		if err := o.ctx.Err(); err != nil {
			return report, err
		}
		if o.progress != nil {
			o.progress(f.Name, i, len(families))
		}
		info, op := f.Run(open)
		if info.Backend != "" {
			report.Info = info
		}
		report.Seconds = time.Since(begin).Seconds()
		if err := o.ctx.Err(); err != nil {
			return report, err // without the family, which may have ended early
		}
		report.Operations = append(report.Operations, op)
		for _, failure := range op.Failures {
			errs = append(errs, failure)
		}
	}
	return report, errors.Join(errs...)
}

// Run runs the family on a backend made by open. All of it happens on one
// goroutine, because a backend belongs to one; where that does not end in time,
// it is left behind.
func (f Family) Run(open func() (network.Backend, error)) (network.Info, Operation) {
	o := f.options
	begin := time.Now()
	s := &session{op: f.Name, quick: o.quick, smallest: o.smallest, open: open, ctx: o.ctx}
	done := make(chan Operation, 1)
	var info network.Info
	go func() {
		defer func() { done <- s.operation() }()
		defer s.recovered("")
		b, err := open()
		if !s.ok("", "open", err) {
			return
		}
		defer func() { s.ok("", "close", b.Close()) }()
		info = b.Info()
		x, err := prepare(b)
		if !s.ok("", "prepare", err) {
			return
		}
		defer func() { s.ok("", "close", x.Close()) }()
		s.backend, s.env = b, newEnv(x, info)
		f.check(s)
		if s.cases == 0 && s.absent == "" && o.ctx.Err() == nil {
			s.fail("", gateExact, "the family has no case")
		}
	}()
	timer := time.NewTimer(o.limit)
	defer timer.Stop()
	select {
	case op := <-done:
		op.Seconds = time.Since(begin).Seconds()
		return info, op
	case <-timer.C:
		failure := Failure{Operation: f.Name, Gate: "time limit", Detail: fmt.Sprintf("not done after %v", o.limit)}
		return network.Info{}, Operation{Operation: f.Name, Failures: []Failure{failure}, Seconds: o.limit.Seconds()}
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
