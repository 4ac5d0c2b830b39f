package cpu

import (
	"math"

	"clgrad/network"
)

// Update applies a rule.
func (e *executor[T]) Update(u network.Update, theta, g network.Vector, state []network.Vector, r network.Recorder) error {
	network.CheckUpdate(u, theta, g, state)
	vectors := append([]network.Vector{theta, g}, state...)
	for _, v := range vectors {
		if err := e.open(network.OpUpdate, v.Buffer); err != nil {
			return err
		}
	}
	mine, err := e.ownRecorder(network.OpUpdate, r)
	if err != nil {
		return err
	}
	began := e.begin()
	var s [2][]T
	for i, v := range state {
		s[i] = e.vector(v)
	}
	if !update(u, e.vector(theta), e.vector(g), s[0], s[1]) && mine.nonFinite == 0 {
		mine.nonFinite = u.Iteration
	}
	e.ended(began, func() string { return network.OpUpdate })
	return nil
}

func (e *executor[T]) vector(v network.Vector) []T {
	return e.own(v.Buffer).data[v.Offset : v.Offset+v.Len]
}

// update applies a rule to x by its gradient g and the state a and b, and reports
// whether all is finite. The loops are apart, because a choice inside of one costs more
// than an update.
func update[T Float](u network.Update, x, g, a, b []T) bool {
	f := u.Factors()
	rate, decay, mu := T(f.Rate), T(f.Decay), T(f.Keep1)
	var wrong T // 0, or NaN: v − v is 0 where v is finite
	switch u.Optimizer {
	case network.GD:
		for i, d := range g {
			x[i] -= rate * (d + decay*x[i])
			wrong += (d - d) + (x[i] - x[i])
		}
	case network.Momentum:
		for i, d := range g {
			a[i] = mu*a[i] + (d + decay*x[i])
			x[i] -= rate * a[i]
			wrong += (d - d) + (x[i] - x[i]) + (a[i] - a[i])
		}
	case network.Nesterov:
		for i, d := range g {
			d += decay * x[i]
			a[i] = mu*a[i] + d
			x[i] -= rate * (d + mu*a[i])
			wrong += (d - d) + (x[i] - x[i]) + (a[i] - a[i])
		}
	case network.Adam, network.AdamW:
		keep := T(1)
		if u.Optimizer == network.AdamW {
			keep, decay = decay, 0
		}
		take1, keep2, take2, root, epsilon := T(f.Take1), T(f.Keep2), T(f.Take2), T(f.Root), T(f.Epsilon)
		for i, d := range g {
			d += decay * x[i]
			a[i] = mu*a[i] + take1*d
			b[i] = keep2*b[i] + take2*d*d
			x[i] = keep*x[i] - rate*a[i]/(T(math.Sqrt(float64(b[i])))*root+epsilon)
			wrong += (d - d) + (x[i] - x[i]) + (a[i] - a[i]) + (b[i] - b[i])
		}
	default:
		panic(badRule)
	}
	return wrong == wrong
}
