package checkpoint

import (
	"fmt"
	"strings"
	"testing"
)

// The order of layers: numbers in their names rise, and shapes chain; nothing else is
// taken from names.
func TestLayerOrder(t *testing.T) {
	type tensor struct {
		name string
		rank []int
	}
	const chain, several = "its tensors are no chain of layers", "its layers could stand in several orders"
	for _, test := range []struct {
		tensors []tensor
		want    string // names of weights in order, or the beginning of an error
	}{
		{[]tensor{{"a.weight", []int{2, 3}}}, "a.weight"},
		{[]tensor{{"l10.weight", []int{2, 4}}, {"l9.weight", []int{4, 3}}}, "l9.weight l10.weight"},
		{[]tensor{{"l1.weight", []int{2, 4}}, {"l2.weight", []int{4, 3}}}, chain},
		{[]tensor{{"b.weight", []int{4, 3}}, {"a.weight", []int{2, 4}}}, "b.weight a.weight"},
		{[]tensor{{"a.weight", []int{4, 4}}, {"b.weight", []int{4, 4}}}, several},
		{[]tensor{{"a1.weight", []int{4, 4}}, {"a2.weight", []int{4, 4}}, {"out.weight", []int{2, 4}}, {"in.weight", []int{4, 9}}}, "in.weight a1.weight a2.weight out.weight"},
		{[]tensor{{"layer1.b.weight", []int{5, 4}}, {"layer1.a.weight", []int{4, 3}}, {"layer2.b.weight", []int{2, 6}}, {"layer2.a.weight", []int{6, 5}}},
			"layer1.a.weight layer1.b.weight layer2.a.weight layer2.b.weight"},
		{[]tensor{{"1.weight", []int{4, 4}}, {"01.weight", []int{4, 4}}}, several},
		{[]tensor{{"W1", []int{4, 3}}, {"b1", []int{4}}, {"W2", []int{2, 4}}, {"b2", []int{2}}}, "W1 W2"},
		{[]tensor{{"fc1_weight", []int{4, 3}}, {"fc1_bias", []int{4}}, {"fc2_weight", []int{2, 4}}}, "fc1_weight fc2_weight"},
		{[]tensor{{"0.weight", []int{4, 3}}, {"0.bias", []int{3}}}, `tensor 0.bias has shape [3] where [4] is expected, the outputs of 0.weight`},
		{[]tensor{{"0.weight", []int{4, 3}}, {"1.bias", []int{4}}}, `tensor "1.bias" has no weights: "0.weight" [4 3], "1.bias" [4]`},
		{[]tensor{{"0.weight", []int{4, 3}}, {"0.bias", []int{1, 4}}}, `tensor "0.bias" has shape [1 4] where that of a bias is expected, [outputs]`},
		{[]tensor{{"0.weight", []int{4, 3}}, {"0.kernel", []int{4, 4}}}, `tensors "0.kernel" and "0.weight": which is the layer's cannot be told`},
		{[]tensor{{"0.weight", []int{}}}, `is no fully connected network: tensor "0.weight" has shape []`},
		{[]tensor{{"0.weight", []int{4, 0}}}, `tensor "0.weight" has shape [4 0]: a layer has at least one input and one output`},
		{nil, `has no matrix of outputs × inputs`},
	} {
		h := fileHeader{tensors: map[string]fileTensor{}}
		for _, x := range test.tensors {
			h.tensors[x.name] = fileTensor{precision: F32, shape: x.rank}
			h.order = append(h.order, x.name)
		}
		layers, _, err := h.foreignLayers()
		var names []string
		for _, l := range layers {
			names = append(names, l.Weight)
		}
		got := strings.Join(names, " ")
		if err != nil {
			got = err.Error()
		}
		if err == nil && got != test.want || err != nil && !strings.HasPrefix(got, test.want) {
			t.Errorf("%v: got %s, want %s", test.tensors, got, test.want)
		}
	}
}

// Names without numbers cannot make the search for an order long.
func TestLayerOrderBounded(t *testing.T) {
	for _, n := range []int{20, 100, 5000} {
		var all []matrix
		for i := range n {
			name := fmt.Sprintf("%c%c%c", 'a'+i%26, 'a'+i/26%26, 'a'+i/676)
			all = append(all, matrix{name, parts(name), 4 + i%2, 4 + (i+1)%2})
		}
		all[n-1].outputs = 9 // no end fits: every order would be tried
		all[n-2].outputs = 9
		if _, err := chain(all); err == nil {
			t.Errorf("%d layers: no error", n)
		}
	}
}
