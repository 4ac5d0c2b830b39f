package main

import (
	_ "embed"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/alecthomas/kong"

	"clgrad/cmd/clgrad/catalog"
	"clgrad/cmd/clgrad/recipe"
	"clgrad/network/backendtest"
	"clgrad/network/dataset"
)

// The scripts for shells ask the hidden command complete what a command line may go on with.
//
//go:embed completion/clgrad.bash
var bashCompletion string

//go:embed completion/clgrad.zsh
var zshCompletion string

//go:embed completion/clgrad.fish
var fishCompletion string

// completionCommand prints the script of a shell.
type completionCommand struct {
	Shell string `arg:"" enum:"bash, zsh, fish" help:"bash, zsh or fish."`
}

// Help is shown by clgrad completion --help.
func (completionCommand) Help() string {
	return "Commands, flags, their values, data sets, recipes and file names are completed.\n\n" +
		"  source <(clgrad completion bash)     in ~/.bashrc\n" +
		"  source <(clgrad completion zsh)      in ~/.zshrc, after compinit\n" +
		"  clgrad completion fish | source      in config.fish"
}

// Run prints it.
func (c completionCommand) Run(a *app) error {
	_, err := io.WriteString(a.out, map[string]string{"bash": bashCompletion, "zsh": zshCompletion, "fish": fishCompletion}[c.Shell])
	return err
}

// completeCommand prints what the last of some words may become, one a line, with a tab and a
// description where there is one. :files and :folders stand for names of files and of folders.
type completeCommand struct {
	Words []string `arg:"" optional:"" help:"The words behind clgrad, up to the cursor."`
}

const (
	files   = ":files"
	folders = ":folders"
)

// Run prints them.
func (c completeCommand) Run(a *app) error {
	if len(c.Words) == 0 {
		c.Words = []string{""}
	}
	last := len(c.Words) - 1
	for _, choice := range complete(a.parser(new(commands)).Model.Node, c.Words[:last], c.Words[last]) {
		if _, err := fmt.Fprintln(a.out, choice); err != nil {
			return err
		}
	}
	return nil
}

// complete returns what a word may become behind others.
func complete(node *kong.Node, before []string, word string) (choices []string) {
	var waiting *kong.Value // a flag that is without its value
	arguments := 0
	for _, w := range before {
		child := slices.IndexFunc(node.Children, func(n *kong.Node) bool { return n.Name == w })
		name, _, valued := strings.Cut(w, "=")
		switch {
		case waiting != nil:
			waiting = nil
		case strings.HasPrefix(w, "-"):
			if f := flag(node, name); f != nil && !f.IsBool() && !valued {
				waiting = f.Value
			}
		case child >= 0:
			node = node.Children[child]
		default:
			node = runBy(node)
			arguments++
		}
	}
	name, _, valued := strings.Cut(word, "=")
	switch f := flag(node, name); {
	case waiting != nil:
		return matching(values(waiting), waiting, "", word)
	case valued && f != nil:
		return matching(values(f.Value), f.Value, name+"=", word)
	case strings.HasPrefix(word, "-"):
		for _, group := range runBy(node).AllFlags(true) {
			for _, f := range group {
				if name := "--" + f.Name; strings.HasPrefix(name, word) {
					choices = append(choices, name+"\t"+sentence(f.Help))
				}
			}
		}
		return choices
	}
	parent := node
	if node.Name == "help" {
		parent = node.Parent
	}
	for _, n := range parent.Children {
		if !n.Hidden && strings.HasPrefix(n.Name, word) {
			choices = append(choices, n.Name+"\t"+sentence(n.Help))
		}
	}
	if n := len(runBy(node).Positional); n > 0 {
		argument := runBy(node).Positional[min(arguments, n-1)]
		if arguments < n || argument.IsCumulative() {
			choices = append(choices, matching(values(argument), argument, "", word)...)
		}
	}
	return choices
}

// runBy returns the command that runs where a command line goes no further than to a node.
func runBy(node *kong.Node) *kong.Node {
	if node.DefaultCmd != nil {
		return node.DefaultCmd
	}
	return node
}

// flag returns the flag of a command that is called so, nil for none.
func flag(node *kong.Node, name string) *kong.Flag {
	for _, group := range runBy(node).AllFlags(false) {
		for _, f := range group {
			if "--"+f.Name == name || f.Short != 0 && "-"+string(f.Short) == name || f.Tag.Negatable != "" && "--no-"+f.Name == name {
				return f
			}
		}
	}
	return nil
}

// sentence returns the first one of a help text.
func sentence(help string) string {
	first, _, _ := strings.Cut(help, ". ")
	return strings.TrimSuffix(first, ".")
}

// values returns what a flag or an argument may be, as far as that is known.
func values(v *kong.Value) (all []string) {
	if v.Enum != "" {
		return v.EnumSlice()
	}
	switch v.Target.Interface().(type) {
	case recipe.Backend, backendName, []recipe.Backend, []backendName:
		return []string{"auto", "cpu", "cpu64", "opencl", string(recipe.AllDevices)}
	case recipe.Optimizer, []optimizerName:
		return strings.Split(recipe.Optimizers(), ", ")
	case []operation:
		return backendtest.Operations()
	case []setName:
		return dataset.Names()
	case recipe.Path, []recipe.Path:
		switch v.Name {
		case "data":
			return append(dataset.Names(), files)
		case "resume", "dir", "run":
			return []string{folders}
		case "label":
			return nil
		}
		return []string{files}
	}
	switch {
	case v.Name == "recipe":
		return append(recipe.Names(), files)
	case v.Name == "picture":
		return []string{files}
	case v.Name == "name": // of recipes
		return recipe.Names()
	case v.Name == "sort":
		return catalog.ColumnNames()
	case v.Flag != nil && strings.Contains(v.Flag.PlaceHolder, "|"):
		return strings.Split(v.Flag.PlaceHolder, "|")
	}
	return nil
}

// matching returns the choices that a word may become behind a prefix. Of a list, which has commas,
// it is the last item.
func matching(choices []string, v *kong.Value, prefix, word string) (all []string) {
	word = strings.TrimPrefix(word, prefix)
	if i := strings.LastIndex(word, ","); i >= 0 && (v.IsSlice() || len(choices) > 0 && choices[0] == "auto") {
		prefix, word = prefix+word[:i+1], word[i+1:]
	}
	for _, c := range choices {
		switch {
		case c == files || c == folders:
			all = append(all, c)
		case strings.HasPrefix(c, word):
			all = append(all, prefix+c)
		}
	}
	return all
}
