package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	"clgrad/cmd/clgrad/ranks"
	"clgrad/cmd/clgrad/recipe"
	"clgrad/cmd/clgrad/run"
	"clgrad/gpu"
	"clgrad/kernels"
	"clgrad/network"
	"clgrad/network/dataset"
	"clgrad/network/mpi"
)

// checkpointTime is how often a run of several ranks is kept. One that dies takes the others
// with it, at any time.
const checkpointTime = 30 * time.Second

// inTasks runs train as the one of several processes that this is, where a launcher started it.
// ok is false where it was not, or is the only one.
func (c trainCommand) inTasks(a *app, o run.Options) (ok bool, err error) {
	tasks := mpi.Started()
	if tasks.Launcher == "" {
		return false, nil
	}
	if err := mpi.Built(); err != nil {
		if tasks.Rank > 0 {
			return true, nil // rank 0 says it
		}
		if tasks.Size > 1 {
			return true, fmt.Errorf("%s started %d tasks (%s) of a program that was %w", tasks.Launcher, tasks.Size, tasks.Variable, err)
		}
		return false, nil
	}
	a.local = tasks.Local
	var notes []string
	if tasks.Rank > 0 { // rank 0 says it
		a.err = collector{&notes}
	}
	m := member{a: a, c: c}
	// The device is tested before MPI starts. Tests of a plan, which has to wait for the rows,
	// run behind it, in processes of their own as ever: Go starts these without a copy of
	// this one's memory, which network cards may know.
	var problem string
	if c.Resume == "" {
		if m.opened, err = m.openAs(ranks.Device{}); err != nil {
			problem = oneLine(err)
		}
	}
	world, err := mpi.Init()
	if err != nil {
		return true, errors.Join(err, m.Close())
	}
	if world.Size() == 1 {
		if tasks.Size > 1 {
			return true, errors.Join(fmt.Errorf("%s started %d tasks (%s), of which MPI knows one: the launcher is not that of the MPI that this program was built with (srun may need --mpi=pmix)",
				tasks.Launcher, tasks.Size, tasks.Variable), m.Close(), world.Close())
		}
		return false, errors.Join(m.Close(), world.Close())
	}
	if problem == "" && network.Optimizer(c.Optimizer) == network.LBFGS {
		problem = fmt.Sprintf("--optimizer %s: one process is expected, these are %d", network.LBFGS, world.Size())
	}
	hello := ranks.Hello{Program: version() + ", kernels " + kernels.Digest()[:12], Flags: c.flags(), Notes: notes, Problem: problem}
	if hello.Host, err = os.Hostname(); err != nil {
		hello.Host = "unknown"
	}
	grace := 500 * time.Millisecond // mpirun kills a second after SIGTERM
	if tasks.Launcher != "mpirun" {
		grace = 10 * time.Second
	}
	notes = nil
	group, err := ranks.Join(world, hello, ranks.Options{
		Propose: m.propose, Open: m.open, Note: a.note, Grace: grace,
		Notes: func() []string { all := notes; notes = nil; return all },
	})
	if world.Rank() > 0 {
		switch {
		case group == nil:
		case err != nil:
			err = world.Close()
		default:
			err = group.Follow(a)
		}
		// What the run came to, and what stopped it, is rank 0's to say.
		a.Context, a.err = context.Background(), os.Stderr
		return true, errors.Join(err, m.Close())
	}
	if err != nil {
		return true, errors.Join(err, m.Close(), world.Close())
	}
	defer func() { err = errors.Join(err, m.Close(), group.End(a)) }()
	launch := fmt.Sprintf("%s -n %d ", tasks.Launcher, world.Size())
	o.Ranks = &run.Ranks{Size: world.Size(), Launch: launch, CheckpointTime: checkpointTime,
		Continue: func(set dataset.Set, l network.Layout, plan network.Plan) (network.Backend, run.Trainer, error) {
			all, t, err := group.Continue(a, set.Train, plan)
			if err != nil {
				return nil, nil, err
			}
			return all[0], t, nil
		}}
	o.Command, o.Screen = launch+o.Command, false // mpirun gives it a terminal, wherever the output goes
	o.Start = func(r recipe.Recipe, set dataset.Set, l network.Layout) (network.Backend, run.Trainer, network.Plan, error) {
		if err := roomForNetwork(l); err != nil {
			return nil, nil, network.Plan{}, err
		}
		plan, err := r.Outline(set, l, r.Batch(set.Train.Rows), world.Size())
		if err != nil {
			return nil, nil, plan, err
		}
		var device ranks.Device
		if c.Resume != "" { // whose flags say nothing of it
			device = ranks.Device{Backend: string(r.Backend), Precision: string(r.Precision)}
		}
		all, t, plan, err := group.Prepare(a, set.Train, plan, device)
		if err != nil {
			return nil, nil, plan, err
		}
		theta, err := l.Initial(r.Init, r.Seed)
		if err == nil {
			err = t.SetParameters(theta, 0)
		}
		if err != nil {
			return nil, nil, plan, errors.Join(err, t.Close(), all[0].Close())
		}
		return all[0], t, plan, nil
	}
	return true, run.Train(a, o)
}

// flags returns what all ranks have to be started with alike.
func (c trainCommand) flags() map[string]string {
	flags := map[string]string{"out": string(c.Out), "resume": string(c.Resume)}
	if c.NewPlan {
		flags["new-plan"] = "true"
	}
	r := c.Recipe
	r.Backend = ""
	var all map[string]json.RawMessage
	if text, err := json.Marshal(r); err == nil && json.Unmarshal(text, &all) == nil {
		for name, value := range all {
			flags[name] = string(value)
		}
	}
	delete(flags, "backend")
	return flags
}

// A member is what this rank has opened.
type member struct {
	a      *app
	c      trainCommand
	opened network.Backend // for its first plan
}

// Close closes what no plan has taken.
func (m *member) Close() error {
	b := m.opened
	if m.opened = nil; b == nil {
		return nil
	}
	return b.Close()
}

// open opens a backend by its name, for a plan that says all else.
func (m *member) open(name string) (network.Backend, error) {
	return backendName(name).open(m.a, gpu.Options{})
}

// openAs opens a device, that of the flags where it is none.
func (m *member) openAs(d ranks.Device) (network.Backend, error) {
	if d.Backend == "" {
		d = ranks.Device{Backend: string(m.c.Backend), Precision: string(m.c.Precision)}
	}
	return backendName(d.Backend).open(m.a, gpu.Options{Precision: kernels.Precision(d.Precision)})
}

// propose proposes the shard of this rank.
func (m *member) propose(device ranks.Device, sizes []int, part network.Samples, batchRows int) ([]network.Backend, []network.ShardPlan, error) {
	b := m.opened
	if m.opened = nil; b == nil {
		var err error
		if b, err = m.openAs(device); err != nil {
			return nil, nil, err
		}
	}
	s, err := b.Propose(sizes, part, batchRows)
	if err != nil {
		return nil, nil, errors.Join(err, b.Close())
	}
	s.First, s.Rows = 0, batchRows
	return []network.Backend{b}, []network.ShardPlan{s}, nil
}

// A collector keeps the lines that are written to it.
type collector struct{ lines *[]string }

func (c collector) Write(p []byte) (int, error) {
	*c.lines = append(*c.lines, oneLine(errors.New(string(p))))
	return len(p), nil
}

// ofRank returns the device of this rank, where several on this machine are like the best one:
// each rank takes another.
func (a *app) ofRank(devices []gpu.Device, best gpu.Device) gpu.Device {
	alike := slices.DeleteFunc(slices.Clone(devices), func(d gpu.Device) bool {
		return d.Problem != "" || d.Name != best.Name || d.PlatformName != best.PlatformName
	})
	if a.local == 0 || len(alike) < 2 {
		return best
	}
	return alike[a.local%len(alike)]
}
