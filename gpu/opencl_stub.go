//go:build !cgo || nogpu

package gpu

import "fmt"

// openCL reports why this binary has no OpenCL.
func openCL() (api, error) {
	return nil, fmt.Errorf("%w: this binary was built without OpenCL (cgo is off, or -tags nogpu)", ErrNoDevice)
}
