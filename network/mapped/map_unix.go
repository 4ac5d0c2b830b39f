//go:build unix

package mapped

import (
	"os"

	"golang.org/x/sys/unix"
)

// mapFile maps n bytes of a file for reading.
func mapFile(f *os.File, n int) ([]byte, error) {
	return unix.Mmap(int(f.Fd()), 0, n, unix.PROT_READ, unix.MAP_SHARED)
}

// release gives back the pages of a map. They are read again when they are touched.
func release(data []byte) error { return unix.Madvise(data, unix.MADV_DONTNEED) }
