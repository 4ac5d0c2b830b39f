package main

import (
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"clgrad/network/must"
)

// Folders that only tests use. The first two need package testing.
const (
	gotest        = "network/backendtest/gotest"
	browserFolder = "cmd/clgrad/browser"
	mpitest       = "network/mpi/mpitest"
	mustFolder    = "network/must"
)

// allowed says what of this module each folder may import: imports point down
// only, and backends never see each other.
var allowed = map[string][]string{
	"kernels":                 {},
	"network":                 {"network/mapped"},
	"network/mapped":          {},
	"network/filecache":       {"network"},
	"network/durable":         {},
	"network/dataset":         {"network", "network/durable", "network/mapped"},
	"network/checkpoint":      {"network", "network/dataset", "network/durable"},
	"network/classifier":      {"network", "network/checkpoint", "network/dataset"},
	"network/checkpoint/onnx": {"network", "network/checkpoint"},
	"network/backendtest":     {"network"},
	"network/mpi":             {"network"},
	mpitest:                   {"network/mpi"},
	mustFolder:                {},
	gotest:                    {"network", "network/backendtest"},
	browserFolder:             {},
	"cpu":                     {"network", "network/mapped"},
	"gpu":                     {"network", "network/mapped", "kernels"},
	"cmd/clgrad/measure":      {},
	"cmd/clgrad/text":         {"network"},
	"cmd/clgrad/terminal":     {"cmd/clgrad/text"},
	"cmd/clgrad/recipe":       {"cmd/clgrad/text", "kernels", "network", "network/dataset"},
	"cmd/clgrad/report":       {"cmd/clgrad/text", "network", "network/durable"},
	"cmd/clgrad/explain":      {"network"},
	"cmd/clgrad/score":        {"cmd/clgrad/text", "network", "network/dataset"},
	"cmd/clgrad/bench":        {"cmd/clgrad/measure", "cmd/clgrad/recipe", "cmd/clgrad/share", "cmd/clgrad/text", "kernels", "network", "network/dataset"},
	"cmd/clgrad/compare":      {"cmd/clgrad/recipe", "cmd/clgrad/report", "cmd/clgrad/text", "network", "network/dataset"},
	"cmd/clgrad/run":          {"cmd/clgrad/measure", "cmd/clgrad/recipe", "cmd/clgrad/report", "cmd/clgrad/score", "cmd/clgrad/share", "cmd/clgrad/text", "network", "network/checkpoint", "network/dataset", "network/durable", "cmd/clgrad/terminal"},
	"cmd/clgrad/catalog":      {"cmd/clgrad/recipe", "cmd/clgrad/report", "cmd/clgrad/run", "cmd/clgrad/text", "network", "network/checkpoint", "network/dataset"},
	"cmd/clgrad/share":        {"cmd/clgrad/store", "network"},
	"cmd/clgrad/ranks":        {"network", "network/mapped", "network/mpi"},
	"cmd/clgrad/driver":       {},
	"cmd/clgrad/store":        {"gpu", "network/durable"},
	"cmd/clgrad/web":          {},
	"cmd/clgrad/web/predict":  {"cmd/clgrad/score", "cmd/clgrad/web", "network", "network/checkpoint", "network/dataset"},
	"cmd/clgrad/web/draw":     {"cmd/clgrad/explain", "cmd/clgrad/text", "cmd/clgrad/web", "cmd/clgrad/web/predict", "network", "network/checkpoint", "network/dataset"},
	"cmd/clgrad":              {"cmd/clgrad/driver", "cmd/clgrad/store", "cmd/clgrad/bench", "cmd/clgrad/compare", "cmd/clgrad/ranks", "cmd/clgrad/recipe", "cmd/clgrad/report", "cmd/clgrad/run", "cmd/clgrad/score", "cmd/clgrad/share", "cmd/clgrad/text", "cmd/clgrad/web", "cmd/clgrad/web/draw", "cmd/clgrad/web/predict", "network", "network/backendtest", "network/checkpoint", "network/checkpoint/onnx", "network/dataset", "network/durable", "network/filecache", "network/mapped", "network/mpi", "cpu", "gpu", "kernels", "cmd/clgrad/catalog", "cmd/clgrad/web/watch", "cmd/clgrad/terminal"},
	"cmd/clgrad/web/watch":    {"cmd/clgrad/measure", "cmd/clgrad/report", "cmd/clgrad/run", "cmd/clgrad/text", "cmd/clgrad/web", "network"},
	"cmd/compare":             {"cmd/clgrad/measure", "network"},
	"cmd/load":                {"cmd/clgrad/measure", "cpu", "network/classifier", "network/dataset"},
}

// Imports follow the table, C is reached from one file of gpu, which alone imports the binding,
// and one of network/mpi. Package testing is imported in two folders, which are no part of
// the program.
func TestImports(t *testing.T) {
	root := filepath.Join("..", "..")
	seen := map[string]bool{}
	imports := map[string][]string{} // of this module, by folder
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return err
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ImportsOnly)
		if err != nil {
			return err
		}
		path, err = filepath.Rel(root, path)
		if err != nil {
			return err
		}
		path = filepath.ToSlash(path)
		folder := path[:strings.LastIndex(path, "/")]
		may, known := allowed[folder]
		if !known {
			t.Errorf("%s stands in a folder that the table does not know", path)
		}
		seen[folder] = true
		for _, spec := range file.Imports {
			name, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				return err
			}
			ok := true
			if ours, is := strings.CutPrefix(name, "clgrad/"); is {
				imports[folder] = append(imports[folder], ours)
				ok = slices.Contains(may, ours)
			} else if name == "testing" || strings.HasPrefix(name, "testing/") {
				ok = folder == gotest || folder == browserFolder
			} else if name == "C" || strings.HasPrefix(name, "github.com/jgillich/go-opencl") {
				ok = path == "gpu/opencl.go" || path == "network/mpi/mpi.go" && name == "C"
			}
			if !ok {
				t.Errorf("%s imports %s", path, name)
			}
		}
		return nil
	})
	must.OK(t, err)
	for folder := range allowed {
		if !seen[folder] {
			t.Errorf("no Go file in %s", folder)
		}
	}
	program := []string{"cmd/clgrad"}
	for i := 0; i < len(program); i++ {
		for _, folder := range imports[program[i]] {
			if !slices.Contains(program, folder) {
				program = append(program, folder)
			}
		}
	}
	tests := []string{gotest, browserFolder, mpitest, mustFolder}
	if len(program) < 10 || slices.ContainsFunc(program, func(folder string) bool { return slices.Contains(tests, folder) }) {
		t.Errorf("the program is made of %q", program)
	}
}
