package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// contents are the pages in order. A file of the documentation that is not here stops the build.
var contents = []struct {
	group string
	files []string
}{
	{"Begin", []string{"README.md", "docs/installing.md"}},
	{"Operate", []string{"docs/running.md", "docs/proxies.md", "docs/cluster.md", "docs/upgrading.md", "docs/troubleshooting.md"}},
	{"Put apps behind it", []string{"docs/apps.md", "docs/sites.md", "docs/webhooks.md", "docs/receipts.md"}},
	{"Apps", nil}, // docs/apps/*.md
	{"Reference", []string{"docs/reference/settings.md", "docs/reference/commands.md", apiPage}},
	{"Understand", []string{"docs/promises.md", "docs/security/threat-model.md", "docs/security/asvs.md", "docs/ARCHITECTURE.md",
		"docs/benchmarks.md", "docs/conformance.md", "docs/model/README.md", listOfDecisions}},
}

// Pages that are made.
const (
	apiPage         = "docs/reference/api.md"
	listOfDecisions = "docs/decisions/README.md"
)

const groupOfApps = "Apps"

// collect lists the pages of a repository.
func collect(from string) (pages []*page, err error) {
	taken := map[string]bool{}
	add := func(group, file string) {
		taken[file] = true
		p := &page{Source: file, At: address(file), Group: group}
		switch file {
		case apiPage:
			p.made = func([]*page) (string, error) { return apiReference() }
		case listOfDecisions:
			p.made = func(all []*page) (string, error) { return decisionList(all), nil }
		}
		pages = append(pages, p)
	}
	for _, g := range contents {
		files := g.files
		if g.group == groupOfApps {
			if files, err = inFolder(from, "docs/apps"); err != nil {
				return nil, err
			}
		}
		for _, file := range files {
			add(g.group, file)
		}
	}
	decisions, err := inFolder(from, "docs/decisions")
	if err != nil {
		return nil, err
	}
	for _, file := range decisions {
		add("", file)
	}
	all, err := inFolder(from, "docs")
	if err != nil {
		return nil, err
	}
	for _, file := range all {
		if !taken[file] {
			return nil, fmt.Errorf("%s has no place in the contents (site/contents.go)", file)
		}
	}
	return pages, nil
}

// inFolder lists the Markdown files of a folder, in order.
func inFolder(from, folder string) (files []string, err error) {
	list, err := os.ReadDir(filepath.Join(from, filepath.FromSlash(folder)))
	if err != nil {
		return nil, err
	}
	for _, e := range list {
		if strings.HasSuffix(e.Name(), ".md") {
			files = append(files, folder+"/"+e.Name())
		}
	}
	slices.Sort(files)
	return files, nil
}

// address is a file's place in the site.
func address(file string) string {
	if file == "README.md" {
		return "index.html"
	}
	name := strings.TrimSuffix(strings.TrimPrefix(file, "docs/"), ".md")
	if folder, ok := strings.CutSuffix(name, "/README"); ok {
		return folder + "/index.html"
	}
	return strings.ToLower(name) + ".html"
}
