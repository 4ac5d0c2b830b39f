package gpu

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"regexp"
	"time"
	"unsafe"

	"clgrad/network"
)

// A recording is an api without a device, which notes the launches.
type recording struct{ launches []string }

// A recorded handle is a program or kernel, or anything else.
type recorded struct{ source, options, kernel string }

func (*recording) devices() ([]Device, error)                         { return nil, nil }
func (*recording) createContext(Device) (handle, error)               { return &recorded{}, nil }
func (*recording) createQueue(handle, Device, bool) (handle, error)   { return &recorded{}, nil }
func (*recording) createBuffer(handle, int) (handle, error)           { return &recorded{}, nil }
func (*recording) setArg(handle, int, any) error                      { return nil }
func (*recording) enqueueFill(handle, handle, int, int) error         { return nil }
func (*recording) finish(handle) error                                { return nil }
func (*recording) release(handle)                                     {}
func (*recording) workGroupSize(_ handle, d Device) (int, error)      { return d.MaxWorkGroup, nil }
func (*recording) times(handle) (start, end time.Duration, err error) { return 0, 0, nil }

func (*recording) write(_, _ handle, _ int, _ unsafe.Pointer, _ int) error { return nil }
func (*recording) read(_, _ handle, _ int, _ unsafe.Pointer, _ int) error  { return nil }

func (*recording) mapBuffer(_, _ handle, n int, _ bool) (mapping, error) {
	return mapping{memory: make([]byte, n)}, nil
}
func (*recording) unmap(_, _ handle, _ mapping, _ bool) (handle, error) { return nil, nil }
func (*recording) wait(handle) error                                    { return nil }

func (*recording) createProgram(_ handle, source string) (handle, error) {
	return &recorded{source: source}, nil
}

func (*recording) buildProgram(p handle, options string) error {
	p.(*recorded).options = options
	return nil
}

func (*recording) createKernel(p handle, name string) (handle, error) {
	k := *p.(*recorded)
	h := sha256.Sum256([]byte(comment.ReplaceAllString(k.source, "")))
	return &recorded{hex.EncodeToString(h[:]), k.options, name}, nil
}

// comment is one of a kernel's source. A changed comment changes no program.
var comment = regexp.MustCompile(`[ \t]*//[^\n]*\n|(?m)^[ \t]*\n`)

func (r *recording) enqueueKernel(_, kernel handle, global, local []int, _ bool) (handle, error) {
	k := kernel.(*recorded)
	r.launches = append(r.launches, fmt.Sprint(k.source, k.options, k.kernel, global, local))
	return nil, nil
}

// dryInput returns an input of the plan's form that holds nothing: for its launches.
func (e *executor) dryInput(rows, features int, shifted bool) (*input, error) {
	x := &input{e: e, rows: rows, features: features, blocks: []int{rows}, starts: []int{0}}
	o, err := e.buffer("input", 4)
	if err != nil {
		return nil, err
	}
	if p := e.config.Packed; p != nil {
		x.packed = &packedRows{tile: *p, table: o, chunks: []packedChunk{{o, o, o}}, chunkOf: []int{0}, groupOf: []int{0}}
	} else {
		x.dense = &denseRows{stride: network.AlignUp(features), width: 4, chunks: []denseChunk{{o: o, end: 1}}}
		if e.config.Bytes {
			x.dense.width = 1
		}
	}
	if x.shifted = shifted; e.config.Packed != nil && shifted || e.config.Bytes {
		x.affine = o
	}
	return x, nil
}
