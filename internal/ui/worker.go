package ui

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
)

// LockedView is "/locked", and "/locked/{language}": what the service worker shows in a browser that was signed out without network, or that does
// not reach us. The worker keeps it, so it is the same for everybody and says nothing of anybody.
//
// Its form: POST /signout/offline with ticket, which the worker fills in.
type LockedView struct{ Frame }

func (*LockedView) page() string { return "locked" }

// workerScript is the worker's own file. It has an address without a hash, because the browser knows it by its address.
const workerScript = "sw.js"

// Worker is the script of the service worker, with what it keeps for the time without network, in a language. A changed
// asset, or another language, makes another script, which is how browsers learn that there is a new one. withdrawn: it
// delivers what it still has, and removes itself.
func Worker(withdrawn bool, lang string) ([]byte, error) {
	set, err := loadAssets()
	if err != nil {
		return nil, err
	}
	keeps := []string{lockedPage + "/" + lang}
	for _, name := range []string{"app.css", "locked.js", "sprite.svg", "favicon.svg"} {
		at, err := set.path(name)
		if err != nil {
			return nil, err
		}
		keeps = append(keeps, at)
	}
	what, err := json.Marshal(map[string]any{"withdrawn": withdrawn, "keeps": keeps, "placeholder": ticketPlaceholder})
	if err != nil {
		return nil, err
	}
	script := set.content[set.paths[workerScript]]
	return slices.Concat([]byte("self.exeunt="), what, []byte(";\n"), script), nil
}

const (
	lockedPage = "/locked"
	// ticketPlaceholder is what the worker replaces in the page by a ticket.
	ticketPlaceholder = "{ticket}"
)

// Placeholder is what stands in the form for the ticket that the worker fills in.
func (*LockedView) Placeholder() string { return ticketPlaceholder }

// Manifest is the web app manifest, by which the site can be installed. Colours are those of the pages.
func (u *UI) Manifest(lang string) ([]byte, error) {
	set, err := loadAssets()
	if err != nil {
		return nil, err
	}
	l := u.language(lang)
	name, err := l.words.t("brand")
	if err != nil {
		return nil, err
	}
	type icon struct {
		Source  string `json:"src"`
		Sizes   string `json:"sizes"`
		Type    string `json:"type"`
		Purpose string `json:"purpose,omitempty"`
	}
	var icons []icon
	for _, i := range []icon{
		{"icon-192.png", "192x192", "image/png", ""}, {"icon-512.png", "512x512", "image/png", ""},
		{"icon-512.png", "512x512", "image/png", "maskable"}, {"favicon.svg", "any", "image/svg+xml", ""},
	} {
		if i.Source, err = set.path(i.Source); err != nil {
			return nil, err
		}
		icons = append(icons, i)
	}
	var out bytes.Buffer
	e := json.NewEncoder(&out)
	e.SetEscapeHTML(false)
	err = e.Encode(map[string]any{
		"name": string(name), "short_name": string(name), "id": "/", "start_url": "/", "scope": "/",
		"display": "standalone", "lang": l.words.tag.String(), "dir": l.words.direction(),
		"background_color": "#f3f6f4", "theme_color": "#0b5c4a", "icons": icons,
	})
	if err != nil {
		return nil, fmt.Errorf("manifest: %w", err)
	}
	return out.Bytes(), nil
}
