package main

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"

	"clgrad/cmd/clgrad/text"
	"clgrad/gpu"
	"clgrad/kernels"
	"clgrad/network"
	"clgrad/network/backendtest"
)

type checkCommand struct {
	Backend   backendName       `default:"auto" help:"auto, cpu, cpu64, opencl, opencl:P.D or opencl:NAME, as for train."`
	Precision kernels.Precision `default:"float32" enum:"float32, tf32, bf16, bf16x3" help:"Precision of matrix products on an OpenCL device, as for train: ${enum}."`
	Quick     bool              `help:"Leave out the large shapes."`
	Operation []operation       `placeholder:"NAME" help:"Check only these operations, named as in the table."`
	JSON      bool              `name:"json" help:"Print one JSON object."`
}

// Help is shown by clgrad check --help.
func (checkCommand) Help() string {
	return "Every operation runs on many shapes, and the results are compared with exact ones. The table has each error as a share of its bound; at most 1 passes. " +
		"exact counts the results that have to be equal, bounded those that are compared with the bound. " +
		"× naive is the ratio of the error to that of a plain float32 loop; at most 4 passes.\n\n" +
		"Examples:\n\n  clgrad check --backend opencl --quick\n  clgrad check --operation forward,weight-gradient"
}

// operation is the name of a family of operations of the suite.
type operation string

// UnmarshalText reports a name that is none of them.
func (o *operation) UnmarshalText(name []byte) error {
	if all := backendtest.Operations(); !slices.Contains(all, string(name)) {
		return fmt.Errorf("%q: one of %s is expected%s", name, strings.Join(all, ", "), text.Suggest(string(name), all...))
	}
	*o = operation(name)
	return nil
}

// Run prints how far each operation is from its bound, and fails if one is
// beyond it.
func (c checkCommand) Run(a *app) error {
	var options []backendtest.Option
	if c.Quick {
		options = append(options, backendtest.Quick())
	}
	for _, o := range c.Operation {
		options = append(options, backendtest.Only(string(o)))
	}
	bar := a.display.Steps(nil)
	options = append(options, backendtest.Until(a), backendtest.Progress(func(operation string, done, all int) {
		bar.At("checking "+operation, int64(done), int64(all))
	}))
	// Opened once to see that it can be, and to say which it is: all operations are
	// checked on that one, whatever becomes of it.
	o := gpu.Options{Precision: c.Precision, Untested: true}
	b, err := c.Backend.open(a, o)
	if err != nil {
		return err
	}
	name := backendName(b.Info().Backend)
	if err := b.Close(); err != nil {
		return err
	}
	quiet := *a
	quiet.err = io.Discard
	report, failed := backendtest.Check(func() (network.Backend, error) { return name.open(&quiet, o) }, options...)
	bar.End()
	if a.Err() != nil && len(report.Operations) == 0 {
		return a.Err()
	}
	if c.JSON {
		if err := json.NewEncoder(a.out).Encode(report); err != nil {
			return err
		}
	} else {
		fmt.Fprint(a.out, report.Head())
		columns, rows := report.Table()
		if err := (text.Table{Columns: columns, Rows: rows, Right: []bool{true}}).Write(a.out, a.width()); err != nil {
			return err
		}
	}
	count := 0
	for _, o := range report.Operations {
		for _, f := range o.Failures {
			a.note("%v", f)
			count++
		}
	}
	switch {
	case a.Err() != nil: // the table is of what was done until then
		return a.Err()
	case count > 0:
		return fmt.Errorf("%d checks failed", count)
	}
	return failed
}
