package main

import (
	"encoding"
	"fmt"
	"reflect"
	"strings"

	"github.com/alecthomas/kong"
)

// checkValues reports a flag that stands on the command line without a value: at its end, in front of
// another flag, or with "". The command is node. What comes behind an unknown flag is left to the
// parser.
func checkValues(args []string, node *kong.Node) error {
	for i := 0; node != nil && i < len(args) && args[i] != "--"; i++ {
		name, value, given := strings.Cut(args[i], "=")
		if !strings.HasPrefix(name, "--") {
			continue
		}
		f := flag(node, name)
		switch {
		case f == nil:
			return nil
		case f.IsBool():
			continue
		case !given && i+1 < len(args):
			i++
			if value = args[i]; flag(node, value) != nil {
				value = ""
			}
		}
		if value == "" {
			return misused("%s has no value: %s", name, wanted(f))
		}
	}
	return nil
}

// wanted says which values a flag takes that has none.
func wanted(f *kong.Flag) string { return strings.TrimPrefix(expected(f, ""), `"": `) }

// expected says which values a flag takes where it was given another one: that of its type, or of
// the elements of a list.
func expected(f *kong.Flag, value string) string {
	of := f.Target.Type()
	text := reflect.TypeFor[encoding.TextUnmarshaler]()
	for (of.Kind() == reflect.Slice || of.Kind() == reflect.Pointer) && !reflect.PointerTo(of).Implements(text) {
		of = of.Elem()
	}
	if u, ok := reflect.New(of).Interface().(encoding.TextUnmarshaler); ok {
		if err := u.UnmarshalText([]byte(value)); err != nil {
			return oneLine(err)
		}
	}
	what := f.PlaceHolder
	switch {
	case f.Enum != "":
		what = "one of " + f.Enum
	case reflect.Zero(of).CanInt():
		what = "a whole number"
	case reflect.Zero(of).CanUint():
		what = "a whole number of at least 0"
	case reflect.Zero(of).CanFloat():
		what = "a number"
	}
	return fmt.Sprintf("%q: %s is expected", value, what)
}
