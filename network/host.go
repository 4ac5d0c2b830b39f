package network

import (
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// HostMemory returns the memory that this process may use in bytes: that of the machine, or
// less where a control group (Linux) limits it; 0 where the system does not tell.
func HostMemory() int64 {
	memory := int64(0)
	if text, err := os.ReadFile("/proc/meminfo"); err == nil {
		_, rest, _ := strings.Cut(string(text), "MemTotal:")
		kib, _, _ := strings.Cut(strings.TrimSpace(rest), " ")
		if n, err := strconv.ParseInt(kib, 10, 64); err == nil {
			memory = n << 10
		}
	}
	for _, limit := range groupLimits("/proc/self/cgroup", "/sys/fs/cgroup") {
		if memory == 0 || limit < memory {
			memory = limit
		}
	}
	return memory
}

// groupLimits returns the limits of the process's control groups and those above them.
func groupLimits(own, root string) (limits []int64) {
	text, err := os.ReadFile(own)
	if err != nil {
		return nil
	}
	for line := range strings.Lines(string(text)) {
		// hierarchy:controllers:path, with version 2 as 0::path
		parts := strings.SplitN(strings.TrimSpace(line), ":", 3)
		if len(parts) < 3 {
			continue
		}
		base, file := root, "memory.max"
		if parts[1] == "memory" {
			base, file = filepath.Join(root, "memory"), "memory.limit_in_bytes"
		} else if parts[1] != "" {
			continue
		}
		for group := filepath.Clean("/" + parts[2]); ; group = filepath.Dir(group) {
			value, err := os.ReadFile(filepath.Join(base, group, file))
			if n, bad := strconv.ParseInt(strings.TrimSpace(string(value)), 10, 64); err == nil && bad == nil && n > 0 && n < math.MaxInt64>>1 {
				limits = append(limits, n)
			}
			if group == "/" {
				break
			}
		}
	}
	return limits
}
