package main

import (
	"context"
	"errors"
	"fmt"
	"net"

	"github.com/alecthomas/kong"

	"clgrad/cmd/clgrad/run"
	"clgrad/cmd/clgrad/web/watch"
	"clgrad/network/mpi"
)

// A watchAddress is the flag --watch or --watch=HOST:PORT: where a run is shown, "" for nowhere.
type watchAddress string

// anyPort is the address of --watch without one.
const anyPort = "127.0.0.1:0"

// IsBool has the flag go without a value.
func (watchAddress) IsBool() bool { return true }

// Decode implements [kong.MapperValue].
func (w *watchAddress) Decode(ctx *kong.DecodeContext) error {
	*w = anyPort
	if ctx.Scan.Peek().Type != kong.FlagValueToken {
		return nil
	}
	value := fmt.Sprint(ctx.Scan.Pop().Value)
	if _, _, err := net.SplitHostPort(value); err != nil {
		return fmt.Errorf("%q: HOST:PORT is expected, as in 127.0.0.1:8080", value)
	}
	*w = watchAddress(value)
	return nil
}

// follow shows a run at the address while train trains, from before it begins. Of several
// ranks the first one does.
func (w watchAddress) follow(a *app, o *run.Options, train func() error) error {
	if w == "" || mpi.Started().Rank > 0 {
		return train()
	}
	s, err := watch.Listen(string(w), a.commandLine())
	if err != nil {
		return fmt.Errorf("--watch: %w", err)
	}
	a.note("the run is shown at %s", s.URL())
	if !s.Loopback() {
		a.note("--watch: other machines can reach %s, and see the run", w)
	}
	o.Watch, a.noted = s, s.Note
	err = train()
	switch stopped := (signalError{}); {
	case err == nil:
		s.End(watch.Finished, "")
	case errors.As(context.Cause(a), &stopped):
		s.End(watch.Interrupted, stopped.Error())
	default:
		s.End(watch.Failed, oneLine(err))
	}
	a.noted = nil
	return err
}
