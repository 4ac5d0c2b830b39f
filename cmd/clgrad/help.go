package main

// helpCommand shows what --help does.
type helpCommand struct {
	Command []string `arg:"" optional:"" help:"A command, as train or data fetch. Without one: all commands."`
}

// Run shows the help of the command.
func (c helpCommand) Run(a *app) error { return a.parse(append(c.Command, "--help")) }
