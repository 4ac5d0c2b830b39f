//go:build !unix

package driver

// NoCore does nothing: there are no such files here.
func NoCore() {}
