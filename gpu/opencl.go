//go:build cgo && !nogpu

package gpu

import (
	"errors"
	"fmt"
	"runtime"
	"strings"
	"time"
	"unsafe"

	"github.com/jgillich/go-opencl/cl"
)

// openCL returns the api over the binding.
func openCL() (api, error) { return binding{}, nil }

// binding implements api with github.com/jgillich/go-opencl and obeys what that
// binding asks for:
//
//   - Every handle comes with a finalizer, and nothing keeps it alive while C
//     uses it, so finalizers are cleared at once and release frees.
//   - Every enqueue makes an event, which is released at once unless it is kept.
//     With an error comes an event without a handle, so errors are looked at
//     first.
//   - Its Flush is clFinish and is never called; waiting flushes.
//   - Go memory is copied by blocking calls only.
//   - Wait lists are nil: a non-nil empty one is dereferenced.
type binding struct{}

// owned clears the finalizer that the binding set on a new object.
func owned[T any](object *T, err error) (*T, error) {
	if err != nil {
		return nil, err
	}
	runtime.SetFinalizer(object, nil)
	return object, nil
}

// made is owned for calls that return a handle.
func made[T any](object *T, err error) (handle, error) {
	if object, err = owned(object, err); err != nil {
		return nil, err
	}
	return object, nil
}

// enqueued releases the event of an enqueue call unless it is kept.
func enqueued(event *cl.Event, err error, keep bool) (handle, error) {
	if event, err = owned(event, err); err != nil {
		return nil, err
	}
	if keep {
		return event, nil
	}
	event.Release()
	return nil, nil
}

// noPlatform is CL_PLATFORM_NOT_FOUND_KHR, what the loader returns where no
// driver is installed.
const noPlatform = cl.ErrOther(-1001)

func (binding) devices() ([]Device, error) {
	platforms, err := cl.GetPlatforms()
	if err == error(noPlatform) || err == nil && len(platforms) == 0 {
		return nil, fmt.Errorf("%w: no OpenCL driver is installed (on Debian or Ubuntu: apt-get install pocl-opencl-icd, or the GPU's own)", ErrNoDevice)
	}
	if err != nil {
		return nil, fmt.Errorf("%w: clGetPlatformIDs: %w", ErrNoDevice, err)
	}
	var all, broken []Device
	var empty []string
	for p, platform := range platforms {
		name, version := platformNames(platform)
		found, err := platform.GetDevices(cl.DeviceTypeAll)
		if err != nil {
			empty = append(empty, fmt.Sprintf("platform %d (%s): %v", p, name, err))
			if !errors.Is(err, cl.ErrDeviceNotFound) { // which says that there is none
				broken = append(broken, unlisted(p, name, version, err))
			}
			continue
		}
		for i, d := range found {
			all = append(all, describe(d, p, i, name, version))
		}
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("%w: %s", ErrNoDevice, strings.Join(empty, "; "))
	}
	return append(all, broken...), nil
}

// platformNames returns a platform's name and version. The binding has only
// getters that panic where the driver fails.
func platformNames(p *cl.Platform) (name, version string) {
	defer func() {
		if r := recover(); r != nil {
			name = fmt.Sprint(r)
		}
	}()
	return p.Name(), p.Version()
}

// The parameters of clGetDeviceInfo, from the OpenCL 1.2 specification: the
// binding's named getters panic.
const (
	deviceType         = 0x1000
	deviceComputeUnits = 0x1002
	deviceMaxWorkGroup = 0x1004
	deviceClock        = 0x100C
	deviceMaxBuffer    = 0x1010
	deviceMemory       = 0x101F
	deviceLocalMemory  = 0x1023
	deviceLittleEndian = 0x1026
	deviceAvailable    = 0x1027
	deviceCompiler     = 0x1028
	deviceName         = 0x102B
	deviceVendor       = 0x102C
	deviceDriver       = 0x102D
	deviceUnified      = 0x1035
	deviceVectorWidth  = 0x103A // native, of float
	deviceVersion      = 0x102F
)

// describe asks a device for all that the package needs to know.
func describe(d *cl.Device, platform, index int, platformName, platformVersion string) Device {
	var problems []string
	note := func(what string, err error) {
		if err != nil {
			problems = append(problems, fmt.Sprintf("%s: %v", what, err))
		}
	}
	text := func(what string, get func() (string, error)) string {
		s, err := get()
		note(what, err)
		return strings.TrimSpace(s)
	}
	r := Device{
		Platform: platform, Index: index, PlatformName: platformName, PlatformVersion: platformVersion, id: d,
		Name:    text("name", func() (string, error) { return d.GetInfoString(deviceName) }),
		Vendor:  text("vendor", func() (string, error) { return d.GetInfoString(deviceVendor) }),
		Driver:  text("driver", func() (string, error) { return d.GetInfoString(deviceDriver) }),
		Version: text("version", func() (string, error) { return d.GetInfoString(deviceVersion) }),
	}
	kind, err := d.GetInfoUlong(deviceType)
	note("type", err)
	r.Type = "Other"
	for _, t := range []cl.DeviceType{cl.DeviceTypeCPU, cl.DeviceTypeAccelerator, cl.DeviceTypeGPU} {
		if cl.DeviceType(kind)&t != 0 {
			r.Type = t.String()
		}
	}
	units, err := d.GetInfoUint(deviceComputeUnits)
	note("compute units", err)
	clock, err := d.GetInfoUint(deviceClock)
	note("clock", err)
	width, err := d.GetInfoUint(deviceVectorWidth)
	note("vector width", err)
	r.ComputeUnits, r.ClockMHz, r.VectorWidth = int(units), int(clock), int(width)
	r.MaxWorkGroup, err = d.GetInfoSize(deviceMaxWorkGroup)
	note("work-group size", err)
	r.Memory, err = d.GetInfoUlong(deviceMemory)
	note("memory", err)
	r.MaxBuffer, err = d.GetInfoUlong(deviceMaxBuffer)
	note("largest buffer", err)
	r.SharesMemory, err = d.GetInfoBool(deviceUnified)
	note("kind of memory", err)
	r.LocalMemory, err = d.GetInfoUlong(deviceLocalMemory)
	note("local memory", err)
	must := func(is bool, err error, problem string) {
		note(problem, err)
		if err == nil && !is {
			problems = append(problems, problem)
		}
	}
	is, err := d.GetInfoBool(deviceAvailable)
	must(is, err, "the driver says it is not available")
	is, err = d.GetInfoBool(deviceCompiler)
	must(is, err, "the driver has no compiler")
	is, err = d.GetInfoBool(deviceLittleEndian)
	must(is, err, "it is big-endian")
	r.Problem = strings.Join(problems, "; ")
	return r
}

func (binding) createContext(d Device) (handle, error) {
	return made(cl.CreateContext([]*cl.Device{d.id.(*cl.Device)}))
}

func (binding) createQueue(context handle, d Device, profiling bool) (handle, error) {
	var properties cl.CommandQueueProperty
	if profiling {
		properties = cl.CommandQueueProfilingEnable
	}
	return made(context.(*cl.Context).CreateCommandQueue(d.id.(*cl.Device), properties))
}

func (binding) createBuffer(context handle, bytes int) (handle, error) {
	return made(context.(*cl.Context).CreateEmptyBuffer(cl.MemReadWrite, bytes))
}

func (binding) createProgram(context handle, source string) (handle, error) {
	return made(context.(*cl.Context).CreateProgramWithSource([]string{source}))
}

func (binding) buildProgram(program handle, options string) error {
	err := program.(*cl.Program).BuildProgram(nil, options)
	var log cl.BuildError
	if errors.As(err, &log) {
		text := strings.TrimSpace(strings.ReplaceAll(string(log), "\x00", ""))
		if text == "" {
			text = "the driver gave no build log (its compiler may be missing)"
		}
		return errors.New(text)
	}
	return err
}

func (binding) createKernel(program handle, name string) (handle, error) {
	return made(program.(*cl.Program).CreateKernel(name))
}

func (binding) workGroupSize(kernel handle, d Device) (int, error) {
	return kernel.(*cl.Kernel).WorkGroupSize(d.id.(*cl.Device))
}

func (binding) setArg(kernel handle, index int, value any) error {
	k := kernel.(*cl.Kernel)
	switch v := value.(type) {
	case int32:
		return k.SetArgInt32(index, v)
	case uint64:
		return k.SetArgUint64(index, v)
	case float32:
		return k.SetArgFloat32(index, v)
	case *cl.MemObject:
		return k.SetArgBuffer(index, v)
	}
	panic("gpu: kernel argument of an unknown type")
}

func (binding) enqueueKernel(queue, kernel handle, global, local []int, keep bool) (handle, error) {
	event, err := queue.(*cl.CommandQueue).EnqueueNDRangeKernel(kernel.(*cl.Kernel), nil, global, local, nil)
	return enqueued(event, err, keep)
}

func (binding) enqueueFill(queue, buffer handle, offset, bytes int) error {
	var zero uint32
	event, err := queue.(*cl.CommandQueue).EnqueueFillBuffer(buffer.(*cl.MemObject),
		unsafe.Pointer(&zero), int(unsafe.Sizeof(zero)), offset, bytes, nil)
	_, err = enqueued(event, err, false)
	return err
}

func (binding) write(queue, buffer handle, offset int, src unsafe.Pointer, bytes int) error {
	event, err := queue.(*cl.CommandQueue).EnqueueWriteBuffer(buffer.(*cl.MemObject), true, offset, bytes, src, nil)
	_, err = enqueued(event, err, false)
	return err
}

func (binding) read(queue, buffer handle, offset int, dst unsafe.Pointer, bytes int) error {
	event, err := queue.(*cl.CommandQueue).EnqueueReadBuffer(buffer.(*cl.MemObject), true, offset, bytes, dst, nil)
	_, err = enqueued(event, err, false)
	return err
}

func (binding) mapBuffer(queue, buffer handle, bytes int, block bool) (mapping, error) {
	m, event, err := queue.(*cl.CommandQueue).EnqueueMapBuffer(buffer.(*cl.MemObject), block, cl.MapFlagWriteInvalidateRegion, 0, bytes, nil)
	kept, err := enqueued(event, err, true)
	if err != nil {
		return mapping{}, err
	}
	return mapping{unsafe.Slice((*byte)(m.Ptr()), bytes), m, kept}, nil
}

func (binding) unmap(queue, buffer handle, m mapping, keep bool) (handle, error) {
	event, err := queue.(*cl.CommandQueue).EnqueueUnmapMemObject(buffer.(*cl.MemObject), m.of.(*cl.MappedMemObject), nil)
	return enqueued(event, err, keep)
}

func (binding) wait(event handle) error { return cl.WaitForEvents([]*cl.Event{event.(*cl.Event)}) }

func (binding) times(event handle) (start, end time.Duration, err error) {
	e := event.(*cl.Event)
	s, err := e.GetEventProfilingInfo(cl.ProfilingInfoCommandStart)
	if err != nil {
		return 0, 0, err
	}
	t, err := e.GetEventProfilingInfo(cl.ProfilingInfoCommandEnd)
	return time.Duration(s), time.Duration(t), err
}

func (binding) finish(queue handle) error { return queue.(*cl.CommandQueue).Finish() }

func (binding) release(h handle) { h.(interface{ Release() }).Release() }
