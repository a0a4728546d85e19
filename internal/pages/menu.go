package pages

import (
	"net/http"

	"github.com/exeunt/exeunt/internal/ui"
	"github.com/exeunt/exeunt/internal/web"
)

// menu is the drawer as a page, for a phone without script.
func (p *Pages) menu(w http.ResponseWriter, r *http.Request, v web.Visitor) error {
	view := &ui.MenuView{Frame: p.frame(r, v, ""), Return: web.LocalPath(r.URL.Query().Get("return"))}
	view.Path = view.Return // links back to this page lead to the one it was opened from
	return p.show(w, http.StatusOK, view)
}
