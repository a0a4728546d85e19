package chirp

import (
	"bytes"
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

// page is what every template gets.
type page struct {
	Static string         // where the looks are
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

// here is the request's path as an address to load again, on this host: two
// slashes at its begin would name another.
func here(r *http.Request) string {
	if r.Method != http.MethodGet {
		return "/" // a form's address shows nothing by itself
	}
	return "/" + strings.TrimLeft(r.URL.EscapedPath(), "/")
}

// Ago says a time as people do.
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

// views renders pages and serves their looks.
type views struct {
	pages  map[string]*template.Template
	static string // "/static/<hash>/": a new name with every change, so it may be kept for ever
	files  http.Handler
}

func newViews() (*views, error) {
	v := &views{pages: map[string]*template.Template{}}
	common, err := template.New("").Funcs(template.FuncMap{
		"exact":   func(t time.Time) string { return t.UTC().Format("2 January 2006, 15:04 UTC") },
		"machine": func(t time.Time) string { return t.UTC().Format(time.RFC3339) },
		"initial": initial,
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

// openFiles lays the browser module beside Chirp's own files.
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

// ServeHTTP serves the looks. There is nothing about anybody in them.
func (v *views) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if strings.HasSuffix(r.URL.Path, "/") {
		http.NotFound(w, r) // no listings
		return
	}
	w.Header().Set("Cache-Control", "public, max-age=31536000, immutable")
	v.files.ServeHTTP(w, r)
}

// show renders whole or not at all. The middleware has set the cache rules.
func (v *views) show(w http.ResponseWriter, status int, name string, p page) {
	var b bytes.Buffer
	if err := v.pages[name].ExecuteTemplate(&b, "frame", p); err != nil {
		http.Error(w, "Chirp could not show this page. Whether anything was kept is not certain.", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	w.Write(b.Bytes())
}
