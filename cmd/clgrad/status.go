package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"syscall"

	"clgrad/cmd/clgrad/recipe"
	"clgrad/cmd/clgrad/text"
	"clgrad/gpu"
)

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

// signalNames are the signals that end a command.
var signalNames = map[syscall.Signal]string{
	syscall.SIGINT: "SIGINT", syscall.SIGTERM: "SIGTERM", syscall.SIGHUP: "SIGHUP", syscall.SIGQUIT: "SIGQUIT",
}

// A signalError is why a context was cancelled.
type signalError struct{ syscall.Signal }

func (s signalError) Error() string { return "stopped by " + signalNames[s.Signal] }

// status says what a command came to, and returns the exit status: err is what the
// command returned, outErr why standard output could not be written, if so.
//
// Where a signal and a failure meet, the failure is said. Three kinds of errors are
// none: that the work was stopped; a driver's, because the compilers inside drivers
// end on the same signal (it is said behind the signal); and after SIGHUP that of
// standard output, whose terminal is gone.
func (a *app) status(err, outErr error) int {
	if outErr != nil && !errors.Is(err, outErr) {
		err = errors.Join(err, fmt.Errorf("standard output: %w", outErr))
	}
	var stopped signalError
	bySignal := errors.As(context.Cause(a), &stopped)
	unread := errors.Is(outErr, syscall.EPIPE)
	all := failures(err, func(err error) bool {
		_, signal := err.(signalError)
		return bySignal && (signal || errors.Is(err, context.Canceled)) ||
			outErr != nil && err == outErr && (unread || stopped.Signal == syscall.SIGHUP)
	})
	ofDriver := failures(errors.Join(all...), func(err error) bool {
		_, driver := err.(*gpu.Error)
		return driver
	})
	said := oneLine(errors.Join(all...))
	say := func(format string, args ...any) { a.say(text.Printable(fmt.Sprintf(format, args...))) }
	var wrong usageError
	var misspelt recipe.Misspelt
	switch {
	case bySignal && len(all) == 0:
		say("%v", stopped)
		return signalled + int(stopped.Signal)
	case bySignal && len(ofDriver) == 0:
		say("%v: %s", stopped, said)
		return signalled + int(stopped.Signal)
	case bySignal:
		say("%v, and: %s", stopped, said)
		return failure
	case len(all) == 0 && unread:
		return signalled + int(syscall.SIGPIPE)
	case len(all) == 0:
		return success
	case errors.As(err, &wrong), errors.As(err, &misspelt):
		say("%s (see %s --help)", said, cmp.Or(a.command, "clgrad"))
		return usage
	}
	say("%s", said)
	return failure
}

// failures returns the errors that are joined in err, without those of which
// nothing is left once the ones that is reports are taken out.
func failures(err error, is func(error) bool) (left []error) {
	switch several, ok := err.(interface{ Unwrap() []error }); {
	case err == nil || is(err):
		return nil
	case ok && errors.Join(several.Unwrap()...).Error() == err.Error():
		for _, e := range several.Unwrap() {
			left = append(left, failures(e, is)...)
		}
		return left
	case ok:
		for _, e := range several.Unwrap() {
			left = append(left, failures(e, is)...)
		}
	default:
		inner := errors.Unwrap(err)
		if inner != nil && len(failures(inner, is)) == 0 {
			return nil
		}
		return []error{err}
	}
	if len(left) == 0 {
		return nil
	}
	return []error{err}
}

// output is standard output. Once it could not be written, nothing more is: each later write
// returns the first error.
type output struct {
	w   io.Writer
	mu  sync.Mutex
	err error
}

func (o *output) Write(p []byte) (n int, err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.err == nil {
		n, o.err = o.w.Write(p)
	}
	return n, o.err
}

// outFailure returns why standard output could not be written, nil if it could.
func (a *app) outFailure() error {
	o, ok := a.out.(*output)
	if !ok { // not begun
		return nil
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.err
}

// oneLine returns an error's text in one line.
func oneLine(err error) string { return recipe.WithFlags(text.OneLine(err)) }
