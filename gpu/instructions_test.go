package gpu

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
	"unsafe"

	"clgrad/kernels"
)

// An instruction is a small kernel around an instruction or a builtin function, with what it
// has to compute.
type instruction struct {
	name   string
	before string // the kernel: pragmas
	body   string // of the kernel, in which i is the work-item's number
	items  int    // of the one work-group
	local  int    // bytes of local memory in a third argument
	in     []uint32
	want   []uint32
	within float64 // of float32 results, their relative error; 0 for the same bits
	// open means that the row is to find out whether the numbers are right.
	open bool
}

// source returns the program. MEMORY ends the operands of an asm statement: it says that the
// statement reads and writes memory, unless the program is built with NO_CLOBBER.
func (x instruction) source() string {
	argument := ""
	if x.local > 0 {
		argument = ", local uint *extra"
	}
	return fmt.Sprintf(`%s
#ifdef NO_CLOBBER
#define MEMORY
#else
#define MEMORY : "memory"
#endif
kernel __attribute__((reqd_work_group_size(%d, 1, 1)))
void probe(global const uint *in, global uint *out%s)
{
    const int i = get_local_id(0);
%s
}
`, x.before, x.items, argument, x.body)
}

// inPTX reports whether it is for NVIDIA's devices.
func (x instruction) inPTX() bool { return strings.Contains(x.body, "asm") }

// What an attempt comes to.
const (
	taken        = "taken"
	refused      = "refused"
	wrongNumbers = "taken, wrong numbers"
	failing      = "taken, fails"
	notClobber   = "taken without the memory clobber"
)

// try builds and runs it, and says what came of it with what was said.
func (x instruction) try(d Device) (result, said string) {
	api, err := openCL()
	if err != nil {
		return failing, err.Error()
	}
	s, err := newSession(api, d, func(kernels.Program) string { return x.source() })
	if err != nil {
		return failing, err.Error()
	}
	defer s.close()
	result = taken
	kernel, err := s.kernel(kernels.Program{File: "probe"}, "probe")
	if err != nil && strings.Contains(x.body, "MEMORY") {
		said, result = reasonLine(err), notClobber
		kernel, err = s.kernel(kernels.Program{File: "probe", Options: "-DNO_CLOBBER"}, "probe")
	}
	if err != nil {
		return refused, reasonLine(err)
	}
	got, err := x.run(s, kernel)
	if err != nil {
		return failing, reasonLine(err)
	}
	if text := x.compare(got); text != "" {
		return wrongNumbers, text
	}
	return result, said
}

func (x instruction) run(s *session, kernel *object) ([]uint32, error) {
	in, err := s.buffer("in", 4*len(x.in))
	if err != nil {
		return nil, err
	}
	out, err := s.buffer("out", 4*len(x.want))
	if err != nil {
		return nil, err
	}
	if err := s.write(in, 0, unsafe.Pointer(&x.in[0]), in.bytes); err != nil {
		return nil, err
	}
	for i, o := range []*object{in, out} {
		if err := s.api.setArg(kernel.handle, i, o.handle); err != nil {
			return nil, err
		}
	}
	if x.local > 0 {
		sized := kernel.handle.(interface{ SetArgLocal(index, bytes int) error }) // the binding's, which no other code needs
		if err := sized.SetArgLocal(2, x.local); err != nil {
			return nil, err
		}
	}
	if _, err := s.api.enqueueKernel(s.queue.handle, kernel.handle, []int{x.items}, []int{x.items}, false); err != nil {
		return nil, err
	}
	got := make([]uint32, len(x.want))
	return got, s.read(out, 0, unsafe.Pointer(&got[0]), out.bytes)
}

// compare says where the numbers differ, in nothing where they do not.
func (x instruction) compare(got []uint32) string {
	for i, want := range x.want {
		a, b := float64(math.Float32frombits(got[i])), float64(math.Float32frombits(want))
		switch {
		case x.within == 0 && got[i] != want:
			return fmt.Sprintf("number %d is %#x (%g), want %#x (%g)", i, got[i], a, want, b)
		case x.within > 0 && !(math.Abs(a-b) <= x.within*math.Abs(b)):
			return fmt.Sprintf("number %d is %g, want %g within %g of it", i, a, b, x.within)
		}
	}
	return ""
}

// reasonLine returns the first line of an error that has the word, from there on, or the first.
func reasonLine(err error) string {
	lines := strings.Split(strings.TrimSpace(err.Error()), "\n")
	for _, l := range lines {
		if i := strings.Index(l, "error"); i >= 0 {
			return l[i:]
		}
	}
	return lines[0]
}

// attempt names to a process of its own the device and the instruction that it tries.
const attempt = "INSTRUCTION"

// attemptName is that name.
func attemptName(d Device, x instruction) string { return d.ID() + " " + x.name }

// Prints, in Markdown, which instructions and builtin functions the devices' compilers take,
// and fails where one was taken and computes something else. PTX is tried on NVIDIA's devices
// only. Each instruction is tried by a process of its own, which a driver may end: this test
// binary once more. The instructions come in the order of what may go wrong, and each line
// is printed as soon as it is known.
func TestInstructions(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range usableDevices(t) {
		fmt.Printf("\nInstructions on %s, %s, driver %s:\n\n| instruction | result | what was said |\n|---|---|---|\n", d.Name, d.Version, d.Driver)
		nvidia := strings.Contains(strings.ToLower(d.Vendor), "nvidia")
		left := 0
		for _, x := range instructions {
			if x.inPTX() && !nvidia {
				left++
				continue
			}
			result, said := apart(t.Context(), self, d, x)
			fmt.Printf("| %s | %s | %s |\n", x.name, result, strings.ReplaceAll(said, "|", `\|`))
			if result == wrongNumbers && !x.open {
				t.Errorf("%s: %s: %s", x.name, result, said)
			}
		}
		if left > 0 {
			fmt.Printf("\n%d instructions of PTX are not tried: the vendor is %s, not NVIDIA.\n", left, d.Vendor)
		}
	}
}

// apart tries an instruction in a process of its own.
func apart(ctx context.Context, self string, d Device, x instruction) (result, said string) {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	c := exec.CommandContext(ctx, self, "-test.run=^TestInstruction$", "-test.v")
	c.Env = append(os.Environ(), attempt+"="+attemptName(d, x))
	out, err := c.CombinedOutput()
	if m := regexp.MustCompile(`(?m)^result: (.*)\t(.*)$`).FindSubmatch(out); m != nil {
		return string(m[1]), string(m[2])
	}
	lines := strings.Split(strings.TrimSpace(string(out)), "\n")
	return "the process ends", fmt.Sprintf("%v: %s", err, lines[len(lines)-1])
}

// TestInstruction is an attempt in its process.
func TestInstruction(t *testing.T) {
	if os.Getenv(attempt) == "" {
		t.Skip("runs in processes of TestInstructions")
	}
	for _, d := range usableDevices(t) {
		for _, x := range instructions {
			if attemptName(d, x) == os.Getenv(attempt) {
				result, said := x.try(d)
				fmt.Printf("result: %s\t%s\n", result, strings.ReplaceAll(said, "\t", " "))
				return
			}
		}
	}
	t.Fatalf("%s=%q names no device and instruction", attempt, os.Getenv(attempt))
}

// With PTX=1 (make ptx), clang compiles every instruction of PTX for NVIDIA's devices.
func TestInstructionsCompile(t *testing.T) {
	if os.Getenv("PTX") != "1" {
		t.Skip("runs with PTX=1 (make ptx)")
	}
	clang, arch := cmp.Or(os.Getenv("CLANG"), "clang"), cmp.Or(os.Getenv("PTX_ARCH"), "sm_90")
	header := filepath.Join("..", "kernels", "testdata", "ptx.h")
	for _, x := range instructions {
		if !x.inPTX() {
			continue
		}
		t.Run(x.name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "probe.cl")
			if err := os.WriteFile(file, []byte(x.source()), 0o666); err != nil {
				t.Fatal(err)
			}
			out, err := exec.Command(clang, "-x", "cl", "-cl-std=CL1.2", "-target", "nvptx64-nvidia-nvcl", "-Xclang", "-target-cpu", "-Xclang", arch,
				"-Xclang", "-target-feature", "-Xclang", "+ptx78", "-include", header, "-O3", "-S", file, "-o", file+".ptx").CombinedOutput()
			if err != nil {
				t.Errorf("%v\n%s", err, out)
			}
		})
	}
}
