package main

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/alecthomas/kong"

	"clgrad/cmd/clgrad/text"
)

// synonyms are flags by what other programs call them.
var synonyms = map[string][]string{
	"--lr":             {"--learning-rate", "--rate", "--eta", "--step"},
	"--backend":        {"--device", "--gpu", "--cpu", "--opencl", "--accelerator"},
	"--layers":         {"--hidden", "--hidden-layers", "--hidden-size", "--units", "--neurons", "--network"},
	"--out":            {"--output", "--output-dir", "--save", "--dir", "--log-dir"},
	"--resume":         {"--continue", "--restore"},
	"--from":           {"--load", "--model", "--weights", "--pretrained", "--init-from"},
	"--iterations":     {"--steps", "--max-steps", "--max-iterations", "--iters", "--num-iterations"},
	"--epochs":         {"--num-epochs", "--max-epochs"},
	"--schedule":       {"--lr-schedule", "--scheduler", "--decay"},
	"--preprocess":     {"--normalize", "--normalise", "--scale", "--scaling", "--standardize"},
	"--data":           {"--dataset", "--input-data", "--train", "--train-data"},
	"--validation":     {"--val", "--validation-split", "--holdout", "--dev"},
	"--weight-decay":   {"--l2", "--wd", "--regularization", "--lambda"},
	"--early-stopping": {"--early-stop"},
	"--seed":           {"--random-state", "--random-seed"},
	"--label":          {"--target-column", "--y", "--class-column"},
}

// What the parser says.
var (
	unknownFlag = regexp.MustCompile(`^unknown flag (--?[^ ,]+)`)
	wrongChoice = regexp.MustCompile(`^(--[a-z0-9-]+|<[a-z]+>) must be one of (.+) but got "(.*)"$`)
	wrongValue  = regexp.MustCompile(`^(--[a-z0-9-]+): expected .* but got "(.*?)"`)
	missing     = regexp.MustCompile(`^expected "(<.+>)( \.\.\.)?"$`)
	missingFlag = regexp.MustCompile(`^missing flags: (--[a-z-]+)=[^,]+$`)
	unexpected  = regexp.MustCompile(`^unexpected argument (.+)$`)
	ofArgument  = regexp.MustCompile(`^\[?<[^>]+>( \.\.\.)?\]?: `)
)

// parseProblem returns the error of a command line that cannot be parsed, with what was probably
// meant. node is the command that was found in it, nil for none.
func parseProblem(err error, node *kong.Node) error {
	line := oneLine(err)
	unknown, choice, value := unknownFlag.FindStringSubmatch(line), wrongChoice.FindStringSubmatch(line), wrongValue.FindStringSubmatch(line)
	absent, argument := missingFlag.FindStringSubmatch(line), unexpected.FindStringSubmatch(line)
	switch {
	case unknown != nil && node != nil:
		line = unknown[0] + suggestFlag(unknown[1], node)
	case choice != nil:
		choices := strings.FieldsFunc(choice[2], func(r rune) bool { return strings.ContainsRune("\", ", r) })
		line = fmt.Sprintf("%s: %q: one of %s is expected%s", choice[1], choice[3], strings.Join(choices, ", "), text.Suggest(choice[3], choices...))
	case value != nil && node != nil && flag(node, value[1]) != nil:
		line = value[1] + ": " + expected(flag(node, value[1]), value[2])
	case missing.MatchString(line):
		line = missing.ReplaceAllString(line, "$1 is missing")
	case absent != nil && node != nil:
		line = absent[1] + " is missing"
		if f := flag(node, absent[1]); f != nil {
			line += ": " + wanted(f)
		}
	case argument != nil && node != nil && flag(node, "--data") != nil && isThere(argument[1]):
		line += fmt.Sprintf(", did you mean --data %s?", text.ShellWord(argument[1]))
	default:
		line = ofArgument.ReplaceAllString(line, "")
	}
	return misused("%s", line)
}

// suggestFlag suggests the flag of a command that was probably meant: the one that other programs
// call so, otherwise the one that is spelt like it.
func suggestFlag(name string, node *kong.Node) string {
	var flags []string
	for _, group := range runBy(node).AllFlags(true) {
		for _, f := range group {
			if flag := "--" + f.Name; slices.Contains(synonyms[flag], name) {
				return fmt.Sprintf(", did you mean %q?", flag)
			}
			flags = append(flags, "--"+f.Name)
		}
	}
	return text.Suggest(name, flags...)
}
