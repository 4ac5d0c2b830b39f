package recipe

import (
	"encoding/json"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
)

// An Origin is what a recipe says about itself. It has no flags.
type Origin struct {
	Version     int        `json:"version" kong:"-"`
	Name        Name       `json:"name,omitempty" kong:"-"`
	Description string     `json:"description,omitempty" kong:"-"` // one line
	Source      string     `json:"source,omitempty" kong:"-"`      // the document it follows
	Notes       []string   `json:"notes,omitempty" kong:"-"`       // paragraphs for the report
	Reference   *Reference `json:"reference,omitempty" kong:"-"`
	// BasedOn names the recipe that this one was made of by Changes, which are flags with
	// their values. What that recipe says about itself does not hold then.
	BasedOn Name     `json:"based_on,omitempty" kong:"-"`
	Changes []string `json:"changes,omitempty" kong:"-"`
	// UnscaledTest asks for the accuracy on the test set as it is without any
	// scaling, beside the right one.
	UnscaledTest bool `json:"unscaled_test,omitempty" kong:"-"`
}

// Based says what a changed recipe is based on, "" where it is not.
func (o Origin) Based() string {
	switch {
	case o.BasedOn == "":
		return ""
	case len(o.Changes) == 0:
		return "recipe " + string(o.BasedOn) + ", changed"
	}
	return "recipe " + string(o.BasedOn) + ", with " + strings.Join(o.Changes, " ")
}

// saysSomething reports whether a recipe makes a claim that a change could make untrue.
func (o Origin) saysSomething() bool {
	return o.Name != "" || o.Description != "" || o.Source != "" || o.Notes != nil || o.Reference != nil || o.BasedOn != ""
}

// withoutEffect are the keys of what does not change a run's results, up to rounding.
var withoutEffect = []string{"backend", "shares", "input", "log_every", "checkpoint_every", "keep_checkpoints", "passes", "predictions", "predict"}

// OriginFrom returns the origin of a complete recipe that was made of another one by flags:
// that of base where results are the same, otherwise one that names base and the flags. name
// is what base was loaded by.
func (r Recipe) OriginFrom(base Recipe, name string) Origin {
	if !base.saysSomething() {
		return base.Origin
	}
	// What is missing in base is given by a flag, which is a change.
	_ = base.Complete()
	var all, chosen []string // all changes, and those that do not follow from others
	ours, theirs := reflect.ValueOf(r), reflect.ValueOf(base)
	for _, f := range fields(recipeType) {
		v := ours.FieldByIndex(f.Index)
		if f.Tag.Get("kong") == "-" || reflect.DeepEqual(v.Interface(), theirs.FieldByIndex(f.Index).Interface()) {
			continue
		}
		if slices.Contains(withoutEffect, f.key) && !(f.key == "log_every" && r.EarlyStopping) { // which evaluates at each line
			continue
		}
		change := "--" + strings.ReplaceAll(f.key, "_", "-")
		if v.IsZero() {
			change = "no " + change
		} else if v.Kind() != reflect.Bool {
			change += " " + flagText(v)
		}
		all = append(all, change)
		if _, dependent := f.Tag.Lookup("of"); dependent {
			without := r
			reflect.ValueOf(&without).Elem().FieldByIndex(f.Index).SetZero()
			if without.Complete() == nil && reflect.DeepEqual(reflect.ValueOf(without).FieldByIndex(f.Index).Interface(), v.Interface()) {
				continue // it is the default that goes with another flag
			}
		}
		chosen = append(chosen, change)
	}
	if len(all) == 0 {
		return base.Origin
	}
	if len(chosen) == 0 {
		chosen = all
	}
	o := Origin{BasedOn: base.BasedOn, UnscaledTest: base.UnscaledTest}
	if o.BasedOn == "" {
		o.BasedOn = base.nameOr(name)
	}
	flag := func(change string) string {
		word, _, _ := strings.Cut(strings.TrimPrefix(change, "no "), " ")
		return word
	}
	for _, earlier := range base.Changes {
		if !slices.ContainsFunc(chosen, func(c string) bool { return flag(c) == flag(earlier) }) {
			o.Changes = append(o.Changes, earlier)
		}
	}
	o.Changes = append(o.Changes, chosen...)
	return o
}

// nameOr returns the recipe's name, or one made of that of its file.
func (o Origin) nameOr(file string) (n Name) {
	if o.Name != "" {
		return o.Name
	}
	words := strings.Map(func(c rune) rune {
		if c >= 'a' && c <= 'z' || c >= '0' && c <= '9' {
			return c
		}
		return '-'
	}, strings.ToLower(strings.TrimSuffix(filepath.Base(file), ".json")))
	if n.UnmarshalText([]byte(words[:min(len(words), 40)])) != nil {
		return "unnamed"
	}
	return n
}

// flagText writes the value of a field as its flag takes it.
func flagText(v reflect.Value) string {
	text, err := json.Marshal(v.Interface())
	if err != nil {
		return "?"
	}
	var word string
	if json.Unmarshal(text, &word) == nil {
		return word
	}
	var list []json.RawMessage
	if json.Unmarshal(text, &list) != nil {
		return string(text)
	}
	var words []string
	for _, item := range list {
		words = append(words, strings.Trim(string(item), `"`))
	}
	return strings.Join(words, ",")
}
