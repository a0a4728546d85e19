package oidc

import (
	"encoding/json"
	"mime"
	"net/http"
	"net/url"
	"strings"

	"github.com/exeunt/exeunt"
	"github.com/exeunt/exeunt/internal/oauth"
	"github.com/exeunt/exeunt/internal/web"
)

// globalRevoke ends every session of somebody for a client that may do that
// (draft-parecki-oauth-global-token-revocation-06 section 3).
func (p *Provider) globalRevoke(w http.ResponseWriter, r *http.Request) error {
	c, err := p.callerOf(r)
	if err != nil {
		return err
	}
	if err := web.ReadBody(w, r, maxForm); err != nil {
		return err
	}
	var in struct {
		Subject *oauth.Subject `json:"sub_id"`
	}
	kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || kind != "application/json" || json.NewDecoder(r.Body).Decode(&in) != nil || in.Subject == nil {
		return &oauth.Refusal{Code: "invalid_request",
			Description: "send a JSON object with sub_id, as application/json; nothing was changed"}
	}
	if err := p.OAuth.RevokePerson(r.Context(), c, *in.Subject, p.Peers.Address(r)); err != nil {
		return err
	}
	p.Log.Info("a client ended every session of an account", "client", c.ID)
	web.NoStore(w)
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// callerOf returns the client whose secret the request has, by HTTP's basic authentication (RFC 6749 section 2.3.1) or
// as a bearer token.
func (p *Provider) callerOf(r *http.Request) (c exeunt.Client, err error) {
	if id, secret, ok := r.BasicAuth(); ok {
		if id, err = url.QueryUnescape(id); err == nil {
			secret, err = url.QueryUnescape(secret)
		}
		if err == nil {
			c, err = p.OAuth.Authenticate(id, secret)
		}
		if err != nil || c.Public() {
			return exeunt.Client{}, exeunt.ErrClientKey
		}
		return c, nil
	}
	scheme, text, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	key, err := exeunt.ParseToken(strings.TrimSpace(text))
	if !strings.EqualFold(scheme, "Bearer") || err != nil {
		return c, exeunt.ErrClientKey
	}
	c, ok := p.OAuth.ByKey(key)
	if !ok {
		return c, exeunt.ErrClientKey
	}
	return c, nil
}
