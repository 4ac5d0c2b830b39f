// Clgrad trains fully connected networks by gradient descent on any OpenCL device, or
// on the CPU.
//
//	clgrad devices     list the devices of this machine
//	clgrad train       train a network
//	clgrad eval        compute loss and accuracy of a saved model
//	clgrad predict     predict labels with a saved model
//	clgrad serve       answer requests for predictions over HTTP
//	clgrad runs        list the runs below a folder, and say how some of them differ
//	clgrad export      write a saved model as ONNX, NPZ or safetensors
//	clgrad bench       time every backend side by side
//	clgrad compare     train with several optimizers, batch sizes, rates or backends side by side
//	clgrad check       compare a backend's results with exact ones
//	clgrad tune        find the fastest kernels of a network on an OpenCL device
//	clgrad data        list, fetch and verify data sets
//	clgrad recipes     list the built-in recipes of train
//	clgrad help        show the flags of a command
//	clgrad completion  print a script that completes command lines in a shell
//
// README.md in this directory describes data, runs, models and exit statuses.
//
// # Where things stand
//
// This package has main, one file for each command, and what opens a backend
// (backend.go), a model or a data set (load.go) by its name. A command parses its
// flags, makes options of them, and calls the package that does the work:
//
//	run      the life of a run: directory, loop, checkpoints, resuming, summary
//	catalog  the list of runs, and how they differ
//	score    loss, accuracy and predictions of a network on a data set
//	bench    measuring, and its tables
//	compare  training under several settings side by side
//	recipe   the form of a run, and the built-in recipes
//	report   report.html and its pictures
//	explain  what hidden units and inputs add to a class
//	store    what is kept of each device: passes of the self-test, tunings
//	driver   guards against drivers that end the process
//	terminal the last line of a terminal, which shows progress
//	text     how numbers, errors, tables and shell words are written
//	measure  medians, quantiles and memory
//	web      what HTTP servers share; web/predict answers requests for predictions, web/draw
//	         has the page of serve, and web/watch that of train --watch
//
// # Drivers
//
// Every command reaches OpenCL through the guard (guard.go). It looks at what is known to
// make a driver abort before any driver is called. What has never passed a test is tried
// by the hidden command driver-test in a process of its own (guard.go; selftest.go says what
// is tested), so that a driver that aborts costs one line. What passed is kept in the user's cache directory, in
// clgrad/devices, and is not tried again, unless a process that used the device died.
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

	"github.com/alecthomas/kong"

	"clgrad/cmd/clgrad/recipe"
	"clgrad/cmd/clgrad/terminal"
	"clgrad/cmd/clgrad/text"
	"clgrad/network/mapped"
)

// commands is the command line.
type commands struct {
	Devices devicesCommand `cmd:"" help:"List the devices of this machine, and why any of them cannot be used."`
	Train   trainCommand   `cmd:"" help:"Train a network."`
	Eval    evalCommand    `cmd:"" help:"Compute loss and accuracy of a saved model."`
	Predict predictCommand `cmd:"" help:"Predict labels with a saved model, as CSV."`
	Serve   serveCommand   `cmd:"" help:"Answer requests for predictions over HTTP, with a saved model."`
	Runs    runsCommand    `cmd:"" help:"List the runs below a folder, or say how some of them differ."`
	Export  exportCommand  `cmd:"" help:"Write a saved model for other programs: as ONNX, NPZ or safetensors."`
	Bench   benchCommand   `cmd:"" help:"Time an iteration on every backend, side by side."`
	Compare compareCommand `cmd:"" help:"Train with several optimizers, batch sizes, learning rates or backends, side by side."`
	Check   checkCommand   `cmd:"" help:"Compare the results of a backend with exact ones (the conformance suite)."`
	Tune    tuneCommand    `cmd:"" help:"Find the fastest kernels of a network on an OpenCL device."`
	Data    dataCommand    `cmd:"" help:"List, fetch and verify data sets."`
	Recipes recipesCommand `cmd:"" help:"List the built-in recipes for train, or print one."`

	Help       helpCommand       `cmd:"" help:"Show the commands, or the flags of one, as clgrad COMMAND --help."`
	Completion completionCommand `cmd:"" help:"Print a script that completes command lines in a shell."`

	DriverTest driverTestCommand `cmd:"" hidden:""`
	Complete   completeCommand   `cmd:"" hidden:""`

	Version kong.VersionFlag `help:"Show the version and how it was built."`
	Quiet   bool             `short:"q" help:"Print only results, warnings and errors."`
}

// An app is what a command runs with.
type app struct {
	context.Context
	out     io.Writer         // results
	err     io.Writer         // everything else
	display *terminal.Display // the last line of the terminal that err is, nil where none is shown
	columns func() int        // width of the terminal that out is, nil where it is none
	showing func() int        // that of err
	quiet   bool              // no info
	args    []string          // the command line
	command string            // what is run, as in "clgrad data fetch"
	guard   *guard            // see drivers
	noted   func(line string) // is told each note, nil for nobody
	local   int               // number of this process among those of a run on this machine
}

// drivers returns what stands between the commands and the OpenCL drivers.
func (a *app) drivers() *guard {
	if a.guard == nil {
		a.guard = &guard{}
	}
	return a.guard
}

// commandLine returns the command line as a shell would take it.
func (a *app) commandLine() string {
	words := []string{"clgrad"}
	for _, w := range a.args {
		words = append(words, text.ShellWord(w))
	}
	return strings.Join(words, " ")
}

// note writes one line for the user to standard error, unless nobody reads the results any more.
func (a *app) note(format string, args ...any) {
	line := text.Printable(recipe.WithFlags(fmt.Sprintf(format, args...)))
	if !errors.Is(a.outFailure(), syscall.EPIPE) {
		a.say(line)
	}
	if a.noted != nil {
		a.noted(line)
	}
}

// say writes one line to standard error.
func (a *app) say(line string) { fmt.Fprintln(a.err, "clgrad:", line) }

// info is note, of what the user of --quiet does not ask for: nothing is wrong, and nothing has
// to be done.
func (a *app) info(format string, args ...any) {
	if !a.quiet {
		a.note(format, args...)
	}
}

// width returns that of the terminal which out is, 0 where it is none.
func (a *app) width() int {
	if a.columns == nil {
		return 0
	}
	return a.columns()
}

// errWidth returns that of the terminal which err is, 80 where it is none.
func (a *app) errWidth() int {
	if a.showing == nil {
		return 80
	}
	return a.showing()
}

func main() {
	ctx, cancel := context.WithCancelCause(context.Background())
	var ending []os.Signal
	for s := range signalNames {
		if !signal.Ignored(s) {
			ending = append(ending, s)
		}
	}
	signals := make(chan os.Signal, 1)
	if len(ending) > 0 { // Notify of none is of all
		signal.Notify(signals, ending...)
	}
	go func() {
		s := <-signals
		cancel(signalError{s.(syscall.Signal)})
		// A second signal ends the process at once. Of SIGQUIT Go would print all
		// its goroutines.
		for _, s := range ending {
			if s != syscall.SIGQUIT {
				signal.Reset(s)
			}
		}
		for s := range signals {
			if s == syscall.SIGQUIT {
				os.Exit(signalled + int(syscall.SIGQUIT))
			}
		}
	}()
	// Writing to a pipe that nobody reads is then an error, which a run that has
	// something to save can deal with.
	signal.Ignore(syscall.SIGPIPE)
	screen := terminal.Of(os.Stderr)
	display := terminal.NewDisplay(screen)
	a := &app{Context: ctx, out: os.Stdout, err: display.Writer(os.Stderr), display: display, guard: &guard{child: ownChild}}
	if screen != nil {
		a.showing = screen.Width
	}
	if screen := terminal.Of(os.Stdout); screen != nil {
		a.out, a.columns = display.Writer(os.Stdout), screen.Width
	}
	os.Exit(a.run(os.Args[1:]))
}

// exited is the panic value with which the parser's exit unwinds.
type exited int

// run parses and runs a command line and returns the exit status.
func (a *app) run(args []string) int {
	a.out, a.args = &output{w: a.out}, args
	err := a.parse(args)
	return a.status(err, a.outFailure())
}

// parser returns the parser of command lines.
func (a *app) parser(c *commands) *kong.Kong {
	return kong.Must(c,
		kong.Name("clgrad"),
		kong.Description("Trains fully connected networks by gradient descent on any OpenCL device, or on the CPU."),
		kong.Writers(a.out, a.err),
		kong.Exit(func(code int) { panic(exited(code)) }), // after --help
		kong.WithHyphenPrefixedParameters(true),           // --lr -1 is a bad rate, not a flag
		kong.Help(a.printHelp),
		kong.ValueFormatter(valueHelp),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true, WrapUpperBound: a.width()}),
		kong.Vars{
			"version": version(), "optimizers": recipe.Optimizers(), "rates": recipe.DefaultRates(),
			// Of flags that several commands have; some commands set them otherwise.
			"as_trained": "", "which_scaling": ", in place of --preprocess",
		},
	)
}

// parse parses and runs a command line.
func (a *app) parse(args []string) (err error) {
	defer func() {
		if r := recover(); r != nil {
			if _, ok := r.(exited); !ok {
				panic(r)
			}
		}
	}()
	defer func() { a.guard.leave() }()
	defer a.display.Close()
	var c commands
	parser := a.parser(&c)
	if len(args) == 0 {
		args = []string{"--help"}
	}
	parsed, err := parser.Parse(args)
	written := a.outFailure()
	var bad *recipe.Error
	var problem *kong.ParseError
	switch {
	case errors.As(err, &bad), written != nil && errors.Is(err, written): // of help
		return err
	case errors.As(err, &problem):
		parsed = problem.Context
	case err != nil:
		return misused("%w", err)
	}
	node := parsed.Selected()
	if node != nil {
		a.command = node.FullPath()
	}
	if err := checkValues(args, node); err != nil {
		return err
	}
	if problem != nil {
		return parseProblem(problem, node)
	}
	if a.quiet = c.Quiet; a.quiet {
		a.display = nil
	}
	return mapped.Guard(func() error { return parsed.Run(a) })
}

// variant is set by the linker where a test builds another program.
var variant string

// version returns what is known of the program's own version, and what built it.
func version() string {
	text := "clgrad" + variant
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
