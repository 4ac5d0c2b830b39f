package kernels

import (
	"cmp"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// PTX=1 compiles every kernel that a GPU's defaults use for NVIDIA's devices with clang,
// and assembles it with ptxas of NVIDIA's toolkit (make ptx): the instructions of
// matmul_tensor.cl are those of the device, and no tile has more values than it has
// registers. CLANG, PTXAS and PTX_ARCH (sm_90) choose others.
//
// NVIDIA's own OpenCL compiler is another front end before the same assembler, so
// this is the nearest that one comes to a device without one.
func TestPTX(t *testing.T) {
	if os.Getenv("PTX") != "1" {
		t.Skip("runs with PTX=1 (make ptx)")
	}
	clang, ptxas := tool(t, "CLANG", "clang", "clang-19", "clang-16"), tool(t, "PTXAS", "ptxas")
	arch := cmp.Or(os.Getenv("PTX_ARCH"), "sm_90")
	header, err := filepath.Abs(filepath.Join("testdata", "ptx.h"))
	if err != nil {
		t.Fatal(err)
	}
	used := regexp.MustCompile(`Used (\d+) registers(?:.*, (\d+) bytes smem)?`)
	spilled := regexp.MustCompile(`(\d+) bytes spill stores`)
	for name, p := range gpuPrograms() {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			source, assembly := filepath.Join(dir, "kernel.cl"), filepath.Join(dir, "kernel.ptx")
			if err := os.WriteFile(source, []byte(p.Source()), 0o666); err != nil {
				t.Fatal(err)
			}
			args := append([]string{"-x", "cl", "-cl-std=CL1.2", "-target", "nvptx64-nvidia-nvcl", "-Xclang", "-target-cpu", "-Xclang", arch,
				"-Xclang", "-target-feature", "-Xclang", "+ptx78", "-include", header, "-O3", "-Wno-pass-failed", "-S", source, "-o", assembly}, strings.Fields(p.Options)...)
			if out, err := exec.Command(clang, args...).CombinedOutput(); err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			out, err := exec.Command(ptxas, "-arch="+arch, "-v", "-c", assembly, "-o", filepath.Join(dir, "kernel.cubin")).CombinedOutput()
			if err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			kernels := used.FindAllStringSubmatch(string(out), -1)
			if len(kernels) == 0 {
				t.Fatalf("no kernel in\n%s", out)
			}
			for _, k := range kernels {
				t.Logf("%s registers, %s bytes of local memory", k[1], cmp.Or(k[2], "0"))
			}
			for _, s := range spilled.FindAllStringSubmatch(string(out), -1) {
				if n, _ := strconv.Atoi(s[1]); n > 0 {
					t.Errorf("%d bytes do not fit the registers", n)
				}
			}
		})
	}
}

// tool returns the program that a variable names, or the first of those that are there.
func tool(t *testing.T, variable string, names ...string) string {
	if name := os.Getenv(variable); name != "" {
		names = []string{name}
	}
	for _, name := range names {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	t.Fatalf("%s is not there: install it, or name it in %s", strings.Join(names, ", "), variable)
	return ""
}

// gpuPrograms returns what runs with the defaults of a GPU, wide and narrow layers, at
// every precision, but for softmax, whose exp and log are the driver's own.
func gpuPrograms() map[string]Program {
	c := Default(GPU, 132, 16)
	all := map[string]Program{
		"update": Update("ADAMW", c.UpdateItem), "reduce": Reduce(c.RecordGroup), "affine": Affine(c.RecordGroup), "naive": Naive(),
		"peaks":       PeakProbe(GPU).Program(),
		"step update": StepUpdate([]int{784, 500, 150, 10}, "ADAMW", Shifts, updateGroup),
	}
	for _, precision := range Precisions() {
		at := c.At(precision, true)
		for _, n := range []int{10, 500} {
			for e, tile := range map[Epilogue]Tile{Bias: at.Forward, Mask: at.InputGradient, Partial: at.WeightGradient} {
				if e != Mask {
					all[fmt.Sprintf("%s/%s/%d columns, bytes", precision, e, n)] = tile.Fit(1<<16, n).Matmul(e).OverBytes()
				}
				all[fmt.Sprintf("%s/%s/%d columns", precision, e, n)] = tile.Fit(1<<16, n).Matmul(e)
				if e != Partial {
					all[fmt.Sprintf("%s/%s/%d columns, few rows", precision, e, n)] = tile.Fit(256, n).Spread(256, n, 132).Matmul(e)
				}
			}
		}
	}
	return all
}
