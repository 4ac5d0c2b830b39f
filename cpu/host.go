package cpu

import (
	"bufio"
	"os"
	"runtime"
	"runtime/debug"
	"strings"
)

// processor returns the name of the host's processor, or its architecture where
// the system does not tell.
func processor() string {
	if name := procField("/proc/cpuinfo", "model name"); name != "" {
		return name
	}
	return runtime.GOOS + "/" + runtime.GOARCH
}

// procField returns the first value of a "key: value" line of a file, empty
// where there is none.
func procField(path, key string) string {
	f, err := os.Open(path)
	if err != nil {
		return ""
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		if k, v, ok := strings.Cut(lines.Text(), ":"); ok && strings.TrimSpace(k) == key {
			return strings.TrimSpace(v)
		}
	}
	return ""
}

// architecture returns what the compiler was told of the processor: it decides how
// sums are formed.
func architecture() string {
	name := runtime.GOARCH
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, s := range info.Settings {
			if s.Key == "GO"+strings.ToUpper(name) {
				name += " " + s.Value
			}
		}
	}
	return name
}
