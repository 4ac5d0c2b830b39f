//go:build aix || solaris || (!unix && !windows)

package main

import "os"

// lockFile opens the file and takes it from nobody: the system has no lock that
// ends with its process.
func lockFile(path string) (*os.File, error) { return os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o666) }

// unlockFile removes the file.
func unlockFile(f *os.File) error {
	os.Remove(f.Name())
	return f.Close()
}
