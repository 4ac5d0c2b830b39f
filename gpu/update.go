package gpu

import (
	"strings"

	"clgrad/kernels"
	"clgrad/network"
)

// vectorGroup is the work-group of kernels with one element a work-item.
const vectorGroup = 64

// Update applies a rule.
func (e *executor) Update(u network.Update, theta, g network.Vector, state []network.Vector, r network.Recorder) error {
	network.CheckUpdate(u, theta, g, state)
	vectors := append([]network.Vector{theta, g}, state...)
	for _, v := range vectors {
		if v.Offset%network.Align != 0 {
			panic(badStride)
		}
	}
	mine := e.ownRecorder(r)
	if err := e.check(network.OpUpdate); err != nil {
		return err
	}
	item, rule := e.config.UpdateItem, ruleOf(u)
	if err := e.trust(rule); err != nil {
		return err
	}
	l, err := e.launch(launchKey{kernel: "update", operation: network.OpUpdate, rule: rule}, false, func() (kernels.Program, []int) {
		if item > 1 {
			return kernels.Update(rule, item), []int{1}
		}
		return kernels.Update(rule, item), []int{e.group(vectorGroup)}
	})
	if err != nil {
		return err
	}
	a := e.arguments().ints(theta.Len, u.Iteration).factors(u.Factors())
	for i := range 4 {
		v := theta // where the rule has less state, any vector will do
		if i < len(vectors) {
			v = vectors[i]
		}
		a.at(e.own(v.Buffer), v.Offset)
	}
	return l.run(a.buffers(mine.o), groups(theta.Len, item))
}

// ruleOf returns the kernels' name of an update's rule.
func ruleOf(u network.Update) kernels.Rule { return kernels.Rule(strings.ToUpper(string(u.Optimizer))) }

// factors adds those of an update.
func (a *arguments) factors(f network.Factors) *arguments {
	return a.float(f.Rate).float(f.Decay).float(f.Keep1).float(f.Take1).float(f.Keep2).float(f.Take2).float(f.Root).float(f.Epsilon)
}
