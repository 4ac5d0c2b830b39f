package recipe

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"clgrad/cmd/clgrad/text"
	"clgrad/network"
	"clgrad/network/dataset"
)

// A Misspelt is an error about the name of a data set that is like a known one's.
type Misspelt struct{ error }

// Unwrap returns the error of an unknown name.
func (m Misspelt) Unwrap() error { return m.error }

// Load returns the data set with its parts as the setup wants them, not scaled. The
// options say what the setup does not: where sets are looked for, and which classes
// and columns there are.
func (s Setup) Load(ctx context.Context, o dataset.Options) (set dataset.Set, err error) {
	o.Reading, o.Test = s.Reading.Options(), string(s.Test)
	if set, err = dataset.Load(ctx, string(s.Data), o); err != nil {
		if near := text.Suggest(string(s.Data), dataset.Names()...); near != "" && errors.Is(err, dataset.ErrUnknown) {
			err = Misspelt{fmt.Errorf("%w%s", err, near)}
		}
		return set, err
	}
	return s.Parts(set)
}

// Parts returns a whole set with its parts as the setup wants them.
func (s Setup) Parts(set dataset.Set) (_ dataset.Set, err error) {
	if len(s.Divide) == 2 {
		if set, err = set.Divide(s.Divide[0], s.Divide[1], s.Seed); err != nil {
			return set, fmt.Errorf("--divide: %w", err)
		}
	}
	if s.Samples > 0 {
		set = set.First(int(s.Samples))
	}
	if s.Validation > 0 {
		if set, err = set.Split(float64(s.Validation), s.Seed); err != nil {
			return set, fmt.Errorf("--validation: %w", err)
		}
	}
	if set, err = set.FillGaps(); err != nil {
		return set, fmt.Errorf("--missing mean: %w", err)
	}
	if s.Shifts > 0 {
		if set, err = set.Shift(int(s.Shifts)); err != nil {
			return set, fmt.Errorf("--shifts: %w", err)
		}
	}
	return set, nil
}

// Layout returns that of the network on a data set.
func (s Setup) Layout(set dataset.Set) (network.Layout, error) {
	return network.NewLayout(slices.Concat([]int{set.Train.Features}, s.Layers, []int{set.Classes}))
}

// Ordered returns the training rows in the order in which [Setup.Start] trains on them, on
// one backend.
func (s Setup) Ordered(train network.Samples, batchRows int) (network.Samples, error) {
	return train.Ordered(network.SuitableOrder(train.Rows, batchRows, 1), batchRows, s.Seed)
}

// Start returns a trainer with initial parameters, for batches of so many rows, which all
// backends share. share says how several of them do, from a plan of equal slices and the
// parameters; nil leaves them equal.
func (s Setup) Start(set dataset.Set, l network.Layout, batchRows int, share func(p network.Plan, theta []float64) ([]int, error), backends ...network.Backend) (*network.Trainer, network.Plan, error) {
	plan, err := network.NewTrainingPlan(l.Sizes, set.Train, batchRows, s.Seed, backends...)
	if err != nil {
		return nil, plan, err
	}
	if len(backends) > 1 && share != nil {
		theta, err := l.Initial(s.Init, s.Seed)
		if err != nil {
			return nil, plan, err
		}
		shares, err := share(plan, theta)
		if err != nil {
			return nil, plan, err
		}
		if plan, err = plan.Share(set.Train, shares, backends...); err != nil {
			return nil, plan, err
		}
	}
	// The trainer first: it finds out whether the network fits the device.
	t, err := network.NewTrainer(l, set.Train, plan, backends, nil)
	if err != nil {
		return nil, plan, err
	}
	theta, err := l.Initial(s.Init, s.Seed)
	if err == nil {
		err = t.SetParameters(theta, 0)
	}
	if err != nil {
		return nil, plan, errors.Join(err, t.Close())
	}
	return t, plan, nil
}

// Outline returns the outline of the plan of [Setup.Start] for several processes, with a
// slice for each.
func (s Setup) Outline(set dataset.Set, l network.Layout, batchRows, processes int) (network.Plan, error) {
	plan, err := network.NewOutline(l.Sizes, set.Train, batchRows, network.SuitableOrder(set.Train.Rows, batchRows, processes), s.Seed, processes)
	if err != nil {
		return plan, err
	}
	plan.Shuffle = plan.Batches() > 1
	return plan, nil
}

// decisive is what of a recipe decides a model.
type decisive struct {
	Setup
	Training
}

// WithoutFiles returns as JSON what of the recipe decides a model: all but the names of
// data and columns, which differ from one machine to the next, and the iterations.
func (r Recipe) WithoutFiles() (json.RawMessage, error) {
	d := decisive{r.Setup, r.Training}
	d.Data, d.Test, d.From, d.Reading = "", "", "", d.Reading.WithoutColumns()
	if d.Layers == nil {
		d.Layers = Layers{} // null is no list
	}
	return json.Marshal(d)
}

// ParseSetup reads the setup in what WithoutFiles returned, or in a part of it. name
// stands in errors.
func ParseSetup(name string, setup []byte) (Setup, error) {
	var d decisive
	if len(setup) == 0 {
		return d.Setup, nil
	}
	err := decode(name, setup, &d, nil)
	return d.Setup, err
}
