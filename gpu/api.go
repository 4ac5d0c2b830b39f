package gpu

import (
	"time"
	"unsafe"
)

// api is all that this package asks of OpenCL: one call each, in the order of a
// device's life. opencl.go implements it with the binding and is the only file
// that imports it; tests put a twin before it that makes chosen calls fail.
//
// A handle is what one create call returned. It is released once, with release.
// Enqueued work of a queue runs in order. Calls for one device come from one goroutine, and
// those for the queue of uploads from another one.
type api interface {
	// devices lists the devices of all platforms, usable or not.
	devices() ([]Device, error)

	createContext(Device) (handle, error)
	createQueue(context handle, d Device, profiling bool) (handle, error)
	createBuffer(context handle, bytes int) (handle, error)
	createProgram(context handle, source string) (handle, error)
	// buildProgram's error holds the build log.
	buildProgram(program handle, options string) error
	createKernel(program handle, name string) (handle, error)
	// workGroupSize returns the most work-items of a work-group that a device takes of
	// a kernel, which may be fewer than of any: registers and local memory bound it.
	workGroupSize(kernel handle, d Device) (int, error)

	// setArg takes int32, uint64, float32 and buffers.
	setArg(kernel handle, index int, value any) error
	// enqueueKernel returns an event that has to be released where keep is set,
	// and none otherwise. global and local have equal length.
	enqueueKernel(queue, kernel handle, global, local []int, keep bool) (handle, error)
	// enqueueFill sets bytes bytes from offset to zero.
	enqueueFill(queue, buffer handle, offset, bytes int) error

	// write and read block until the copy is done.
	write(queue, buffer handle, offset int, src unsafe.Pointer, bytes int) error
	read(queue, buffer handle, offset int, dst unsafe.Pointer, bytes int) error

	// mapBuffer returns memory that becomes the first bytes of the buffer with unmap. What
	// they were is lost. The memory may be written to once the map, or a later one of the same
	// queue, was waited for: block waits.
	mapBuffer(queue, buffer handle, bytes int, block bool) (mapping, error)
	// unmap returns an event where keep is set, as enqueueKernel does.
	unmap(queue, buffer handle, m mapping, keep bool) (handle, error)

	// wait blocks until the event's command is done, on any queue.
	wait(event handle) error
	// times returns when the event's command started and ended, on the device's
	// clock. The queue has to be profiling.
	times(event handle) (start, end time.Duration, err error)
	// finish blocks until the queue is empty.
	finish(queue handle) error

	release(handle)
}

// handle is an OpenCL object of the api that made it.
type handle any

// A mapping is memory of the host that stands for a buffer. Its event has to be released.
type mapping struct {
	memory []byte
	of     handle
	event  handle
}
