// Package ranks has several processes, the ranks that MPI numbers, train one network. Rank 0
// is the run: it reads the data, decides, prints and writes. The others hold their rows and do
// what it tells them, so all of them call the methods of their trainers in one order.
package ranks

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/gob"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"time"

	"clgrad/network"
	"clgrad/network/mapped"
	"clgrad/network/mpi"
)

// A Hello is what a process says of itself when it meets the others.
type Hello struct {
	Host    string
	Program string            // its version, and that of its kernels
	Flags   map[string]string // what it was started with, but for its own device
	Notes   []string          // what it would have told a user
	Problem string            // why it cannot take part, "" where it can
}

// A Group is all ranks, as one of them sees it.
type Group struct {
	world mpi.World
	hosts []string
	opts  Options
	lost  error // why the others are not asked any more
}

// Options say how a rank reaches what is outside of it.
type Options struct {
	// Propose opens this rank's backends and proposes shards of a network on part, which are
	// this rank's rows, batchRows of each batch at most. Their First counts from the
	// rank's first row of a batch. device is what rank 0 gave to Prepare.
	Propose func(device Device, sizes []int, part network.Samples, batchRows int) ([]network.Backend, []network.ShardPlan, error)
	// Open opens a backend by its name.
	Open func(name string) (network.Backend, error)
	// Notes returns what a user is to be told since the last call, of ranks other than 0.
	Notes func() []string
	// Note tells it, on rank 0.
	Note func(format string, args ...any)
	// Grace is how long an answer of the others is waited for once this process is to stop.
	Grace time.Duration
}

// A Device is what the ranks are to compute on where they were not started with it: that of a
// run which is gone on with. The zero value is what each was started with.
type Device struct {
	Backend, Precision string
	Input              network.InputMode
}

// ErrNoAnswer reports ranks that are waited for in vain.
var ErrNoAnswer = errors.New("no answer from the other ranks: one of them may have died")

// Join meets the other ranks. Where they do not fit together, or one of them has a problem, all
// get the same [UnfitError], in one line.
func Join(w mpi.World, me Hello, o Options) (*Group, error) {
	text, err := json.Marshal(me)
	if err != nil {
		return nil, err
	}
	texts, err := mpi.GatherTexts(w, string(text))
	if err != nil {
		return nil, err
	}
	g := &Group{world: w, opts: o}
	all := make([]Hello, len(texts))
	for i, text := range texts {
		if err := json.Unmarshal([]byte(text), &all[i]); err != nil {
			return nil, fmt.Errorf("rank %d says %.100q: another program than that of rank %d", i, text, w.Rank())
		}
		g.hosts = append(g.hosts, all[i].Host)
	}
	for i, h := range all {
		g.tell(i, h.Notes)
	}
	for i, h := range all {
		if err := g.fits(all[0], h, i); err != nil {
			return nil, &UnfitError{err}
		}
	}
	return g, nil
}

// An UnfitError is why ranks do not train together. All of them get it.
type UnfitError struct{ error }

// tell says on rank 0 what another rank has to say.
func (g *Group) tell(rank int, notes []string) {
	if g.world.Rank() > 0 || rank == 0 {
		return
	}
	for _, line := range notes {
		g.opts.Note("%s: %s", g.name(rank), line)
	}
}

// name names a rank for a user.
func (g *Group) name(rank int) string { return fmt.Sprintf("rank %d (%s)", rank, g.hosts[rank]) }

// fits reports where a rank is not what rank 0 is.
func (g *Group) fits(first, h Hello, rank int) error {
	switch {
	case h.Program != first.Program:
		return fmt.Errorf("%s is %s where rank 0 is %s: the same program is expected on all machines", g.name(rank), h.Program, first.Program)
	case h.Problem != "" && rank == 0:
		return errors.New(h.Problem)
	case h.Problem != "":
		return fmt.Errorf("%s: %s", g.name(rank), h.Problem)
	}
	both := maps.Clone(first.Flags)
	maps.Copy(both, h.Flags)
	for _, name := range slices.Sorted(maps.Keys(both)) {
		if a, b := first.Flags[name], h.Flags[name]; a != b {
			return fmt.Errorf("%s has --%s %s where rank 0 has %s: all flags but --backend have to be the same on all ranks",
				g.name(rank), strings.ReplaceAll(name, "_", "-"), orNone(b), orNone(a))
		}
	}
	return nil
}

func orNone(value string) string {
	if value == "" {
		return "none"
	}
	return value
}

// Size returns the number of ranks.
func (g *Group) Size() int { return g.world.Size() }

// A command is what rank 0 tells the others to do.
type command struct {
	Do      string
	Prepare prepare
	Descent network.Descent
	Done    int           // iterations
	State   network.State // without its vectors
	Vectors int           // of the state
}

// What a command can be.
const (
	toPrepare  = "prepare"
	toDescend  = "descend"
	toScore    = "score"
	toEvaluate = "evaluate"
	toState    = "state"
	toSet      = "set"
	toSetState = "set state"
	toEnd      = "end"
)

// prepare says what the ranks are to train. The shards of the plan are slices, one a rank,
// unless it is a whole one, which is gone on with.
type prepare struct {
	Plan    network.Plan
	Whole   bool
	Device  Device // without a whole plan
	Scaling network.Scaling
	Floats  bool
}

// tellAll sends a command to all ranks.
func (g *Group) tellAll(c command) error {
	var b bytes.Buffer
	if err := gob.NewEncoder(&b).Encode(c); err != nil {
		return err
	}
	_, err := mpi.BroadcastBytes(g.world, b.Bytes())
	return err
}

// hear receives a command.
func (g *Group) hear() (c command, err error) {
	b, err := mpi.BroadcastBytes(g.world, nil)
	if err != nil {
		return c, err
	}
	return c, gob.NewDecoder(bytes.NewReader(b)).Decode(&c)
}

// slice returns the part of each batch that a rank has.
func (p prepare) slice(rank int) (s network.ShardPlan) {
	for _, shard := range p.Plan.Shards {
		switch {
		case shard.Rank != rank:
		case s.Rows == 0:
			s = network.ShardPlan{First: shard.First, Rows: shard.Rows, Rank: rank}
		default:
			s.Rows += shard.Rows
		}
	}
	return s
}

// A member is a rank that has its part of a network.
type member struct {
	*network.Trainer
	reducer  *mpi.Reducer
	plan     network.Plan
	backends []network.Backend
}

func (m *member) close() error {
	if m == nil {
		return nil
	}
	err := m.Trainer.Close()
	for _, b := range m.backends {
		err = errors.Join(err, b.Close())
	}
	return err
}

// A reply is what a rank has for a plan.
type reply struct {
	Shards   []network.ShardPlan
	Roundoff float64
	Notes    []string
	Problem  string
}

// join makes this rank's trainer over its rows. All ranks do so at the same time; where one
// fails, all do. failed is why this rank has no rows.
func (g *Group) join(p prepare, part network.Samples, failed error) (_ *member, err error) {
	layout, err := network.NewLayout(p.Plan.Sizes)
	failed = errors.Join(failed, err)
	rank, m := g.world.Rank(), &member{plan: p.Plan}
	mine, r := p.slice(rank), reply{}
	closeAll := func(err error) (*member, error) {
		for _, b := range m.backends {
			err = errors.Join(err, b.Close())
		}
		return nil, err
	}
	switch {
	case failed != nil:
	case !p.Whole:
		m.backends, r.Shards, failed = g.opts.Propose(p.Device, p.Plan.Sizes, part, mine.Rows)
	default:
		for _, s := range p.Plan.Shards {
			if s.Rank != rank || failed != nil {
				continue
			}
			var b network.Backend
			if b, failed = g.opts.Open(s.Backend); failed == nil {
				m.backends = append(m.backends, b)
			}
		}
	}
	for _, b := range m.backends {
		if u := b.Info().Roundoff; r.Roundoff == 0 || u < r.Roundoff {
			r.Roundoff = u
		}
	}
	if failed != nil {
		r.Problem = strings.Join(strings.Fields(failed.Error()), " ")
	}
	if rank > 0 {
		r.Notes = g.opts.Notes()
	}
	text, err := json.Marshal(r)
	if err != nil {
		return closeAll(err)
	}
	texts, err := mpi.GatherTexts(g.world, string(text))
	if err != nil {
		return closeAll(err)
	}
	wide := false
	var problems []error
	shards := m.plan.Shards
	if !p.Whole {
		shards = nil
	}
	var mineAt []int // the shards of this rank
	for j, text := range texts {
		var r reply
		if err := json.Unmarshal([]byte(text), &r); err != nil {
			return closeAll(err)
		}
		g.tell(j, r.Notes)
		switch {
		case r.Problem == "":
		case j == rank:
			problems = append(problems, failed)
		default:
			problems = append(problems, &mpi.RankError{Rank: j, Host: g.hosts[j], Text: r.Problem})
		}
		wide = wide || r.Roundoff < 0x1p-24
		for _, s := range r.Shards {
			s.First, s.Rank = s.First+p.slice(j).First, j
			shards = append(shards, s)
		}
	}
	if len(problems) > 0 {
		if rank == 0 && problems[0] == failed {
			problems = problems[:1] // the others have no rows because of it, perhaps
		}
		return closeAll(errors.Join(problems...))
	}
	m.plan.Shards = shards
	all := make([]network.Backend, len(shards))
	for i, s := range shards {
		if s.Rank == rank {
			mineAt = append(mineAt, i)
		}
	}
	for i, at := range mineAt {
		all[at] = m.backends[i]
	}
	m.reducer = mpi.NewReducer(g.world, g.hosts, layout.Len, wide)
	m.Trainer, err = network.NewTrainer(layout, part, m.plan, all, m.reducer)
	if err := m.reducer.Agree(err); err != nil {
		if m.Trainer != nil {
			err = errors.Join(err, m.Trainer.Close())
		}
		return closeAll(err)
	}
	return m, nil
}

// backends says what the ranks compute on.
func (g *Group) backends(p network.Plan) string {
	type place struct{ host, backends string }
	var places []place
	var ranks [][]string
	for rank, host := range g.hosts {
		var names []string
		for _, s := range p.Shards {
			if s.Rank == rank {
				names = append(names, s.Backend)
			}
		}
		at := place{host, strings.Join(names, " and ")}
		i := slices.Index(places, at)
		if i < 0 {
			i = len(places)
			places, ranks = append(places, at), append(ranks, nil)
		}
		ranks[i] = append(ranks[i], fmt.Sprint(rank))
	}
	var parts []string
	for i, at := range places {
		list := ranks[i]
		if n := len(list); n > 4 {
			list = []string{list[0], list[1], "…", list[n-1]}
		}
		parts = append(parts, fmt.Sprintf("%s on %s (rank %s)", at.backends, at.host, strings.Join(list, ", ")))
		if i == 7 && len(places) > 8 {
			parts = append(parts, fmt.Sprintf("and %d more", len(places)-8))
			break
		}
	}
	return fmt.Sprintf("%d ranks: %s", len(g.hosts), strings.Join(parts, "; "))
}

// encode returns the rows of samples as bytes, without their scaling: labels, then features.
func encode(s network.Samples) []byte {
	s = s.Flat()
	var b []byte
	for _, y := range s.Labels {
		b = binary.LittleEndian.AppendUint32(b, uint32(y))
	}
	b = append(b, s.Bytes...)
	for _, v := range s.Floats {
		b = binary.LittleEndian.AppendUint32(b, math.Float32bits(v))
	}
	return b
}

// decode is the opposite of encode, of samples of so many features.
func decode(b []byte, features int, floats bool) (s network.Samples, err error) {
	row := 4 + features
	if floats {
		row = 4 + 4*features
	}
	s.Features, s.Rows = features, len(b)/row
	if len(b)%row > 0 {
		return s, fmt.Errorf("%d bytes arrived where rows of %d are expected", len(b), row)
	}
	s.Labels = make([]int32, s.Rows)
	for i := range s.Labels {
		s.Labels[i] = int32(binary.LittleEndian.Uint32(b[4*i:]))
	}
	if b = b[4*s.Rows:]; !floats {
		s.Bytes = b
		return s, nil
	}
	s.Floats = make([]float32, len(b)/4)
	for i := range s.Floats {
		s.Floats[i] = math.Float32frombits(binary.LittleEndian.Uint32(b[4*i:]))
	}
	return s, nil
}

func digest(b []byte) string { return fmt.Sprintf("%x", sha256.Sum256(b)) }

// vector sends or receives a vector, which every rank has memory for.
func (g *Group) vector(v []float64) error {
	var own []byte
	if g.world.Rank() == 0 {
		own = make([]byte, 0, 8*len(v))
		for _, x := range v {
			own = binary.LittleEndian.AppendUint64(own, math.Float64bits(x))
		}
	}
	got, err := mpi.BroadcastBytes(g.world, own)
	if err != nil || g.world.Rank() == 0 {
		return err
	}
	if len(got) != 8*len(v) {
		return fmt.Errorf("%d bytes arrived where %d numbers are expected", len(got), len(v))
	}
	for i := range v {
		v[i] = math.Float64frombits(binary.LittleEndian.Uint64(got[8*i:]))
	}
	return nil
}

// within runs what needs the other ranks. Once ctx is done it waits only for the grace.
func (g *Group) within(ctx context.Context, f func() error) error {
	if g.lost != nil {
		return g.lost
	}
	done := make(chan error, 1)
	go func() { done <- mapped.Guard(f) }()
	select {
	case err := <-done:
		return g.checked(err)
	case <-ctx.Done():
	}
	select {
	case err := <-done:
		return g.checked(err)
	case <-time.After(g.opts.Grace):
		g.lost = ErrNoAnswer
		return g.lost
	}
}

// checked remembers an error of MPI's own: the others are not asked behind it.
func (g *Group) checked(err error) error {
	if e := (*mpi.Error)(nil); errors.As(err, &e) {
		g.lost = err
	}
	return err
}
