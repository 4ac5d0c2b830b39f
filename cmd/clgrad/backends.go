package main

import (
	"errors"
	"fmt"
	"strings"

	"clgrad/cmd/clgrad/recipe"
	"clgrad/cmd/clgrad/share"
	"clgrad/gpu"
	"clgrad/network"
	"clgrad/network/dataset"
)

// openAll opens the backends that names has. The error has a line for each that cannot be
// opened.
func openAll(a *app, names recipe.Backend, o gpu.Options) (all share.Backends, err error) {
	if !names.Several() {
		b, err := backendName(names).open(a, o)
		if err != nil {
			return nil, err
		}
		return share.Backends{b}, nil
	}
	each, err := eachBackend(a, names)
	if err != nil {
		return nil, err
	}
	var failed []error
	for _, name := range each {
		if a.Err() != nil {
			break
		}
		b, err := name.open(a, o)
		if err != nil {
			failed = append(failed, fmt.Errorf("backend %s: %w", name, err))
			continue
		}
		all = append(all, b)
	}
	if err := errors.Join(append(failed, a.Err())...); err != nil {
		return nil, errors.Join(err, all.Close())
	}
	return all, nil
}

// eachBackend returns a name for each backend that names has, OpenCL devices by their
// numbers. A device that has two of the names is an error.
func eachBackend(a *app, names recipe.Backend) (each []backendName, err error) {
	first := map[backendName]recipe.Backend{} // the name by which one was found
	var failed []error
	for _, name := range names.Names() {
		var found []backendName
		kind, which, _ := strings.Cut(string(name), ":")
		switch {
		case kind != "opencl":
			found = []backendName{backendName(name)}
		case name == recipe.AllDevices:
			found, err = usableDevices(a)
		default:
			var d gpu.Device
			d, _, err = selectDevice(a, which)
			found = []backendName{backendName("opencl:" + d.ID())}
		}
		if err != nil {
			failed = append(failed, fmt.Errorf("backend %s: %w", name, err))
			continue
		}
		for _, n := range found {
			if by, ok := first[n]; ok {
				failed = append(failed, fmt.Errorf("backend %s: the device %s is named twice, by %s too", name, n, by))
				continue
			}
			first[n] = name
			each = append(each, n)
		}
	}
	if err := errors.Join(failed...); err != nil {
		return nil, err
	}
	if len(each) > share.Most {
		return nil, fmt.Errorf("%d backends: up to %d can share the rows of a batch", len(each), share.Most)
	}
	return each, nil
}

// sharing returns how backends share the rows of each batch, and says so: as given, or by
// their speeds.
func (a *app) sharing(given recipe.Shares, set dataset.Set, l network.Layout, all share.Backends) func(network.Plan, []float64) ([]int, error) {
	return func(plan network.Plan, theta []float64) ([]int, error) {
		if len(given) > 0 {
			a.info("rows of each batch: %s (--shares)", share.Words(given, plan))
			return given, nil
		}
		shares, known, problem, err := share.Shares(plan, func() ([]float64, error) {
			return network.Speeds(l, set.Train, plan, theta, all...)
		})
		if err != nil {
			return nil, err
		}
		if problem != nil {
			a.note("shares by speed: what is kept is of no use, or nothing can be kept: %s", oneLine(problem))
		}
		when := "measured now"
		if known {
			when = "measured before"
		}
		a.info("rows of each batch: %s, by their speeds, %s (--shares sets others)", share.Words(shares, plan), when)
		return shares, nil
	}
}

// checkShares reports shares that are not as many as the backends.
func checkShares(given recipe.Shares, all share.Backends) error {
	if len(given) > 0 && len(given) != len(all) {
		return fmt.Errorf("--shares: %d numbers for %d backends (%s): one for each is expected", len(given), len(all), all.Info().Backend)
	}
	return nil
}
