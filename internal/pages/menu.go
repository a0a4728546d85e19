package pages

import (
	"net/http"

	"github.com/exeunt/exeunt/internal/ui"
	"github.com/exeunt/exeunt/internal/web"
)

// menu is the drawer as a page, for a phone without script.
func (p *Pages) menu(w http.ResponseWriter, r *http.Request, v web.Visitor) error {
	return p.show(w, http.StatusOK, &ui.MenuView{Frame: p.frame(r, v, ""), Return: localPath(r.URL.Query().Get("return"))})
}
