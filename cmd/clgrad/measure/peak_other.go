//go:build !unix

package measure

import "time"

// PeakMemory returns 0: the system does not tell.
func PeakMemory() int64 { return 0 }

// ProcessorTime returns 0: the system does not tell.
func ProcessorTime() time.Duration { return 0 }
