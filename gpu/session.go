package gpu

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unsafe"

	"clgrad/kernels"
	"clgrad/network"
)

// An Error is a call that failed on a device.
type Error struct {
	Device string // its number P.D
	Call   string
	Err    error
}

func (e *Error) Error() string { return fmt.Sprintf("opencl:%s: %s: %v", e.Device, e.Call, e.Err) }

func (e *Error) Unwrap() error { return e.Err }

// A session is one device in use: a context of its own (a context shared by
// several GPUs serialises them), one in-order queue, and all objects made with
// them.
type session struct {
	api      api
	device   Device
	context  *object
	queue    *object
	objects  []*object // in the order of creation, context and queue first
	programs map[kernels.Program]*object
	source   func(kernels.Program) string
	// pending names the operations since the last wait, for the error of the
	// next one.
	pending  []string
	launches int // enqueued since the last wait, pending's repeats included
	// timed holds the events of launches while profiling, until they are waited
	// for.
	profiling bool
	timed     []timedEvent
	profile   []operationTime

	// spans, where not nil, is told when each operation of a profile started and ended.
	spans func(operation string, start, end time.Duration)

	streams []*stream // that upload
	last    *event    // of the last launch, while there are streams
}

// An event is one that has several users. The last one releases it.
type event struct {
	handle handle
	users  int
}

// release gives up one use of an event, nil for none.
func (s *session) release(e *event) {
	if e == nil {
		return
	}
	if e.users--; e.users == 0 {
		s.api.release(e.handle)
	}
}

// An object is a handle that is released once.
type object struct {
	handle handle
	what   string
	bytes  int       // of a buffer
	owner  *executor // that it goes with; nil for what is the session's
}

type timedEvent struct {
	operation string
	event     *event
}

type operationTime struct {
	operation string
	launches  int
	total     time.Duration
}

func newSession(a api, d Device, source func(kernels.Program) string) (_ *session, err error) {
	s := &session{
		api: a, device: d, programs: map[kernels.Program]*object{}, source: source,
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.close())
		}
	}()
	if s.context, err = s.keep("context")(a.createContext(d)); err != nil {
		return nil, err
	}
	if s.queue, err = s.keep("queue")(a.createQueue(s.context.handle, d, false)); err != nil {
		return nil, err
	}
	return s, nil
}

// keep takes what a create call returned into the session's objects.
func (s *session) keep(what string) func(handle, error) (*object, error) {
	return func(h handle, err error) (*object, error) {
		if err != nil {
			return nil, s.fail("create "+what, err)
		}
		o := &object{handle: h, what: what}
		s.objects = append(s.objects, o)
		return o, nil
	}
}

// fail names the device and the call that failed.
func (s *session) fail(call string, err error) error {
	return &Error{s.device.ID(), call, err}
}

// faulted is fail for a call that waits: what went wrong may be any operation
// since the last one.
func (s *session) faulted(call string, err error) error {
	if len(s.pending) > 0 {
		call += fmt.Sprintf(" (after %d operations: %s)", s.launches, strings.Join(s.pending, ", "))
	}
	return s.fail(call, err)
}

// maxPending bounds the names of operations that an error lists.
const maxPending = 16

// enqueued remembers an operation until the next wait.
func (s *session) enqueued(operation string) {
	s.launches++
	if len(s.pending) < maxPending && !slices.Contains(s.pending, operation) {
		s.pending = append(s.pending, operation)
	}
}

// waited forgets the operations before a wait that went well.
func (s *session) waited() {
	s.pending, s.launches = s.pending[:0], 0
}

// free releases one object.
func (s *session) free(o *object) {
	if o.handle == nil {
		return
	}
	s.api.release(o.handle)
	o.handle = nil
	if i := slices.Index(s.objects, o); i >= 0 {
		s.objects = slices.Delete(s.objects, i, i+1)
	}
}

// close waits for the device and releases everything, newest first.
func (s *session) close() error {
	err := s.endStreams(nil)
	if s.queue != nil {
		if e := s.api.finish(s.queue.handle); e != nil {
			err = errors.Join(err, s.faulted("finish", e))
		}
	}
	for _, t := range s.timed {
		s.release(t.event)
	}
	s.timed = nil
	for len(s.objects) > 0 {
		s.free(s.objects[len(s.objects)-1])
	}
	s.queue = nil
	return err
}

// buffer makes a buffer with unspecified contents.
func (s *session) buffer(what string, bytes int) (*object, error) {
	if limit := s.device.MaxBuffer; limit > 0 && int64(bytes) > limit {
		return nil, s.fail("create "+what, fmt.Errorf("needs %d bytes, the device's largest buffer is %d", bytes, limit))
	}
	o, err := s.keep(what)(s.api.createBuffer(s.context.handle, bytes))
	if err != nil {
		return nil, fmt.Errorf("%w (%d bytes)", err, bytes)
	}
	o.bytes = bytes
	return o, nil
}

// fill zeroes a range of a buffer.
func (s *session) fill(o *object, offset, bytes int) error {
	if o.handle == nil {
		return s.fail("clear "+o.what, network.ErrClosed)
	}
	if err := s.api.enqueueFill(s.queue.handle, o.handle, offset, bytes); err != nil {
		return s.fail("clear "+o.what, err)
	}
	s.enqueued("clear " + o.what)
	return nil
}

// kernel returns a new kernel of a program, building the program on first use.
func (s *session) kernel(p kernels.Program, name string) (*object, error) {
	program := s.programs[p]
	if program == nil {
		what := "program " + p.File
		var err error
		program, err = s.keep(what)(s.api.createProgram(s.context.handle, s.source(p)))
		if err != nil {
			return nil, err
		}
		// PoCL warns on standard error of every vector that is wider than the processor's.
		if err := s.api.buildProgram(program.handle, p.Options+" -w"); err != nil {
			s.free(program)
			return nil, s.fail(fmt.Sprintf("build %s with %q", p.File, p.Options), err)
		}
		s.programs[p] = program
	}
	return s.keep("kernel " + name)(s.api.createKernel(program.handle, name))
}

// startProfile goes on with a queue that takes times.
func (s *session) startProfile() error {
	if err := s.finish(); err != nil {
		return err
	}
	if err := s.collect(); err != nil { // what ran before is not of the new profile
		return err
	}
	s.profile = nil
	if s.profiling {
		return nil
	}
	queue, err := s.keep("queue")(s.api.createQueue(s.context.handle, s.device, true))
	if err != nil {
		return err
	}
	s.free(s.queue)
	s.queue, s.profiling = queue, true
	return nil
}

// maxTimed bounds the events that are held while profiling: drivers slow down
// under thousands of them.
const maxTimed = 1024

// collect waits for the timed launches and adds their times to the profile.
func (s *session) collect() error {
	if len(s.timed) == 0 {
		return nil
	}
	if err := s.finish(); err != nil {
		return err
	}
	for len(s.timed) > 0 {
		t := s.timed[0]
		start, end, err := s.api.times(t.event.handle)
		s.release(t.event)
		s.timed = s.timed[1:]
		if err != nil {
			return s.fail("time of "+t.operation, err)
		}
		s.took(t.operation, start, end)
	}
	s.timed = nil
	return nil
}

// took adds the time of an operation to the profile.
func (s *session) took(operation string, start, end time.Duration) {
	if s.spans != nil {
		s.spans(operation, start, end)
	}
	i := slices.IndexFunc(s.profile, func(o operationTime) bool { return o.operation == operation })
	if i < 0 {
		i = len(s.profile)
		s.profile = append(s.profile, operationTime{operation: operation})
	}
	s.profile[i].launches++
	s.profile[i].total += end - start
}

// write copies host memory to a buffer.
func (s *session) write(o *object, offset int, src unsafe.Pointer, bytes int) error {
	if o.handle == nil {
		return s.fail("write "+o.what, network.ErrClosed)
	}
	if err := s.api.write(s.queue.handle, o.handle, offset, src, bytes); err != nil {
		return s.faulted("write "+o.what, err)
	}
	s.waited()
	return nil
}

// read copies a buffer to host memory after all work so far.
func (s *session) read(o *object, offset int, dst unsafe.Pointer, bytes int) error {
	if o.handle == nil {
		return s.fail("read "+o.what, network.ErrClosed)
	}
	if err := s.api.read(s.queue.handle, o.handle, offset, dst, bytes); err != nil {
		return s.faulted("read "+o.what, err)
	}
	s.waited()
	return nil
}

// finish waits for all work so far.
func (s *session) finish() error {
	if err := s.api.finish(s.queue.handle); err != nil {
		return s.faulted("finish", err)
	}
	s.waited()
	return nil
}
