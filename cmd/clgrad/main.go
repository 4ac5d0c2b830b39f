// Clgrad trains fully connected networks by full-batch gradient descent on any
// OpenCL device, or on the CPU.
//
//	clgrad devices   what can be computed on here, and why something cannot
//	clgrad train     train a network
//	clgrad eval      loss and accuracy of a saved model
//	clgrad predict   labels of rows by a saved model
//	clgrad bench     time every backend side by side
//	clgrad check     judge a backend's numbers by the conformance suite
//	clgrad tune      find the fastest kernels of a network on an OpenCL device
//	clgrad data      list, fetch and verify data sets
//	clgrad recipes   list what train --recipe knows
//
// Results go to standard output, everything else to standard error. The exit
// status is 0, 1 for a failure, 2 for wrong usage, 130 or 143 after SIGINT or
// SIGTERM.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime"
	"runtime/debug"
	"strings"
	"syscall"
	"unicode"

	"github.com/alecthomas/kong"
	"golang.org/x/term"

	"clgrad/cmd/clgrad/recipe"
)

// commands is the command line.
type commands struct {
	Devices devicesCommand `cmd:"" help:"List what can be computed on here, and why something cannot."`
	Train   trainCommand   `cmd:"" help:"Train a network."`
	Eval    evalCommand    `cmd:"" help:"Loss and accuracy of a saved model."`
	Predict predictCommand `cmd:"" help:"Labels of rows by a saved model, as CSV."`
	Bench   benchCommand   `cmd:"" help:"Time an iteration on every backend, side by side."`
	Check   checkCommand   `cmd:"" help:"Judge a backend's numbers by the conformance suite."`
	Tune    tuneCommand    `cmd:"" help:"Find the fastest kernels of a network on an OpenCL device."`
	Data    dataCommand    `cmd:"" help:"List, fetch and verify data sets."`
	Recipes recipesCommand `cmd:"" help:"List the built-in recipes of train, or write one."`

	DriverTest driverTestCommand `cmd:"" hidden:""`

	Version kong.VersionFlag `help:"Show the version and how it was built."`
}

// An app is what a command runs with.
type app struct {
	context.Context
	out      io.Writer // results
	err      io.Writer // everything else
	terminal bool      // err is a terminal
	screen   bool      // out is a terminal
	args     []string  // the command line
	guard    *guard    // see drivers
}

// drivers returns what stands between the commands and the OpenCL drivers.
func (a *app) drivers() *guard {
	if a.guard == nil {
		a.guard = &guard{}
	}
	return a.guard
}

// command returns the command line as a shell would take it.
func (a *app) command() string {
	words := []string{"clgrad"}
	for _, w := range a.args {
		words = append(words, shellWord(w))
	}
	return strings.Join(words, " ")
}

// shellWord returns a word as a shell would take it.
func shellWord(w string) string {
	if w == "" || strings.ContainsFunc(w, func(c rune) bool {
		return !unicode.IsLetter(c) && !unicode.IsDigit(c) && !strings.ContainsRune("-_=./,:+%@", c)
	}) {
		return "'" + strings.ReplaceAll(w, "'", `'\''`) + "'"
	}
	return w
}

// note writes one line for the user to standard error.
func (a *app) note(format string, args ...any) {
	fmt.Fprintf(a.err, "clgrad: "+format+"\n", args...)
}

// The exit statuses.
const (
	success = 0
	failure = 1
	usage   = 2
	// A run that a signal ended has status 128 + its number.
	signalled = 128
)

// A usageError is a wrong combination of flags or arguments.
type usageError struct{ error }

// misused returns an error of wrong usage.
func misused(format string, args ...any) error { return usageError{fmt.Errorf(format, args...)} }

// A signalError is why a context was cancelled.
type signalError struct{ syscall.Signal }

func (s signalError) Error() string { return "stopped by " + s.Signal.String() }

func main() {
	ctx, cancel := context.WithCancelCause(context.Background())
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM)
	go func() {
		s := <-signals
		cancel(signalError{s.(syscall.Signal)})
		// A second signal ends the process at once.
		signal.Reset(syscall.SIGINT, syscall.SIGTERM)
	}()
	// Writing to a pipe that nobody reads is then an error, which a run that has
	// something to save can deal with.
	signal.Ignore(syscall.SIGPIPE)
	a := &app{Context: ctx, out: os.Stdout, err: os.Stderr, terminal: term.IsTerminal(int(os.Stderr.Fd())), screen: term.IsTerminal(int(os.Stdout.Fd())),
		guard: &guard{child: ownChild}}
	os.Exit(a.run(os.Args[1:]))
}

// exited is the panic value with which the parser's exit unwinds.
type exited int

// run parses and runs a command line and returns the exit status.
func (a *app) run(args []string) (status int) {
	out := &output{w: a.out}
	a.out, a.args = out, args
	defer func() {
		if status == success && out.err != nil {
			a.note("standard output: %v", out.err)
			status = failure
		}
	}()
	defer func() {
		if r := recover(); r != nil {
			code, ok := r.(exited)
			if !ok {
				panic(r)
			}
			status = int(code)
		}
	}()
	defer func() { a.guard.leave() }()
	var c commands
	parser := kong.Must(&c,
		kong.Name("clgrad"),
		kong.Description("Trains fully connected networks by full-batch gradient descent on any OpenCL device, or on the CPU."),
		kong.Writers(a.out, a.err),
		kong.Exit(func(code int) { panic(exited(code)) }), // after --help
		kong.WithHyphenPrefixedParameters(true),           // --lr -1 is a bad rate, not a flag
		kong.ConfigureHelp(kong.HelpOptions{Compact: true}),
		kong.Vars{"version": version()},
	)
	if len(args) == 0 {
		args = []string{"--help"}
	}
	parsed, err := parser.Parse(args)
	var bad *recipe.Error
	switch {
	case errors.As(err, &bad):
		a.note("%s", oneLine(err))
		return failure
	case err != nil:
		a.note("%s (see clgrad --help)", oneLine(err))
		return usage
	}
	err = parsed.Run(a)
	// Whatever a signal interrupted, and whatever a driver made of it (compilers
	// inside drivers clean up on signals of their own), it was the signal.
	var stopped signalError
	if errors.As(context.Cause(a), &stopped) {
		a.note("%v", stopped)
		return signalled + int(stopped.Signal)
	}
	var wrong usageError
	switch {
	case errors.As(err, &wrong):
		a.note("%s (see clgrad --help)", oneLine(err))
		return usage
	case err != nil:
		a.note("%s", oneLine(err))
		return failure
	}
	return success
}

// version returns what is known of the program's own version, and what built it.
func version() string {
	text := "clgrad"
	if info, ok := debug.ReadBuildInfo(); ok {
		text += " " + info.Main.Version
		for _, s := range info.Settings {
			switch {
			case s.Key == "vcs.revision" && !strings.Contains(text, s.Value[:min(12, len(s.Value))]):
				text += ", revision " + s.Value
			case s.Key == "vcs.modified" && s.Value == "true":
				text += ", changed"
			}
		}
	}
	return fmt.Sprintf("%s (%s, %s/%s)", text, runtime.Version(), runtime.GOOS, runtime.GOARCH)
}

// output is standard output, which remembers its first error.
type output struct {
	w   io.Writer
	err error
}

func (o *output) Write(p []byte) (int, error) {
	n, err := o.w.Write(p)
	if o.err == nil {
		o.err = err
	}
	return n, err
}

// oneLine returns an error's text in one line.
func oneLine(err error) string {
	return strings.ReplaceAll(strings.TrimSpace(err.Error()), "\n", "; ")
}
