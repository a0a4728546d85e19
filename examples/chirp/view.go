package chirp

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"html/template"
	"io/fs"
	"net/http"
	"path"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/exeunt/exeunt/client"
	"github.com/exeunt/exeunt/client/webapp"
	"github.com/exeunt/exeunt/js"
)

//go:embed templates/*.html
var templateFiles embed.FS

//go:embed assets
var assetFiles embed.FS

// page is the data of every template.
type page struct {
	Static string         // address of the static files
	Me     *client.Person // nil when nobody is signed in
	Here   string         // path of the request, for the navigation
	Data   any
	now    time.Time
}

func (a *App) page(r *http.Request, data any) page {
	p := page{Static: strings.TrimSuffix(a.views.static, "/"), Here: here(r), Data: data, now: a.now()}
	if me, ok := webapp.Who(r.Context()); ok {
		p.Me = &me
	}
	return p
}

// here is the request's path as an address to load again. Two slashes at its beginning
// would name another host.
func here(r *http.Request) string {
	if r.Method != http.MethodGet {
		return "/" // the address of a form's post is no page
	}
	return "/" + strings.TrimLeft(r.URL.EscapedPath(), "/")
}

// Ago formats a time as people say it.
func (p page) Ago(t time.Time) string {
	d := p.now.Sub(t)
	switch {
	case d < time.Minute:
		return "just now"
	case d < time.Hour:
		return count(int(d.Minutes()), "minute")
	case d < 24*time.Hour:
		return count(int(d.Hours()), "hour")
	case d < 30*24*time.Hour:
		return count(int(d.Hours()/24), "day")
	}
	return t.UTC().Format("2 January 2006")
}

func count(n int, unit string) string {
	if n == 1 {
		return "1 " + unit + " ago"
	}
	return fmt.Sprintf("%d %ss ago", n, unit)
}

// views renders pages and serves static files.
type views struct {
	pages  map[string]*template.Template
	static string // "/static/<hash>/": changes with the files, so browsers may cache them for ever
	files  http.Handler
}

func newViews() (*views, error) {
	v := &views{pages: map[string]*template.Template{}}
	common, err := template.New("").Funcs(template.FuncMap{
		"exact":   func(t time.Time) string { return t.UTC().Format("2 January 2006, 15:04 UTC") },
		"machine": func(t time.Time) string { return t.UTC().Format(time.RFC3339) },
		"initial": initial,
		"key":     rand.Text,
		"maxText": func() int { return maxText },
	}).ParseFS(templateFiles, "templates/frame.html")
	if err != nil {
		return nil, err
	}
	names, err := fs.Glob(templateFiles, "templates/*.html")
	if err != nil {
		return nil, err
	}
	for _, name := range names {
		t, err := common.Clone()
		if err == nil {
			t, err = t.ParseFS(templateFiles, name)
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		v.pages[strings.TrimSuffix(path.Base(name), ".html")] = t
	}
	return v, v.openFiles()
}

func initial(name string) string {
	r, _ := utf8.DecodeRuneInString(name)
	return strings.ToUpper(string(r))
}

// openFiles serves Chirp's own files and, below exeunt/, the browser module.
func (v *views) openFiles() error {
	own, err := fs.Sub(assetFiles, "assets")
	if err != nil {
		return err
	}
	sum := sha256.New()
	for _, dir := range []fs.FS{own, js.FS} {
		err := fs.WalkDir(dir, ".", func(name string, e fs.DirEntry, err error) error {
			if err != nil || e.IsDir() {
				return err
			}
			b, err := fs.ReadFile(dir, name)
			fmt.Fprintf(sum, "%s %d ", name, len(b))
			sum.Write(b)
			return err
		})
		if err != nil {
			return err
		}
	}
	v.static = "/static/" + hex.EncodeToString(sum.Sum(nil)[:6]) + "/"
	m := http.NewServeMux()
	m.Handle("GET "+v.static, http.StripPrefix(v.static, http.FileServerFS(own)))
	m.Handle("GET "+v.static+"exeunt/", http.StripPrefix(v.static+"exeunt/", http.FileServerFS(js.FS)))
	v.files = m
	return nil
}

// ServeHTTP serves the static files. They hold nothing private.
func (v *views) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if strings.HasSuffix(r.URL.Path, "/") {
		http.NotFound(w, r) // no listings
		return
	}
	w.Header().Set("Cache-Control", "public, max-age=31536000, immutable")
	v.files.ServeHTTP(w, r)
}

// show renders a page completely before it writes it. The middleware has set
// Cache-Control.
func (v *views) show(w http.ResponseWriter, status int, name string, p page) {
	var b bytes.Buffer
	if err := v.pages[name].ExecuteTemplate(&b, "frame", p); err != nil {
		const text = "Chirp could not show this page. Your change may or may not have been saved."
		http.Error(w, text, http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	w.Write(b.Bytes())
}
