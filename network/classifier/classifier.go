package classifier

import (
	"errors"
	"fmt"
	"slices"
	"strconv"

	"clgrad/network"
	"clgrad/network/checkpoint"
)

// A Classifier is a network that is to be trained, or was. It belongs to one goroutine at a time.
type Classifier struct {
	backend network.Backend
	options Options
	learned *checkpoint.Model // what was trained or loaded, nil before
	losses  []float64
	loaded  map[kind]loaded // learned on the backend, as far as it is there
	closed  bool
}

// ErrNotFitted reports the use of a classifier before [Classifier.Fit].
var ErrNotFitted = errors.New("the classifier has learned nothing yet: call Fit first, or make it with Load")

// New returns a classifier that computes on a backend, such as cpu.New[float32]() or one of
// package gpu, which stays the caller's to close. Options are looked at by [Classifier.Fit].
func New(b network.Backend, o Options) *Classifier { return &Classifier{backend: b, options: o} }

// ready reports why nothing can be computed.
func (c *Classifier) ready(operation string) error {
	switch {
	case c.closed:
		return fmt.Errorf("classifier: %s: %w", operation, network.ErrClosed)
	case c.backend == nil:
		return fmt.Errorf("classifier: %s: there is no backend: give New or Load one, as cpu.New[float32]()", operation)
	}
	return nil
}

// fitted reports why nothing can be predicted.
func (c *Classifier) fitted(operation string) error {
	if err := c.ready(operation); err != nil {
		return err
	}
	if c.learned == nil {
		return fmt.Errorf("classifier: %s: %w", operation, ErrNotFitted)
	}
	return nil
}

// Close frees what the classifier holds on its backend, which closing the backend does too.
// Any other use afterwards is [network.ErrClosed]. Closing twice does nothing.
func (c *Classifier) Close() error {
	c.closed = true
	return c.unload()
}

// Classes returns the names of the classes in their order, "0", "1", … where they have no
// others; nil before Fit.
func (c *Classifier) Classes() []string {
	if c.learned == nil {
		return nil
	}
	if c.learned.Classes != nil {
		return slices.Clone(c.learned.Classes)
	}
	var names []string
	for i := range c.classes() {
		names = append(names, strconv.Itoa(i))
	}
	return names
}

// classes returns how many the network has.
func (c *Classifier) classes() int { return c.learned.Sizes[len(c.learned.Sizes)-1] }

// Iterations returns the number of updates after which the parameters stand, 0 where that is
// unknown.
func (c *Classifier) Iterations() int {
	if c.learned == nil || c.learned.Run == nil {
		return 0
	}
	return c.learned.Run.Iterations
}

// Losses returns the loss of each iteration of [Classifier.Fit], before its update.
func (c *Classifier) Losses() []float64 { return slices.Clone(c.losses) }

// Model returns what [Classifier.Save] writes: sizes, parameters, scaling, names of classes
// and how they came about. Packages network, checkpoint and onnx take it from there.
func (c *Classifier) Model() (checkpoint.Model, error) {
	if c.learned == nil {
		return checkpoint.Model{}, fmt.Errorf("classifier: model: %w", ErrNotFitted)
	}
	return *c.learned, nil
}

// String says what the classifier is in one line.
func (c *Classifier) String() string {
	if c.learned == nil {
		return "classifier, not trained yet"
	}
	layout, err := network.NewLayout(c.learned.Sizes)
	if err != nil {
		return "classifier: " + err.Error()
	}
	text := "classifier, " + layout.String()
	if n := c.Iterations(); n > 0 {
		text += fmt.Sprintf(", after %d iterations", n)
	}
	return text
}
