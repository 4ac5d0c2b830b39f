package main

import (
	"bytes"
	"cmp"
	"io"
	"strings"

	"github.com/alecthomas/kong"

	"clgrad/cmd/clgrad/text"
)

// helpCommand shows what --help does.
type helpCommand struct {
	Command []string `arg:"" optional:"" help:"A command, as train or data fetch. Without one: all commands."`
}

// Run shows the help of the command.
func (c helpCommand) Run(a *app) error { return a.parse(append(c.Command, "--help")) }

// helpWidth is how wide help is at most.
const helpWidth = 80

// printHelp prints the help of a command as the parser does, with long examples broken as a shell
// takes them.
func (a *app) printHelp(o kong.HelpOptions, ctx *kong.Context) error {
	var b bytes.Buffer
	out := ctx.Stdout
	ctx.Stdout = &b
	err := kong.DefaultHelpPrinter(o, ctx)
	ctx.Stdout = out
	if err != nil {
		return err
	}
	width := min(helpWidth, cmp.Or(a.width(), helpWidth))
	for line := range strings.Lines(b.String()) {
		if _, err := io.WriteString(out, breakExample(line, width)); err != nil {
			return err
		}
	}
	return nil
}

// valueHelp returns the help of a flag or an argument. Where a placeholder stands for the value of a
// flag, the help says the default.
func valueHelp(v *kong.Value) string {
	if v.Flag == nil || v.Flag.PlaceHolder == "" || !v.HasDefault || strings.Contains(v.Help, "Default: ") {
		return v.Help
	}
	return v.Help + " Default: " + v.Default + "."
}

// breakExample returns a line of help. One that is longer than width is broken in several, a command
// with backslashes.
func breakExample(line string, width int) string {
	const indent = "    "
	command := strings.TrimSpace(line)
	switch {
	case text.Width(strings.TrimRight(line, "\n")) <= width:
		return line
	case !strings.HasPrefix(line, " "): // a sentence
		return strings.Join(text.Wrap(command, width), "\n") + "\n"
	case !strings.HasPrefix(line, indent) || !strings.Contains(command, "clgrad "):
		return line
	}
	room := width - len(indent) - len(indent+" \\")
	var lines []string
	line = ""
	for _, word := range withValues(strings.Fields(command)) {
		if line != "" && text.Width(line)+1+text.Width(word) > room {
			lines, line = append(lines, line), ""
		}
		line = strings.TrimPrefix(line+" "+word, " ")
	}
	return indent + strings.Join(append(lines, line), " \\\n"+indent+indent) + "\n"
}

// withValues joins flags with the values behind them, which should stand on the same line.
func withValues(words []string) (all []string) {
	for i, w := range words {
		if i > 0 && strings.HasPrefix(words[i-1], "--") && !strings.HasPrefix(w, "-") {
			all[len(all)-1] += " " + w
		} else {
			all = append(all, w)
		}
	}
	return all
}
