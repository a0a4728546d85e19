package main

import (
	"bytes"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"html/template"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/yuin/goldmark"
	"github.com/yuin/goldmark/ast"
	"github.com/yuin/goldmark/extension"
	east "github.com/yuin/goldmark/extension/ast"
	"github.com/yuin/goldmark/parser"
	"github.com/yuin/goldmark/renderer/html"
	"github.com/yuin/goldmark/text"
)

//go:embed assets
var assets embed.FS

var frame = template.Must(template.ParseFS(assets, "assets/page.html"))

// page is one page of the site.
type page struct {
	Source string // the file in the repository, with slashes, or where it would be if it is made
	At     string // its address in the site
	Title  string
	Lead   string // its first paragraph, as text
	Body   template.HTML
	Parts  []part
	Up     string // to the site's root
	Group  string

	made func([]*page) (string, error) // makes the Markdown of a page that is no file
}

// part is a heading of a page and the text below it.
type part struct {
	ID, Title string
	Deep      bool // not of the first level
	text      string
}

var markdown = goldmark.New(goldmark.WithExtensions(extension.Table, extension.Strikethrough),
	goldmark.WithParserOptions(parser.WithAutoHeadingID()), goldmark.WithRendererOptions(html.WithXHTML()))

// build writes the site and returns how many pages it has.
func build(from, to string) (int, error) {
	pages, err := collect(from)
	if err != nil {
		return 0, err
	}
	known := map[string]*page{}
	for _, p := range pages {
		known[p.Source] = p
	}
	for _, p := range pages {
		if err := p.read(from, known); err != nil {
			return 0, fmt.Errorf("%s: %w", p.Source, err)
		}
	}
	for _, p := range pages { // those that list others come last
		if p.made == nil {
			continue
		}
		source, err := p.made(pages)
		if err == nil {
			err = p.render([]byte(source), known)
		}
		if err != nil {
			return 0, fmt.Errorf("%s: %w", p.Source, err)
		}
	}
	// A folder that is not ours is not removed.
	if _, err := os.Stat(filepath.Join(to, "index.html")); err == nil {
		if err := os.RemoveAll(to); err != nil {
			return 0, err
		}
	}
	for _, p := range pages {
		var out bytes.Buffer
		if err := frame.ExecuteTemplate(&out, "page.html", map[string]any{"Page": p, "Groups": grouped(pages, p)}); err != nil {
			return 0, err
		}
		if err := write(filepath.Join(to, filepath.FromSlash(p.At)), out.Bytes()); err != nil {
			return 0, err
		}
	}
	index, err := searchIndex(pages)
	if err != nil {
		return 0, err
	}
	files := map[string][]byte{"search.json": index}
	for _, name := range []string{"style.css", "search.js"} {
		if files[name], err = assets.ReadFile("assets/" + name); err != nil {
			return 0, err
		}
	}
	shot, err := os.ReadFile(filepath.Join(from, "docs", "screenshot.png"))
	if err != nil {
		return 0, err
	}
	files["screenshot.png"] = shot
	for name, content := range files {
		if err := write(filepath.Join(to, name), content); err != nil {
			return 0, err
		}
	}
	return len(pages), nil
}

func write(file string, content []byte) error {
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		return err
	}
	return os.WriteFile(file, content, 0o644)
}

// read renders a page that is a file.
func (p *page) read(from string, known map[string]*page) error {
	if p.made != nil {
		return nil
	}
	source, err := os.ReadFile(filepath.Join(from, filepath.FromSlash(p.Source)))
	if err != nil {
		return err
	}
	return p.render(source, known)
}

func (p *page) render(source []byte, known map[string]*page) error {
	p.Up = strings.Repeat("../", strings.Count(p.At, "/"))
	root := markdown.Parser().Parse(text.NewReader(source), parser.WithContext(parser.NewContext(parser.WithIDs(&names{}))))
	var problems []error
	var removed []ast.Node
	if err := ast.Walk(root, func(n ast.Node, entering bool) (ast.WalkStatus, error) {
		if !entering {
			return ast.WalkContinue, nil
		}
		switch n := n.(type) {
		case *ast.Heading:
			title := plain(n, source)
			if n.Level == 1 && p.Title == "" {
				p.Title = title
				removed = append(removed, n)
				break
			}
			id, _ := n.AttributeString("id")
			p.Parts = append(p.Parts, part{ID: string(id.([]byte)), Title: title, Deep: n.Level > 2})
		case *ast.Paragraph:
			if p.Lead == "" {
				p.Lead = plain(n, source)
			}
			p.add(plain(n, source))
		case *ast.TextBlock:
			p.add(plain(n, source))
		case *east.Table:
			p.add(plain(n, source))
		case *ast.Link:
			to, ok := p.link(string(n.Destination), known)
			if !ok {
				problems = append(problems, fmt.Errorf("there is nothing at %s", n.Destination))
			}
			n.Destination = []byte(to)
		case *ast.Image:
			n.Destination = []byte(p.Up + path.Base(string(n.Destination)))
		}
		return ast.WalkContinue, nil
	}); err != nil {
		return err
	}
	for _, n := range removed {
		n.Parent().RemoveChild(n.Parent(), n)
	}
	unlink(root)
	var out bytes.Buffer
	if err := markdown.Renderer().Render(&out, source, root); err != nil {
		return err
	}
	// Tables scroll by themselves on a narrow screen.
	body := strings.NewReplacer("<table>", `<div class="wide" tabindex="0"><table>`, "</table>", "</table></div>").Replace(out.String())
	p.Body = template.HTML(body) // made by us from our own files, without raw HTML
	return errors.Join(problems...)
}

// add adds text to the part that is read.
func (p *page) add(s string) {
	if len(p.Parts) == 0 {
		p.Parts = append(p.Parts, part{})
	}
	last := &p.Parts[len(p.Parts)-1]
	last.text += s + " "
}

// plain is a node's text.
func plain(n ast.Node, source []byte) string {
	var out strings.Builder
	_ = ast.Walk(n, func(n ast.Node, entering bool) (ast.WalkStatus, error) {
		switch n := n.(type) {
		case *ast.Text:
			if entering {
				out.Write(n.Segment.Value(source))
				if n.SoftLineBreak() {
					out.WriteByte(' ')
				}
			}
		case *ast.String:
			if entering {
				out.Write(n.Value)
			}
		default:
			if n.Type() == ast.TypeBlock && out.Len() > 0 && entering {
				out.WriteByte(' ')
			}
		}
		return ast.WalkContinue, nil
	})
	return strings.TrimSpace(out.String())
}

// nowhere is the destination of a link to a file that is no page: such a link becomes its text.
const nowhere = "exeunt:source"

// link returns where a link of the page leads in the site.
func (p *page) link(to string, known map[string]*page) (string, bool) {
	if strings.HasPrefix(to, "#") || strings.Contains(to, "://") || strings.HasPrefix(to, "mailto:") {
		return to, true
	}
	file, anchor, hasAnchor := strings.Cut(to, "#")
	target := path.Join(path.Dir(p.Source), file)
	if target == "docs/decisions" {
		target = listOfDecisions
	}
	page, is := known[target]
	if !is {
		return nowhere, true // the repository's own tests see that the file is there
	}
	address := p.Up + page.At
	if hasAnchor {
		address += "#" + anchor
	}
	return address, true
}

// unlink replaces links that lead nowhere here by what they say.
func unlink(root ast.Node) {
	var dead []*ast.Link
	_ = ast.Walk(root, func(n ast.Node, entering bool) (ast.WalkStatus, error) {
		if l, is := n.(*ast.Link); is && entering && string(l.Destination) == nowhere {
			dead = append(dead, l)
		}
		return ast.WalkContinue, nil
	})
	for _, l := range dead {
		parent := l.Parent()
		for c := l.FirstChild(); c != nil; {
			next := c.NextSibling()
			parent.InsertBefore(parent, l, c)
			c = next
		}
		parent.RemoveChild(parent, l)
	}
}

// names gives headings the anchors that they have where the repository is read.
type names struct{ used map[string]int }

var notInAnchor = regexp.MustCompile(`[^\p{L}\p{N} _-]`)

// Generate implements parser.IDs.
func (n *names) Generate(value []byte, _ ast.NodeKind) []byte {
	if n.used == nil {
		n.used = map[string]int{}
	}
	id := strings.ReplaceAll(notInAnchor.ReplaceAllString(strings.ToLower(strings.TrimSpace(string(value))), ""), " ", "-")
	count := n.used[id]
	n.used[id]++
	if count > 0 {
		id = fmt.Sprintf("%s-%d", id, count)
	}
	return []byte(id)
}

// Put implements parser.IDs.
func (n *names) Put([]byte) {}

// entry is a part of a page, as the search knows it.
type entry struct {
	At    string `json:"at"`
	Page  string `json:"page"`
	Title string `json:"title,omitempty"`
	Text  string `json:"text"`
}

func searchIndex(pages []*page) ([]byte, error) {
	var all []entry
	for _, p := range pages {
		for _, h := range p.Parts {
			e := entry{At: p.At, Page: p.Title, Title: h.Title, Text: strings.Join(strings.Fields(h.text), " ")}
			if h.ID != "" {
				e.At += "#" + h.ID
			}
			all = append(all, e)
		}
	}
	return json.Marshal(all)
}

// group is a part of the contents.
type group struct {
	Title string
	Links []link
}

type link struct {
	Title, At string
	Here      bool
}

func grouped(pages []*page, here *page) (out []group) {
	for _, p := range pages {
		if p.Group == "" {
			continue
		}
		i := slices.IndexFunc(out, func(g group) bool { return g.Title == p.Group })
		if i < 0 {
			out = append(out, group{Title: p.Group})
			i = len(out) - 1
		}
		out[i].Links = append(out[i].Links, link{Title: p.Title, At: here.Up + p.At, Here: p == here})
	}
	return out
}
