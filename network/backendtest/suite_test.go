package backendtest_test

import (
	"context"
	"encoding/json"
	"errors"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"clgrad/network"
	"clgrad/network/backendtest"
	"clgrad/network/must"
)

func TestOpenFailureIsReportedForEachOperation(t *testing.T) {
	_, err := backendtest.Check(func() (network.Backend, error) { return nil, errors.New("no device") })
	if err == nil {
		t.Fatal("Check succeeds without a backend")
	}
	for _, name := range backendtest.Operations() {
		if !strings.Contains("\n"+err.Error(), "\n"+name+": open: no device") {
			t.Errorf("the error does not name %s:\n%v", name, err)
		}
	}
}

func TestUnknownOperationIsAnError(t *testing.T) {
	report, err := backendtest.Check(opener(none), backendtest.Only("forwards"))
	if err == nil || !strings.Contains(err.Error(), "forwards") || len(report.Operations) != 0 {
		t.Errorf("error is %v, report %v", err, report)
	}
}

func TestOnlyRunsWhatIsNamed(t *testing.T) {
	report, err := backendtest.Check(opener(none), backendtest.Only("misuse"), backendtest.Only("recorder"))
	if err != nil || len(report.Operations) != 2 || !report.Passed() {
		t.Errorf("error is %v, report %v", err, report)
	}
}

// A troubled executor fails, panics or hangs in one verb.
type troubled struct {
	*naive
	clear func() error
}

func (b troubled) Clear(network.Buffer) error { return b.clear() }

func TestErrorsPanicsAndHangsAreFailures(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		gate  string
		clear func() error
	}{
		{"error", func() error { return errors.New("out of luck") }},
		{"panic", func() error { panic("out of luck") }},
		{"time limit", func() error { time.Sleep(3 * time.Second); return nil }},
	} {
		open := func() (network.Backend, error) {
			return &naiveBackend{made: func(n *naive) network.Executor { return troubled{n, c.clear} }}, nil
		}
		report, err := backendtest.Check(open, backendtest.Quick(), backendtest.Only("buffer", "recorder"), backendtest.TimeLimit(time.Second))
		if err == nil || !strings.HasPrefix(err.Error(), "buffer ") && !strings.HasPrefix(err.Error(), "buffer: ") {
			t.Fatalf("%s: error is %v", c.gate, err)
		}
		if got := report.Operations[0].Failures[0].Gate; got != c.gate {
			t.Errorf("gate is %q, want %q", got, c.gate)
		}
		if !report.Operations[1].Passed {
			t.Errorf("%s: other operations fail too: %v", c.gate, err)
		}
	}
}

// A counter counts what is made on a backend and closed again.
type counter struct {
	*naive
	open *int
}

func (c counter) Close() error { *c.open--; return c.naive.Close() }

// A countedBackend is open until it is closed, and so is what it prepares.
type countedBackend struct {
	naiveBackend
	open *int
}

func (b *countedBackend) Close() error { *b.open--; return b.naiveBackend.Close() }

type countedBuffer struct {
	*buffer
	open *int
}

func (b *countedBuffer) Close() error { *b.open--; return nil }

func (b counter) NewBuffer(n int) (network.Buffer, error) {
	*b.open++
	made, err := b.naive.NewBuffer(n)
	return &countedBuffer{made.(*buffer), b.open}, err
}

func (b counter) Write(dst network.Buffer, offset int, src []float64) error {
	return b.naive.Write(dst.(*countedBuffer).buffer, offset, src)
}

func (b counter) Read(src network.Buffer, offset int, dst []float64) error {
	return b.naive.Read(src.(*countedBuffer).buffer, offset, dst)
}

func (b counter) Clear(dst network.Buffer) error {
	return b.naive.Clear(dst.(*countedBuffer).buffer)
}

func (b counter) Update(u network.Update, theta, g network.Vector, state []network.Vector, t network.Recorder) error {
	theta.Buffer, g.Buffer = theta.Buffer.(*countedBuffer).buffer, g.Buffer.(*countedBuffer).buffer
	state = slices.Clone(state)
	for i, v := range state {
		state[i].Buffer = v.Buffer.(*countedBuffer).buffer
	}
	return b.naive.Update(u, theta, g, state, t)
}

func TestEverythingIsClosed(t *testing.T) {
	t.Parallel()
	open, backends := 0, 0
	names := []string{"buffer", "update", "plan"}
	_, err := backendtest.Check(func() (network.Backend, error) {
		open++
		backends++
		b := &countedBackend{open: &open}
		b.made = func(n *naive) network.Executor { open++; return counter{n, &open} }
		return b, nil
	}, backendtest.Quick(), backendtest.Only(names...))
	must.OK(t, err)
	if open != 0 {
		t.Errorf("%d objects are left open", open)
	}
	if backends != len(names) {
		t.Errorf("%d backends were opened for %d families", backends, len(names))
	}
}

// A suite that ends early reports the families that it was done with.
func TestUntil(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	report, err := backendtest.Check(opener(none), backendtest.Quick(), backendtest.Only("plan", "buffer", "update"), backendtest.Until(ctx),
		backendtest.Progress(func(_ string, done, _ int) {
			if done == 2 {
				cancel()
			}
		}))
	if !errors.Is(err, context.Canceled) || len(report.Operations) != 2 || !report.Operations[1].Passed || report.Info.Backend == "" {
		t.Errorf("error %v, report %+v", err, report)
	}
}

func TestReportAsJSON(t *testing.T) {
	t.Parallel()
	report, err := backendtest.Check(opener(unshifted), backendtest.Quick(), backendtest.Only("softmax-cross-entropy", "misuse"))
	if err == nil {
		t.Fatal("softmax without its maximum passes")
	}
	if !math.IsInf(float64(report.Operations[0].Max), 1) {
		t.Fatalf("largest ratio is %v where the result is NaN", report.Operations[0].Max)
	}
	text, err := json.Marshal(report)
	must.OK(t, err)
	for _, want := range []string{`"operation":"softmax-cross-entropy"`, `"max":null`, `"passed":false`, `"got":null`, `"failures":[]`, `"roundoff":`} {
		if !strings.Contains(string(text), want) {
			t.Errorf("no %s in %.600s", want, text)
		}
	}
	if table := report.String(); !strings.Contains(table, "FAILED") || !strings.Contains(table, "misuse") {
		t.Errorf("table is\n%s", table)
	}
}

// Two runs in one process must not share what they change.
func TestChecksAgreeAndMayRunTogether(t *testing.T) {
	t.Parallel()
	results := make(chan backendtest.Report)
	for range 2 {
		go func() {
			report, err := backendtest.Check(opener(none), backendtest.Quick(), backendtest.Only("forward-input", "update"))
			if err != nil {
				t.Error(err)
			}
			results <- report
		}()
	}
	a, b := <-results, <-results
	for i := range a.Operations {
		a.Operations[i].Seconds, b.Operations[i].Seconds = 0, 0
		if x, y := a.Operations[i], b.Operations[i]; x.Max != y.Max || x.Average != y.Average || x.Elements != y.Elements || x.Naive != y.Naive {
			t.Errorf("%+v\n%+v", x, y)
		}
	}
	if !slices.Equal([]string{a.Operations[0].Operation, a.Operations[1].Operation}, []string{"forward-input", "update"}) {
		t.Errorf("operations are %v", a.Operations)
	}
}

// A stepper has whole iterations of networks of up to a number of layers.
type stepper struct {
	*naive
	layers int
}

func (b stepper) NewSteps(l network.Layout, s network.Samples, x network.Input) (network.Steps, error) {
	if l.Layers() > b.layers {
		return nil, nil
	}
	return b.naive.NewSteps(l, s, x)
}

// A backend without whole iterations passes, and the report says that none were judged. One
// that has them for some networks only fails.
func TestStepsAreAbsentOrJudged(t *testing.T) {
	t.Parallel()
	for layers, want := range map[int]string{0: "", 2: "there are no whole iterations of this network, but of others"} {
		report, err := backendtest.Check(func() (network.Backend, error) {
			return &naiveBackend{made: func(n *naive) network.Executor { return stepper{n, layers} }}, nil
		}, backendtest.Quick(), backendtest.Only("steps"))
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("up to %d layers: the error is %v, %q is expected", layers, err, want)
		}
		if o := report.Operations[0]; (o.Absent == "") != (layers > 0) || (o.Cases == 0) != (layers == 0) {
			t.Errorf("up to %d layers: %+v", layers, o)
		}
		if layers == 0 && !strings.Contains(report.String(), "no whole iterations") {
			t.Errorf("table is\n%s", report)
		}
	}
}
