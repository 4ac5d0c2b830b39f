//go:build openblas

package cpu

import (
	"os"
	"path/filepath"
	"strings"

	"gonum.org/v1/gonum/blas/blas32"
	"gonum.org/v1/gonum/blas/blas64"
	netlib "gonum.org/v1/netlib/blas/netlib"
)

// library names the BLAS that computes the products, to the file that was loaded, whose
// name has the version.
var library = "OpenBLAS " + loaded()

// loaded returns the name of the OpenBLAS library that this process has loaded.
func loaded() string {
	maps, _ := os.ReadFile("/proc/self/maps")
	for line := range strings.Lines(string(maps)) {
		if at := strings.IndexByte(line, '/'); at >= 0 && strings.Contains(line, "openblas") {
			file := strings.TrimSpace(line[at:])
			if real, err := filepath.EvalSymlinks(file); err == nil {
				file = real
			}
			return filepath.Base(filepath.Dir(file)) + "/" + filepath.Base(file)
		}
	}
	return "of unknown version"
}

// ownThreads says that the library runs a product of any shape on all cores.
const ownThreads = true

func init() {
	blas32.Use(netlib.Implementation{})
	blas64.Use(netlib.Implementation{})
}
