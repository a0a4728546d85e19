package main

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"

	"github.com/exeunt/exeunt/internal/api"
)

// The parts of an OpenAPI description that the reference shows.
type description struct {
	Info  struct{ Description string }
	Tags  []struct{ Name string }
	Paths map[string]map[string]call
}

type call struct {
	Summary, Description string
	Tags                 []string
	Parameters           []struct {
		Name, In, Description string
		Required              bool
	}
	RequestBody struct{ Content map[string]any }
	Responses   map[string]struct{ Description string }
}

// apiReference is the page about the JSON API, from the description that nodes serve.
func apiReference() (string, error) {
	mux := http.NewServeMux()
	api.New(api.Deps{}).Mount(mux)
	w := httptest.NewRecorder()
	mux.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/api/openapi.json", http.NoBody))
	var d description
	if err := json.Unmarshal(w.Body.Bytes(), &d); err != nil {
		return "", err
	}
	byTag := map[string][]string{}
	for _, path := range slices.Sorted(maps.Keys(d.Paths)) {
		for _, method := range slices.Sorted(maps.Keys(d.Paths[path])) {
			c := d.Paths[path][method]
			tag := "Other calls"
			if len(c.Tags) > 0 {
				tag = c.Tags[0]
			}
			byTag[tag] = append(byTag[tag], c.text(strings.ToUpper(method), path))
		}
	}
	if len(byTag) == 0 {
		return "", fmt.Errorf("the API describes no calls (%d)", w.Code)
	}
	out := "# API\n\n" + d.Info.Description + "\n\nEach node describes it to programs at `/api/openapi.json`.\n"
	for _, tag := range slices.Sorted(maps.Keys(byTag)) {
		out += "\n## " + tag + "\n\n" + strings.Join(byTag[tag], "\n")
	}
	return out, nil
}

func (c *call) text(method, path string) string {
	out := "### " + method + " " + path + "\n\n" + c.Summary + ".\n"
	if c.Description != "" {
		out += "\n" + c.Description + "\n"
	}
	if len(c.Parameters) > 0 {
		out += "\n| parameter | in | meaning |\n|---|---|---|\n"
		for _, p := range c.Parameters {
			must := ""
			if p.Required {
				must = " It must be there."
			}
			out += fmt.Sprintf("| `%s` | %s | %s%s |\n", p.Name, p.In, cell(p.Description), must)
		}
	}
	if len(c.RequestBody.Content) > 0 {
		out += "\nBody: " + strings.Join(slices.Sorted(maps.Keys(c.RequestBody.Content)), ", ") + ".\n"
	}
	out += "\n| status | meaning |\n|---|---|\n"
	for _, status := range slices.Sorted(maps.Keys(c.Responses)) {
		out += fmt.Sprintf("| %s | %s |\n", status, cell(c.Responses[status].Description))
	}
	return out
}

// cell is a text that stands in a table.
func cell(s string) string { return strings.NewReplacer("\n", " ", "|", `\|`).Replace(s) }

// decisionList is the page that lists the decisions.
func decisionList(pages []*page) string {
	out := "# Decisions\n\nOne short page each: the question, the decision, why, and what it costs.\n\n"
	for _, p := range pages {
		if name, is := strings.CutPrefix(p.Source, "docs/decisions/"); is && p.Title != "" {
			out += "- [" + p.Title + "](" + name + ")\n"
		}
	}
	return out
}
