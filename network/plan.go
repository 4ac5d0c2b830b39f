package network

import (
	"encoding/json"
	"fmt"
	"slices"
)

// A Plan fixes everything that decides the order in which a run adds its
// numbers. It is made when a run starts and stored with it; the same plan on
// the same device and data gives the same bits.
type Plan struct {
	Sizes  []int       `json:"sizes"`
	Shards []ShardPlan `json:"shards"`
}

// A ShardPlan is one backend's part of a Plan.
type ShardPlan struct {
	Backend   string          `json:"backend"`
	Device    string          `json:"device"`
	Driver    string          `json:"driver"`
	First     int             `json:"first"`      // first sample
	Rows      int             `json:"rows"`       // number of samples
	BlockRows int             `json:"block_rows"` // rows of a block
	Settings  json.RawMessage `json:"settings"`   // the backend's own choices: kernel variants, splits
}

// SingleShard returns the plan that runs everything on one backend as it
// proposes itself.
func SingleShard(b Backend, sizes []int, s Samples) (Plan, error) {
	shard, err := b.DefaultPlan(sizes, s)
	if err != nil {
		return Plan{}, err
	}
	return Plan{Sizes: sizes, Shards: []ShardPlan{shard}}, nil
}

// check reports where the plan does not cover rows samples, shard by shard.
func (p Plan) check(sizes []int, rows int) error {
	if !slices.Equal(p.Sizes, sizes) {
		return fmt.Errorf("plan is for a network %v, not %v", p.Sizes, sizes)
	}
	if len(p.Shards) == 0 {
		return fmt.Errorf("plan has no shards")
	}
	next := 0
	for i, s := range p.Shards {
		if s.First != next || s.Rows < 1 || s.BlockRows < 1 {
			return fmt.Errorf("plan's shard %d has %d samples from %d in blocks of %d: samples from %d are expected",
				i, s.Rows, s.First, s.BlockRows, next)
		}
		next += s.Rows
	}
	if next != rows {
		return fmt.Errorf("plan covers %d samples where the data has %d", next, rows)
	}
	return nil
}

// CheckDevice reports where a plan was made for another backend, device or
// driver than the one described by info.
func (s ShardPlan) CheckDevice(info Info) error {
	for _, f := range []struct{ what, plan, here string }{
		{"backend", s.Backend, info.Backend},
		{"device", s.Device, info.Device},
		{"driver", s.Driver, info.Driver},
	} {
		if f.plan != f.here {
			return fmt.Errorf("plan is for %s %q, this is %q: the same bits cannot be promised", f.what, f.plan, f.here)
		}
	}
	return nil
}
