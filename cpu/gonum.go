//go:build !openblas

package cpu

import "runtime/debug"

// library names the BLAS that computes the products.
var library = "gonum" + version("gonum.org/v1/gonum")

// ownThreads says that the library runs a product of any shape on all cores.
const ownThreads = false

// version returns " v…" of a module in this binary, nothing where it is unknown.
func version(module string) string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return ""
	}
	for _, m := range info.Deps {
		if m.Path == module {
			return " " + m.Version
		}
	}
	return ""
}
