package ui

import (
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"html/template"
	"io/fs"
	"mime"
	"net/http"
	"path"
	"strings"
)

// distFiles is what the program in build made. It is committed, so that building the
// product needs only Go.
//
//go:embed dist
var distFiles embed.FS

// assetPrefix is where assets are served.
const assetPrefix = "/assets/"

// assetSet has the assets by both names: the plain one for templates, and the address,
// which has a hash of the content.
type assetSet struct {
	paths   map[string]string // "app.css" -> "/assets/app.0123456789ab.css"
	content map[string][]byte // by address
}

func loadAssets() (*assetSet, error) {
	set := &assetSet{paths: map[string]string{}, content: map[string][]byte{}}
	entries, err := fs.ReadDir(distFiles, "dist")
	if err != nil {
		return nil, err
	}
	for _, entry := range entries {
		content, err := fs.ReadFile(distFiles, "dist/"+entry.Name())
		if err != nil {
			return nil, err
		}
		sum := sha256.Sum256(content)
		ending := path.Ext(entry.Name())
		address := assetPrefix + strings.TrimSuffix(entry.Name(), ending) + "." + hex.EncodeToString(sum[:6]) + ending
		set.paths[entry.Name()] = address
		set.content[address] = content
	}
	return set, nil
}

// path is the address of an asset.
func (s *assetSet) path(name string) (string, error) {
	address, ok := s.paths[name]
	if !ok {
		return "", fmt.Errorf("no asset %q", name)
	}
	return address, nil
}

// icon draws a symbol of the sprite. It is decoration: there is text beside each icon.
func (s *assetSet) icon(name string, classes ...string) (template.HTML, error) {
	sprite, err := s.path("sprite.svg")
	if err != nil {
		return "", err
	}
	class := strings.Join(append([]string{"i"}, classes...), " ")
	return template.HTML(fmt.Sprintf(`<svg class="%s" aria-hidden="true"><use href="%s#%s"/></svg>`,
		template.HTMLEscapeString(class), sprite, template.HTMLEscapeString(name))), nil
}

// Assets serves the styles, scripts and pictures of the pages under /assets/.
// Addresses have a hash of the content, and the assets are the same for everybody, so
// browsers may cache them forever. An unknown address is a plain 404.
func Assets() http.Handler {
	set, err := loadAssets()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err != nil {
			http.Error(w, "Cannot read the styles and scripts of this site.", http.StatusInternalServerError)
			return
		}
		content, ok := set.content[r.URL.Path]
		if !ok {
			http.NotFound(w, r)
			return
		}
		h := w.Header()
		h.Set("Content-Type", mediaType(r.URL.Path))
		h.Set("Cache-Control", "public, max-age=31536000, immutable")
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		h.Set("Content-Length", fmt.Sprint(len(content)))
		if r.Method != http.MethodHead {
			w.Write(content)
		}
	})
}

func mediaType(name string) string {
	switch path.Ext(name) {
	case ".js":
		return "text/javascript; charset=utf-8"
	case ".png":
		return "image/png"
	case ".css":
		return "text/css; charset=utf-8"
	case ".svg":
		return "image/svg+xml"
	}
	return mime.TypeByExtension(path.Ext(name))
}
