package gazette

import (
	"embed"
	"html/template"
	"net/http"
	"net/url"
	"strings"
)

//go:embed page.html gazette.css gazette.svg
var files embed.FS

var pages = template.Must(template.ParseFS(files, "page.html"))

// page is what page.html shows: articles, one of them, or a notice.
type page struct {
	Title  string
	Reader string // "" is nobody
	Date   string
	List   []story
	Locked bool // the list is only headlines
	Story  *story
	Notice string
	Sign   string // address that signs in
}

func (a *App) reader(r *http.Request) (session, bool) {
	c, err := r.Cookie(cookieName)
	if err != nil {
		return session{}, false
	}
	return a.sessions.get(c.Value)
}

// forReaders shows a page to readers who are signed in, and tells others what to do.
func (a *App) forReaders(show func(http.ResponseWriter, *http.Request)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if _, ok := a.reader(r); !ok {
			a.notice(w, r, http.StatusUnauthorized, "For readers who are signed in",
				"Nobody is signed in to Gazette in this browser, or the sign-in has ended.")
			return
		}
		show(w, r)
	}
}

func (a *App) front(w http.ResponseWriter, r *http.Request) {
	_, ok := a.reader(r)
	a.show(w, r, http.StatusOK, page{Title: "Today", List: stories, Locked: !ok})
}

func (a *App) list(w http.ResponseWriter, r *http.Request) {
	a.show(w, r, http.StatusOK, page{Title: "All articles", List: stories})
}

func (a *App) article(w http.ResponseWriter, r *http.Request) {
	for i := range stories {
		if stories[i].Name == r.PathValue("name") {
			a.show(w, r, http.StatusOK, page{Title: stories[i].Title, Story: &stories[i]})
			return
		}
	}
	a.nothingHere(w, r)
}

func (a *App) nothingHere(w http.ResponseWriter, r *http.Request) {
	a.notice(w, r, http.StatusNotFound, "No such page", "It may have been in an older edition.")
}

// away answers a sign-in that the authority did not complete.
func (a *App) away(w http.ResponseWriter, r *http.Request, err error) {
	a.Log.Warn("a sign-in could not be completed", "err", err)
	a.notice(w, r, http.StatusBadGateway, "That sign-in did not work",
		"The sign-in service does not answer, or not as it should. You are not signed in; try again in a moment.")
}

func (a *App) notice(w http.ResponseWriter, r *http.Request, status int, title, text string) {
	a.show(w, r, status, page{Title: title, Notice: text})
}

func (a *App) show(w http.ResponseWriter, r *http.Request, status int, p page) {
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Cache-Control", "no-store")
	h.Add("Vary", "Cookie")
	p.Date = a.Now().Format("Monday, 2 January 2006")
	back := ""
	if strings.HasPrefix(r.URL.Path, "/articles") {
		back = r.URL.Path
	}
	p.Sign = "/sign-in?" + url.Values{"return": {back}}.Encode()
	if of, ok := a.reader(r); ok {
		p.Reader = of.name
		// Chromium keeps no copy of such a page for its Back button.
		if status == http.StatusOK && r.Header.Get("Sec-Fetch-Dest") == "document" {
			status = http.StatusNonAuthoritativeInfo
		}
	}
	w.WriteHeader(status)
	if err := pages.Execute(w, p); err != nil {
		a.Log.Debug("a page was not sent whole", "err", err)
	}
}

// story is an article.
type story struct {
	Name, Kicker, Title, Lead string
	Text                      []string
}
