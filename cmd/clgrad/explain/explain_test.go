package explain_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"gonum.org/v1/gonum/floats"

	"clgrad/cmd/clgrad/explain"
	"clgrad/cpu"
	"clgrad/network"
	"clgrad/network/must"
)

// trained returns parameters as large as those of a trained network, and rows for it.
func trained(t testing.TB, sizes []int, rows int) (network.Layout, []float64, network.Samples) {
	t.Helper()
	l, err := network.NewLayout(sizes)
	must.OK(t, err)
	theta, err := l.Initial(network.He, 3)
	must.OK(t, err)
	random := rand.New(rand.NewPCG(1, 2))
	for i := range l.Layers() {
		_, b := l.Layer(i)
		for j := range b.Row(theta, 0) {
			b.Row(theta, 0)[j] = float64(float32(0.3 * random.NormFloat64()))
		}
	}
	s := network.Samples{Rows: rows, Features: sizes[0], Bytes: make([]uint8, rows*sizes[0]), Scaling: network.Scaling{Shift: []float64{33}, Factor: []float64{1. / 79}}}
	for i := range s.Bytes {
		s.Bytes[i] = uint8(random.IntN(256))
	}
	return l, theta, s
}

var networks = [][]int{{7, 3}, {784, 128, 10}, {20, 30, 25, 12, 4}}

// What the host computes is what the network computes that predicts.
func TestLogits(t *testing.T) {
	b := cpu.New[float64]()
	for _, sizes := range networks {
		l, theta, s := trained(t, sizes, 20)
		plan, err := b.Propose(sizes, s, s.Rows)
		must.OK(t, err)
		m, err := network.NewModel(b, l, theta, plan)
		must.OK(t, err)
		want, err := m.Logits(s)
		must.OK(t, err)
		n, err := explain.New(sizes, theta)
		must.OK(t, err)
		most := 0.0
		for _, v := range want {
			most = max(most, math.Abs(v))
		}
		rows, x := s.ScaledRows(), make([]float32, s.Features)
		for i := range s.Rows {
			rows(i, x)
			classes := sizes[len(sizes)-1]
			for k, v := range n.Forward(x).Logits() {
				if w := want[i*classes+k]; math.Abs(v-w) > 1e-5*most {
					t.Fatalf("%v: logit %d of row %d is %v, the network's is %v", sizes, k, i, v, w)
				}
			}
		}
		must.OK(t, m.Close())
	}
}

// The parts of a logit add up to it, for each class.
func TestContributions(t *testing.T) {
	for _, sizes := range networks {
		_, theta, s := trained(t, sizes, 3)
		n, err := explain.New(sizes, theta)
		must.OK(t, err)
		rows, x := s.ScaledRows(), make([]float32, s.Features)
		for i := range s.Rows {
			rows(i, x)
			p := n.Forward(x)
			off := 0
			for _, a := range p.Activations[1 : len(p.Activations)-1] {
				for _, v := range a {
					if v == 0 {
						off++
					}
				}
			}
			if off == 0 && len(sizes) > 2 {
				t.Fatalf("%v: every ReLU passes its value: this shows little", sizes)
			}
			for k, logit := range p.Logits() {
				units, bias := n.Units(p, k)
				if len(units) != sizes[len(sizes)-2] {
					t.Fatalf("%v: %d units", sizes, len(units))
				}
				if sum := floats.Sum(units) + bias; math.Abs(sum-logit) > 1e-9 {
					t.Errorf("%v: the units add up to %v, the logit is %v", sizes, sum, logit)
				}
				v, c := n.Inputs(p, len(sizes)-2, k)
				if sum := floats.Dot(v, p.Activations[0]) + c; math.Abs(sum-logit) > 1e-9 {
					t.Errorf("%v: the inputs add up to %v, the logit is %v", sizes, sum, logit)
				}
			}
			for l := range len(sizes) - 2 {
				for k, a := range p.Activations[l+1] {
					v, c := n.Inputs(p, l, k)
					if z := floats.Dot(v, p.Activations[0]) + c; math.Abs(max(z, 0)-a) > 1e-9 {
						t.Errorf("%v: the inputs of unit %d of layer %d add up to %v, its activation is %v", sizes, k, l, z, a)
					}
				}
			}
		}
	}
}

func TestNewErrors(t *testing.T) {
	if _, err := explain.New([]int{2, 2}, make([]float64, 3)); err == nil {
		t.Error("parameters of another length are no error")
	}
}

func TestPicture(t *testing.T) {
	p := explain.NewPicture([]float64{0, 1, -2, 0.5}, []int{2, 2})
	if p == nil || p.Height != 2 || p.Width != 2 || p.Largest != 2 || string(p.Pixels) != string([]byte{128, 192, 1, 160}) {
		t.Errorf("got %+v", p)
	}
	if p := explain.NewPicture([]float64{1, 2, 3, -1, -2, -3}, []int{1, 2, 3}); p == nil || p.Width != 2 || p.Largest != 2 || string(p.Pixels) != string([]byte{255, 1}) {
		t.Errorf("colours: got %+v", p)
	}
	if p := explain.NewPicture(make([]float64, 200*100), []int{200, 100}); p == nil || p.Height != 50 || p.Width != 25 || p.Pixels[0] != 128 {
		t.Errorf("large: got %+v", p)
	}
	for _, shape := range [][]int{nil, {4}, {3, 2}, {2, 2, 2}} {
		if p := explain.NewPicture(make([]float64, 4), shape); p != nil {
			t.Errorf("shape %v: got %+v", shape, p)
		}
	}
}

// An answer has the units that matter most, and says what the others add up to.
func TestAnswer(t *testing.T) {
	for _, test := range []struct {
		sizes, shape []int
	}{{[]int{784, 128, 10}, []int{28, 28}}, {[]int{12, 9, 2}, nil}, {[]int{20, 30, 25, 12, 4}, []int{4, 5}}, {[]int{9, 3}, []int{3, 3}}} {
		_, theta, s := trained(t, test.sizes, 1)
		n, err := explain.New(test.sizes, theta)
		must.OK(t, err)
		x := make([]float32, s.Features)
		s.ScaledRows()(0, x)
		p := n.Forward(x)
		if a := n.Explain(x, -1, test.shape); a.Class != a.Predicted || a.Predicted != p.Predicted() {
			t.Errorf("%v: class %d of an answer on the predicted class %d", test.sizes, a.Class, p.Predicted())
		}
		for class := range p.Logits() {
			a := n.Explain(x, class, test.shape)
			if a.Class != class || math.Abs(floats.Sum(a.Probabilities)-1) > 1e-12 {
				t.Errorf("%v: got class %d and probabilities %v", test.sizes, a.Class, a.Probabilities)
			}
			if (a.Pixels == nil) != (test.shape == nil) || (a.Inputs == nil) != (test.shape != nil) || (a.Units == nil) != (len(test.sizes) < 3) {
				t.Errorf("%v: got %+v", test.sizes, a)
			}
			if a.Units == nil {
				continue
			}
			all, _ := n.Units(p, class)
			sum, last, count := a.Bias+a.Others, math.Inf(1), map[bool]int{}
			shown := map[int]bool{}
			for _, u := range a.Units {
				sum += u.Contribution
				if u.Contribution > last || u.Contribution != u.Activation*u.Weight || u.Contribution != all[u.Unit] || (u.Weights == nil) != (test.shape == nil) {
					t.Errorf("%v: unit %+v behind one of %v", test.sizes, u, last)
				}
				last, shown[u.Unit] = u.Contribution, true
				count[u.Contribution > 0]++
			}
			if math.Abs(sum-a.Logits[class]) > 1e-9 {
				t.Errorf("%v: an answer adds up to %v, the logit is %v", test.sizes, sum, a.Logits[class])
			}
			for j, v := range all {
				if shown[j] || v == 0 {
					continue
				}
				for _, u := range a.Units {
					if count[v > 0] < explain.Shown || (u.Contribution > 0) == (v > 0) && math.Abs(u.Contribution) < math.Abs(v) {
						t.Errorf("%v: unit %d with %v is left out, unit %d with %v is not", test.sizes, j, v, u.Unit, u.Contribution)
					}
				}
			}
		}
	}
}

// What a request of the page takes, without its picture.
func BenchmarkExplain(b *testing.B) {
	for _, sizes := range [][]int{{784, 128, 10}, {784, 512, 512, 10}} {
		b.Run(fmt.Sprint(sizes), func(b *testing.B) {
			_, theta, s := trained(b, sizes, 1)
			n, err := explain.New(sizes, theta)
			must.OK(b, err)
			x := make([]float32, s.Features)
			s.ScaledRows()(0, x)
			for b.Loop() {
				n.Explain(x, -1, []int{28, 28})
			}
		})
	}
}
