package mapped

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"
	"unsafe"
)

// A File is a file whose content is mapped, for the life of the process.
type File struct {
	Data []byte // the whole content, not to be written to

	path string
	info fs.FileInfo // of the file when it was mapped
}

// maps are all that were made.
var maps struct {
	sync.Mutex
	all       []*File
	releasing sync.Once
}

// Map maps a file that is open at path, which stands in messages. The file may be closed
// afterwards. The error is [errors.ErrUnsupported] where the system has no maps.
func Map(f *os.File, path string) (*File, error) {
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if info.Size() < 1 || info.Size() != int64(int(info.Size())) {
		return nil, fmt.Errorf("%s: %d bytes cannot be mapped", path, info.Size())
	}
	data, err := mapFile(f, int(info.Size()))
	if err != nil {
		return nil, fmt.Errorf("%s: map: %w", path, err)
	}
	m := &File{Data: data, path: path, info: info}
	maps.Lock()
	defer maps.Unlock()
	maps.all = append(maps.all, m)
	exist.Store(true)
	maps.releasing.Do(func() { go releaseAll() })
	return m, nil
}

const (
	// releaseEvery is how long pages that were touched are held by those who call Release. A
	// page fault brings 16 pages, so that two cores can touch some GB in a second in any order.
	releaseEvery = 10 * time.Millisecond
	// backstop is how often pages of others are given back.
	backstop = 50 * time.Millisecond
)

var (
	began    = time.Now()
	released atomic.Int64 // when, in nanoseconds from began
	exist    atomic.Bool  // there are maps
)

// Release gives back the pages of all maps, unless that was done a moment ago. Where there is no
// map it does nothing. It may be called often.
func Release() {
	if !exist.Load() {
		return
	}
	now, last := int64(time.Since(began)), released.Load()
	if now-last < int64(releaseEvery) || !released.CompareAndSwap(last, now) {
		return
	}
	ReleaseNow()
}

// ReleaseNow gives back the pages of all maps, for who touches rows far apart: each may bring a
// megabyte of a file in the page cache, some GB in the time that Release lets pass.
func ReleaseNow() {
	maps.Lock()
	all := maps.all
	maps.Unlock()
	for _, m := range all {
		release(m.Data) // where it fails, pages are held for longer
	}
}

// releaseAll gives back pages for those who do not call Release.
func releaseAll() {
	for range time.Tick(backstop) {
		Release()
	}
}

// CheckUnchanged reports a file that is not what it was, or is gone, where data is a part of its
// map. Of other memory there is nothing to report.
func CheckUnchanged(data []byte) error {
	if m, _ := mapOf(uintptr(unsafe.Pointer(unsafe.SliceData(data)))); m != nil {
		return m.unchanged()
	}
	return nil
}

// mapOf returns the map that an address is in, nil for none, and the address's offset.
func mapOf(at uintptr) (m *File, offset uintptr) {
	maps.Lock()
	defer maps.Unlock()
	for _, m := range maps.all {
		start := uintptr(unsafe.Pointer(unsafe.SliceData(m.Data)))
		if at >= start && at-start < uintptr(len(m.Data)) {
			return m, at - start
		}
	}
	return nil, 0
}

// unchanged reports a file at path that is another one, or has other content.
func (m *File) unchanged() error {
	switch info, err := os.Stat(m.path); {
	case err != nil:
		return err
	case !os.SameFile(info, m.info) || info.Size() != m.info.Size() || !info.ModTime().Equal(m.info.ModTime()):
		return fmt.Errorf("%s: %w", m.path, ErrChanged)
	}
	return nil
}

// ErrChanged reports a file that is not what it was when it was mapped.
var ErrChanged = errors.New("was changed while it was in use: it has to stay as it is until the run ends")

// A fault is what the runtime panics with where memory cannot be read.
type fault interface {
	error
	RuntimeError()
	Addr() uintptr
}

// A carried panic is one of another goroutine, that is passed on.
type carried struct{ err error }

// Guard calls f. Where f touches a page of a map that cannot be read, the error names the
// file. All other panics pass.
func Guard(f func() error) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		r := recover()
		if r == nil {
			return
		}
		if c, ok := r.(carried); ok {
			err = c.err
			return
		}
		if err = faultOf(r); err == nil {
			panic(r)
		}
	}()
	return f()
}

// Must passes an error of [Guard] on, from a goroutine that had it, to the [Guard] around
// the call.
func Must(err error) {
	if err != nil {
		panic(carried{err})
	}
}

// faultOf returns the error of a panic that is a fault in a map, or nil.
func faultOf(r any) error {
	f, ok := r.(fault)
	if !ok {
		return nil
	}
	m, at := mapOf(f.Addr())
	if m == nil {
		return nil
	}
	return fmt.Errorf("%s: cannot be read at byte %d: it was cut short while it was in use, or its disk failed", m.path, at)
}
