package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"clgrad/gpu"
	"clgrad/network/mpi"
	"clgrad/network/must"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"clgrad": main})
}

// The scripts run clgrad as a process of its own, where a driver can be taken
// away or broken by the environment. $DATA is a directory of 60 images, $ARRAYS one of small
// files of arrays, $TABLES of CSV files, $MODELS of models that PyTorch saved. The condition
// opencl asks for a device that can be used, pocl for PoCL's, whose environment variables bring
// its failures about, mpi for a build with MPI.
func TestScripts(t *testing.T) {
	data, programs := images(t, 60, 20), t.TempDir()
	tables, err := filepath.Abs(filepath.Join("..", "..", "network", "dataset", "testdata", "tables"))
	must.OK(t, err)
	models, err := filepath.Abs(filepath.Join("testdata", "models"))
	must.OK(t, err)
	devices, _ := gpu.Devices()
	arrays, err := filepath.Abs(filepath.Join("..", "..", "network", "dataset", "testdata", "arrays"))
	must.OK(t, err)
	testscript.Run(t, testscript.Params{
		Dir:                 filepath.Join("testdata", "script"),
		RequireExplicitExec: true,
		Setup: func(e *testscript.Env) error {
			e.Setenv("DATA", data)
			e.Setenv("ARRAYS", arrays)
			e.Setenv("MODELS", models)
			e.Setenv("TABLES", tables)
			e.Setenv("XDG_CACHE_HOME", filepath.Join(e.WorkDir, "cache"))
			e.Setenv("POCL_CACHE_DIR", programs) // shared: compiling takes longest
			if name := "OCL_ICD_VENDORS"; os.Getenv(name) != "" {
				e.Setenv(name, os.Getenv(name))
			}
			return nil
		},
		Condition: func(name string) (bool, error) {
			switch name {
			case "opencl":
				return slices.ContainsFunc(devices, func(d gpu.Device) bool { return d.Problem == "" }), nil
			case "mpi":
				return mpi.Built() == nil, nil
			case "pocl":
				return len(devices) == 1 && devices[0].Problem == "" && devices[0].PlatformName == "Portable Computing Language", nil
			}
			return false, fmt.Errorf("unknown condition %q", name)
		},
	})
}
