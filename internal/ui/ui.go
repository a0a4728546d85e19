package ui

import (
	"bytes"
	"embed"
	"fmt"
	"html/template"
	"io"
	"io/fs"
	"path"
	"strings"

	"github.com/nicksnyder/go-i18n/v2/i18n"
	"golang.org/x/text/language"
)

//go:embed templates
var templateFiles embed.FS

//go:embed locales
var localeFiles embed.FS

// UI renders views. It is safe for concurrent use.
type UI struct {
	languages map[language.Tag]*languagePages
	tags      []language.Tag // the first is English, the fallback
	matcher   language.Matcher
}

// languagePages are all pages with their functions bound to one language.
type languagePages struct {
	pages map[string]*template.Template
	mail  *template.Template // the layout of all mails
	words *words
}

// New parses every template and catalogue.
func New() (*UI, error) {
	bundle := i18n.NewBundle(language.English)
	files, err := fs.Glob(localeFiles, "locales/*.json")
	if err != nil {
		return nil, err
	}
	for _, name := range files {
		if _, err := bundle.LoadMessageFileFS(localeFiles, name); err != nil {
			return nil, fmt.Errorf("catalogue %s: %w", name, err)
		}
	}
	assets, err := loadAssets()
	if err != nil {
		return nil, err
	}
	mail, err := template.ParseFS(templateFiles, "templates/mail/layout.html")
	if err != nil {
		return nil, fmt.Errorf("templates: %w", err)
	}
	u := &UI{languages: map[language.Tag]*languagePages{}, tags: bundle.LanguageTags()}
	for _, tag := range u.tags {
		w := &words{localizer: i18n.NewLocalizer(bundle, tag.String()), tag: tag}
		if err := w.named(); err != nil {
			return nil, err
		}
		pages, err := parsePages(templateFiles, w, assets)
		if err != nil {
			return nil, err
		}
		u.languages[tag] = &languagePages{pages: pages, mail: mail, words: w}
	}
	u.matcher = language.NewMatcher(u.tags)
	return u, nil
}

// parsePages gives each page its own set: the shared parts and its own file,
// which defines "main" and may define other blocks of the layout.
func parsePages(files fs.FS, w *words, assets *assetSet) (map[string]*template.Template, error) {
	shared, err := template.New("layout").Funcs(functions(w, assets)).Option("missingkey=error").
		ParseFS(files, "templates/layout.html", "templates/part_*.html")
	if err != nil {
		return nil, fmt.Errorf("templates: %w", err)
	}
	names, err := fs.Glob(files, "templates/*.html")
	if err != nil {
		return nil, err
	}
	pages := map[string]*template.Template{}
	for _, name := range names {
		base := strings.TrimSuffix(path.Base(name), ".html")
		if base == "layout" || strings.HasPrefix(base, "part_") {
			continue
		}
		page, err := shared.Clone()
		if err == nil {
			page, err = page.ParseFS(files, name)
		}
		if err != nil {
			return nil, fmt.Errorf("templates: %s: %w", base, err)
		}
		pages[base] = page
	}
	return pages, nil
}

// Render writes the whole page or nothing: if a template fails, w is untouched and the
// caller can still answer with an error page. Otherwise the error is w's.
func (u *UI) Render(w io.Writer, view View) error {
	lang := u.language(view.frame().Lang)
	page, ok := lang.pages[view.page()]
	if !ok {
		return fmt.Errorf("no template for page %q", view.page())
	}
	if v, ok := view.(composed); ok {
		if err := v.compose(lang.words, page); err != nil {
			return fmt.Errorf("page %q: %w", view.page(), err)
		}
	}
	var out bytes.Buffer
	if err := page.ExecuteTemplate(&out, "layout.html", view); err != nil {
		return fmt.Errorf("page %q: %w", view.page(), err)
	}
	_, err := w.Write(out.Bytes())
	return err
}

// composed is a view that renders parts of its page by itself first.
type composed interface {
	compose(w *words, page *template.Template) error
}
