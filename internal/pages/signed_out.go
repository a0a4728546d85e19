package pages

import (
	"net/http"
	"net/url"

	"github.com/exeunt/exeunt"
	"github.com/exeunt/exeunt/internal/ui"
)

// signedOut tells what was done, if a notice of ours in this browser says so.
func (p *Pages) signedOut(w http.ResponseWriter, r *http.Request) error {
	v := p.visit(r)
	if v.SignedIn() {
		return redirect(w, "/")
	}
	if err := v.Doubt(); err != nil {
		return err
	}
	view := &ui.SignedOutView{Frame: p.outside(r), Client: p.client(r.URL.Query().Get("client"))}
	if n, ok := p.notice(r, noticeSignedOut); ok {
		view.Done = readSignOut(n)
	}
	return p.show(w, http.StatusOK, view)
}

func signedOutPath(from *exeunt.Client) string {
	if from == nil {
		return "/signed-out"
	}
	return "/signed-out?" + url.Values{"client": {string(from.ID)}}.Encode()
}
