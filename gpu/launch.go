package gpu

import (
	"fmt"
	"math"

	"clgrad/kernels"
	"clgrad/network"
)

// A launch is a kernel that is ready to be enqueued: its program is built, and the
// arguments that it had last need not be set again.
type launch struct {
	s         *session
	operation string // names it in errors and profiles
	name      string // of the kernel
	kernel    *object
	local     []int
	args      []arg // as they are set
}

// A launchKey tells apart the launches of an executor.
type launchKey struct {
	kernel    string
	operation string // without its shape
	n, p      int    // 0, 0 where it has none
	tile      kernels.Tile
	epilogue  kernels.Epilogue
	rule      kernels.Rule
	network   string // whose whole iterations it is of
	bytes     bool
	scaled    kernels.Scaled // of the input of whole iterations in few launches
}

// launch returns the launch with a key. With the first call it is made: of returns the
// program and the work-group. A work-group that the kernel's own code fixes is exact;
// others are halved until the device takes them.
func (e *executor) launch(key launchKey, exact bool, of func() (kernels.Program, []int)) (*launch, error) {
	if l := e.launches[key]; l != nil {
		return l, nil
	}
	program, local := of()
	k, err := e.s.kernel(program, key.kernel)
	if err != nil {
		return nil, err
	}
	k.owner = e
	l := &launch{s: e.s, operation: key.operation, name: key.kernel, kernel: k, local: local}
	if key.n > 0 {
		l.operation = network.OperationKey(key.operation, key.n, key.p)
	}
	most, err := e.s.api.workGroupSize(k.handle, e.s.device)
	if err != nil {
		return nil, e.s.fail(l.operation+": work-group of "+l.name, err)
	}
	for product(local) > most {
		largest := 0
		for i, n := range local {
			if n > local[largest] {
				largest = i
			}
		}
		if exact || local[largest] == 1 {
			return nil, e.s.fail(l.operation, fmt.Errorf("kernel %s takes work-groups of up to %d work-items here, %v are asked for", l.name, most, local))
		}
		local[largest] /= 2
	}
	e.launches[key] = l
	return l, nil
}

func product(v []int) int {
	n := 1
	for _, x := range v {
		n *= x
	}
	return n
}

// An arg is a kernel argument: a buffer, or the bits of a number.
type arg struct {
	o    *object
	bits uint64
	kind argKind
}

type argKind uint8

const (
	bufferArg argKind = iota
	intArg            // int32
	longArg           // uint64
	floatArg          // float32
)

func (a arg) value() any {
	switch a.kind {
	case intArg:
		return int32(a.bits)
	case longArg:
		return a.bits
	case floatArg:
		return math.Float32frombits(uint32(a.bits))
	}
	return a.o.handle
}

// arguments are those of one call, in an executor's memory.
type arguments struct{ v []arg }

// arguments returns an empty list, in the place of the last one.
func (e *executor) arguments() *arguments {
	e.args.v = e.args.v[:0]
	return &e.args
}

func (a *arguments) ints(values ...int) *arguments {
	for _, v := range values {
		a.v = append(a.v, arg{bits: uint64(uint32(int32(v))), kind: intArg})
	}
	return a
}

func (a *arguments) float(v float64) *arguments {
	a.v = append(a.v, arg{bits: uint64(math.Float32bits(float32(v))), kind: floatArg})
	return a
}

func (a *arguments) buffers(objects ...*object) *arguments {
	for _, o := range objects {
		a.v = append(a.v, arg{o: o})
	}
	return a
}

// at adds a buffer and an offset in it.
func (a *arguments) at(o *object, offset int) *arguments {
	a.v = append(a.v, arg{o: o}, arg{bits: uint64(offset), kind: longArg})
	return a
}

// matrix adds a matrix: buffer, offset, stride.
func (a *arguments) matrix(m operand) *arguments { return a.at(m.o, m.offset).ints(m.stride) }

// run enqueues the launch over whole work-groups: global is rounded up to a multiple
// of the group.
func (l *launch) run(a *arguments, global ...int) error {
	for i, v := range a.v {
		if v.kind == bufferArg && v.o.handle == nil {
			return l.s.fail(l.operation+": "+v.o.what, network.ErrClosed)
		}
		if i < len(l.args) && l.args[i] == v {
			continue
		}
		if err := l.s.api.setArg(l.kernel.handle, i, v.value()); err != nil {
			l.args = l.args[:min(i, len(l.args))]
			return l.s.fail(fmt.Sprintf("%s: argument %d of %s", l.operation, i, l.name), err)
		}
		if i < len(l.args) {
			l.args[i] = v
		} else {
			l.args = append(l.args, v)
		}
	}
	for i, g := range global {
		global[i] = groups(g, l.local[i]) * l.local[i]
	}
	return l.s.enqueue(l, global)
}

// enqueue enqueues a launch and takes its time where the session is profiling.
func (s *session) enqueue(l *launch, global []int) error {
	h, err := s.api.enqueueKernel(s.queue.handle, l.kernel.handle, global, l.local, s.profiling || len(s.streams) > 0)
	if err != nil {
		return s.fail(fmt.Sprintf("%s: enqueue %s %v/%v", l.operation, l.name, global, l.local), err)
	}
	s.enqueued(l.operation)
	if h == nil {
		return nil
	}
	e := &event{handle: h}
	if len(s.streams) > 0 {
		s.release(s.last)
		s.last = e
		e.users++
	}
	if s.profiling {
		e.users++
		s.timed = append(s.timed, timedEvent{l.operation, e})
		if len(s.timed) >= maxTimed {
			return s.collect()
		}
	}
	return nil
}
