package gazette

import (
	"crypto/rand"
	"net/http"
	"net/url"
	"time"
)

// signOut ends the session here, then asks the authority to end its own (OpenID Connect RP-Initiated Logout section 2).
// The authority asks the reader how far that shall go.
func (a *App) signOut(w http.ResponseWriter, r *http.Request) {
	of, ok := a.reader(r)
	if c, err := r.Cookie(cookieName); err == nil {
		a.sessions.end(c.Value)
	}
	http.SetCookie(w, cookie(cookieName, "", 0))
	w.Header().Set("Clear-Site-Data", `"storage"`)
	p, err := a.discovered()
	if err != nil || !ok || p.endSession == "" {
		redirect(w, "/signed-out")
		return
	}
	state := rand.Text()
	http.SetCookie(w, cookie(leftName, state, 10*time.Minute))
	redirect(w, p.endSession+"?"+url.Values{"id_token_hint": {of.idToken}, "client_id": {a.ClientID},
		"post_logout_redirect_uri": {a.URL + "/signed-out"}, "state": {state}}.Encode())
}

// signedOut is where the authority sends the reader afterwards, with the state of this browser's own sign-out.
func (a *App) signedOut(w http.ResponseWriter, r *http.Request) {
	if _, ok := a.reader(r); ok {
		redirect(w, "/") // signed in again since
		return
	}
	text := "You are signed out of Gazette. Your sign-in service may still be signed in."
	if left, err := r.Cookie(leftName); err == nil && left.Value == r.URL.Query().Get("state") {
		text = "You are signed out of Gazette, and your sign-in service did what you chose there."
	}
	http.SetCookie(w, cookie(leftName, "", 0))
	a.notice(w, r, http.StatusOK, "Until the next edition", text)
}

// backchannel is where the authority tells that a session is over, whoever ended it (OpenID Connect Back-Channel Logout
// section 2.5). Ending twice is harmless, so a repeated notice is too.
func (a *App) backchannel(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Cache-Control", "no-store")
	p, err := a.discovered()
	if err != nil {
		a.Log.Warn("a notice of a sign-out cannot be checked", "err", err)
		http.Error(w, "try again", http.StatusServiceUnavailable)
		return
	}
	of, err := p.verifier.VerifyLogout(a.context(r.Context()), r.PostFormValue("logout_token"))
	if err != nil {
		a.Log.Warn("refused a notice of a sign-out", "err", err)
		http.Error(w, `{"error":"invalid_request"}`, http.StatusBadRequest)
		return
	}
	a.sessions.endAll(of.Subject, of.SessionID, of.IssuedAt)
}
