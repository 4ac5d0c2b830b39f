package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"clgrad/cmd/clgrad/recipe"
	"clgrad/cmd/clgrad/terminal"
	"clgrad/cmd/clgrad/text"
	"clgrad/network"
	"clgrad/network/dataset"
)

type dataCommand struct {
	List    dataListCommand    `cmd:"" help:"List the named data sets, and which of their files are in the cache."`
	Fetch   dataFetchCommand   `cmd:"" help:"Fetch named data sets into the cache."`
	Enlarge dataEnlargeCommand `cmd:"" help:"Write IDX files with many changed copies of the training images of a data set, to try data larger than memory."`
	Verify  dataVerifyCommand  `cmd:"" help:"Check the files in the cache. The exit status is 1 if one is missing or damaged."`
}

type dataListCommand struct {
	JSON bool `name:"json" help:"Print JSON, one object a set and line."`
}

type dataFetchCommand struct {
	Names []setName `arg:"" optional:"" help:"Names of data sets. Default: all."`
	JSON  bool      `name:"json" help:"Print JSON, one object a set and line."`
}

type dataVerifyCommand struct {
	Names []setName `arg:"" optional:"" help:"Names of data sets. Default: all."`
	JSON  bool      `name:"json" help:"Print JSON, one object a set and line."`
}

type dataEnlargeCommand struct {
	Data  recipe.Path  `default:"mnist" help:"Data set of images, as for train."`
	Times recipe.Count `default:"100" help:"Number of copies of the training set to write. In all but the first, each image is moved by up to 2 pixels, and its pixels are changed by up to 16 of 255."`
	Seed  uint64       `default:"1" help:"Random seed of the moves and changes. The same seed gives the same files."`
	Out   recipe.Path  `required:"" placeholder:"DIR" help:"Directory for the four files. It is created if needed."`
}

// Run writes the files.
func (c dataEnlargeCommand) Run(a *app) error {
	set, err := dataset.Load(a, string(c.Data), a.dataOptions())
	if err != nil {
		return err
	}
	defer a.display.Doing("writing " + string(c.Out))()
	if err := set.Enlarge(a, string(c.Out), int(c.Times), c.Seed); err != nil {
		return err
	}
	_, err = fmt.Fprintf(a.out, "%d rows to train on and %d to test on are in %s\n", int(c.Times)*set.Train.Rows, set.Test.Rows, c.Out)
	return err
}

// setName is the name of a named data set.
type setName string

// UnmarshalText reports a name that is none of them.
func (n *setName) UnmarshalText(name []byte) error {
	if all := dataset.Names(); !slices.Contains(all, string(name)) {
		return fmt.Errorf("data set %q is unknown: one of %s is expected%s", name, strings.Join(all, ", "), text.Suggest(string(name), all...))
	}
	*n = setName(name)
	return nil
}

// dataOptions says how commands find data sets.
func (a *app) dataOptions() dataset.Options {
	show := a.showBytes()
	return dataset.Options{
		Log:      func(line string) { a.note("%s", line) },
		Info:     func(line string) { a.info("%s", line) },
		MaxBytes: network.HostMemory(),
		Progress: func(done, total int64) { show("reading", done, total) },
		Download: func(file string, done, total int64) { show("downloading "+file, done, total) },
	}
}

// showBytes returns what shows how many bytes of a file are read.
func (a *app) showBytes() func(what string, done, total int64) {
	var bar *terminal.Progress
	return func(what string, done, total int64) {
		switch {
		case done == total:
			bar.End()
			bar = nil
			return
		case bar == nil:
			bar = a.display.Steps(func(done, total int64) string {
				return fmt.Sprintf("%.1f of %.1f MB", float64(done)/1e6, float64(total)/1e6)
			})
		}
		bar.At(what, done, total)
	}
}

// Run lists the named sets.
func (c dataListCommand) Run(a *app) error {
	return a.dataStatus(nil, c.JSON, "looking at", dataset.Verify, false)
}

// Run fetches named sets.
func (c dataFetchCommand) Run(a *app) error {
	return a.dataStatus(c.Names, c.JSON, "fetching", dataset.Fetch, true)
}

// Run verifies named sets.
func (c dataVerifyCommand) Run(a *app) error {
	return a.dataStatus(c.Names, c.JSON, "verifying", dataset.Verify, true)
}

// statusOf is dataset.Verify or dataset.Fetch.
type statusOf func(context.Context, string, dataset.Options) (dataset.Status, error)

// dataStatus shows what get finds of each set, and while it works what it does. strict makes a set
// that is not whole an error.
func (a *app) dataStatus(names []setName, asJSON bool, doing string, get statusOf, strict bool) error {
	if len(names) == 0 {
		for _, name := range dataset.Names() {
			names = append(names, setName(name))
		}
	}
	var errs []error
	for _, name := range names {
		end := a.display.Doing(doing + " " + string(name))
		s, err := get(a, string(name), a.dataOptions())
		end()
		if err != nil {
			errs = append(errs, err)
			continue
		}
		if strict && !s.OK {
			errs = append(errs, fmt.Errorf("%s: files are missing or damaged (clgrad data fetch %[1]s fetches them)", name))
		}
		if asJSON {
			if err := json.NewEncoder(a.out).Encode(s); err != nil {
				return err
			}
			continue
		}
		if err := a.showStatus(s); err != nil {
			return err
		}
	}
	return errors.Join(errs...)
}

func (a *app) showStatus(s dataset.Status) error {
	fmt.Fprintf(a.out, "%s: %s, in %s\n", s.Name, s.Description, s.Dir)
	// Most often all files have one origin, whose name is long.
	one := len(s.Files) > 0 && !slices.ContainsFunc(s.Files, func(f dataset.FileStatus) bool { return f.Origin != s.Files[0].Origin })
	if one && s.Files[0].Origin != "" {
		fmt.Fprintf(a.out, "  from %s\n", s.Files[0].Origin)
	}
	var t text.Table
	for _, f := range s.Files {
		state := "ok"
		if !f.OK {
			state = f.Problem
		}
		if f.Origin != "" && !one {
			state += " (from " + f.Origin + ")"
		}
		size := ""
		if f.Size > 0 {
			size = fmt.Sprintf("%d bytes", f.Size)
		}
		t.Row("  "+f.Name, size, state)
	}
	return t.Write(a.out, a.width())
}
