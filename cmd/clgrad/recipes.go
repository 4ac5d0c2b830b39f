package main

import (
	"encoding/json"
	"strings"

	"clgrad/cmd/clgrad/recipe"
	"clgrad/cmd/clgrad/text"
)

type recipesCommand struct {
	Name string `arg:"" optional:"" help:"Print this recipe, as a file to change and to pass to train --recipe."`
	JSON bool   `name:"json" help:"Print JSON, one object a recipe and line."`
}

// recipeLine is a recipe in the list of --json.
type recipeLine struct {
	Name        recipe.Name `json:"name"`
	Description string      `json:"description"`
	Source      string      `json:"source"`
}

// Run lists the built-in recipes, or writes one.
func (c recipesCommand) Run(a *app) error {
	if c.Name != "" {
		file, err := recipe.Text(c.Name)
		if err != nil {
			return misused("%w %q: one of %s is expected%s", recipe.ErrUnknown, c.Name, strings.Join(recipe.Names(), ", "), text.Suggest(c.Name, recipe.Names()...))
		}
		_, err = a.out.Write(file)
		return err
	}
	var t text.Table
	for _, name := range recipe.Names() {
		r, err := recipe.Load(name)
		if err != nil {
			return err
		}
		if c.JSON {
			if err := json.NewEncoder(a.out).Encode(recipeLine{r.Name, r.Description, r.Source}); err != nil {
				return err
			}
			continue
		}
		t.Row(string(r.Name), r.Description)
		t.Row("", r.Source)
	}
	return t.Write(a.out, a.width())
}
