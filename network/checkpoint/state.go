package checkpoint

import (
	"errors"
	"fmt"
	"slices"

	"clgrad/network"

	"github.com/go-json-experiment/json"
)

// A Best is the best network that a run has had so far, by the loss of its validation
// set.
type Best struct {
	Parameters []float64 `json:"-"`         // as those of the Model
	Iteration  int       `json:"iteration"` // after which they stood
	Loss       float64   `json:"loss"`      // mean over the validation set, in nats
}

// A stateText is the metadata of a [network.State].
type stateText struct {
	Optimizer network.Optimizer `json:"optimizer"`
	Since     int               `json:"since"`
	// LBFGS are its numbers; its vectors are tensors.
	LBFGS *network.LBFGSState `json:"lbfgs,omitempty"`
}

// The beginnings of the names of tensors.
const (
	bestPrefix  = "best."
	lbfgsPrefix = "lbfgs."
)

// pairPrefix is of s or y of a pair.
func pairPrefix(vector string, k int) string { return fmt.Sprintf("%s%s.%d.", lbfgsPrefix, vector, k) }

func statePrefix(k int) string { return fmt.Sprintf("optimizer.%d.", k) }

// hasState reports whether the model has what only version 3 can hold.
func (m Model) hasState() bool { return m.State.Optimizer != "" || m.Best != nil }

// checkState reports a state, or best parameters, that the run cannot have.
func (m Model) checkState(layout network.Layout) error {
	done := 0
	switch {
	case m.Run != nil:
		done = m.Run.Iterations
	case m.hasState():
		return errors.New("a state without its run is no checkpoint")
	}
	if err := m.State.Check(layout.Len, done); err != nil {
		return err
	}
	if s := m.State.LBFGS; s != nil && !slices.Equal(s.Theta, m.Parameters) {
		return fmt.Errorf("state of %s is of other parameters than the model's", m.State.Optimizer)
	}
	best := m.Best
	switch {
	case best == nil:
		return nil
	case len(best.Parameters) != layout.Len:
		return fmt.Errorf("%d best parameters where a network %v has %d with padding", len(best.Parameters), m.Sizes, layout.Len)
	case best.Iteration < 0 || best.Iteration > done:
		return fmt.Errorf("best parameters of iteration %d where %d are done", best.Iteration, done)
	case !finite(best.Loss):
		return fmt.Errorf("best parameters have loss %v: a finite number is expected", best.Loss)
	}
	return nil
}

// parseState adds what the metadata say of the state of a run. Its vectors are as many as
// have tensors, and still empty.
func (h fileHeader) parseState(m *Model) error {
	if text, ok := h.metadata[optimizerKey]; ok {
		var state stateText
		if err := parseStrictly(optimizerKey, text, &state); err != nil {
			return err
		}
		if err := network.NewRule(state.Optimizer).Check(); err != nil {
			return fmt.Errorf("%s: %w", optimizerKey, err)
		}
		m.State = network.State{
			Optimizer: state.Optimizer, Since: state.Since, LBFGS: state.LBFGS,
			Vectors: h.empty(statePrefix),
		}
		if s := state.LBFGS; s != nil {
			s.S = h.empty(func(k int) string { return pairPrefix("s", k) })
			s.Y = h.empty(func(k int) string { return pairPrefix("y", k) })
		}
	}
	if text, ok := h.metadata[bestKey]; ok {
		m.Best = new(Best)
		return parseStrictly(bestKey, text, m.Best)
	}
	return nil
}

// empty returns a place for each vector that has tensors: prefix(k) begins the names of
// those of vector k.
func (h fileHeader) empty(prefix func(k int) string) (vectors [][]float64) {
	for k := 0; ; k++ {
		if _, ok := h.tensors[prefix(k)+"0.weight"]; !ok {
			return vectors
		}
		vectors = append(vectors, nil)
	}
}

// parseStrictly reads JSON that may have no other keys than those that are known: who
// goes on with a run has to understand all of its state.
func parseStrictly(key, text string, to any) error {
	if err := json.Unmarshal([]byte(text), to, json.RejectUnknownMembers(true)); err != nil {
		return fmt.Errorf("%s: %w", key, inOurWords(err))
	}
	return nil
}
