package main

import (
	"bytes"
	"slices"
	"strings"
	"testing"

	"github.com/alecthomas/kong"
)

// eachCommand calls visit with each command, that a user is shown, and its words.
func eachCommand(node *kong.Node, words []string, visit func(words []string, node *kong.Node)) {
	for _, n := range node.Children {
		if n.Hidden {
			continue
		}
		words := append(slices.Clone(words), n.Name)
		if visit(words, n); len(n.Children) > 0 {
			eachCommand(n, words, visit)
		}
	}
}

// commandTree returns all commands.
func commandTree(t *testing.T) *kong.Node {
	a := &app{Context: t.Context(), out: new(bytes.Buffer), err: new(bytes.Buffer)}
	return a.parser(new(commands)).Model.Node
}

// The help of a flag that has a default says it, beside the flag's name or in words.
func TestHelpDefaults(t *testing.T) {
	flags := 0
	eachCommand(commandTree(t), nil, func(words []string, node *kong.Node) {
		out := good(t, append(words, "--help")...)
		for _, f := range node.Flags {
			if !f.HasDefault || f.IsBool() {
				continue
			}
			flags++
			const column = "\n      --" // of the flags' names
			_, help, _ := strings.Cut(out, column+f.Name+"=")
			help, _, _ = strings.Cut(help, column)
			help = strings.Join(strings.Fields(help), " ")
			value, _, _ := strings.Cut(help, " ")
			if !strings.Contains(value, f.Default) && !strings.Contains(help, "Default: ") {
				t.Errorf("%v: --%s does not say its default %s: %s", words, f.Name, f.Default, help)
			}
		}
	})
	if flags < 50 {
		t.Errorf("%d flags with defaults were looked at", flags)
	}
	if out := good(t, "serve", "--help"); !strings.Contains(out, "Default: 127.0.0.1:8080.") || !strings.Contains(out, "Default: 10s.") || strings.Contains(out, "…,...") {
		t.Errorf("serve --help: %s", out)
	}
}

// A flag without its value, at the end, in front of another flag or with nothing behind =, is wrong
// usage in one line, which says what is expected.
func TestNoValue(t *testing.T) {
	flags := 0
	eachCommand(commandTree(t), nil, func(words []string, node *kong.Node) {
		if len(node.Children) > 0 {
			return
		}
		for _, group := range node.AllFlags(true) {
			for _, f := range group {
				if f.IsBool() {
					continue
				}
				flags++
				for _, behind := range [][]string{{"--" + f.Name}, {"--" + f.Name, "--quiet"}, {"--" + f.Name, "-q"}, {"--" + f.Name + "="}, {"--" + f.Name, ""}} {
					args := slices.Concat(words, behind)
					status, out, err := clgrad(t, args...)
					if status != usage || out != "" || strings.Count(err, "\n") != 1 || !strings.HasPrefix(err, "clgrad: --"+f.Name+" has no value: ") || !strings.Contains(err, " expected") {
						t.Errorf("%q: status %d, %q", args, status, err)
					}
				}
			}
		}
	})
	if flags < 100 {
		t.Errorf("%d flags were looked at", flags)
	}
}

// A value that a flag cannot have is answered with what is expected, in the flag's own words and
// not in the parser's.
func TestWrongValues(t *testing.T) {
	for line, want := range map[string]string{
		"train --lr NaN":             `--lr: "NaN": a learning rate above 0 is expected, as in 0.1`,
		"train --lr -1":              `--lr: "-1": a learning rate above 0`,
		"train --lr 10%":             `--lr: "10%": a learning rate above 0`,
		"train --seed -1":            `--seed: "-1": a whole number of at least 0 is expected`,
		"train --seed 1.5":           `--seed: "1.5": a whole number`,
		"train --layers 5,x":         `--layers: "5,x": sizes of hidden layers`,
		"train --separator ü":        `--separator: "ü": one ASCII character`,
		"train --backend cuda":       `--backend: "cuda": auto, cpu`,
		"train --recipe xyz":         `--recipe: unknown recipe "xyz"`,
		"train --samples 1e30":       `--samples: "1e30": a whole number of at least 1`,
		"compare --lr -1":            `--lr: "-1": a learning rate above 0`,
		"compare --batch-size 8,-3":  `--batch-size: "-3": a whole number of rows`,
		"compare --time-limit 5s":    `--time-limit: "5s": seconds`,
		"predict m --top -1":         `--top: "-1": a whole number of at least 1`,
		"serve m --rate x":           `--rate: "x": a number is expected`,
		"serve m --rate NaN":         `--rate NaN: a number of requests a second`,
		"serve m --max-body 1e9":     `--max-body: "1e9": a whole number is expected`,
		"serve m --max-wait 5":       `--max-wait: "5": a time from 0s to 1h is expected, as in 500ms`,
		"serve m --timeout -1s":      `--timeout: "-1s": a time`,
		"eval m --preprocess scaled": `--preprocess: preprocessing "scaled" is unknown: one of`,
	} {
		status, out, err := clgrad(t, strings.Fields(line)...)
		if status != usage || out != "" || strings.Count(err, "\n") != 1 || !strings.HasPrefix(err, "clgrad: "+want) {
			t.Errorf("%s: status %d, %s%s\nwant %s", line, status, out, err, want)
		}
	}
	data := write(t, "flowers.csv", flowers(1, 30))
	status, _, err := clgrad(t, "train", "--data", data, "--label", "species", "--test", "nowhere.csv", "--backend", "cpu")
	if status != failure || err != "clgrad: test set \"nowhere.csv\": no such file: a CSV file is expected\n" {
		t.Errorf("status %d, %s", status, err)
	}
}
