package main

import (
	"encoding/json"
	"io/fs"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/net/html"
)

// Every file of the documentation is a page, every link of every page leads to something that is there, and nothing
// comes from elsewhere.
func TestTheSite(t *testing.T) {
	to := filepath.Join(t.TempDir(), "site")
	n, err := build("..", to)
	if err != nil {
		t.Fatal(err)
	}
	files, links := map[string]bool{}, map[string][]string{}
	anchors := map[string]bool{}
	if err := filepath.WalkDir(to, func(file string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		name, _ := filepath.Rel(to, file)
		name = filepath.ToSlash(name)
		files[name] = true
		if !strings.HasSuffix(name, ".html") {
			return nil
		}
		f, err := os.Open(file)
		if err != nil {
			return err
		}
		defer f.Close()
		root, err := html.Parse(f)
		if err != nil {
			return err
		}
		headings := 0
		for n := range root.Descendants() {
			if n.Type != html.ElementNode {
				continue
			}
			if n.Data == "h1" {
				headings++
			}
			for _, a := range n.Attr {
				switch {
				case a.Key == "id":
					if anchors[name+"#"+a.Val] {
						t.Errorf("%s has two parts %s", name, a.Val)
					}
					anchors[name+"#"+a.Val] = true
				case a.Key == "href", a.Key == "src":
					links[name] = append(links[name], a.Val)
				case a.Key == "style", strings.HasPrefix(a.Key, "on"):
					t.Errorf("%s has %s in a tag", name, a.Key)
				}
			}
			if n.Data == "script" && n.FirstChild != nil {
				t.Errorf("%s has a script in it", name)
			}
		}
		if headings != 1 {
			t.Errorf("%s has %d titles", name, headings)
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	for from, list := range links {
		for _, link := range list {
			u, err := url.Parse(link)
			if err != nil {
				t.Errorf("%s: %v", from, err)
				continue
			}
			if u.Host != "" {
				continue // shown, and not loaded: the content security policy sees to that
			}
			target := from
			if u.Path != "" {
				target = path.Join(path.Dir(from), u.Path)
			}
			if !files[target] || u.Fragment != "" && !anchors[target+"#"+u.Fragment] {
				t.Errorf("%s links to %s, which is not there", from, link)
			}
		}
	}
	if pages := len(links); pages != n || n < 60 {
		t.Errorf("%d pages, of %d", pages, n)
	}
	content, err := os.ReadFile(filepath.Join(to, "search.json"))
	if err != nil {
		t.Fatal(err)
	}
	var index []entry
	if err := json.Unmarshal(content, &index); err != nil || len(index) < n {
		t.Errorf("%d entries, %v", len(index), err)
	}
	for _, e := range index {
		file, anchor, has := strings.Cut(e.At, "#")
		if !files[file] || has && !anchors[e.At] || e.Page == "" {
			t.Errorf("the search leads to %q (%s)", e.At, anchor)
		}
	}
	// Made again it is the same, in the place of the old one.
	if err := os.WriteFile(filepath.Join(to, "old.html"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := build("..", to); err != nil {
		t.Fatal(err)
	}
	again, err := os.ReadFile(filepath.Join(to, "search.json"))
	if err != nil || string(again) != string(content) {
		t.Errorf("another index: %v", err)
	}
	if _, err := os.Stat(filepath.Join(to, "old.html")); err == nil {
		t.Error("a page that is gone is left")
	}
}
