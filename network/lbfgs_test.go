package network_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"gonum.org/v1/gonum/floats"
	"gonum.org/v1/gonum/optimize"
	"gonum.org/v1/gonum/optimize/functions"

	"clgrad/network"
	"clgrad/network/must"
)

// rosenbrock is the extended Rosenbrock function and a start of n parameters.
func rosenbrock(n int) (network.Objective, []float64) {
	theta := make([]float64, n)
	for i := range theta {
		theta[i] = []float64{-1.2, 1}[i%2]
	}
	return network.Objective{Evaluate: func(theta, gradient []float64) (float64, error) {
		f := functions.ExtendedRosenbrock{}
		f.Grad(gradient, theta)
		return f.Func(theta), nil
	}}, theta
}

// regression is softmax regression of random samples with a small L2 penalty. real
// is the precision of the loss and of the gradient.
func regression[real float32 | float64](seed uint64) (network.Objective, []float64) {
	const rows, features, classes = 60, 6, 4
	s := blobs(rows, features, classes, seed)
	random := rand.New(rand.NewPCG(seed, 2))
	for i := range s.Labels {
		if random.IntN(5) == 0 {
			s.Labels[i] = int32(random.IntN(classes)) // so that no weights separate the classes
		}
	}
	theta := make([]float64, features*classes)
	for i := range theta {
		theta[i] = float64(float32(random.NormFloat64()))
	}
	return network.Objective{Evaluate: func(theta, gradient []float64) (float64, error) {
		var loss real
		sums := make([]real, len(theta))
		for i := range rows {
			var z [classes]real
			x := s.Floats[i*features : (i+1)*features]
			for j, v := range x {
				for c := range classes {
					z[c] += real(v) * real(theta[j*classes+c])
				}
			}
			top, sum := slices.Max(z[:]), real(0)
			for c := range classes {
				sum += real(math.Exp(float64(z[c] - top)))
			}
			loss += real(math.Log(float64(sum))) - (z[s.Labels[i]] - top)
			for c := range classes {
				dz := real(math.Exp(float64(z[c]-top))) / sum
				if c == int(s.Labels[i]) {
					dz--
				}
				for j, v := range x {
					sums[j*classes+c] += real(v) * dz / rows
				}
			}
		}
		loss /= rows
		for i, v := range theta {
			loss += 5e-4 * real(v) * real(v)
			gradient[i] = float64(sums[i] + 1e-3*real(v))
		}
		return float64(loss), nil
	}}, theta
}

func round32(theta []float64) {
	for i, v := range theta {
		theta[i] = float64(float32(v))
	}
}

// stored returns what a checkpoint gives back of a state.
func stored(t *testing.T, s *network.LBFGSState) *network.LBFGSState {
	t.Helper()
	text, err := json.Marshal(s)
	must.OK(t, err)
	c := new(network.LBFGSState)
	must.OK(t, json.Unmarshal(text, c))
	c.Theta, c.Gradient = slices.Clone(s.Theta), slices.Clone(s.Gradient)
	for i := range s.S {
		c.S, c.Y = append(c.S, slices.Clone(s.S[i])), append(c.Y, slices.Clone(s.Y[i]))
	}
	return c
}

func start(t *testing.T, o network.LBFGSOptions, f network.Objective, theta []float64) *network.LBFGSState {
	t.Helper()
	s, err := o.Start(theta, f)
	must.OK(t, err)
	return s
}

// step does an iteration and checks the state and the strong Wolfe conditions that the
// step claims, which are those of the given options (0: the defaults).
func step(t *testing.T, o network.LBFGSOptions, f network.Objective, s *network.LBFGSState) network.LBFGSStep {
	t.Helper()
	x, g, loss := s.Theta, s.Gradient, s.Loss
	done, err := o.Step(s, f)
	must.OK(t, err)
	must.OK(t, o.Check(s, len(x)))
	c1, c2 := o.C1, o.C2
	if c1 == 0 {
		c1, c2 = 1e-4, 0.9
	}
	if done.Wolfe {
		d := floats.SubTo(make([]float64, len(x)), s.Theta, x)
		before, after := floats.Dot(g, d), floats.Dot(s.Gradient, d)
		const slack = 1e-15 // of the rounding of x + t·d
		if s.Loss > loss+c1*before+slack*math.Abs(loss) {
			t.Errorf("iteration %d: loss from %g to %g with slope %g: no sufficient decrease", s.Iteration, loss, s.Loss, before)
		}
		if f.Round == nil && math.Abs(after) > c2*math.Abs(before)*(1+1e-9) {
			t.Errorf("iteration %d: slope from %g to %g", s.Iteration, before, after)
		}
	}
	return done
}

// A wrong recursion or a wrong order of the history gives another direction than
// gonum's at the same points.
func TestLBFGSDirection(t *testing.T) {
	for name, problem := range map[string]func() (network.Objective, []float64){
		"rosenbrock": func() (network.Objective, []float64) { return rosenbrock(20) },
		"regression": func() (network.Objective, []float64) { return regression[float64](1) },
	} {
		t.Run(name, func(t *testing.T) {
			f, theta := problem()
			o := network.LBFGSOptions{HistorySize: 7}
			s := start(t, o, f, theta)
			reference := &optimize.LBFGS{Store: 7}
			want := make([]float64, len(theta))
			reference.InitDirection(&optimize.Location{X: s.Theta, F: s.Loss, Gradient: s.Gradient}, want)
			for i := range 30 {
				if i > 0 {
					reference.NextDirection(&optimize.Location{X: s.Theta, F: s.Loss, Gradient: s.Gradient}, want)
				}
				got := s.Direction()
				if d := floats.Distance(got, want, 2) / floats.Norm(want, 2); !(d <= 1e-10) {
					t.Fatalf("step %d: direction differs by %g", i, d)
				}
				if done := step(t, o, f, s); !done.Wolfe || s.Pairs() != min(i+1, 7) {
					t.Fatalf("step %d: %+v, %d pairs, stop %q: want a pair from every step", i, done, s.Pairs(), s.Stop)
				}
			}
		})
	}
}

// Sums whose order depends on the number of cores would make a resumed run differ. Many
// chunks of random vectors also have to come to the plain recursion's direction.
func TestLBFGSDirectionCores(t *testing.T) {
	const n, pairs = 50_001, 7
	random := rand.New(rand.NewPCG(1, 2))
	vector := func() []float64 {
		v := make([]float64, n)
		for i := range v {
			v[i] = random.NormFloat64()
		}
		return v
	}
	s := &network.LBFGSState{Theta: vector(), Gradient: vector()}
	for range pairs {
		x, y := vector(), vector()
		floats.AddScaled(y, 2, x)
		s.S, s.Y = append(s.S, x), append(s.Y, y)
	}
	q, alpha := slices.Clone(s.Gradient), make([]float64, pairs)
	for i := pairs - 1; i >= 0; i-- {
		alpha[i] = floats.Dot(s.S[i], q) / floats.Dot(s.Y[i], s.S[i])
		floats.AddScaled(q, -alpha[i], s.Y[i])
	}
	newest := s.Y[pairs-1]
	floats.Scale(floats.Dot(s.S[pairs-1], newest)/floats.Dot(newest, newest), q)
	for i := range pairs {
		floats.AddScaled(q, alpha[i]-floats.Dot(s.Y[i], q)/floats.Dot(s.Y[i], s.S[i]), s.S[i])
	}
	floats.Scale(-1, q)

	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	want := s.Direction()
	if d := floats.Distance(want, q, 2) / floats.Norm(q, 2); !(d <= 1e-12) {
		t.Errorf("differs from the plain recursion by %g", d)
	}
	for _, cores := range []int{2, 3, 8} {
		runtime.GOMAXPROCS(cores)
		for range 10 {
			if !slices.Equal(s.Direction(), want) {
				t.Fatalf("with %d cores the bits are other than with one", cores)
			}
		}
	}
}

// BenchmarkDirection is that of 784-128-10.
//
//	go test ./network -run '^$' -bench Direction
func BenchmarkDirection(b *testing.B) {
	for _, pairs := range []int{10, 40} {
		b.Run(fmt.Sprint(pairs, " pairs"), func(b *testing.B) {
			s := &network.LBFGSState{Gradient: make([]float64, 102_000)}
			for i := range s.Gradient {
				s.Gradient[i] = float64(i % 7)
			}
			for range pairs {
				s.S, s.Y = append(s.S, slices.Clone(s.Gradient)), append(s.Y, slices.Clone(s.Gradient))
			}
			for b.Loop() {
				s.Direction()
			}
		})
	}
}

// minimize runs to the end, or until the gradient is small.
func minimize(t *testing.T, o network.LBFGSOptions, f network.Objective, s *network.LBFGSState) {
	t.Helper()
	for floats.Norm(s.Gradient, math.Inf(1)) > 1e-8 {
		if done := step(t, o, f, s); !done.Wolfe {
			t.Fatalf("iteration %d: no strong Wolfe conditions, stop %q, gradient %g", s.Iteration, s.Stop, floats.Norm(s.Gradient, 2))
		}
		if s.Iteration == 500 {
			t.Fatal("no end after 500 iterations")
		}
	}
}

// A poor line search needs many more evaluations than gonum's.
func TestLBFGSConverges(t *testing.T) {
	for name, problem := range map[string]func() (network.Objective, []float64){
		"rosenbrock 2":  func() (network.Objective, []float64) { return rosenbrock(2) },
		"rosenbrock 20": func() (network.Objective, []float64) { return rosenbrock(20) },
		"regression":    func() (network.Objective, []float64) { return regression[float64](2) },
	} {
		t.Run(name, func(t *testing.T) {
			f, theta := problem()
			s := start(t, network.LBFGSOptions{}, f, theta)
			minimize(t, network.LBFGSOptions{}, f, s)
			want, err := optimize.Minimize(optimize.Problem{
				Func: func(x []float64) float64 {
					loss, _ := f.Evaluate(x, make([]float64, len(x)))
					return loss
				},
				Grad: func(g, x []float64) { f.Evaluate(x, g) },
			}, theta, &optimize.Settings{GradientThreshold: 1e-8},
				&optimize.LBFGS{Store: 10, Linesearcher: &optimize.MoreThuente{DecreaseFactor: 1e-4}})
			must.OK(t, err)
			if d := floats.Distance(s.Theta, want.X, math.Inf(1)); d > 1e-5 || math.Abs(s.Loss-want.F) > 1e-12 {
				t.Errorf("minimum %g where gonum has %g, parameters differ by %g", s.Loss, want.F, d)
			}
			t.Logf("%d iterations, %d evaluations; gonum %d, %d", s.Iteration, s.Evaluations, want.MajorIterations, want.FuncEvaluations)
			if s.Evaluations > want.FuncEvaluations*3/2 {
				t.Errorf("%d evaluations where gonum needs %d", s.Evaluations, want.FuncEvaluations)
			}
		})
	}
}

// Anything that a state does not hold makes a resumed run differ.
func TestLBFGSResume(t *testing.T) {
	f, theta := regression[float32](3)
	f.Round, f.Roundoff = round32, 1./(1<<24)
	o := network.LBFGSOptions{HistorySize: 3}
	s := start(t, o, f, theta)
	var states []*network.LBFGSState
	for s.Stop == "" {
		states = append(states, stored(t, s))
		step(t, o, f, s)
	}
	if len(states) < 10 {
		t.Fatalf("only %d iterations", len(states))
	}
	for i, resumed := range states {
		for resumed.Stop == "" {
			step(t, o, f, resumed)
		}
		if d := cmp.Diff(s, resumed); d != "" {
			t.Errorf("resumed after iteration %d (-whole +resumed):\n%s", i, d)
		}
	}
	before := stored(t, s)
	if done := step(t, o, f, s); done != (network.LBFGSStep{}) || !cmp.Equal(s, before) {
		t.Errorf("a step after the end did %+v", done)
	}
}

// A float32 loss has no lower value to offer at some time. The run then has to end, near
// the minimum, at parameters that the device has.
func TestLBFGSRounded(t *testing.T) {
	for seed := range uint64(20) {
		f, theta := regression[float64](seed)
		exact := start(t, network.LBFGSOptions{}, f, theta)
		minimize(t, network.LBFGSOptions{}, f, exact)

		f, theta = regression[float32](seed)
		f.Round, f.Roundoff = round32, 1./(1<<24)
		theta[0] += 1e-10
		given := theta[0]
		s := start(t, network.LBFGSOptions{}, f, theta)
		if s.Theta[0] != float64(float32(given)) || theta[0] != given {
			t.Fatalf("seed %d: starts from %g where %g was given, which is now %g", seed, s.Theta[0], given, theta[0])
		}
		for s.Stop == "" {
			step(t, network.LBFGSOptions{}, f, s)
			if s.Evaluations > 2*exact.Evaluations {
				t.Fatalf("seed %d: %d evaluations and no end, in float64 %d", seed, s.Evaluations, exact.Evaluations)
			}
		}
		t.Logf("seed %d: %s after %d iterations, %d evaluations, loss +%g; float64 %d, %d", seed, s.Stop, s.Iteration, s.Evaluations,
			s.Loss/exact.Loss-1, exact.Iteration, exact.Evaluations)
		if math.Abs(s.Loss/exact.Loss-1) > 1e-5 {
			t.Errorf("seed %d: ends with loss %g where float64 has %g", seed, s.Loss, exact.Loss)
		}
		g, rounded := make([]float64, len(theta)), slices.Clone(s.Theta)
		round32(rounded)
		if loss, _ := f.Evaluate(rounded, g); loss != s.Loss || !slices.Equal(g, s.Gradient) || !slices.Equal(rounded, s.Theta) {
			t.Errorf("seed %d: loss and gradient are not those of rounded parameters", seed)
		}
	}
}

// square is x²/2.
var square = network.Objective{Evaluate: func(x, g []float64) (float64, error) {
	g[0] = x[0]
	return x[0] * x[0] / 2, nil
}}

// An iteration that is as it should be and gains no more than the loss's error has to be
// the last.
func TestLBFGSSmallGain(t *testing.T) {
	for roundoff, want := range map[float64]network.LBFGSStop{0.43: "", 0.44: network.SmallGain} {
		f := square
		f.Roundoff = roundoff
		s := start(t, network.LBFGSOptions{}, f, []float64{4})
		if done := step(t, network.LBFGSOptions{}, f, s); s.Stop != want || s.Iteration != 1 || !done.Wolfe {
			t.Errorf("roundoff %g: %+v, loss from 8 to %g, stop %q, want %q", roundoff, done, s.Loss, s.Stop, want)
		}
	}
}

// A direction along which nothing is found is the fault of the history, unless there
// is none.
func TestLBFGSClearsHistory(t *testing.T) {
	o := network.LBFGSOptions{MaxEvaluations: 1}
	s := start(t, o, square, []float64{4})
	s.S, s.Y, s.Iteration, s.Evaluations = [][]float64{{1e6}}, [][]float64{{1}}, 1, 2 // H = 10⁶, the first trial is far off
	if done := step(t, o, square, s); done.Evaluations != 2 || done.Accepted != 2 || s.Stop != "" || s.Theta[0] != 3 {
		t.Errorf("%+v, x = %g, stop %q: want a second search, along -g", done, s.Theta[0], s.Stop)
	}

	kink := network.Objective{Evaluate: func(x, g []float64) (float64, error) {
		g[0] = 1 // not the gradient: no step lowers the loss
		return math.Abs(x[0]), nil
	}}
	s = start(t, network.LBFGSOptions{}, kink, []float64{0})
	s.S, s.Y, s.Iteration, s.Evaluations = [][]float64{{1}}, [][]float64{{1}}, 1, 2
	done := step(t, network.LBFGSOptions{}, kink, s)
	if s.Stop != network.NoProgress || s.Iteration != 1 || s.Pairs() != 0 || s.Theta[0] != 0 || done.Accepted != 0 {
		t.Errorf("%+v, state %+v: want the end without progress", done, s)
	}
}

// A pair of a concave stretch would turn the next direction uphill.
func TestLBFGSSkipsPairs(t *testing.T) {
	concave := network.Objective{Evaluate: func(x, g []float64) (float64, error) {
		g[0] = -x[0]
		return -x[0] * x[0] / 2, nil
	}}
	o := network.LBFGSOptions{MaxEvaluations: 3}
	s := start(t, o, concave, []float64{1})
	if done := step(t, o, concave, s); done.Wolfe || done.Accepted != 3 || s.Pairs() != 0 || s.Iteration != 1 || !(s.Loss < -100) {
		t.Errorf("%+v, %d pairs, loss %g: want the third trial and no pair", done, s.Pairs(), s.Loss)
	}
}

// barrier is x − log x with its minimum at 1. Where x ≤ 0 it returns outside.
func barrier(outsideLoss, outsideGradient float64) network.Objective {
	return network.Objective{Evaluate: func(x, g []float64) (float64, error) {
		if x[0] <= 0 {
			g[0] = outsideGradient
			return outsideLoss, nil
		}
		g[0] = 1 - 1/x[0]
		return x[0] - math.Log(x[0]), nil
	}}
}

// A first trial far outside must be shortened until it is inside.
func TestLBFGSNonFinite(t *testing.T) {
	inf, nan := math.Inf(1), math.NaN()
	for _, outside := range [][2]float64{{nan, 0}, {inf, 0}, {-inf, 0}, {-1e9, nan}, {-1e9, inf}} {
		for _, rate := range []float64{10, 1e6, 1e12} {
			f, o := barrier(outside[0], outside[1]), network.LBFGSOptions{LearningRate: rate}
			s := start(t, o, f, []float64{3})
			if done := step(t, o, f, s); done.Accepted < 2 {
				t.Fatalf("outside %v, rate %g: %+v: want a trial outside", outside, rate, done)
			}
			minimize(t, o, f, s)
			if math.Abs(s.Theta[0]-1) > 1e-7 {
				t.Errorf("outside %v, rate %g: ends at %g", outside, rate, s.Theta[0])
			}
			if _, err := o.Start([]float64{-1}, f); !errors.Is(err, network.ErrNonFiniteStart) {
				t.Errorf("outside %v: start: %v", outside, err)
			}
		}
	}

	// Parameters that overflow in float32, where the loss does not show it.
	f := network.Objective{Round: round32, Evaluate: func(x, g []float64) (float64, error) {
		g[0] = -1e-38
		if x[0] > 4e38 {
			g[0] = 0
		}
		return -min(x[0]/1e38, 5), nil
	}}
	o := network.LBFGSOptions{LearningRate: 3e76}
	s := start(t, o, f, []float64{1e38})
	if step(t, o, f, s); s.Iteration != 1 || !(s.Loss < -1) {
		t.Errorf("x = %g, stop %q", s.Theta[0], s.Stop)
	}

	// A slope that overflows, along which no decrease would be sufficient.
	f = network.Objective{Evaluate: func(x, g []float64) (float64, error) {
		g[0] = 1e200
		return 1e200 * x[0], nil
	}}
	s = start(t, network.LBFGSOptions{}, f, []float64{1})
	if done := step(t, network.LBFGSOptions{}, f, s); done.Evaluations != 0 || s.Stop != network.NoProgress {
		t.Errorf("%+v, stop %q: want the end without a search", done, s.Stop)
	}
}

func TestLBFGSZeroGradient(t *testing.T) {
	f, theta := rosenbrock(2)
	s := start(t, network.LBFGSOptions{}, f, []float64{1, 1})
	if step(t, network.LBFGSOptions{}, f, s); s.Stop != network.ZeroGradient || s.Iteration != 0 || s.Evaluations != 1 {
		t.Errorf("at the minimum: %+v", s)
	}
	f.Evaluate = func(x, g []float64) (float64, error) { // (x₀ − 1)²/2, whose minimum is one step away
		g[0], g[1] = x[0]-1, 0
		return g[0] * g[0] / 2, nil
	}
	theta[0] = 0
	s = start(t, network.LBFGSOptions{}, f, theta)
	if step(t, network.LBFGSOptions{}, f, s); s.Stop != network.ZeroGradient || s.Iteration != 1 {
		t.Errorf("one step to the minimum: %+v", s)
	}
}

// An error in the middle of a line search, an interrupt for example, must leave a
// state to go on from.
func TestLBFGSError(t *testing.T) {
	f, theta := rosenbrock(6)
	o := network.LBFGSOptions{HistorySize: 2}
	s := start(t, o, f, theta)
	for range 6 {
		step(t, o, f, s)
	}
	before, failed := stored(t, s), errors.New("device lost")
	fails := network.Objective{Evaluate: func([]float64, []float64) (float64, error) { return 0, failed }}
	if _, err := o.Step(s, fails); !errors.Is(err, failed) {
		t.Errorf("step: %v", err)
	}
	if d := cmp.Diff(before, s); d != "" {
		t.Errorf("an error changed the state:\n%s", d)
	}
	if _, err := o.Start(theta, fails); !errors.Is(err, failed) {
		t.Errorf("start: %v", err)
	}
}

func TestLBFGSOptions(t *testing.T) {
	f, theta := rosenbrock(2)
	s := start(t, network.LBFGSOptions{}, f, theta)
	for want, o := range map[string]network.LBFGSOptions{
		"history size -1":     {HistorySize: -1},
		"learning rate -1":    {LearningRate: -1},
		"learning rate NaN":   {LearningRate: math.NaN()},
		"c1 = 0.5, c2 = 0.4":  {C1: 0.5, C2: 0.4},
		"c1 = 0.0001, c2 = 1": {C2: 1},
		"-1 evaluations":      {MaxEvaluations: -1},
	} {
		_, started := o.Start(theta, f)
		_, stepped := o.Step(s, f)
		for _, err := range []error{started, stepped, o.Check(s, 2)} {
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%+v: error %v, want %q", o, err, want)
			}
		}
	}
}

func TestLBFGSCheck(t *testing.T) {
	f, theta := rosenbrock(2)
	o := network.LBFGSOptions{HistorySize: 3}
	good := start(t, o, f, theta)
	for range 5 {
		step(t, o, f, good) // which checks it
	}
	nan := math.NaN()
	for want, spoil := range map[string]func(*network.LBFGSState){
		"theta has 3 elements":       func(s *network.LBFGSState) { s.Theta = append(s.Theta, 0) },
		"gradient has 1 elements":    func(s *network.LBFGSState) { s.Gradient = s.Gradient[:1] },
		"s of pair 2 has 1 elements": func(s *network.LBFGSState) { s.S[1] = s.S[1][:1] },
		"y of pair 3 has 3 elements": func(s *network.LBFGSState) { s.Y[2] = append(s.Y[2], 1) },
		"s and y of 2 and 3 vectors": func(s *network.LBFGSState) { s.S = s.S[:2] },
		"s and y of 3 and 2 vectors": func(s *network.LBFGSState) { s.Y = s.Y[:2] },
		"4 pairs where the history":  func(s *network.LBFGSState) { s.S, s.Y = append(s.S, s.S[0]), append(s.Y, s.Y[0]) },
		"3 pairs after 2 iterations": func(s *network.LBFGSState) { s.Iteration = 2 },
		"after -1 iterations":        func(s *network.LBFGSState) { s.Iteration, s.S, s.Y = -1, nil, nil },
		"5 evaluations for 5":        func(s *network.LBFGSState) { s.Evaluations = 5 },
		`stop "tired"`:               func(s *network.LBFGSState) { s.Stop = "tired" },
		"loss is +Inf":               func(s *network.LBFGSState) { s.Loss = math.Inf(1) },
		"theta: an element":          func(s *network.LBFGSState) { s.Theta[1] = nan },
		"gradient: an element":       func(s *network.LBFGSState) { s.Gradient[0] = math.Inf(-1) },
		"s of pair 3: an element":    func(s *network.LBFGSState) { s.S[2][1] = nan },
		"y of pair 1: an element":    func(s *network.LBFGSState) { s.Y[0][0] = nan },
		"pair 3 of the history has no": func(s *network.LBFGSState) {
			s.S[2][0], s.S[2][1] = -s.S[2][0], -s.S[2][1]
		},
	} {
		s := stored(t, good)
		spoil(s)
		if err := o.Check(s, 2); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want %q", err, want)
		}
	}
}
