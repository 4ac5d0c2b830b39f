// Package share has several backends share the rows of every batch: in proportion to their
// speeds, in sixteenths. The speeds are measured once, and what came of them is kept (package
// store), so that two runs are the same run.
package share

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"

	"clgrad/cmd/clgrad/store"
	"clgrad/network"
)

// Backends are those that share the rows of every batch, in the order of the plan's shards.
type Backends []network.Backend

// Close closes them all.
func (b Backends) Close() error {
	var errs []error
	for _, one := range b {
		errs = append(errs, one.Close())
	}
	return errors.Join(errs...)
}

// Info returns that of the first, with the names of all backends, devices and drivers.
func (b Backends) Info() network.Info {
	info := b[0].Info()
	if len(b) > 1 {
		info.Backend = strings.Join(b.each(func(i network.Info) string { return i.Backend }), ",")
		info.Device = strings.Join(b.each(func(i network.Info) string { return i.Device }), ", ")
		info.Driver = strings.Join(slices.Compact(b.each(func(i network.Info) string { return i.Driver })), ", ")
	}
	return info
}

func (b Backends) each(of func(network.Info) string) (all []string) {
	for _, one := range b {
		all = append(all, of(one.Info()))
	}
	return all
}

// StartProfile starts the profiles of the backends that have one.
func (b Backends) StartProfile() error {
	for _, one := range b {
		if p, ok := one.(network.Profiler); ok {
			if err := p.StartProfile(); err != nil {
				return err
			}
		}
	}
	return nil
}

// Profile returns the times of their operations. Of several backends the operations begin
// with a backend's name.
func (b Backends) Profile() (all []network.OperationTime, err error) {
	for _, one := range b {
		p, ok := one.(network.Profiler)
		if !ok {
			continue
		}
		times, err := p.Profile()
		if err != nil {
			return nil, err
		}
		for _, o := range times {
			if len(b) > 1 {
				o.Operation = one.Info().Backend + " " + o.Operation
			}
			all = append(all, o)
		}
	}
	return all, nil
}

// whole is how many parts a batch has.
const whole = 16

// Most is how many backends can share a batch.
const Most = whole

// Sixteenths returns how many sixteenths of the rows each backend takes: in proportion to
// its speed, and at least one.
func Sixteenths(speeds []float64) []int {
	sum := 0.
	for _, v := range speeds {
		sum += v
	}
	shares, left := make([]int, len(speeds)), whole
	for i, v := range speeds {
		shares[i] = max(1, int(whole*v/sum))
		left -= shares[i]
	}
	// One goes to, or comes from, where the share then is closest to the speed.
	for ; left != 0; left -= sign(left) {
		best, least := -1, math.Inf(1)
		for i, v := range speeds {
			if off := float64(sign(left)) * (float64(shares[i]) - whole*v/sum); off < least && shares[i]+sign(left) > 0 {
				best, least = i, off
			}
		}
		shares[best] += sign(left)
	}
	return shares
}

func sign(n int) int {
	if n < 0 {
		return -1
	}
	return 1
}

// Words says how backends share the rows by a plan's shards, as in "9/16 on opencl:0.0 (NAME) and
// 7/16 on cpu (NAME)".
func Words(shares []int, plan network.Plan) string {
	sum := 0
	for _, n := range shares {
		sum += n
	}
	var all []string
	for i, s := range plan.Shards {
		all = append(all, fmt.Sprintf("%d/%d on %s (%s)", shares[i], sum, s.Backend, s.Device))
	}
	return list(all)
}

// Rows says how many rows of a batch each backend of a plan has, as in "33750 on opencl:0.0 (NAME) and
// 26250 on cpu (NAME)".
func Rows(plan network.Plan) string {
	var all []string
	for _, s := range plan.Shards {
		all = append(all, fmt.Sprintf("%d on %s (%s)", s.Rows, s.Backend, s.Device))
	}
	return list(all)
}

// list joins two parts or more.
func list(all []string) string {
	last := len(all) - 1
	return strings.Join(all[:last], ", ") + " and " + all[last]
}

// Shares returns what is kept for the backends of a plan of equal slices, or measures it with
// the given function and keeps it. known reports that it was kept. Where it cannot be kept,
// problem says why.
func Shares(plan network.Plan, measure func() ([]float64, error)) (shares []int, known bool, problem, err error) {
	dir, problem := store.Dir()
	key := Key(plan)
	if problem == nil {
		if shares, problem = store.Shares(dir, key); len(shares) == len(plan.Shards) {
			return shares, true, nil, nil
		}
	}
	speeds, err := measure()
	if err != nil {
		return nil, false, nil, err
	}
	shares = Sixteenths(speeds)
	if dir != "" {
		// Another run may have measured at the same time: the first one counts.
		var unkept error
		shares, unkept = store.KeepShares(dir, key, shares)
		problem = errors.Join(problem, unkept)
	}
	return shares, false, problem, nil
}

// Key returns the key of all that the speeds depend on: the network, the rows of a batch, and of
// each backend device, driver, kernels and settings, which have its tuning.
func Key(plan network.Plan) string {
	text, err := json.Marshal([]any{plan.Sizes, plan.BatchRows, plan.Shards})
	if err != nil {
		panic("share: a plan cannot be written") // it has numbers, texts and what was JSON before
	}
	return store.Key("shares 1", string(text))
}
