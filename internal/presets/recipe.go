package presets

import (
	"fmt"
	"strings"

	"github.com/exeunt/exeunt"
)

// recipe is what a page of the documentation says of an app besides its settings.
type recipe struct {
	reach string // how far a sign-out reaches it, and why
	stays string // what of somebody's access stays in it all the same
	// site says what making it a site changes; "" if it is no app that people open in a browser only.
	site  string
	tried string // version and test; "" if the page is made from the app's documentation and sources
}

const (
	recipeIssuer = "https://id.example.com"
	recipeSecret = "SECRET"
)

// Recipe is the page of the documentation about the app, in Markdown.
func (p Preset) Recipe() (string, error) {
	address := "https://" + p.Name + ".example.com"
	guide, err := p.settingsAndNotes(address)
	if err != nil {
		return "", err
	}
	tried := "**By its documentation and sources**, as of November 2026; nobody has tried it here."
	if p.recipe.tried != "" {
		tried = "**Tried**: " + p.recipe.tried + "."
	}
	out := fmt.Sprintf("# %s\n\n%s\n\n## On this side\n\n```sh\nexeunt clients add %s --preset %s --url %s\n```\n\n"+
		"registers it and prints what follows with its secret filled in. Where people are not to be asked before it learns who they are, add "+
		"`--first-party`; [settings of a client](../apps.md#settings-of-a-client) has the rest.\n\n## In %s\n\n%s"+
		"\n## What a sign-out reaches\n\n%s\n\n**What stays**: %s\n", p.App, tried, p.Name, p.Name, address, p.App, guide, p.recipe.reach, p.recipe.stays)
	if p.recipe.site != "" {
		out += "\n## As a site\n\n" + p.recipe.site + " See [sites](../sites.md).\n"
	}
	return out, nil
}

// settingsAndNotes is the guide as Markdown.
func (p Preset) settingsAndNotes(address string) (string, error) {
	id := exeunt.ClientID(p.Name)
	fill, err := filler(id, recipeSecret, recipeIssuer, address)
	if err != nil {
		return "", err
	}
	block := func(kind, text string) string { return "```" + kind + "\n" + strings.Trim(text, "\n") + "\n```\n" }
	out := p.where + ":\n\n" + block("", fill.Replace(p.settings))
	for _, note := range p.notes {
		out += "\n"
		for i, part := range strings.Split(fill.Replace(note), "\n\n") {
			if i > 0 {
				out += "\n"
			}
			if strings.HasPrefix(part, "  ") {
				out += block("", strings.ReplaceAll(strings.TrimPrefix(part, "  "), "\n  ", "\n"))
				continue
			}
			out += part + "\n"
		}
	}
	if p.connector == "" {
		return out, nil
	}
	table, err := p.Connector(id, address)
	if err != nil {
		return "", err
	}
	return out + "\n" + fill.Replace(p.what) + "\n\n" + block("toml", table), nil
}
