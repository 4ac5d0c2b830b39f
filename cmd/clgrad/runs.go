package main

import (
	"encoding/json"
	"fmt"
	"io"

	"clgrad/cmd/clgrad/catalog"
	"clgrad/cmd/clgrad/recipe"
)

type runsCommand struct {
	List runsListCommand `cmd:"" default:"withargs" help:"List the runs below a folder (what runs does without a command)."`
	Diff runsDiffCommand `cmd:"" help:"Say how runs differ: settings, data, device, results. With --out also their curves in one page."`
}

// Help is shown by clgrad runs --help.
func (runsCommand) Help() string {
	return `Runs are the directories that train --out makes.

Examples:

  clgrad runs
  clgrad runs experiments --sort test
  clgrad runs --where 'test>0.97' --where optimizer=adam --json
  clgrad runs diff run1 run2 --out diff.html

clgrad runs list --help has the flags and columns of the list.`
}

type runsListCommand struct {
	Dir     recipe.Path `arg:"" optional:"" default:"." help:"The folder. Default: the current one."`
	Sort    string      `default:"began" placeholder:"COLUMN" help:"Column to sort by: began, iterations, epochs and accuracies from the highest, other columns from the lowest. Default: began, that is, the newest run first."`
	Reverse bool        `help:"Sort the other way."`
	Where   []string    `placeholder:"CONDITION" sep:"none" help:"List only runs that meet this condition, as in --where 'test>0.97' --where data=mnist: a column, one of = != < <= > >= and a number, or one of = != ~ and text. ~ means that the column contains the text. Runs have to meet all conditions that are given."`
	Wide    bool        `help:"Show all columns in full, even if the terminal is too narrow."`
	JSON    bool        `name:"json" help:"Print JSON, one object a run and line."`
}

// Help is shown by clgrad runs list --help.
func (runsListCommand) Help() string {
	return "Runs are the directories that train --out makes, at any depth. Hidden folders are left out. Damaged runs are listed too, and standard error says what is wrong with them.\n\nColumns:\n\n" + catalog.ColumnsHelp()
}

// Run lists the runs of a folder.
func (c runsListCommand) Run(a *app) error {
	by, err := catalog.FindColumn(c.Sort)
	if err != nil {
		return misused("--sort: %w", err)
	}
	var conditions []catalog.Condition
	for _, text := range c.Where {
		condition, err := catalog.ParseCondition(text)
		if err != nil {
			return misused("--where: %w", err)
		}
		conditions = append(conditions, condition)
	}
	found, err := catalog.Find(a, string(c.Dir))
	if err != nil {
		return err
	}
	a.noteSearch(string(c.Dir), found)
	var runs []catalog.Run
	for _, r := range found.Runs {
		if catalog.FitsAll(r, conditions) {
			runs = append(runs, r)
		}
	}
	if len(runs) == 0 {
		if n := len(found.Runs); n > 0 {
			a.note("%s: none of %d runs fits --where", c.Dir, n)
		} else {
			a.note("%s: no runs: clgrad train --out DIR keeps one", c.Dir)
		}
		return nil
	}
	catalog.Sort(runs, by, c.Reverse)
	if c.JSON {
		e := json.NewEncoder(a.out)
		for _, r := range runs {
			if err := e.Encode(r); err != nil {
				return err
			}
		}
		return nil
	}
	width := a.width()
	if c.Wide {
		width = 0
	}
	left, err := catalog.Show(a.out, runs, width)
	if err != nil {
		return err
	}
	for _, r := range runs {
		if r.Problem != "" {
			a.note("%s is damaged: %s", r.Path, r.Problem)
		}
	}
	switch {
	case left == 1:
		a.info("1 column does not fit the terminal: --wide shows all")
	case left > 1:
		a.info("%d columns do not fit the terminal: --wide shows all", left)
	}
	return nil
}

// noteSearch says what of a folder was not looked into.
func (a *app) noteSearch(folder string, s catalog.Search) {
	if s.Cut > 0 {
		a.note("%s: only the first %d folders below it are looked into", folder, s.Cut)
	}
	if n := len(s.Unreadable); n > 0 {
		a.note("%d folders cannot be read, the first: %s", n, oneLine(s.Unreadable[0]))
	}
}

type runsDiffCommand struct {
	Dirs []recipe.Path `arg:"" name:"run" help:"Directories of runs, two or more. Differences are from the first."`
	Out  recipe.Path   `placeholder:"FILE" help:"Write a page with the tables, and curves of loss and accuracy over each other. It replaces a page of this command, and no other file."`
	JSON bool          `name:"json" help:"Print one JSON object."`
}

// Help is shown by clgrad runs diff --help.
func (runsDiffCommand) Help() string {
	return "Examples:\n\n  clgrad runs diff run1 run2\n  clgrad runs diff run1 run2 run3 --out diff.html"
}

// Run says how runs differ.
func (c runsDiffCommand) Run(a *app) error {
	if len(c.Dirs) < 2 {
		return misused("two runs or more are expected, as in clgrad runs diff run1 run2")
	}
	if err := c.checkOut(); err != nil {
		return err
	}
	var runs []catalog.Run
	for _, dir := range c.Dirs {
		r, ok := catalog.Read(string(dir))
		if !ok {
			return fmt.Errorf("%s: is not a run: a directory that train --out made is expected (clgrad runs lists them)", dir)
		}
		if r.Problem != "" {
			a.note("%s is damaged: %s", dir, r.Problem)
		}
		runs = append(runs, r)
	}
	diff, err := catalog.Compare(runs)
	if err != nil {
		return err
	}
	if c.Out != "" {
		if err := replaceFile(string(c.Out), func(w io.Writer) error {
			problems, err := diff.WritePage(w, a.commandLine())
			for _, p := range problems {
				a.note("curves end early: %s", oneLine(p))
			}
			return err
		}); err != nil {
			return err
		}
	}
	if c.JSON {
		return json.NewEncoder(a.out).Encode(diff)
	}
	if err := diff.Show(a.out, a.width()); err != nil {
		return err
	}
	if c.Out != "" {
		_, err = fmt.Fprintf(a.out, "\nPage: %s\n", c.Out)
	}
	return err
}

// checkOut reports a page that would replace a file of a run, or another file.
func (c runsDiffCommand) checkOut() error {
	if c.Out == "" {
		return nil
	}
	if err := checkOut(c.Out, "", "", nil); err != nil {
		return err
	}
	if err := catalog.CheckPage(string(c.Out)); err != nil {
		return fmt.Errorf("--out %w", err)
	}
	return nil
}
