// Package measure is what runs and benchmarks measure alike: quantiles of times, and
// the memory of the process.
package measure

import (
	"fmt"
	"os"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"

	"gonum.org/v1/gonum/stat"
)

// Quantile returns the value that the share q of v does not exceed, between two
// values by their distance; 0 of no values.
func Quantile(v []float64, q float64) float64 {
	if len(v) == 0 {
		return 0
	}
	// stat puts the i-th of n sorted values at i/n, here they stand from 0 to 1.
	n := float64(len(v))
	return stat.Quantile((q*(n-1)+1)/n, stat.LinInterp, slices.Sorted(slices.Values(v)), nil)
}

// Median returns the middle of v, the mean of two where their number is even.
func Median(v []float64) float64 { return Quantile(v, 0.5) }

// ResidentMemory returns the resident memory of the process in bytes, garbage left
// out, 0 where the system does not tell.
func ResidentMemory() int64 {
	debug.FreeOSMemory()
	return CurrentMemory()
}

// CurrentMemory is ResidentMemory with garbage: it takes microseconds.
func CurrentMemory() int64 { return MemoryOf(os.Getpid()) }

// MemoryOf returns the resident memory of a process in bytes, 0 where the system does not tell.
func MemoryOf(process int) int64 {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", process))
	if err != nil {
		return 0
	}
	fields := strings.Fields(string(text))
	if len(fields) < 2 {
		return 0
	}
	pages, err := strconv.ParseInt(fields[1], 10, 64)
	if err != nil {
		return 0
	}
	return pages * int64(os.Getpagesize())
}
