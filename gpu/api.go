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
// Enqueued work runs in order. Calls for one device come from one goroutine.
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

	// times returns when the event's command started and ended, on the device's
	// clock. The queue has to be profiling.
	times(event handle) (start, end time.Duration, err error)
	// finish blocks until the queue is empty.
	finish(queue handle) error

	release(handle)
}

// handle is an OpenCL object of the api that made it.
type handle any
