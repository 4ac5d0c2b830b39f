package checkpoint

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"clgrad/network"
)

// A LayerTensors names the tensors that were taken as a layer of a file of others.
type LayerTensors struct {
	Weight string // outputs × inputs
	Bias   string // outputs; "" where there is none, which is a bias of zeros
}

// String returns the names, separated by a comma.
func (l LayerTensors) String() string {
	if l.Bias == "" {
		return fmt.Sprintf("%.80s without bias", l.Weight)
	}
	return fmt.Sprintf("%.80s, %.80s", l.Weight, l.Bias)
}

// Precisions that only files of others have.
const (
	f16  Precision = "F16"
	bf16 Precision = "BF16"
)

// widened returns the precision whose values hold all of p's.
func (p Precision) widened() Precision {
	if p == f16 || p == bf16 {
		return F32
	}
	return p
}

// ofOthers reports whether the file lacks this package's metadata.
func (h fileHeader) ofOthers() bool {
	_, ours := h.metadata[versionKey]
	return !ours
}

// maxTried bounds how often the order of layers is tried whose names do not tell it, and
// maxUntold the layers of such a file.
const (
	maxTried  = 10_000
	maxUntold = 100
)

// A matrix is a tensor that may be the weights of a layer.
type matrix struct {
	name            string
	parts           []string // of the name, numbers apart from what is between them
	inputs, outputs int
}

// foreignModel returns a model of the layers of a file of others, and its layout. See the
// package's comment for what is taken as a layer, and in which order.
func (h fileHeader) foreignModel() (Model, network.Layout, error) {
	layers, sizes, err := h.foreignLayers()
	if err != nil {
		return Model{}, network.Layout{}, err
	}
	layout, err := network.NewLayout(sizes)
	return Model{Sizes: sizes, Precision: h.tensors[layers[0].Weight].precision.widened(), Layers: layers}, layout, err
}

// foreignTensors are the tensors of the layers, by the file's names and precisions.
func (m *Model) foreignTensors(layout network.Layout, h fileHeader) (all []tensor) {
	for i, l := range m.Layers {
		w, b := layout.Layer(i)
		of := func(name string) vector { return vector{"", h.tensors[name].precision, &m.Parameters} }
		all = append(all, tensor{l.Weight, []int{w.Cols, w.Rows}, w, of(l.Weight)})
		if l.Bias != "" {
			all = append(all, tensor{l.Bias, []int{b.Cols}, b, of(l.Bias)})
		}
	}
	return all
}

// foreignLayers finds the layers of a file of others.
func (h fileHeader) foreignLayers() (layers []LayerTensors, sizes []int, err error) {
	biases := map[string]string{} // by what their name shares with that of the weights
	var matrices []matrix
	weights := map[string]string{} // the same
	for _, name := range slices.Sorted(slices.Values(h.order)) {
		t, of, shared := h.tensors[name], weights, stem(name)
		switch {
		case isBias(name) && len(t.shape) != 1:
			return nil, nil, fmt.Errorf("tensor %.80q has shape %v where that of a bias is expected, [outputs]", name, t.shape)
		case isBias(name):
			of = biases
		case len(t.shape) != 2:
			return nil, nil, fmt.Errorf("is no fully connected network: tensor %.80q has shape %v where matrices of outputs × inputs and their biases are expected", name, t.shape)
		case t.shape[0] < 1 || t.shape[1] < 1:
			return nil, nil, fmt.Errorf("tensor %.80q has shape %v: a layer has at least one input and one output", name, t.shape)
		case ofOptimizer(name):
			return nil, nil, fmt.Errorf("tensor %.80q is of an optimizer: those of the network alone are expected", name)
		default:
			matrices = append(matrices, matrix{name, parts(name), t.shape[1], t.shape[0]})
		}
		if other, twice := of[shared]; twice {
			return nil, nil, fmt.Errorf("tensors %.80q and %.80q: which is the layer's cannot be told", other, name)
		}
		of[shared] = name
	}
	if len(matrices) == 0 {
		return nil, nil, fmt.Errorf("has no matrix of outputs × inputs: the layers of a fully connected network are expected%s", h.someName())
	}
	if matrices, err = chain(matrices); err != nil {
		return nil, nil, fmt.Errorf("%w: %s", err, h.list(slices.Sorted(maps.Values(weights))))
	}
	sizes = append(sizes, matrices[0].inputs)
	precision := h.tensors[matrices[0].name].precision.widened()
	for _, m := range matrices {
		l := LayerTensors{m.name, biases[stem(m.name)]}
		delete(biases, stem(m.name))
		for _, name := range []string{l.Weight, l.Bias} {
			if p := h.tensors[name].precision; name != "" && p.widened() != precision {
				return nil, nil, fmt.Errorf("tensor %.80s is %s where %.80s is %s: one precision is expected", name, p, matrices[0].name, h.tensors[matrices[0].name].precision)
			}
		}
		if shape := h.tensors[l.Bias].shape; l.Bias != "" && shape[0] != m.outputs {
			return nil, nil, fmt.Errorf("tensor %.80s has shape %v where [%d] is expected, the outputs of %.80s", l.Bias, shape, m.outputs, m.name)
		}
		layers, sizes = append(layers, l), append(sizes, m.outputs)
	}
	for _, name := range slices.Sorted(slices.Values(h.order)) {
		if biases[stem(name)] == name {
			return nil, nil, fmt.Errorf("tensor %.80q has no weights: %s", name, h.list(h.order))
		}
	}
	return layers, sizes, nil
}

// list says the shapes of tensors, for messages.
func (h fileHeader) list(names []string) string {
	const most = 12
	names = slices.Sorted(slices.Values(names))
	slices.SortStableFunc(names, func(a, b string) int { return compareParts(parts(a), parts(b)) })
	var texts []string
	for _, name := range names[:min(len(names), most)] {
		texts = append(texts, fmt.Sprintf("%.80q %v", name, h.tensors[name].shape))
	}
	if more := len(names) - most; more > 0 {
		texts = append(texts, fmt.Sprintf("%d more", more))
	}
	return strings.Join(texts, ", ")
}

// words are those by which names tell weights from biases.
var words = []string{"weight", "bias", "kernel"}

// stem returns what the names of a layer's weights and bias share: "fc1.weight" and
// "fc1.bias" have "fc1.", "W1" and "b1" have "1".
func stem(name string) string {
	at := strings.LastIndexAny(name, "./") + 1
	last := strings.ToLower(name[at:])
	for _, word := range words {
		if before, after, ok := strings.Cut(last, word); ok {
			return name[:at] + before + after
		}
	}
	if isLetter(last, "w") || isLetter(last, "b") {
		return name[:at] + last[1:]
	}
	return name
}

// isBias reports whether a name is that of a bias.
func isBias(name string) bool {
	last := strings.ToLower(name[strings.LastIndexAny(name, "./")+1:])
	return strings.Contains(last, "bias") || isLetter(last, "b")
}

// isLetter reports a name such as w, w1 or w_1.
func isLetter(name, letter string) bool {
	rest, ok := strings.CutPrefix(name, letter)
	return ok && strings.Trim(rest, "_0123456789") == ""
}

// ofOptimizer reports whether a name is that of an optimizer's state, as of PyTorch's Adam.
func ofOptimizer(name string) bool {
	return slices.ContainsFunc(strings.Split(strings.ToLower(name), "."), func(part string) bool {
		return slices.Contains([]string{"optim", "optimizer", "exp_avg", "exp_avg_sq", "max_exp_avg_sq", "momentum_buffer", "square_avg"}, part)
	})
}

// parts splits a name into numbers and what is between them, in turn, the first of which
// is no number and may be empty. Zeros before a number are left out.
func parts(name string) (all []string) {
	number := false
	for {
		end := strings.IndexFunc(name, func(r rune) bool { return (r >= '0' && r <= '9') != number })
		if end < 0 {
			end = len(name)
		}
		part := name[:end]
		if number {
			part = cmp.Or(strings.TrimLeft(part, "0"), "0")
		}
		if all = append(all, part); end == len(name) {
			return all
		}
		name, number = name[end:], !number
	}
}

// compareParts compares numbers as numbers and the rest as text.
func compareParts(a, b []string) int {
	for i := range min(len(a), len(b)) {
		order := strings.Compare(a[i], b[i])
		if i%2 == 1 {
			order = cmp.Or(cmp.Compare(len(a[i]), len(b[i])), order)
		}
		if order != 0 {
			return order
		}
	}
	return cmp.Compare(len(a), len(b))
}

// before reports whether numbers in the names say that a comes before b: where the names
// first differ, both have one.
func (a matrix) before(b matrix) bool {
	for i := range min(len(a.parts), len(b.parts)) {
		if a.parts[i] != b.parts[i] {
			return i%2 == 1 && compareParts(a.parts, b.parts) < 0
		}
	}
	return false
}

// What is said of layers whose order is not found.
var (
	errNoChain   = errors.New("its tensors are no chain of layers, each with as many inputs as the one before has outputs")
	errAmbiguous = errors.New("its layers could stand in several orders (numbers in their names would tell)")
)

// chain returns the matrices in the only order in which each has as many inputs as the
// one before has outputs, and in which numbers in their names rise.
func chain(all []matrix) ([]matrix, error) {
	all = slices.Clone(all)
	slices.SortFunc(all, func(a, b matrix) int { return cmp.Or(compareParts(a.parts, b.parts), cmp.Compare(a.name, b.name)) })
	told := true
	for i := range all[1:] {
		told = told && all[i].before(all[i+1])
	}
	if told { // then any two of them are in order
		for i := range all[1:] {
			if all[i].outputs != all[i+1].inputs {
				return nil, errNoChain
			}
		}
		return all, nil
	}
	if len(all) > maxUntold {
		return nil, errAmbiguous
	}

	var found, path []matrix
	used, solutions, tried := make([]bool, len(all)), 0, 0
	var search func()
	search = func() {
		if len(path) == len(all) {
			solutions++
			found = slices.Clone(path)
			return
		}
		for i, m := range all {
			if used[i] || len(path) > 0 && path[len(path)-1].outputs != m.inputs {
				continue
			}
			first := true
			for k, other := range all {
				first = first && (used[k] || !other.before(m))
			}
			if tried++; !first || solutions > 1 || tried > maxTried {
				continue
			}
			used[i], path = true, append(path, m)
			search()
			used[i], path = false, path[:len(path)-1]
		}
	}
	search()
	switch {
	case solutions > 1 || tried > maxTried:
		return nil, errAmbiguous
	case solutions == 0:
		return nil, errNoChain
	}
	return found, nil
}
