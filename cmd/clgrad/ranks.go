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
	"clgrad/cmd/clgrad/share"
	"clgrad/gpu"
	"clgrad/kernels"
	"clgrad/network"
	"clgrad/network/dataset"
	"clgrad/network/mpi"
)

// checkpointTime is how often a run of several ranks is kept. One that dies takes the others
// with it, at any time.
const checkpointTime = 30 * time.Second

// inTasks runs train as the one of several processes that this is, where a launcher started
// several. ok is false where it did not.
func (c trainCommand) inTasks(a *app, o run.Options) (ok bool, err error) {
	tasks := mpi.Started()
	if tasks.Size == 1 {
		return false, nil
	}
	if err := mpi.Built(); err != nil {
		if tasks.Rank > 0 {
			return true, nil // rank 0 says it
		}
		return true, fmt.Errorf("%s started %d tasks (%s) of a program that was %w", tasks.Launcher, tasks.Size, tasks.Variable, err)
	}
	a.local = tasks.Local
	m := member{a: a, c: c}
	if tasks.Rank > 0 { // rank 0 says it
		a.err = collector{&m.notes}
	}
	defer func() { err = errors.Join(err, m.Close()) }()
	world, group, err := m.join(tasks)
	if world == nil {
		return true, err
	}
	if err == nil && world.Rank() == 0 {
		defer func() { err = errors.Join(err, group.End(a)) }()
		return true, run.Train(a, m.leading(o, group, tasks))
	}
	if err == nil {
		err = group.Follow(a)
	} else if unfit := (*ranks.UnfitError)(nil); errors.As(err, &unfit) && world.Rank() > 0 {
		err = world.Close() // rank 0 says it
	} else {
		err = errors.Join(err, world.Close())
	}
	if world.Rank() > 0 {
		// What the run came to, and what stopped it, is rank 0's to say.
		a.Context, a.err = context.Background(), os.Stderr
	}
	return true, err
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

// A member is this rank.
type member struct {
	a      *app
	c      trainCommand
	opened network.Backend // for its first plan
	notes  []string        // what a user is to be told
}

// join starts MPI and meets the other ranks.
func (m *member) join(tasks mpi.Tasks) (mpi.World, *ranks.Group, error) {
	// The device is tested before MPI starts. Tests of a plan, which has to wait for the rows,
	// run behind it, in processes of their own as ever: Go starts these without a copy of
	// this one's memory, which network cards may know.
	var problem string
	if m.c.Resume == "" {
		var err error
		if m.opened, err = m.openAs(ranks.Device{}); err != nil {
			problem = oneLine(err)
		}
	}
	world, err := mpi.Init()
	if err != nil {
		return nil, nil, err
	}
	switch n := world.Size(); {
	case n == 1:
		return world, nil, fmt.Errorf("%s started %d tasks (%s), of which MPI knows one: the launcher is not that of the MPI that this program was built with (srun may need --mpi=pmix)",
			tasks.Launcher, tasks.Size, tasks.Variable)
	case problem == "" && network.Optimizer(m.c.Optimizer) == network.LBFGS:
		problem = fmt.Sprintf("--optimizer %s: one process is expected, these are %d", network.LBFGS, n)
	}
	hello := ranks.Hello{Program: version() + ", kernels " + kernels.Digest()[:12], Flags: m.c.flags(), Notes: m.told(), Problem: problem}
	if hello.Host, err = os.Hostname(); err != nil {
		hello.Host = "unknown"
	}
	grace := 500 * time.Millisecond // mpirun kills a second after SIGTERM
	if tasks.Launcher != "mpirun" {
		grace = 10 * time.Second
	}
	group, err := ranks.Join(world, hello, ranks.Options{Propose: m.propose, Open: m.open, Note: m.a.note, Notes: m.told, Grace: grace})
	return world, group, err
}

// told returns what a user is to be told since the last call.
func (m *member) told() []string {
	notes := m.notes
	m.notes = nil
	return notes
}

// leading returns the options of the run that rank 0 is.
func (m *member) leading(o run.Options, group *ranks.Group, tasks mpi.Tasks) run.Options {
	launch := fmt.Sprintf("%s -n %d ", tasks.Launcher, group.Size())
	o.Command, o.Columns, o.Display = launch+o.Command, nil, nil // mpirun gives it a terminal, wherever the output goes
	o.Ranks = &run.Ranks{Size: group.Size(), Launch: launch, CheckpointTime: checkpointTime,
		Continue: func(set dataset.Set, l network.Layout, plan network.Plan) (share.Backends, run.Trainer, error) {
			all, t, err := group.Continue(m.a, set.Train, plan)
			if err != nil {
				return nil, nil, err
			}
			return all, t, nil
		}}
	o.Start = func(r recipe.Recipe, set dataset.Set, l network.Layout) (share.Backends, run.Trainer, network.Plan, error) {
		if err := l.CheckMemory(); err != nil {
			return nil, nil, network.Plan{}, err
		}
		plan, err := r.Outline(set, l, r.Batch(set.Train.Rows), group.Size())
		if err != nil {
			return nil, nil, plan, err
		}
		var device ranks.Device
		if m.c.Resume != "" { // whose flags say nothing of it
			device = ranks.Device{Backend: string(r.Backend), Precision: string(r.Precision), Input: r.Input}
		}
		all, t, plan, err := group.Prepare(m.a, set.Train, plan, device)
		if err != nil {
			return nil, nil, plan, err
		}
		theta, err := l.Initial(r.Init, r.Seed)
		if err == nil {
			err = t.SetParameters(theta, 0)
		}
		if err != nil {
			return nil, nil, plan, errors.Join(err, t.Close(), share.Backends(all).Close())
		}
		return all, t, plan, nil
	}
	return o
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
		d = ranks.Device{Backend: string(m.c.Backend), Precision: string(m.c.Precision), Input: m.c.Input}
	}
	return backendName(d.Backend).open(m.a, gpu.Options{Precision: kernels.Precision(d.Precision), Input: d.Input})
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
