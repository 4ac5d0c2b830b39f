//go:build unix

package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/creack/pty"

	"clgrad/cmd/clgrad/text"
	"clgrad/network/must"
)

// Bash completes commands, flags, values behind = and : and commas, data sets, recipes and files.
func TestCompletionBash(t *testing.T) {
	bash, err := exec.LookPath("bash")
	if err != nil {
		t.Skip(err)
	}
	script := write(t, "clgrad.bash", bashCompletion)
	dir := t.TempDir()
	must.OK(t, os.Mkdir(filepath.Join(dir, "old"), 0o777))
	must.OK(t, exec.Command("touch", filepath.Join(dir, "mine.csv"), filepath.Join(dir, "other.csv")).Run())
	for line, want := range map[string]string{
		"clgrad tr":                              "train",
		"clgrad data ":                           "list fetch enlarge verify",
		"clgrad data fetch fash":                 "fashion-mnist",
		"clgrad help tu":                         "tune",
		"clgrad completion ":                     "bash zsh fish",
		"clgrad recipes be":                      "best",
		"clgrad train --optim":                   "--optimizer",
		"clgrad train --optimizer ada":           "adam adamw",
		"clgrad train --schedule=c":              "constant cosine", // bash has --schedule= already
		"clgrad train --backend opencl:":         "all",
		"clgrad train --backend cpu,o":           "cpu,opencl cpu,opencl:all",
		"clgrad compare --optimizer gd,l":        "gd,lbfgs",
		"clgrad train --quiet --data m":          "mnist mine.csv",
		"clgrad train --recipe fa":               "fast",
		"clgrad train --missing ":                "refuse drop mean",
		"clgrad eval mi":                         "mine.csv",
		"clgrad train --layers ":                 "",
		"clgrad train --lr 0.1 --epochs 3 --nes": "",
		"clgrad check --operation forward,upd":   "forward,update",
		"clgrad runs --sort t":                   "test train",
		"clgrad runs diff ol":                    "old",
		"clgrad runs di":                         "diff",
		"clgrad runs ol":                         "old",
		"clgrad runs --rev":                      "--reverse",
		"clgrad runs old --wh":                   "--where",
	} {
		c := exec.Command(bash, "--norc", "-c", `source "$1"; COMP_LINE=$2; COMP_POINT=${#2}; _clgrad; echo "${COMPREPLY[*]}"`, "bash", script, line)
		c.Dir = dir
		out, err := c.CombinedOutput()
		if got := strings.TrimSpace(string(out)); err != nil || got != want {
			t.Errorf("%q: %q (%v), want %q", line, got, err, want)
		}
	}

	typed(t, exec.Command(bash, "--norc", "--noprofile", "-i"), "source "+script+"; bind 'set enable-bracketed-paste off'\n")
}

// typed runs a shell at a terminal, sets completion up, and completes a command line with the
// tabulator.
func typed(t *testing.T, c *exec.Cmd, setUp string) {
	t.Helper()
	c.Env = append(os.Environ(), "TERM=dumb", "PS1=$ ")
	tty, err := pty.Start(c)
	if err != nil {
		t.Skipf("no pseudo-terminal: %v", err)
	}
	defer func() {
		c.Process.Kill()
		c.Wait()
		tty.Close()
	}()
	tty.Write([]byte(setUp))
	tty.Write([]byte("clgrad tra\t--optim\tnest\t"))
	seen, read := "", make(chan string)
	go func() {
		defer close(read)
		for chunk := make([]byte, 4096); ; {
			n, err := tty.Read(chunk)
			if err != nil {
				return
			}
			read <- string(chunk[:n])
		}
	}()
	for end := time.After(time.Minute); !strings.Contains(seen, "clgrad train --optimizer nesterov"); {
		select {
		case s, ok := <-read:
			// zsh goes back over a blank that it wrote.
			if seen = strings.ReplaceAll(seen+s, " \b", ""); !ok {
				t.Fatalf("%s ended: %q", c.Path, seen)
			}
		case <-end:
			t.Fatalf("%s: nothing completed: %q", c.Path, seen)
		}
	}
	go func() {
		for range read {
		}
	}()
}

// The scripts of the other shells are run where these are.
func TestCompletionShells(t *testing.T) {
	for shell, script := range map[string]string{"zsh": zshCompletion, "fish": fishCompletion} {
		status, out, err := clgrad(t, "completion", shell)
		if status != success || out != script || err != "" || !strings.Contains(out, "complete -- ") {
			t.Errorf("%s: status %d, %s%s", shell, status, out, err)
		}
		program, e := exec.LookPath(shell)
		if e != nil {
			t.Logf("%v: the script of %s is not run", e, shell)
			continue
		}
		if said, e := exec.Command(program, "-n", write(t, "clgrad."+shell, script)).CombinedOutput(); e != nil {
			t.Errorf("%s: %v: %s", shell, e, said)
		}
		t.Run(shell, func(t *testing.T) {
			if shell == "zsh" {
				typed(t, exec.Command(program, "-f", "-i"), "autoload -U compinit; compinit -D -u; source <(clgrad completion zsh)\n")
				return
			}
			for line, want := range map[string]string{
				"clgrad train --optimizer ada": "adam\nadamw", "clgrad train --optimizer=ada": "--optimizer=adam\n--optimizer=adamw",
				"clgrad train --backend cpu,o": "cpu,opencl\ncpu,opencl:all", "clgrad tra": "train\tTrain a network",
			} {
				c := exec.Command(program, "--no-config", "-c", "clgrad completion fish | source; complete -C $argv[1]", line)
				out, err := c.CombinedOutput()
				if got := strings.TrimSpace(string(out)); err != nil || got != want {
					t.Errorf("%q: %q (%v), want %q", line, got, err, want)
				}
			}
		})
	}
}

// help is --help of a command.
func TestHelpCommand(t *testing.T) {
	for _, args := range [][]string{{}, {"train"}, {"data"}, {"data", "fetch"}, {"help"}} {
		_, want, _ := clgrad(t, append(slices.Clone(args), "--help")...)
		status, got, err := clgrad(t, append([]string{"help"}, args...)...)
		if status != success || got != want || !strings.HasPrefix(got, "Usage: clgrad") || err != "" {
			t.Errorf("help %v: status %d\n%s%s\nwant\n%s", args, status, got, err, want)
		}
	}
}

// Flags that several commands have say of each command what holds there without them.
func TestHelpOfSharedFlags(t *testing.T) {
	for command, want := range map[string]string{
		"train --help":   "Default: the column named label.",
		"compare --help": "Default: the column named label.",
		"predict --help": "Default: as given in training, otherwise the column named label.",
		"eval --help":    "Default: as given in training, otherwise the column named label.",
		"serve --help":   "by known numbers where the model does not say its scaling, as torchvision's",
	} {
		out := good(t, strings.Fields(command)...)
		if text := strings.Join(strings.Fields(out), " "); !strings.Contains(text, want) || strings.Contains(text, "${") {
			t.Errorf("%s has not %q:\n%s", command, want, out)
		}
	}
	if out := good(t, "serve", "--help"); strings.Contains(out, "--preprocess") {
		t.Errorf("the help of serve names a flag that it does not have:\n%s", out)
	}
}

// A word that is spelt wrong, or is another program's, is answered with what was probably meant, in
// one line and with status 2.
func TestSuggestions(t *testing.T) {
	for line, want := range map[string]string{
		"trian":                       `unexpected argument trian, did you mean "train"?`,
		"help trian":                  `unexpected argument trian, did you mean "train"?`,
		"train --epoch 3":             `unknown flag --epoch, did you mean "--epochs"?`,
		"train --batchsize 3":         `did you mean "--batch-size"?`,
		"train --learning-rate 3":     `did you mean "--lr"?`,
		"train --device 0":            `did you mean "--backend"?`,
		"train --hidden 30":           `did you mean "--layers"?`,
		"train --output x":            `did you mean "--out"?`,
		"train --xyzzy":               `unknown flag --xyzzy (see clgrad train --help)`,
		"train --backend gpu":         `did you mean "opencl"?`,
		"train --backend 0.1":         `did you mean "opencl:0.1"?`,
		"train --backend opencl0":     `did you mean "opencl"?`,
		"train --schedule cosin":      `--schedule: "cosin": one of constant, step, cosine is expected, did you mean "cosine"?`,
		"train --optimizer adm":       `did you mean "adam"?`,
		"train --optimizer SGD":       `did you mean "gd" with a batch size?`,
		"compare --optimizer nestrov": `did you mean "nesterov"?`,
		"train --data fashion":        `did you mean "fashion-mnist"?`,
		"data fetch minst":            `did you mean "mnist"?`,
		"train --recipe fst":          `did you mean "fast"?`,
		"recipes bset":                `did you mean "best"?`,
		"check --operation forwrd":    `did you mean "forward"?`,
		"eval":                        `<model> is missing (see clgrad eval --help)`,
		"runs diff":                   `<run> is missing (see clgrad runs diff --help)`,
		"export x":                    `--format is missing: one of onnx, npz, safetensors is expected (see clgrad export --help)`,
		"train completion.go":         `unexpected argument completion.go, did you mean --data completion.go? (see clgrad train --help)`,
		"train nowhere.csv":           `unexpected argument nowhere.csv (see clgrad train --help)`,
		"runs --sort tset":            `did you mean "test"?`,
		"runs --srot test":            `did you mean "--sort"?`,
		"runs --where accurcy=1":      `column "accurcy" is unknown`,
	} {
		status, out, err := clgrad(t, strings.Fields(line)...)
		if status != usage || out != "" || strings.Count(err, "\n") != 1 || !strings.Contains(err, want) {
			t.Errorf("%s: status %d, %s%s\nwant %s", line, status, out, err, want)
		}
	}
}

// Help fits the terminal: examples are broken as a shell takes them.
func TestHelpWidth(t *testing.T) {
	for _, columns := range []int{60, 80, 200} {
		for _, command := range []string{"devices", "train", "eval", "predict", "export", "bench", "compare", "check", "tune", "data", "recipes", "help", "completion", ""} {
			var out, notes bytes.Buffer
			a := &app{Context: t.Context(), out: &out, err: &notes, columns: func() int { return columns }}
			if status := a.run(strings.Fields(command + " --help")); status != success {
				t.Fatal(notes.String())
			}
			for line := range strings.SplitSeq(out.String(), "\n") {
				if text.Width(line) > columns {
					t.Errorf("%s --help in %d columns: %q", command, columns, line)
				}
			}
		}
	}
	if got, want := breakExample("    clgrad train --layers 500,150 --iterations 1000\n", 40), "    clgrad train --layers 500,150 \\\n        --iterations 1000\n"; got != want {
		t.Errorf("broken into %q, want %q", got, want)
	}
}
