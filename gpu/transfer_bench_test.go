package gpu

import (
	"errors"
	"testing"
	"unsafe"

	"clgrad/kernels"
)

// eachDevice runs a benchmark on every usable device, with a session that has a queue alone.
func eachDevice(b *testing.B, f func(b *testing.B, s *session)) {
	devices, err := Devices()
	if err != nil && !errors.Is(err, ErrNoDevice) {
		b.Fatal(err)
	}
	for _, d := range devices {
		if d.Problem != "" {
			continue
		}
		b.Run(d.ID(), func(b *testing.B) {
			api, err := openCL()
			if err != nil {
				b.Fatal(err)
			}
			s, err := newSession(api, d, func(kernels.Program) string { return "kernel void nothing() {}" })
			if err != nil {
				b.Fatal(err)
			}
			defer s.close()
			f(b, s)
		})
	}
}

// BenchmarkLaunch takes the time of an empty kernel: of many in a row with one wait behind
// them, of the calls that enqueue them alone, and of one with a wait behind each.
// -benchtime=1000x launches 1000.
func BenchmarkLaunch(b *testing.B) {
	eachDevice(b, func(b *testing.B, s *session) {
		kernel, err := s.kernel(kernels.Program{File: "nothing"}, "nothing")
		if err != nil {
			b.Fatal(err)
		}
		launch := func(b *testing.B) {
			if _, err := s.api.enqueueKernel(s.queue.handle, kernel.handle, []int{32}, []int{32}, false); err != nil {
				b.Fatal(err)
			}
		}
		finish := func(b *testing.B) {
			if err := s.finish(); err != nil {
				b.Fatal(err)
			}
		}
		launch(b)
		finish(b)
		b.Run("in a row", func(b *testing.B) {
			for range b.N {
				launch(b)
			}
			finish(b)
		})
		b.Run("enqueue", func(b *testing.B) {
			for range b.N {
				launch(b)
			}
			b.StopTimer()
			finish(b)
		})
		b.Run("with a wait", func(b *testing.B) {
			for range b.N {
				launch(b)
				finish(b)
			}
		})
	})
}

// BenchmarkTransfer takes the rate of copies of 64 MB between the host and a device: from and
// to ordinary memory, and to a buffer that is mapped, as streams upload. Buffers are not mapped
// to be read.
func BenchmarkTransfer(b *testing.B) {
	eachDevice(b, func(b *testing.B, s *session) {
		const bytes = 64 << 20
		memory := make([]byte, bytes)
		buffer, err := s.buffer("buffer", bytes)
		if err != nil {
			b.Fatal(err)
		}
		mapped := func() error {
			m, err := s.api.mapBuffer(s.queue.handle, buffer.handle, bytes, true)
			if err != nil {
				return err
			}
			defer s.api.release(m.event)
			copy(m.memory, memory)
			if _, err := s.api.unmap(s.queue.handle, buffer.handle, m, false); err != nil {
				return err
			}
			return s.finish()
		}
		for _, way := range []struct {
			name string
			copy func() error
		}{
			{"write", func() error { return s.write(buffer, 0, unsafe.Pointer(&memory[0]), bytes) }},
			{"read", func() error { return s.read(buffer, 0, unsafe.Pointer(&memory[0]), bytes) }},
			{"write mapped", mapped},
		} {
			b.Run(way.name, func(b *testing.B) {
				b.SetBytes(bytes)
				for range b.N {
					if err := way.copy(); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	})
}
