package main

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"clgrad/cmd/clgrad/recipe"
	"clgrad/cpu"
	"clgrad/gpu"
	"clgrad/network"
	"clgrad/network/filecache"
)

// A backendName is a recipe.Backend that is one backend.
type backendName recipe.Backend

// UnmarshalText reports a name that is none, or several.
func (n *backendName) UnmarshalText(text []byte) error {
	var b recipe.Backend
	if err := b.UnmarshalText(text); err != nil {
		return err
	}
	if b.Several() {
		return fmt.Errorf("%q: one backend is expected", b)
	}
	*n = backendName(b)
	return nil
}

// open opens the backend. auto takes the best OpenCL device, or the CPU where
// there is none that works, and says which and why.
func (n backendName) open(a *app, o gpu.Options) (network.Backend, error) {
	reduced := o.Precision.Reduced()
	if reduced && (n == "cpu" || n == "cpu64") {
		return nil, misused("--precision %s: an OpenCL device is expected, the CPU backends have one precision", o.Precision)
	}
	if o.Files == nil {
		o.Files = a.files()
	}
	switch n {
	case "cpu":
		return newCPU[float32](o.Input), nil
	case "cpu64":
		return newCPU[float64](o.Input), nil
	case "auto":
		b, err := openBest(a, o)
		if err != nil && reduced {
			return nil, err
		}
		if err != nil {
			a.note("computing on the CPU: %s", oneLine(err))
			return newCPU[float32](o.Input), nil
		}
		return b, nil
	}
	_, which, _ := strings.Cut(string(n), ":")
	d, _, err := selectDevice(a, which)
	if err != nil {
		return nil, err
	}
	return openDevice(a, d, o)
}

// newCPU makes a backend on the CPU.
func newCPU[T cpu.Float](input network.InputMode) network.Backend {
	b := cpu.New[T]()
	b.Input = input
	return b
}

// filesLimit bounds what the blocks of streamed inputs take in the cache.
const filesLimit = 32 << 30

// files returns where the blocks of streamed inputs are kept, nil where there is no cache
// directory.
func (a *app) files() network.Files {
	dir, err := os.UserCacheDir()
	if err != nil {
		return nil
	}
	return filecache.Dir{Path: filepath.Join(dir, "clgrad", "blocks"), Limit: filesLimit}
}

// propose opens the backend and returns its plan for a network on these samples in one
// batch. Where auto took a device that cannot compute the network, it says so and takes
// the CPU.
func (n backendName) propose(a *app, o gpu.Options, sizes []int, s network.Samples) (network.Backend, network.ShardPlan, error) {
	b, err := n.open(a, o)
	if err != nil {
		return nil, network.ShardPlan{}, err
	}
	plan, err := b.Propose(sizes, s, s.Rows)
	if failed := (*gpu.Error)(nil); n == "auto" && !o.Precision.Reduced() && errors.As(err, &failed) {
		a.note("computing on the CPU instead: %s", oneLine(errors.Join(err, b.Close())))
		b = newCPU[float32](o.Input)
		plan, err = b.Propose(sizes, s, s.Rows)
	}
	if err != nil {
		return nil, plan, errors.Join(err, b.Close())
	}
	return b, plan, nil
}

// openBest opens the best OpenCL device that can compute, and says which and why.
func openBest(a *app, o gpu.Options) (network.Backend, error) {
	devices, problem, err := a.drivers().devices(a)
	if err != nil {
		return nil, err
	}
	var failed error
	for {
		d, why, err := gpu.Select(devices, "")
		if err != nil {
			return nil, cmp.Or(failed, errors.Join(err, problem))
		}
		d = a.ofRank(devices, d)
		if failed != nil {
			a.note("passed over: %s", oneLine(failed))
		}
		b, err := openDevice(a, d, o)
		if err == nil {
			a.info("computing on opencl:%s, %s (%s)", d.ID(), d.Name, why)
			return b, nil
		}
		if a.Err() != nil {
			return nil, err
		}
		failed = err
		i := slices.IndexFunc(devices, func(x gpu.Device) bool { return x.ID() == d.ID() })
		devices[i].Problem = oneLine(err)
	}
}

// openDevice opens an OpenCL device that has passed its test, with what clgrad
// tune found for it.
func openDevice(a *app, d gpu.Device, o gpu.Options) (network.Backend, error) {
	o, err := a.trusting(d, o)
	if err != nil {
		return nil, err
	}
	o.Tuning = a.drivers().tuning(a, d)
	return gpu.Open(d, o)
}

// trusting returns options with what is known of a device that has passed its test.
func (a *app) trusting(d gpu.Device, o gpu.Options) (gpu.Options, error) {
	known, err := a.drivers().trust(a, d)
	o.Passes, o.Isolate = known, a.drivers().isolate(a, d)
	o.Note = func(line string) { a.note("%s", line) }
	return o, err
}

// selectDevice returns the OpenCL device that which names (see gpu.Select), and
// why that one.
func selectDevice(a *app, which string) (gpu.Device, string, error) {
	devices, problem, err := a.drivers().devices(a)
	if err != nil {
		return gpu.Device{}, "", err
	}
	d, why, err := gpu.Select(devices, which)
	if err != nil {
		err = errors.Join(err, problem)
	} else if which == "" {
		d = a.ofRank(devices, d)
	}
	return d, why, err
}

// allBackends returns the names of every backend that can be used here: those on the
// CPU and every OpenCL device.
func allBackends(a *app) []backendName {
	names := []backendName{"cpu", "cpu64"}
	devices, err := usableDevices(a)
	if err != nil {
		a.note("%s", oneLine(err))
	}
	return append(names, devices...)
}

// usableDevices returns the backends of every OpenCL device that can be used, and says why
// others cannot.
func usableDevices(a *app) (names []backendName, err error) {
	devices, problem, err := a.drivers().devices(a)
	if err != nil {
		return nil, errors.Join(problem, err)
	}
	if problem != nil {
		a.note("%s", oneLine(problem))
	}
	for _, d := range devices {
		if d.Problem == "" {
			if _, err := a.drivers().trust(a, d); err != nil {
				d.Problem = oneLine(err)
			}
		}
		if d.Problem != "" {
			a.note("opencl:%s (%s) is left out: %s", d.ID(), d.Name, d.Problem)
			continue
		}
		names = append(names, backendName("opencl:"+d.ID()))
	}
	return names, nil
}

// closing joins the error of a Close to err, in a deferred call.
func closing(err *error, c interface{ Close() error }) {
	*err = errors.Join(*err, c.Close())
}
