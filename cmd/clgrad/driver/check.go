package driver

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
)

// Check looks at what is known to make a driver end the process. The problem, one
// line, says what is wrong and what to do; all is set where it concerns all the
// drivers there are. Otherwise the one concerned lists no devices after [Avoid].
//
// What is known is about PoCL: it cannot do without a directory for its compiled
// kernels and without the linker ld, and aborts where a call should fail.
func Check(libraries []string) (all bool, problem error) {
	others := slices.DeleteFunc(slices.Clone(libraries), isPoCL)
	if len(others) == len(libraries) {
		return false, nil
	}
	if problem = checkPoCL(); problem != nil {
		problem = fmt.Errorf("the driver PoCL cannot be used: %w", problem)
	}
	return problem != nil && len(others) == 0, problem
}

func checkPoCL() error {
	if dir, set := os.LookupEnv("POCL_CACHE_DIR"); set && dir == "" {
		return errors.New("POCL_CACHE_DIR is set and empty: unset it, or set it to a directory")
	}
	dir := poclCache()
	if err := writable(dir); err != nil {
		return fmt.Errorf("it keeps compiled kernels in %s, which cannot be written (%w): set POCL_CACHE_DIR to a directory that can", dir, err)
	}
	if err := findLinker(); err != nil {
		return fmt.Errorf("%w: install it (on Debian or Ubuntu: apt-get install binutils), or add its directory to PATH", err)
	}
	return nil
}

// Avoid has PoCL list no devices, and so do nothing else, in this process and
// those that it starts: it has no error but for this one.
func Avoid() error { return os.Setenv("POCL_CACHE_DIR", filepath.Join(os.DevNull, "avoided")) }

// poclCache returns where PoCL keeps compiled kernels.
func poclCache() string {
	if dir := os.Getenv("POCL_CACHE_DIR"); dir != "" {
		return dir
	}
	if dir := os.Getenv("XDG_CACHE_HOME"); dir != "" {
		return filepath.Join(dir, "pocl", "kcache")
	}
	if home, set := os.LookupEnv("HOME"); set {
		return filepath.Join(home+"/.cache", "pocl", "kcache") // an empty HOME is the root
	}
	return "/tmp/pocl/kcache"
}

// writable reports why nothing can be written to a directory. It makes the
// directory, as the driver would, and leaves nothing else.
func writable(dir string) (err error) {
	defer func() {
		// The caller names the directory.
		var p *fs.PathError
		if errors.As(err, &p) {
			err = p.Err
		}
	}()
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	f, err := os.CreateTemp(dir, "clgrad")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	_, err = f.Write(make([]byte, 64<<10)) // about a kernel, for a disk that is full
	return errors.Join(err, f.Close())
}

// findLinker reports that the compiler in PoCL will not find a linker. It looks in
// clang's directory, in that of the machine's tools and on the PATH.
func findLinker() error {
	if runtime.GOOS != "linux" || os.Getenv("POCL_PATH_LD") != "" {
		return nil
	}
	if _, err := exec.LookPath("ld"); err == nil || errors.Is(err, exec.ErrDot) {
		return nil
	}
	for _, pattern := range []string{"/usr/lib/llvm-*/bin/ld", "/usr/*-linux-*/bin/ld"} {
		if found, _ := filepath.Glob(pattern); len(found) > 0 {
			return nil
		}
	}
	return errors.New("the linker ld is expected on the PATH")
}

// KernelCache returns where the driver of a platform keeps compiled kernels, or
// "" where that is not known.
func KernelCache(platform string) string {
	under := func(variable string, fallback ...string) string {
		if dir := os.Getenv(variable); dir != "" {
			return dir
		}
		home, err := os.UserHomeDir()
		if err != nil {
			return ""
		}
		return filepath.Join(append([]string{home}, fallback...)...)
	}
	switch platform {
	case "Portable Computing Language":
		return poclCache()
	case "rusticl", "Clover":
		return under("MESA_SHADER_CACHE_DIR", ".cache", "mesa_shader_cache")
	case "NVIDIA CUDA":
		return under("CUDA_CACHE_PATH", ".nv", "ComputeCache")
	}
	return ""
}
